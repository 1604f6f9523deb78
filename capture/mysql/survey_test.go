package mysql_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// before has the connector reach the server through a proxy that runs f before
// it passes on a statement, the first n times. Nothing else may contain the
// statement's text.
func (b *bundle) before(statement string, n int32, f func() error) {
	b.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	var wg sync.WaitGroup
	b.t.Cleanup(func() {
		_ = l.Close() // which ends the loop below
		wg.Wait()
	})
	var times atomic.Int32
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).Dial("tcp", b.server.Addr())
			if err != nil {
				_ = client.Close() // the test sees a lost connection
				continue
			}
			wg.Go(func() {
				_, _ = io.Copy(client, server) // until one side ends
				_ = client.Close()
			})
			wg.Go(func() {
				buf := make([]byte, 1<<16)
				for {
					got, err := client.Read(buf)
					if bytes.Contains(buf[:got], []byte(statement)) && times.Add(1) <= n {
						if err := f(); err != nil {
							b.t.Error(err)
						}
					}
					if _, werr := server.Write(buf[:got]); err != nil || werr != nil {
						_ = server.Close()
						return
					}
				}
			})
		}
	})
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.raw["database.hostname"], b.raw["database.port"], b.raw["database.ssl.mode"] = host, port, "disabled"
	b.db = b.open()
}

// converges copies a table, streams until the row with the id 99 comes, which
// it makes, and compares.
func (b *bundle) converges(table string) []string {
	b.t.Helper()
	position, copied, err := b.copy(table)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follows(table, position, copied)
}

func (b *bundle) follows(table string, position schema.Position, copied *state) []string {
	b.t.Helper()
	b.exec("INSERT INTO " + table + " (id) VALUES (99)")
	r := b.stream(position)
	r.each = copied.apply
	for !strings.Contains(strings.Join(r.events, "\n"), "id=99 ") {
		if err := r.next(); err != nil {
			b.t.Fatal(err)
		}
	}
	want := newState()
	b.scan(1, want.apply)
	copied.differences(b.t, want)
	return r.events
}

var lockings = map[string]struct{ mode, statement string }{
	"lock": {"minimal", "FLUSH TABLES WITH READ LOCK"},
	"none": {"none", "START TRANSACTION WITH CONSISTENT SNAPSHOT"},
}

// A table that is made while a snapshot begins is copied or comes from the log.
func TestScanner_TableIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		for lock, l := range lockings {
			t.Run(name+", "+lock, func(t *testing.T) {
				t.Parallel()
				b := setup(t, sharedKind(t, kind.mariaDB, kind.byFile), "snapshot.locking.mode", l.mode)
				b.exec("CREATE TABLE t (id int PRIMARY KEY, v varchar(10))")
				b.before(l.statement, 1, func() error {
					return b.server.Exec(t.Context(), "CREATE TABLE made (id int PRIMARY KEY, v varchar(10))", "INSERT INTO made VALUES (1, 'a')")
				})
				b.converges("made")
			})
		}
	}
}

