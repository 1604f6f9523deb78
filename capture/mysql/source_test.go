package mysql_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

func TestSource_HandsOutChanges(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))", "CREATE TABLE other (id int PRIMARY KEY)")
	r := b.stream(nil)
	var sources []string
	r.each = func(ev *schema.Event) {
		s := ev.Source
		var parts []string
		for i, f := range ev.Table.Source.Fields {
			switch f.Name {
			case "ts_ms", "ts_us", "ts_ns", "server_id", "pos":
				if s[i].Int() <= 0 {
					t.Errorf("%s is %#v", f.Name, s[i])
				}
			case "thread":
				if s[i].IsNull() != (ev.Op == schema.OpTruncate) {
					t.Errorf("%s is %#v in %c", f.Name, s[i], ev.Op)
				}
			case "file", "gtid":
				if s[i].IsNull() {
					t.Errorf("%s is null", f.Name)
				}
			default:
				parts = append(parts, fmt.Sprintf("%s=%#v", f.Name, s[i]))
			}
			if f.Const != nil && !f.Const.Equal(s[i]) {
				t.Errorf("constant %s is %#v", f.Name, s[i])
			}
		}
		sources = append(sources, strings.Join(parts, " "))
	}
	b.exec(
		"INSERT INTO t VALUES (1, 'a'), (2, NULL)",
		"UPDATE t SET v = concat(ifnull(v, ''), '!')",
		"UPDATE t SET id = 3 WHERE id = 2",
		"DELETE FROM t WHERE id = 1",
		"BEGIN", "INSERT INTO t VALUES (9, 'rolled back')", "ROLLBACK",
		"BEGIN", "INSERT INTO t VALUES (4, 'd')", "INSERT INTO other VALUES (1)", "COMMIT",
		"TRUNCATE TABLE t",
	)
	equal(t, r.until(9),
		`t c id=1 v="a"`, `t c id=2 v=null`,
		`t u id=1 v="a" -> id=1 v="a!"`, `t u id=2 v=null -> id=2 v="!"`,
		`t u id=2 v="!" -> id=3 v="!"`,
		`t d id=1 v="a!"`,
		`t c id=4 v="d"`, `other c id=1`,
		`t t`)
	db := b.server.Database
	source := func(table string, row int) string {
		return fmt.Sprintf(`version="3.6.1.Final" connector="mysql" name="shop" snapshot="false" db=%q sequence=null table=%q row=%d query=null`, db, table, row)
	}
	equal(t, sources[:3], source("t", 0), source("t", 1), source("t", 0))
	if got := r.batch.Events; len(got) > 0 && got[0].Table.Key == nil {
		t.Error("the table has no key")
	}
}

func TestSource_ResumesAtEveryEnd(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(t *testing.T) *servers.MySQLServer{
		"GTID": func(t *testing.T) *servers.MySQLServer { return servers.MySQL(t) },
		"file and position": func(t *testing.T) *servers.MySQLServer {
			return servers.MySQL(t, servers.Config("gtid_mode=OFF", "enforce_gtid_consistency=OFF"))
		},
		"compressed": func(t *testing.T) *servers.MySQLServer {
			return servers.MySQL(t, servers.Config("binlog_transaction_compression=ON"))
		},
		"without checksums": func(t *testing.T) *servers.MySQLServer {
			return servers.MySQL(t, servers.Config("binlog_checksum=NONE", "gtid_mode=OFF", "enforce_gtid_consistency=OFF", "binlog_row_metadata=MINIMAL"))
		},
		"MariaDB": func(t *testing.T) *servers.MySQLServer { return servers.MariaDB(t) },
		"MariaDB, compressed": func(t *testing.T) *servers.MySQLServer {
			return servers.MariaDB(t, servers.Config("log-bin-compress=ON", "log-bin-compress-min-len=10"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, server(t))
			b.exec("CREATE TABLE t (id int PRIMARY KEY, v varchar(200))")
			start := b.now()
			// One transaction with many events, and small ones around it.
			many := []string{"INSERT INTO t VALUES (1, 'first')", "BEGIN"}
			for i := range 40 {
				var values []string
				for j := range 50 {
					values = append(values, fmt.Sprintf("(%d, '%s')", 100+i*50+j, strings.Repeat("x", 100)))
				}
				many = append(many, "INSERT INTO t VALUES "+strings.Join(values, ","))
			}
			b.exec(append(many, "COMMIT", "INSERT INTO t VALUES (2, 'last')")...)
			const total = 2002

			whole := b.stream(start)
			whole.batch.MaxEvents = 333
			want := whole.until(total)
			if len(whole.ends) < 6 {
				t.Fatalf("only %d ends", len(whole.ends))
			}
			whole.close()
			// From each End on comes exactly what was not handed out before.
			for i, end := range whole.ends {
				at := whole.counts[i]
				if at == total {
					break
				}
				r := b.stream(end)
				r.batch.MaxEvents = 400
				equal(t, r.until(total-at), want[at:]...)
				r.close()
			}
		})
	}
}

