package mysql_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/settings"
)

// check runs Check and returns its findings.
func (b *bundle) check() settings.Problems {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	started := time.Now()
	problems := b.open().Check(ctx)
	if took := time.Since(started); took > 15*time.Second {
		b.t.Errorf("the check took %s", took)
	}
	return problems
}

// expect looks for a finding by its setting and words.
func expect(t *testing.T, problems settings.Problems, key string, warning bool, words ...string) {
	t.Helper()
	for _, p := range problems {
		if p.Key != key || p.Warning != warning {
			continue
		}
		found := true
		for _, w := range words {
			found = found && strings.Contains(p.Message, w)
		}
		if found {
			return
		}
	}
	t.Errorf("no finding for %s with %q among %+v", key, words, problems)
}

// expectNot looks that no finding has a word.
func expectNot(t *testing.T, problems settings.Problems, word string) {
	t.Helper()
	for _, p := range problems {
		if strings.Contains(p.Message, word) {
			t.Errorf("%+v", p)
		}
	}
}

func TestCheck_FindsNothingOnAGoodServer(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*servers.MySQLServer{"MySQL": servers.MySQL(t), "MariaDB": servers.MariaDB(t)} {
		b := setup(t, server)
		b.exec("CREATE TABLE t (id int PRIMARY KEY)")
		if problems := b.check(); len(problems) > 0 {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestCheck_Connection(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)")
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }() // it has no use any more
	for name, c := range map[string]struct {
		key, value string
		finding    string
		words      []string
	}{
		"wrong password": {"database.password", "wrong-secret", "database.hostname", []string{"Access denied", "CREATE USER"}},
		"no server":      {"database.port", "1", "database.hostname", []string{"Unable to connect", "connection refused"}},
		"no such host":   {"database.hostname", "no-such-host.invalid", "database.hostname", []string{"Unable to connect"}},
		"silent server":  {"database.port", fmt.Sprint(silent.Addr().(*net.TCPAddr).Port), "database.hostname", []string{"Unable to connect", "no answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := b.raw
			b := &bundle{t: t, server: b.server, raw: map[string]string{}}
			for k, v := range raw {
				b.raw[k] = v
			}
			b.raw[c.key] = c.value
			b.raw["connect.timeout.ms"] = "1000"
			problems := b.check()
			expect(t, problems, c.finding, false, c.words...)
			for _, p := range problems {
				if strings.Contains(p.Message, "secret") || strings.Contains(p.Message, ".go:") || strings.Contains(p.Message, "\n") {
					t.Errorf("the message shows a secret or a trace: %s", p.Message)
				}
			}
		})
	}
}

func TestCheck_ServerSettings(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t, servers.Config("binlog_format=STATEMENT", "binlog_row_image=MINIMAL", "binlog_row_metadata=MINIMAL",
		"binlog_row_value_options=PARTIAL_JSON", "gtid_mode=OFF", "enforce_gtid_consistency=OFF", "binlog_expire_logs_seconds=3600")))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)")
	problems := b.check()
	expect(t, problems, "database.hostname", false, "SET GLOBAL binlog_format = ROW")
	expect(t, problems, "database.hostname", true, "SET GLOBAL binlog_row_image = FULL")
	expect(t, problems, "database.hostname", true, "SET GLOBAL binlog_row_metadata = FULL")
	expect(t, problems, "database.hostname", true, "gtid_mode")
	expect(t, problems, "database.hostname", true, "SET GLOBAL binlog_expire_logs_seconds")
	if _, err := b.db.Open(t.Context(), []byte(`{"file":"binlog.000001","pos":4}`)); err == nil || !strings.Contains(err.Error(), "SET GLOBAL binlog_format = ROW") {
		t.Errorf("open: %v", err)
	}
	off := setup(t, servers.MySQL(t, servers.Config("skip-log-bin")))
	off.exec("CREATE TABLE t (id int PRIMARY KEY)")
	expect(t, off.check(), "database.hostname", false, "log_bin")
}

