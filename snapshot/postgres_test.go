package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/snapshot"
)

// patience bounds every wait of a test on a real server.
const patience = 60 * time.Second

// pipeline is a connector on a real server, run as the supervisor runs it:
// whatever error ends it, it is opened again from the saved position, unless
// the error is permanent.
type pipeline struct {
	t      *testing.T
	ctx    context.Context
	server *servers.PostgresServer
	slot   string
	open   capture.Opener
	src    capture.Source
	saved  schema.Position
	reads  int            // rows copied
	state  map[string]int // id → v of table t, whose rows are not deleted
	starts int
}

// newPipeline starts a server that keeps hardly any log for slots.
func newPipeline(t *testing.T, opts ...servers.Option) *pipeline {
	t.Helper()
	server := servers.StartPostgres(t, append(opts, servers.Config("max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB"))...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &pipeline{t: t, ctx: ctx, server: server, slot: "it"}
	t.Cleanup(p.stop)
	return p
}

// begin starts anew: table t (id, v) with the rows 1 to 100, and no slot.
func (p *pipeline) begin(t *testing.T, mode snapshot.Mode, more ...string) {
	t.Helper()
	p.stop()
	p.t, p.saved, p.state, p.starts, p.reads = t, nil, map[string]int{}, 0, 0
	p.exec(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`, `DROP TABLE IF EXISTS t`,
		`CREATE TABLE t (id int PRIMARY KEY, v int)`, `INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g`)
	p.in(mode, more...)
}

// in reads the configuration anew, with another snapshot.mode and more
// settings as pairs of key and value.
func (p *pipeline) in(mode snapshot.Mode, more ...string) {
	p.t.Helper()
	connector := postgres.Connector()
	raw := map[string]string{
		"topic.prefix": "p", "database.hostname": p.server.Host, "database.port": fmt.Sprint(p.server.Port), "database.user": p.server.User,
		"database.password": p.server.Password, "database.dbname": p.server.Database, "slot.name": p.slot, "snapshot.mode": string(mode),
	}
	for i := 0; i+1 < len(more); i += 2 {
		raw[more[i]] = more[i+1]
	}
	v, problems := connector.Settings.Parse(raw)
	if err := problems.Err(); err != nil {
		p.t.Fatal(err)
	}
	db, problems := connector.New(v, capture.Env{Logger: quiet})
	if err := problems.Err(); err != nil {
		p.t.Fatal(err)
	}
	c := snapshot.Configured(v)
	c.Name, c.Logger = "it", quiet
	p.open = snapshot.Wrap(db, c)
}

func (p *pipeline) exec(sql ...string) {
	p.t.Helper()
	p.server.MustExec(p.t, sql...)
}

// scalar returns the one value of a query as text.
func (p *pipeline) scalar(sql string) string {
	p.t.Helper()
	conn, err := pgconn.Connect(p.ctx, p.server.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close(p.ctx) }()
	result := conn.ExecParams(p.ctx, sql, nil, nil, nil, nil).Read()
	if result.Err != nil || len(result.Rows) != 1 {
		p.t.Fatalf("%s: %d rows, %v", sql, len(result.Rows), result.Err)
	}
	return string(result.Rows[0][0])
}

func (p *pipeline) stop() {
	if p.src == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 10*time.Second)
	defer cancel()
	if err := p.src.Close(ctx); err != nil {
		p.t.Logf("close: %v", err)
	}
	p.src = nil
}

// step reads one batch and saves its position. It returns only errors that
// would end the task.
func (p *pipeline) step() error {
	err := p.try()
	if err == nil {
		return nil
	}
	p.stop()
	if capture.IsPermanent(err) || errors.Is(err, capture.ErrPositionLost) {
		return err
	}
	if p.starts > 100 {
		p.t.Fatalf("the task is opened again and again: %v", err)
	}
	select {
	case <-p.ctx.Done():
		p.t.Fatalf("it did not end in time: %v", err)
	case <-time.After(50 * time.Millisecond): // the supervisor's backoff
	}
	return nil
}

func (p *pipeline) try() (err error) {
	if p.src == nil {
		p.starts++
		if p.src, err = p.open(p.ctx, p.saved); err != nil {
			p.src = nil
			return err
		}
	}
	var b schema.Batch
	if err := p.src.Next(p.ctx, &b); err != nil {
		return err
	}
	for i := range b.Events {
		ev := &b.Events[i]
		if ev.Op == schema.OpRead {
			p.reads++
		}
		p.state[strconv.FormatInt(ev.After[0].Int(), 10)] = int(ev.After[1].Int())
	}
	if b.End == nil {
		return nil
	}
	p.saved = b.End
	return p.src.Confirm(p.ctx, p.saved)
}

// until steps until a condition holds.
func (p *pipeline) until(what string, holds func() bool) {
	p.t.Helper()
	for !holds() {
		if err := p.step(); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (p *pipeline) sees(id string, v int) func() bool {
	return func() bool { got, ok := p.state[id]; return ok && got == v }
}

// loseSlot writes to the table and has the server remove the log of it.
func (p *pipeline) loseSlot() {
	p.t.Helper()
	for range 5 { // fill segments, so that the slot's is removed
		p.exec(`UPDATE t SET v = v + 1`, `SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	for p.scalar(`SELECT wal_status FROM pg_replication_slots WHERE slot_name = '`+p.slot+`'`) != "lost" {
		p.exec(`SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
}

var postgresVersions = []string{"15", "18"}

// loss is a way to lose a log, and the text of the saved position when it
// happens.
type loss struct {
	name, at string
	stopped  bool
	lose     func(*pipeline)
}

func (p *pipeline) dropSlot() {
	p.exec(`UPDATE t SET v = v + 5`, `SELECT pg_drop_replication_slot('`+p.slot+`')`)
}

func (p *pipeline) advanceSlot() {
	p.exec(`UPDATE t SET v = v + 5`, `SELECT pg_replication_slot_advance('`+p.slot+`', pg_current_wal_lsn())`)
}

func TestPostgres_WhenNeededCopiesAgain(t *testing.T) {
	t.Parallel()
	const begun, complete = `"snapshot_completed":false`, `"snapshot_completed":true`
	for _, version := range postgresVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, servers.Version(version))
			for _, c := range []loss{
				{"invalidated while streaming", complete, false, (*pipeline).loseSlot},
				{"invalidated while stopped", complete, true, (*pipeline).loseSlot},
				{"invalidated while copying", begun, false, (*pipeline).loseSlot}, // the end of the copy finds it
				{"invalidated after an interrupted copy", begun, true, (*pipeline).loseSlot},
				{"dropped by somebody", complete, true, (*pipeline).dropSlot},
				{"read by somebody", complete, true, (*pipeline).advanceSlot},
			} {
				t.Run(c.name, func(t *testing.T) {
					p.begin(t, snapshot.WhenNeeded)
					p.until("the position", func() bool { return strings.Contains(string(p.saved), c.at) })
					if c.stopped {
						p.stop()
					}
					c.lose(p)
					p.exec(`INSERT INTO t VALUES (101, 7)`)
					before := p.reads
					p.until("the second copy", func() bool { return p.sees("101", 7)() && p.sees("100", 5)() })
					if p.reads-before < 101 {
						t.Errorf("%d rows were copied after the loss", p.reads-before)
					}
					p.exec(`UPDATE t SET v = 8 WHERE id = 101`, `INSERT INTO t VALUES (102, 9)`)
					p.until("the stream", func() bool { return p.sees("101", 8)() && p.sees("102", 9)() })
					if lost := p.scalar(`SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'`); lost != "0" {
						t.Errorf("%s invalidated slots are left", lost)
					}
				})
			}
		})
	}
}

