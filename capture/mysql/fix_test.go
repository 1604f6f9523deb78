package mysql_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// stall makes a server hold every transaction between the log and the engine:
// it is in the log, but nobody sees its rows. It is semi-synchronous
// replication, which waits there for a replica that does not come. The
// returned function lets all go on.
func (b *bundle) stall() (release func()) {
	b.t.Helper()
	kind, replica := "source", "replica"
	if b.mariaDB {
		kind, replica = "master", "slave"
	}
	s := b.session()
	if !b.mariaDB && s.value("SELECT COUNT(*) FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'rpl_semi_sync_source'", 0) == "0" {
		s.exec("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
	}
	s.exec(
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_wait_point = AFTER_SYNC", kind),
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_wait_no_%s = ON", kind, replica),
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_timeout = 600000", kind),
		fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_enabled = ON", kind))
	return func() { s.exec(fmt.Sprintf("SET GLOBAL rpl_semi_sync_%s_enabled = OFF", kind)) }
}

// stalled runs statements in a session of their own, waits until the server
// holds one of them, and returns what waits for their end.
func (b *bundle) stalled(sql ...string) (wait func()) {
	b.t.Helper()
	done := make(chan error, 1)
	go func() { done <- b.server.Exec(b.t.Context(), sql...) }()
	b.await("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync ACK%'")
	return func() {
		b.t.Helper()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
}

// await waits until a statement's first value is not 0.
func (b *bundle) await(sql string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if !b.until(ctx, sql) {
		b.t.Fatalf("%s stays 0", sql)
	}
}

// until is await with an end; it reports whether the value is not 0.
func (b *bundle) until(ctx context.Context, sql string) bool {
	b.t.Helper()
	s := b.session()
	for s.value(sql, 0) == "0" {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// account makes a user that may read the log and the database, with more
// rights for all (ON *.*), and has the connector use it.
func (b *bundle) account(more ...string) {
	b.t.Helper()
	user := "weak" + fmt.Sprint(serverIDs.Add(1))
	rights := append([]string{"REPLICATION SLAVE", "REPLICATION CLIENT", "SELECT"}, more...)
	b.exec("CREATE USER "+user+" IDENTIFIED BY 'weak'", "GRANT "+strings.Join(rights, ", ")+" ON *.* TO "+user)
	b.t.Cleanup(func() {
		if err := b.server.Exec(context.WithoutCancel(b.t.Context()), "DROP USER "+user); err != nil {
			b.t.Error(err)
		}
	})
	b.raw["database.user"], b.raw["database.password"] = user, "weak"
	b.db = b.open()
}

// Whatever a snapshot may or may not lock, a transaction that is in the log
// when it begins, and whose rows cannot be seen yet, is in the copy or comes
// from the log.
func TestScanner_TransactionBetweenLogAndEngine(t *testing.T) {
	t.Parallel()
	const waitsForTable = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for table metadata lock'"
	mysqlGTID := func(t *testing.T) *servers.MySQLServer { return servers.StartMySQL(t) }
	mysqlFile := func(t *testing.T) *servers.MySQLServer { return startKind(t, false, true) }
	mariaDB := func(t *testing.T) *servers.MySQLServer { return servers.StartMariaDB(t) }
	type way struct {
		name     string
		rights   []string // nil for all
		settings []string
		metadata string // FULL if empty
		waits    bool   // the beginning waits for the transaction
		exact    bool   // nothing from before it is repeated
		altered  bool   // the table, in the current file of the log
		refused  string // what the error says
	}
	for name, c := range map[string]struct {
		server func(t *testing.T) *servers.MySQLServer
		ways   []way
	}{
		"MySQL with GTIDs": {mysqlGTID, []way{
			{name: "no lock wanted", settings: []string{"snapshot.locking.mode", "none"}, exact: true},
			{name: "no lock permitted", rights: []string{}, exact: true},
			{name: "no lock in time", settings: []string{"snapshot.lock.timeout.ms", "1000"}, exact: true},
			{name: "read by file", settings: []string{"snapshot.locking.mode", "none", "gtid.ignore.on.recovery", "true"}},
		}},
		"MySQL without": {mysqlFile, []way{
			{name: "no lock wanted", settings: []string{"snapshot.locking.mode", "none"}},
			{name: "no lock permitted", rights: []string{}},
			{name: "no lock in time", settings: []string{"snapshot.lock.timeout.ms", "1000"}},
			{name: "table locks permitted", rights: []string{"LOCK TABLES"}, metadata: "MINIMAL", waits: true, exact: true},
			{name: "neither, but definitions have not changed", rights: []string{}, metadata: "MINIMAL"},
			{name: "metadata, and definitions have changed", rights: []string{}, altered: true},
			{name: "neither locks nor metadata", rights: []string{}, metadata: "MINIMAL", altered: true, refused: "binlog_row_metadata = FULL"},
			{name: "neither wanted", settings: []string{"snapshot.locking.mode", "none"}, metadata: "MINIMAL", altered: true, refused: "snapshot.locking.mode=minimal"},
			{name: "neither in time", settings: []string{"snapshot.lock.timeout.ms", "1000"}, metadata: "MINIMAL", altered: true, refused: "snapshot.lock.timeout.ms"},
		}},
		"MariaDB": {mariaDB, []way{
			{name: "no lock wanted", settings: []string{"snapshot.locking.mode", "none"}, exact: true},
			{name: "no lock permitted", rights: []string{}, metadata: "MINIMAL", exact: true},
			{name: "no lock in time", settings: []string{"snapshot.lock.timeout.ms", "1000"}, exact: true},
			{name: "read by file", settings: []string{"snapshot.locking.mode", "none", "gtid.ignore.on.recovery", "true"}, exact: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := c.server(t)
			for i, w := range c.ways {
				t.Run(w.name, func(t *testing.T) {
					table := fmt.Sprintf("t%d", i)
					b := setup(t, server, append(w.settings, "table.include.list", server.Database+"."+table)...)
					b.exec("CREATE TABLE "+table+" (id int PRIMARY KEY)", "INSERT INTO "+table+" VALUES (1)")
					if w.metadata == "" {
						w.metadata = "FULL"
					}
					b.exec("SET GLOBAL binlog_row_metadata = " + w.metadata)
					if w.rights != nil {
						b.account(w.rights...)
					}
					if w.altered {
						b.exec("FLUSH BINARY LOGS", "ALTER TABLE "+table+" COMMENT 'altered'")
					}
					release := b.stall()
					finish := b.stalled("INSERT INTO " + table + " VALUES (2)")
					waited := make(chan bool, 1)
					begun, stop := context.WithCancel(t.Context())
					go func() {
						seen := w.waits && b.until(begun, waitsForTable)
						if seen {
							release()
						}
						waited <- seen
					}()
					view, copied, err := b.copy(table)
					stop()
					if <-waited != w.waits {
						t.Errorf("it has not waited for the transaction")
					}
					release()
					finish()
					if w.refused != "" {
						if err == nil || !strings.Contains(err.Error(), w.refused) || capture.IsPermanent(err) == (w.name == "neither in time") {
							t.Errorf("error %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					b.exec("INSERT INTO " + table + " VALUES (3)")
					want := newState()
					setup(t, server, "table.include.list", server.Database+"."+table).scan(1, want.apply)
					// Also for a reader who goes by file and position alone.
					byFile := gtidsOfPosition.ReplaceAll(view, nil)
					for _, from := range []schema.Position{byFile, view} {
						got := newState()
						maps.Copy(got.rows, copied.rows)
						r := b.stream(from)
						r.each = got.apply
						for !strings.Contains(strings.Join(r.events, "\n"), "id=3") {
							if err := r.next(); err != nil {
								t.Fatal(err)
							}
						}
						got.differences(t, want)
						if w.exact && string(from) == string(view) && len(r.events) > 2 {
							t.Errorf("events from before the snapshot: %v", r.events)
						}
						r.close()
					}
				})
			}
		})
	}
}

// copy copies one table with two sessions.
func (b *bundle) copy(table string) (schema.Position, *state, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	s := b.db.Scanner()
	defer func() {
		if err := s.Close(ctx); err != nil {
			b.t.Errorf("close the scanner: %v", err)
		}
	}()
	view, err := s.Begin(ctx, 2, nil)
	if err != nil {
		return nil, nil, err
	}
	copied := newState()
	for _, scan := range view.Tables {
		if scan.Table.Name == table {
			readChunk(b.t, ctx, view.Sessions[1], scan.Table, "", "", copied.apply)
		}
	}
	return view.Position, copied, nil
}
