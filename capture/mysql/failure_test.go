package mysql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
)

func TestSource_PurgedLogIsLoud(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]servers.Option{
		"GTID":              {servers.Config("max_connections=150")},
		"file and position": {servers.Config("gtid_mode=OFF", "enforce_gtid_consistency=OFF", "max_connections=150")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.StartMySQL(t, opts...))
			b.exec("CREATE DATABASE purged", "CREATE TABLE purged.t (id int PRIMARY KEY)")
			b.raw["database.include.list"] = "purged"
			b.db = b.open()
			start := b.now()
			b.exec("INSERT INTO purged.t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO purged.t VALUES (2)", "FLUSH BINARY LOGS",
				"PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
			_, err := b.db.Open(t.Context(), start)
			if !errors.Is(err, capture.ErrPositionLost) || !capture.IsPermanent(err) {
				t.Fatalf("error %v", err)
			}
			for _, want := range []string{"purged", "snapshot.mode=when_needed", "binlog_expire_logs_seconds"} {
				if name == "GTID" || want != "purged" {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("no %q in %v", want, err)
					}
				}
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