// The definitions that the stream begins with are those of the position, also
// if tables are altered while they are read.
func TestScanner_TablesAreAlteredMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statement string // without the database
		times     int32
		locking   string
		do        []string
		then      []string // after the snapshot
		want      []string // what the log brings
	}{
		"captured, without a lock": {
			"SHOW CREATE TABLE `%s`.`mine`", 2, "none",
			[]string{"INSERT INTO mine (id, v) VALUES (1@n, 'x')", "ALTER TABLE mine ADD COLUMN c@n int FIRST"},
			nil,
			[]string{"mine c c2=null c1=null id=99 v=null"},
		},
		"renamed to a captured name, without a lock": {
			"SHOW CREATE TABLE `%s`.`theirs`", 1, "none",
			[]string{"ALTER TABLE theirs RENAME COLUMN a TO b, RENAME COLUMN b TO a", "RENAME TABLE theirs TO ours"},
			[]string{"DROP TABLE mine", "RENAME TABLE ours TO mine", "INSERT INTO mine (id, b) VALUES (5, 'b')"},
			[]string{`mine c id=5 b="b" a=null`, "mine c id=99 b=null a=null"},
		},
		"renamed to a captured name, with many tables": {
			"SHOW CREATE TABLE `%s`.`theirs`", 1, "minimal",
			[]string{"ALTER TABLE theirs RENAME COLUMN a TO b, RENAME COLUMN b TO a", "RENAME TABLE theirs TO ours"},
			[]string{"DROP TABLE mine", "RENAME TABLE ours TO mine", "INSERT INTO mine (id, b) VALUES (5, 'b')"},
			[]string{`mine c id=5 b="b" a=null`, "mine c id=99 b=null a=null"},
		},
		"made and dropped all the time": {
			"SHOW CREATE TABLE `%s`.`theirs`", 100, "none",
			[]string{"CREATE TABLE tmp@n (id int)", "DROP TABLE tmp@n", "CREATE TABLE stays@n (id int)"},
			nil,
			[]string{"mine c id=99 v=null"},
		},
	} {
		for _, mariaDB := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, MariaDB=%v", name, mariaDB), func(t *testing.T) {
				t.Parallel()
				server := servers.MySQL
				if mariaDB {
					server = servers.MariaDB
				}
				s := server(t, servers.Config("binlog_row_metadata=MINIMAL"))
				b := setup(t, s, "snapshot.locking.mode", c.locking, "table.include.list", s.Database+".mine")
				b.exec("CREATE TABLE mine (id int PRIMARY KEY, v varchar(10))", "INSERT INTO mine VALUES (1, 'a')",
					"CREATE TABLE theirs (id int PRIMARY KEY, a varchar(10), b varchar(10))")
				if strings.Contains(name, "many") {
					var many []string
					for i := range 110 {
						many = append(many, fmt.Sprintf("CREATE TABLE many%d (id int)", i))
					}
					b.exec(many...)
				}
				n := 0
				b.before(fmt.Sprintf(c.statement, s.Database), c.times, func() error {
					n++
					var sql []string
					for _, q := range c.do {
						sql = append(sql, strings.ReplaceAll(q, "@n", fmt.Sprint(n)))
					}
					return b.server.Exec(t.Context(), sql...)
				})
				position, copied, err := b.copy("mine")
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 || n > 2 {
					t.Errorf("%d tries", n)
				}
				b.exec(c.then...)
				b.exec("INSERT INTO mine (id) VALUES (99)")
				r := b.stream(position)
				r.each = copied.apply
				equal(t, r.until(len(c.want)), c.want...)
			})
		}
	}
}

// A table that is altered each time is an error that passes.
func TestScanner_GivesUpWhileTablesAreAltered(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server, "snapshot.locking.mode", "none")
	b.exec("CREATE TABLE t (id int PRIMARY KEY)")
	n := 0
	b.before("SHOW CREATE TABLE `"+server.Database+"`.`t`", 100, func() error {
		n++
		return b.server.Exec(t.Context(), fmt.Sprintf("ALTER TABLE t ADD COLUMN c%d int", n))
	})
	_, _, err := b.copy("t")
	if err == nil || capture.IsPermanent(err) || !strings.Contains(err.Error(), server.Database+".t is altered") {
		t.Errorf("error %v after %d tries", err, n)
	}
	if n < 2 {
		t.Errorf("%d tries", n)
	}
}

func TestScanner_XA(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startKind(t, kind.mariaDB, kind.byFile)
			for lock, l := range lockings {
				for _, c := range []struct {
					name string
					run  func(b *bundle, begin string)
				}{
					{"prepared for long", xaStays},
					{"waits", xaWaits},
					{"prepared meanwhile", xaMeanwhile},
					{"not permitted to look", xaHidden},
					{"writers", xaWriters},
				} {
					t.Run(lock+", "+c.name, func(t *testing.T) {
						b := setup(t, server, "snapshot.locking.mode", l.mode)
						b.rollBack()
						b.exec("DROP TABLE IF EXISTS t, other", "FLUSH BINARY LOGS", "CREATE TABLE t (id int PRIMARY KEY, v varchar(10))", "CREATE TABLE other (id int PRIMARY KEY)")
						c.run(b, l.statement)
					})
				}
			}
		})
	}
}

