package postgres

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// newTestSource returns a source without a connection, and the configuration
// with the given settings as pairs of key and value.
func newTestSource(t testing.TB, pairs ...string) *source {
	t.Helper()
	raw := map[string]string{
		"topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		raw[pairs[i]] = pairs[i+1]
	}
	v, problems := definitions().Parse(raw)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	c, problems := newConfig(v)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return &source{config: c, log: slog.New(slog.DiscardHandler), plans: map[uint32]*plan{}, xid: 7, micros: 1_700_000_000_000_000, commit: 1 << 32}
}

// column is a column of a test's table with one value.
type column struct {
	typ, value string
}

// elevenColumns are about what an application's table has.
var elevenColumns = []column{
	{"int8", "9007199254740993"},
	{"int4", "42"},
	{"text", "the quick brown fox jumps over the lazy dog, and then some more of it"},
	{"varchar", "somebody@example.com"},
	{"numeric", "12345678.90"},
	{"float8", "2.718281828459045"},
	{"bool", "t"},
	{"timestamptz", "2024-02-29 13:14:15.123456+00"},
	{"timestamp", "2024-02-29 13:14:15.123"},
	{"uuid", "6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab"},
	{"jsonb", `{"a": [1, 2, 3], "b": "text"}`},
}

// describe gives the source a table of these columns, whose first is the key.
func (s *source) describeTest(t testing.TB, columns []column) *plan {
	t.Helper()
	infos := map[uint32]*typeInfo{}
	var list []columnInfo
	for i, c := range columns {
		oid := uint32(100 + 2*i)
		name, isArray := strings.CutSuffix(c.typ, "[]")
		mod := int32(-1)
		if name == "numeric" {
			mod = (12<<16 | 2) + 4
		}
		infos[oid] = &typeInfo{oid: oid, namespace: catalog, name: name, kind: 'b', delimiter: ',', digits: 2}
		if name == "hstore" {
			infos[oid].namespace = "public"
		}
		if isArray {
			infos[oid+1] = &typeInfo{oid: oid + 1, namespace: catalog, name: "_" + name, kind: 'b', elem: oid}
			oid++
		}
		list = append(list, columnInfo{name: "c" + string(rune('a'+i)), oid: oid, mod: mod, notNull: i == 0})
	}
	p, err := s.newPlan(s.log, "public", "t", list, &tableInfo{key: []string{"ca"}}, infos)
	if err != nil {
		t.Fatal(err)
	}
	s.plans[1] = p
	return p
}

func appendTuple(m []byte, columns []column) []byte {
	m = binary.BigEndian.AppendUint16(m, uint16(len(columns)))
	for _, c := range columns {
		m = append(m, 't')
		m = binary.BigEndian.AppendUint32(m, uint32(len(c.value)))
		m = append(m, c.value...)
	}
	return m
}

func insertMessage(columns []column) []byte {
	return appendTuple([]byte{'I', 0, 0, 0, 1, 'N'}, columns)
}

func updateMessage(columns []column) []byte {
	m := appendTuple([]byte{'U', 0, 0, 0, 1, 'O'}, columns)
	return appendTuple(append(m, 'N'), columns)
}

