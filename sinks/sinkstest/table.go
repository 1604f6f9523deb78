package sinkstest

import (
	"strconv"

	"github.com/penstock/penstock/schema"
)

// Table makes the records of one small table: id int64, name string, n int32,
// body string. It numbers them as one partition of a topic.
type Table struct {
	Topic string
	// Key, Row and Envelope are the schemas; nil for schemaless records.
	Key, Row, Envelope *schema.Schema
	// Partition and next are where the next record is.
	Partition int32
	next      int64
}

// Row is the content of a row.
type Row struct {
	Name string
	N    int32
	Body string
}

// Missing as the Body of a row stands for a value that is not in the log.
const Missing = "__debezium_unavailable_value"

// NewTable returns a table with schemas.
func NewTable(topic string) *Table {
	str := &schema.Schema{Type: schema.TypeString, Optional: true}
	row := &schema.Schema{Type: schema.TypeStruct, Name: topic + ".Value", Optional: true, Fields: []schema.Field{
		{Name: "id", Schema: &schema.Schema{Type: schema.TypeInt64}},
		{Name: "name", Schema: str},
		{Name: "n", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
		{Name: "body", Schema: str},
	}}
	source := &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Source", Fields: []schema.Field{
		{Name: "ts_ms", Schema: &schema.Schema{Type: schema.TypeInt64}},
		{Name: "table", Schema: &schema.Schema{Type: schema.TypeString}},
	}}
	return &Table{
		Topic: topic,
		Key:   &schema.Schema{Type: schema.TypeStruct, Name: topic + ".Key", Fields: row.Fields[:1]},
		Row:   row,
		Envelope: &schema.Schema{Type: schema.TypeStruct, Name: topic + ".Envelope", Version: 2, Fields: []schema.Field{
			{Name: "before", Schema: row},
			{Name: "after", Schema: row},
			{Name: "source", Schema: source},
			{Name: "op", Schema: &schema.Schema{Type: schema.TypeString}},
			{Name: "ts_ms", Schema: &schema.Schema{Type: schema.TypeInt64, Optional: true}},
		}},
	}
}

// Schemaless returns the same table as topics without schemas have it.
func Schemaless(topic string) *Table { return &Table{Topic: topic} }

// Event returns the change event of a row. row is nil for a delete.
func (t *Table) Event(op schema.Op, id int64, row *Row) schema.Record {
	r := t.record(id)
	after := schema.Value{}
	before := schema.Value{}
	if row != nil {
		after = t.row(id, row)
	}
	if op == schema.OpDelete {
		before = t.row(id, &Row{})
	}
	r.Value = t.object(t.Envelope,
		"before", before,
		"after", after,
		"source", t.object(t.source(), "ts_ms", schema.Int(1_700_000_000_000), "table", schema.Text("t")).Value,
		"op", schema.Text(string(rune(op))),
		"ts_ms", schema.Int(1_700_000_000_001),
	)
	return r
}

// Truncate returns the event of a truncated table.
func (t *Table) Truncate() schema.Record {
	r := t.Event(schema.OpTruncate, 0, nil)
	r.Key = schema.Data{}
	return r
}

// Flat returns a flattened record; row is nil for a delete, and the record a
// tombstone.
func (t *Table) Flat(id int64, row *Row) schema.Record {
	r := t.record(id)
	if row != nil {
		r.Value = schema.Data{Schema: t.Row, Value: t.row(id, row)}
	}
	return r
}

func (t *Table) record(id int64) schema.Record {
	r := schema.Record{Topic: t.Topic, Partition: t.Partition, Offset: t.next, TimestampMillis: 1_700_000_000_002}
	t.next++
	r.Key = t.object(t.Key, "id", schema.Int(id))
	return r
}

func (t *Table) source() *schema.Schema {
	if t.Envelope == nil {
		return nil
	}
	return t.Envelope.Fields[t.Envelope.Index("source")].Schema
}

func (t *Table) row(id int64, r *Row) schema.Value {
	return t.object(t.Row, "id", schema.Int(id), "name", schema.Text(r.Name), "n", schema.Int(int64(r.N)), "body", schema.Text(r.Body)).Value
}

// object makes a struct, or, without a schema, a map.
func (t *Table) object(s *schema.Schema, fields ...any) schema.Data {
	var elems []schema.Value
	for i := 0; i < len(fields); i += 2 {
		if s == nil {
			elems = append(elems, schema.Text(fields[i].(string)))
		}
		elems = append(elems, fields[i+1].(schema.Value))
	}
	kind := schema.KindStruct
	if s == nil {
		kind = schema.KindMap
	}
	return schema.Data{Schema: s, Value: schema.Seq(kind, elems)}
}

// fields returns a row as a destination should show it.
func (r Row) fields(id int64) map[string]string {
	return map[string]string{"id": strconv.FormatInt(id, 10), "name": r.Name, "n": strconv.Itoa(int(r.N)), "body": r.Body}
}
