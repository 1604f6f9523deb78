package mysql_test

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

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// state folds events into the rows of tables.
type state struct {
	mu   sync.Mutex
	rows map[string]string // by table and key
}

func newState() *state { return &state{rows: map[string]string{}} }

func (s *state) apply(ev *schema.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := func(row schema.Row) string { return fmt.Sprintf("%s %#v", ev.Table.Name, row[ev.Table.Key[0]]) }
	if ev.Before != nil {
		delete(s.rows, key(ev.Before))
	}
	if ev.After != nil {
		s.rows[key(ev.After)] = fmt.Sprintf("%#v", ev.After)
	}
}

// differences compares with another state.
func (s *state) differences(t *testing.T, want *state) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want.rows)) {
		if s.rows[k] != want.rows[k] {
			t.Fatalf("%s is %q, want %q", k, s.rows[k], want.rows[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.rows)) {
		if _, ok := want.rows[k]; !ok {
			t.Fatalf("%s is there, and should not be", k)
		}
	}
}

func TestScanner_CopyAndStreamConverge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mariaDB  bool
		rows     int // from 200,000 on, a table is cut into chunks
		settings []string
	}{
		"with lock":             {rows: 210_000},
		"without lock":          {rows: 20_000, settings: []string{"snapshot.locking.mode", "none"}},
		"MariaDB with lock":     {rows: 20_000, mariaDB: true},
		"MariaDB, without lock": {rows: 20_000, mariaDB: true, settings: []string{"snapshot.locking.mode", "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server *servers.MySQLServer
			if c.mariaDB {
				server = servers.MariaDB(t)
			} else {
				server = servers.MySQL(t)
			}
			b := setup(t, server, c.settings...)
			fill := []string{
				"CREATE TABLE big (id bigint PRIMARY KEY, v int, w varchar(20))", "CREATE TABLE small (id varchar(10) PRIMARY KEY, v int)",
				"INSERT INTO small VALUES ('a', 1), ('b', 2)", "INSERT INTO big VALUES (1, 1, 'w')",
			}
			for n := 1; n < c.rows; n *= 2 {
				fill = append(fill, fmt.Sprintf("INSERT INTO big SELECT id + %d, v, w FROM big", n))
			}
			b.exec(append(fill, "ANALYZE TABLE big")...)

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stop := make(chan struct{})
			writers := make(chan error, 1)
			go func() {
				var err error
				for i := 0; err == nil; i++ {
					select {
					case <-stop:
						writers <- server.Exec(ctx, "INSERT INTO small VALUES ('end', 0)")
						return
					default:
					}
					err = server.Exec(ctx,
						fmt.Sprintf("UPDATE big SET v = %d WHERE id BETWEEN %d AND %d", i, i*997%c.rows, i*997%c.rows+3),
						"UPDATE small SET v = v + 1",
						fmt.Sprintf("DELETE FROM big WHERE id = %d", i*7+5),
						fmt.Sprintf("INSERT INTO big VALUES (%d, %d, 'new')", 1_000_000+i, i))
				}
				writers <- err
			}()

			s := b.db.Scanner()
			view, err := s.Begin(ctx, 3, nil)
			if err != nil {
				t.Fatal(err)
			}
			copied := newState()
			type chunk struct {
				table        *schema.Table
				lower, upper string
			}
			chunks := make(chan chunk, 100)
			for _, scan := range view.Tables {
				if scan.Table.Name == "big" && c.rows > 200_000 && len(scan.Bounds) < 1 {
					t.Errorf("%d bounds for %d rows", len(scan.Bounds), scan.Rows)
				}
				bounds := append(append([]string{""}, scan.Bounds...), "")
				for i := range len(bounds) - 1 {
					chunks <- chunk{scan.Table, bounds[i], bounds[i+1]}
				}
			}
			close(chunks)
			var wg sync.WaitGroup
			for _, session := range view.Sessions {
				wg.Go(func() {
					for c := range chunks {
						readChunk(t, ctx, session, c.table, c.lower, c.upper, copied.apply)
					}
				})
			}
			wg.Wait()
			close(stop)
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
			if err := <-writers; err != nil {
				t.Fatal(err)
			}
			r := b.stream(view.Position)
			ended := false
			r.each = func(ev *schema.Event) {
				copied.apply(ev)
				ended = ended || strings.Contains(render(ev), `"end"`)
			}
			for !ended {
				r.events = r.events[:0]
				if err := r.next(); err != nil {
					t.Fatal(err)
				}
			}
			want := newState()
			b.scan(1, want.apply)
			copied.differences(t, want)
		})
	}
}

