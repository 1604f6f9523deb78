package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// The tables of both databases. One has a key of one column and enough rows
// for several chunks and a snapshot that lasts; the other a key of two.
const (
	ordersRows = 30_000
	itemsRows  = 5_000
)

// load changes both tables without end, in transactions of one to twenty
// statements: inserts, updates, deletes, changes of the key.
type load struct {
	db      *sql.DB
	dialect dialect
	commits atomic.Int64
	retries atomic.Int64 // transactions lost to a server that was down
}

// dialect is what differs between the two databases.
type dialect struct {
	name, driver string
	create       []string
	placeholder  func(n int) string
}

var mysqlDialect = dialect{
	name: "MySQL", driver: "mysql",
	create: []string{
		`CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(40) NOT NULL, amount DECIMAL(10,2) NOT NULL, note TEXT, placed DATETIME(6) NOT NULL, paid TINYINT(1) NOT NULL)`,
		`CREATE TABLE items (order_id BIGINT, line INT, sku VARCHAR(30) NOT NULL, qty INT NOT NULL, price DOUBLE, PRIMARY KEY (order_id, line))`,
	},
	placeholder: func(int) string { return "?" },
}

var postgresDialect = dialect{
	name: "Postgres", driver: "pgx",
	create: []string{
		`CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(40) NOT NULL, amount NUMERIC(10,2) NOT NULL, note TEXT, placed TIMESTAMP(6) NOT NULL, paid BOOLEAN NOT NULL)`,
		`CREATE TABLE items (order_id BIGINT, line INT, sku VARCHAR(30) NOT NULL, qty INT NOT NULL, price DOUBLE PRECISION, PRIMARY KEY (order_id, line))`,
	},
	placeholder: func(n int) string { return fmt.Sprintf("$%d", n) },
}

// sql writes a statement with the dialect's placeholders for each "?".
func (d dialect) sql(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString(d.placeholder(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

func newLoad(t *testing.T, d dialect, dsn string) *load {
	t.Helper()
	db, err := sql.Open(d.driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &load{db: db, dialect: d}
	ctx := t.Context()
	for _, s := range d.create {
		if _, err := db.ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	l.fill(ctx, t, "INSERT INTO orders (id, customer, amount, note, placed, paid) VALUES ", ordersRows, func(id int) []any { return order(rnd, int64(id)) })
	l.fill(ctx, t, "INSERT INTO items (order_id, line, sku, qty, price) VALUES ", itemsRows, func(n int) []any { return item(rnd, int64(n/5), n%5) })
	return l
}

func order(rnd *rand.Rand, id int64) []any {
	var note any
	if rnd.IntN(5) > 0 {
		note = strings.Repeat("ä note ", rnd.IntN(12)) + fmt.Sprint(rnd.IntN(1000))
	}
	return []any{
		id, fmt.Sprintf("customer %d", rnd.IntN(5000)), fmt.Sprintf("%d.%02d", rnd.IntN(100000), rnd.IntN(100)), note,
		time.Unix(1_700_000_000+rnd.Int64N(40_000_000), 1000*rnd.Int64N(1_000_000)).UTC().Format("2006-01-02 15:04:05.000000"), rnd.IntN(2) == 0,
	}
}

func item(rnd *rand.Rand, order int64, line int) []any {
	return []any{order, line, fmt.Sprintf("sku-%d", rnd.IntN(900)), rnd.IntN(50), float64(rnd.IntN(100000)) / 8}
}

func (l *load) fill(ctx context.Context, t *testing.T, insert string, n int, row func(int) []any) {
	t.Helper()
	const per = 500
	for from := 0; from < n; from += per {
		var b strings.Builder
		var args []any
		b.WriteString(insert)
		for i := from; i < min(n, from+per); i++ {
			r := row(i)
			if i > from {
				b.WriteByte(',')
			}
			b.WriteString("(" + strings.TrimSuffix(strings.Repeat("?,", len(r)), ",") + ")")
			args = append(args, r...)
		}
		if _, err := l.db.ExecContext(ctx, l.dialect.sql(b.String()), args...); err != nil {
			t.Fatalf("%s: %v", l.dialect.name, err)
		}
	}
}

// run writes until ctx ends, about rate transactions a second. A transaction
// that fails since the server is being restarted is given up and another one
// begun.
func (l *load) run(ctx context.Context, seed uint64, rate int) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.transaction(ctx, rnd); err != nil {
			l.retries.Add(1)
		} else {
			l.commits.Add(1)
		}
	}
}

func (l *load) transaction(ctx context.Context, rnd *rand.Rand) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for range 1 + rnd.IntN(1+rnd.IntN(20)) {
		if err := l.statement(ctx, tx, rnd); err != nil {
			return fmt.Errorf("%w (%w)", err, tx.Rollback())
		}
	}
	if rnd.IntN(20) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (l *load) statement(ctx context.Context, tx *sql.Tx, rnd *rand.Rand) error {
	id := rnd.Int64N(ordersRows * 11 / 10)
	exec := func(text string, args ...any) error {
		_, err := tx.ExecContext(ctx, l.dialect.sql(text), args...)
		return err
	}
	switch rnd.IntN(8) {
	case 0, 1, 2:
		o := order(rnd, id)
		return exec("UPDATE orders SET customer=?, amount=?, note=?, placed=?, paid=? WHERE id=?", append(o[1:], o[0])...)
	case 3:
		return exec("DELETE FROM orders WHERE id=?", id)
	case 4:
		// Deleted first, so that the insert cannot meet a row of the key.
		if err := exec("DELETE FROM orders WHERE id=?", id); err != nil {
			return err
		}
		return exec("INSERT INTO orders (id, customer, amount, note, placed, paid) VALUES (?,?,?,?,?,?)", order(rnd, id)...)
	case 5: // a change of the key
		to := rnd.Int64N(ordersRows * 11 / 10)
		if err := exec("DELETE FROM orders WHERE id=?", to); err != nil || to == id {
			return err
		}
		return exec("UPDATE orders SET id=? WHERE id=?", to, id)
	case 6:
		return exec("UPDATE items SET qty=qty+1, price=NULL WHERE order_id=?", rnd.Int64N(itemsRows/5))
	default:
		n := rnd.IntN(itemsRows)
		if err := exec("DELETE FROM items WHERE order_id=? AND line=?", n/5, n%5); err != nil {
			return err
		}
		return exec("INSERT INTO items (order_id, line, sku, qty, price) VALUES (?,?,?,?,?)", item(rnd, int64(n/5), n%5)...)
	}
}

// under runs f while the loads write, and returns when they have stopped.
func under(ctx context.Context, rate int, loads []*load, f func()) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i, l := range loads {
		wg.Go(func() { l.run(ctx, uint64(i)+7, rate) })
	}
	f()
	stop()
	wg.Wait()
}
