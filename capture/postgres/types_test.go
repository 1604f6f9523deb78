package postgres_test

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// typeCase is a type, its shape in events (see shapeOf), and pairs of an SQL
// expression and the JSON that events have for it.
type typeCase struct {
	typ, shape string
	values     []string
}

const typeObjects = `
CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION citext; CREATE EXTENSION isn; CREATE EXTENSION cube;
CREATE EXTENSION seg; CREATE EXTENSION lo; CREATE EXTENSION intarray; CREATE EXTENSION earthdistance;
CREATE SCHEMA odd;
CREATE TYPE odd."My Mood" AS ENUM ('sad', 'happy, very', 'it''s', 'say "hi"', 'back\slash', '');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN evenmore AS posint;
CREATE DOMAIN price AS numeric(8,3);
CREATE DOMAIN nestedprice AS price;
CREATE DOMAIN short AS varchar(5);
CREATE DOMAIN millis AS timestamp(3);
CREATE DOMAIN flags AS bit(9);
CREATE DOMAIN mood AS odd."My Mood";
CREATE DOMAIN ints AS int[];
CREATE DOMAIN doc AS jsonb;
CREATE DOMAIN couple AS pair;
CREATE DOMAIN spot AS pg_lsn`

// b64 is the JSON of a decimal's unscaled value.
func b64(unscaled string) string {
	n, ok := new(big.Int).SetString(unscaled, 10)
	if !ok {
		panic(unscaled)
	}
	b := n.Bytes()
	if n.Sign() < 0 { // two's complement
		b = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/8+1)*8)).Bytes()
	}
	if len(b) == 0 || n.Sign() > 0 && b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	if n.Sign() < 0 && len(b) > 1 && b[0] == 0xff && b[1] >= 0x80 {
		b = b[1:]
	}
	return `"` + base64.StdEncoding.EncodeToString(b) + `"`
}

// raw is the JSON of bytes.
func raw(b ...byte) string { return `"` + base64.StdEncoding.EncodeToString(b) + `"` }

// text is the JSON of a text's bytes.
func text(s string) string { return raw([]byte(s)...) }

const enumShape = `string io.debezium.data.Enum allowed=sad,happy, very,it's,say "hi",back\slash,`

func decimal(precision, scale int) string {
	return fmt.Sprintf("bytes org.apache.kafka.connect.data.Decimal scale=%d connect.decimal.precision=%d", scale, precision)
}

var variable = "struct io.debezium.data.VariableScaleDecimal{scale int32, value bytes}"

