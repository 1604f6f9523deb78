package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
)

func TestLine_NumbersTheLinesOfEveryOrder(t *testing.T) {
	t.Parallel()
	n := 0
	for order := 1; order <= 300; order++ {
		for number := 1; number <= lines(order); number++ {
			n++
			if gotOrder, gotNumber := line(n); gotOrder != order || gotNumber != number {
				t.Fatalf("line(%d) = %d, %d; want %d, %d", n, gotOrder, gotNumber, order, number)
			}
		}
	}
	if n != 2*300 {
		t.Errorf("300 orders have %d lines, want 600", n)
	}
}

func TestShop_IsLargeEnoughAndAlwaysTheSame(t *testing.T) {
	t.Parallel()
	tables := shop()
	if n := rowCount(tables); n < 200_000 {
		t.Errorf("the shop has %d rows, want at least 200,000", n)
	}
	for _, table := range tables {
		table.rows = min(table.rows, 50)
		var runs [2][]string
		for i := range runs {
			err := rowsOf(table, 7, func(rows [][]any) error {
				runs[i] = append(runs[i], mysqlDialect.insert(table, rows))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(runs[0], runs[1]) {
			t.Errorf("two runs make different rows of %s", table.name)
		}
	}
}

// TestShop_Trades loads a small shop into both databases and runs every kind
// of transaction on it.
func TestShop_Trades(t *testing.T) {
	t.Parallel()
	tables := shop()
	for i := range tables {
		tables[i].rows = (tables[i].rows + 99) / 100
	}
	for _, db := range []database{mysqlShop{servers.MySQL(t)}, postgresShop{servers.Postgres(t)}} {
		loaded := 0
		if err := db.load(t.Context(), tables, func(n int) { loaded = n }); err != nil {
			t.Fatal(err)
		}
		if loaded != rowCount(tables) {
			t.Errorf("%s has %d rows, want %d", db.dialect().name, loaded, rowCount(tables))
		}
		var tr traffic
		if err := tr.run(t.Context(), db, 400, time.Second); err != nil {
			t.Fatal(err)
		}
		if tr.transactions.Load() != 400 || !tr.altered.Load() {
			t.Errorf("%s ran %d transactions, altered: %v; want 400 and an ALTER TABLE", db.dialect().name, tr.transactions.Load(), tr.altered.Load())
		}
		w := newStopwatch()
		if err := w.insert(t.Context(), db, 100, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if got := w.missing(); len(got) != 10 {
			t.Errorf("%s committed %d probes, want 10", db.dialect().name, len(got))
		}
	}
}

func TestShopping_MakesEveryKindOfStatement(t *testing.T) {
	t.Parallel()
	s := &shopping{traffic: &traffic{}, r: rand.New(rand.NewPCG(1, 1)), d: postgresDialect, order: orders, customer: customers, review: reviews, withLoyal: true}
	var all []string
	for range 2000 {
		all = append(all, s.next()...)
	}
	text := strings.Join(all, "\n")
	for _, kind := range []string{"INSERT INTO orders", "UPDATE orders", "DELETE FROM orders", "SET line_no", "SET loyalty_points", "INSERT INTO customers", "DELETE FROM reviews", "INSERT INTO reviews", "UPDATE products"} {
		if !strings.Contains(text, kind) {
			t.Errorf("2,000 transactions have no %s", kind)
		}
	}
}

func TestStopwatch_MeasuresFromCommitToSight(t *testing.T) {
	t.Parallel()
	w := newStopwatch()
	began := time.Now()
	for id := range int64(100) {
		w.committed[id] = began
	}
	for id := range int64(99) {
		w.saw(id, began.Add(time.Duration(id+1)*time.Millisecond))
		w.saw(id, began.Add(time.Hour)) // again: too late to count
	}
	if got := w.missing(); !slices.Equal(got, []int64{99}) {
		t.Errorf("missing = %v, want [99]", got)
	}
	l := w.latencies()
	if p50, p99 := percentile(l, 50), percentile(l, 99); p50 != 50*time.Millisecond || p99 != 99*time.Millisecond {
		t.Errorf("p50 = %v, p99 = %v; want 50ms and 99ms", p50, p99)
	}
	if percentile(nil, 99) != 0 {
		t.Error("the percentile of nothing is not 0")
	}
}

func TestEnvironment_SpellsKeysAndHidesSecrets(t *testing.T) {
	t.Parallel()
	var e environment
	e.worker("producer.compression.type", "lz4")
	e.connector("shop-mysql", "database.server.id", "1")
	e.connector("x", "a_b-c", "1")
	e.connector("x", "database.password", "hush")
	e.connector("x", "connection.uri", "mongodb://u:hush@h/?x=y")
	want := []string{
		"PENSTOCK_PRODUCER_COMPRESSION_TYPE=lz4",
		"PENSTOCK_CONNECTOR_SHOP_MYSQL__DATABASE_SERVER_ID=1",
		"PENSTOCK_CONNECTOR_X__A__B___C=1",
		"PENSTOCK_CONNECTOR_X__DATABASE_PASSWORD=…",
		"PENSTOCK_CONNECTOR_X__CONNECTION_URI=mongodb://u:…@h/?x=y",
	}
	if got := e.lines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(strings.Join(e.vars, " "), "hush") {
		t.Error("the variables themselves lack the password")
	}
}

func TestThousands_GroupsDigits(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%s) = %q, want %q", strconv.Itoa(n), got, want)
		}
	}
}

func TestTogether_EndsAllWithTheFirstError(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	err := together(t.Context(),
		func(ctx context.Context) error { <-ctx.Done(); close(ended); return nil },
		func(context.Context) error { return errDifferent },
	)
	<-ended
	if err != errDifferent { //nolint:errorlint // it must come back as it is
		t.Errorf("got %v", err)
	}
}
