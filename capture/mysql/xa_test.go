package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// xaKinds are servers with a test's own, since a prepared transaction concerns
// every snapshot of a server.
var xaKinds = map[string]func(t *testing.T) *servers.MySQLServer{
	"MySQL":             func(t *testing.T) *servers.MySQLServer { return servers.StartMySQL(t) },
	"file and position": func(t *testing.T) *servers.MySQLServer { return startKind(t, false, true) },
	"compressed": func(t *testing.T) *servers.MySQLServer {
		return servers.StartMySQL(t, servers.Config("binlog_transaction_compression=ON"))
	},
	"MariaDB": func(t *testing.T) *servers.MySQLServer { return servers.StartMariaDB(t) },
	"MariaDB, compressed": func(t *testing.T) *servers.MySQLServer {
		return servers.StartMariaDB(t, servers.Config("log-bin-compress=ON", "log-bin-compress-min-len=10"))
	},
}

// prepareXA are the statements of an XA transaction up to its preparation.
func prepareXA(xid string, sql ...string) []string {
	return append(append([]string{"XA START " + xid}, sql...), "XA END "+xid, "XA PREPARE "+xid)
}

func (s *session) xa(xid string, sql ...string) {
	s.t.Helper()
	s.exec(prepareXA(xid, sql...)...)
}

func TestSource_XA(t *testing.T) {
	t.Parallel()
	for name, server := range xaKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, server(t))
			b.exec("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE other (id int PRIMARY KEY)")
			for _, c := range []struct {
				name string
				run  func(b *bundle)
			}{
				{"commit", xaCommit},
				{"source block", xaSource},
				{"rollback", xaRollback},
				{"one phase", xaOnePhase},
				{"names", xaNames},
				{"several at a time", xaSeveral},
				{"restart", xaRestart},
				{"not known", xaUnknown},
				{"resumes at every end", func(b *bundle) { xaResumes(b, "a", 20, "XA PREPARE 'big'", "XA COMMIT 'big'") }},
				{"resumes in one phase", func(b *bundle) { xaResumes(b, "b", 20, "XA COMMIT 'big' ONE PHASE") }},
				{"a small one resumes", func(b *bundle) { xaResumes(b, "c", 1, "XA PREPARE 'big'", "XA COMMIT 'big'") }},
			} {
				t.Run(c.name, func(t *testing.T) {
					b := *b
					b.t = t
					b.rollBack()
					b.exec("DELETE FROM t", "DELETE FROM other")
					c.run(&b)
				})
			}
			t.Run("server restart", func(t *testing.T) {
				b := *b
				b.t = t
				xaServerRestart(&b)
			})
			t.Run("purged", func(t *testing.T) {
				b := *b
				b.t = t
				xaPurged(&b)
			})
		})
	}
}

// Rows come when they are committed, and not before.
func xaCommit(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.xa("'a'", "INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'c' WHERE id = 2", "INSERT INTO other VALUES (5)")
	b.exec("INSERT INTO other VALUES (1)")
	equal(b.t, r.until(1), "other c id=1")
	s.exec("XA COMMIT 'a'", "INSERT INTO other VALUES (2)")
	equal(b.t, r.until(6), "other c id=1", `t c id=1 v="a"`, `t c id=2 v="b"`, `t u id=2 v="b" -> id=2 v="c"`, "other c id=5", "other c id=2")
}

// The source block is that of the commit, and no two rows have the same place.
func xaSource(b *bundle) {
	var blocks []string
	for _, end := range [][]string{{"XA PREPARE 'a'", "INSERT INTO other VALUES (1)", "XA COMMIT 'a'"}, {"XA COMMIT 'a' ONE PHASE"}} {
		r := b.stream(nil)
		places, commits := map[string]bool{}, map[string]bool{}
		r.each = func(ev *schema.Event) {
			if ev.Table.Name != "t" {
				return
			}
			text := map[string]string{}
			for i, f := range ev.Table.Source.Fields {
				text[f.Name] = fmt.Sprintf("%#v", ev.Source[i])
			}
			places[text["file"]+text["pos"]+" "+text["row"]] = true
			commits[text["gtid"]+" "+text["ts_us"]+" "+text["file"]+text["pos"]] = true
			blocks = append(blocks, text["row"])
		}
		s, other := b.session(), b.session()
		s.exec("XA START 'a'", "INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (3, 'c')", "XA END 'a'")
		for _, sql := range end {
			if strings.HasPrefix(sql, "XA") {
				s.exec(sql)
			} else {
				other.exec(sql)
			}
		}
		s.exec("INSERT INTO other VALUES (9)")
		for len(r.events) == 0 || r.events[len(r.events)-1] != "other c id=9" {
			if err := r.next(); err != nil {
				b.t.Fatal(err)
			}
		}
		if len(places) != 3 {
			b.t.Errorf("%d places of 3 rows: %v", len(places), places)
		}
		// MariaDB logs one phase as any other transaction.
		if len(commits) != 1 && !(b.mariaDB && len(end) == 1) {
			b.t.Errorf("%d commits: %v", len(commits), commits)
		}
		r.close()
		s.exec("DELETE FROM t", "DELETE FROM other")
	}
}

