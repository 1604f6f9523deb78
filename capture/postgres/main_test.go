package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 30 * time.Second

// bundle is a server with a fresh database and a connector for it.
type bundle struct {
	t      *testing.T
	server *servers.PostgresServer
	raw    map[string]string
	db     capture.Database
}

// setup takes settings as pairs of key and value.
func setup(t *testing.T, server *servers.PostgresServer, pairs ...string) *bundle {
	t.Helper()
	slot := strings.ToLower(server.Database)
	raw := map[string]string{
		"topic.prefix":      "shop",
		"database.hostname": server.Host,
		"database.port":     fmt.Sprint(server.Port),
		"database.user":     server.User,
		"database.password": server.Password,
		"database.dbname":   server.Database,
		"slot.name":         slot,
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		raw[pairs[i]] = pairs[i+1]
	}
	b := &bundle{t: t, server: server, raw: raw}
	b.db = b.open()
	return b
}

// open reads the configuration anew.
func (b *bundle) open() capture.Database {
	b.t.Helper()
	connector := postgres.Connector()
	v, problems := connector.Settings.Parse(b.raw)
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	db, problems := connector.New(v, capture.Env{Logger: slog.New(slog.DiscardHandler)})
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	return db
}

func (b *bundle) exec(sql ...string) {
	b.t.Helper()
	b.server.MustExec(b.t, sql...)
}

// stream opens the log; nil is the current position.
func (b *bundle) stream(from schema.Position) *reader {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	if from == nil {
		var err error
		if from, err = b.db.Now(ctx); err != nil {
			b.t.Fatal(err)
		}
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
		r.events = append(r.events, render(ev))
		if r.each != nil {
			r.each(ev)
		}
	}
	if r.batch.End != nil {
		r.end = r.batch.End
	}
	return nil
}

// take reads until there are n events and returns them.
func (r *reader) take(n int) []string {
	r.t.Helper()
	for len(r.events) < n {
		if err := r.next(); err != nil {
			r.t.Fatalf("after %d of %d events: %v\n%s", len(r.events), n, err, strings.Join(r.events, "\n"))
		}
	}
	got := r.events[:n]
	r.events = r.events[n:]
	return got
}

func (r *reader) want(lines ...string) {
	r.t.Helper()
	got := r.take(len(lines))
	for i := range lines {
		if got[i] != lines[i] {
			r.t.Errorf("event %d:\n got %s\nwant %s", i, got[i], lines[i])
		}
	}
}

func (r *reader) close() {
	if r.closed {
		return
	}
	r.closed = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	if err := r.src.Close(ctx); err != nil {
		r.t.Logf("close: %v", err)
	}
}

// render writes an event as "c public.t {id:1 v:"a"} before {…}".
func render(ev *schema.Event) string {
	if ev.Op == schema.OpRecord {
		return fmt.Sprintf("record %s %#v", ev.Record.Topic, ev.Record.Value.Value)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%c %s", ev.Op, ev.Table.Path())
	row := func(name string, r schema.Row) {
		if r == nil {
			return
		}
		b.WriteString(name + "{")
		for i, v := range r {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s:%#v", ev.Table.Columns[i].Name, v)
		}
		b.WriteByte('}')
	}
	row(" ", ev.After)
	row(" before ", ev.Before)
	return b.String()
}

// scalar returns the one value of a query as text.
func (b *bundle) scalar(sql string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	conn, err := pgconn.Connect(ctx, b.server.URL())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	result := conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if result.Err != nil || len(result.Rows) != 1 {
		b.t.Fatalf("%s: %d rows, %v", sql, len(result.Rows), result.Err)
	}
	return string(result.Rows[0][0])
}
