package mysql_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 40 * time.Second

// journal is the in-memory twin of a topic with the schema history. It
// outlives the connections to it, as a topic does.
type journal struct {
	mu      sync.Mutex
	records [][]byte
}

func (j *journal) Append(_ context.Context, records ...[]byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		j.records = append(j.records, bytes.Clone(r))
	}
	return nil
}

func (j *journal) Replay(_ context.Context, f func([]byte) error) error {
	j.mu.Lock()
	records := slices.Clone(j.records)
	j.mu.Unlock()
	for _, r := range records {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) Close() error { return nil }

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(bytes.Join(j.records, []byte("\n")))
}

var serverIDs atomic.Uint32

// bundle is a server with a fresh database and a connector for it.
type bundle struct {
	t       *testing.T
	server  *servers.MySQLServer
	raw     map[string]string
	mariaDB bool
	journal *journal
	db      capture.Database
}

// setup takes settings as pairs of key and value.
func setup(t *testing.T, server *servers.MySQLServer, pairs ...string) *bundle {
	t.Helper()
	b := &bundle{t: t, server: server, mariaDB: strings.Contains(strings.ToLower(server.Version), "mariadb"), journal: &journal{}}
	b.raw = map[string]string{
		"topic.prefix":          "shop",
		"database.hostname":     server.Host,
		"database.port":         fmt.Sprint(server.Port),
		"database.user":         server.User,
		"database.password":     server.Password,
		"database.server.id":    fmt.Sprint(70000 + serverIDs.Add(1)),
		"database.include.list": server.Database,
		// Those of all databases of a shared server would come.
		"include.schema.changes": "false",
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		b.raw[pairs[i]] = pairs[i+1]
	}
	b.db = b.open()
	return b
}

// open reads the configuration anew.
func (b *bundle) open() capture.Database {
	b.t.Helper()
	connector := mysql.Connector()
	if b.mariaDB {
		connector = mysql.MariaDB()
	}
	v, problems := connector.Settings.Parse(b.raw)
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	env := capture.Env{Logger: slog.New(slog.DiscardHandler)}
	if b.journal != nil {
		env.Journal = func(context.Context, string, map[string]string) (capture.Journal, error) { return b.journal, nil }
	}
	db, problems := connector.New(v, env)
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	return db
}

func (b *bundle) exec(sql ...string) {
	b.t.Helper()
	b.server.MustExec(b.t, sql...)
}

// session is a connection of its own, for what one session has to do in steps.
type session struct {
	t    *testing.T
	conn *client.Conn
}

func (b *bundle) session() *session {
	b.t.Helper()
	c, err := client.Connect(b.server.Addr(), b.server.User, b.server.Password, b.server.Database)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() }) // some tests close it themselves
	return &session{t: b.t, conn: c}
}

func (s *session) exec(sql ...string) {
	s.t.Helper()
	if err := s.try(sql...); err != nil {
		s.t.Fatal(err)
	}
}

// try is exec for other goroutines than the test's.
func (s *session) try(sql ...string) error {
	for _, q := range sql {
		r, err := s.conn.Execute(q)
		if err != nil {
			return fmt.Errorf("%.200s: %w", q, err)
		}
		r.Close()
	}
	return nil
}