// defaultTypes are the types with default settings.
var defaultTypes = []typeCase{
	{"bool", "boolean", []string{"true", "true", "false", "false"}},
	{"int2", "int16", []string{"-32768", "-32768", "32767", "32767"}},
	{"int4", "int32", []string{"-2147483648", "-2147483648", "2147483647", "2147483647"}},
	{"int8", "int64", []string{"-9223372036854775808", "-9223372036854775808", "9223372036854775807", "9223372036854775807"}},
	{"oid", "int64", []string{"0", "0", "4294967295", "4294967295"}},
	{"int2vector", "array<int16>", []string{"'1 -2 3'", "[1,-2,3]", "''", "[]"}},
	{"oidvector", "array<int64>", []string{"'4294967295 0'", "[4294967295,0]"}},
	{"float4", "float", []string{"'NaN'", `"NaN"`, "'-Infinity'", `"-Infinity"`, "'-0'", "-0.0", "0.1", "0.1", "3.4028235e38", "3.4028235E38", "1e-45", "1.4E-45", "16777217", "1.6777216E7"}},
	{"float8", "double", []string{"'NaN'", `"NaN"`, "'Infinity'", `"Infinity"`, "'-0'", "-0.0", "0.1", "0.1", "1.7976931348623157e308", "1.7976931348623157E308", "5e-324", "4.9E-324", "12345678", "1.2345678E7", "1e7", "1.0E7"}},
	{"numeric(10,2)", decimal(10, 2), []string{"12345678.9", b64("1234567890"), "-0.01", b64("-1"), "0", b64("0"), "1.005", b64("101"), "-1.28", b64("-128")}},
	{"numeric(5)", decimal(5, 0), []string{"99999", b64("99999"), "-12.5", b64("-13")}},
	{"numeric(38,10)", decimal(38, 10), []string{"1234567890123456789012345678.0123456789", b64("12345678901234567890123456780123456789")}},
	{"numeric(1000,500)", decimal(1000, 500), []string{"-0.5", b64("-5" + strings.Repeat("0", 499)), "1e499", b64("1" + strings.Repeat("0", 999))}},
	{"numeric(3,-2)", decimal(5, 0), []string{"12345", b64("12300"), "-12350", b64("-12400"), "49", b64("0")}},
	{"numeric(3,5)", decimal(3, 5), []string{"0.00123", b64("123")}},
	{"numeric", variable, []string{
		"3.14", `{"scale":2,"value":` + b64("314") + `}`, "100", `{"scale":0,"value":` + b64("100") + `}`, "0.10", `{"scale":1,"value":` + b64("1") + `}`, "0.00", `{"scale":0,"value":` + b64("0") + `}`,
		"1e999", `{"scale":0,"value":` + b64("1"+strings.Repeat("0", 999)) + `}`, "-1e-1000", `{"scale":1000,"value":` + b64("-1") + `}`, "-9223372036854775808", `{"scale":0,"value":` + b64("-9223372036854775808") + `}`,
		"18446744073709551616", `{"scale":0,"value":` + b64("18446744073709551616") + `}`, "'NaN'", "null", "'Infinity'", "null",
	}},
	{"money", "bytes org.apache.kafka.connect.data.Decimal scale=2", []string{"'-$1,234.56'", b64("-123456"), "'92233720368547758.07'", b64("9223372036854775807"), "'-92233720368547758.08'", b64("-9223372036854775808"), "'0.05'", b64("5")}},

	{"char", "string", []string{"'x'", `"x"`, "''", `" "`}},
	{"char(5)", "string", []string{"'ab'", `"ab   "`, "E'\\n\\t'", `"\n\t   "`}},
	{"varchar(10)", "string", []string{"'ab '", `"ab "`}},
	{"varchar", "string", []string{`E'a\\b"\u00e9\U0001F600'`, `"a\\b\"é😀"`}},
	{"text", "string", []string{`E'\x01\b\f\x0b\r'`, `"\u0001\b\f\u000b\r"`, "'\\N'", `"\\N"`, "'\\.'", `"\\."`, "''", `""`}},
	{"bpchar", "string", []string{"'ab '", `"ab "`}},
	{"name", "string", []string{"'a_name'", `"a_name"`}},
	{`"char"`, "string", []string{"'q'", `"q"`, "''", `""`}},
	{"citext", "string", []string{"'CiText'", `"CiText"`}},
	{"uuid", "string io.debezium.data.Uuid", []string{"'6F1E8D2E-4b1a-4f7e-9c8a-0123456789ab'", `"6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab"`}},
	{"json", "string io.debezium.data.Json", []string{`' {"b":  1, "b": 2.50} '`, `" {\"b\":  1, \"b\": 2.50} "`, "'null'", `"null"`}},
	{"jsonb", "string io.debezium.data.Json", []string{`'{"b":  1, "a": 2.50, "b": 3}'`, `"{\"a\": 2.50, \"b\": 3}"`, "'null'", `"null"`}},
	{"xml", "string io.debezium.data.Xml", []string{"'<a b=\"1\"><!-- x --></a>'", `"<a b=\"1\"><!-- x --></a>"`}},
	{"ltree", "string io.debezium.data.Ltree", []string{"'Top.Science'", `"Top.Science"`, "''", `""`}},
	{"isbn", "string", []string{"'978-0-393-04002-9'", `"0-393-04002-X"`}},
	{"tsvector", "string io.debezium.data.Tsvector", []string{"$$'a':1A 'b ''c':2$$", `"'a':1A 'b ''c':2"`}},
	{"hstore", "string io.debezium.data.Json", []string{
		`'a=>1, "b c"=>NULL, q=>"x\"y"'`, `"{\"a\":\"1\",\"q\":\"x\\\"y\",\"b c\":null}"`, "''", `"{}"`, `hstore(E'\n\x1f', 'ü\')`, `"{\"\\n\\u001F\":\"ü\\\\\"}"`,
		// In the order of a Java HashMap, which for more than twelve is one of 32 buckets.
		`(SELECT hstore(array_agg('k'||i), array_agg(i::text)) FROM generate_series(8, 11) i)`, `"{\"k11\":\"11\",\"k10\":\"10\",\"k8\":\"8\",\"k9\":\"9\"}"`,
	}},

	{"bytea", "bytes", []string{`'\xdeadbeef00'`, raw(0xde, 0xad, 0xbe, 0xef, 0), "''", `""`}},
	{"bit(1)", "boolean", []string{"B'1'", "true", "B'0'", "false"}},
	{"bit(8)", "bytes io.debezium.data.Bits length=8", []string{"B'10000001'", raw(0x81), "B'00000000'", `""`}},
	{"bit(9)", "bytes io.debezium.data.Bits length=9", []string{"B'100000010'", raw(0x02, 0x01), "B'000000010'", raw(0x02)}},
	{"bit(64)", "bytes io.debezium.data.Bits length=64", []string{"('x'||'8000000000000001')::bit(64)", raw(1, 0, 0, 0, 0, 0, 0, 0x80)}},
	{"bit(65)", "bytes io.debezium.data.Bits length=65", []string{"B'1' || ('x'||'0000000000000002')::bit(64)", raw(2, 0, 0, 0, 0, 0, 0, 0, 1)}},
	{"varbit", "bytes io.debezium.data.Bits length=2147483647", []string{"B'10110'", raw(0x16), "B''", `""`}},
	{"varbit(1)", "boolean", []string{"B'1'", "true", "B'0'", "false", "B''", "null"}},
	{"varbit(5)", "bytes io.debezium.data.Bits length=5", []string{"B'101'", raw(5)}},

	{"date", "int32 io.debezium.time.Date", []string{"'2024-02-29'", "19782", "'infinity'", "2147483647", "'-infinity'", "-2147483648", "'0044-03-15 BC'", "-735160", "'4714-11-24 BC'", "-2440588", "'5874897-12-31'", "2145042905", "'1582-10-10'", "-141432"}},
	{"time(0)", "int32 io.debezium.time.Time", []string{"'13:14:15.6'", "47656000", "'24:00:00'", "86400000"}},
	{"time(3)", "int32 io.debezium.time.Time", []string{"'13:14:15.1235'", "47655124"}},
	{"time(4)", "int64 io.debezium.time.MicroTime", []string{"'13:14:15.12345'", "47655123500"}},
	{"time", "int64 io.debezium.time.MicroTime", []string{"'13:14:15.123456'", "47655123456", "'24:00:00'", "86400000000", "'0:00'", "0"}},
	{"timetz", "string io.debezium.time.ZonedTime", []string{"'13:14:15.123456+02:30'", `"10:44:15.123456Z"`, "'00:00:00+14'", `"10:00:00Z"`, "'24:00:00+00'", `"00:00:00Z"`, "'12:00:00.5-01:02:03'", `"13:02:03.5Z"`}},
	{"timetz(3)", "string io.debezium.time.ZonedTime", []string{"'23:59:59.999-08'", `"07:59:59.999Z"`}},
	{"timestamp(0)", "int64 io.debezium.time.Timestamp", []string{"'1969-12-31 23:59:59'", "-1000", "'294276-12-31 23:59:59'", "9224318015999000"}},
	{"timestamp(3)", "int64 io.debezium.time.Timestamp", []string{"'1969-12-31 23:59:59.999'", "-1", "'infinity'", "9223372036825200", "'-infinity'", "-9223372036832400"}},
	{"timestamp(4)", "int64 io.debezium.time.MicroTimestamp", []string{"'9999-12-31 23:59:59.9999'", "253402300799999900"}},
	{"timestamp", "int64 io.debezium.time.MicroTimestamp", []string{
		"'2024-02-29 13:14:15.123456'", "1709212455123456", "'1969-12-31 23:59:59.999999'", "-1", "'infinity'", "9223372036825200000", "'-infinity'", "-9223372036832400000",
		"'4713-01-01 00:00:00 BC'", "-210863520000000000", "'294276-12-31 23:59:59.999999'", "9223372036854775807", "'294247-01-10 04:00:54.775806'", "9223372036854775806",
	}},
	{"timestamptz", "string io.debezium.time.ZonedTimestamp", []string{
		"'2024-02-29 13:14:15.12+02'", `"2024-02-29T11:14:15.120000Z"`, "'infinity'", `"infinity"`, "'-infinity'", `"-infinity"`, "'0044-03-15 12:00:00+00 BC'", `"-0043-03-15T12:00:00.000000Z"`,
		"'0001-06-01 12:00:00+00 BC'", `"0000-06-01T12:00:00.000000Z"`, "'294276-12-31 23:59:59+00'", `"+294276-12-31T23:59:59.000000Z"`, "'1883-11-18 12:00:00+07:31:19'", `"1883-11-18T04:28:41.000000Z"`,
	}},
	{"timestamptz(0)", "string io.debezium.time.ZonedTimestamp", []string{"'2024-02-29 13:14:15+00'", `"2024-02-29T13:14:15Z"`}},
	{"timestamptz(3)", "string io.debezium.time.ZonedTimestamp", []string{"'2024-02-29 13:14:15.12+00'", `"2024-02-29T13:14:15.120Z"`}},
	{"interval", "int64 io.debezium.time.MicroDuration", []string{
		"'1 year 2 mons 3 days 04:05:06.789'", "37091106789000", "'-1 year -2 mons +3 days -04:05:06.789'", "-36572706789000", "'0'", "0", "'1 us'", "1", "'-0.000001 s'", "-1",
		"'178000000 years'", "9223372036854775807", "'2147483647 hours'", "7730941129200000000", "'14 mons'", "36817200000000",
	}},
	{"interval year to month", "int64 io.debezium.time.MicroDuration", []string{"'3 years 4 months'", "105192000000000"}},
	{"interval(0)", "int64 io.debezium.time.MicroDuration", []string{"'1.5 s'", "2000000"}},

	{"inet", "string", []string{"'192.168.1.5/24'", `"192.168.1.5/24"`, "'::1'", `"::1"`}},
	{"cidr", "string", []string{"'10.1.0.0/16'", `"10.1.0.0/16"`}},
	{"macaddr", "string", []string{"'08-00-2B-01-02-03'", `"08:00:2b:01:02:03"`}},
	{"macaddr8", "string", []string{"'08:00:2b:01:02:03:04:05'", `"08:00:2b:01:02:03:04:05"`}},
	{"int4range", "string", []string{"'(1,10]'", `"[2,11)"`, "'empty'", `"empty"`}},
	{"int8range", "string", []string{"'(,5)'", `"(,5)"`}},
	{"numrange", "string", []string{"'[1.50,2.5]'", `"[1.50,2.5]"`}},
	{"tsrange", "string", []string{"'[2024-01-01,2024-02-01)'", `"[\"2024-01-01 00:00:00\",\"2024-02-01 00:00:00\")"`}},
	{"tstzrange", "string", []string{"'[2024-01-01 00:00+02,)'", `"[\"2023-12-31 22:00:00+00\",)"`}},
	{"daterange", "string", []string{"'[2024-01-01,2024-02-01]'", `"[2024-01-01,2024-02-02)"`}},
	{"point", "struct io.debezium.data.geometry.Point{x double, y double, wkb bytes?, srid int32?}", []string{"'(1.5,-2)'", `{"x":1.5,"y":-2.0,"wkb":` + raw(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0) + `,"srid":null}`}},

	{`odd."My Mood"`, enumShape, []string{"'happy, very'", `"happy, very"`, `'say "hi"'`, `"say \"hi\""`, "'it''s'", `"it's"`, `'back\slash'`, `"back\\slash"`, "''", `""`}},
	{"posint", "int32", []string{"7", "7"}},
	{"evenmore", "int32", []string{"8", "8"}},
	{"price", decimal(8, 3), []string{"12.345", b64("12345")}},
	{"nestedprice", decimal(8, 3), []string{"-1", b64("-1000")}},
	{"short", "string", []string{"'abc'", `"abc"`}},
	{"millis", "int64 io.debezium.time.Timestamp", []string{"'1970-01-01 00:00:01.5'", "1500"}},
	{"flags", "bytes io.debezium.data.Bits length=9", []string{"B'100000001'", raw(1, 1)}},
	{"mood", enumShape, []string{"'it''s'", `"it's"`}},
	{"ints", "array<int32?>", []string{"'{1,NULL}'", "[1,null]"}},
	{"doc", "string io.debezium.data.Json", []string{"'[1]'", `"[1]"`}},
	{"lo", "int64", []string{"5", "5"}},

	{"bool[]", "array<boolean?>", []string{"'{t,f,NULL}'", "[true,false,null]", "'{}'", "[]"}},
	{"int2[]", "array<int16?>", []string{"'{1,-2}'", "[1,-2]"}},
	{"int4[]", "array<int32?>", []string{"'{1,2,NULL,-3}'", "[1,2,null,-3]", "'[0:1]={5,6}'", "[5,6]", "'{{1,2},{3,NULL}}'", "[1,2,3,null]", "'[-1:0][2:3]={{1,2},{3,4}}'", "[1,2,3,4]", "'{{{1}}}'", "[1]"}},
	{"int8[]", "array<int64?>", []string{"'{9223372036854775807}'", "[9223372036854775807]"}},
	{"oid[]", "array<int64?>", []string{"'{4294967295}'", "[4294967295]"}},
	{"float4[]", "array<float?>", []string{"'{1.5,NULL,NaN,-0}'", `[1.5,null,"NaN",-0.0]`}},
	{"float8[]", "array<double?>", []string{"'{1.25,-Infinity}'", `[1.25,"-Infinity"]`}},
	{"numeric(10,2)[]", "array<" + decimal(10, 2) + "?>", []string{"'{1.1,NULL}'", "[" + b64("110") + ",null]"}},
	{"numeric[]", "array<" + variable + "?>", []string{"'{2.50,NULL}'", `[{"scale":1,"value":` + b64("25") + `},null]`, "'{NaN}'", "null"}},
	{"text[]", "array<string?>", []string{`'{a,"b,c",NULL,"NULL","q\"x","\\",""}'`, `["a","b,c",null,"NULL","q\"x","\\",""]`, `ARRAY[['{','}'],[E'\t','é']]`, `["{","}","\t","é"]`}},
	{"varchar(5)[]", "array<string?>", []string{"'{abc}'", `["abc"]`}},
	{"char(3)[]", "array<string?>", []string{"'{a,bcd}'", `["a  ","bcd"]`}},
	{`"char"[]`, "array<string?>", []string{"'{a}'", `["a"]`}},
	{"citext[]", "array<string?>", []string{"'{Ab}'", `["Ab"]`}},
	{"ltree[]", "array<string io.debezium.data.Ltree?>", []string{"'{a.b,NULL}'", `["a.b",null]`}},
	{"isbn[]", "array<string>", []string{"'{0-393-04002-X}'", `["0-393-04002-X"]`}},
	{"uuid[]", "array<string io.debezium.data.Uuid?>", []string{"'{6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab}'", `["6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab"]`}},
	{"json[]", "array<string io.debezium.data.Json?>", []string{`ARRAY['{"a":  "\\"}'::json, NULL]`, `["{\"a\":  \"\\\\\"}",null]`}},
	{"jsonb[]", "array<string io.debezium.data.Json?>", []string{`ARRAY['{"a": 1}'::jsonb]`, `["{\"a\": 1}"]`}},
	{"hstore[]", "array<string io.debezium.data.Json?>", []string{`ARRAY['a=>"b,c"'::hstore]`, `["{\"a\":\"b,c\"}"]`}},
	{"bytea[]", "array<bytes?>", []string{`ARRAY['\x01ff'::bytea, NULL]`, "[" + raw(1, 255) + ",null]"}},
	{"bit(9)[]", "array<bytes io.debezium.data.Bits length=9?>", []string{"ARRAY[B'100000001'::bit(9), NULL]", "[" + raw(1, 1) + ",null]"}},
	{"bit[]", "array<boolean?>", []string{"ARRAY[B'1', B'0']", "[true,false]"}},
	{"date[]", "array<int32 io.debezium.time.Date?>", []string{"'{2024-01-02,NULL,infinity,0044-03-15 BC}'", "[19724,null,2147483647,-735160]"}},
	{"time[]", "array<int64 io.debezium.time.MicroTime?>", []string{"'{01:02:03.5,24:00:00}'", "[3723500000,86400000000]"}},
	{"time(3)[]", "array<int32 io.debezium.time.Time?>", []string{"'{01:02:03.5}'", "[3723500]"}},
	{"timetz[]", "array<string io.debezium.time.ZonedTime?>", []string{"'{01:02:03+01}'", `["00:02:03Z"]`}},
	{"timestamp[]", "array<int64 io.debezium.time.MicroTimestamp?>", []string{"'{1970-01-01 00:00:01.5,infinity}'", "[1500000,9223372036825200000]"}},
	{"timestamp(0)[]", "array<int64 io.debezium.time.Timestamp?>", []string{"'{1970-01-01 00:00:01}'", "[1000]"}},
	{"timestamptz[]", "array<string io.debezium.time.ZonedTimestamp?>", []string{"'{2024-01-02 03:04:05+00,-infinity}'", `["2024-01-02T03:04:05.000000Z","-infinity"]`}},
	{"inet[]", "array<string?>", []string{"'{1.2.3.4}'", `["1.2.3.4"]`}},
	{"cidr[]", "array<string?>", []string{"'{10.0.0.0/8}'", `["10.0.0.0/8"]`}},
	{"macaddr[]", "array<string?>", []string{"'{08:00:2b:01:02:03}'", `["08:00:2b:01:02:03"]`}},
	{"int4range[]", "array<string?>", []string{`'{"[1,3)",empty}'`, `["[1,3)","empty"]`}},
	{"tstzrange[]", "array<string?>", []string{`ARRAY['[2024-01-01 00:00+00,)'::tstzrange]`, `["[\"2024-01-01 00:00:00+00\",)"]`}},
	{"tsvector[]", "array<string io.debezium.data.Tsvector>", []string{`ARRAY['a b'::tsvector]`, `["'a' 'b'"]`}},
	{`odd."My Mood"[]`, "array<" + enumShape + ">", []string{`ARRAY['sad','happy, very','say "hi"','back\slash','']::odd."My Mood"[]`, `["sad","happy, very","say \"hi\"","back\\slash",""]`}},
}

