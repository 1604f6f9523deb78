package mysql

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

var texts = &typ{
	wire: []byte{wireString, wireVarchar, wireVarString, wireBlob},
	schema: func(_ *valueModes, c *ddl.Column) (*schema.Schema, error) {
		_, err := charsetOf(c.Charset)
		return &schema.Schema{Type: schema.TypeString}, err
	},
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		read, err := m.textReader(c)
		if err != nil {
			return nil, err
		}
		n := b.lengthBytes()
		return func(r *rowReader, v *schema.Value) { *v = read(r.arena, r.prefixed(n)) }, nil
	},
	text: charsetText,
}

// charsetText reads text in a column's character set, in which the sessions of
// a snapshot get it: the server's own conversion would replace what is not
// valid by question marks.
func charsetText(m *valueModes, c *ddl.Column) textDecoder {
	read, err := m.textReader(c)
	if err != nil { // which the schema has found already
		return textString
	}
	return func(a *schema.Arena, text []byte, v *schema.Value) error {
		*v = read(a, text)
		return nil
	}
}

// textString reads text that is UTF-8 or ASCII.
func textString(_ *schema.Arena, text []byte, v *schema.Value) error {
	*v = schema.String(text)
	return nil
}

var binaries = &typ{
	wire:   []byte{wireString, wireVarchar, wireVarString, wireBlob},
	schema: binarySchema,
	log: func(m *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
		n, put := b.lengthBytes(), m.binaryPutter()
		return func(r *rowReader, v *schema.Value) { *v = put(r.arena, r.prefixed(n)) }, nil
	},
	text: binaryText,
}

// fixedBinaries is BINARY(n): the log leaves out zeros at the end.
var fixedBinaries = &typ{
	wire:   []byte{wireString},
	schema: binarySchema,
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		n, put, length := b.lengthBytes(), m.binaryPutter(), c.Length
		if length > 255 {
			return nil, fmt.Errorf("binary(%d) cannot be", length)
		}
		return func(r *rowReader, v *schema.Value) {
			in := r.prefixed(n)
			if len(in) < length {
				full := r.arena.Make(length)
				clear(full[copy(full, in):])
				in = full
			}
			*v = put(r.arena, in)
		}, nil
	},
	text: binaryText,
}

func binarySchema(m *valueModes, _ *ddl.Column) (*schema.Schema, error) {
	if m.binary == "bytes" || m.binary == "" {
		return &schema.Schema{Type: schema.TypeBytes}, nil
	}
	return &schema.Schema{Type: schema.TypeString}, nil
}

func binaryText(m *valueModes, _ *ddl.Column) textDecoder {
	put := m.binaryPutter()
	return func(a *schema.Arena, text []byte, v *schema.Value) error {
		*v = put(a, text)
		return nil
	}
}

// binaryPutter returns what turns bytes into the value that
// binary.handling.mode asks for.
func (m *valueModes) binaryPutter() func(*schema.Arena, []byte) schema.Value {
	encoding := base64.StdEncoding
	switch m.binary {
	case "hex":
		return func(a *schema.Arena, b []byte) schema.Value {
			out := a.Make(hex.EncodedLen(len(b)))
			hex.Encode(out, b)
			return schema.String(out)
		}
	case "base64":
	case "base64-url-safe":
		encoding = base64.URLEncoding
	default:
		return func(_ *schema.Arena, b []byte) schema.Value { return schema.Bytes(b) }
	}
	return func(a *schema.Arena, b []byte) schema.Value {
		out := a.Make(encoding.EncodedLen(len(b)))
		encoding.Encode(out, b)
		return schema.String(out)
	}
}

// allowed renders the members of an ENUM or SET for the schema's parameter; a
// comma within one has a backslash before it.
func allowed(members []string) []schema.Parameter {
	escaped := make([]string, len(members))
	for i, m := range members {
		escaped[i] = strings.ReplaceAll(m, ",", `\,`)
	}
	return []schema.Parameter{{Name: "allowed", Value: strings.Join(escaped, ",")}}
}

var enums = &typ{
	wire: []byte{wireEnum},
	schema: func(_ *valueModes, c *ddl.Column) (*schema.Schema, error) {
		s := logical(schema.TypeString, schema.NameDebeziumEnum)
		s.Parameters = allowed(c.Members)
		return s, nil
	},
	log: func(_ *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		size := int(b.meta & 0xff)
		if size != 1 && size != 2 {
			return nil, fmt.Errorf("enum of %d bytes", size)
		}
		// The number 0 is the empty string that stands for an invalid value.
		members := make([]schema.Value, len(c.Members)+1)
		members[0] = schema.Text("")
		for i, m := range c.Members {
			members[i+1] = schema.Text(m)
		}
		return func(r *rowReader, v *schema.Value) {
			n := r.little(size)
			if n >= uint64(len(members)) {
				r.bad = true
				return
			}
			*v = members[n]
		}, nil
	},
	text: charsetText,
}

var sets = &typ{
	wire: []byte{wireSet},
	schema: func(_ *valueModes, c *ddl.Column) (*schema.Schema, error) {
		s := logical(schema.TypeString, schema.NameDebeziumEnumSet)
		s.Parameters = allowed(c.Members)
		return s, nil
	},
	log: func(_ *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		size := int(b.meta & 0xff)
		if size < 1 || size > 8 {
			return nil, fmt.Errorf("set of %d bytes", size)
		}
		members := c.Members
		return func(r *rowReader, v *schema.Value) {
			n := r.little(size)
			r.scratch = r.scratch[:0]
			for i, m := range members {
				if n&(1<<i) == 0 {
					continue
				}
				if len(r.scratch) > 0 {
					r.scratch = append(r.scratch, ',')
				}
				r.scratch = append(r.scratch, m...)
			}
			*v = schema.String(r.arena.Copy(r.scratch))
		}, nil
	},
	text: charsetText,
}

