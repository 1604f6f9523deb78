package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

var integers = &typ{
	wire:   []byte{wireTiny, wireShort, wireInt24, wireLong, wireLongLong},
	schema: integerSchema,
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		if c.Type == "BIGINT" && c.Unsigned && m.bigUnsigned == "precise" {
			return logUint64Decimal, nil
		}
		size, ok := map[byte]int{wireTiny: 1, wireShort: 2, wireInt24: 3, wireLong: 4, wireLongLong: 8}[b.typ]
		if !ok {
			return nil, errWireType
		}
		return integerDecoders[size][c.Unsigned], nil
	},
	text: func(m *valueModes, c *ddl.Column) textDecoder {
		switch {
		case c.Type == "BIGINT" && c.Unsigned && m.bigUnsigned == "precise":
			return textDecimal
		case c.Unsigned:
			return textUnsigned
		default:
			return textSigned
		}
	},
}

func integerSchema(m *valueModes, c *ddl.Column) (*schema.Schema, error) {
	switch c.Type {
	case "TINYINT":
		return &schema.Schema{Type: schema.TypeInt16}, nil
	case "SMALLINT":
		if !c.Unsigned {
			return &schema.Schema{Type: schema.TypeInt16}, nil
		}
		return &schema.Schema{Type: schema.TypeInt32}, nil
	case "MEDIUMINT":
		return &schema.Schema{Type: schema.TypeInt32}, nil
	case "INT":
		if !c.Unsigned {
			return &schema.Schema{Type: schema.TypeInt32}, nil
		}
	case "BIGINT":
		if c.Unsigned && m.bigUnsigned == "precise" {
			return decimalSchema(20, 0), nil
		}
	}
	return &schema.Schema{Type: schema.TypeInt64}, nil
}

// integerDecoders by size and by whether unsigned. An unsigned 64-bit number
// becomes negative from 2^63 on, as in Debezium.
var integerDecoders = map[int]map[bool]logDecoder{
	1: {
		false: func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(int8(r.uint8()))) },
		true:  func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint8())) },
	},
	2: {
		false: func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(int16(r.uint16()))) },
		true:  func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint16())) },
	},
	3: {
		false: func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(int32(r.uint24()<<8) >> 8)) },
		true:  func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint24())) },
	},
	4: {
		false: func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(int32(r.uint32()))) },
		true:  func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint32())) },
	},
	8: {
		false: func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint64())) },
		true:  func(r *rowReader, v *schema.Value) { *v = schema.Int(int64(r.uint64())) },
	},
}

func logUint64Decimal(r *rowReader, v *schema.Value) {
	r.scratch = strconv.AppendUint(r.scratch[:0], r.uint64(), 10)
	*v = schema.Decimal(r.arena.Copy(r.scratch))
}

var errNotNumber = errors.New("not a number")

// parseDigits reads a decimal integer in place; zerofill's zeros in front do
// no harm. It wraps around beyond 64 bits, which no integer type reaches.
func parseDigits(text []byte) (n uint64, negative bool, err error) {
	if len(text) > 0 && text[0] == '-' {
		negative, text = true, text[1:]
	}
	if len(text) == 0 {
		return 0, false, errNotNumber
	}
	for _, d := range text {
		if d -= '0'; d > 9 {
			return 0, false, errNotNumber
		}
		n = n*10 + uint64(d)
	}
	return n, negative, nil
}

func textSigned(_ *schema.Arena, text []byte, v *schema.Value) error {
	n, negative, err := parseDigits(text)
	if negative {
		n = -n
	}
	*v = schema.Int(int64(n))
	return err
}

func textUnsigned(_ *schema.Arena, text []byte, v *schema.Value) error {
	n, _, err := parseDigits(text)
	*v = schema.Int(int64(n))
	return err
}

