package sinkstest

import (
	"fmt"

	"github.com/penstock/penstock/schema"
)

// Orders returns n change events of new rows with eleven mixed columns, for
// benchmarks.
func Orders(n int) []schema.Record {
	of := func(t schema.Type, name string) *schema.Schema {
		return &schema.Schema{Type: t, Name: name, Optional: true}
	}
	money := of(schema.TypeBytes, schema.NameDecimal)
	money.Parameters = []schema.Parameter{{Name: schema.ParamScale, Value: "2"}}
	row := &schema.Schema{Type: schema.TypeStruct, Name: "orders.Value", Optional: true, Fields: []schema.Field{
		{Name: "id", Schema: of(schema.TypeInt64, "")},
		{Name: "customer_id", Schema: of(schema.TypeInt32, "")},
		{Name: "status", Schema: of(schema.TypeString, schema.NameDebeziumEnum)},
		{Name: "total", Schema: money},
		{Name: "placed_at", Schema: of(schema.TypeInt64, schema.NameDebeziumMicroTimestamp)},
		{Name: "ship_on", Schema: of(schema.TypeInt32, schema.NameDebeziumDate)},
		{Name: "gift", Schema: of(schema.TypeBoolean, "")},
		{Name: "weight", Schema: of(schema.TypeFloat64, "")},
		{Name: "email", Schema: of(schema.TypeString, "")},
		{Name: "note", Schema: of(schema.TypeString, "")},
		{Name: "ref", Schema: of(schema.TypeString, schema.NameDebeziumUUID)},
	}}
	tab := NewTable("shop.public.orders")
	tab.Row = row
	tab.Key = &schema.Schema{Type: schema.TypeStruct, Name: "orders.Key", Fields: row.Fields[:1]}
	envelope := *tab.Envelope
	envelope.Fields = append([]schema.Field(nil), envelope.Fields...)
	envelope.Fields[0].Schema, envelope.Fields[1].Schema = row, row
	tab.Envelope = &envelope
	records := make([]schema.Record, n)
	for i := range records {
		r := tab.Event(schema.OpCreate, int64(i), &Row{})
		r.Value.Value.Elems()[1] = schema.Seq(schema.KindStruct, []schema.Value{
			schema.Int(int64(i)), schema.Int(int64(i % 5000)), schema.Text("shipped"), schema.Decimal([]byte("1234.50")),
			schema.Int(1_700_000_000_000_000 + int64(i)), schema.Int(19_700), schema.Bool(i%3 == 0), schema.Float(float64(i) / 8),
			schema.Text(fmt.Sprintf("customer%d@example.org", i%5000)),
			schema.Text("please leave the parcel with the neighbour at number twelve, thank you very much indeed"),
			schema.Text("0b1f6a5e-6d3a-4c7d-9c53-0f1f6c1b2a3d"),
		})
		records[i] = r
	}
	return records
}
