package capture

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// wide is a table of eleven mixed columns, as in the benchmarks of the whole
// program.
func wide() (*schema.Table, func(b *schema.Batch)) {
	typ := func(t schema.Type, name string) *schema.Schema {
		return &schema.Schema{Type: t, Name: name, Optional: true}
	}
	cols := []schema.Column{
		{Name: "id", Schema: &schema.Schema{Type: schema.TypeInt64}},
		{Name: "customer_id", Schema: typ(schema.TypeInt32, "")},
		{Name: "status", Schema: typ(schema.TypeString, "")},
		{Name: "amount", Schema: &schema.Schema{Type: schema.TypeBytes, Optional: true, Name: schema.NameDecimal, Version: 1, Parameters: []schema.Parameter{{Name: "scale", Value: "2"}}}},
		{Name: "weight", Schema: typ(schema.TypeFloat64, "")},
		{Name: "paid", Schema: typ(schema.TypeBoolean, "")},
		{Name: "placed", Schema: typ(schema.TypeInt64, schema.NameDebeziumMicroTimestamp)},
		{Name: "day", Schema: typ(schema.TypeInt32, schema.NameDebeziumDate)},
		{Name: "name", Schema: typ(schema.TypeString, "")},
		{Name: "address", Schema: typ(schema.TypeString, "")},
		{Name: "note", Schema: typ(schema.TypeString, "")},
	}
	constant := func(s string) *schema.Value { v := schema.Text(s); return &v }
	str, i64 := &schema.Schema{Type: schema.TypeString}, &schema.Schema{Type: schema.TypeInt64}
	source := &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Source", Version: 1, Fields: []schema.Field{
		{Name: "version", Schema: str, Const: constant("3.6.1.Final")},
		{Name: "connector", Schema: str, Const: constant("postgresql")},
		{Name: "name", Schema: str, Const: constant("bench")},
		{Name: "ts_ms", Schema: i64},
		{Name: "snapshot", Schema: str},
		{Name: "db", Schema: str, Const: constant("shop")},
		{Name: "sequence", Schema: str},
		{Name: "ts_us", Schema: i64},
		{Name: "ts_ns", Schema: i64},
		{Name: "schema", Schema: str, Const: constant("public")},
		{Name: "table", Schema: str, Const: constant("orders")},
		{Name: "txId", Schema: i64},
		{Name: "lsn", Schema: i64},
		{Name: "xmin", Schema: optionalInt64},
		{Name: "origin", Schema: str.AsOptional()},
		{Name: "origin_lsn", Schema: optionalInt64},
	}}
	t := &schema.Table{Database: "shop", Schema: "public", Name: "orders", Key: []int{0}, Columns: cols, Source: source}
	return t, func(b *schema.Batch) {
		ev := b.Append()
		ev.Op, ev.Table, ev.After, ev.Source = schema.OpCreate, t, b.Row(len(cols)), b.Row(len(source.Fields))
		copy(ev.After, []schema.Value{
			schema.Int(1234567), schema.Int(4711), schema.Text("shipped"), schema.Decimal([]byte("1234.56")), schema.Float(12.375), schema.Bool(true),
			schema.Int(1712024846073248), schema.Int(19814), schema.Text("Ada Lovelace"), schema.Text("12 St James's Square, London SW1Y 4LB, United Kingdom"),
			schema.Text("please leave the parcel with the neighbour at number 14 if nobody answers the door after ringing twice"),
		})
		copy(ev.Source, []schema.Value{
			*source.Fields[0].Const, *source.Fields[1].Const, *source.Fields[2].Const, schema.Int(1712024846073), schema.Text("false"), *source.Fields[5].Const,
			schema.Text(`["34102440","34102632"]`), schema.Int(1712024846073248), schema.Int(1712024846073248000), *source.Fields[9].Const, *source.Fields[10].Const,
			schema.Int(895), schema.Int(34102632),
		})
	}
}

// BenchmarkEncoder measures events becoming records, JSON without schemas.
func BenchmarkEncoder(b *testing.B) {
	for _, schemas := range []bool{false, true} {
		name := "plain"
		if schemas {
			name = "schemas"
		}
		b.Run(name, func(b *testing.B) {
			const events = 1024
			json := converters.NewJSON(converters.JSONConfig{Schemas: schemas})
			sh := newShaper(Shape{Naming: Naming{Prefix: "bench", Delimiter: "."}, Key: json, Value: json, KeyHeader: json, Headers: make([]kgo.RecordHeader, 4)})
			e := &encoder{shaper: sh}
			batch := newBatch(func(error) {})
			_, fill := wide()
			for range events {
				fill(&batch.Batch)
			}
			b.ReportAllocs()
			now := time.Now()
			for b.Loop() {
				batch.out, batch.pending = batch.out[:0], batch.pending[:0]
				if err := e.encode(b.Context(), batch, now); err != nil {
					b.Fatal(err)
				}
				batch.finish()
			}
			b.SetBytes(int64(len(batch.out)))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
			b.ReportMetric(float64(len(batch.out))/events, "B/event")
		})
	}
}