// TestPostgres_OtherModesEndWithTheLoss: the slot stays, the error is for
// good, and it says what to do.
func TestPostgres_OtherModesEndWithTheLoss(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.begin(t, snapshot.Initial)
	p.until("the stream", func() bool { return strings.Contains(string(p.saved), `"snapshot_completed":true`) })
	p.loseSlot()
	fails := func(what string) {
		t.Helper()
		var err error
		for err == nil {
			err = p.step()
		}
		if !capture.IsPermanent(err) || !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "snapshot.mode=when_needed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	fails("streaming")
	fails("opened again")
	p.saved = nil
	for _, mode := range []snapshot.Mode{snapshot.Initial, snapshot.NoData, snapshot.Always, snapshot.InitialOnly} {
		p.in(mode)
		fails(string(mode))
	}
	// A slot that this connector could not have made is none of its business
	// under when_needed either.
	p.exec(`SELECT pg_drop_replication_slot('`+p.slot+`')`, `SELECT pg_create_logical_replication_slot('`+p.slot+`', 'test_decoding')`)
	p.loseSlot()
	p.in(snapshot.WhenNeeded)
	if err := p.step(); !capture.IsPermanent(err) || !strings.Contains(err.Error(), "test_decoding") {
		t.Errorf("got %v", err)
	}
	if left := p.scalar(`SELECT count(*) FROM pg_replication_slots WHERE slot_name = '` + p.slot + `'`); left != "1" {
		t.Errorf("the slot was dropped")
	}
}

// TestPostgres_ConfigurationBased streams from the first start on, copies only
// once the log is lost, and streams again.
func TestPostgres_ConfigurationBased(t *testing.T) {
	t.Parallel()
	const based = "snapshot.mode.configuration.based."
	p := newPipeline(t)
	p.begin(t, snapshot.ConfigurationBased, based+"start.stream", "true", based+"snapshot.on.data.error", "true")
	if err := p.step(); err != nil {
		t.Fatal(err)
	}
	p.exec(`UPDATE t SET v = 1 WHERE id = 1`)
	p.until("the stream", p.sees("1", 1))
	p.until("a position", func() bool { return p.saved != nil })
	if p.reads > 0 {
		t.Errorf("%d rows were copied at the first start", p.reads)
	}
	p.loseSlot()
	p.exec(`INSERT INTO t VALUES (101, 7)`)
	p.until("the copy", p.sees("101", 7))
	if p.reads < 101 {
		t.Errorf("%d rows were copied after the loss", p.reads)
	}
	p.exec(`UPDATE t SET v = 8 WHERE id = 101`)
	p.until("the stream after the copy", p.sees("101", 8))
}
