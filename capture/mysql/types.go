package mysql

import (
	"bytes"
	"fmt"
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
	out.Optional = c.Nullable && !inKey
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
	var v schema.Value
	if c.DefaultIsExpression {
		// Debezium shows the zero of the type where the server computes the
		// default, which only concerns CURRENT_TIMESTAMP.
		if c.Type != "TIMESTAMP" && c.Type != "DATETIME" || c.Nullable {
			return nil
		}
		if err := t.text(m, c)(&schema.Arena{}, []byte("1970-01-01 00:00:00"), &v); err != nil {
			return nil
		}
		return &v
	}
	text := []byte(*c.Default)
	switch c.Type {
	case "BIT":
		text = bitLiteral(*c.Default)
	case "BINARY":
		text = pad(text, c.Length)
	case "DECIMAL":
		text = toScale(text, c.Scale)
	}
	if err := t.text(m, c)(&schema.Arena{}, text, &v); err != nil {
		return nil
	}
	if v.IsNull() && !c.Nullable {
		return nil
	}
	v = v.Clone()
	return &v
}

// bitLiteral reads the digits of a bit literal, which is how the server shows
// the default of a BIT column, into the bytes of a value.
func bitLiteral(digits string) []byte {
	if strings.Trim(digits, "01") != "" {
		return []byte(digits)
	}
	var n uint64
	for _, d := range digits {
		n = n<<1 | uint64(d-'0')
	}
	return bigBytes(n)
}

// toScale appends zeros to a decimal number until it has so many digits after
// the point.
func toScale(number []byte, scale int) []byte {
	point := bytes.IndexByte(number, '.')
	if point < 0 && scale > 0 {
		point = len(number)
		number = append(number, '.')
	}
	for point >= 0 && len(number)-point-1 < scale {
		number = append(number, '0')
	}
	return number
}

func bigBytes(n uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[7-i] = byte(n >> (8 * i))
	}
	return b
}

func pad(b []byte, n int) []byte {
	for len(b) < n {
		b = append(b, 0)
	}
	return b
}

// plain returns the schema function of a type that always has the same schema.
func plain(s *schema.Schema) func(*valueModes, *ddl.Column) (*schema.Schema, error) {
	return func(*valueModes, *ddl.Column) (*schema.Schema, error) { return s, nil }
}

// logical is a schema with one of Debezium's names.
func logical(t schema.Type, name string) *schema.Schema {
	return &schema.Schema{Type: t, Name: name, Version: 1}
}
