package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
)

// TestTypes_LeftOutAsInDebezium has a column of each type that events do not
// have, and sees to it that none of them is passed over in silence.
func TestTypes_LeftOutAsInDebezium(t *testing.T) {
	t.Parallel()
	for include, hidden := range map[bool][]string{false: nil, true: formless} {
		t.Run(fmt.Sprintf("include=%v", include), func(t *testing.T) {
			t.Parallel()
			var columns []string
			if !include {
				for _, tc := range unknownTypes {
					hidden = append(hidden, tc.typ)
				}
			}
			for i, typ := range hidden {
				columns = append(columns, fmt.Sprintf("c%d %s", i, typ))
			}
			b := setup(t, servers.Postgres(t), "include.unknown.datatypes", fmt.Sprint(include))
			b.exec(typeObjects, "CREATE TABLE t (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")")
			log := b.logged()
			found := b.db.Check(t.Context())
			r := b.stream(nil)
			b.exec("INSERT INTO t (id) VALUES (1)")
			snapshot, stream := b.bothWays(r, 1)
			for from, rows := range map[string][]recordedRow{"snapshot": snapshot, "stream": stream} {
				if len(rows[0].after) != 1 || len(rows[0].fields) != 1 {
					t.Errorf("%s has %v", from, rows[0].after)
				}
			}
			if len(found) != 1 || !found[0].Warning || found[0].Key != "include.unknown.datatypes" {
				t.Fatalf("found %v", found)
			}
			for i := range hidden {
				name := fmt.Sprintf("public.t.c%d (", i)
				if !strings.Contains(found[0].Message, name) {
					t.Errorf("the check does not name %s: %s", name, found[0].Message)
				}
				if n := strings.Count(log.String(), name); n != 2 {
					t.Errorf("the log names %s %d times, want it once from the snapshot and once from the stream", name, n)
				}
			}
			if got := strings.Contains(found[0].Message, "set include.unknown.datatypes=true"); got == include {
				t.Errorf("the check advises include.unknown.datatypes: %v", got)
			}
		})
	}
}

// logged opens the configuration anew, with a log that can be read.
func (b *bundle) logged() *bytes.Buffer {
	b.t.Helper()
	v, problems := postgres.Connector().Settings.Parse(b.raw)
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	var log bytes.Buffer
	db, problems := postgres.Connector().New(v, capture.Env{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	b.db = db
	return &log
}

func TestTypes_LeftOutIsAnErrorOnRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "penstock.unsupported.columns.handling.mode", "fail")
	b.exec("CREATE TABLE t (id int PRIMARY KEY, v pg_lsn, w interval[])")
	wantFindings(
		t, b.db.Check(t.Context()),
		finding{key: "include.unknown.datatypes", text: "public.t.v (pg_lsn)"},
		finding{key: "include.unknown.datatypes", text: "public.t.w (interval[])"},
	)
	r := b.stream(nil)
	b.exec("INSERT INTO t (id) VALUES (1)")
	for err := error(nil); ; {
		if err = r.next(); err != nil {
			if !capture.IsPermanent(err) || !strings.Contains(err.Error(), "public.t.v (pg_lsn), public.t.w (_interval)") {
				t.Errorf("the stream: %v", err)
			}
			break
		}
	}
	r.close()
	sc := b.db.Scanner()
	if _, err := sc.Begin(t.Context(), 1, nil); !capture.IsPermanent(err) || !strings.Contains(err.Error(), "public.t.v (pg_lsn)") {
		t.Errorf("the snapshot: %v", err)
	}

	// Each way out is one.
	for name, setting := range map[string][2]string{
		"excluded": {"column.exclude.list", `public\.t\.(v|w)`},
		"only id":  {"column.include.list", `public\.t\.id`},
	} {
		b.raw["penstock.unsupported.columns.handling.mode"] = "fail"
		b.raw[setting[0]] = setting[1]
		if found := b.open().Check(t.Context()); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
		delete(b.raw, setting[0])
	}
	b.exec("ALTER TABLE t ALTER v TYPE text USING v::text, ALTER w TYPE text USING w::text")
	if found := b.open().Check(t.Context()); len(found) > 0 {
		t.Errorf("with a cast: %v", found)
	}
}