// unknownTypes are left out by default; the shapes and values are those with
// include.unknown.datatypes.
var unknownTypes = []typeCase{
	{"line", "bytes", []string{"'{1,2.5,-3e10}'", text("{1.0,2.5,-3.0E10}")}},
	{"lseg", "bytes", []string{"'[(0,-0),(1,1e-7)]'", text("[(0.0,-0.0),(1.0,1.0E-7)]")}},
	{"box", "bytes", []string{"'(0,0),(1,123456789)'", text("(1.0,1.23456789E8),(0.0,0.0)")}},
	{"path", "bytes", []string{"'((0,0),(1,1))'", text("((0.0,0.0),(1.0,1.0))"), "'[(0,0),(1,1)]'", text("[(0.0,0.0),(1.0,1.0)]")}},
	{"polygon", "bytes", []string{"'((0,0),(NaN,Infinity))'", text("((0.0,0.0),(NaN,Infinity))")}},
	{"circle", "bytes", []string{"'<(1,2),3>'", text("<(1.0,2.0),3.0>")}},
	{"xid", "bytes", []string{"'4294967295'", text("4294967295")}},
	{"cid", "bytes", []string{"'7'", text("7")}},
	{"tid", "bytes", []string{"'(1,2)'", text("(1,2)")}},
	{"xid8", "bytes", []string{"'18446744073709551615'", text("18446744073709551615")}},
	{"pg_lsn", "bytes", []string{"'16/B374D848'", text("16/B374D848")}},
	{"txid_snapshot", "bytes", []string{"'10:20:10,14,15'", text("10:20:10,14,15")}},
	{"pg_snapshot", "bytes", []string{"'10:20:10,14,15'", text("10:20:10,14,15")}},
	{"regclass", "bytes", []string{"'pg_class'", text("pg_class")}},
	{"regtype", "bytes", []string{"'int4'", text("integer")}},
	{"regproc", "bytes", []string{"'now'", text("now")}},
	{"regrole", "bytes", []string{"'pg_monitor'", text("pg_monitor")}},
	{"regnamespace", "bytes", []string{"'public'", text("public")}},
	{"regconfig", "bytes", []string{"'english'", text("english")}},
	{"tsquery", "bytes", []string{"'fat & (rat | cat)'", text("'fat' & ( 'rat' | 'cat' )")}},
	{"jsonpath", "bytes", []string{"'$.a[*]'", text(`$."a"[*]`)}},
	{"aclitem", "bytes", []string{"'=r/pg_monitor'", text("=r/pg_monitor")}},
	{"int4multirange", "bytes", []string{"'{[1,3),[5,8]}'", text("{[1,3),[5,9)}"), "'{}'", text("{}")}},
	{"tstzmultirange", "bytes", []string{"'{[2024-01-01 00:00+02,)}'", text(`{["2023-12-31 22:00:00+00",)}`)}},
	{"floatrange", "bytes", []string{"'[1.5,2]'", text("[1.5,2]")}},
	{"floatmultirange", "bytes", []string{"'{[1.5,2]}'", text("{[1.5,2]}")}},
	{"pair", "bytes", []string{"ROW(1, 'x \"y\"')", text(`(1,"x ""y""")`)}},
	{"couple", "bytes", []string{"ROW(1, NULL)::pair", text("(1,)")}},
	{"spot", "bytes", []string{"'0/1'", text("0/1")}},
	{"cube", "bytes", []string{"'(1,2),(3,4)'", text("(1, 2),(3, 4)")}},
	{"seg", "bytes", []string{"'1.50 .. 2'", text("1.50 .. 2")}},
	{"earth", "bytes", []string{"ll_to_earth(0, 0)", text("(6378168, 0, 0)")}},
	{"ean13", "bytes", []string{"'978-0-393-04002-9'", text("978-0-393-04002-9")}},
	{"isbn13", "bytes", []string{"'978-0-393-04002-9'", text("978-0-393-04002-9")}},
	{"lquery", "bytes", []string{"'*.b'", text("*.b")}},
	{"ltxtquery", "bytes", []string{"'a & b'", text("a & b")}},
	{"query_int", "bytes", []string{"'1&2'", text("1 & 2")}},
	{"pg_lsn[]", "array<bytes>", []string{"'{0/1}'", "[" + text("0/1") + "]"}},
	{"int4multirange[]", "array<bytes>", []string{"ARRAY['{[1,3)}'::int4multirange]", "[" + text("{[1,3)}") + "]"}},
	{"pair[]", "array<bytes>", []string{"ARRAY[ROW(1, 'x')::pair]", "[" + text("(1,x)") + "]"}},
	{"posint[]", "array<bytes>", []string{"'{1,2}'", "[" + text("1") + "," + text("2") + "]"}},
	{"price[]", "array<bytes>", []string{"'{1.5}'", "[" + text("1.500") + "]"}},
	{"ints[]", "array<bytes>", []string{"ARRAY['{1,2}'::ints]", "[" + text("{1,2}") + "]"}},
	{"box[]", "array<bytes>", []string{"'{(1,1),(0,0);(2,2),(1,1)}'", "[" + text("(1.0,1.0),(0.0,0.0)") + "," + text("(2.0,2.0),(1.0,1.0)") + "]"}},
	{"regclass[]", "array<bytes>", []string{"'{pg_class}'", "[" + text("pg_class") + "]"}},
	{"cube[]", "array<bytes>", []string{"ARRAY['(1,2)'::cube]", "[" + text("(1, 2)") + "]"}},
}

