package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

func TestSource_StreamsChanges(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2))`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1, 'a', 1.5), (2, NULL, NULL)`,
		`UPDATE t SET v = 'b' WHERE id = 1`,
		`UPDATE t SET id = 3 WHERE id = 2`,
		`DELETE FROM t WHERE id = 1`,
		`TRUNCATE t`)
	r.want(
		`c public.t {id:1 v:"a" n:"1.50"}`,
		`c public.t {id:2 v:null n:null}`,
		`u public.t {id:1 v:"b" n:"1.50"}`,
		`u public.t {id:3 v:null n:null} before {id:2 v:null n:null}`,
		`d public.t before {id:1 v:null n:null}`,
		`t public.t`,
	)
}

func TestSource_FillsTheSourceBlock(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	r := b.stream(nil)
	var blocks []map[string]string
	r.each = func(ev *schema.Event) {
		block := map[string]string{}
		for i, f := range ev.Table.Source.Fields {
			block[f.Name] = fmt.Sprintf("%#v", ev.Source[i])
			if f.Const != nil && !f.Const.Equal(ev.Source[i]) {
				t.Errorf("%s is %#v although it is always %#v", f.Name, ev.Source[i], *f.Const)
			}
		}
		if ms := ev.TimeMicros / 1000; fmt.Sprint(ms) != block["ts_ms"] || time.Since(time.UnixMilli(ms)).Abs() > time.Minute {
			t.Errorf("ts_ms is %s, the commit was at %d", block["ts_ms"], ms)
		}
		blocks = append(blocks, block)
	}
	b.exec(`INSERT INTO t VALUES (1)`, `INSERT INTO t VALUES (2), (3)`)
	r.take(3)
	for _, block := range blocks {
		for name, want := range map[string]string{
			"version": `"3.6.1.Final"`, "connector": `"postgresql"`, "name": `"shop"`, "snapshot": `"false"`,
			"db": fmt.Sprintf("%q", b.server.Database), "schema": `"public"`, "table": `"t"`, "xmin": "null", "origin": "null", "origin_lsn": "null",
		} {
			if block[name] != want {
				t.Errorf("%s is %s, want %s", name, block[name], want)
			}
		}
	}
	var sequences [3][2]*string
	for i, block := range blocks {
		var text string
		if err := json.Unmarshal([]byte(block["sequence"]), &text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &sequences[i]); err != nil {
			t.Fatal(err)
		}
		if *sequences[i][1] != block["lsn"] {
			t.Errorf("sequence %s, lsn %s", text, block["lsn"])
		}
	}
	if sequences[0][0] != nil || sequences[1][0] == nil || *sequences[1][0] != *sequences[2][0] {
		t.Errorf("the end of the last commit is to be null, then one of both rows: %s %s %s", blocks[0]["sequence"], blocks[1]["sequence"], blocks[2]["sequence"])
	}
	if blocks[1]["txId"] != blocks[2]["txId"] || blocks[0]["txId"] == blocks[1]["txId"] {
		t.Errorf("txId: %s %s %s", blocks[0]["txId"], blocks[1]["txId"], blocks[2]["txId"])
	}
}

// ids returns the first column of rendered events.
func ids(events []string) []string {
	var list []string
	for _, e := range events {
		_, rest, _ := strings.Cut(e, "{id:")
		id, _, _ := strings.Cut(rest, " ")
		list = append(list, strings.TrimSuffix(id, "}"))
	}
	return list
}