// TestTypes_KeyOfATypeThatEventsLack has no key rather than a part of one.
func TestTypes_KeyOfATypeThatEventsLack(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec("CREATE TABLE t (a pg_lsn, b int, PRIMARY KEY (a, b))")
	sc := b.db.Scanner()
	view, err := sc.Begin(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key := view.Tables[0].Table.Key; len(key) > 0 {
		t.Errorf("the key has the columns %v", key)
	}
	if err := sc.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTypes_NullsThatASchemaForbids has arrays whose elements' schema is
// required, as Debezium has it, until one of them is null.
func TestTypes_NullsThatASchemaForbids(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t), "include.unknown.datatypes", "true")
	b.exec(typeObjects, `CREATE TABLE t (id int PRIMARY KEY, moods odd."My Mood"[], docs tsvector[] NOT NULL, lsns pg_lsn[]); ALTER TABLE t REPLICA IDENTITY FULL`)
	r := b.stream(nil)
	b.exec(
		`INSERT INTO t VALUES (1, '{sad}', '{a}', '{0/1}')`,
		`INSERT INTO t VALUES (2, '{sad,NULL}', '{a}', '{0/1}')`,
		`INSERT INTO t VALUES (3, '{sad}', '{a,NULL}', '{NULL}')`,
		`INSERT INTO t VALUES (4, NULL, '{}', NULL)`,
	)
	snapshot, stream := b.bothWays(r, 4)
	for i, w := range []struct{ moods, docs, lsns, items string }{
		{`["sad"]`, `["'a'"]`, "[" + text("0/1") + "]", ""},
		{`["sad",null]`, `["'a'"]`, "[" + text("0/1") + "]", "?"},
		{`["sad"]`, `["'a'",null]`, "[null]", "?"},
		{"null", "[]", "null", ""},
	} {
		for from, rows := range map[string][]recordedRow{"snapshot": snapshot, "stream": stream} {
			row := rows[i]
			for column, want := range map[string]string{"moods": w.moods, "docs": w.docs, "lsns": w.lsns} {
				b.equalJSON(from+": "+column, row.after[column], want)
			}
			for column, want := range map[string]string{
				"moods": "array<" + enumShape + w.items + ">?",
				"docs":  "array<string io.debezium.data.Tsvector" + w.items + ">",
				"lsns":  "array<bytes" + w.items + ">?",
			} {
				if got := shapeOf(row.fields[column].(map[string]any)); got != want {
					t.Errorf("%s, row %d: %s is %s, want %s", from, i, column, got, want)
				}
			}
		}
	}
	if reflect.DeepEqual(snapshot[0].fields, snapshot[1].fields) {
		t.Error("a null has not changed the schema")
	}
}

