package mysql

import (
	"strings"
	"time"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// schemaChanges makes the records of the topic that tells consumers of altered
// tables (include.schema.changes).
type schemaChanges struct {
	topic      string
	key, value *schema.Schema
	comments   bool // include.schema.comments
}

// The fields of a schema change and of what it holds, in Debezium's order
// (io.debezium.relational.history.ConnectTableChangeSerializer).
var (
	optionalInt32   = &schema.Schema{Type: schema.TypeInt32, Optional: true}
	optionalBoolean = &schema.Schema{Type: schema.TypeBoolean, Optional: true}
	optionalStrings = &schema.Schema{Type: schema.TypeArray, Optional: true, Elem: requiredString}

	changedColumnSchema = &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.schema.Column", Version: 1, Fields: []schema.Field{
		{Name: "name", Schema: requiredString},
		{Name: "jdbcType", Schema: requiredInt32},
		{Name: "nativeType", Schema: optionalInt32},
		{Name: "typeName", Schema: requiredString},
		{Name: "typeExpression", Schema: optionalString},
		{Name: "charsetName", Schema: optionalString},
		{Name: "length", Schema: optionalInt32},
		{Name: "scale", Schema: optionalInt32},
		{Name: "position", Schema: requiredInt32},
		{Name: "optional", Schema: optionalBoolean},
		{Name: "autoIncremented", Schema: optionalBoolean},
		{Name: "generated", Schema: optionalBoolean},
		{Name: "comment", Schema: optionalString},
		{Name: "defaultValueExpression", Schema: optionalString},
		{Name: "enumValues", Schema: optionalStrings},
	}}
	changedTableSchema = &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.schema.Table", Version: 1, Optional: true, Fields: []schema.Field{
		{Name: "defaultCharsetName", Schema: optionalString},
		{Name: "primaryKeyColumnNames", Schema: optionalStrings},
		{Name: "columns", Schema: &schema.Schema{Type: schema.TypeArray, Elem: changedColumnSchema}},
		{Name: "comment", Schema: optionalString},
	}}
	tableChangeSchema = &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.schema.Change", Version: 1, Fields: []schema.Field{
		{Name: "type", Schema: requiredString},
		{Name: "id", Schema: requiredString},
		{Name: "table", Schema: changedTableSchema},
	}}
)

func newSchemaChanges(cfg *config) *schemaChanges {
	// One schema serves all tables, so only what is the same in all of them
	// may be constant.
	source := sourceSchema(cfg, "", "")
	source.Fields[srcDB].Const, source.Fields[srcTable].Const = nil, nil
	prefix := strings.TrimSuffix(cfg.flavor.sourceInfo, "Source")
	return &schemaChanges{
		topic: cfg.prefix, comments: cfg.values.comments,
		key: &schema.Schema{
			Type: schema.TypeStruct, Name: prefix + "SchemaChangeKey", Version: 1,
			Fields: []schema.Field{{Name: "databaseName", Schema: requiredString}},
		},
		value: &schema.Schema{Type: schema.TypeStruct, Name: prefix + "SchemaChangeValue", Version: 1, Fields: []schema.Field{
			{Name: "source", Schema: source},
			{Name: "ts_ms", Schema: requiredInt64},
			{Name: "databaseName", Schema: optionalString},
			{Name: "schemaName", Schema: optionalString},
			{Name: "ddl", Schema: optionalString},
			{Name: "tableChanges", Schema: &schema.Schema{Type: schema.TypeArray, Elem: tableChangeSchema}},
		}},
	}
}

// changed is a statement as the records of schema changes have it.
type changed struct {
	database string
	// table is the first that is concerned; empty for none that is captured,
	// and nil for a statement about a database or the server.
	table   *string
	sql     string
	changes []ddl.Change
}

// changedBy returns what a statement is recorded as: one for each table that a
// DROP TABLE names, otherwise one.
func changedBy(st *ddl.Statement, sql string) []changed {
	switch {
	case st.Kind == ddl.DatabaseStatement:
		return []changed{{database: st.Database, sql: sql}}
	case len(st.Changes) == 0:
		return []changed{{database: st.Database, table: new(string), sql: sql}}
	case st.Changes[0].Type != ddl.Drop:
		return []changed{{database: st.Database, table: &st.Changes[0].Name, sql: sql, changes: st.Changes}}
	}
	list := make([]changed, len(st.Changes))
	for i := range st.Changes {
		c := &st.Changes[i]
		list[i] = changed{
			database: c.Database, table: &c.Name, sql: "DROP TABLE " + ident(c.Database) + "." + ident(c.Name), changes: st.Changes[i : i+1],
		}
	}
	return list
}

// publish hands out the record of a statement.
func (s *source) publish(b *schema.Batch, c *changed) {
	if s.changes == nil {
		s.changes = newSchemaChanges(s.cfg)
	}
	source := s.sourceRow(b, s.changes.constants(c), 0)
	source[srcQuery] = schema.Value{}
	s.changes.append(b, source, s.micros(), c)
}

// constants are the values of a source block that do not vary in a statement's
// records.
func (k *schemaChanges) constants(c *changed) schema.Row {
	row := make(schema.Row, sourceFields)
	constants(row, k.value.Fields[0].Schema)
	row[srcDB] = schema.Text(c.database)
	if c.table != nil {
		row[srcTable] = schema.Text(*c.table)
	}
	return row
}

func (k *schemaChanges) append(b *schema.Batch, source schema.Row, micros int64, c *changed) {
	list := b.Row(len(c.changes))
	for i := range c.changes {
		change := b.Row(3)
		change[0] = schema.Text(c.changes[i].Type.String())
		change[1] = schema.Text(quotedName(c.changes[i].Database) + "." + quotedName(c.changes[i].Name))
		if t := c.changes[i].Table; t != nil {
			change[2] = k.table(b, t)
		}
		list[i] = schema.Seq(schema.KindStruct, change)
	}
	value := b.Row(6)
	value[0] = schema.Seq(schema.KindStruct, source)
	value[1] = schema.Int(time.Now().UnixMilli())
	value[2] = schema.Text(c.database)
	value[4] = schema.Text(c.sql)
	value[5] = schema.Seq(schema.KindArray, list)
	key := b.Row(1)
	key[0] = schema.Text(c.database)
	e := b.Append()
	e.Op, e.TimeMicros = schema.OpRecord, micros
	e.Record = &schema.Record{
		Topic: k.topic,
		Key:   schema.Data{Schema: k.key, Value: schema.Seq(schema.KindStruct, key)},
		Value: schema.Data{Schema: k.value, Value: schema.Seq(schema.KindStruct, value)},
	}
}

func quotedName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (k *schemaChanges) table(b *schema.Batch, t *ddl.Table) schema.Value {
	columns := b.Row(len(t.Columns))
	for i := range t.Columns {
		c := describe(&t.Columns[i], i+1, k.comments)
		columns[i] = c.value(b)
	}
	v := b.Row(4)
	v[0] = schema.Text(t.Charset)
	v[1] = stringsValue(b, t.RowKey())
	v[2] = schema.Seq(schema.KindArray, columns)
	if t.Comment != "" && k.comments {
		v[3] = schema.Text(t.Comment)
	}
	return schema.Seq(schema.KindStruct, v)
}

func stringsValue(b *schema.Batch, list []string) schema.Value {
	v := b.Row(len(list))
	for i, s := range list {
		v[i] = schema.Text(s)
	}
	return schema.Seq(schema.KindArray, v)
}
