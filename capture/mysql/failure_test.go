package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// kinds are the ways in which servers name places of their log.
var kinds = map[string]struct {
	mariaDB, byFile bool
}{
	"MySQL by GTID":              {},
	"MySQL by file and position": {byFile: true},
	"MariaDB by GTID":            {mariaDB: true},
	"MariaDB by file":            {mariaDB: true, byFile: true},
}

// startKind starts a server of the test's own.
func startKind(t *testing.T, mariaDB, byFile bool) *servers.MySQLServer {
	t.Helper()
	switch {
	case mariaDB:
		return servers.StartMariaDB(t)
	case byFile:
		return servers.StartMySQL(t, servers.Config("gtid_mode=OFF", "enforce_gtid_consistency=OFF"))
	default:
		return servers.StartMySQL(t)
	}
}

// sharedKind gives a server that other tests use too.
func sharedKind(t *testing.T, mariaDB, byFile bool) *servers.MySQLServer {
	t.Helper()
	switch {
	case mariaDB:
		return servers.MariaDB(t)
	case byFile:
		return servers.MySQL(t, servers.Config("gtid_mode=OFF", "enforce_gtid_consistency=OFF"))
	default:
		return servers.MySQL(t)
	}
}

var gtidsOfPosition = regexp.MustCompile(`,"gtids":"[^"]*"`)

// failure returns the error of opening at a position or, where the server
// tells later, of reading from there.
func (b *bundle) failure(from schema.Position) error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	src, err := b.db.Open(ctx, from)
	if err != nil {
		return err
	}
	r := &reader{t: b.t, ctx: ctx, src: src}
	defer r.close()
	return r.untilError()
}

// purge has the server delete the files before the current one.
func (b *bundle) purge() {
	b.t.Helper()
	// It keeps for a moment what it has just closed.
	s := b.session()
	first := s.value("SHOW BINARY LOGS", 0)
	for deadline := time.Now().Add(patience); s.value("SHOW BINARY LOGS", 0) == first; {
		if time.Now().After(deadline) {
			b.t.Fatal("the server does not purge its log")
		}
		s.exec("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
	}
}

// isLost checks that an error says that the position is lost, and what to do.
func isLost(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, capture.ErrPositionLost) || !capture.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
	for _, want := range append(texts, "snapshot.mode=when_needed") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestSource_PurgedLogIsLoud(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, startKind(t, kind.mariaDB, kind.byFile))
			b.exec("CREATE TABLE t (id int PRIMARY KEY)")
			start := b.now()
			if kind.byFile {
				start = gtidsOfPosition.ReplaceAll(start, nil)
			}
			b.exec("INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS")
			b.purge()
			isLost(t, b.failure(start), "binlog_expire_logs_seconds")
		})
	}
}

// RESET deletes the log and begins with its first file and, MySQL, its first
// GTID again.
func TestSource_ResetLogIsLoud(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, startKind(t, kind.mariaDB, kind.byFile))
			b.exec("FLUSH BINARY LOGS", "CREATE TABLE t (id int PRIMARY KEY)")
			start := b.now()
			if kind.byFile {
				start = gtidsOfPosition.ReplaceAll(start, nil)
			}
			r := b.stream(start)
			b.exec("INSERT INTO t VALUES (1)")
			r.until(1)
			reset := "RESET BINARY LOGS AND GTIDS"
			if kind.mariaDB {
				reset = "RESET MASTER"
			}
			b.exec(reset, "INSERT INTO t VALUES (2)")
			isLost(t, r.untilError())
			isLost(t, b.failure(start))
			isLost(t, b.failure(r.end))
		})
	}
}

// A statement that has changed a table and cannot be logged leaves an incident
// in the log.
func TestSource_IncidentIsLoud(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(t *testing.T) *servers.MySQLServer{
		"MySQL": func(t *testing.T) *servers.MySQLServer {
			return servers.StartMySQL(t, servers.Config("max_binlog_stmt_cache_size=4096", "binlog_stmt_cache_size=4096"))
		},
		"MariaDB": func(t *testing.T) *servers.MySQLServer {
			return servers.StartMariaDB(t, servers.Config("max_binlog_stmt_cache_size=4096", "binlog_stmt_cache_size=4096"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, server(t))
			b.exec("CREATE TABLE t (id int PRIMARY KEY, v text) ENGINE=MyISAM")
			r := b.stream(nil)
			var values []string
			for i := range 20 {
				values = append(values, fmt.Sprintf("(%d, repeat('x', 5000))", i))
			}
			if err := b.server.Exec(t.Context(), "INSERT INTO t VALUES "+strings.Join(values, ",")); err == nil {
				t.Fatal("the server has logged more than its cache takes")
			}
			b.exec("INSERT INTO t VALUES (100, 'y')")
			isLost(t, r.untilError())
			if len(r.events) > 0 {
				t.Errorf("events after the incident: %v", r.events)
			}
		})
	}
}

func TestSource_AnotherServersPositionIsLoud(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)")
	for _, p := range []string{
		`{"file":"binlog.000001","pos":4,"gtids":"11111111-2222-3333-4444-555555555555:1-5"}`,
		`{"file":"binlog.999999","pos":4}`,
	} {
		_, err := b.db.Open(t.Context(), []byte(p))
		if !errors.Is(err, capture.ErrPositionLost) {
			t.Errorf("position %s: error %v", p, err)
		}
	}
	for _, p := range []string{`{`, `{}`, `{"file":"binlog.000001","pos":4,"event":-1}`, `{"file":"b.1","pos":4,"gtids":"nonsense"}`} {
		_, err := b.db.Open(t.Context(), []byte(p))
		if !capture.IsPermanent(err) || !strings.Contains(err.Error(), "reset the connector's offsets") {
			t.Errorf("position %s: error %v", p, err)
		}
	}
}

func TestSource_StatementFormatStops(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	db := server.Database
	b := setup(t, server, "table.include.list", db+".mine")
	b.exec("CREATE TABLE mine (id int PRIMARY KEY)", "CREATE TABLE theirs (id int PRIMARY KEY)")
	r := b.stream(nil)
	b.exec("SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO theirs VALUES (1)", "SET SESSION binlog_format = 'ROW'", "INSERT INTO mine VALUES (1)")
	equal(t, r.until(1), "mine c id=1")
	b.exec("SET SESSION binlog_format = 'STATEMENT'", "UPDATE theirs, mine SET mine.id = 2 WHERE theirs.id = mine.id")
	err := r.untilError()
	if !capture.IsPermanent(err) || !strings.Contains(err.Error(), "binlog_format = ROW") || !strings.Contains(err.Error(), db+".mine") {
		t.Errorf("error %v", err)
	}
}

func TestSource_PartialRowImages(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"MINIMAL", "NOBLOB"} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.MySQL(t, servers.Config("binlog_row_image="+image)))
			b.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text, c int)")
			r := b.stream(nil)
			b.exec("INSERT INTO t (id, a, b) VALUES (1, 1, 'x')", "UPDATE t SET a = NULL", "DELETE FROM t")
			want := map[string][]string{
				"MINIMAL": {`t c id=1 a=1 b="x" c=absent`, `t u id=1 a=absent b=absent c=absent -> id=absent a=null b=absent c=absent`, `t d id=1 a=absent b=absent c=absent`},
				"NOBLOB":  {`t c id=1 a=1 b="x" c=null`, `t u id=1 a=1 b=absent c=null -> id=1 a=null b=absent c=null`, `t d id=1 a=null b=absent c=null`},
			}
			equal(t, r.until(3), want[image]...)
		})
	}
}
