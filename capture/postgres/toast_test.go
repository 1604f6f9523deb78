package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
)

// toastCase is a type, a value of it that is stored out of line, and the JSON
// of what stands for it once it is left out of the log.
type toastCase struct{ typ, value, want string }

const placeholder = "__debezium_unavailable_value"

// bytesOf is the placeholder as numbers in JSON.
func bytesOf(format string) string {
	var list []string
	for _, c := range []byte(placeholder) {
		list = append(list, fmt.Sprintf(format, c))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// filled is an array of many equal elements.
func filled(element string) string { return "array_fill(" + element + ", ARRAY[300])" }

var toastCases = []toastCase{
	{"text", "repeat('ab', 1000)", `"` + placeholder + `"`},
	{"varchar", "repeat('ab', 1000)", `"` + placeholder + `"`},
	{"citext", "repeat('ab', 1000)", `"` + placeholder + `"`},
	{"json", `('"'||repeat('ab', 1000)||'"')::json`, `"` + placeholder + `"`},
	{"jsonb", `('"'||repeat('ab', 1000)||'"')::jsonb`, `"` + placeholder + `"`},
	{"xml", `('<a>'||repeat('ab', 1000)||'</a>')::xml`, `"` + placeholder + `"`},
	{"ltree", `repeat('ab.', 1000)||'c'`, `"` + placeholder + `"`},
	{"tsvector", "(SELECT array_to_tsvector(array_agg('word'||i)) FROM generate_series(1, 2000) i)", `"` + placeholder + `"`},
	{"hstore", "hstore('a', repeat('ab', 1000))", `"{\"` + placeholder + `\":\"` + placeholder + `\"}"`},
	{"bytea", "decode(repeat('00ff', 1000), 'hex')", text(placeholder)},
	{"varbit", "repeat('10', 20000)::varbit", text(placeholder)},
	{"numeric", "repeat('123456789', 2000)::numeric", `{"scale":0,"value":` + text(placeholder) + `}`},
	{"numeric(1000,2)", "repeat('123456789', 100)::numeric", text(placeholder)},
	{"numrange", "numrange(repeat('123456789', 2000)::numeric, NULL)", `"` + placeholder + `"`},
	{"path", "('['||repeat('(1,2),', 2000)||'(1,2)]')::path", text(placeholder)},
	{"pair", "ROW(1, repeat('ab', 1000))", text(placeholder)},

	{"text[]", filled("'abc'::text"), `["` + placeholder + `"]`},
	{"varchar(5)[]", filled("'abc'::varchar"), `["` + placeholder + `"]`},
	{"char(3)[]", filled("'abc'::bpchar"), `["` + placeholder + `"]`},
	{"json[]", filled("'1'::json"), `["` + placeholder + `"]`},
	{"jsonb[]", filled("'1'::jsonb"), `["` + placeholder + `"]`},
	{"bytea[]", filled(`'\x0102'::bytea`), `[` + text(placeholder) + `]`},
	{"int4[]", filled("1"), bytesOf("%d")},
	{"int8[]", filled("1::int8"), bytesOf("%d")},
	{"int2[]", filled("1::int2"), bytesOf("%d")},
	{"oid[]", filled("1::oid"), bytesOf("%d")},
	{"date[]", filled("'2024-01-01'::date"), bytesOf("%d")},
	{"uuid[]", filled("'6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab'::uuid"), `["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]`},
	{"float4[]", filled("1::float4"), bytesOf("%d.0")},
	{"float8[]", filled("1::float8"), bytesOf("%d.0")},
	{"numeric(10,2)[]", filled("1::numeric"), `[` + text(placeholder) + `]`},
	{"numeric[]", filled("1::numeric"), `[{"scale":0,"value":` + text(placeholder) + `}]`},
	{"time[]", filled("'01:02'::time"), bytesOf("%d")},
	{"timestamp[]", filled("'2024-01-01'::timestamp"), bytesOf("%d")},
	{"timestamptz[]", filled("'2024-01-01'::timestamptz"), `["` + placeholder + `"]`},
	{"timetz[]", filled("'01:02+00'::timetz"), `["` + placeholder + `"]`},
	{"inet[]", filled("'1.2.3.4'::inet"), `["` + placeholder + `"]`},
	{"int4range[]", filled("'[1,2)'::int4range"), `["` + placeholder + `"]`},
	{"citext[]", filled("'x'::citext"), `["` + placeholder + `"]`},
	{"ltree[]", filled("'x'::ltree"), `["` + placeholder + `"]`},
	{"hstore[]", filled("'a=>1'::hstore"), `["{\"` + placeholder + `\":\"` + placeholder + `\"}"]`},
	{`odd."My Mood"[]`, filled(`'sad'::odd."My Mood"`), `["` + placeholder + `"]`},
	{"pg_lsn[]", filled("'0/1'::pg_lsn"), `[` + text(placeholder) + `]`},
	{"bool[]", filled("true"), "null"},
	{"ints", filled("1"), bytesOf("%d")},
}

// toastTable makes a table of the types whose values are never compressed.
func toastTable(cases []toastCase, constraint string) (create, insert string) {
	var columns, external, values []string
	for i, c := range cases {
		columns = append(columns, fmt.Sprintf("c%d %s %s", i, c.typ, constraint))
		external = append(external, fmt.Sprintf("ALTER c%d SET STORAGE EXTERNAL", i))
		values = append(values, fmt.Sprintf("(%s)::%s", c.value, c.typ))
	}
	return "CREATE TABLE t (id int PRIMARY KEY, n int, " + strings.Join(columns, ", ") + ") WITH (toast_tuple_target = 128); ALTER TABLE t " + strings.Join(external, ", "),
		"INSERT INTO t VALUES (1, 1, " + strings.Join(values, ", ") + ")"
}

// TestToast_PlaceholdersByType updates a row whose large values stay the same.
func TestToast_PlaceholdersByType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings []string
		want     map[string]string // where it is not that of toastCases
		scalar   string            // of all others, in arrays too
	}{
		"defaults": {settings: []string{"include.unknown.datatypes", "true"}},
		"text": {
			settings: []string{
				"include.unknown.datatypes", "true", "time.precision.mode", "isostring", "decimal.handling.mode", "string", "binary.handling.mode", "hex",
				"hstore.handling.mode", "map", "unavailable.value.placeholder", "hex:4142",
			},
			want: map[string]string{
				"hstore": `{"AB":"AB"}`, "varbit": text("AB"), "int4[]": "[65,66]", "int8[]": "[65,66]", "int2[]": "[65,66]", "oid[]": "[65,66]", "ints": "[65,66]",
				"float4[]": "[65.0,66.0]", "float8[]": "[65.0,66.0]", "uuid[]": `["b86fc6b0-51f6-3d73-9e26-2d4c34e3a0a9"]`, "bool[]": "null",
				"hstore[]": `[{"AB":"AB"}]`,
			},
			scalar: `"AB"`,
		},
		"base64": {
			settings: []string{"include.unknown.datatypes", "true", "binary.handling.mode", "base64", "decimal.handling.mode", "double"},
			want: map[string]string{
				"numeric": "null", "numeric(1000,2)": "null", "numeric[]": bytesOf("%d.0"), "numeric(10,2)[]": bytesOf("%d.0"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), c.settings...)
			create, insert := toastTable(toastCases, "")
			b.exec(typeObjects, create, insert)
			r := b.stream(nil)
			b.exec("UPDATE t SET n = 2")
			rows := r.rows(1)
			for i, tc := range toastCases {
				want, special := c.want[tc.typ]
				switch {
				case special:
				case c.scalar != "" && strings.HasSuffix(tc.typ, "[]"):
					want = "[" + c.scalar + "]"
				case c.scalar != "":
					want = c.scalar
				default:
					want = tc.want
				}
				b.equalJSON(tc.typ, rows[0].after[fmt.Sprintf("c%d", i)], want)
			}
		})
	}
}