func TestSource_ResumesAtEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1)`, `INSERT INTO t VALUES (2)`, `INSERT INTO t SELECT generate_series(3, 12)`, `INSERT INTO t VALUES (13)`)
	r.batch.MaxEvents = 4
	for len(r.events) < 8 { // two batches, the second ends inside the third transaction
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	seen := ids(r.events)
	r.close()
	r = b.stream(r.end)
	got := ids(r.take(11))
	if want := []string{"3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"}; !slices.Equal(got, want) {
		t.Errorf("after %v the source went on with %v, want %v", seen, got, want)
	}
	r.close()
	b.exec(`INSERT INTO t VALUES (14)`)
	if got := ids(b.stream(r.end).take(1)); got[0] != "14" {
		t.Errorf("after a whole transaction the source went on with %v", got)
	}
}

func TestSource_ConfirmsOnlyWhatItIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	r := b.stream(nil)
	before := b.confirmed()
	b.exec(`INSERT INTO t VALUES (1)`)
	r.take(1)
	for range 2 { // the commit, and an idle round
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.confirmed(); got != before {
		t.Fatalf("the slot went from %s to %s without Confirm", before, got)
	}
	if err := r.src.Confirm(t.Context(), r.end); err != nil {
		t.Fatal(err)
	}
	r.close() // sends what is not sent yet, and waits for the server
	if got := b.confirmed(); got == before {
		t.Fatalf("the slot stayed at %s after Confirm(%s)", got, r.end)
	}
	// The position that was confirmed can still be opened.
	b.exec(`INSERT INTO t VALUES (2)`)
	if got := ids(b.stream(r.end).take(1)); got[0] != "2" {
		t.Errorf("got %v", got)
	}
}

// confirmed returns the slot's confirmed_flush_lsn.
func (b *bundle) confirmed() string {
	b.t.Helper()
	return b.scalar(`SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '` + b.raw["slot.name"] + `'`)
}

func TestSource_IdleMovesOnWithOtherTablesTraffic(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"filtered", "all_tables"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), "publication.autocreate.mode", mode, "table.include.list", `public\.quiet`)
			b.exec(`CREATE TABLE quiet (id int PRIMARY KEY)`, `CREATE TABLE busy (id int PRIMARY KEY, v text)`)
			r := b.stream(nil)
			before := b.confirmed()
			b.exec(`INSERT INTO busy SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g`)
			target := b.scalar(`SELECT pg_current_wal_insert_lsn()::text`)
			for b.scalar(fmt.Sprintf(`SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = '%s'`, target, b.raw["slot.name"])) != "t" {
				if err := r.next(); err != nil {
					t.Fatalf("confirmed is %s, was %s: %v", b.confirmed(), before, err)
				}
				if len(r.events) > 0 {
					t.Fatalf("events of a table that is not captured: %v", r.events)
				}
				if err := r.src.Confirm(t.Context(), r.end); err != nil {
					t.Fatal(err)
				}
			}
			// The idle position is one to resume at.
			r.close()
			b.exec(`INSERT INTO quiet VALUES (1)`)
			if got := ids(b.stream(r.end).take(1)); got[0] != "1" {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestSource_StaysAliveWhenTheServerIsImpatient(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`, `ALTER DATABASE "`+b.server.Database+`" SET wal_sender_timeout = '1s'`)
	r := b.stream(nil)
	for begun := time.Now(); time.Since(begun) < 3*time.Second; {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(`INSERT INTO t VALUES (1)`)
	r.take(1)
}

func TestSource_NextReturnsWhenIdleAndWhenCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	r := b.stream(nil)
	begun := time.Now()
	if err := r.next(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("an idle Next took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var batch schema.Batch
	begun = time.Now()
	for {
		err := r.src.Next(ctx, &batch)
		if err == nil {
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		break
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a cancelled Next took %s", took)
	}
}

func TestSource_RefusesALostPosition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lose string
		text string
	}{
		"slot dropped":     {`SELECT pg_drop_replication_slot('%s')`, "does not exist any more"},
		"slot passed ours": {`SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())`, "was confirmed up to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t))
			b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
			from, err := b.db.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b.exec(`INSERT INTO t VALUES (1)`, fmt.Sprintf(c.lose, b.raw["slot.name"]))
			_, err = b.db.Open(t.Context(), from)
			if !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), b.raw["slot.name"]) {
				t.Errorf("got %v", err)
			}
			_, err = b.db.Scanner().Begin(t.Context(), 1, from)
			if !errors.Is(err, capture.ErrPositionLost) {
				t.Errorf("a snapshot from there: %v", err)
			}
		})
	}
}

