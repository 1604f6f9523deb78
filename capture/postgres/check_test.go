package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// finding is a problem that a check must report.
type finding struct {
	key, text string
	warning   bool
}

// wantFindings compares problems with those that must be there, and nothing
// else.
func wantFindings(t *testing.T, got settings.Problems, want ...finding) {
	t.Helper()
	for i, p := range got {
		if strings.Contains(p.Message, "\n") || strings.Contains(p.Message, "goroutine") {
			t.Errorf("a problem is more than a line: %q", p.Message)
		}
		if i >= len(want) {
			t.Errorf("not expected: %s: %s", p.Key, p.Message)
			continue
		}
		if w := want[i]; p.Key != w.key || p.Warning != w.warning || !strings.Contains(p.Message, w.text) {
			t.Errorf("got %s (warning %v): %s\nwant %s (warning %v): …%s…", p.Key, p.Warning, p.Message, w.key, w.warning, w.text)
		}
	}
	if len(got) < len(want) {
		t.Errorf("missing: %+v", want[len(got):])
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		sql      []string
		user     string // attributes of the role to connect as; empty for the superuser
		want     []finding
	}{
		"all is well": {sql: []string{`CREATE TABLE t (id int PRIMARY KEY)`}},
		"all is well for a plain role": {
			settings: []string{"publication.autocreate.mode", "disabled", "table.include.list", `public\.t`},
			sql: []string{
				`CREATE TABLE t (id int PRIMARY KEY)`, `CREATE TABLE other (v int)`,
				`CREATE PUBLICATION dbz_publication FOR TABLE t`, `GRANT SELECT ON t TO PUBLIC`,
			},
			user: "REPLICATION",
		},
		"wrong password": {
			settings: []string{"database.password", "wrong"},
			want:     []finding{{key: "database.user", text: "password authentication failed for user"}},
		},
		"wrong database": {
			settings: []string{"database.dbname", "nope"},
			want:     []finding{{key: "database.hostname", text: `Error while validating connector config: FATAL: database "nope" does not exist`}},
		},
		"unknown host": {
			settings: []string{"database.hostname", "no-such-host.invalid"},
			want:     []finding{{key: "database.hostname", text: "no-such-host.invalid is not known"}},
		},
		"no TLS": {
			settings: []string{"database.sslmode", "require"},
			want:     []finding{{key: "database.sslmode", text: "TLS"}},
		},
		"no replication privilege": {
			settings: []string{"publication.autocreate.mode", "disabled"},
			sql:      []string{`CREATE PUBLICATION dbz_publication`},
			user:     "NOREPLICATION",
			want:     []finding{{key: "database.user", text: `REPLICATION; (on Amazon RDS`}, {key: "table.include.list", text: "so far", warning: true}},
		},
		"no right to make a publication": {
			sql:  []string{`CREATE TABLE t (id int PRIMARY KEY)`, `GRANT SELECT ON t TO PUBLIC`},
			user: "REPLICATION",
			want: []finding{{key: "publication.autocreate.mode", text: `CREATE PUBLICATION "dbz_publication" FOR ALL TABLES;`}},
		},
		"no right to make a filtered one": {
			settings: []string{"publication.autocreate.mode", "filtered"},
			sql:      []string{`CREATE TABLE t (id int PRIMARY KEY)`, `GRANT SELECT ON t TO PUBLIC`},
			user:     "REPLICATION",
			want: []finding{
				{key: "publication.autocreate.mode", text: "GRANT CREATE ON DATABASE"},
				{key: "publication.autocreate.mode", text: `CREATE PUBLICATION "dbz_publication" FOR TABLE "public"."t";`},
			},
		},
		"publication missing": {
			settings: []string{"publication.autocreate.mode", "disabled"},
			sql:      []string{`CREATE TABLE t (id int PRIMARY KEY)`},
			want:     []finding{{key: "publication.name", text: `CREATE PUBLICATION "dbz_publication" FOR TABLE`}},
		},
		"publication lacks a table": {
			sql: []string{`CREATE TABLE t (id int PRIMARY KEY)`, `CREATE TABLE u (id int PRIMARY KEY)`, `CREATE PUBLICATION dbz_publication FOR TABLE t`},
			want: []finding{
				{key: "publication.name", text: `ALTER PUBLICATION "dbz_publication" ADD TABLE "public"."u";`, warning: true},
			},
		},
		"may not read": {
			settings: []string{"publication.autocreate.mode", "disabled"},
			sql:      []string{`CREATE TABLE t (id int PRIMARY KEY)`, `CREATE PUBLICATION dbz_publication FOR ALL TABLES`},
			user:     "REPLICATION",
			want:     []finding{{key: "database.user", text: `GRANT SELECT ON "public"."t" TO`}},
		},
		"unknown table": {
			settings: []string{"table.include.list", `public\.ordres`},
			sql:      []string{`CREATE TABLE orders (id int PRIMARY KEY)`},
			want:     []finding{{key: "table.include.list", text: `nothing matches public\.ordres`}},
		},
		"one table unknown": {
			settings: []string{"table.include.list", `public\.orders,orders`},
			sql:      []string{`CREATE TABLE orders (id int PRIMARY KEY)`},
			want:     []finding{{key: "table.include.list", text: "matches orders", warning: true}},
		},
		"no replica identity": {
			settings: []string{"table.include.list", `public\.t`},
			sql:      []string{`CREATE TABLE t (id int PRIMARY KEY)`, `CREATE TABLE log (v int)`},
			want:     []finding{{key: "publication.name", text: `ALTER TABLE "public"."log" REPLICA IDENTITY FULL;`, warning: true}},
		},
		"keys that deleted rows lack": {
			settings: []string{"message.key.columns", `public\..:V,u;public\.nokey:v`, "table.include.list", `public\.(d|i|f|n|p|nokey)`},
			sql: []string{
				`CREATE TABLE d (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int)`,
				`CREATE TABLE i (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int NOT NULL)`, `ALTER TABLE i REPLICA IDENTITY USING INDEX i_u_key`,
				`CREATE TABLE f (u text, v int)`, `ALTER TABLE f REPLICA IDENTITY FULL`,
				`CREATE TABLE n (u int, v int, PRIMARY KEY (v, u))`,
				`CREATE TABLE p (u int, v int, PRIMARY KEY (u) INCLUDE (v))`,
				`CREATE TABLE nokey (w int PRIMARY KEY)`,
			},
			want: []finding{
				{key: "message.key.columns", text: "There is no column public.nokey.v."},
				{
					key: "message.key.columns", warning: true,
					text: `public.d.V, public.d.u, public.i.V, public.p.V of a deleted row. A DELETE would stop the connector, and an UPDATE of such a column would leave the record under the former key as it is. ` +
						`Run: ALTER TABLE "public"."d" REPLICA IDENTITY FULL; ALTER TABLE "public"."i" REPLICA IDENTITY FULL; ALTER TABLE "public"."p" REPLICA IDENTITY FULL;`,
				},
			},
		},
		"no replica identity, published by others": {
			settings: []string{"publication.autocreate.mode", "disabled", "table.include.list", `public\.good`},
			sql: []string{
				`CREATE TABLE good (id int PRIMARY KEY)`, `CREATE TABLE elsewhere (v int)`,
				`CREATE TABLE parted (v int) PARTITION BY LIST (v)`, `CREATE TABLE part PARTITION OF parted DEFAULT`,
				`CREATE SCHEMA s`, `CREATE TABLE s.t (v int)`,
				`CREATE PUBLICATION dbz_publication FOR TABLE good, parted, TABLES IN SCHEMA s`,
			},
			want: []finding{{key: "publication.name", text: `: "public"."part", "s"."t". Run for each`, warning: true}},
		},
		"no replica identity, but only inserts are published": {
			settings: []string{"publication.autocreate.mode", "disabled"},
			sql:      []string{`CREATE TABLE t (v int)`, `CREATE PUBLICATION dbz_publication FOR ALL TABLES WITH (publish = 'insert')`},
		},
		"foreign slot": {
			settings: []string{"slot.name", "check_foreign_slot"},
			sql:      []string{`CREATE TABLE t (id int PRIMARY KEY)`, `SELECT pg_create_logical_replication_slot('check_foreign_slot', 'test_decoding')`},
			want:     []finding{{key: "slot.name", text: "SELECT pg_drop_replication_slot('check_foreign_slot')"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), c.settings...)
			b.exec(c.sql...)
			if c.user != "" {
				b.asNewUser(c.user)
			}
			wantFindings(t, b.db.Check(t.Context()), c.want...)
		})
	}
}