var jsons = &typ{
	wire:   []byte{wireJSON},
	schema: plain(logical(schema.TypeString, schema.NameDebeziumJSON)),
	log: func(_ *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
		n := b.lengthBytes()
		return func(r *rowReader, v *schema.Value) {
			in := r.prefixed(n)
			out, err := appendJSON(r.scratch[:0], in)
			if err != nil {
				r.bad = true
				return
			}
			r.scratch = out
			*v = schema.String(r.arena.Copy(out))
		}, nil
	},
	text: func(*valueModes, *ddl.Column) textDecoder {
		return func(a *schema.Arena, text []byte, v *schema.Value) error {
			*v = schema.String(compactJSON(a, text))
			return nil
		}
	},
}

// MariaDB logs UUID and INET columns as fixed strings of bytes.
var uuids = fixedBytes(16, logical(schema.TypeString, schema.NameDebeziumUUID), func(dst, b []byte) []byte {
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, []byte{c})
	}
	return dst
})

var inet6s = fixedBytes(16, &schema.Schema{Type: schema.TypeString}, func(dst, b []byte) []byte { return netip.AddrFrom16([16]byte(b)).AppendTo(dst) })

var inet4s = fixedBytes(4, &schema.Schema{Type: schema.TypeString}, func(dst, b []byte) []byte { return netip.AddrFrom4([4]byte(b)).AppendTo(dst) })

// fixedBytes is a type of n bytes that is shown as text.
func fixedBytes(n int, s *schema.Schema, render func(dst, b []byte) []byte) *typ {
	return &typ{
		wire:   []byte{wireString},
		schema: plain(s),
		log: func(_ *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
			size := b.lengthBytes()
			return func(r *rowReader, v *schema.Value) {
				var full [16]byte
				in := r.prefixed(size)
				if len(in) > n {
					r.bad = true
					return
				}
				copy(full[:], in)
				r.scratch = render(r.scratch[:0], full[:n])
				*v = schema.String(r.arena.Copy(r.scratch))
			}, nil
		},
		text: func(*valueModes, *ddl.Column) textDecoder { return textString },
	}
}

var errGeometry = errors.New("not a geometry")

// geometrySchema is Debezium's for all shapes but the point
// (io.debezium.data.geometry.Geometry). It is optional even where the column
// may not be null.
var geometrySchema = &schema.Schema{
	Type: schema.TypeStruct, Name: schema.NameDebeziumGeometry, Version: 1, Doc: "Geometry", Optional: true,
	Fields: []schema.Field{
		{Name: "wkb", Schema: &schema.Schema{Type: schema.TypeBytes}},
		{Name: "srid", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
	},
}

var pointSchema = &schema.Schema{
	Type: schema.TypeStruct, Name: schema.NameDebeziumPoint, Version: 1, Doc: "Geometry (POINT)",
	Fields: []schema.Field{
		{Name: "x", Schema: &schema.Schema{Type: schema.TypeFloat64}},
		{Name: "y", Schema: &schema.Schema{Type: schema.TypeFloat64}},
		{Name: "wkb", Schema: &schema.Schema{Type: schema.TypeBytes, Optional: true}},
		{Name: "srid", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
	},
}

var (
	geometries = spatial(geometrySchema, geometry)
	points     = spatial(pointSchema, point)
)

func spatial(s *schema.Schema, decode textDecoder) *typ {
	return &typ{
		wire:   []byte{wireGeometry, wireBlob},
		schema: plain(s),
		log: func(_ *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
			n := b.lengthBytes()
			return func(r *rowReader, v *schema.Value) {
				if in := r.prefixed(n); !r.bad && decode(r.arena, in, v) != nil {
					r.bad = true
				}
			}, nil
		},
		text: func(*valueModes, *ddl.Column) textDecoder { return decode },
	}
}

// srid reads the number in front of MySQL's geometries; 0 is none.
func srid(b []byte) (schema.Value, []byte, error) {
	w := wire{p: b}
	n := w.uint32()
	if w.bad {
		return schema.Value{}, nil, errGeometry
	}
	if n == 0 {
		return schema.Value{}, w.p, nil
	}
	return schema.Int(int64(int32(n))), w.p, nil
}

func geometry(a *schema.Arena, b []byte, v *schema.Value) error {
	id, wkb, err := srid(b)
	if err != nil {
		return err
	}
	fields := a.Row(2)
	fields[0], fields[1] = schema.Bytes(wkb), id
	*v = schema.Seq(schema.KindStruct, fields)
	return nil
}

func point(a *schema.Arena, b []byte, v *schema.Value) error {
	id, wkb, err := srid(b)
	if err != nil {
		return err
	}
	// Byte order, type 1, x and y; the server always writes it little-endian.
	w := wire{p: wkb}
	if order, kind := w.uint8(), w.uint32(); order != 1 || kind != 1 {
		return errGeometry
	}
	fields := a.Row(4)
	fields[0], fields[1] = schema.Float(w.float64()), schema.Float(w.float64())
	if w.bad {
		return errGeometry
	}
	fields[2], fields[3] = schema.Bytes(wkb), id
	*v = schema.Seq(schema.KindStruct, fields)
	return nil
}