func xaRollback(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.xa("'a'", "INSERT INTO t VALUES (1, 'a')")
	s.exec("XA ROLLBACK 'a'", "XA START 'b'", "INSERT INTO t VALUES (2, 'a')", "XA END 'b'", "XA ROLLBACK 'b'", "INSERT INTO other VALUES (1)")
	equal(b.t, r.until(1), "other c id=1")
	if strings.Contains(string(r.end), "penstock_xa") {
		b.t.Errorf("still prepared: %s", r.end)
	}
}

func xaOnePhase(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.exec("XA START 'a'", "INSERT INTO t VALUES (1, 'a')", "XA END 'a'", "XA COMMIT 'a' ONE PHASE", "INSERT INTO other VALUES (1)")
	equal(b.t, r.until(2), `t c id=1 v="a"`, "other c id=1")
	if strings.Contains(string(r.end), "penstock_xa") {
		b.t.Errorf("still prepared: %s", r.end)
	}
}

func xaNames(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	for i, xid := range []string{"'a','b',7", `X'00ff27','\\',0`, "'" + strings.Repeat("g", 64) + "','" + strings.Repeat("b", 64) + "',2147483647"} {
		s.xa(xid, fmt.Sprintf("INSERT INTO other VALUES (%d)", i))
		s.exec("XA COMMIT " + xid)
	}
	equal(b.t, r.until(3), "other c id=0", "other c id=1", "other c id=2")
}

func xaSeveral(b *bundle) {
	r := b.stream(nil)
	var sessions []*session
	for i := range 4 {
		s := b.session()
		s.xa(fmt.Sprintf("'s%d'", i), fmt.Sprintf("INSERT INTO other VALUES (%d)", i))
		sessions = append(sessions, s)
	}
	sessions[2].exec("XA COMMIT 's2'")
	sessions[1].exec("XA ROLLBACK 's1'")
	sessions[3].exec("XA COMMIT 's3'")
	sessions[0].exec("XA COMMIT 's0'")
	equal(b.t, r.until(3), "other c id=2", "other c id=3", "other c id=0")
}

// A prepared transaction is part of the position.
func xaRestart(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.xa("'a'", "INSERT INTO t VALUES (1, 'a')")
	s2 := b.session()
	s2.xa("'b'", "INSERT INTO t VALUES (2, 'b')")
	b.exec("INSERT INTO other VALUES (1)")
	r.until(1)
	r.close()
	r = b.stream(r.end)
	s.exec("XA COMMIT 'a'")
	equal(b.t, r.until(1), `t c id=1 v="a"`)
	r.close()
	r = b.stream(r.end)
	b.exec("FLUSH BINARY LOGS")
	s2.exec("XA ROLLBACK 'b'", "INSERT INTO other VALUES (2)")
	equal(b.t, r.until(1), "other c id=2")
	if strings.Contains(string(r.end), "penstock_xa") {
		b.t.Errorf("still prepared: %s", r.end)
	}
	// After a failover the file has another name.
	if strings.Contains(string(r.end), `"gtids"`) {
		s.xa("'c'", "INSERT INTO t VALUES (3, 'c')")
		b.exec("INSERT INTO other VALUES (3)")
		r.until(2)
		r.close()
		moved := strings.Replace(string(r.end), `{\"xid\":\"X'63',X'',1\",\"file\":\"`, `{\"xid\":\"X'63',X'',1\",\"file\":\"elsewhere-`, 1)
		if moved == string(r.end) {
			b.t.Fatalf("no file in %s", r.end)
		}
		r = b.stream(schema.Position(moved))
		s.exec("XA COMMIT 'c'")
		equal(b.t, r.until(1), `t c id=3 v="c"`)
	}
}

