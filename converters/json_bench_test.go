package converters_test

import (
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// envelope returns the schema and value of a change of a table with twelve
// columns, as a Postgres source makes them: what is the same in all events of
// the table is marked as constant.
func envelope(tb testing.TB) (*schema.Schema, schema.Value) {
	tb.Helper()
	typed := func(t schema.Type, name string, optional bool) *schema.Schema {
		s := &schema.Schema{Type: t, Name: name, Optional: optional}
		if name != "" {
			s.Version = 1
		}
		return s
	}
	text := func(optional bool) *schema.Schema { return typed(schema.TypeString, "", optional) }
	decimal := typed(schema.TypeBytes, schema.NameDecimal, true)
	decimal.Parameters = []schema.Parameter{{Name: schema.ParamScale, Value: "4"}, {Name: "connect.decimal.precision", Value: "12"}}
	row := &schema.Schema{Type: schema.TypeStruct, Optional: true, Name: "shop.public.customers.Value", Fields: []schema.Field{
		{Name: "id", Schema: typed(schema.TypeInt64, "", false)},
		{Name: "email", Schema: text(false)},
		{Name: "name", Schema: text(true)},
		{Name: "age", Schema: typed(schema.TypeInt32, "", true)},
		{Name: "balance", Schema: decimal},
		{Name: "active", Schema: typed(schema.TypeBoolean, "", true)},
		{Name: "created_at", Schema: typed(schema.TypeString, schema.NameDebeziumZonedTimestamp, true)},
		{Name: "updated_at", Schema: typed(schema.TypeInt64, schema.NameDebeziumMicroTimestamp, true)},
		{Name: "uid", Schema: typed(schema.TypeString, schema.NameDebeziumUUID, true)},
		{Name: "note", Schema: text(true)},
		{Name: "score", Schema: typed(schema.TypeFloat64, "", true)},
		{Name: "data", Schema: typed(schema.TypeString, schema.NameDebeziumJSON, true)},
	}}
	after := schema.Seq(schema.KindStruct, []schema.Value{
		schema.Int(918273645), schema.Text("someone.somewhere@example.com"), schema.Text("Someone Somewhere"), schema.Int(42),
		schema.Decimal([]byte("10234.5600")), schema.Bool(true), schema.Text("2025-11-23T04:31:05.123456Z"), schema.Int(1763872265123456),
		schema.Text("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
		schema.Text("the quick brown fox jumps over the lazy dog and some more text to make it about a hundred bytes"),
		schema.Float(3.141592653589793), schema.Text(`{"a": 1, "b": [true, null, "x"], "c": {"d": "e"}}`),
	})
	fixed := func(v schema.Value) *schema.Value { return &v }
	source := &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Source", Version: 1}
	var sourceRow []schema.Value
	for _, f := range []struct {
		name  string
		typ   schema.Type
		fixed bool
		v     schema.Value
	}{
		{"version", schema.TypeString, true, schema.Text("3.6.1.Final")},
		{"connector", schema.TypeString, true, schema.Text("postgresql")},
		{"name", schema.TypeString, true, schema.Text("shop")},
		{"ts_ms", schema.TypeInt64, false, schema.Int(1763872265123)},
		{"snapshot", schema.TypeString, false, schema.Text("false")},
		{"db", schema.TypeString, true, schema.Text("shop")},
		{"sequence", schema.TypeString, false, schema.Text(`["24023128","24023200"]`)},
		{"ts_us", schema.TypeInt64, false, schema.Int(1763872265123456)},
		{"ts_ns", schema.TypeInt64, false, schema.Int(1763872265123456000)},
		{"schema", schema.TypeString, true, schema.Text("public")},
		{"table", schema.TypeString, true, schema.Text("customers")},
		{"txId", schema.TypeInt64, false, schema.Int(744)},
		{"lsn", schema.TypeInt64, false, schema.Int(24023200)},
		{"xmin", schema.TypeInt64, true, schema.Value{}},
		{"origin", schema.TypeString, true, schema.Value{}},
		{"origin_lsn", schema.TypeInt64, true, schema.Value{}},
	} {
		field := schema.Field{Name: f.name, Schema: typed(f.typ, "", true)}
		if f.fixed {
			field.Const = fixed(f.v)
		}
		source.Fields = append(source.Fields, field)
		sourceRow = append(sourceRow, f.v)
	}
	stamp := typed(schema.TypeInt64, "", true)
	s := &schema.Schema{Type: schema.TypeStruct, Name: "shop.public.customers.Envelope", Version: 2, Fields: []schema.Field{
		{Name: "before", Schema: row},
		{Name: "after", Schema: row},
		{Name: "source", Schema: source},
		{Name: "transaction", Schema: typed(schema.TypeString, "", true), Const: new(schema.Value)},
		{Name: "op", Schema: text(false)},
		{Name: "ts_ms", Schema: stamp},
		{Name: "ts_us", Schema: stamp},
		{Name: "ts_ns", Schema: stamp},
	}}
	return s, schema.Seq(schema.KindStruct, []schema.Value{
		{},
		after, schema.Seq(schema.KindStruct, sourceRow),
		{},
		schema.Text("c"),
		schema.Int(1763872265200), schema.Int(1763872265200111), schema.Int(1763872265200111222),
	})
}

func encoderOf(tb testing.TB, c converters.Converter, s *schema.Schema) converters.Encoder {
	tb.Helper()
	e, err := c.Encoder(tb.Context(), "shop.public.customers", s)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func encoded(tb testing.TB, config converters.JSONConfig) []byte {
	tb.Helper()
	s, v := envelope(tb)
	text, err := encoderOf(tb, converters.NewJSON(config), s).Append(nil, v)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestJSON_EncodesWithoutAllocating(t *testing.T) {
	s, v := envelope(t)
	for _, config := range []converters.JSONConfig{{}, {Schemas: true}, {NumericDecimals: true}} {
		e := encoderOf(t, converters.NewJSON(config), s)
		dst := make([]byte, 0, 1<<16)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := e.Append(dst, v); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%+v: %v allocations for each value", config, n)
		}
	}
}

func TestJSON_DecodesWithoutAllocating(t *testing.T) {
	for _, config := range []converters.JSONConfig{{}, {Schemas: true}} {
		text := encoded(t, config)
		c := converters.NewJSON(config)
		var a schema.Arena
		if n := testing.AllocsPerRun(100, func() {
			a.Reset()
			if _, err := c.Decode(t.Context(), "shop.public.customers", text, &a); err != nil {
				t.Fatal(err)
			}
		}); n > poolAllocations {
			t.Errorf("%+v: %v allocations for each value", config, n)
		}
	}
}

func BenchmarkJSON_Encode(b *testing.B) {
	for name, config := range map[string]converters.JSONConfig{"plain": {}, "schemas": {Schemas: true}} {
		b.Run(name, func(b *testing.B) {
			s, v := envelope(b)
			e := encoderOf(b, converters.NewJSON(config), s)
			dst, err := e.Append(nil, v)
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				dst, err = e.Append(dst[:0], v)
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkJSON_Decode(b *testing.B) {
	for name, config := range map[string]converters.JSONConfig{"plain": {}, "schemas": {Schemas: true}} {
		b.Run(name, func(b *testing.B) {
			text := encoded(b, config)
			c := converters.NewJSON(config)
			var a schema.Arena
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				a.Reset()
				if _, err := c.Decode(b.Context(), "shop.public.customers", text, &a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJSON_DecodeMixed reads topics whose records alternate between two
// schemas, so that the comparison with the last one fails each time.
func BenchmarkJSON_DecodeMixed(b *testing.B) {
	text := encoded(b, converters.JSONConfig{Schemas: true})
	other := []byte(`{"schema":{"type":"string","optional":true},"payload":"x"}`)
	c := converters.NewJSON(converters.JSONConfig{Schemas: true})
	var a schema.Arena
	b.ReportAllocs()
	for b.Loop() {
		a.Reset()
		for _, text := range [][]byte{text, other} {
			if _, err := c.Decode(b.Context(), "shop.public.customers", text, &a); err != nil {
				b.Fatal(err)
			}
		}
	}
}
