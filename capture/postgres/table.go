package postgres

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/penstock/penstock/schema"
)

// version is Debezium's release whose events are matched.
const version = "3.6.1.Final"

// The fields of the source block, by their place.
const (
	sourceVersion = iota
	sourceConnector
	sourceName
	sourceMillis
	sourceSnapshot
	sourceDatabase
	sourceSequence
	sourceMicros
	sourceNanos
	sourceSchema
	sourceTableName
	sourceXID
	sourceLSN
	sourceXmin
	sourceOrigin
	sourceOriginLSN
	sourceFields
)

// sourceBlock returns the shape of a table's source block and the values that
// are the same in all of its events.
func (c *config) sourceBlock(namespace, table string) (*schema.Schema, schema.Row) {
	text := &schema.Schema{Type: schema.TypeString}
	long := &schema.Schema{Type: schema.TypeInt64}
	fields := make([]schema.Field, sourceFields)
	row := make(schema.Row, sourceFields)
	fixed := func(at int, name string, s *schema.Schema, v schema.Value) {
		fields[at] = schema.Field{Name: name, Schema: s, Const: constant(v)}
		row[at] = v
	}
	field := func(at int, name string, s *schema.Schema) { fields[at] = schema.Field{Name: name, Schema: s} }
	fixed(sourceVersion, "version", text, schema.Text(version))
	fixed(sourceConnector, "connector", text, schema.Text("postgresql"))
	fixed(sourceName, "name", text, schema.Text(c.prefix))
	field(sourceMillis, "ts_ms", long)
	field(sourceSnapshot, "snapshot", &schema.Schema{
		Type: schema.TypeString, Optional: true, Name: schema.NameDebeziumEnum, Version: 1,
		Parameters: []schema.Parameter{{Name: "allowed", Value: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}},
		Default:    constant(schema.Text("false")),
	})
	row[sourceSnapshot] = schema.Text("false")
	fixed(sourceDatabase, "db", text, schema.Text(c.dbname))
	field(sourceSequence, "sequence", text.AsOptional())
	field(sourceMicros, "ts_us", long.AsOptional())
	field(sourceNanos, "ts_ns", long.AsOptional())
	fixed(sourceSchema, "schema", text, schema.Text(namespace))
	fixed(sourceTableName, "table", text, schema.Text(table))
	field(sourceXID, "txId", long.AsOptional())
	field(sourceLSN, "lsn", long.AsOptional())
	fixed(sourceXmin, "xmin", long.AsOptional(), schema.Value{})
	field(sourceOrigin, "origin", text.AsOptional())
	field(sourceOriginLSN, "origin_lsn", long.AsOptional())
	return &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Source", Version: 1, Fields: fields}, row
}

// plan is how the rows of one version of a table become events.
type plan struct {
	table *schema.Table // nil: the table is not captured
	// columns are those of the wire, in its order.
	columns []planColumn
	// source are the values of the source block that do not vary.
	source schema.Row
	// unknown stand in an old row for the columns that the log does not have.
	unknown schema.Row
}

type planColumn struct {
	name   string
	to     int // its place in the table's columns; -1 if it is left out
	decode decoder
}

// newPlan compiles the plan of a captured table. columns are those of the
// wire; info is what the catalogue says of the table, nil if it does not know
// it; infos are the types.
func (c *config) newPlan(namespace, name string, columns []columnInfo, info *tableInfo, infos map[uint32]*typeInfo) (*plan, error) {
	p := &plan{columns: make([]planColumn, len(columns))}
	t := &schema.Table{Database: c.dbname, Schema: namespace, Name: name}
	t.Source, p.source = c.sourceBlock(namespace, name)
	var key []string
	if info != nil && !slices.ContainsFunc(info.key, func(k string) bool {
		return !slices.ContainsFunc(columns, func(c columnInfo) bool { return c.name == k })
	}) {
		key = info.key
	}
	for i, col := range columns {
		p.columns[i] = planColumn{name: col.name, to: -1}
		if !c.filter.Column(c.dbname, namespace, name, col.name) && !slices.Contains(key, col.name) {
			continue
		}
		vt, ok, err := c.values.resolve(infos, col.oid, col.mod)
		if err != nil {
			return nil, fmt.Errorf("column %s of table %s.%s: %w", col.name, namespace, name, err)
		}
		if !ok {
			continue
		}
		s := *vt.schema
		s.Optional = !col.notNull
		s.Default = defaultOf(col.fallback, vt)
		p.columns[i].to, p.columns[i].decode = len(t.Columns), vt.decode
		t.Columns = append(t.Columns, schema.Column{Name: col.name, Schema: &s, Absent: vt.absent, Unlogged: col.unlogged})
		var unknown schema.Value
		if col.notNull && col.unlogged {
			// What a schema requires cannot be null; Debezium writes the
			// default or the type's neutral value.
			switch {
			case s.Default != nil:
				unknown = *s.Default
			case vt.zero != nil:
				unknown = *vt.zero
			}
		}
		p.unknown = append(p.unknown, unknown)
	}
	for _, k := range key {
		if i := t.Index(k); i >= 0 {
			t.Key = append(t.Key, i)
		}
	}
	if len(t.Key) != len(key) {
		t.Key = nil // a key of a type that events do not have
	}
	p.table = t
	return p, nil
}

// sameTable reports whether two versions of a table are alike in all that
// events show.
func sameTable(a, b *schema.Table) bool { return reflect.DeepEqual(a, b) }