func xaUnknown(b *bundle) {
	s := b.session()
	start := b.now()
	s.xa("'lost'", "INSERT INTO t VALUES (1, 'a')")
	r := b.stream(start)
	b.exec("INSERT INTO other VALUES (1)")
	r.until(1)
	r.close()
	from := string(r.end)
	at := strings.Index(from, `,"penstock_xa"`)
	if at < 0 {
		b.t.Fatalf("nothing prepared in %s", from)
	}
	r = b.stream(schema.Position(from[:at] + "}"))
	s.exec("XA COMMIT 'lost'")
	isLost(b.t, r.untilError(), "X'6c6f7374',X'',1")
	if len(r.events) > 0 {
		b.t.Errorf("events %v", r.events)
	}
}

// From each End on comes exactly what was not handed out before.
func xaResumes(b *bundle, xid string, statements int, end ...string) {
	const rows = 9
	big := func(sql string) string { return strings.ReplaceAll(sql, "big", "big"+xid) }
	start := b.now()
	sql := []string{"INSERT INTO other VALUES (1)", big("XA START 'big'")}
	for i := range statements { // 64 KiB each
		var values []string
		for j := range rows - 1 {
			values = append(values, fmt.Sprintf("(%d, repeat('x', 8000))", 100+i*rows+j))
		}
		sql = append(sql, "INSERT INTO t VALUES "+strings.Join(values, ","), fmt.Sprintf("INSERT INTO other VALUES (%d)", 1000+i))
	}
	sql = append(sql, big("XA END 'big'"))
	for _, e := range end {
		sql = append(sql, big(e))
	}
	b.exec(append(sql, "INSERT INTO other VALUES (2)")...)

	// The places of rows are the same in every reading.
	placed := func(r *reader, events int) *reader {
		r.batch.MaxEvents = events
		r.each = func(ev *schema.Event) {
			for i, f := range ev.Table.Source.Fields {
				if f.Name == "pos" || f.Name == "row" {
					r.events = append(r.events, fmt.Sprintf("%s=%#v", f.Name, ev.Source[i]))
				}
			}
		}
		return r
	}
	total := (statements*rows + 2) * 3 // each event, its pos and its row
	whole := placed(b.stream(start), total/3/3+3)
	want := whole.until(total)
	if want[2] != "other c id=1" || want[total-1] != "other c id=2" {
		b.t.Fatalf("first %s, last %s", want[2], want[total-1])
	}
	whole.close()
	for i, from := range whole.ends {
		at := whole.counts[i]
		if at == total {
			break
		}
		r := placed(b.stream(from), total/3/4+1)
		equal(b.t, r.until(total-at), want[at:]...)
		r.close()
		if first := r.counts[0]; first < total-at { // stopped again, where it was read again
			r = placed(b.stream(r.ends[0]), 0)
			equal(b.t, r.until(total-at-first), want[at+first:]...)
			r.close()
		}
	}
}

// A server numbers tables anew after a restart.
func xaServerRestart(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.xa("'a'", "INSERT INTO t VALUES (71000, 'a')")
	b.exec("INSERT INTO other VALUES (71000)")
	r.until(1)
	r.close()
	if err := b.server.Kill(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if err := b.server.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.exec("INSERT INTO other VALUES (71001)")
	r = b.stream(r.end)
	b.exec("XA COMMIT 'a'", "INSERT INTO other VALUES (71002)")
	equal(b.t, r.until(3), "other c id=71001", `t c id=71000 v="a"`, "other c id=71002")
}

func xaPurged(b *bundle) {
	r := b.stream(nil)
	s := b.session()
	s.xa("'purged'", "INSERT INTO t VALUES (72000, 'a')")
	b.exec("INSERT INTO other VALUES (72000)", "FLUSH BINARY LOGS", "INSERT INTO other VALUES (72001)")
	r.until(2)
	r.close()
	b.purge()
	r = b.stream(r.end)
	s.exec("XA COMMIT 'purged'")
	isLost(b.t, r.untilError(), "X'707572676564',X'',1")
}