var decimals = &typ{
	wire: []byte{wireNewDecimal},
	schema: func(m *valueModes, c *ddl.Column) (*schema.Schema, error) {
		switch m.decimals {
		case "string":
			return &schema.Schema{Type: schema.TypeString}, nil
		case "double":
			return &schema.Schema{Type: schema.TypeFloat64}, nil
		default:
			return decimalSchema(c.Length, c.Scale), nil
		}
	},
	log: func(m *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
		precision, scale := int(b.meta>>8), int(b.meta&0xff)
		if precision < 1 || precision > 65 || scale > 30 || scale > precision {
			return nil, fmt.Errorf("decimal(%d,%d) cannot be", precision, scale)
		}
		d := packedDecimal{whole: precision - scale, fraction: scale}
		switch m.decimals {
		case "string":
			return func(r *rowReader, v *schema.Value) { *v = schema.String(d.read(r)) }, nil
		case "double":
			return func(r *rowReader, v *schema.Value) { *v = schema.Float(parseFloat(d.read(r))) }, nil
		default:
			return func(r *rowReader, v *schema.Value) { *v = schema.Decimal(d.read(r)) }, nil
		}
	},
	text: func(m *valueModes, _ *ddl.Column) textDecoder {
		switch m.decimals {
		case "string":
			return func(_ *schema.Arena, text []byte, v *schema.Value) error {
				*v = schema.String(trimZeros(text))
				return nil
			}
		case "double":
			return textFloat64
		default:
			return textDecimal
		}
	},
}

func decimalSchema(precision, scale int) *schema.Schema {
	return &schema.Schema{Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1, Parameters: []schema.Parameter{
		{Name: schema.ParamScale, Value: strconv.Itoa(scale)},
		{Name: "connect.decimal.precision", Value: strconv.Itoa(precision)},
	}}
}

func textDecimal(_ *schema.Arena, text []byte, v *schema.Value) error {
	*v = schema.Decimal(trimZeros(text))
	return nil
}

// trimZeros drops the zeros that ZEROFILL puts in front of a number.
func trimZeros(number []byte) []byte {
	for len(number) > 1 && number[0] == '0' && number[1] != '.' {
		number = number[1:]
	}
	return number
}

// packedDecimal is MySQL's binary decimal: groups of nine digits in four bytes
// each, the odd ones at both ends in as few bytes as they need, most
// significant first; the sign is the inverted first bit, and a negative number
// has all bits inverted.
type packedDecimal struct{ whole, fraction int }

// groupBytes is how many bytes that many digits take.
var groupBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

// read returns the number as text in the arena.
func (d packedDecimal) read(r *rowReader) []byte {
	size := d.whole/9*4 + groupBytes[d.whole%9] + d.fraction/9*4 + groupBytes[d.fraction%9]
	in := r.take(size)
	if len(in) < size {
		return nil
	}
	// In the worst case a sign, a zero and a point are added to the digits.
	out := r.arena.Make(d.whole + d.fraction + 3)
	n := 0
	var invert byte
	if in[0]&0x80 == 0 {
		invert = 0xff
		out[n] = '-'
		n++
	}
	first := byte(0x80)
	next := func(bytes int) uint32 {
		var v uint32
		for _, b := range in[:bytes] {
			v = v<<8 | uint32(b^first^invert)
			first = 0
		}
		in = in[bytes:]
		return v
	}
	leading := true
	put := func(v uint32, digits int) {
		var text [9]byte
		for i := digits - 1; i >= 0; i-- {
			text[i] = byte('0' + v%10)
			v /= 10
		}
		t := text[:digits]
		if leading {
			for len(t) > 0 && t[0] == '0' {
				t = t[1:]
			}
			leading = len(t) == 0
		}
		n += copy(out[n:], t)
	}
	if odd := d.whole % 9; odd > 0 {
		put(next(groupBytes[odd]), odd)
	}
	for range d.whole / 9 {
		put(next(4), 9)
	}
	if leading {
		out[n] = '0'
		n++
		leading = false
	}
	if d.fraction > 0 {
		out[n] = '.'
		n++
		for range d.fraction / 9 {
			put(next(4), 9)
		}
		if odd := d.fraction % 9; odd > 0 {
			put(next(groupBytes[odd]), odd)
		}
	}
	r.arena.Trim(len(out) - n)
	return out[:n:n]
}

// parseFloat reads a number as the server writes them.
func parseFloat(text []byte) float64 {
	f, err := strconv.ParseFloat(string(text), 64) // the conversion does not allocate up to 32 bytes
	if err != nil && math.IsNaN(f) {
		return 0
	}
	return f
}