func TestSource_RefusesAnInvalidatedSlot(t *testing.T) {
	t.Parallel()
	server := servers.StartPostgres(t, servers.Config("max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB"))
	b := setup(t, server)
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	from, err := b.db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // fill segments, so that the slot's is removed
		b.exec(`INSERT INTO t VALUES (1)`, `DELETE FROM t`, `SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	_, err = b.db.Open(t.Context(), from)
	if !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "max_slot_wal_keep_size") {
		t.Errorf("got %v", err)
	}
	wantFindings(t, b.db.Check(t.Context()), finding{key: "slot.name", text: "snapshot.mode=when_needed does both"})
	b.raw["snapshot.mode"] = "when_needed"
	wantFindings(t, b.open().Check(t.Context()), finding{key: "slot.name", text: "all tables copied again", warning: true})
}

// TestSource_TellsADamagedLogFromALostOne: copying again with a slot that the
// server believes to be good would end at the same place.
func TestSource_TellsADamagedLogFromALostOne(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.StartPostgres(t), "snapshot.mode", "when_needed")
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	from, err := b.db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	segment := b.scalar(`SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots WHERE slot_name = '` + b.raw["slot.name"] + `'`)
	for range 2 {
		b.exec(`INSERT INTO t VALUES (1)`, `DELETE FROM t`, `SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	b.exec(`COPY (SELECT) TO PROGRAM 'rm pg_wal/` + segment + `'`)
	r := b.stream(from)
	for err = nil; err == nil; {
		err = r.next()
	}
	if !capture.IsPermanent(err) || errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestSource_NamesTheProcessThatHasTheSlot(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	r := b.stream(nil)
	_, err := b.db.Open(t.Context(), r.end)
	var active *postgres.SlotActiveError
	if !errors.As(err, &active) || active.PID == "" || capture.IsPermanent(err) || errors.Is(err, capture.ErrPositionLost) {
		t.Errorf("got %v", err)
	}
}

func TestSource_SeesATableAlteredInTheMiddle(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v text)`)
	r := b.stream(nil)
	var tables []*schema.Table
	r.each = func(ev *schema.Event) {
		if n := len(tables); n == 0 || tables[n-1] != ev.Table {
			tables = append(tables, ev.Table)
		}
	}
	step := func(want string, sql ...string) {
		t.Helper()
		b.exec(sql...)
		r.want(want)
	}
	step(`c public.t {id:1 v:"a"}`, `INSERT INTO t VALUES (1, 'a')`)
	step(`c public.t {id:2 v:"b"}`, `ANALYZE t`, `CREATE INDEX ON t (v)`, `INSERT INTO t VALUES (2, 'b')`)
	if len(tables) != 1 {
		t.Errorf("an index and statistics made a new version of the table")
	}
	step(`c public.t {id:3 v:"c" w:7}`, `ALTER TABLE t ADD COLUMN w int NOT NULL DEFAULT 7`, `INSERT INTO t VALUES (3, 'c')`)
	if s := tables[len(tables)-1].Columns[2].Schema; s.Optional || s.Default == nil || s.Default.Int() != 7 {
		t.Errorf("schema of the new column: %+v", s)
	}
	step(`c public.t {id:4 w:8}`, `ALTER TABLE t DROP COLUMN v`, `INSERT INTO t VALUES (4, 8)`)
	step(`c public.t {id:5 x:9}`, `ALTER TABLE t RENAME COLUMN w TO x`, `INSERT INTO t VALUES (5, 9)`)
	step(`c public.t {id:6 x:"10"}`, `ALTER TABLE t ALTER COLUMN x TYPE text`, `INSERT INTO t VALUES (6, '10')`)
	b.exec(`BEGIN; INSERT INTO t VALUES (7, 'x'); ALTER TABLE t ADD COLUMN y int; INSERT INTO t VALUES (8, 'y', 1); COMMIT`)
	r.want(`c public.t {id:7 x:"x"}`, `c public.t {id:8 x:"y" y:1}`)
}

func TestSource_ReadsWhatWasWrittenBeforeATableChanged(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TYPE mood AS ENUM ('sad', 'ok')`,
		`CREATE TABLE altered (id int PRIMARY KEY, a text NOT NULL, b int)`,
		`CREATE TABLE dropped (id int PRIMARY KEY, m mood NOT NULL)`)
	from, err := b.db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO altered VALUES (1, 'x', 5)`, `INSERT INTO dropped VALUES (1, 'ok')`,
		`ALTER TABLE altered RENAME COLUMN a TO c`, `ALTER TABLE altered DROP COLUMN b`, `ALTER TABLE altered ALTER COLUMN id TYPE bigint`,
		`DROP TABLE dropped`, `DROP TYPE mood`, `INSERT INTO altered VALUES (2, 'y')`, `DELETE FROM altered WHERE id = 1`)
	r := b.stream(from)
	var keys []int
	r.each = func(ev *schema.Event) { keys = append(keys, ev.Table.Key...) }
	r.want(
		`c public.altered {id:1 a:"x" b:5}`,
		`c public.dropped {id:1 m:"ok"}`,
		`c public.altered {id:2 c:"y"}`,
		`d public.altered before {id:1 c:""}`,
	)
	if !slices.Equal(keys, []int{0, 0, 0, 0}) {
		t.Errorf("keys %v: each row is known by its first column", keys)
	}
}

func TestSource_ReplicaIdentities(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE f (id int PRIMARY KEY, big text, v int)`, `ALTER TABLE f ALTER big SET STORAGE EXTERNAL, REPLICA IDENTITY FULL`,
		`CREATE TABLE d (id int PRIMARY KEY, big text, v int)`, `ALTER TABLE d ALTER big SET STORAGE EXTERNAL`,
		`CREATE TABLE i (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int)`, `ALTER TABLE i REPLICA IDENTITY USING INDEX i_u_key`,
		`CREATE TABLE nokey (v int)`, `ALTER TABLE nokey REPLICA IDENTITY FULL`)
	big := strings.Repeat("x", 5000)
	for _, table := range []string{"f", "d"} {
		b.exec(`INSERT INTO ` + table + ` VALUES (1, '` + big + `', 1)`)
	}
	b.exec(`INSERT INTO i VALUES (1, 'a', 1)`, `INSERT INTO nokey VALUES (1)`)
	r := b.stream(nil)
	b.exec(`UPDATE f SET v = 2`, `UPDATE d SET v = 2`,
		`UPDATE i SET v = 2`, `UPDATE i SET u = 'b'`, `DELETE FROM i`,
		`UPDATE nokey SET v = 2`, `DELETE FROM nokey`)
	r.want(
		`u public.f {id:1 big:"`+big+`" v:2} before {id:1 big:"`+big+`" v:1}`,
		`u public.d {id:1 big:absent v:2}`,
		`u public.i {id:1 u:"a" v:2}`,
		`u public.i {id:1 u:"b" v:2} before {id:0 u:"a" v:null}`,
		`d public.i before {id:0 u:"b" v:null}`,
		`u public.nokey {v:2} before {v:1}`,
		`d public.nokey before {v:2}`,
	)
}

