package mysql

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// valueModes are the settings that say how values appear.
type valueModes struct {
	decimals    string // decimal.handling.mode
	times       string // time.precision.mode
	bigUnsigned string // bigint.unsigned.handling.mode
	binary      string // binary.handling.mode
	adjustYears bool   // enable.time.adjuster
	comments    bool   // include.schema.comments
	logger      *slog.Logger
}

// typ is what a column type is like: its schema, and its two decoders.
type typ struct {
	// schema returns the schema of a column without nullability and default.
	schema func(m *valueModes, c *ddl.Column) (*schema.Schema, error)
	// log returns the decoder of the type's form in the binary log.
	log func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error)
	// text returns the decoder of the type's form in a query's result.
	text func(m *valueModes, c *ddl.Column) textDecoder
	// query, if not nil, is what to select in place of the column.
	query func(column string) string
	// wire lists the forms in the binary log that a column of this type may
	// have.
	wire []byte
}

// logDecoder reads a value from a row of the log into v. It leaves an error in
// r.
type logDecoder func(r *rowReader, v *schema.Value)

// textDecoder reads a value as a query returns it. text belongs to the arena
// and may be kept.
type textDecoder func(a *schema.Arena, text []byte, v *schema.Value) error

// types has a row for each type, by the name that the server gives it in SHOW
// CREATE TABLE; synonyms are resolved by package ddl.
var types = map[string]*typ{
	"TINYINT": integers, "SMALLINT": integers, "MEDIUMINT": integers, "INT": integers, "BIGINT": integers,
	"DECIMAL": decimals, "FLOAT": floats, "DOUBLE": doubles, "BIT": bits,
	"CHAR": texts, "VARCHAR": texts, "TINYTEXT": texts, "TEXT": texts, "MEDIUMTEXT": texts, "LONGTEXT": texts,
	"BINARY": fixedBinaries, "VARBINARY": binaries, "TINYBLOB": binaries, "BLOB": binaries, "MEDIUMBLOB": binaries, "LONGBLOB": binaries,
	"ENUM": enums, "SET": sets, "JSON": jsons,
	"DATE": dates, "TIME": times, "DATETIME": datetimes, "TIMESTAMP": timestamps, "YEAR": years,
	"GEOMETRY": geometries, "LINESTRING": geometries, "POLYGON": geometries, "MULTIPOINT": geometries,
	"MULTILINESTRING": geometries, "MULTIPOLYGON": geometries, "GEOMETRYCOLLECTION": geometries, "GEOMCOLLECTION": geometries,
	"POINT":  points,
	"VECTOR": vectors,
	"UUID":   uuids, "INET6": inet6s, "INET4": inet4s,
}

// typeOf finds a column's type.
func typeOf(c *ddl.Column) (*typ, error) {
	t, ok := types[c.Type]
	if !ok {
		return nil, fmt.Errorf("column %s has the type %s, which is not supported; leave it out with column.exclude.list", c.Name, c.Type)
	}
	return t, nil
}

// schemaOf returns a column's schema with nullability and default.
func (m *valueModes) schemaOf(c *ddl.Column, inKey bool) (*schema.Schema, error) {
	t, err := typeOf(c)
	if err != nil {
		return nil, err
	}
	s, err := t.schema(m, c)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", c.Name, err)
	}
	out := *s
	out.Optional = s.Optional || c.Nullable && !inKey
	out.Default = m.defaultOf(t, c)
	if m.comments && c.Comment != "" {
		out.Doc = c.Comment
	}
	return &out, nil
}

// defaultOf returns a column's default value as events show it, nil if there
// is none that can be told without the server.
func (m *valueModes) defaultOf(t *typ, c *ddl.Column) *schema.Value {
	if c.Default == nil || c.Generated {
		return nil
	}
	if c.DefaultIsExpression {
		return m.expressionDefault(c)
	}
	value, ok := c.Value()
	if !ok {
		return nil
	}
	text := []byte(value)
	switch c.Type {
	case "BIT":
		n, err := strconv.ParseUint(value, 2, 64)
		if err != nil {
			return nil
		}
		text = binary.BigEndian.AppendUint64(nil, n)
	case "BINARY":
		for len(text) < c.Length {
			text = append(text, 0)
		}
	}
	inUTF8 := *c // which definitions are in
	inUTF8.Charset = "utf8mb4"
	var v schema.Value
	if err := t.text(m, &inUTF8)(&schema.Arena{}, text, &v); err != nil || v.IsNull() {
		return nil
	}
	v = v.Clone()
	return &v
}

// expressionDefault returns what Debezium shows where the server computes the
// default: the beginning of 1970 for the current time, unless it is a TIMESTAMP
// that may be null, and otherwise nothing.
func (m *valueModes) expressionDefault(c *ddl.Column) *schema.Value {
	if c.Type != "DATETIME" && (c.Type != "TIMESTAMP" || c.Nullable) || strings.HasPrefix(*c.Default, "(") {
		return nil
	}
	v := m.epoch(c)
	return &v
}

// plain returns the schema function of a type that always has the same schema.
func plain(s *schema.Schema) func(*valueModes, *ddl.Column) (*schema.Schema, error) {
	return func(*valueModes, *ddl.Column) (*schema.Schema, error) { return s, nil }
}

// logical is a schema with one of Debezium's names.
func logical(t schema.Type, name string) *schema.Schema {
	return &schema.Schema{Type: t, Name: name, Version: 1}
}