// TestTypes_EnumerationGetsALabel adds and renames labels while the log is read:
// the server does not describe the table anew, and the schemas are Debezium's.
func TestTypes_EnumerationGetsALabel(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(
		`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN feeling AS mood`,
		`CREATE TABLE t (id int PRIMARY KEY, v mood, w feeling, x mood[]); ALTER TABLE t REPLICA IDENTITY FULL`,
	)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1, 'sad', 'ok', '{ok}')`)
	r.rows(1)
	b.exec(
		`ALTER TYPE mood ADD VALUE 'happy, very' BEFORE 'ok'`,
		`INSERT INTO t VALUES (2, 'happy, very', 'happy, very', '{ok,"happy, very"}')`,
		`ALTER TYPE mood RENAME VALUE 'sad' TO 'sorry'`,
		`UPDATE t SET v = 'sorry' WHERE id = 2`,
	)
	rows := r.rows(2)
	b.equalJSON("v", rows[0].after["v"], `"happy, very"`)
	b.equalJSON("w", rows[0].after["w"], `"happy, very"`)
	b.equalJSON("x", rows[0].after["x"], `["ok","happy, very"]`)
	b.equalJSON("v", rows[1].after["v"], `"sorry"`)
	b.exec(`ALTER TABLE t ADD y int`, `INSERT INTO t (id, v) VALUES (3, 'sorry')`)
	if got, want := shapeOf(r.rows(1)[0].fields["v"].(map[string]any)), "string io.debezium.data.Enum allowed=sorry,happy, very,ok?"; got != want {
		t.Errorf("once the table is described anew, v is %s, want %s", got, want)
	}
}

// TestTypes_ValuesWithoutAForm has NaN where only numbers have a form.
func TestTypes_ValuesWithoutAForm(t *testing.T) {
	t.Parallel()
	for mode, warnings := range map[string]int{"warn": 1, "skip": 0, "fail": -1} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), "event.converting.failure.handling.mode", mode)
			log := b.logged()
			b.exec("CREATE TABLE t (id int PRIMARY KEY, v numeric(10,2), w varbit(1))")
			r := b.stream(nil)
			b.exec("INSERT INTO t VALUES (1, 'NaN', B'1')", "INSERT INTO t VALUES (2, 'NaN', B'1')", "INSERT INTO t VALUES (3, 1, B'')")
			if warnings < 0 {
				for err := error(nil); ; {
					if err = r.next(); err != nil {
						if !capture.IsPermanent(err) || !strings.Contains(err.Error(), "column v of table public.t: NaN and Infinity have no form with decimal.handling.mode=precise") {
							t.Errorf("got %v", err)
						}
						return
					}
				}
			}
			rows := r.rows(3)
			b.equalJSON("NaN", rows[0].after["v"], "null")
			b.equalJSON("NaN", rows[1].after["v"], "null")
			b.equalJSON("1.00", rows[2].after["v"], b64("100"))
			b.equalJSON("no bit", rows[2].after["w"], "null")
			for _, column := range []string{"column=v", "column=w"} {
				if n := strings.Count(log.String(), column); n != warnings {
					t.Errorf("%d warnings about %s, want %d: %s", n, column, warnings, log)
				}
			}
		})
	}
}

// TestTypes_ValuesWithoutAFormInRequiredColumns cannot become null.
func TestTypes_ValuesWithoutAFormInRequiredColumns(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec("CREATE TABLE t (id int PRIMARY KEY, v numeric(10,2) NOT NULL)")
	r := b.stream(nil)
	b.exec("INSERT INTO t VALUES (1, 'NaN')")
	for {
		if err := r.next(); err != nil {
			if !capture.IsPermanent(err) || !strings.Contains(err.Error(), "use double or string") {
				t.Errorf("got %v", err)
			}
			return
		}
	}
}

// TestTypes_NeutralValues has an old row with nothing but its key, for a table
// whose columns may not be null.
func TestTypes_NeutralValues(t *testing.T) {
	t.Parallel()
	neutral := map[string]string{
		"string": `""`, "bytes": `""`, "boolean": "false", "int16": "0", "int32": "0", "int64": "0", "float": "0.0", "double": "0.0",
		"bytes org.apache.kafka.connect.data.Decimal": raw(0), variable: `{"scale":0,"value":` + raw(0) + `}`,
		"string io.debezium.time.ZonedTime": `"00:00:00Z"`, "string io.debezium.time.ZonedTimestamp": `"1970-01-01T00:00:00Z"`,
		"struct io.debezium.data.geometry.Point{x double, y double, wkb bytes?, srid int32?}": `{"x":0.0,"y":0.0,"wkb":` + raw(append([]byte{1, 1}, make([]byte, 19)...)...) + `,"srid":null}`,
	}
	b := setup(t, servers.Postgres(t), "include.unknown.datatypes", "true")
	types := append(append([]typeCase{}, defaultTypes...), unknownTypes...)
	var columns, values []string
	for i, tc := range types {
		columns, values = append(columns, fmt.Sprintf("c%d %s NOT NULL", i, tc.typ)), append(values, tc.values[0])
	}
	b.exec(typeObjects, "CREATE TABLE t (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")", "INSERT INTO t VALUES (1, "+strings.Join(values, ", ")+")")
	r := b.stream(nil)
	b.exec("DELETE FROM t")
	row := r.rows(1)[0]
	for i, tc := range types {
		want, ok := neutral[tc.shape]
		for kind, n := range neutral {
			if !ok && strings.HasPrefix(tc.shape, kind+" ") {
				want = n
			}
		}
		switch {
		case tc.typ == "hstore":
			want = `"{}"`
		case strings.HasPrefix(tc.shape, "array"):
			want = "[]"
		case strings.HasPrefix(tc.shape, "string io.debezium.time."):
			want = neutral[tc.shape]
		case strings.HasPrefix(tc.shape, "bytes org.apache"):
			want = raw(0)
		}
		b.equalJSON(tc.typ, row.before[fmt.Sprintf("c%d", i)], want)
	}
	b.equalJSON("the key", row.before["id"], "1")
}

// TestTypes_GeneratedColumns are in a snapshot, and in the stream if the
// publication has them.
func TestTypes_GeneratedColumns(t *testing.T) {
	t.Parallel()
	for version, virtual := range map[string]string{"15": "", "18": ", w int GENERATED ALWAYS AS (n * 3) VIRTUAL"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t, servers.Version(version)))
			b.exec("CREATE TABLE t (id int PRIMARY KEY, n int, v int GENERATED ALWAYS AS (n * 2) STORED" + virtual + ")")
			want := "[id n]"
			if virtual != "" {
				b.exec("CREATE PUBLICATION dbz_publication FOR TABLE t WITH (publish_generated_columns = stored)")
				want = "[id n v]"
			}
			r := b.stream(nil)
			b.exec("INSERT INTO t VALUES (1, 5)", "UPDATE t SET n = 6", "DELETE FROM t", "INSERT INTO t VALUES (2, 7)")
			stream := r.rows(4)
			r.close()
			for _, row := range stream {
				if got := fmt.Sprint(sortedKeys(row.fields)); got != want {
					t.Errorf("the stream has %s, want %s", got, want)
				}
			}
			if virtual != "" {
				b.equalJSON("v", stream[1].after["v"], "12")
			}
			row := b.copied()[0]
			b.equalJSON("v", row.after["v"], "14")
			if virtual != "" {
				b.equalJSON("w", row.after["w"], "21")
			}
		})
	}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
