package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

func (b *bundle) restore(at schema.Position) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	return b.db.(capture.Restorer).Restore(ctx, at)
}

// A history that is lost or damaged is made anew where the log tells that the
// definitions are still those of the position.
func TestRestore(t *testing.T) {
	t.Parallel()
	for name, maria := range map[string]bool{"mysql": false, "mariadb": true} {
		for damage, spoil := range map[string]func(*journal){
			"lost":                func(j *journal) { j.records = nil },
			"damaged":             func(j *journal) { j.records[len(j.records)-1] = []byte(`{"source":{"ser`) },
			"without a beginning": func(j *journal) { j.records = j.records[len(j.records)-1:] },
		} {
			t.Run(name+", "+damage, func(t *testing.T) {
				t.Parallel()
				b := setup(t, withoutMetadata(t, maria), "table.include.list", ".*\\.t|.*\\.made", "schema.history.internal.store.only.captured.tables.ddl", "false")
				b.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE other (id int PRIMARY KEY)")
				start := b.now()
				b.exec("INSERT INTO t VALUES (1, 10)", "CREATE TABLE made (id int PRIMARY KEY, m int)", "INSERT INTO made VALUES (2, 20)",
					"ALTER TABLE other ADD COLUMN x int", "DROP TABLE other")
				spoil(b.journal)
				if damage != "without a beginning" { // which shows only with a row of a table that is missing
					if err := b.failure(start); !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "snapshot.mode=recovery") {
						t.Fatalf("error %v", err)
					}
				}
				if err := b.restore(start); err != nil {
					t.Fatal(err)
				}
				equal(t, b.stream(start).until(2), `t c id=1 a=10`, `made c id=2 m=20`)
				before := len(b.journal.records)
				if err := b.restore(start); err != nil || len(b.journal.records) != before {
					t.Errorf("a history that is whole is written again: %v", err)
				}
			})
		}
	}
}

// What was altered since, nobody knows.
func TestRestore_AlteredSince(t *testing.T) {
	t.Parallel()
	b := setup(t, withoutMetadata(t, false))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
	start := b.now()
	b.exec("INSERT INTO t VALUES (1, 10)", "ALTER TABLE t DROP COLUMN a")
	b.journal.records = nil
	err := b.restore(start)
	if !errors.Is(err, capture.ErrPositionLost) || !capture.IsPermanent(err) || !strings.Contains(err.Error(), b.server.Database+".t was altered") {
		t.Errorf("error %v", err)
	}
	if len(b.journal.records) > 0 {
		t.Errorf("%d records are written nevertheless", len(b.journal.records))
	}
}

func withoutMetadata(t *testing.T, maria bool) *servers.MySQLServer {
	t.Helper()
	if maria {
		return servers.MariaDB(t, servers.Config("binlog_row_metadata=MINIMAL"))
	}
	return servers.MySQL(t, servers.Config("binlog_row_metadata=MINIMAL"))
}
