package postgres

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"github.com/penstock/penstock/schema"
)

func boolType(*valueConfig, int32) valueType {
	return valueType{schema: &schema.Schema{Type: schema.TypeBoolean}, decode: decodeBool, zero: constant(schema.Bool(false))}
}

func decodeBool(_ *schema.Arena, text []byte) (schema.Value, error) {
	if len(text) == 1 {
		switch text[0] {
		case 't':
			return schema.Bool(true), nil
		case 'f':
			return schema.Bool(false), nil
		}
	}
	return invalid("a boolean", text)
}

func intType(t schema.Type) func(*valueConfig, int32) valueType {
	return func(*valueConfig, int32) valueType {
		return valueType{schema: &schema.Schema{Type: t}, decode: decodeInt, zero: constant(schema.Int(0))}
	}
}

func decodeInt(_ *schema.Arena, text []byte) (schema.Value, error) {
	n, ok := parseInt(text)
	if !ok {
		return invalid("an integer", text)
	}
	return schema.Int(n), nil
}

// parseInt is strconv.ParseInt for decimal bytes.
func parseInt(text []byte) (int64, bool) {
	digits := text
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0') // 19 digits fit
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n < 1<<63
}

func floatType(t schema.Type) func(*valueConfig, int32) valueType {
	bits := 64
	if t == schema.TypeFloat32 {
		bits = 32
	}
	return func(*valueConfig, int32) valueType {
		return valueType{
			schema: &schema.Schema{Type: t},
			decode: func(_ *schema.Arena, text []byte) (schema.Value, error) {
				f, err := strconv.ParseFloat(string(text), bits)
				if err != nil && !errors.Is(err, strconv.ErrRange) {
					return invalid("a floating point number", text)
				}
				return schema.Float(f), nil
			},
			zero: constant(schema.Float(0)),
		}
	}
}

// decimalSchema is that of Kafka Connect's Decimal as Debezium writes it;
// precision 0 is left out.
func decimalSchema(precision, scale int) *schema.Schema {
	s := &schema.Schema{
		Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1,
		Parameters: []schema.Parameter{{Name: schema.ParamScale, Value: strconv.Itoa(scale)}},
	}
	if precision > 0 {
		s.Parameters = append(s.Parameters, schema.Parameter{Name: "connect.decimal.precision", Value: strconv.Itoa(precision)})
	}
	return s
}

func numericType(v *valueConfig, mod int32) valueType {
	if v.decimals == "double" {
		return floatType(schema.TypeFloat64)(v, mod)
	}
	precision, scale, zero := 0, -1, "0"
	if mod >= 4 {
		precision, scale = int(uint32(mod-4)>>16), int(mod-4)&0x7ff
		if scale >= 1024 {
			// A negative scale rounds before the point: the number is whole,
			// with as many more digits.
			precision, scale = precision+2048-scale, 0
		}
		if scale > 0 {
			zero = "0." + strings.Repeat("0", scale)
		}
	}
	switch {
	case v.decimals == "string":
		t := textType("")(v, mod)
		t.zero, t.scale = constant(schema.Text(zero)), scale
		return t
	case scale < 0:
		return variableScaleType()
	default:
		return valueType{schema: decimalSchema(precision, scale), decode: decodeDecimal, zero: constant(schema.Decimal([]byte(zero))), scale: scale}
	}
}

// errNotANumber names the remedy; the number has no form as a decimal.
const whatDecimal = "a decimal number (NaN and Infinity have no form in decimal.handling.mode=precise; use double or string)"

func validDecimal(text []byte) bool {
	digits, points := 0, 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && digits > 0 && i < len(text)-1:
			points++
		case c == '-' && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}

func decodeDecimal(a *schema.Arena, text []byte) (schema.Value, error) {
	if !validDecimal(text) {
		return invalid(whatDecimal, text)
	}
	return schema.Decimal(a.Copy(text)), nil
}

func variableScaleType() valueType {
	s := &schema.Schema{
		Type: schema.TypeStruct, Name: schema.NameDebeziumVariableScale, Version: 1, Doc: "Variable scaled decimal",
		Fields: []schema.Field{
			{Name: "scale", Schema: &schema.Schema{Type: schema.TypeInt32}},
			{Name: "value", Schema: &schema.Schema{Type: schema.TypeBytes}},
		},
	}
	zero := schema.Seq(schema.KindStruct, []schema.Value{schema.Int(0), schema.Bytes([]byte{0})})
	return valueType{schema: s, decode: decodeVariableScale, zero: &zero, scale: -1}
}

// decodeVariableScale makes the number's unscaled integer and its scale, which
// is the number of digits after the point without trailing zeros.
func decodeVariableScale(a *schema.Arena, text []byte) (schema.Value, error) {
	if !validDecimal(text) {
		return invalid(whatDecimal, text)
	}
	scale := 0
	if point := bytes.IndexByte(text, '.'); point >= 0 {
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		if scale = len(text) - 1 - point; scale == 0 {
			text = text[:point]
		}
	}
	fields := a.Row(2)
	fields[0] = schema.Int(int64(scale))
	fields[1] = schema.Bytes(unscaled(a, text))
	return schema.Seq(schema.KindStruct, fields), nil
}

// unscaled returns a decimal number without its point as the shortest two's
// complement, most significant byte first.
func unscaled(a *schema.Arena, text []byte) []byte {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	var n uint64
	if len(text) <= 19 { // at most 18 digits beside a point, or 19 of which 63 bits may be exceeded
		for _, c := range text {
			if c != '.' {
				n = n*10 + uint64(c-'0')
			}
		}
	}
	if len(text) > 19 || n >= 1<<63 {
		return unscaledBig(a, text, negative)
	}
	i := int64(n)
	if negative {
		i = -i
	}
	size := 1
	for s := i; s > 127 || s < -128; s >>= 8 {
		size++
	}
	b := a.Make(size)
	for k := size - 1; k >= 0; k-- {
		b[k] = byte(i)
		i >>= 8
	}
	return b
}

func unscaledBig(a *schema.Arena, text []byte, negative bool) []byte {
	n, ok := new(big.Int).SetString(string(bytes.ReplaceAll(text, []byte{'.'}, nil)), 10)
	if !ok {
		n = new(big.Int) // the text has been checked
	}
	size := n.BitLen()/8 + 1
	b := a.Make(size)
	if !negative {
		return n.FillBytes(b)
	}
	// The complement of n-1 is -n.
	n.Sub(n, big.NewInt(1))
	size = n.BitLen()/8 + 1
	a.Trim(len(b) - size)
	b = b[:size]
	n.FillBytes(b)
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

// moneyType takes money as the C locale writes it, with two digits after the
// point.
func moneyType(v *valueConfig, mod int32) valueType {
	const scale = 2
	var t valueType
	switch v.decimals {
	case "double":
		t = floatType(schema.TypeFloat64)(v, mod)
	case "string":
		t = textType("")(v, mod)
		t.absent, t.zero = nil, constant(schema.Text("0.00"))
	default:
		t = valueType{schema: decimalSchema(0, scale), decode: decodeDecimal, zero: constant(schema.Decimal([]byte("0.00")))}
	}
	number := t.decode
	t.decode = func(a *schema.Arena, text []byte) (schema.Value, error) {
		plain := a.Make(len(text))[:0]
		for _, c := range text {
			if c >= '0' && c <= '9' || c == '.' || c == '-' {
				plain = append(plain, c)
			}
		}
		return number(a, plain)
	}
	return t
}