var floats = &typ{
	wire: []byte{wireFloat},
	schema: func(_ *valueModes, c *ddl.Column) (*schema.Schema, error) {
		if c.Scale >= 0 {
			return &schema.Schema{Type: schema.TypeFloat64}, nil // FLOAT(7,3)
		}
		return &schema.Schema{Type: schema.TypeFloat32}, nil
	},
	log: func(*valueModes, *ddl.Column, *binColumn) (logDecoder, error) {
		return func(r *rowReader, v *schema.Value) {
			*v = schema.Float(float64(math.Float32frombits(r.uint32())))
		}, nil
	},
	// As text the server shows six digits of a FLOAT; as a DOUBLE, all of
	// them, so that a snapshot has the value that the log has.
	query: func(column string) string { return "(" + column + " + 0e0)" },
	text: func(*valueModes, *ddl.Column) textDecoder {
		return func(_ *schema.Arena, text []byte, v *schema.Value) error {
			f, err := strconv.ParseFloat(string(text), 64)
			*v = schema.Float(float64(float32(f)))
			return err
		}
	},
}

var doubles = &typ{
	wire:   []byte{wireDouble},
	schema: plain(&schema.Schema{Type: schema.TypeFloat64}),
	log: func(*valueModes, *ddl.Column, *binColumn) (logDecoder, error) {
		return func(r *rowReader, v *schema.Value) { *v = schema.Float(math.Float64frombits(r.uint64())) }, nil
	},
	query: func(column string) string { return "(" + column + " + 0e0)" }, // DOUBLE(10,3) would be rounded
	text:  func(*valueModes, *ddl.Column) textDecoder { return textFloat64 },
}

func textFloat64(_ *schema.Arena, text []byte, v *schema.Value) error {
	f, err := strconv.ParseFloat(string(text), 64)
	*v = schema.Float(f)
	return err
}

var bits = &typ{
	wire: []byte{wireBit},
	schema: func(_ *valueModes, c *ddl.Column) (*schema.Schema, error) {
		if c.Length <= 1 {
			return &schema.Schema{Type: schema.TypeBoolean}, nil
		}
		s := logical(schema.TypeBytes, schema.NameDebeziumBits)
		s.Parameters = []schema.Parameter{{Name: "length", Value: strconv.Itoa(c.Length)}}
		return s, nil
	},
	log: func(_ *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		n := (int(b.meta>>8)*8 + int(b.meta&0xff) + 7) / 8
		if n < 1 || n > 8 {
			return nil, fmt.Errorf("bit type of %d bytes", n)
		}
		put := bitPutter(c)
		return func(r *rowReader, v *schema.Value) { put(r.arena, bigEndian(r.take(n)), v) }, nil
	},
	text: func(_ *valueModes, c *ddl.Column) textDecoder {
		put := bitPutter(c)
		return func(a *schema.Arena, text []byte, v *schema.Value) error {
			if len(text) > 8 {
				return errNotNumber
			}
			put(a, bigEndian(text), v)
			return nil
		}
	},
}

// bitPutter returns what turns the bits into a boolean or, least significant
// byte first, into bytes.
func bitPutter(c *ddl.Column) func(*schema.Arena, uint64, *schema.Value) {
	if c.Length <= 1 {
		return func(_ *schema.Arena, n uint64, v *schema.Value) { *v = schema.Bool(n != 0) }
	}
	size := min((c.Length+7)/8, 8)
	return func(a *schema.Arena, n uint64, v *schema.Value) {
		b := a.Make(size)
		for i := range b {
			b[i] = byte(n >> (8 * i))
		}
		*v = schema.Bytes(b)
	}
}

var vectors = &typ{
	wire:   []byte{wireVector, wireBlob, wireVarchar, wireVarString},
	schema: plain(&schema.Schema{Type: schema.TypeArray, Name: "io.debezium.data.FloatVector", Version: 1, Elem: &schema.Schema{Type: schema.TypeFloat32}}),
	log: func(_ *valueModes, _ *ddl.Column, b *binColumn) (logDecoder, error) {
		return func(r *rowReader, v *schema.Value) {
			if err := vector(r.arena, r.prefixed(b.lengthBytes()), v); err != nil {
				r.bad = true
			}
		}, nil
	},
	text: func(*valueModes, *ddl.Column) textDecoder { return vector },
}

// vector reads 32-bit floats, least significant byte first.
func vector(a *schema.Arena, b []byte, v *schema.Value) error {
	if len(b)%4 != 0 {
		return errors.New("not a vector")
	}
	elems := a.Row(len(b) / 4)
	for i := range elems {
		elems[i] = schema.Float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))))
	}
	*v = schema.Seq(schema.KindArray, elems)
	return nil
}