func TestSource_MovesOnWhenOnlyOthersChange(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server, "table.include.list", server.Database+".mine")
	b.exec("CREATE TABLE mine (id int PRIMARY KEY)", "CREATE TABLE theirs (id int PRIMARY KEY)")
	r := b.stream(nil)
	before := string(r.end)
	b.exec("INSERT INTO theirs VALUES (1)")
	for string(r.end) == before {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.events) > 0 {
		t.Errorf("events: %v", r.events)
	}
	b.exec("INSERT INTO mine VALUES (1)")
	equal(t, r.until(1), "mine c id=1")
}

func TestSource_ServerRestart(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.StartMySQL(t))
	b.exec("CREATE DATABASE kept", "CREATE TABLE kept.t (id int PRIMARY KEY)")
	b.raw["database.include.list"] = "kept"
	b.db = b.open()
	r := b.stream(nil)
	b.exec("INSERT INTO kept.t VALUES (1)")
	equal(t, r.until(1), "t c id=1")
	if err := b.server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.untilError(); capture.IsPermanent(err) {
		t.Errorf("a lost connection is permanent: %v", err)
	}
	if _, err := b.db.Open(t.Context(), r.end); err == nil || capture.IsPermanent(err) {
		t.Errorf("a server that is down: %v", err)
	}
	if err := b.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec("INSERT INTO kept.t VALUES (2)")
	equal(t, b.stream(r.end).until(1), "t c id=2")
}

func TestSource_EndsTheConnectionOfAnEarlierStart(t *testing.T) {
	t.Parallel()
	for _, server := range []func(testing.TB, ...servers.Option) *servers.MySQLServer{servers.MySQL, servers.MariaDB} {
		b := setup(t, server(t))
		b.exec("CREATE TABLE t (id int PRIMARY KEY)")
		first := b.stream(nil)
		second := b.stream(first.end)
		err := first.untilError()
		if capture.IsPermanent(err) || !strings.Contains(err.Error(), "database.server.id") {
			t.Errorf("error %v", err)
		}
		b.exec("INSERT INTO t VALUES (1)")
		equal(t, second.until(1), "t c id=1")
	}
}

func TestSource_TLS(t *testing.T) {
	t.Parallel()
	server := servers.MySQL(t)
	b := setup(t, server)
	user := "tls" + fmt.Sprint(serverIDs.Add(1))
	b.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE USER "+user+" IDENTIFIED BY 'tls' REQUIRE SSL", "GRANT ALL ON *.* TO "+user)
	b.raw["database.user"], b.raw["database.password"] = user, "tls"
	for _, mode := range []string{"preferred", "required"} {
		b.raw["database.ssl.mode"] = mode
		b.db = b.open()
		r := b.stream(nil)
		b.exec("INSERT INTO t VALUES (1)", "DELETE FROM t")
		equal(t, r.until(2), "t c id=1", "t d id=1")
		r.close()
	}
	for mode, word := range map[string]string{"disabled": "Access denied", "verify_ca": "certificate", "verify_identity": "certificate"} {
		b.raw["database.ssl.mode"] = mode
		b.db = b.open()
		if _, err := b.db.Now(t.Context()); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	b.exec("DROP USER " + user)
}

func TestSource_LargeValues(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, v longblob, w longtext)")
	r := b.stream(nil)
	sizes := map[string]int{}
	r.each = func(ev *schema.Event) {
		sizes[fmt.Sprintf("%c %#v", ev.Op, ev.After[0])] = len(ev.After[1].Bytes()) + len(ev.After[2].Bytes())
	}
	// More than a packet of the protocol, and exactly one.
	b.exec("INSERT INTO t VALUES (1, repeat('x', 20000000), repeat('y', 15000000))", "INSERT INTO t VALUES (2, repeat('x', 16777000), 'y')", "INSERT INTO t VALUES (3, 'x', 'y')")
	r.until(3)
	b.scan(1, r.each)
	for key, want := range map[string]int{"c 1": 35000000, "c 2": 16777001, "c 3": 2, "r 1": 35000000, "r 2": 16777001, "r 3": 2} {
		if sizes[key] != want {
			t.Errorf("%s has %d bytes, want %d", key, sizes[key], want)
		}
	}
}

