package postgres_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
)

// defaultCase is a column with a default, and the JSON of the one that its
// schema has; empty for none.
type defaultCase struct{ column, want string }

const defaultObjects = `
CREATE SCHEMA odd;
CREATE TYPE odd."My Mood" AS ENUM ('sad', 'it''s', 'happy, very');
CREATE DOMAIN posint AS int DEFAULT 5;
CREATE DOMAIN word AS text;
CREATE FUNCTION six() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 6';
CREATE FUNCTION anymood() RETURNS odd."My Mood" LANGUAGE sql IMMUTABLE AS $$SELECT 'sad'::odd."My Mood"$$;
CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext`

var defaultCases = []defaultCase{
	{"bool DEFAULT true", "true"},
	{"bool DEFAULT false", "false"},
	{"bool DEFAULT NULL", ""},
	{"bool DEFAULT pg_is_in_recovery()", "false"},
	{"bool DEFAULT (1 = 1)", ""},
	{"int2 DEFAULT -1", "-1"},
	{"int4 DEFAULT 42", "42"},
	{"int4 DEFAULT +7", ""},
	{"int8 DEFAULT 9223372036854775807", "9223372036854775807"},
	{"int8 DEFAULT -9223372036854775808", "-9223372036854775808"},
	{"int4 DEFAULT 1 + 1", ""},
	{"int4 DEFAULT six()", "0"},
	{"int4 DEFAULT -six()", ""},
	{"int4 DEFAULT length('abc')", "0"},
	{"int4 DEFAULT '8'", "8"},
	{"int4 DEFAULT '9'::text::int", "9"},
	{"int4 DEFAULT CASE WHEN true THEN 1 ELSE 2 END", ""},
	{"int4 DEFAULT COALESCE(NULL, 3)", "0"},
	{"int4 DEFAULT 5.4", ""},
	{"int8 DEFAULT NULL", ""},
	{"serial", "0"},
	{"bigserial", "0"},
	{"smallserial", "0"},
	{"int GENERATED ALWAYS AS IDENTITY", ""},
	{"int GENERATED ALWAYS AS (6 * 7) STORED", ""},
	{"text GENERATED ALWAYS AS (repeat('x', 3)) STORED", ""},
	{"float4 DEFAULT 1.5", "1.5"},
	{"float4 DEFAULT 0.1", "0.1"},
	{"float8 DEFAULT -1.5e300", "-1.5E300"},
	{"float8 DEFAULT 'NaN'", `"NaN"`},
	{"float8 DEFAULT '-Infinity'", `"-Infinity"`},
	{"float8 DEFAULT random()", "0.0"},
	{"float8 DEFAULT 3", "3.0"},
	{"numeric(10,2) DEFAULT 12.34", b64("1234")},
	{"numeric(10,2) DEFAULT 5", b64("500")},
	{"numeric(10,2) DEFAULT -0.5", b64("-50")},
	{"numeric(10,2) DEFAULT 1.005", ""},
	{"numeric(10,2) DEFAULT 1.500", b64("150")},
	{"numeric(10,2) DEFAULT random()::numeric", b64("0")},
	{"numeric(5) DEFAULT 7", b64("7")},
	{"numeric DEFAULT 1.50", ""},
	{"numeric DEFAULT six()", ""},
	{"numeric(10,2) DEFAULT NULL", ""},
	{"numeric(10,2) DEFAULT 'NaN'", ""},
	{"money DEFAULT '$1.50'", ""},
	{"oid DEFAULT 7", ""},
	{"text DEFAULT 'abc'", `"abc"`},
	{"text DEFAULT ''", `""`},
	{"varchar(20) DEFAULT 'it''s'", `"it's"`},
	{"text DEFAULT $$a 'b' c$$", `"a 'b' c"`},
	{"text DEFAULT 'a' || 'b'", ""},
	{"text DEFAULT upper('abc')", `""`},
	{"text DEFAULT CURRENT_USER", ""},
	{"text DEFAULT CURRENT_TIMESTAMP", `""`},
	{"text DEFAULT NULL", ""},
	{"text DEFAULT 5", `"5"`},
	{"text DEFAULT E'a\\nb'", `"a\nb"`},
	{`text DEFAULT 'back\slash'`, `"back\\slash"`},
	{"text DEFAULT ' '", `" "`},
	{"text DEFAULT 'a::b'", `"a::b"`},
	{"char(5) DEFAULT 'ab'", `"ab"`},
	{"bpchar DEFAULT 'ab '", `"ab "`},
	{`"char" DEFAULT 'x'`, ""},
	{"name DEFAULT 'x'", ""},
	{"citext DEFAULT 'x'", ""},
	{"inet DEFAULT '1.2.3.4'", ""},
	{"int4range DEFAULT '[1,2)'", ""},
	{"json DEFAULT '{\"a\": 1}'", `"{\"a\": 1}"`},
	{"jsonb DEFAULT '{\"b\":1}'", `"{\"b\": 1}"`},
	{"jsonb DEFAULT '[]'", `"[]"`},
	{"jsonb DEFAULT jsonb_build_object()", `"{}"`},
	{"jsonb DEFAULT NULL", ""},
	{"xml DEFAULT '<a/>'", `"<a/>"`},
	{"uuid DEFAULT gen_random_uuid()", `"00000000-0000-0000-0000-000000000000"`},
	{"uuid DEFAULT '6F1E8D2E-4b1a-4f7e-9c8a-0123456789ab'", `"6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab"`},
	{"bit(1) DEFAULT B'1'", "true"},
	{"bit(3) DEFAULT B'101'", raw(5)},
	{"varbit(5) DEFAULT B'110'", raw(6)},
	{"varbit DEFAULT B''", `""`},
	{"bit(3) DEFAULT 5::bit(3)", ""},
	{"bytea DEFAULT '\\x0102'", ""},
	{"date DEFAULT '2020-01-02'", "18263"},
	{"date DEFAULT CURRENT_DATE", "0"},
	{"date DEFAULT now()", "0"},
	{"date DEFAULT 'infinity'", "2147483647"},
	{"time DEFAULT '01:02:03'", "3723000000"},
	{"time(3) DEFAULT '01:02:03.5'", "3723500"},
	{"time DEFAULT LOCALTIME", "0"},
	{"time(0) DEFAULT CURRENT_TIME", "0"},
	{"timetz DEFAULT '01:02:03+00'", ""},
	{"timestamp DEFAULT '2020-01-02 03:04:05'", "1577934245000000"},
	{"timestamp(0) DEFAULT '2020-01-02'", "1577923200000"},
	{"timestamp DEFAULT LOCALTIMESTAMP", "0"},
	{"timestamp DEFAULT now()", "0"},
	{"timestamp DEFAULT (now() AT TIME ZONE 'utc')", "0"},
	{"timestamp DEFAULT 'infinity'", "9223372036825200000"},
	{"timestamp DEFAULT CURRENT_TIMESTAMP(3)", "0"},
	{"timestamptz DEFAULT '2020-01-02 03:04:05+02'", `"2020-01-02T01:04:05.000000Z"`},
	{"timestamptz(0) DEFAULT '2020-01-02 03:04:05+00'", `"2020-01-02T03:04:05Z"`},
	{"timestamptz DEFAULT now()", `"1970-01-01T00:00:00.000000Z"`},
	{"timestamptz(0) DEFAULT now()", `"1970-01-01T00:00:00Z"`},
	{"timestamptz(3) DEFAULT (now() + '1 day'::interval)", `"1970-01-01T00:00:00.000Z"`},
	{"timestamptz DEFAULT '-infinity'", `"-infinity"`},
	{"timestamptz DEFAULT CURRENT_TIMESTAMP", `"1970-01-01T00:00:00.000000Z"`},
	{"interval DEFAULT '1 day'", "86400000000"},
	{"interval DEFAULT '01:02:03.5'", "3723500000"},
	{"interval DEFAULT make_interval(days => 1)", "0"},
	{`odd."My Mood" DEFAULT 'sad'`, `"sad"`},
	{`odd."My Mood" DEFAULT 'it''s'`, `"it's"`},
	{`odd."My Mood" DEFAULT 'happy, very'`, `"happy, very"`},
	{`odd."My Mood" DEFAULT anymood()`, ""},
	{`odd."My Mood" DEFAULT NULL`, ""},
	{"posint", ""},
	{"posint DEFAULT 7", ""},
	{"word DEFAULT 'x'", ""},
	{"int4[] DEFAULT '{1,2}'", ""},
	{"text[] DEFAULT ARRAY[]::text[]", ""},
	{"hstore DEFAULT ''", ""},
	{"point DEFAULT '(1,2)'", ""},
	{"tsvector DEFAULT ''", ""},
}