// standIn makes a type with the name and the text of one of an extension that
// cannot be had here.
func standIn(name, delimiter string) string {
	return fmt.Sprintf(`CREATE TYPE %[1]s;
CREATE FUNCTION %[1]s_in(cstring) RETURNS %[1]s AS 'textin' LANGUAGE internal IMMUTABLE STRICT;
CREATE FUNCTION %[1]s_out(%[1]s) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT;
CREATE TYPE %[1]s (INPUT = %[1]s_in, OUTPUT = %[1]s_out, LIKE = text, DELIMITER = '%[2]s')`, name, delimiter)
}

const (
	pointWKB   = "0101000000000000000000F03F0000000000000040"
	pointEWKB  = "0101000020E6100000000000000000F03F0000000000000040"
	pointXDR   = "00200000010000109B3FF00000000000004000000000000000"
	vectorList = "'[0.1,-2,3e-05]'"
)

// standInTypes are those of PostGIS and pgvector.
var standInTypes = []typeCase{
	{"geometry", "struct io.debezium.data.geometry.Geometry{wkb bytes, srid int32?}", []string{
		"'" + pointWKB + "'", `{"wkb":` + unhex(pointWKB) + `,"srid":null}`, "'" + pointEWKB + "'", `{"wkb":` + unhex(pointEWKB) + `,"srid":4326}`, "'" + pointXDR + "'", `{"wkb":` + unhex(pointXDR) + `,"srid":4251}`,
	}},
	{"geography", "struct io.debezium.data.geometry.Geography{wkb bytes, srid int32?}", []string{"'" + pointEWKB + "'", `{"wkb":` + unhex(pointEWKB) + `,"srid":4326}`}},
	{"vector", "array<double> io.debezium.data.DoubleVector", []string{vectorList, "[0.1,-2.0,3.0E-5]"}},
	{"halfvec", "array<float> io.debezium.data.FloatVector", []string{vectorList, "[0.1,-2.0,3.0E-5]"}},
	{"sparsevec", "struct io.debezium.data.SparseDoubleVector{dimensions int16, vector map<int16,double>}", []string{
		"'{1:0.5,17:2,3:-1}/20'", `{"dimensions":20,"vector":[[1,0.5],[17,2.0],[3,-1.0]]}`, "'{}/5'", `{"dimensions":5,"vector":[]}`, "'{1:1}/40000'", "null",
	}},
	{"geometry[]", "array<struct io.debezium.data.geometry.Geometry{wkb bytes, srid int32?}?>", []string{"'{" + pointWKB + ":NULL:" + pointEWKB + "}'", `[{"wkb":` + unhex(pointWKB) + `,"srid":null},null,{"wkb":` + unhex(pointEWKB) + `,"srid":4326}]`}},
	{"geography[]", "array<struct io.debezium.data.geometry.Geography{wkb bytes, srid int32?}?>", []string{"'{" + pointWKB + "}'", `[{"wkb":` + unhex(pointWKB) + `,"srid":null}]`}},
	{"vector[]", "array<array<double> io.debezium.data.DoubleVector>", []string{`'{"[1,2]"}'`, "[[1.0,2.0]]"}},
}

