package mysql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
)

// metadataServers are a server that logs definitions and one that does not.
func metadataServers(t *testing.T, f func(t *testing.T, server *servers.MySQLServer)) {
	t.Helper()
	t.Run("FULL", func(t *testing.T) {
		t.Parallel()
		f(t, servers.MySQL(t))
	})
	t.Run("MINIMAL", func(t *testing.T) {
		t.Parallel()
		f(t, servers.MySQL(t, servers.Config("binlog_row_metadata=MINIMAL")))
	})
	t.Run("MariaDB, NO_LOG", func(t *testing.T) {
		t.Parallel()
		f(t, servers.MariaDB(t, servers.Config("binlog-row-metadata=NO_LOG")))
	})
}

// alterations change a table between rows in ways that only the right
// definition at each place can tell apart.
var alterations = []struct{ sql, event string }{
	{"INSERT INTO t VALUES (1, 'a', 1)", `t c id=1 a="a" b=1`},
	{"ALTER TABLE t ADD COLUMN c decimal(10,2) DEFAULT 1.5 AFTER id", ""},
	{"INSERT INTO t VALUES (2, 2.5, 'b', 2)", `t c id=2 c="2.50" a="b" b=2`},
	{"ALTER TABLE t DROP COLUMN a", ""},
	{"INSERT INTO t VALUES (3, 3.5, 3)", `t c id=3 c="3.50" b=3`},
	{"ALTER TABLE t MODIFY b bigint unsigned NOT NULL", ""},
	{"INSERT INTO t VALUES (4, 4.5, 5000000000)", `t c id=4 c="4.50" b=5000000000`},
	{"ALTER TABLE t CHANGE b bb varchar(30) CHARACTER SET latin1 COMMENT 'was b', ADD COLUMN e enum('p','q') FIRST", ""},
	{"INSERT INTO t VALUES ('q', 5, 5.5, 'é')", `t c e="q" id=5 c="5.50" bb="é"`},
	{"ALTER TABLE t MODIFY e enum('p','q','r')", ""},
	{"INSERT INTO t VALUES ('r', 6, 6.5, 'x')", `t c e="r" id=6 c="6.50" bb="x"`},
	{"ALTER TABLE t RENAME COLUMN bb TO cc, RENAME COLUMN c TO bb", ""},
	{"INSERT INTO t (id, bb, cc) VALUES (7, 7.5, 'y')", `t c e=null id=7 bb="7.50" cc="y"`},
	{"CREATE TABLE t_new LIKE t", ""},
	{"ALTER TABLE t_new ADD COLUMN z int, DROP COLUMN e", ""},
	{"INSERT INTO t_new SELECT id, bb, cc, 1 FROM t WHERE id = 1", `t_new c id=1 bb="1.50" cc="1" z=1`},
	{"RENAME TABLE t TO t_old, t_new TO t", ""},
	{"INSERT INTO t VALUES (8, 8.5, 'swapped', 2)", `t c id=8 bb="8.50" cc="swapped" z=2`},
	{"INSERT INTO t_old (id) VALUES (9)", ``},
	{"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, cc)", ""},
	{"UPDATE t SET z = 3 WHERE id = 8", `t u id=8 bb="8.50" cc="swapped" z=2 -> id=8 bb="8.50" cc="swapped" z=3`},
	{"DROP TABLE t_old", ""},
}

func TestDefinitions_AreThoseOfTheirPlaceInTheLog(t *testing.T) {
	t.Parallel()
	metadataServers(t, func(t *testing.T, server *servers.MySQLServer) {
		db := server.Database
		b := setup(t, server, "table.include.list", db+".t,"+db+".t_new")
		b.exec("CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b int)")
		start := b.now()
		var statements, want []string
		for _, a := range alterations {
			statements = append(statements, a.sql)
			if a.event != "" {
				want = append(want, a.event)
			}
		}
		// All of it happens while nobody reads.
		b.exec(append([]string{"SET NAMES utf8mb4", "SET sql_mode = ''"}, statements...)...)
		r := b.stream(start)
		r.batch.MaxEvents = 1
		equal(t, r.until(len(want)), want...)
		r.close()
		// From each place in between, the definitions are found again.
		for i, end := range r.ends {
			if r.counts[i] == len(want) {
				break
			}
			again := b.stream(end)
			equal(t, again.until(len(want)-r.counts[i]), want[r.counts[i]:]...)
			again.close()
		}
	})
}

func TestDefinitions_ChangeWhileReading(t *testing.T) {
	t.Parallel()
	metadataServers(t, func(t *testing.T, server *servers.MySQLServer) {
		db := server.Database
		b := setup(t, server, "table.include.list", db+".t,"+db+".t_new")
		b.exec("CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b int)")
		r := b.stream(nil)
		n := 0
		for _, a := range alterations {
			b.exec("SET NAMES utf8mb4", "SET sql_mode = ''", a.sql)
			if a.event != "" {
				n++
				if got := r.until(n)[n-1]; got != a.event {
					t.Fatalf("after %s:\n got %s\nwant %s", a.sql, got, a.event)
				}
			}
		}
	})
}

func TestDefinitions_FullMetadataNeedsNoHistory(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b int unsigned, e enum('x','y'), d decimal(4,1))")
	start := b.now()
	b.exec("INSERT INTO t VALUES (1, 'a', 4000000000, 'y', 1.5)", "ALTER TABLE t DROP COLUMN a", "DELETE FROM t")
	b.journal = nil
	b.db = b.open()
	equal(t, b.stream(start).until(2), `t c id=1 a="a" b=4000000000 e="y" d="1.5"`, `t d id=1 b=4000000000 e="y" d="1.5"`)
}

func TestDefinitions_WithoutHistoryAndMetadataAreLost(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t, servers.Config("binlog_row_metadata=MINIMAL")))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)")
	start := b.now()
	b.journal.records = nil
	_, err := b.db.Open(t.Context(), start)
	if !errors.Is(err, capture.ErrPositionLost) || !capture.IsPermanent(err) {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "snapshot.mode=recovery") {
		t.Errorf("no remedy in %v", err)
	}
}

func TestDefinitions_UnloggedAlterationStops(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t, servers.Config("binlog_row_metadata=MINIMAL")))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
	r := b.stream(nil)
	b.exec("SET sql_log_bin = 0", "ALTER TABLE t ADD COLUMN b varchar(10) FIRST", "SET sql_log_bin = 1", "INSERT INTO t VALUES ('b', 1, 1)")
	err := r.untilError()
	if !capture.IsPermanent(err) || !strings.Contains(err.Error(), b.server.Database+".t") || !strings.Contains(err.Error(), "SQL_LOG_BIN") {
		t.Errorf("error %v", err)
	}
}
