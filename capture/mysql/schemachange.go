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

// publish hands out the records of a statement: one for each table that a DROP
// TABLE names, otherwise one.
func (s *source) publish(b *schema.Batch, st *ddl.Statement, sql string) {
	if s.changes == nil {
		s.changes = newSchemaChanges(s.cfg)
	}
	switch {
	case st.Kind == ddl.DatabaseStatement:
		s.changes.append(s, b, st.Database, schema.Value{}, sql, nil)
	case len(st.Changes) > 0 && st.Changes[0].Type == ddl.Drop:
		for i := range st.Changes {
			c := &st.Changes[i]
			one := "DROP TABLE " + ident(c.Database) + "." + ident(c.Name)
			s.changes.append(s, b, c.Database, schema.Text(c.Name), one, st.Changes[i:i+1])
		}
	case len(st.Changes) > 0:
		s.changes.append(s, b, st.Database, schema.Text(st.Changes[0].Name), sql, st.Changes)
	default:
		s.changes.append(s, b, st.Database, schema.Text(""), sql, nil)
	}
}

func (k *schemaChanges) append(s *source, b *schema.Batch, database string, table schema.Value, sql string, changes []ddl.Change) {
	constant := make(schema.Row, sourceFields)
	constants(constant, k.value.Fields[0].Schema)
	constant[srcDB], constant[srcTable] = schema.Text(database), table
	source := s.sourceRow(b, constant, 0)
	source[srcQuery] = schema.Value{}

	list := b.Row(len(changes))
	for i := range changes {
		c := &changes[i]
		change := b.Row(3)
		change[0] = schema.Text(c.Type.String())
		change[1] = schema.Text(quotedName(c.Database) + "." + quotedName(c.Name))
		if c.Table != nil {
			change[2] = k.table(b, c.Table)
		}
		list[i] = schema.Seq(schema.KindStruct, change)
	}
	value := b.Row(6)
	value[0] = schema.Seq(schema.KindStruct, source)
	value[1] = schema.Int(time.Now().UnixMilli())
	value[2] = schema.Text(database)
	value[4] = schema.Text(sql)
	value[5] = schema.Seq(schema.KindArray, list)
	key := b.Row(1)
	key[0] = schema.Text(database)
	e := b.Append()
	e.Op, e.TimeMicros = schema.OpRecord, s.micros()
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
		columns[i] = k.column(b, &t.Columns[i], i+1)
	}
	v := b.Row(4)
	v[0] = schema.Text(t.Charset)
	var key []string
	if t.Primary != nil {
		key = t.Primary.Columns
	}
	v[1] = stringsValue(b, key)
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

// jdbcTypes are java.sql.Types as Debezium assigns them.
var jdbcTypes = map[string]int64{
	"TINYINT": 5, "SMALLINT": 5, "MEDIUMINT": 4, "INT": 4, "BIGINT": -5, "DECIMAL": 3, "FLOAT": 6, "DOUBLE": 8, "BIT": -7,
	"CHAR": 1, "VARCHAR": 12, "TINYTEXT": 12, "TEXT": 12, "MEDIUMTEXT": 12, "LONGTEXT": 12, "ENUM": 1, "SET": 1,
	"BINARY": -2, "VARBINARY": -3, "TINYBLOB": 2004, "BLOB": 2004, "MEDIUMBLOB": 2004, "LONGBLOB": 2004,
	"DATE": 91, "TIME": 92, "DATETIME": 93, "TIMESTAMP": 2014, "YEAR": 4,
}

func (k *schemaChanges) column(b *schema.Batch, c *ddl.Column, position int) schema.Value {
	jdbc, ok := jdbcTypes[c.Type]
	if !ok {
		jdbc = 1111 // OTHER
	}
	origin := originOf(c, k.comments)
	v := b.Row(15)
	v[0], v[1] = schema.Text(c.Name), schema.Int(jdbc)
	v[3], v[4] = schema.Text(origin.Type), schema.Text(origin.Type)
	if c.Charset != "" && c.Charset != "binary" && c.Type != "JSON" {
		v[5] = schema.Text(c.Charset)
	}
	if origin.Length >= 0 {
		v[6] = schema.Int(int64(origin.Length))
	}
	if origin.Scale >= 0 {
		v[7] = schema.Int(int64(origin.Scale))
	}
	// Debezium takes a column that the server sets by itself for both.
	automatic := c.AutoIncrement || c.OnUpdateNow
	v[8], v[9] = schema.Int(int64(position)), schema.Bool(c.Nullable)
	v[10], v[11] = schema.Bool(automatic), schema.Bool(automatic)
	if origin.Comment != "" {
		v[12] = schema.Text(origin.Comment)
	}
	switch {
	case c.Default == nil:
	case !c.DefaultIsExpression:
		v[13] = schema.Text(*c.Default)
	case c.Type == "TIMESTAMP" || c.Type == "DATETIME":
		v[13] = schema.Text("1970-01-01 00:00:00")
	}
	if len(c.Members) > 0 {
		quotedMembers := make([]string, len(c.Members))
		for i, m := range c.Members {
			quotedMembers[i] = "'" + strings.ReplaceAll(m, "'", "''") + "'"
		}
		v[14] = stringsValue(b, quotedMembers)
	}
	return schema.Seq(schema.KindStruct, v)
}