var standIns = strings.Join([]string{
	standIn("geometry", ":"), standIn("geography", ":"), standIn("vector", ","), standIn("halfvec", ","), standIn("sparsevec", ","),
}, ";")

// unhex is the JSON of bytes in hexadecimal digits.
func unhex(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return raw(b...)
}

// formless are types that Debezium leaves out whatever the settings.
var formless = []string{"money[]", "name[]", "interval[]", "varbit[]", "xml[]", "point[]", "refcursor[]"}

// Types that other settings change.
var (
	isoTypes = []typeCase{
		{"date", "string io.debezium.time.IsoDate", []string{"'2017-09-15'", `"2017-09-15Z"`, "'infinity'", `"infinity"`, "'-infinity'", `"-infinity"`, "'0044-03-15 BC'", `"-0043-03-15Z"`, "'12345-01-02'", `"+12345-01-02Z"`, "'0001-01-01 BC'", `"0000-01-01Z"`}},
		{"time(3)", "string io.debezium.time.IsoTime", []string{"'04:05:11.789'", `"04:05:11.789Z"`, "'04:05'", `"04:05:00Z"`, "'24:00'", `"24:00:00Z"`}},
		{"timestamp(0)", "string io.debezium.time.IsoTimestamp", []string{"'2019-07-09 02:28:57'", `"2019-07-09T02:28:57Z"`}},
		{"timestamp", "string io.debezium.time.IsoTimestamp", []string{"'2019-07-09 02:28:57.12345'", `"2019-07-09T02:28:57.12345Z"`, "'-infinity'", `"-infinity"`, "'4713-01-01 00:00:00 BC'", `"-4712-01-01T00:00:00Z"`, "'294276-12-31 23:59:59.999999'", `"+294276-12-31T23:59:59.999999Z"`}},
		{"timestamptz", "string io.debezium.time.ZonedTimestamp", []string{"'2019-07-09 02:28:57+00'", `"2019-07-09T02:28:57.000000Z"`}},
		{"timetz", "string io.debezium.time.ZonedTime", []string{"'02:28:57+00'", `"02:28:57Z"`}},
		{"date[]", "array<string io.debezium.time.IsoDate?>", []string{"'{2017-09-15,NULL}'", `["2017-09-15Z",null]`}},
		{"timestamp[]", "array<string io.debezium.time.IsoTimestamp?>", []string{"'{2017-09-15 01:02:03}'", `["2017-09-15T01:02:03Z"]`}},
		{"time[]", "array<string io.debezium.time.IsoTime?>", []string{"'{01:02:03}'", `["01:02:03Z"]`}},
		{"interval", "string io.debezium.time.Interval", []string{"'1 year 2 mons 3 days 04:05:06.78'", `"P1Y2M3DT4H5M6.78S"`, "'-1 year -2 mons +3 days -04:05:06.000007'", `"P-1Y-2M3DT-4H-5M-6.000007S"`, "'0'", `"P0Y0M0DT0H0M0S"`, "'-0.5 s'", `"P0Y0M0DT0H0M-0.5S"`, "'100:00:00'", `"P0Y0M0DT100H0M0S"`, "'14 mons'", `"P1Y2M0DT0H0M0S"`}},
		{"numeric(10,2)", "string", []string{"12345678.9", `"12345678.90"`, "-0.01", `"-0.01"`}},
		{"numeric", "string", []string{"3.1400", `"3.1400"`, "'NaN'", `"NAN"`, "'Infinity'", `"POSITIVE_INFINITY"`, "'-Infinity'", `"NEGATIVE_INFINITY"`, "1e30", `"1` + strings.Repeat("0", 30) + `"`}},
		{"numeric(3,-2)", "string", []string{"12345", `"12300"`}},
		{"money", "string", []string{"'-$1,234.56'", `"-1234.56"`, "'0.05'", `"0.05"`}},
		{"numeric[]", "array<string?>", []string{"'{1.50,NULL,NaN}'", `["1.50",null,"NAN"]`}},
		{"bytea", "string", []string{`'\xfbff00'`, `"fbff00"`, "''", `""`}},
		{"bytea[]", "array<string?>", []string{`ARRAY['\xfb'::bytea,NULL]`, `["fb",null]`}},
		{"hstore", "map<string,string?>", []string{`'"b c"=>NULL, a=>"1"'`, `{"a":"1","b c":null}`, "''", "{}"}},
		{"hstore[]", "array<map<string,string?>?>", []string{`ARRAY['a=>1'::hstore,NULL]`, `[{"a":"1"},null]`}},
		{"bit(8)", "bytes io.debezium.data.Bits length=8", []string{"B'10000001'", raw(0x81)}},
	}
	doubleTypes = []typeCase{
		{"numeric(10,2)", "double", []string{"12345678.9", "1.23456789E7"}},
		{"numeric", "double", []string{"'NaN'", `"NaN"`, "'-Infinity'", `"-Infinity"`, "1e400", `"Infinity"`, "0.1", "0.1"}},
		{"money", "double", []string{"'-$1,234.56'", "-1234.56"}},
		{"numeric(5)[]", "array<double?>", []string{"'{1,NULL}'", "[1.0,null]"}},
		{"time(0)", "int64 io.debezium.time.MicroTime", []string{"'00:00:01'", "1000000"}},
		{"timestamp(0)", "int64 io.debezium.time.MicroTimestamp", []string{"'1970-01-01 00:00:01'", "1000000", "'infinity'", "9223372036825200000"}},
		{"date", "int32 io.debezium.time.Date", []string{"'1970-01-02'", "1"}},
		{"bytea", "string", []string{`'\xfbff'`, `"-_8="`}},
		{"pg_lsn", "string", []string{"'0/1'", `"MC8x"`}},
		{"posint[]", "array<string>", []string{"'{1}'", `["MQ=="]`}},
	}
	nanoTypes = []typeCase{
		{"time", "int64 io.debezium.time.NanoTime", []string{"'00:00:01.000001'", "1000001000", "'24:00'", "86400000000000"}},
		{"timestamp(3)", "int64 io.debezium.time.NanoTimestamp", []string{"'1970-01-01 00:00:00.001'", "1000000", "'infinity'", "9223372036854775807", "'-infinity'", "-9223372036854775808", "'9999-12-31'", "null", "'1500-01-01'", "null", "'2262-04-11'", "9223286400000000000"}},
		{"money", "bytes org.apache.kafka.connect.data.Decimal scale=0", []string{"'0.5'", b64("1"), "'-0.5'", b64("-1"), "'1.49'", b64("1"), "'-1234.56'", b64("-1235")}},
		{"bytea", "string", []string{`'\xfbff'`, `"+/8="`}},
	}
	connectTypes = []typeCase{
		{"date", "int32 org.apache.kafka.connect.data.Date", []string{"'1970-01-02'", "1"}},
		{"time", "int32 org.apache.kafka.connect.data.Time", []string{"'00:00:01.5009'", "1500"}},
		{"timestamp", "int64 org.apache.kafka.connect.data.Timestamp", []string{"'1969-12-31 23:59:59.9999'", "-1", "'infinity'", "9223372036825200"}},
		{"date[]", "array<int32 org.apache.kafka.connect.data.Date?>", []string{"'{1970-01-02}'", "[1]"}},
	}
	adaptiveTypes = []typeCase{
		{"time(0)", "int64 io.debezium.time.MicroTime", []string{"'00:00:01'", "1000000"}},
		{"timestamp(0)", "int64 io.debezium.time.Timestamp", []string{"'1970-01-01 00:00:01'", "1000"}},
		{"timestamp(4)", "int64 io.debezium.time.MicroTimestamp", []string{"'1970-01-01 00:00:01'", "1000000"}},
		{"money", "bytes org.apache.kafka.connect.data.Decimal scale=4", []string{"'-$0.05'", b64("-500"), "'92233720368547758.07'", b64("922337203685477580700")}},
	}
)

