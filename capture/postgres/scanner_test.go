package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// begin opens a snapshot's view, which is closed with the test.
func (b *bundle) begin(n int, from schema.Position) *capture.View {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	sc := b.db.Scanner()
	b.t.Cleanup(func() {
		if err := sc.Close(context.WithoutCancel(ctx)); err != nil {
			b.t.Error(err)
		}
	})
	view, err := sc.Begin(ctx, n, from)
	if err != nil {
		b.t.Fatal(err)
	}
	return view
}

// copyTables reads all chunks of all tables, sessions side by side, and
// returns the rendered rows of each table.
func copyTables(t *testing.T, view *capture.View) map[string][]string {
	t.Helper()
	type chunk struct {
		table        *schema.Table
		lower, upper string
	}
	var chunks []chunk
	for _, scan := range view.Tables {
		bounds := append(append([]string{""}, scan.Bounds...), "")
		for i := range len(bounds) - 1 {
			chunks = append(chunks, chunk{scan.Table, bounds[i], bounds[i+1]})
		}
	}
	var mu sync.Mutex
	rows := map[string][]string{}
	queue := make(chan chunk, len(chunks))
	for _, c := range chunks {
		queue <- c
	}
	close(queue)
	var wg sync.WaitGroup
	for _, s := range view.Sessions {
		wg.Go(func() {
			for c := range queue {
				var own []string
				scanChunk(t, s, c.table, c.lower, c.upper, func(ev *schema.Event) { own = append(own, render(ev)) })
				mu.Lock()
				rows[c.table.Path()] = append(rows[c.table.Path()], own...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, list := range rows {
		slices.Sort(list)
	}
	return rows
}

func TestScanner_CopiesTablesInChunks(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE numbers (id bigint PRIMARY KEY, v text)`,
		`INSERT INTO numbers SELECT g, 'row '||g FROM generate_series(1, 3000) g`,
		`CREATE TABLE words (a text, b int, PRIMARY KEY (a, b))`,
		`INSERT INTO words SELECT 'it''s '||md5(g::text), g FROM generate_series(1, 3000) g`,
		`CREATE TABLE sparse (id int PRIMARY KEY)`,
		`INSERT INTO sparse SELECT g * 900000 FROM generate_series(-1100, 1100) g`,
		`CREATE TABLE keyless (v int)`, `INSERT INTO keyless SELECT generate_series(1, 1000)`,
		`CREATE TABLE nothing (id int PRIMARY KEY)`,
		`CREATE TABLE bare ()`, `INSERT INTO bare DEFAULT VALUES`,
		`ANALYZE`,
		// The planner takes them for large, and so does the scanner.
		`UPDATE pg_class SET reltuples = 450000 WHERE relname IN ('numbers', 'words', 'sparse', 'keyless')`)
	view := b.begin(3, nil)
	bounds := map[string]int{}
	for _, scan := range view.Tables {
		bounds[scan.Table.Path()] = len(scan.Bounds)
		if len(scan.Bounds) > 0 && scan.Rows != 450000 {
			t.Errorf("%s: %d rows are expected", scan.Table.Path(), scan.Rows)
		}
	}
	want := map[string]int{"public.numbers": 3, "public.words": 3, "public.sparse": 3, "public.keyless": 0, "public.nothing": 0, "public.bare": 0}
	if !maps.Equal(bounds, want) {
		t.Errorf("bounds: %v, want %v", bounds, want)
	}
	got := copyTables(t, view)
	for table, n := range map[string]int{"numbers": 3000, "words": 3000, "sparse": 2201, "keyless": 1000, "nothing": 0, "bare": 1} {
		rows := got["public."+table]
		if len(rows) != n {
			t.Errorf("%s: %d rows, want %d", table, len(rows), n)
		}
		if table != "bare" && len(slices.Compact(slices.Clone(rows))) != n {
			t.Errorf("%s: some rows came twice", table)
		}
	}
	if first := got["public.numbers"][0]; first != `r public.numbers {id:1 v:"row 1"}` {
		t.Errorf("got %s", first)
	}
}

// TestScanner_StreamGoesOnExactlyThere copies under load and then streams: the
// rows folded by key must equal the table.
func TestScanner_StreamGoesOnExactlyThere(t *testing.T) {
	t.Parallel()
	for _, resume := range []bool{false, true} {
		t.Run(fmt.Sprintf("resumed=%v", resume), func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t))
			b.exec(`CREATE TABLE t (id int PRIMARY KEY, v int)`, `INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) g`)
			stop := b.load()
			view := b.begin(2, nil)
			if resume {
				// The first attempt ends; a second one has a later view.
				view = b.begin(2, view.Position)
			}
			state := map[int64]int64{}
			for _, scan := range view.Tables {
				scanChunk(t, view.Sessions[0], scan.Table, "", "1500", func(ev *schema.Event) { state[ev.After[0].Int()] = ev.After[1].Int() })
				scanChunk(t, view.Sessions[1], scan.Table, "1500", "", func(ev *schema.Event) { state[ev.After[0].Int()] = ev.After[1].Int() })
			}
			stop()
			b.exec(`INSERT INTO t VALUES (-1, 0)`) // the end
			r := b.stream(view.Position)
			r.each = func(ev *schema.Event) {
				switch ev.Op {
				case schema.OpDelete:
					delete(state, ev.Before[0].Int())
				default:
					if !resume && ev.Op == schema.OpCreate {
						if _, twice := state[ev.After[0].Int()]; twice {
							t.Errorf("row %d was copied and then inserted", ev.After[0].Int())
						}
					}
					state[ev.After[0].Int()] = ev.After[1].Int()
				}
			}
			for _, done := state[-1]; !done; _, done = state[-1] {
				if err := r.next(); err != nil {
					t.Fatal(err)
				}
			}
			var sum int64
			for id, v := range state {
				sum += id*7919 + v*31
			}
			want := b.scalar(`SELECT count(*)||' '||sum(id::bigint*7919 + v*31) FROM t`)
			if got := fmt.Sprintf("%d %d", len(state), sum); got != want {
				t.Errorf("count and sum are %s, the table's %s", got, want)
			}
		})
	}
}

// load changes table t until the returned function is called.
func (b *bundle) load() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	conn, err := pgconn.Connect(ctx, b.server.URL())
	if err != nil {
		b.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		for i := 1; ctx.Err() == nil; i++ {
			sql := fmt.Sprintf(`INSERT INTO t VALUES (%d, 1); UPDATE t SET v = v + 1 WHERE id %% 500 = %d; DELETE FROM t WHERE id = %d`, 10000+i, i%500, i*3%3000+1)
			if err := conn.Exec(context.WithoutCancel(ctx), sql).Close(); err != nil {
				b.t.Errorf("load: %v", err)
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func TestScanner_SessionsSeeOneState(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v int)`, `INSERT INTO t SELECT g, 0 FROM generate_series(1, 1000) g`)
	stop := b.load()
	defer stop()
	view := b.begin(3, nil)
	var states [3][]string
	for i, s := range view.Sessions {
		for range 2 { // also later
			states[i] = nil
			scanChunk(t, s, view.Tables[0].Table, "", "", func(ev *schema.Event) { states[i] = append(states[i], render(ev)) })
			slices.Sort(states[i])
		}
	}
	if !slices.Equal(states[0], states[1]) || !slices.Equal(states[1], states[2]) || len(states[0]) == 0 {
		t.Errorf("sessions see %d, %d and %d rows, or different ones", len(states[0]), len(states[1]), len(states[2]))
	}
}

func TestScanner_TakesOverASlotThatWasNeverRead(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	position, err := b.db.Now(t.Context()) // makes the slot
	if err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO t VALUES (1)`)
	view := b.begin(1, nil)
	if got := copyTables(t, view)["public.t"]; len(got) != 1 {
		t.Errorf("copied %v", got)
	}
	if got := b.lsnOf(view.Position); got != b.lsnOf(position) {
		t.Errorf("the stream is to go on from %s, the slot is at %s", got, b.lsnOf(position))
	}
	if got := ids(b.stream(view.Position).take(1)); got[0] != "1" {
		t.Errorf("streamed %v", got)
	}
}

func (b *bundle) lsnOf(p schema.Position) string {
	b.t.Helper()
	return b.scalar(`SELECT '` + string(p) + `'::json->>'lsn'`)
}

func TestScanner_OrdersTables(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	b := setup(t, server, "table.include.list", `public\.z,public\.(a|b|c)`)
	b.exec(`CREATE TABLE z (id int PRIMARY KEY)`, `CREATE TABLE c (id int PRIMARY KEY)`, `CREATE TABLE a (id int PRIMARY KEY)`,
		`CREATE TABLE b (id int PRIMARY KEY)`, `CREATE TABLE unlisted (id int PRIMARY KEY)`,
		`INSERT INTO c SELECT generate_series(1, 50)`, `INSERT INTO a SELECT generate_series(1, 10)`, `ANALYZE`)
	order := func() string {
		var names []string
		for _, scan := range b.begin(1, nil).Tables {
			names = append(names, scan.Table.Name)
		}
		return strings.Join(names, "")
	}
	if got := order(); got != "zabc" {
		t.Errorf("by the include list and name: %s", got)
	}
	b.raw["snapshot.tables.order.by.row.count"] = "descending"
	b.db = b.open()
	if got := order(); got != "cazb" {
		t.Errorf("largest first: %s", got)
	}
	b.raw["snapshot.include.collection.list"] = `public\.a`
	b.db = b.open()
	if got := order(); got != "a" {
		t.Errorf("with snapshot.include.collection.list: %s", got)
	}
}

func TestScanner_PartitionedTables(t *testing.T) {
	t.Parallel()
	for viaRoot, want := range map[string]string{"true": "p", "false": "p p_eu p_us"} {
		t.Run("root="+viaRoot, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), "publish.via.partition.root", viaRoot)
			b.exec(`CREATE TABLE p (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)`,
				`CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu')`, `CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us')`,
				`INSERT INTO p VALUES (1, 'eu'), (2, 'us')`)
			view := b.begin(1, nil)
			var names []string
			for _, scan := range view.Tables {
				names = append(names, scan.Table.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("tables %s, want %s", got, want)
			}
			if got := len(copyTables(t, view)["public.p"]); got != 2 {
				t.Errorf("%d rows of the whole table", got)
			}
			b.exec(`INSERT INTO p VALUES (3, 'eu')`)
			table := map[string]string{"true": "p", "false": "p_eu"}[viaRoot]
			b.stream(view.Position).want(`c public.` + table + ` {id:3 region:"eu"}`)
		})
	}
}

func TestScanner_EndsInTheMiddle(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v text)`, `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) g`)
	view := b.begin(2, nil)
	table := view.Tables[0].Table
	var batch schema.Batch
	rows, err := view.Sessions[0].Scan(t.Context(), table, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := rows.Next(t.Context(), &batch); err != nil || done || len(batch.Events) == 0 {
		t.Fatalf("%d events, done=%v: %v", len(batch.Events), done, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	// A cancelled read ends although the server has more, or waits for a lock.
	b.lockTable("t")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	rows, err = view.Sessions[1].Scan(ctx, table, "", "")
	for done := false; err == nil && !done; {
		batch.Reset()
		done, err = rows.Next(ctx, &batch)
	}
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

// lockTable holds an exclusive lock until the end of the test.
func (b *bundle) lockTable(name string) {
	b.t.Helper()
	conn, err := pgconn.Connect(b.t.Context(), b.server.URL())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if err := conn.Exec(b.t.Context(), "BEGIN; LOCK TABLE "+name).Close(); err != nil {
		b.t.Fatal(err)
	}
}

func TestScanner_NamesTheRightThatIsMissing(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	b := setup(t, server)
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`, `INSERT INTO t VALUES (1)`)
	b.asNewUser("REPLICATION")
	b.exec(`CREATE PUBLICATION dbz_publication FOR ALL TABLES`)
	view := b.begin(1, nil)
	rows, err := view.Sessions[0].Scan(t.Context(), view.Tables[0].Table, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var batch schema.Batch
	if _, err = rows.Next(t.Context(), &batch); !capture.IsPermanent(err) || !strings.Contains(err.Error(), "GRANT SELECT ON public.t TO") {
		t.Errorf("got %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

// asNewUser makes a role with the given attributes and connects as it.
func (b *bundle) asNewUser(attributes string) {
	b.t.Helper()
	name := "u_" + strings.ToLower(b.server.Database[:min(len(b.server.Database), 50)])
	b.exec(`CREATE ROLE "` + name + `" LOGIN PASSWORD 'pw' ` + attributes)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.server.Exec(ctx, `DROP OWNED BY "`+name+`" CASCADE`, `DROP ROLE "`+name+`"`); err != nil {
			b.t.Error(err)
		}
	})
	b.raw["database.user"], b.raw["database.password"] = name, "pw"
	b.db = b.open()
}

func TestScanner_SelectOfTheUsersOwn(t *testing.T) {
	t.Parallel()
	const setting = "snapshot.select.statement.overrides"
	server := servers.Postgres(t)
	b := setup(t, server, setting, "public.orders, s.b", setting+".public.orders",
		"SELECT note, id, upper(state) AS state, 1 AS more FROM public.orders WHERE state <> 'done' -- only these;\n; ", setting+".s.b", "SELECT * FROM s.b")
	b.exec(`CREATE TABLE orders (id int PRIMARY KEY, state text, note text)`, `INSERT INTO orders VALUES (1, 'done', 'a'), (2, 'open', 'b'), (3, 'new', 'c')`,
		`CREATE TABLE plain (id int PRIMARY KEY)`, `INSERT INTO plain VALUES (1)`, `ANALYZE`,
		`UPDATE pg_class SET reltuples = 450000 WHERE relname = 'orders'`)
	got := copyTables(t, b.begin(2, nil))
	if rows := got["public.orders"]; !slices.Equal(rows, []string{`r public.orders {id:2 state:"OPEN" note:"b"}`, `r public.orders {id:3 state:"NEW" note:"c"}`}) {
		t.Errorf("got %q", rows)
	}
	if len(got["public.plain"]) != 1 {
		t.Errorf("got %q", got["public.plain"])
	}

	b = setup(t, server, setting, "public.orders", setting+".public.orders", "SELECT id FROM public.orders", "table.include.list", "public.orders")
	view := b.begin(1, nil)
	rows, err := view.Sessions[0].Scan(t.Context(), view.Tables[0].Table, "", "")
	if err == nil {
		var batch schema.Batch
		_, err = rows.Next(t.Context(), &batch)
		_ = rows.Close() // the error is above
	}
	if !capture.IsPermanent(err) || !strings.Contains(err.Error(), setting+".public.orders") {
		t.Errorf("error %v", err)
	}
}
