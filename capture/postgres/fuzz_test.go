package postgres

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// fuzzed are the types of the table, money, an enumeration and two unknown
// ones, each with and without a modifier, and arrays of all of them.
func fuzzed() (infos map[uint32]*typeInfo, columns []columnInfo) {
	infos = map[uint32]*typeInfo{}
	add := func(t typeInfo, mods ...int32) {
		t.oid, t.delimiter, t.digits = uint32(2*len(infos)+1), ',', 2
		infos[t.oid] = &t
		infos[t.oid+1] = &typeInfo{oid: t.oid + 1, name: "_" + t.name, kind: 'b', elem: t.oid}
		for _, mod := range mods {
			columns = append(columns, columnInfo{name: t.name, oid: t.oid, mod: mod}, columnInfo{name: t.name + "[]", oid: t.oid + 1, mod: mod})
		}
	}
	const numeric12and2 = 12<<16 | 2 + 4
	for _, r := range &types {
		namespace := catalog
		if r.extension {
			namespace = "public"
		}
		add(typeInfo{namespace: namespace, name: r.name, kind: 'b'}, -1, 1, 9, numeric12and2)
	}
	add(typeInfo{namespace: catalog, name: "money", kind: 'b'}, -1)
	add(typeInfo{namespace: "public", name: "mood", kind: 'e', labels: []string{"sad", "ok"}}, -1)
	add(typeInfo{namespace: catalog, name: "box", kind: 'b'}, -1)
	add(typeInfo{namespace: catalog, name: "pg_lsn", kind: 'b'}, -1)
	return infos, columns
}

// fuzzedSettings decide how values appear.
var fuzzedSettings = [][]string{
	{},
	{
		"time.precision.mode", "isostring", "decimal.handling.mode", "string", "binary.handling.mode", "hex", "hstore.handling.mode", "map",
		"interval.handling.mode", "string", "money.fraction.digits", "0", "include.unknown.datatypes", "true",
	},
	{"time.precision.mode", "connect", "decimal.handling.mode", "double", "binary.handling.mode", "base64", "money.fraction.digits", "5", "include.unknown.datatypes", "true"},
	{"time.precision.mode", "nanoseconds", "binary.handling.mode", "base64-url-safe", "include.unknown.datatypes", "true"},
}

// samples are texts that the server writes, by type.
var samples = map[string][]string{
	"bool": {"t"}, "int2": {"-32768"}, "int4": {"7"}, "int8": {"-9223372036854775808"}, "oid": {"4294967295"}, "int2vector": {"1 2"}, "oidvector": {"7"},
	"float4": {"NaN", "1e-45"}, "float8": {"-Infinity", "5e-324"}, "numeric": {"-1.50", "9999999999.99"}, "money": {"-$1,234.56"},
	"text": {"é"}, "varchar": {"x"}, "bpchar": {"x  "}, "char": {"q"}, "name": {"n"}, "uuid": {"6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab"}, "json": {"[1]"}, "jsonb": {"{}"}, "xml": {"<a/>"},
	"tsvector": {"'a':1"}, "inet": {"::1"}, "cidr": {"10.0.0.0/8"}, "macaddr": {"08:00:2b:01:02:03"}, "macaddr8": {"08:00:2b:01:02:03:04:05"},
	"int4range": {"[1,3)"}, "int8range": {"(,)"}, "numrange": {"[1.5,)"}, "tsrange": {"empty"}, "tstzrange": {`["2024-01-01 00:00:00+00",)`}, "daterange": {"[2024-01-01,)"},
	"citext": {"Ci"}, "ltree": {"a.b"}, "isbn": {"0-393-04002-X"}, "hstore": {`"a\"b"=>"1", "c"=>NULL, "é"=>"\\"`},
	"bytea": {`\x00ff`, `a\\b\001`}, "bit": {"1"}, "varbit": {"1"}, "date": {"0044-03-15 BC", "infinity", "2024-02-29"},
	"time": {"24:00:00", "01:02:03.000004"}, "timetz": {"01:02:03.5-01:02:03"}, "timestamp": {"2024-02-29 13:14:15.1", "1969-01-01 00:00:00"}, "timestamptz": {"294276-12-31 23:59:59.9+00", "0044-03-15 12:00:00+00 BC"},
	"interval": {"-1 years +2 mons 3 days -100:05:06.5"}, "point": {"(1.5,-2)"}, "geometry": {"0101000020E6100000000000000000F03F0000000000000040"}, "geography": {"0101000000000000000000F03F0000000000000040"},
	"vector": {"[1,2e-5]"}, "halfvec": {"[]"}, "sparsevec": {"{1:0.5,17:2}/20"}, "box": {"(1,1),(0,1e-7)"}, "pg_lsn": {"0/1"}, "mood": {"sad"},
	"text[]": {`[0:1]={a,"b\"c"}`, "{{1,2},{3,NULL}}"}, "hstore[]": {`{"\"a\"=>\"1\""}`}, "mood[]": {"{sad,NULL}"}, "numeric[]": {"{1.50,NULL}"},
	"timestamp[]": {`{"2024-02-29 13:14:15"}`}, "bytea[]": {`{"\\\\x01",NULL}`}, "box[]": {"{(1,1)}"}, "uuid[]": {"{6f1e8d2e-4b1a-4f7e-9c8a-0123456789ab}"},
}