// TestTypes_AppearAsInDebezium has a column of each type, with values whose
// events are known, and reads them from a snapshot and from the log.
func TestTypes_AppearAsInDebezium(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version  string
		settings []string
		objects  string
		types    []typeCase
	}{
		"defaults":       {types: defaultTypes},
		"defaults on 15": {version: "15", types: defaultTypes},
		"extensions":     {objects: standIns, types: standInTypes},
		"unknown":        {types: unknownTypes, settings: []string{"include.unknown.datatypes", "true"}},
		"unknown on 15":  {version: "15", types: unknownTypes, settings: []string{"include.unknown.datatypes", "true"}},
		"text": {types: isoTypes, settings: []string{
			"time.precision.mode", "isostring", "decimal.handling.mode", "string", "binary.handling.mode", "hex", "hstore.handling.mode", "map", "interval.handling.mode", "string", "money.fraction.digits", "1",
		}},
		"doubles": {types: doubleTypes, settings: []string{
			"time.precision.mode", "microseconds", "decimal.handling.mode", "double", "binary.handling.mode", "base64-url-safe", "include.unknown.datatypes", "true",
		}},
		"nanoseconds": {types: nanoTypes, settings: []string{"time.precision.mode", "nanoseconds", "binary.handling.mode", "base64", "money.fraction.digits", "0"}},
		"connect":     {types: connectTypes, settings: []string{"time.precision.mode", "connect"}},
		"adaptive":    {types: adaptiveTypes, settings: []string{"time.precision.mode", "adaptive_time_microseconds", "money.fraction.digits", "4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version := c.version
			if version == "" {
				version = "18"
			}
			b := setup(t, servers.Postgres(t, servers.Version(version)), c.settings...)
			b.exec(cmp.Or(c.objects, typeObjects))
			var columns []string
			for i, tc := range c.types {
				columns = append(columns, fmt.Sprintf("c%d %s", i, tc.typ))
			}
			b.exec("CREATE TABLE t (id int PRIMARY KEY, " + strings.Join(columns, ", ") + ")")
			r := b.stream(nil)
			var insert []string
			for row := 0; ; row++ {
				var names, values []string
				for i, tc := range c.types {
					if 2*row < len(tc.values) {
						names, values = append(names, fmt.Sprintf("c%d", i)), append(values, tc.values[2*row])
					}
				}
				if names == nil {
					break
				}
				insert = append(insert, fmt.Sprintf("INSERT INTO t (id, %s) VALUES (%d, %s)", strings.Join(names, ", "), row, strings.Join(values, ", ")))
			}
			b.exec(insert...)
			snapshot, stream := b.bothWays(r, len(insert))
			for i, tc := range c.types {
				column := fmt.Sprintf("c%d", i)
				for from, rows := range map[string][]recordedRow{"snapshot": snapshot, "stream": stream} {
					field, ok := rows[0].fields[column].(map[string]any)
					if !ok {
						t.Errorf("%s: %s has no such column", from, tc.typ)
						continue
					}
					if got := shapeOf(field); got != tc.shape+"?" {
						t.Errorf("%s: %s is\n     %s\nwant %s?", from, tc.typ, got, tc.shape)
					}
					for k := 0; k < len(tc.values); k += 2 {
						b.equalJSON(fmt.Sprintf("%s: %s %s", from, tc.typ, tc.values[k]), rows[k/2].after[column], tc.values[k+1])
					}
				}
			}
		})
	}
}