// TestSource_KeysByTheIdentityOfTheTime reads what was written before the
// table's replica identity or primary key changed. A delete has only what
// identified the row then, so that is its key.
func TestSource_KeysByTheIdentityOfTheTime(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE to_index (id int PRIMARY KEY, u text NOT NULL UNIQUE)`,
		`CREATE TABLE from_index (id int PRIMARY KEY, u text NOT NULL UNIQUE)`, `ALTER TABLE from_index REPLICA IDENTITY USING INDEX from_index_u_key`,
		`CREATE TABLE other_key (id int CONSTRAINT pk PRIMARY KEY, u text NOT NULL)`,
		`CREATE TABLE to_full (a int, b int, v int, PRIMARY KEY (b, a))`)
	from, err := b.db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"to_index", "from_index", "other_key"} {
		b.exec(`INSERT INTO `+table+` VALUES (1, 'a')`, `UPDATE `+table+` SET id = 2, u = 'b'`, `DELETE FROM `+table)
	}
	b.exec(`INSERT INTO to_full VALUES (1, 2, 3)`, `DELETE FROM to_full`,
		`ALTER TABLE to_index REPLICA IDENTITY USING INDEX to_index_u_key`, `ALTER TABLE from_index REPLICA IDENTITY DEFAULT`,
		`ALTER TABLE other_key DROP CONSTRAINT pk, ADD PRIMARY KEY (u)`, `ALTER TABLE to_full REPLICA IDENTITY FULL`)
	r := b.stream(from)
	r.each = func(ev *schema.Event) {
		row := ev.Before
		if row == nil {
			row = ev.After
		}
		for _, k := range ev.Table.Key {
			c := ev.Table.Columns[k]
			if c.Unlogged {
				t.Errorf("%s: the key's column %s is not in the log", ev.Table.Path(), c.Name)
			}
			r.events[len(r.events)-1] += fmt.Sprintf(" key %s:%#v", c.Name, row[k])
		}
	}
	r.want(
		`c public.to_index {id:1 u:"a"} key id:1`,
		`u public.to_index {id:2 u:"b"} before {id:1 u:""} key id:1`,
		`d public.to_index before {id:2 u:""} key id:2`,
		`c public.from_index {id:1 u:"a"} key u:"a"`,
		`u public.from_index {id:2 u:"b"} before {id:0 u:"a"} key u:"a"`,
		`d public.from_index before {id:0 u:"b"} key u:"b"`,
		`c public.other_key {id:1 u:"a"} key id:1`,
		`u public.other_key {id:2 u:"b"} before {id:1 u:""} key id:1`,
		`d public.other_key before {id:2 u:""} key id:2`,
		`c public.to_full {a:1 b:2 v:3} key b:2 key a:1`,
		`d public.to_full before {a:1 b:2 v:null} key b:2 key a:1`,
	)
}

// TestSource_TellsWhatOldRowsLack: what stands in for a column that the log
// does not have must not be taken for its value.
func TestSource_TellsWhatOldRowsLack(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE d (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int)`,
		`CREATE TABLE i (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int)`, `ALTER TABLE i REPLICA IDENTITY USING INDEX i_u_key`,
		`CREATE TABLE f (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int)`, `ALTER TABLE f REPLICA IDENTITY FULL`)
	r := b.stream(nil)
	r.each = func(ev *schema.Event) {
		for _, c := range ev.Table.Columns {
			if c.Unlogged {
				r.events[len(r.events)-1] += " -" + c.Name
			}
		}
	}
	for _, table := range []string{"d", "i", "f"} {
		b.exec(`INSERT INTO ` + table + ` VALUES (1, 'a', 5)`)
	}
	r.want(`c public.d {id:1 u:"a" v:5} -u -v`, `c public.i {id:1 u:"a" v:5} -id -v`, `c public.f {id:1 u:"a" v:5}`)
	b.exec(`ALTER TABLE d REPLICA IDENTITY FULL`, `INSERT INTO d VALUES (2, 'b', 6)`)
	r.want(`c public.d {id:2 u:"b" v:6}`)
}