func TestSource_LearnsGTIDsAfterAPositionWithout(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func() *servers.MySQLServer{
		"MySQL":   func() *servers.MySQLServer { return servers.MySQL(t, servers.Config("max_connections=140")) },
		"MariaDB": func() *servers.MySQLServer { return servers.MariaDB(t, servers.Config("max_connections=140")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, server())
			b.exec("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
			whole := b.now()
			without := regexp.MustCompile(`,"gtids":"[^"]*"`).ReplaceAll(whole, nil)
			if len(without) == len(whole) {
				t.Fatalf("no GTIDs in %s", whole)
			}
			r := b.stream(without)
			b.exec("INSERT INTO t VALUES (2)")
			r.until(1)
			if strings.Contains(string(r.end), "gtids") {
				t.Errorf("GTIDs of one transaction only: %s", r.end)
			}
			b.exec("FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
			r.until(2)
			now := b.now()
			gtids := regexp.MustCompile(`"gtids":"[^"]*"`)
			if got, want := gtids.FindString(string(r.end)), gtids.FindString(string(now)); got != want || got == "" {
				t.Errorf("%s, want %s", r.end, now)
			}
			b.exec("INSERT INTO t VALUES (4)")
			equal(t, b.stream(r.end).until(1), "t c id=4")
		})
	}
}

func TestDatabase_ExecutesStatements(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.MySQL(t))
	b.exec("CREATE TABLE beats (id int PRIMARY KEY, n int)")
	r := b.stream(nil)
	executor, ok := b.db.(capture.Executor)
	if !ok {
		t.Fatal("the database executes nothing")
	}
	sql := "INSERT INTO " + b.server.Database + ".beats VALUES (1, 1) ON DUPLICATE KEY UPDATE n = n + 1"
	for range 2 {
		if err := executor.Execute(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, r.until(2), "beats c id=1 n=1", "beats u id=1 n=1 -> id=1 n=2")
	if err := executor.Execute(t.Context(), "INSERT INTO nowhere VALUES (1)"); err == nil {
		t.Error("no error for a table that is not there")
	}
}

func TestScanner_SelectOfTheUsersOwn(t *testing.T) {
	t.Parallel()
	const setting = "snapshot.select.statement.overrides"
	for name, maria := range map[string]bool{"mysql": false, "mariadb": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.MySQL(t)
			if maria {
				server = servers.MariaDB(t)
			}
			orders := server.Database + ".orders"
			b := setup(t, server, setting, orders, setting+"."+orders, "SELECT note, id, upper(state) AS state FROM "+orders+" WHERE state <> 'done' -- only these;\n; ")
			b.exec("CREATE TABLE orders (id int PRIMARY KEY, state varchar(10), note varchar(10))", "INSERT INTO orders VALUES (1, 'done', 'a'), (2, 'open', 'b'), (3, 'new', 'c')")
			rows, _ := b.snapshot(2)
			equal(t, rows, `orders r id=2 state="OPEN" note="b"`, `orders r id=3 state="NEW" note="c"`)

			b = setup(t, server, setting, orders, setting+"."+orders, "SELECT id FROM "+orders)
			scanner := b.db.Scanner()
			defer func() { _ = scanner.Close(context.Background()) }() // it has failed
			view, err := scanner.Begin(t.Context(), 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = view.Sessions[0].Scan(t.Context(), view.Tables[0].Table, "", "")
			if !capture.IsPermanent(err) || !strings.Contains(err.Error(), setting+"."+orders) {
				t.Errorf("error %v", err)
			}
		})
	}
}