// equalJSON compares a decoded value with JSON.
func (b *bundle) equalJSON(what string, got any, text string) {
	b.t.Helper()
	var want any
	if err := decodeNumbers([]byte(text), &want); err != nil {
		b.t.Fatalf("%s: %v", text, err)
	}
	if !reflect.DeepEqual(got, want) {
		b.t.Errorf("%s is %s, want %s", what, short(got), short(want))
	}
}

// bothWays returns the rows of table t from a snapshot and from the log.
func (b *bundle) bothWays(r *reader, n int) (snapshot, stream []recordedRow) {
	b.t.Helper()
	stream = r.rows(n)
	r.close()
	return b.copied(), stream
}

// copied returns the rows of table t from a snapshot, in the order of id.
func (b *bundle) copied() []recordedRow {
	b.t.Helper()
	log := &rowLog{t: b.t, rows: map[string][]recordedRow{}, encoders: map[*schema.Table]converters.Encoder{}}
	copyAll(b.t, b, log.add)
	rows := log.rows["public.t"]
	slices.SortFunc(rows, func(x, y recordedRow) int { return int(idOf(b.t, x) - idOf(b.t, y)) })
	return rows
}

func idOf(t *testing.T, r recordedRow) int64 {
	t.Helper()
	n, err := r.after["id"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rows reads n events of table t off the log.
func (r *reader) rows(n int) []recordedRow {
	r.t.Helper()
	log := &rowLog{t: r.t, rows: map[string][]recordedRow{}, encoders: map[*schema.Table]converters.Encoder{}}
	r.each = log.add
	r.take(n)
	return log.rows["public.t"]
}

// shapeOf writes a JSON schema in short: type, name, parameters, elements, and
// a question mark if it is optional.
func shapeOf(s map[string]any) string {
	var b strings.Builder
	switch s["type"] {
	case "array":
		fmt.Fprintf(&b, "array<%s>", shapeOf(s["items"].(map[string]any)))
	case "map":
		fmt.Fprintf(&b, "map<%s,%s>", shapeOf(s["keys"].(map[string]any)), shapeOf(s["values"].(map[string]any)))
	default:
		fmt.Fprint(&b, s["type"])
	}
	if name, ok := s["name"]; ok {
		fmt.Fprintf(&b, " %s", name)
	}
	if parameters, ok := s["parameters"].(map[string]any); ok {
		for _, key := range []string{"scale", "connect.decimal.precision", "length", "allowed"} {
			if v, ok := parameters[key]; ok {
				fmt.Fprintf(&b, " %s=%s", key, v)
			}
		}
	}
	if fields, ok := s["fields"].([]any); ok {
		var parts []string
		for _, f := range fields {
			m := f.(map[string]any)
			parts = append(parts, fmt.Sprintf("%s %s", m["field"], shapeOf(m)))
		}
		fmt.Fprintf(&b, "{%s}", strings.Join(parts, ", "))
	}
	if s["optional"] == true {
		b.WriteByte('?')
	}
	return b.String()
}
