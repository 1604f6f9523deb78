package converters_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

func structOf(fields ...schema.Field) *schema.Schema {
	return &schema.Schema{Type: schema.TypeStruct, Name: "x.Value", Fields: fields}
}

func typed(t schema.Type) *schema.Schema    { return &schema.Schema{Type: t} }
func optional(t schema.Type) *schema.Schema { return &schema.Schema{Type: t, Optional: true} }

func withDefault(s *schema.Schema, v schema.Value) *schema.Schema {
	c := *s
	c.Default = &v
	return &c
}

func pointer(v schema.Value) *schema.Value { return &v }

func TestJSON_WritesStructs(t *testing.T) {
	t.Parallel()
	integer, text := typed(schema.TypeInt32), typed(schema.TypeString)
	note := optional(schema.TypeString)
	row := func(v ...schema.Value) schema.Value { return schema.Seq(schema.KindStruct, v) }
	tests := []struct {
		name   string
		config converters.JSONConfig
		schema *schema.Schema
		value  schema.Value
		want   string
		err    string // of a DataError, with its field
	}{
		{"no fields", converters.JSONConfig{}, structOf(), row(), `{}`, ""},
		{"fields in order", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: integer}, schema.Field{Name: `b"`, Schema: text}), row(schema.Int(1), schema.Text("x")), `{"a":1,"b\"":"x"}`, ""},
		{"null", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: note}), row(schema.Value{}), `{"a":null}`, ""},
		{"null of a required field", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: text}), row(schema.Value{}), "", "Conversion error: null value for field that is required and has no default value (field a)"},
		{"null with a default", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: withDefault(note, schema.Text("d"))}), row(schema.Value{}), `{"a":"d"}`, ""},
		{"null kept", converters.JSONConfig{KeepNulls: true}, structOf(schema.Field{Name: "a", Schema: withDefault(note, schema.Text("d"))}), row(schema.Value{}), `{"a":null}`, ""},
		{"a default that is null", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: withDefault(note, schema.Value{})}), row(schema.Value{}), `{"a":null}`, ""},
		{"absent", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: text, Absent: pointer(schema.Text("gone"))}), row(schema.Absent()), `{"a":"gone"}`, ""},
		{"absent without a placeholder", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: note}), row(schema.Absent()), `{"a":null}`, ""},
		{"absent of a required field", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: text}), row(schema.Absent()), "", "Conversion error: null value for field that is required and has no default value (field a)"},
		{"not absent", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: note, Absent: pointer(schema.Text("gone"))}), row(schema.Value{}), `{"a":null}`, ""},
		{
			"constants",
			converters.JSONConfig{},
			structOf(
				schema.Field{Name: "a", Schema: text, Const: pointer(schema.Text("1"))}, schema.Field{Name: "b", Schema: note, Const: pointer(schema.Value{})}, schema.Field{Name: "c", Schema: integer},
				schema.Field{Name: "d", Schema: text, Const: pointer(schema.Text("4"))}, schema.Field{Name: "e", Schema: integer, Const: pointer(schema.Int(5))},
			),
			row(schema.Text("1"), schema.Value{}, schema.Int(3), schema.Text("4"), schema.Int(5)), `{"a":"1","b":null,"c":3,"d":"4","e":5}`, "",
		},
		{"nothing but constants", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: text, Const: pointer(schema.Text("1"))}), row(schema.Text("1")), `{"a":"1"}`, ""},
		{"wrong type deep inside", converters.JSONConfig{}, structOf(schema.Field{Name: "after", Schema: structOf(schema.Field{Name: "id", Schema: integer})}), row(row(schema.Text("x"))), "", "Invalid type for INT32: string (field after.id)"},
		{"too few elements", converters.JSONConfig{}, structOf(schema.Field{Name: "a", Schema: note}, schema.Field{Name: "b", Schema: note}), row(schema.Value{}), "", `Mismatching schema.: a struct of 1 elements for the 2 fields of the schema "x.Value"`},
		{"map with a null key", converters.JSONConfig{}, &schema.Schema{Type: schema.TypeMap, Key: note, Elem: integer}, schema.Seq(schema.KindMap, []schema.Value{{}, schema.Int(1)}), `{"null":1}`, ""},
		{"schemaless map of numbers", converters.JSONConfig{}, nil, schema.Seq(schema.KindMap, []schema.Value{schema.Int(1), schema.Text("x")}), `[[1,"x"]]`, ""},
		{"schemaless with schemas", converters.JSONConfig{Schemas: true}, nil, schema.Seq(schema.KindMap, []schema.Value{schema.Text("k"), schema.Decimal([]byte("-0.50"))}), `{"schema":null,"payload":{"k":-0.50}}`, ""},
		{"schemaless null", converters.JSONConfig{}, nil, schema.Value{}, `null`, ""},
		{"schemaless struct", converters.JSONConfig{}, nil, row(), "", "Mismatching schema.: a struct without a schema cannot be written as JSON"},
		{"unscaled decimal", converters.JSONConfig{}, decimalSchema(2), schema.Bytes([]byte{0x30, 0x39}), `"MDk="`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := encoderOf(t, converters.NewJSON(test.config), test.schema).Append([]byte("dst"), test.value)
			if test.err != "" {
				var data *converters.DataError
				if !errors.As(err, &data) || err.Error() != test.err {
					t.Errorf("got the error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || string(got) != "dst"+test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func decimalSchema(scale int) *schema.Schema {
	return &schema.Schema{Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1, Parameters: []schema.Parameter{
		{Name: schema.ParamScale, Value: fmt.Sprint(scale)},
	}}
}

func TestJSON_RefusesSchemasThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*schema.Schema{
		"no type":               {},
		"decimal without scale": {Type: schema.TypeBytes, Name: schema.NameDecimal},
		"scale is no number":    {Type: schema.TypeBytes, Name: schema.NameDecimal, Parameters: []schema.Parameter{{Name: schema.ParamScale, Value: "x"}}},
		"default does not fit":  withDefault(typed(schema.TypeInt8), schema.Text("x")),
		"constant does not fit": structOf(schema.Field{Name: "a", Schema: typed(schema.TypeInt8), Const: pointer(schema.Text("x"))}),
		"absent does not fit":   structOf(schema.Field{Name: "a", Schema: typed(schema.TypeInt8), Absent: pointer(schema.Text("x"))}),
		"field without schema":  structOf(schema.Field{Name: "a"}),
	} {
		if e, err := converters.NewJSON(converters.JSONConfig{Schemas: true}).Encoder(t.Context(), "t", s); err == nil {
			t.Errorf("%s: got the encoder %v", name, e)
		}
	}
}

func decode(t testing.TB, c converters.Converter, topic, text string, a *schema.Arena) schema.Data {
	t.Helper()
	d, err := c.Decode(t.Context(), topic, []byte(text), a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func enveloped(n int) string {
	return fmt.Sprintf(`{"schema":{"type":"string","optional":true,"name":"s%d"},"payload":"p%d"}`, n, n)
}

func TestJSON_EqualSchemasAreOnePointer(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	c := converters.NewJSON(converters.JSONConfig{Schemas: true, CacheSize: 2})
	first := decode(t, c, "a", enveloped(1), &a)
	for _, topic := range []string{"a", "b", "a"} {
		if again := decode(t, c, topic, enveloped(1), &a); again.Schema != first.Schema {
			t.Errorf("topic %s has another schema for the same text", topic)
		}
	}
	spaced := decode(t, c, "a", strings.ReplaceAll(enveloped(1), ",", " , "), &a)
	if string(spaced.Value.Bytes()) != "p1" || spaced.Schema.Name != "s1" {
		t.Errorf("read %#v with %+v", spaced.Value, spaced.Schema)
	}
	second := decode(t, c, "a", enveloped(2), &a)
	if again := decode(t, c, "b", enveloped(2), &a); again.Schema != second.Schema {
		t.Error("the second schema is not one pointer")
	}
	// The cache holds two, and the first is the one that was used least
	// recently by now.
	for _, n := range []int{3, 4, 1} {
		decode(t, c, "c", enveloped(n), &a)
	}
	if again := decode(t, c, "c", enveloped(1), &a); again.Schema == first.Schema {
		t.Error("the cache holds more schemas than it should")
	}
}

func TestJSON_BeforeAndAfterHaveOneSchema(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	d := decode(t, c, "t", string(encoded(t, converters.JSONConfig{Schemas: true})), &a)
	before, after := d.Schema.Fields[d.Schema.Index("before")], d.Schema.Fields[d.Schema.Index("after")]
	if before.Schema != after.Schema {
		t.Error("before and after have schemas of their own")
	}
	if before.Schema == d.Schema.Fields[d.Schema.Index("source")].Schema {
		t.Error("before and source have one schema")
	}
}

// TestJSON_DefaultsOutliveTheRecord overwrites a record's bytes and resets the
// arena after its schema was read: its defaults must not have been there.
func TestJSON_DefaultsOutliveTheRecord(t *testing.T) {
	t.Parallel()
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	data := []byte(`{"schema":{"type":"struct","fields":[{"type":"string","optional":true,"default":"one","field":"a"},` +
		`{"type":"array","items":{"type":"string"},"optional":true,"default":["t\u0077o"],"field":"b"}]},"payload":{}}`)
	original := string(data)
	var a schema.Arena
	d := decode(t, c, "t", original, &a)
	if _, err := c.Decode(t.Context(), "u", data, &a); err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = 'X'
	}
	a.Reset()
	a.Make(1000)
	want, err := encoderOf(t, c, d.Schema).Append(nil, decode(t, c, "t", original, &a).Value)
	if err != nil || !strings.HasSuffix(string(want), `"payload":{"a":"one","b":["two"]}}`) || !strings.Contains(string(want), `"default":["two"]`) {
		t.Errorf("got %s, %v", want, err)
	}
}

func TestJSON_BoundsDepth(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	plain := converters.NewJSON(converters.JSONConfig{})
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, err := plain.Decode(t.Context(), "t", nested(1000), &a); err != nil {
		t.Errorf("1000 levels: %v", err)
	}
	for _, n := range []int{1001, 5_000_000} {
		if _, err := plain.Decode(t.Context(), "t", nested(n), &a); err == nil || !strings.Contains(err.Error(), "nest deeper than 1000") {
			t.Errorf("%d levels: got %v", n, err)
		}
	}
	withSchemas := converters.NewJSON(converters.JSONConfig{Schemas: true})
	for name, text := range map[string]string{
		"schema":  `{"schema":` + strings.Repeat(`{"type":"array","items":`, 2000) + `{"type":"int8"}` + strings.Repeat(`}`, 2000) + `,"payload":[]}`,
		"payload": `{"schema":null,"payload":` + string(nested(2000)) + `}`,
		"skipped": `{"schema":{"type":"struct","fields":[]},"payload":{"x":` + string(nested(2000)) + `}}`,
	} {
		if _, err := withSchemas.Decode(t.Context(), "t", []byte(text), &a); err == nil {
			t.Errorf("%s: 2000 levels are read", name)
		}
	}
}

// TestJSON_BoundsDecimals sees to it that a few bytes do not become gigabytes
// of zeros.
func TestJSON_BoundsDecimals(t *testing.T) {
	t.Parallel()
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	for _, text := range []string{
		`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2000000000"}},"payload":"AQ=="}`,
		`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"-2000000000"}},"payload":"AQ=="}`,
		`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"}},"payload":1e999999999}`,
		`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"}},"payload":1e-99999999999999999999}`,
	} {
		var a schema.Arena
		if d, err := c.Decode(t.Context(), "t", []byte(text), &a); err == nil {
			t.Errorf("%s is read as %d bytes", text, len(d.Value.Bytes()))
		}
	}
}

func TestJSON_ManyKeysAndTwice(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	c := converters.NewJSON(converters.JSONConfig{})
	for _, n := range []int{2, 31, 32, 33, 64, 1000} {
		var text, want strings.Builder
		for i := range 2 * n {
			fmt.Fprintf(&text, `,"key %d":%d`, i%n, i)
		}
		for i := range n {
			fmt.Fprintf(&want, `,"key %d":%d`, i, n+i)
		}
		d := decode(t, c, "t", "{"+text.String()[1:]+"}", &a)
		got, err := encoderOf(t, c, nil).Append(nil, d.Value)
		if err != nil || string(got) != "{"+want.String()[1:]+"}" {
			t.Errorf("%d keys given twice: got %.200s, %v", n, got, err)
		}
	}
}

// TestJSON_ErrorsNameTheField reads what does not fit and wants the path.
func TestJSON_ErrorsNameTheField(t *testing.T) {
	t.Parallel()
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	s := `{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int16","field":"n"},{"type":"map","keys":{"type":"string"},"values":{"type":"int8"},"optional":true,"field":"m"}],"field":"after"}]}`
	for payload, want := range map[string]string{
		`{"after":{"n":70000}}`:           "Invalid type for INT16: the number 70000 does not fit (field after.n)",
		`{"after":{"n":"x"}}`:             "Invalid type for INT16: STRING (field after.n)",
		`{"after":{}}`:                    "Invalid null value for required INT16 field (field after.n)",
		`{}`:                              "Invalid null value for required STRUCT field (field after)",
		`{"after":{"n":1,"m":{"k":300}}}`: "Invalid type for INT8: the number 300 does not fit (field after.m.k)",
		`{"after":{"n":tru}}`:             "Converting byte[] to Kafka Connect data failed due to serialization error:",
	} {
		var a schema.Arena
		d, err := c.Decode(t.Context(), "t", []byte(`{"schema":`+s+`,"payload":`+payload+`}`), &a)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, %#v, want %s", payload, err, d.Value, want)
		}
	}
}

// TestJSON_IsSafeForConcurrentUse reads and writes with one converter from
// many goroutines; the race detector looks on.
func TestJSON_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	c := converters.NewJSON(converters.JSONConfig{Schemas: true, CacheSize: 4})
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			var a schema.Arena
			for i := range 300 {
				a.Reset()
				n := (g + i) % 6
				d, err := c.Decode(t.Context(), fmt.Sprint("topic ", i%3), []byte(enveloped(n)), &a)
				if err != nil || string(d.Value.Bytes()) != fmt.Sprint("p", n) || d.Schema.Name != fmt.Sprint("s", n) {
					t.Errorf("read %#v with %+v, %v", d.Value, d.Schema, err)
					return
				}
				text, _, err := c.AppendHeader(nil, "t", "h", d)
				if err != nil || string(text) != enveloped(n) {
					t.Errorf("wrote %s, %v", text, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestJSON_Headers(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	if text, null, err := c.AppendHeader([]byte("x"), "t", "h", schema.Data{}); !null || err != nil || string(text) != "x" {
		t.Errorf("null without a schema: got %q, null %t, %v", text, null, err)
	}
	d := schema.Data{Schema: optional(schema.TypeInt8)}
	const want = `{"schema":{"type":"int8","optional":true},"payload":null}`
	for range 2 {
		if text, null, err := c.AppendHeader(nil, "t", "h", d); null || err != nil || string(text) != want {
			t.Errorf("null with a schema: got %q, null %t, %v", text, null, err)
		}
	}
	back, err := c.DecodeHeader("t", "h", []byte(want), &a)
	if err != nil || !back.Value.IsNull() || back.Schema == nil {
		t.Errorf("read %#v with %+v, %v", back.Value, back.Schema, err)
	}
}

// TestJSON_ReadsLargeValues reads values of a megabyte, escaped and not.
func TestJSON_ReadsLargeValues(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	c := converters.NewJSON(converters.JSONConfig{})
	plain := strings.Repeat("0123456789abcdéf", 1<<16)
	for _, text := range []string{plain, plain + "\n", "\"" + plain, base64.StdEncoding.EncodeToString([]byte(plain))} {
		written, err := encoderOf(t, c, nil).Append(nil, schema.Text(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := decode(t, c, "t", string(written), &a); string(d.Value.Bytes()) != text {
			t.Errorf("%d bytes became %d others", len(text), len(d.Value.Bytes()))
		}
	}
}