// value returns a column of a statement's first row, empty if there is none.
func (s *session) value(sql string, column int) string {
	s.t.Helper()
	r, err := s.conn.Execute(sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	defer r.Close()
	if r.RowNumber() == 0 {
		return ""
	}
	text, err := r.GetString(0, column)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return strings.Clone(text) // the result is used again
}

// now returns the log's current position.
func (b *bundle) now() schema.Position {
	b.t.Helper()
	p, err := b.db.Now(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// stream opens the log; nil is the current position.
func (b *bundle) stream(from schema.Position) *reader {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	if from == nil {
		from = b.now()
	}
	src, err := b.db.Open(ctx, from)
	if err != nil {
		b.t.Fatal(err)
	}
	r := &reader{t: b.t, ctx: ctx, src: src, end: from}
	b.t.Cleanup(r.close)
	return r
}

// reader drives a source and keeps what it read as text.
type reader struct {
	t      *testing.T
	ctx    context.Context
	src    capture.Source
	batch  schema.Batch
	end    schema.Position
	ends   []schema.Position
	counts []int // of events, at each of the ends
	events []string
	each   func(ev *schema.Event) // may be nil
	closed bool
}

// next reads one batch.
func (r *reader) next() error {
	r.batch.Reset()
	if err := r.src.Next(r.ctx, &r.batch); err != nil {
		return err
	}
	for i := range r.batch.Events {
		ev := &r.batch.Events[i]
		if r.each != nil {
			r.each(ev)
		}
		r.events = append(r.events, render(ev))
	}
	if r.batch.End != nil {
		r.end = r.batch.End
		r.ends, r.counts = append(r.ends, r.batch.End), append(r.counts, len(r.events))
	}
	return nil
}

// until reads until there are so many events.
func (r *reader) until(n int) []string {
	r.t.Helper()
	for len(r.events) < n {
		if err := r.next(); err != nil {
			r.t.Fatalf("after %d of %d events: %v", len(r.events), n, err)
		}
	}
	return r.events
}

// untilError reads until it fails.
func (r *reader) untilError() error {
	r.t.Helper()
	for {
		if err := r.next(); err != nil {
			if r.ctx.Err() != nil {
				r.t.Fatalf("no error came in time; events: %s", strings.Join(r.events, "\n"))
			}
			return err
		}
	}
}

func (r *reader) close() {
	if r.closed {
		return
	}
	r.closed = true
	if err := r.src.Close(context.Background()); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

// render shows an event as "table op before -> after".
func render(ev *schema.Event) string {
	if ev.Table == nil {
		return "record " + ev.Record.Topic
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %c", ev.Table.Name, ev.Op)
	row := func(row schema.Row) {
		for i, v := range row {
			fmt.Fprintf(&b, " %s=%#v", ev.Table.Columns[i].Name, v)
		}
	}
	if ev.Before != nil {
		row(ev.Before)
	}
	if ev.Before != nil && ev.After != nil {
		b.WriteString(" ->")
	}
	if ev.After != nil {
		row(ev.After)
	}
	return b.String()
}

// equal compares texts line by line.
func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	differ := 0
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			if differ++; differ > 5 {
				t.Errorf("and more: %d lines instead of %d", len(got), len(want))
				return
			}
			// From shortly before the first difference on.
			at := 0
			for at < min(len(g), len(w)) && g[at] == w[at] {
				at++
			}
			at = max(0, at-100)
			t.Errorf("%d, from %d on:\n got %.500s\nwant %.500s", i, at, g[at:], w[at:])
		}
	}
}

// snapshot copies all tables with n sessions, each chunk after the other, and
// returns the rows as text and the position.
func (b *bundle) snapshot(n int) ([]string, schema.Position) {
	b.t.Helper()
	var lines []string
	p := b.scan(n, func(ev *schema.Event) { lines = append(lines, render(ev)) })
	return lines, p
}

func (b *bundle) scan(n int, each func(ev *schema.Event)) schema.Position {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	s := b.db.Scanner()
	defer func() {
		if err := s.Close(ctx); err != nil {
			b.t.Errorf("close the scanner: %v", err)
		}
	}()
	view, err := s.Begin(ctx, n, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	turn := 0
	for _, table := range view.Tables {
		bounds := append(append([]string{""}, table.Bounds...), "")
		for i := range len(bounds) - 1 {
			readChunk(b.t, ctx, view.Sessions[turn%n], table.Table, bounds[i], bounds[i+1], each)
			turn++
		}
	}
	return view.Position
}

func readChunk(t *testing.T, ctx context.Context, s capture.Session, table *schema.Table, lower, upper string, each func(ev *schema.Event)) {
	t.Helper()
	rows, err := s.Scan(ctx, table, lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	var batch schema.Batch
	for {
		batch.Reset()
		done, err := rows.Next(ctx, &batch)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch.Events {
			each(&batch.Events[i])
		}
		if done {
			break
		}
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

// configure returns the problems of a configuration.
func configure(raw map[string]string) settings.Problems {
	connector := mysql.Connector()
	v, problems := connector.Settings.Parse(raw)
	if problems.Err() != nil {
		return problems
	}
	_, problems = connector.New(v, capture.Env{})
	return problems
}