// TestTypes_DoNotAllocate decodes a value of each type in each of its forms.
func TestTypes_DoNotAllocate(t *testing.T) {
	infos, columns := fuzzed()
	tried := map[string]bool{}
	for _, settings := range fuzzedSettings {
		s := newTestSource(t, settings...)
		for _, c := range columns {
			vt, why, err := s.values.resolve(infos, c.oid, c.mod)
			if err != nil {
				t.Fatal(err)
			}
			if why != lackNothing {
				continue
			}
			for _, text := range samples[c.name] {
				in := []byte(text)
				var a schema.Arena
				if _, err := vt.decode(&a, in); err != nil {
					var form *formError
					if !errors.As(err, &form) {
						t.Errorf("%s %q: %v", c.name, text, err)
					}
					continue
				}
				tried[c.name] = true
				if n := testing.AllocsPerRun(20, func() {
					a.Reset()
					if _, err := vt.decode(&a, in); err != nil {
						t.Fatal(err)
					}
				}); n != 0 {
					t.Errorf("%s %q %v: %v allocations", c.name, text, settings, n)
				}
			}
		}
	}
	for _, c := range columns {
		if !tried[c.name] && !strings.HasSuffix(c.name, "[]") {
			t.Errorf("%s was not tried", c.name)
		}
	}
}

// FuzzTypes decodes any text as a value of any type. What is taken for a value
// must fit the type's schema, stay as it is when the text is overwritten, and
// take memory in proportion.
func FuzzTypes(f *testing.F) {
	infos, columns := fuzzed()
	type target struct {
		name    string
		decode  decoder
		encoder converters.Encoder
	}
	var targets []target
	at := map[string]uint16{}
	for _, settings := range fuzzedSettings {
		s := newTestSource(f, settings...)
		for _, c := range columns {
			vt, why, err := s.values.resolve(infos, c.oid, c.mod)
			if err != nil {
				f.Fatal(err)
			}
			if why != lackNothing {
				continue
			}
			column := vt.schema
			if vt.wide != nil {
				column = vt.wide
			}
			e, err := converters.NewJSON(converters.JSONConfig{}).Encoder(f.Context(), "topic", column.AsOptional())
			if err != nil {
				f.Fatalf("%s: %v", c.name, err)
			}
			at[c.name] = uint16(len(targets))
			targets = append(targets, target{c.name, vt.decode, e})
		}
	}
	for name, texts := range samples {
		for _, text := range texts {
			f.Add(at[name], []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, text []byte) {
		to := targets[int(which)%len(targets)]
		var a schema.Arena
		in := bytes.Clone(text)
		v, err := to.decode(&a, in)
		// Elements are 40 bytes and may be in the arena three times.
		const overhead = 4096
		if a.Size() > 200*len(text)+overhead {
			t.Errorf("%s: %d bytes made of %d", to.name, a.Size(), len(text))
		}
		if err != nil {
			return
		}
		before, err := to.encoder.Append(nil, v)
		if err != nil {
			t.Fatalf("%s %q: %v", to.name, text, err)
		}
		clear(in)
		after, err := to.encoder.Append(nil, v)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: %s became %s, %v", to.name, before, after, err)
		}
	})
}

// FuzzDefaults reads any expression as the default of a column of any type.
func FuzzDefaults(f *testing.F) {
	for _, e := range []string{"'a'::text", "(1 + 1)", "nextval('x'::regclass)", "'1'::numeric(10,2)", `B'1'::"bit"`, "NULL::text", "'it''s'", "CURRENT_DATE", `('5'::text)::"T"[]`} {
		f.Add(e)
	}
	infos, columns := fuzzed()
	var list []valueType
	s := newTestSource(f)
	for _, c := range columns {
		if vt, why, err := s.values.resolve(infos, c.oid, c.mod); err == nil && why == lackNothing {
			list = append(list, vt)
		}
	}
	f.Fuzz(func(t *testing.T, expression string) {
		for _, vt := range list {
			if v := defaultOf(expression, vt); v != nil {
				column := *vt.schema
				column.Default = v
				if _, err := converters.NewJSON(converters.JSONConfig{Schemas: true}).Encoder(t.Context(), "topic", &column); err != nil {
					t.Errorf("%q: %v", expression, err)
				}
			}
		}
	})
}

// FuzzHstore reads pairs that it can write itself.
func FuzzHstore(f *testing.F) {
	f.Add("a", "1", "b", "2")
	f.Add("", "", "\"", "\\")
	f.Add("é", "😀", "\n", "=>")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		quote := func(s string) string {
			return `"` + string(bytes.ReplaceAll(bytes.ReplaceAll([]byte(s), []byte(`\`), []byte(`\\`)), []byte(`"`), []byte(`\"`))) + `"`
		}
		var a schema.Arena
		got, ok := hstorePairs(&a, []byte(quote(k1)+"=>"+quote(v1)+", "+quote(k2)+"=>NULL, "+quote(v2)+"=>"+quote(k2)))
		if !ok || len(got) != 6 {
			t.Fatalf("read %v, %v", got, ok)
		}
		for i, want := range []string{k1, v1, k2, "", v2, k2} {
			if string(got[i].Bytes()) != want || got[i].IsNull() != (i == 3) {
				t.Errorf("%d is %#v, want %q", i, got[i], want)
			}
		}
	})
}