func TestSource_TruncatesSeveralTables(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "table.exclude.list", `public\.secret`)
	b.exec(`CREATE TABLE a (id int PRIMARY KEY)`, `CREATE TABLE b (id int PRIMARY KEY)`, `CREATE TABLE secret (id int PRIMARY KEY)`)
	r := b.stream(nil)
	b.exec(`TRUNCATE a, secret, b`)
	got := slices.Sorted(slices.Values(r.take(2)))
	if !slices.Equal(got, []string{"t public.a", "t public.b"}) {
		t.Errorf("got %v", got)
	}
}

func TestSource_PublishesLogicalMessages(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "message.prefix.exclude.list", "private.*")
	r := b.stream(nil)
	b.exec(`SELECT pg_logical_emit_message(true, 'private-1', 'no')`,
		`SELECT pg_logical_emit_message(true, 'audit', 'in a transaction')`,
		`SELECT pg_logical_emit_message(false, 'audit', 'in none')`)
	for i, want := range []string{"in a transaction", "in none"} {
		got := r.take(1)[0]
		if !strings.HasPrefix(got, "record shop.message struct") || !strings.Contains(got, fmt.Sprintf("0x%x", want)) {
			t.Errorf("message %d: %s", i, got)
		}
	}
}

func TestSource_LeavesColumnsOut(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "column.exclude.list", `public\.t\.(ssn|id)`)
	b.exec(`CREATE TABLE t (ssn text, id int PRIMARY KEY, l line, v text)`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES ('secret', 1, '{1,2,3}', 'a')`)
	r.want(`c public.t {id:1 v:"a"}`) // the key stays
}

func TestDatabase_TwoConnectorsMakeOnePublication(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	var wg sync.WaitGroup
	for i := range 4 {
		b := setup(t, server, "slot.name", fmt.Sprintf("%s_%d", strings.ToLower(server.Database[:min(50, len(server.Database))]), i))
		wg.Go(func() {
			if _, err := b.db.Now(t.Context()); err != nil {
				t.Errorf("connector %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestDatabase_FilteredPublicationFollowsTheIncludeList(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "publication.autocreate.mode", "filtered", "table.include.list", `public\.a`)
	b.exec(`CREATE TABLE a (id int PRIMARY KEY)`, `CREATE TABLE b (id int PRIMARY KEY)`)
	r := b.stream(nil)
	b.exec(`INSERT INTO b VALUES (1)`, `INSERT INTO a VALUES (1)`)
	r.want(`c public.a {id:1}`)
	r.close()
	b.raw["table.include.list"] = `public\.a,public\.b`
	b.db = b.open()
	r = b.stream(r.end)
	b.exec(`INSERT INTO b VALUES (2)`)
	got := r.take(1)
	if got[0] == `c public.a {id:1}` {
		got = r.take(1) // its commit had not been read
	}
	if got[0] != `c public.b {id:2}` {
		t.Errorf("got %v", got)
	}
}

func TestDatabase_ForgetDropsWhatItMade(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	count := func() string {
		return b.scalar(`SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = '` + b.raw["slot.name"] + `') + (SELECT count(*) FROM pg_publication)`)
	}
	if _, err := b.db.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.db.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != "2" {
		t.Errorf("without slot.drop.on.stop: %s are left of slot and publication", got)
	}
	b.raw["slot.drop.on.stop"] = "true"
	b.db = b.open()
	for range 2 { // again is fine
		if err := b.db.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(); got != "0" {
		t.Errorf("with slot.drop.on.stop: %s are left of slot and publication", got)
	}
}

func TestDatabase_OpensAtDebeziumsOffset(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1)`)
	r.take(1)
	for range 2 {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	var ours map[string]any
	if err := json.Unmarshal(r.end, &ours); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO t VALUES (2), (3)`)
	// Inside the second transaction: after the first of its rows.
	commit := int64(ours["lsn_commit"].(float64))
	inside := fmt.Sprintf(`{"transaction_id":null,"lsn_proc":%d,"messageType":"INSERT","lsn_commit":%d,"lsn":%d,"txId":7,"ts_usec":1}`, commit+40, commit, commit+40)
	if got := ids(b.stream(schema.Position(inside)).take(2)); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("got %v", got)
	}
	if _, err := b.db.Open(t.Context(), schema.Position(`{"file":"binlog.1"}`)); !capture.IsPermanent(err) {
		t.Errorf("an offset of another source: %v", err)
	}
}

func TestDatabase_ExecutesStatements(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE beats (id int PRIMARY KEY, n int)`)
	r := b.stream(nil)
	executor, ok := b.db.(capture.Executor)
	if !ok {
		t.Fatal("the database executes nothing")
	}
	for range 2 {
		if err := executor.Execute(t.Context(), `INSERT INTO beats VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = beats.n + 1`); err != nil {
			t.Fatal(err)
		}
	}
	r.want(`c public.beats {id:1 n:1}`, `u public.beats {id:1 n:2}`)
	if err := executor.Execute(t.Context(), `INSERT INTO nowhere VALUES (1)`); err == nil {
		t.Error("no error for a table that is not there")
	}
}