// TestCheck_NamesTablesWhoseChangesTheServerRefuses compares what the check
// says with what the server does.
func TestCheck_NamesTablesWhoseChangesTheServerRefuses(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"15", "18"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t, servers.Version(version)), "publication.autocreate.mode", "filtered", "table.include.list", `public\.[^o].*`)
			b.exec(`CREATE TABLE nothing (id int PRIMARY KEY)`, `ALTER TABLE nothing REPLICA IDENTITY NOTHING`,
				`CREATE TABLE gone (id int PRIMARY KEY, u int NOT NULL DEFAULT 1)`, `CREATE UNIQUE INDEX gone_u ON gone (u)`,
				`ALTER TABLE gone REPLICA IDENTITY USING INDEX gone_u`, `DROP INDEX gone_u`,
				`CREATE TABLE late (id int PRIMARY KEY DEFERRABLE)`,
				`CREATE TABLE nokey (id int NOT NULL UNIQUE)`,
				`CREATE TABLE good_full (id int)`, `ALTER TABLE good_full REPLICA IDENTITY FULL`,
				`CREATE TABLE good_index (id int, u int NOT NULL UNIQUE DEFAULT 1)`, `ALTER TABLE good_index REPLICA IDENTITY USING INDEX good_index_u_key`,
				`CREATE TABLE good (id int PRIMARY KEY)`,
				`CREATE TABLE other (v int)`)
			tables := []string{"nothing", "gone", "late", "nokey", "good_full", "good_index", "good"}
			for _, table := range tables {
				b.exec(`INSERT INTO ` + table + ` SELECT 1`)
			}
			warned := b.db.Check(t.Context())
			wantFindings(t, warned, finding{
				key: "publication.name", warning: true,
				text: `also to your applications: "public"."gone", "public"."late", "public"."nokey", "public"."nothing". ` +
					`Run for each: ALTER TABLE "public"."gone" REPLICA IDENTITY FULL;`,
			})
			copied := 0
			copyAll(t, b, func(*schema.Event) { copied++ }) // which makes the publication
			if copied != len(tables) {
				t.Errorf("%d rows were copied of %d tables", copied, len(tables))
			}
			for _, table := range tables {
				err := b.server.Exec(t.Context(), `UPDATE `+table+` SET id = 2`)
				refused := !strings.HasPrefix(table, "good")
				if (err != nil) != refused {
					t.Errorf("UPDATE %s: %v", table, err)
				}
				if len(warned) == 1 && strings.Contains(warned[0].Message, `"`+table+`"`) != (err != nil) {
					t.Errorf("%s: warned of it in %q, although the server says %v", table, warned[0].Message, err)
				}
			}
		})
	}
}

