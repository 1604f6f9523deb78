package conformance

import (
	"fmt"
	"strings"
)

// A deviation is a value that Debezium loses or mangles, where Penstock has
// the right one.
type deviation struct {
	entry
	// want is what there is in place of the recorded value, as JSON: by the
	// record's key, by its place in the topic ("[3]") or for all ("*").
	want   map[string]string
	reason string
}

// both are values of the rows that a workload copies: those with the given ids
// and those with 100 more.
func both(byID map[int]string) map[string]string {
	want := map[string]string{}
	for id, value := range byID {
		want[fmt.Sprintf(`{"id":%d}`, id)] = value
		want[fmt.Sprintf(`{"id":%d}`, 100+id)] = value
	}
	return want
}

func always(value string) map[string]string { return map[string]string{"*": value} }

// deviations are all there are. Each has a line in docs/compatibility.md.
var deviations = append(append([]deviation{}, postgresDeviations...), mysqlDeviations...)

const (
	negativeScale = "numeric(3,-2) is taken for a scale of 2046"
	infiniteDates = "infinite dates become arbitrary numbers"
	foreignKeys   = "the log lacks the primary key of rows under REPLICA IDENTITY USING INDEX, and the key of deletes is 0"
	roundedFloats = "a snapshot has the text that the server rounded for display"
	yearZero      = "the year 0 is 2000 in a snapshot and 1900 in the log"
	charZero      = "CHAR(0) is taken for CHAR(10)"
	wrongDefaults = "defaults are not what the column's value would be"
	twoTexts      = "a snapshot has the text that the server shows, the log another for the same value"
)

var postgresDeviations = []deviation{
	{entry{"postgres", "default", "g.t_num", "value.after.c_decimal_neg"}, both(map[int]string{1: `"MAw="`, 2: `"z/Q="`, 5: `"ZA=="`, 6: `"ZA=="`}), negativeScale},
	{entry{"postgres", "schemas", "g.t_num", "value.after.c_decimal_neg"}, both(map[int]string{1: `"MAw="`, 2: `"z/Q="`, 5: `"ZA=="`, 6: `"ZA=="`}), negativeScale},
	{entry{"postgres", "schemas", "g.t_num", "value.schema.*.c_decimal_neg.parameters.scale"}, always(`"0"`), negativeScale},
	{entry{"postgres", "schemas", "g.t_num", "value.schema.*.c_decimal_neg.parameters.connect.decimal.precision"}, always(`"5"`), negativeScale},
	{entry{"postgres", "variant1", "g.t_num", "value.after.c_decimal_neg"}, both(map[int]string{1: `"12300"`, 2: `"-12300"`, 4: `"0"`, 5: `"100"`, 6: `"100"`}), negativeScale},
	{entry{"postgres", "*", "g.t_time", "value.after.c_date"}, both(map[int]string{4: `2147483647`, 5: `-2147483648`}), infiniteDates},
	{entry{"postgres", "*", "g.t_text", "value.after.c_name"}, map[string]string{`{"id":101}`: `"a_name"`, `{"id":103}`: `""`}, "the log's values of type name are lost"},
	{entry{"postgres", "*", "g.t_arr", "value.after.c_int2d"}, both(map[int]string{1: `[1,2,3,4]`}), "the elements of arrays of two dimensions are lost"},
	{entry{"postgres", "*", "g.t_def", "value.schema.*.d_varchar.default"}, always(`"it's"`), "a default is cut at its quote"},
	{entry{"postgres", "variant1", "g.toast", "value.after.c_bytea"}, always(`"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="`), "under binary.handling.mode=base64 an unchanged bytea is null instead of the placeholder"},

	{entry{"postgres", "*", topicTransactions, "value.data_collections.0.data_collection"}, always(`"LOGICAL_DECODING_MESSAGE"`), "a logical message counts for a collection named by the address of a Java object"},

	{entry{"postgres", "*", "g.ri_index", "key"}, map[string]string{
		`{"u":"u1"}`: `{"u":"u1"}`, `{"u":"u2"}`: `{"u":"u2"}`, `{"u":"u2b"}`: `{"u":"u2b"}`,
	}, foreignKeys},
	{entry{"postgres", "*", "g.ri_index", "key.schema.id"}, always(missing), foreignKeys},
	{entry{"postgres", "*", "g.ri_index", "key.schema.u"}, always(`{"type":"string","optional":false,"field":"u"}`), foreignKeys},
	{entry{"postgres", "*", "g.ri_index", "headers.__debezium_newkey"}, always(`{"u":"u2b"}`), foreignKeys},
	{entry{"postgres", "*", "g.ri_index", "headers.__debezium_oldkey"}, always(`{"u":"u2"}`), foreignKeys},
}