func TestScanner_GoesOnAfterAnInterruption(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	first := b.db.Scanner()
	view, err := first.Begin(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec("INSERT INTO t VALUES (2)")
	from := schema.Position(strings.TrimSuffix(string(view.Position), "}") + `,"snapshot":"INITIAL","chunks":["1"]}`)
	records := b.journal.text()
	second := b.db.Scanner()
	defer func() {
		if err := second.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	again, err := second.Begin(t.Context(), 1, from)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Position) != string(from) {
		t.Errorf("position %s, want %s", again.Position, from)
	}
	if b.journal.text() != records {
		t.Error("the definitions were written to the schema history again")
	}
	var rows []string
	readChunk(t, t.Context(), again.Sessions[0], again.Tables[0].Table, "", "", func(ev *schema.Event) { rows = append(rows, render(ev)) })
	equal(t, rows, "t r id=1", "t r id=2")
}

func TestScanner_ChunkWithinBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id bigint unsigned PRIMARY KEY)", "INSERT INTO t VALUES (0), (5), (10), (18446744073709551615)")
	s := b.db.Scanner()
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	view, err := s.Begin(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lower, upper string
		want         []string
	}{
		{"", "5", []string{"t r id=0"}},
		{"5", "10", []string{"t r id=5"}},
		{"10", "", []string{"t r id=10", "t r id=-1"}},
		{"9223372036854775808", "", []string{"t r id=-1"}},
	} {
		var rows []string
		readChunk(t, t.Context(), view.Sessions[0], view.Tables[0].Table, c.lower, c.upper, func(ev *schema.Event) { rows = append(rows, render(ev)) })
		equal(t, rows, c.want...)
	}
	if _, err := view.Sessions[0].Scan(t.Context(), view.Tables[0].Table, "1 OR 1=1", ""); err == nil {
		t.Error("a bound that is no number was taken")
	}
}

func TestScanner_CanBeCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	fill := []string{"CREATE TABLE t (id int PRIMARY KEY, v varchar(500))", "INSERT INTO t VALUES (1, repeat('x', 500))"}
	for n := 1; n < 30_000; n *= 2 {
		fill = append(fill, fmt.Sprintf("INSERT INTO t SELECT id + %d, v FROM t", n))
	}
	b.exec(fill...)
	s := b.db.Scanner()
	view, err := s.Begin(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows, err := view.Sessions[0].Scan(ctx, view.Tables[0].Table, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var batch schema.Batch
	if done, err := rows.Next(ctx, &batch); done || err != nil || len(batch.Events) == 0 {
		t.Fatalf("%v %v, %d rows", done, err, len(batch.Events))
	}
	cancel()
	deadline := time.Now().Add(patience)
	for err == nil && time.Now().Before(deadline) {
		batch.Reset()
		var done bool
		if done, err = rows.Next(ctx, &batch); done {
			t.Fatal("read to the end")
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(rows.Close(), s.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestScanner_WithoutTheRightToLock(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server)
	user := "weak" + fmt.Sprint(serverIDs.Add(1))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)",
		"CREATE USER "+user+" IDENTIFIED BY 'weak'", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO "+user,
		"GRANT SELECT ON `"+server.Database+"`.* TO "+user)
	b.raw["database.user"], b.raw["database.password"] = user, "weak"
	b.db = b.open()
	rows, end := b.snapshot(2)
	equal(t, rows, "t r id=1")
	b.exec("INSERT INTO t VALUES (2)")
	equal(t, b.stream(end).until(1), "t c id=2")
	b.exec("DROP USER " + user)
}