func TestCheck_WALLevel(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t, servers.Config("wal_level=replica")))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	wantFindings(t, b.db.Check(t.Context()), finding{key: "database.hostname", text: "ALTER SYSTEM SET wal_level = logical"})
	// A start that did not check says the same.
	if _, err := b.db.Now(t.Context()); err == nil || !strings.Contains(err.Error(), "wal_level = logical") {
		t.Errorf("got %v", err)
	}
}

func TestDatabase_TellsWhatARetryDoesNotMend(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	for name, c := range map[string]struct {
		settings  []string
		permanent bool
	}{
		"wrong password": {[]string{"database.password", "wrong"}, true},
		"wrong database": {[]string{"database.dbname", "nope"}, true},
		"nobody listens": {[]string{"database.port", "1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, server, c.settings...).db.Now(t.Context())
			var refused *postgres.ConnectError
			if !errors.As(err, &refused) || capture.IsPermanent(err) != c.permanent {
				t.Errorf("permanent=%v: %v", capture.IsPermanent(err), err)
			}
		})
	}
}

func TestCheck_NoFreeSlot(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t, servers.Config("max_replication_slots=1")))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`, `SELECT pg_create_logical_replication_slot('the_only_slot', 'pgoutput')`)
	wantFindings(t, b.db.Check(t.Context()), finding{key: "slot.name", text: "max_replication_slots"})
}

func TestCheck_UnreachableIsAnErrorAndNotAHang(t *testing.T) {
	t.Parallel()
	for _, answers := range []bool{false, true} {
		t.Run(fmt.Sprintf("answers=%v", answers), func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it only takes an address
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			text := "timed out"
			if answers { // nobody accepts, so that the connection stands and is silent
				t.Cleanup(func() { _ = l.Close() })
			} else {
				text = fmt.Sprintf("Connection to 127.0.0.1:%d refused", port)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			b := &bundle{t: t, raw: map[string]string{
				"topic.prefix": "p", "database.hostname": "127.0.0.1", "database.port": fmt.Sprint(port), "database.user": "u",
				"database.password": "secret", "database.dbname": "d", "connection.validation.timeout.ms": "500",
			}}
			begun := time.Now()
			got := b.open().Check(context.Background())
			wantFindings(t, got, finding{key: "database.hostname", text: text})
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if len(got) > 0 && strings.Contains(got[0].Message, "secret") {
				t.Errorf("the password is shown: %s", got[0].Message)
			}
		})
	}
}
