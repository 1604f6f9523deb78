package mysql_test

import (
	"fmt"
	"strings"
	"testing"

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
	for _, mode := range []struct {
		name string
		opts []servers.Option
	}{
		{"GTID", nil},
		{"file and position", []servers.Option{servers.Config("gtid_mode=OFF", "enforce_gtid_consistency=OFF")}},
		{"compressed", []servers.Option{servers.Config("binlog_transaction_compression=ON")}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.MySQL(t, mode.opts...))
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
