package mysql

import (
	"strings"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// tableChange is a change of a table as Debezium's schema history has it
// (io.debezium.relational.history.JsonTableChangeSerializer).
type tableChange struct {
	Type       string          `json:"type"`
	ID         string          `json:"id"`
	PreviousID string          `json:"previousId,omitempty"`
	Table      *describedTable `json:"table,omitempty"`
	// Comment is null, but not missing, for a table without one.
	Comment *nullable `json:"comment,omitempty"`
}

// nullable is a text that is null if it is empty.
type nullable string

// MarshalJSON writes the text.
func (n nullable) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return appendText(nil, string(n)), nil
}

type describedTable struct {
	Charset    string            `json:"defaultCharsetName"`
	Key        []string          `json:"primaryKeyColumnNames"`
	Columns    []describedColumn `json:"columns"`
	Attributes []struct{}        `json:"attributes"`
}

// describedColumn is a column as Debezium describes it to consumers and in its
// history.
type describedColumn struct {
	Name          string   `json:"name"`
	JDBCType      int      `json:"jdbcType"`
	Type          string   `json:"typeName"`
	Expression    string   `json:"typeExpression"`
	Charset       nullable `json:"charsetName"`
	Length        *int     `json:"length,omitempty"`
	Scale         *int     `json:"scale,omitempty"`
	Position      int      `json:"position"`
	Optional      bool     `json:"optional"`
	AutoIncrement bool     `json:"autoIncremented"`
	Generated     bool     `json:"generated"`
	Comment       nullable `json:"comment"`
	HasDefault    bool     `json:"hasDefaultValue"`
	Default       *string  `json:"defaultValueExpression,omitempty"`
	Members       []string `json:"enumValues"`
}

func newTableChange(c *ddl.Change, comments bool) tableChange {
	out := tableChange{Type: c.Type.String(), ID: quotedName(c.Database) + "." + quotedName(c.Name)}
	if c.PreviousName != "" {
		out.PreviousID = quotedName(c.PreviousDatabase) + "." + quotedName(c.PreviousName)
	}
	if c.Table == nil {
		return out
	}
	t := &describedTable{Charset: c.Table.Charset, Key: append([]string{}, c.Table.RowKey()...), Columns: make([]describedColumn, len(c.Table.Columns)), Attributes: []struct{}{}}
	for i := range c.Table.Columns {
		t.Columns[i] = describe(&c.Table.Columns[i], i+1, comments)
	}
	out.Table, out.Comment = t, new(nullable)
	if comments {
		*out.Comment = nullable(c.Table.Comment)
	}
	return out
}

// jdbcTypes are java.sql.Types as Debezium assigns them.
var jdbcTypes = map[string]int{
	"TINYINT": 5, "SMALLINT": 5, "MEDIUMINT": 4, "INT": 4, "BIGINT": -5, "DECIMAL": 3, "FLOAT": 6, "DOUBLE": 8, "BIT": -7,
	"CHAR": 1, "VARCHAR": 12, "TINYTEXT": 12, "TEXT": 12, "MEDIUMTEXT": 12, "LONGTEXT": 12, "ENUM": 1, "SET": 1,
	"BINARY": -2, "VARBINARY": -3, "TINYBLOB": 2004, "BLOB": 2004, "MEDIUMBLOB": 2004, "LONGBLOB": 2004,
	"DATE": 91, "TIME": 92, "DATETIME": 93, "TIMESTAMP": 2014, "YEAR": 4,
}

func describe(c *ddl.Column, position int, comments bool) describedColumn {
	origin := originOf(c, comments)
	// Debezium takes a column that the server sets by itself for both.
	automatic := c.AutoIncrement || c.OnUpdateNow
	d := describedColumn{
		Name: c.Name, JDBCType: 1111, Type: origin.Type, Expression: origin.Type, Position: position,
		Optional: c.Nullable, AutoIncrement: automatic, Generated: automatic, Comment: nullable(origin.Comment), Members: []string{},
	}
	if jdbc, ok := jdbcTypes[c.Type]; ok {
		d.JDBCType = jdbc
	}
	if c.Charset != "" && c.Charset != "binary" && c.Type != "JSON" {
		d.Charset = nullable(c.Charset)
	}
	if origin.Length >= 0 {
		d.Length = &origin.Length
	}
	if origin.Scale >= 0 {
		d.Scale = &origin.Scale
	}
	switch {
	case c.Default == nil:
	case !c.DefaultIsExpression:
		d.Default = c.Default
	case c.Type == "TIMESTAMP" || c.Type == "DATETIME":
		epoch := "1970-01-01 00:00:00"
		d.Default = &epoch
	}
	d.HasDefault = c.Nullable || d.Default != nil
	for _, m := range c.Members {
		d.Members = append(d.Members, "'"+strings.ReplaceAll(m, "'", "''")+"'")
	}
	return d
}

// value is the column as the records of schema changes have it.
func (d *describedColumn) value(b *schema.Batch) schema.Value {
	text := func(s nullable) schema.Value {
		if s == "" {
			return schema.Value{}
		}
		return schema.Text(string(s))
	}
	number := func(n *int) schema.Value {
		if n == nil {
			return schema.Value{}
		}
		return schema.Int(int64(*n))
	}
	v := b.Row(len(changedColumnSchema.Fields))
	v[0], v[1] = schema.Text(d.Name), schema.Int(int64(d.JDBCType))
	v[3], v[4] = schema.Text(d.Type), schema.Text(d.Expression)
	v[5], v[6], v[7] = text(d.Charset), number(d.Length), number(d.Scale)
	v[8], v[9] = schema.Int(int64(d.Position)), schema.Bool(d.Optional)
	v[10], v[11] = schema.Bool(d.AutoIncrement), schema.Bool(d.Generated)
	v[12] = text(d.Comment)
	if d.Default != nil {
		v[13] = schema.Text(*d.Default)
	}
	if len(d.Members) > 0 {
		v[14] = stringsValue(b, d.Members)
	}
	return schema.Seq(schema.KindStruct, v)
}
