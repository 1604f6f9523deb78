package mysql

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// definition is a table's definition at one place in the log. It never
// changes.
type definition struct {
	database, name string
	columns        []ddl.Column // all of them, in the order of the log's rows
	// key holds the places of the primary key's columns, or of the first
	// unique key that has no nullable column.
	key []int
}

// fromDDL takes over a definition that came from statements.
func fromDDL(t *ddl.Table) *definition {
	d := &definition{database: t.Database, name: t.Name, columns: t.Columns}
	for _, name := range t.RowKey() {
		d.key = append(d.key, d.index(name))
	}
	return d
}

// index returns the place of a column, or -1. Column names do not depend on
// case.
func (d *definition) index(name string) int {
	return slices.IndexFunc(d.columns, func(c ddl.Column) bool { return strings.EqualFold(c.Name, name) })
}

// shape is what a definition looks like in events: which of its columns are
// captured, and how.
type shape struct {
	table *schema.Table
	// cells holds for each column of the definition its place in the table's
	// rows, or -1 for one that is not captured.
	cells []int
}

// shape plans a definition. It returns an error for a column whose type cannot
// be read.
func (d *definition) shape(cfg *config) (*shape, error) {
	s := &shape{cells: make([]int, len(d.columns))}
	t := &schema.Table{Database: d.database, Name: d.name, Source: sourceSchema(cfg, d.database, d.name)}
	for i := range d.columns {
		c := &d.columns[i]
		s.cells[i] = -1
		inKey := slices.Contains(d.key, i)
		keyOnly := !cfg.filter.Column(d.database, "", d.name, c.Name)
		if keyOnly && !inKey && !cfg.filter.KeyColumn(d.database, "", d.name, c.Name) {
			continue
		}
		sch, err := cfg.values.schemaOf(c, inKey)
		if err != nil {
			return nil, err
		}
		s.cells[i] = len(t.Columns)
		t.Columns = append(t.Columns, schema.Column{Name: c.Name, Schema: sch, Origin: originOf(c, cfg.values.comments), KeyOnly: keyOnly})
	}
	for _, k := range d.key {
		t.Key = append(t.Key, s.cells[k])
	}
	s.table = t
	return s, nil
}

// originOf is a column's type as Debezium shows it.
func originOf(c *ddl.Column, comments bool) schema.Origin {
	o := schema.Origin{Type: c.Type, Length: c.Length, Scale: c.Scale}
	if c.Unsigned {
		o.Type += " UNSIGNED"
	}
	if c.Zerofill {
		o.Type += " ZEROFILL"
	}
	switch c.Type {
	case "ENUM":
		o.Length = 1
	case "SET":
		o.Length = max(0, 2*len(c.Members)-1)
	case "DATETIME", "TIMESTAMP", "TIME":
		if o.Length == 0 {
			o.Length = -1
		}
	}
	if comments {
		o.Comment = c.Comment
	}
	return o
}

// The fields of the source block, in Debezium's order.
const (
	srcVersion = iota
	srcConnector
	srcName
	srcTsMs
	srcSnapshot
	srcDB
	srcSequence
	srcTsUs
	srcTsNs
	srcTable
	srcServerID
	srcGTID
	srcFile
	srcPos
	srcRow
	srcThread
	srcQuery
	sourceFields
)

// snapshotStates are the values of the source block's field "snapshot"
// (io.debezium.connector.SnapshotRecord).
const snapshotStates = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

var (
	requiredString = &schema.Schema{Type: schema.TypeString}
	optionalString = &schema.Schema{Type: schema.TypeString, Optional: true}
	requiredInt64  = &schema.Schema{Type: schema.TypeInt64}
	optionalInt64  = &schema.Schema{Type: schema.TypeInt64, Optional: true}
	requiredInt32  = &schema.Schema{Type: schema.TypeInt32}
	notSnapshot    = schema.Text("false")
	snapshotSchema = &schema.Schema{
		Type: schema.TypeString, Optional: true, Name: schema.NameDebeziumEnum, Version: 1,
		Parameters: []schema.Parameter{{Name: "allowed", Value: snapshotStates}}, Default: &notSnapshot,
	}
)

// sourceSchema is the shape of the source block of a table's events; an empty
// table name stands for that of schema changes.
func sourceSchema(cfg *config, database, table string) *schema.Schema {
	constant := func(text string) *schema.Value { v := schema.Text(text); return &v }
	null := &schema.Value{}
	fields := [sourceFields]schema.Field{
		srcVersion:   {Name: "version", Schema: requiredString, Const: constant(version)},
		srcConnector: {Name: "connector", Schema: requiredString, Const: constant(cfg.flavor.connector)},
		srcName:      {Name: "name", Schema: requiredString, Const: constant(cfg.prefix)},
		srcTsMs:      {Name: "ts_ms", Schema: requiredInt64},
		srcSnapshot:  {Name: "snapshot", Schema: snapshotSchema},
		srcDB:        {Name: "db", Schema: requiredString, Const: constant(database)},
		srcSequence:  {Name: "sequence", Schema: optionalString, Const: null},
		srcTsUs:      {Name: "ts_us", Schema: optionalInt64},
		srcTsNs:      {Name: "ts_ns", Schema: optionalInt64},
		srcTable:     {Name: "table", Schema: optionalString, Const: constant(table)},
		srcServerID:  {Name: "server_id", Schema: requiredInt64},
		srcGTID:      {Name: "gtid", Schema: optionalString},
		srcFile:      {Name: "file", Schema: requiredString},
		srcPos:       {Name: "pos", Schema: requiredInt64},
		srcRow:       {Name: "row", Schema: requiredInt32},
		srcThread:    {Name: "thread", Schema: optionalInt64},
		srcQuery:     {Name: "query", Schema: optionalString},
	}
	return &schema.Schema{Type: schema.TypeStruct, Name: cfg.flavor.sourceInfo, Version: 1, Fields: fields[:]}
}

// constants copies the constant fields of a source block into a row.
func constants(row schema.Row, source *schema.Schema) {
	for i := range source.Fields {
		if c := source.Fields[i].Const; c != nil {
			row[i] = *c
		}
	}
}