func TestDecode_DoesNotAllocate(t *testing.T) {
	columns := append([]column{}, elevenColumns...)
	columns = append(columns, []column{
		{"int4[]", "{1,2,NULL,-3}"},
		{"text[]", `{a,"b,c",NULL,"q\"x"}`},
		{"bytea", `\xdeadbeef00`},
		{"bit", "10110"},
		{"date", "2024-02-29"},
		{"time", "13:14:15.123456"},
		{"timetz", "13:14:15.123456+02:30"},
		{"interval", "1 year 2 mons 3 days 04:05:06.789"},
		{"money", "$1,234.56"},
		{"point", "(1.5,-2)"},
		{"hstore", `"a"=>"1", "b c"=>NULL`},
		{"float4", "1.5"},
		{"inet", "10.0.0.1"},
	}...)
	s := newTestSource(t)
	s.describeTest(t, columns)
	var b schema.Batch
	for name, message := range map[string][]byte{"insert": insertMessage(columns), "update": updateMessage(columns)} {
		if got := testing.AllocsPerRun(500, func() {
			b.Reset()
			for range 8 {
				if err := s.decode(t.Context(), &b, walData{at: 12345, data: message}); err != nil {
					t.Fatal(err)
				}
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations for eight rows", name, got)
		}
	}
}

func TestCopyRow_DoesNotAllocate(t *testing.T) {
	s := newTestSource(t)
	p := &scanPlan{plan: s.describeTest(t, elevenColumns)}
	line := copyLine(elevenColumns)
	scratch := make([]byte, len(line))
	var b schema.Batch
	if got := testing.AllocsPerRun(500, func() {
		b.Reset()
		for range 8 {
			copy(scratch, line)
			if err := p.event(&b, scratch); err != nil {
				t.Fatal(err)
			}
		}
	}); got != 0 {
		t.Errorf("%v allocations for eight rows", got)
	}
}

func copyLine(columns []column) []byte {
	var b bytes.Buffer
	for i, c := range columns {
		if i > 0 {
			b.WriteByte('\t')
		}
		b.WriteString(strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`).Replace(c.value))
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	s := newTestSource(b)
	s.describeTest(b, elevenColumns)
	for name, message := range map[string][]byte{"insert": insertMessage(elevenColumns), "update": updateMessage(elevenColumns)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			var batch schema.Batch
			for b.Loop() {
				if batch.Full() {
					batch.Reset()
				}
				if err := s.decode(b.Context(), &batch, walData{at: 12345, data: message}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCopyRow(b *testing.B) {
	s := newTestSource(b)
	p := &scanPlan{plan: s.describeTest(b, elevenColumns)}
	line := copyLine(elevenColumns)
	scratch := make([]byte, len(line))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var batch schema.Batch
	for b.Loop() {
		if batch.Full() {
			batch.Reset()
		}
		copy(scratch, line)
		if err := p.event(&batch, scratch); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTypes_Values has what the recordings do not.
func TestTypes_Values(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ      string
		settings []string
		in, want string
	}{
		{typ: "int8", in: "-9223372036854775808", want: "-9223372036854775808"},
		{typ: "int8", in: "9223372036854775808", want: "error"},
		{typ: "int4", in: "", want: "error"},
		{typ: "float8", in: "1e400", want: "+Inf"},
		{typ: "float8", in: "-Infinity", want: "-Inf"},
		{typ: "numeric", in: "NaN", want: "error"},
		{typ: "numeric", in: "NaN", settings: []string{"decimal.handling.mode", "double"}, want: "NaN"},
		{typ: "numeric", in: "-Infinity", settings: []string{"decimal.handling.mode", "string"}, want: `"NEGATIVE_INFINITY"`},
		{typ: "money", in: "-$1,234,567.05", want: `"-1234567.05"`},
		{typ: "date", in: "infinity", want: "2147483647"},
		{typ: "date", in: "-infinity", want: "-2147483648"},
		{typ: "date", in: "0044-03-15 BC", want: "-735160"},
		{typ: "date", in: "5874897-12-31", want: "2145042905"},
		{typ: "date", in: "2024-2-29", want: "error"},
		{typ: "date", settings: []string{"time.precision.mode", "isostring"}, in: "2017-09-15", want: `"2017-09-15Z"`},
		{typ: "date", settings: []string{"time.precision.mode", "isostring"}, in: "0044-03-15 BC", want: `"-0043-03-15Z"`},
		{typ: "time", settings: []string{"time.precision.mode", "nanoseconds"}, in: "00:00:01.5", want: "1500000000"},
		{typ: "time", settings: []string{"time.precision.mode", "isostring"}, in: "00:00:01.5", want: `"00:00:01.5Z"`},
		{typ: "timestamp", settings: []string{"time.precision.mode", "nanoseconds"}, in: "2262-04-11 00:00:00", want: "9223286400000000000"},
		{typ: "timestamp", settings: []string{"time.precision.mode", "nanoseconds"}, in: "2262-04-12 00:00:00", want: "error"},
		{typ: "timestamp", settings: []string{"time.precision.mode", "nanoseconds"}, in: "1677-09-21 00:00:00", want: "error"},
		{typ: "timestamp", settings: []string{"time.precision.mode", "nanoseconds"}, in: "-infinity", want: "-9223372036854775808"},
		{typ: "timestamp", settings: []string{"time.precision.mode", "isostring"}, in: "2017-09-15 01:02:03.4", want: `"2017-09-15T01:02:03.4Z"`},
		{typ: "timestamp", settings: []string{"time.precision.mode", "connect"}, in: "1969-12-31 23:59:59.999999", want: "-1"},
		{typ: "timestamptz", in: "infinity", want: `"infinity"`},
		{typ: "timestamptz", in: "0001-01-01 00:00:00+00 BC", want: `"0000-01-01T00:00:00.000000Z"`},
		{typ: "timestamptz", in: "2024-01-01 00:00:00+05", want: "error"},
		{typ: "timetz", in: "00:00:00+14", want: `"10:00:00Z"`},
		{typ: "timetz", in: "12:00:00.5-01:02:03", want: `"13:02:03.5Z"`},
		{typ: "interval", in: "-1 years -2 mons +3 days -100:05:06.5", want: "-36918306500000"},
		{typ: "interval", in: "infinity", want: "9223372036854775807"},
		{typ: "interval", in: "1 fortnight", want: "error"},
		{typ: "interval", settings: []string{"interval.handling.mode", "string"}, in: "-1 days -00:00:01.5", want: `"P0Y0M-1DT0H0M-1.5S"`},
		{typ: "bytea", in: `\x`, want: "0x"},
		{typ: "bytea", in: `a\\b\001`, want: "0x615c6201"},
		{typ: "bytea", in: `\xzz`, want: "error"},
		{typ: "bytea", settings: []string{"binary.handling.mode", "hex"}, in: `\xDEAD`, want: `"dead"`},
		{typ: "bytea", settings: []string{"binary.handling.mode", "base64-url-safe"}, in: `\xfbff`, want: `"-_8="`},
		{typ: "bit", in: "100000000", want: "0x0001"},
		{typ: "bit", in: "12", want: "error"},
		{typ: "int4[]", in: "[0:1]={5,6}", want: "array[]schema.Value{5, 6}"},
		{typ: "int4[]", in: "{{1,2},{3,NULL}}", want: "array[]schema.Value{1, 2, 3, null}"},
		{typ: "int4[]", in: "{1,2", want: "error"},
		{typ: "int4[]", in: "{1}}", want: "error"},
		{typ: "int4[]", in: "", want: "error"},
		{typ: "text[]", in: `{"",null,"null",a b}`, want: `array[]schema.Value{"", null, "null", "a b"}`},
		{typ: "hstore", in: `"a\"b"=>"c\\d", "e"=>""`, want: `"{\"a\\\"b\":\"c\\\\d\",\"e\":\"\"}"`},
		{typ: "hstore", in: `"a"=>`, want: "error"},
		{typ: "hstore", settings: []string{"hstore.handling.mode", "map"}, in: `"a"=>"1", "b"=>NULL`, want: `map[]schema.Value{"a", "1", "b", null}`},
		{typ: "point", in: "(1,2", want: "error"},
		{typ: "bool", in: "yes", want: "error"},
	} {
		s := newTestSource(t, c.settings...)
		p := s.describeTest(t, []column{{typ: "int4"}, {typ: c.typ}})
		var a schema.Arena
		got := "error"
		in := []byte(c.in)
		if v, err := p.columns[1].decode(&a, in); err == nil {
			clear(in) // nothing may refer to it
			got = v.GoString()
		}
		if got != c.want {
			t.Errorf("%s %q %v: got %s, want %s", c.typ, c.in, c.settings, got, c.want)
		}
	}
}

func TestUnscaled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]byte{
		"0": {0}, "127": {127}, "128": {0, 128}, "-128": {128}, "-129": {255, 127}, "1.28": {0, 128},
		"9223372036854775807":   {127, 255, 255, 255, 255, 255, 255, 255},
		"9223372036854775808":   {0, 128, 0, 0, 0, 0, 0, 0, 0},
		"-9223372036854775808":  {128, 0, 0, 0, 0, 0, 0, 0},
		"-18446744073709551616": {255, 0, 0, 0, 0, 0, 0, 0, 0},
		"18446744073709551616":  {1, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		var a schema.Arena
		if got := unscaled(&a, []byte(text)); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", text, got, want)
		}
	}
}

// TestPlainMoney has currencies with other than two digits: the text is always
// that of the C locale, which takes the server's integer for hundredths.
func TestPlainMoney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text          string
		digits, scale int
		want          string
	}{
		{"-$1,234.56", 2, 2, "-1234.56"},
		{"$92,233,720,368,547,758.07", 2, 2, "92233720368547758.07"},
		{"-$92,233,720,368,547,758.08", 2, 4, "-92233720368547758.0800"},
		{"$0.49", 2, 0, "0"},
		{"$0.50", 2, 0, "1"},
		{"-$0.50", 2, 0, "-1"},
		{"-$0.04", 2, 1, "0.0"},
		{"-$0.05", 2, 1, "-0.1"},
		{"$9.99", 2, 1, "10.0"},
		{"$12.34", 0, 0, "1234"},
		{"-$12.34", 0, 2, "-1234.00"},
		{"$12.34", 3, 3, "1.234"},
		{"$0.01", 3, 3, "0.001"},
		{"$0.01", 3, 5, "0.00100"},
		{"$0.19", 3, 1, "0.0"},
	} {
		got, ok := plainMoney(nil, []byte(c.text), c.digits, c.scale)
		if !ok || string(got) != c.want {
			t.Errorf("%s, %d of whose digits are behind the point, with %d is %s, %v, want %s", c.text, c.digits, c.scale, got, ok, c.want)
		}
	}
	if got, ok := plainMoney(nil, []byte("$"), 2, 2); ok {
		t.Errorf("no money is %s", got)
	}
}

func TestLiteralOf(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"42": "42", "'-1'::integer": "-1", "1.5": "1.5", "true": "t", "'it''s'::character varying": "it's",
		"'{}'::jsonb": "{}", "''::text": "", "'2020-01-02 03:04:05'::timestamp without time zone": "2020-01-02 03:04:05",
		`'ok'::g."my ""mood"`: "ok", "'12.50'::numeric(10,2)": "12.50", "('5'::text)::integer": "5", `B'101'::"bit"`: "101",
		"'{1,2}'::integer[]": "{1,2}", "'a'::\"char\"": "a", "('x'::character varying(3))::bpchar": "x",
	} {
		if got, ok := literalOf(expression); !ok || got != want {
			t.Errorf("%s: got %q, %v, want %q", expression, got, ok, want)
		}
	}
	for _, expression := range []string{
		"'a'::text || 'b'::text", "('a'::text || 'b'::text)", "now()", "nextval('t_id_seq'::regclass)", "CURRENT_TIMESTAMP",
		"NULL::character varying", "NULL", "(1 + 1)", "'unclosed", "'a'::", "'a' COLLATE \"C\"", "- 1", "", "(", "CURRENT_USER",
	} {
		if got, ok := literalOf(expression); ok {
			t.Errorf("%s was taken for the literal %q", expression, got)
		}
	}
}

func TestParsePosition(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]lsn{
		`{"lsn":52791672,"txId":772,"ts_usec":1,"snapshot":"INITIAL","snapshot_completed":true}`: {52791672, 0},
		`{"lsn_proc":9,"messageType":"INSERT","lsn_commit":5,"lsn":9}`:                           {5, 5},
		`{"lsn_proc":9,"lsn":12}`:                   {9, 0},
		string(commitPosition(math.MaxInt64, 3, 4)): {math.MaxInt64, math.MaxInt64},
		string(plainPosition(8, 3, 4)):              {8, 0},
	} {
		start, commit, err := parsePosition(schema.Position(text))
		if err != nil || start != want[0] || commit != want[1] {
			t.Errorf("%s: got %d %d %v", text, start, commit, err)
		}
	}
	for _, text := range []string{``, `{}`, `{"lsn":"x"}`, `[]`} {
		if _, _, err := parsePosition(schema.Position(text)); err == nil {
			t.Errorf("%s was taken for a position", text)
		}
	}
}

func TestDecode_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, message := range map[string][]byte{
		"unknown message":   {'?'},
		"unknown table":     {'I', 0, 0, 0, 9, 'N', 0, 0},
		"insert of a key":   {'I', 0, 0, 0, 1, 'K', 0, 0, 'N', 0, 0},
		"too few columns":   {'I', 0, 0, 0, 1, 'N', 0, 0},
		"cut":               insertMessage(elevenColumns)[:40],
		"left over":         append(insertMessage(elevenColumns), 0),
		"negative length":   {'I', 0, 0, 0, 1, 'N', 0, 1, 't', 255, 255, 255, 255},
		"many columns":      {'R', 0, 0, 0, 1, 'a', 0, 'b', 0, 'd', 255, 255},
		"truncate of many":  {'T', 127, 255, 255, 255, 0},
		"binary value":      {'I', 0, 0, 0, 2, 'N', 0, 1, 'b', 0, 0, 0, 0},
		"empty":             {},
		"message too short": {'M', 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestSource(t)
			s.describeTest(t, elevenColumns[:1])
			s.plans[2] = s.plans[1]
			s.describeTest(t, elevenColumns)
			var b schema.Batch
			err := s.decode(t.Context(), &b, walData{at: 1, data: message})
			if !capture.IsPermanent(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(insertMessage(elevenColumns))
	f.Add(updateMessage(elevenColumns))
	f.Add(appendTuple([]byte{'D', 0, 0, 0, 1, 'K'}, elevenColumns))
	f.Add([]byte{'T', 0, 0, 0, 1, 0, 0, 0, 0, 1})
	f.Add(append([]byte{'M', 1, 0, 0, 0, 0, 0, 0, 0, 9, 'p', 0}, 0, 0, 0, 1, 'x'))
	f.Add([]byte{'O', 0, 0, 0, 0, 0, 0, 0, 9, 'p', 0})
	f.Add(append(make([]byte, 0, 32), append([]byte{'B'}, make([]byte, 20)...)...))
	f.Add(append(make([]byte, 0, 32), append([]byte{'C'}, make([]byte, 25)...)...))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 0 && message[0] == 'R' {
			r := reader{b: message[1:]}
			if m, err := readRelation(&r); err == nil && len(m.columns) > len(message) {
				t.Errorf("%d columns out of %d bytes", len(m.columns), len(message))
			}
			return // more would ask the catalogue
		}
		s := newTestSource(t)
		s.describeTest(t, elevenColumns)
		var b schema.Batch
		_ = s.decode(t.Context(), &b, walData{at: 1, data: message})
		for _, ev := range b.Events {
			for _, row := range []schema.Row{ev.Before, ev.After} {
				if row != nil && len(row) != len(ev.Table.Columns) {
					t.Errorf("a row of %d columns for a table of %d", len(row), len(ev.Table.Columns))
				}
			}
		}
		const overhead = 64 << 10
		if b.Size() > 200*len(message)+overhead {
			t.Errorf("%d bytes made of %d", b.Size(), len(message))
		}
	})
}

func FuzzCopyRow(f *testing.F) {
	columns := []column{{"int4", "1"}, {"text", "a\tb\\c"}, {"text[]", `{a,"b\"c",NULL}`}, {"hstore", `"a"=>"1"`}, {"bytea", `\x00ff`}, {"numeric", "1.50"}, {"interval", "1 day 02:03:04.5"}, {"timestamptz", "2024-01-02 03:04:05.6+00"}, {"timetz", "01:02:03+04:05"}, {"point", "(1,2)"}, {"money", "-$1.00"}}
	f.Add(copyLine(columns))
	f.Add([]byte("\\N\t\\N\t{}\t\\N\t\\N\t\\N\t-1 mons\tinfinity\t\\N\t\\N\t\\N\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s := newTestSource(t)
		p := &scanPlan{plan: s.describeTest(t, columns)}
		var b schema.Batch
		_ = p.event(&b, bytes.Clone(line))
		const overhead = 64 << 10
		if b.Size() > 200*len(line)+overhead {
			t.Errorf("%d bytes made of %d", b.Size(), len(line))
		}
	})
}

func FuzzArray(f *testing.F) {
	f.Add(`{1,NULL,"a\"b"}`)
	f.Add(`[0:1]={{1,2},{3,4}}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, text string) {
		var a schema.Arena
		in := []byte(text)
		v, err := decodeArray(&a, in, ',', decodeText)
		if err == nil && len(v.Elems()) > len(text) {
			t.Errorf("%d elements out of %q", len(v.Elems()), text)
		}
		if a.Size() > 100*len(text)+1024 {
			t.Errorf("%d bytes made of %d", a.Size(), len(text))
		}
	})
}