// rollBack ends what a failed test has left prepared, which would make others
// wait.
func (b *bundle) rollBack() {
	b.t.Helper()
	s := b.session()
	for {
		data := s.value("XA RECOVER", 3)
		if data == "" {
			return
		}
		global := s.value("XA RECOVER", 1)
		n, err := strconv.Atoi(global)
		if err != nil {
			b.t.Fatal(err)
		}
		s.exec(fmt.Sprintf("XA ROLLBACK X'%x', X'%x', %s", data[:n], data[n:], s.value("XA RECOVER", 0)))
	}
}

// A snapshot does not begin while a transaction is prepared whose place in the
// log it does not know.
func xaStays(b *bundle, _ string) {
	b.raw["snapshot.lock.timeout.ms"] = "200"
	b.db = b.open()
	s := b.session()
	s.xa("'stays'", "INSERT INTO t VALUES (1, 'a')")
	_, _, err := b.copy("t")
	if err == nil || capture.IsPermanent(err) || !strings.Contains(err.Error(), "X'7374617973',X'',1") {
		b.t.Errorf("error %v", err)
	}
	s.exec("XA ROLLBACK 'stays'")
	b.converges("t")
}

func xaWaits(b *bundle, _ string) {
	s := b.session()
	s.xa("'waits'", "INSERT INTO t VALUES (1, 'a')")
	asked := 0
	b.before("XA RECOVER", 2, func() error {
		if asked++; asked == 2 {
			return s.try("XA COMMIT 'waits'")
		}
		return nil
	})
	b.converges("t")
	if asked != 2 {
		b.t.Errorf("it has not waited: %d", asked)
	}
}

// What is prepared after the snapshot has looked, and before its position, is
// found in the log.
func xaMeanwhile(b *bundle, begin string) {
	s, done := b.session(), b.session()
	b.before(begin, 1, func() error {
		return errors.Join(
			s.try(prepareXA("'meanwhile'", "INSERT INTO t VALUES (1, 'a')")...),
			done.try(append(prepareXA("'done'", "INSERT INTO t VALUES (2, 'b')"), "XA COMMIT 'done'")...),
			done.try(append(prepareXA("'undone'", "INSERT INTO t VALUES (3, 'c')"), "XA ROLLBACK 'undone'")...))
	})
	position, copied, err := b.copy("t")
	if err != nil {
		b.t.Fatal(err)
	}
	s.exec("XA COMMIT 'meanwhile'")
	events := strings.Join(b.follows("t", position, copied), "\n")
	if !strings.Contains(events, `t c id=1 v="a"`) {
		b.t.Errorf("events %s", events)
	}
}

// Without the right to look, what is prepared in the current file of the log is
// found all the same; what was prepared before is noticed when it is committed.
func xaHidden(b *bundle, begin string) {
	full := setup(b.t, b.server)
	b.account("RELOAD")
	s := b.session()
	if b.mariaDB { // where everybody may look
		xaMeanwhile(b, begin)
		return
	}
	s.xa("'hidden'", "INSERT INTO t VALUES (7, 'a')")
	expect(b.t, b.check(), "database.user", true, "GRANT XA_RECOVER_ADMIN")
	b.exec("FLUSH BINARY LOGS")
	position := b.now()
	s.exec("XA COMMIT 'hidden'")
	isLost(b.t, b.stream(position).untilError(), "X'68696464656e',X'',1")
	b.exec("FLUSH BINARY LOGS")
	expectNot(b.t, full.check(), "XA_RECOVER_ADMIN")
	xaMeanwhile(b, begin)
}

// Whatever is under way when a snapshot begins, copy and log converge.
func xaWriters(b *bundle, _ string) {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, 3)
	stop := make(chan struct{})
	for w := range errs {
		wg.Go(func() {
			for i := 0; errs[w] == nil; i++ {
				select {
				case <-stop:
					return
				default:
				}
				end := []string{"XA COMMIT", "XA ROLLBACK"}[i%2]
				xid := fmt.Sprintf("'w%d','%d'", w, i)
				errs[w] = b.server.Exec(ctx, "XA START "+xid, fmt.Sprintf("INSERT INTO t VALUES (%d, 'w')", 1000*(w+1)+i), "XA END "+xid, "XA PREPARE "+xid, end+" "+xid)
			}
		})
	}
	position, copied, err := b.copy("t")
	close(stop)
	wg.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		b.t.Fatal(err)
	}
	b.follows("t", position, copied)
}