func TestCheck_Privileges(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server)
	user := "poor" + fmt.Sprint(serverIDs.Add(1))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE USER "+user+" IDENTIFIED BY 'poor'", "GRANT INSERT ON `"+server.Database+"`.t TO "+user)
	b.raw["database.user"], b.raw["database.password"] = user, "poor"
	problems := b.check()
	expect(t, problems, "database.user", false, "GRANT REPLICATION SLAVE ON *.* TO '"+user+"'")
	expect(t, problems, "database.user", false, "GRANT REPLICATION CLIENT ON *.* TO '"+user+"'")
	expect(t, problems, "database.user", true, "GRANT RELOAD ON *.* TO '"+user+"'")
	expect(t, problems, "database.user", false, "GRANT SELECT ON `"+server.Database+"`.`t` TO '"+user+"'")
	b.exec("GRANT REPLICATION SLAVE, REPLICATION CLIENT, FLUSH_TABLES ON *.* TO "+user, "GRANT SELECT ON `"+server.Database+"`.* TO "+user)
	if problems := b.check(); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
	b.exec("DROP USER " + user)
}

func TestCheck_Locks(t *testing.T) {
	t.Parallel()
	noGTIDs := []string{"gtid_mode=OFF", "enforce_gtid_consistency=OFF"}
	full := servers.MySQL(t, servers.Config(noGTIDs...))
	minimal := servers.MySQL(t, servers.Config(append([]string{"binlog_checksum=NONE"}, append(noGTIDs, "binlog_row_metadata=MINIMAL")...)...))
	for name, c := range map[string]struct {
		server       *servers.MySQLServer
		rights, mode string
		finding      string // empty for none
	}{
		"none wanted":                  {full, "RELOAD", "none", "published again: set snapshot.locking.mode=minimal"},
		"none permitted":               {full, "SELECT", "minimal", "published again: GRANT RELOAD"},
		"none wanted, MINIMAL":         {minimal, "RELOAD", "none", "refused"},
		"none permitted, MINIMAL":      {minimal, "SELECT", "minimal", "refused"},
		"locks on tables":              {minimal, "LOCK TABLES", "minimal", ""},
		"a lock on all":                {minimal, "RELOAD", "minimal", ""},
		"none needed: GTIDs":           {servers.MySQL(t), "SELECT", "none", ""},
		"none needed: MariaDB's views": {servers.MariaDB(t), "SELECT", "none", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, c.server, "snapshot.locking.mode", c.mode)
			b.exec("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY)")
			b.account(c.rights)
			problems := b.check()
			if c.finding != "" {
				expect(t, problems, "snapshot.locking.mode", true, c.finding)
				return
			}
			expectNot(t, problems, "lock")
		})
	}
}

func TestCheck_Tables(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server, "table.include.list", server.Database+".orders,"+server.Database+".custmers")
	expect(t, b.check(), "table.include.list", true, "No table is captured")
	b.exec("CREATE TABLE orders (id int PRIMARY KEY)", "CREATE TABLE customers (id int PRIMARY KEY)")
	expect(t, b.check(), "table.include.list", true, "custmers")
	b.raw["database.server.id"] = "1"
	b.exec("CREATE TABLE x (id int PRIMARY KEY)")
	expect(t, b.check(), "database.server.id", false, "number 1")
}

func TestCheck_OtherKindOfServer(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MariaDB(t))
	b.mariaDB = false
	expect(t, b.check(), "connector.class", false, "MariaDbConnector")
}

func TestConnector_Settings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"nothing":        {map[string]string{}, "A value is required"},
		"server id":      {map[string]string{"database.server.id": "0"}, "A positive, non-zero long value is expected"},
		"locking mode":   {map[string]string{"snapshot.locking.mode": "extended"}, "use minimal or none"},
		"both lists":     {map[string]string{"database.include.list": "a", "database.exclude.list": "b"}, "already specified"},
		"trust store":    {map[string]string{"database.ssl.truststore": "/no/such/file"}, "database.ssl.truststore"},
		"regex":          {map[string]string{"database.include.list": "a("}, "database.include.list"},
		"GTID includes":  {map[string]string{"gtid.source.includes": "x"}, "leave it out"},
		"time precision": {map[string]string{"time.precision.mode": "exact"}, "Value must be one of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := map[string]string{}
			if len(c.set) > 0 {
				raw = map[string]string{"topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.server.id": "7"}
			}
			for k, v := range c.set {
				raw[k] = v
			}
			if got := configure(raw).Err(); got == nil || !strings.Contains(got.Error(), c.want) {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}