var mysqlDeviations = []deviation{
	{entry{"mysql", "*", "gold.t_dec", "value.after.c_double_p"}, map[string]string{`{"id":2}`: `-0.0010000000000000009`}, roundedFloats},
	{entry{"mysql", "*", "gold.t_dec", "value.after.c_float"}, map[string]string{`{"id":5}`: `1.6777216E7`}, roundedFloats},
	{entry{"mysql", "*", "gold.t_dec", "value.after.c_float24"}, map[string]string{`{"id":5}`: `123456.79`}, roundedFloats},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_year"}, both(map[int]string{4: `0`}), yearZero},
	{entry{"mysql", "*", "gold.t_zero", "value.after.y"}, both(map[int]string{1: `0`}), yearZero},
	{entry{"mysql", "*", "gold.t_str", "value.after.c_enum"}, map[string]string{`{"id":101}`: `"b,c"`}, "a comma in a member of an enumeration has a backslash before it in the log's values"},
	{entry{"mysql", "default", "gold.t_time", "value.after.c_dt4"}, map[string]string{`{"id":3}`: `-12219724800000000`}, "a snapshot counts dates before 1582 by the Julian calendar"},
	{entry{"mysql", "schemas", "gold.t_time", "value.after.c_dt4"}, map[string]string{`{"id":3}`: `-12219724800000000`}, "a snapshot counts dates before 1582 by the Julian calendar"},
	{entry{"mysql", "variant1", "gold.t_time", "value.after.c_dt4"}, map[string]string{`{"id":3}`: `-12219724800000`}, "a snapshot counts dates before 1582 by the Julian calendar"},
	{entry{"mysql", "*", "gold.t_def", "value.schema.*.d_big.default"}, always(`9007199254740993`), wrongDefaults},
	{entry{"mysql", "schemas", "gold.t_def", "value.schema.*.d_bigu.default"}, always(`-1`), wrongDefaults},
	{entry{"mysql", "variant1", "gold.t_str", "value.schema.*.c_char0.parameters.__debezium.source.column.length"}, always(`"0"`), charZero},
	{entry{"mysql", "*", topicChanges, "value.tableChanges.0.table.columns.2.length"}, map[string]string{"[41]": `0`}, charZero},
	{entry{"mysql", "*", topicHistory, "value.tableChanges.0.table.columns.2.length"}, map[string]string{"[41]": `0`}, charZero},
	{entry{"mysql", "*", topicChanges, "value.tableChanges.0.table.columns.6.defaultValueExpression"}, map[string]string{"[38]": `"it's"`}, wrongDefaults},
	{entry{"mysql", "*", topicHistory, "value.tableChanges.0.table.columns.6.defaultValueExpression"}, map[string]string{"[38]": `"it's"`}, wrongDefaults},
	{entry{"mysql", "*", "gold.t_def", "value.schema.*.d_vc.default"}, always(`"it's"`), wrongDefaults},
	{entry{"mysql", "*", "gold.big", "value.after.j"}, map[string]string{"[0]": `"{\"a\":1,\"pad\":\"` + strings.Repeat("p", 5000) + `\"}"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_str", "value.after.c_json"}, map[string]string{"[0]": `"{\"a\":1,\"b\":[true,null,1.5,-1,18446744073709551615,10000000000,\"x\\\"y\"],\"c\":{\"d\":\"é€\uD83D\uDE00\"},\"big\":12345678901}"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts1"}, map[string]string{"[3]": `"2000-01-01T00:00:00.0Z"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts2"}, map[string]string{"[2]": `"1970-01-01T00:00:01.00Z"`, "[3]": `"2000-01-01T00:00:00.00Z"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts3"}, map[string]string{"[3]": `"2000-01-01T00:00:00.000Z"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts4"}, map[string]string{"[2]": `"2000-01-01T00:00:00.0000Z"`, "[3]": `"2000-01-01T00:00:00.0000Z"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts5"}, map[string]string{"[2]": `"2000-01-01T00:00:00.00000Z"`, "[3]": `"2000-01-01T00:00:00.00000Z"`}, twoTexts},
	{entry{"mysql", "*", "gold.t_time", "value.after.c_ts6"}, map[string]string{"[3]": `"2000-01-01T00:00:00.000000Z"`}, twoTexts},
}