func defaultsTable(cases []defaultCase) string {
	var columns []string
	for i, c := range cases {
		columns = append(columns, fmt.Sprintf("c%d %s", i, c.column))
	}
	return "CREATE TABLE t (id int PRIMARY KEY, " + strings.Join(columns, ", ") + ")"
}

// TestDefaults compares the defaults in schemas with the rules: literals of
// most types, a neutral value for what a function computes, else none.
func TestDefaults(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(defaultObjects, defaultsTable(defaultCases))
	r := b.stream(nil)
	b.exec("INSERT INTO t (id) VALUES (1)")
	snapshot, stream := b.bothWays(r, 1)
	for i, c := range defaultCases {
		column := fmt.Sprintf("c%d", i)
		for from, rows := range map[string][]recordedRow{"snapshot": snapshot, "stream": stream} {
			field, ok := rows[0].fields[column].(map[string]any)
			if !ok && !(strings.Contains(c.column, "STORED") && from == "stream") {
				t.Errorf("%s: no column %s", from, c.column)
			}
			got, ok := field["default"]
			if c.want == "" {
				if ok {
					t.Errorf("%s: %s has the default %s", from, c.column, short(got))
				}
				continue
			}
			var want any
			if err := decodeNumbers([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s has the default %s, want %s", from, c.column, short(got), c.want)
			}
		}
	}
}
