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
	return valueType{
		schema: &schema.Schema{Type: schema.TypeBoolean}, decode: decodeBool,
		neutral: schema.Bool(false), literals: true, computed: constant(schema.Bool(false)),
	}
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
		return valueType{
			schema: &schema.Schema{Type: t}, decode: decodeInt,
			neutral: schema.Int(0), literals: true, computed: constant(schema.Int(0)),
		}
	}
}

// oidType has no defaults: Debezium does not read those of its columns.
func oidType(*valueConfig, int32) valueType {
	return valueType{schema: &schema.Schema{Type: schema.TypeInt64}, decode: decodeInt, neutral: schema.Int(0)}
}

// numbersType is that of int2vector and oidvector, whose text is numbers with
// spaces between.
func numbersType(t schema.Type) func(*valueConfig, int32) valueType {
	return func(*valueConfig, int32) valueType {
		return valueType{
			schema:  &schema.Schema{Type: schema.TypeArray, Elem: &schema.Schema{Type: t}},
			neutral: schema.Seq(schema.KindArray, nil),
			inArray: elementsRequired,
			decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
				if len(text) == 0 {
					return schema.Seq(schema.KindArray, nil), nil
				}
				cells := a.Row(bytes.Count(text, []byte(" ")) + 1)
				in := text
				for i := range cells {
					var word []byte
					word, in, _ = bytes.Cut(in, []byte(" "))
					n, ok := parseInt(word)
					if !ok {
						return invalid("a list of numbers", text)
					}
					cells[i] = schema.Int(n)
				}
				return schema.Seq(schema.KindArray, cells), nil
			},
		}
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
			neutral: schema.Float(0), literals: true, computed: constant(schema.Float(0)),
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
	precision, scale, scaled := 0, 0, mod >= 4
	if scaled {
		precision, scale = int(uint32(mod-4)>>16), int(mod-4)&0x7ff
		if scale >= 1024 {
			// A negative scale rounds before the point: the number is whole,
			// with as many more digits.
			precision, scale = precision+2048-scale, 0
		}
	}
	zero := zeroOf(scale)
	var t valueType
	switch {
	case v.decimals == "double":
		t = floatType(schema.TypeFloat64)(v, mod)
	case v.decimals == "string":
		t = textType("")(v, mod)
		t.decode, t.literals = decodeDecimalText, true
		t.neutral = schema.Text(zero)
		if !scaled {
			zero = "0.0"
		}
		t.computed = constant(schema.Text(zero))
	case !scaled:
		return variableScaleType(v)
	default:
		t = valueType{
			schema: decimalSchema(precision, scale), decode: decodeDecimal, absent: v.absentDecimal(scale),
			neutral: schema.Decimal([]byte(zero)), literals: true, computed: constant(schema.Decimal([]byte(zero))),
		}
	}
	t.scaled, t.scale = scaled, scale
	return t
}

// zeroOf is zero with a number of digits after the point.
func zeroOf(scale int) string {
	if scale == 0 {
		return "0"
	}
	return "0." + strings.Repeat("0", scale)
}

// absentDecimal has the placeholder's bytes as its unscaled value, as a binary
// value has them.
func (v *valueConfig) absentDecimal(scale int) *schema.Value {
	text, err := schema.AppendDecimal(nil, v.placeholder, scale)
	if err != nil {
		return nil // PostgreSQL has no such scale
	}
	return constant(schema.Decimal(text))
}

const whatDecimal = "a decimal number"

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

// notFinite reports whether a text is one of numeric's values that are no
// numbers, and returns Debezium's word for it.
func notFinite(text []byte) (word string, yes bool) {
	switch string(text) {
	case "NaN":
		return "NAN", true
	case "Infinity":
		return "POSITIVE_INFINITY", true
	case "-Infinity":
		return "NEGATIVE_INFINITY", true
	}
	return "", false
}

func decodeDecimal(a *schema.Arena, text []byte) (schema.Value, error) {
	if !validDecimal(text) {
		if _, yes := notFinite(text); yes {
			return schema.Value{}, errNotFinite
		}
		return invalid(whatDecimal, text)
	}
	return schema.Decimal(a.Copy(text)), nil
}

func decodeDecimalText(a *schema.Arena, text []byte) (schema.Value, error) {
	if !validDecimal(text) {
		if word, yes := notFinite(text); yes {
			return schema.Text(word), nil
		}
		return invalid(whatDecimal, text)
	}
	return schema.String(a.Copy(text)), nil
}

// variableScaleType has no defaults: Kafka Connect knows none for structs.
func variableScaleType(v *valueConfig) valueType {
	s := &schema.Schema{
		Type: schema.TypeStruct, Name: schema.NameDebeziumVariableScale, Version: 1, Doc: "Variable scaled decimal",
		Fields: []schema.Field{
			{Name: "scale", Schema: &schema.Schema{Type: schema.TypeInt32}},
			{Name: "value", Schema: &schema.Schema{Type: schema.TypeBytes}},
		},
	}
	number := func(unscaled []byte) schema.Value {
		return schema.Seq(schema.KindStruct, []schema.Value{schema.Int(0), schema.Bytes(unscaled)})
	}
	return valueType{schema: s, decode: decodeVariableScale, absent: constant(number(v.placeholder)), neutral: number([]byte{0})}
}

// decodeVariableScale makes the number's unscaled integer and its scale, which
// is the number of digits after the point without trailing zeros.
func decodeVariableScale(a *schema.Arena, text []byte) (schema.Value, error) {
	if !validDecimal(text) {
		if _, yes := notFinite(text); yes {
			return schema.Value{}, errNotFinite
		}
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

// moneyType reads money as the C locale writes it, which takes the server's
// integer for hundredths; digits is how many of its digits are behind the point
// in the server's own currency.
func (v *valueConfig) moneyType(digits int) valueType {
	var t valueType
	scale := v.moneyDigits
	switch v.decimals {
	case "double":
		t = valueType{schema: &schema.Schema{Type: schema.TypeFloat64}, neutral: schema.Float(0)}
		t.decode = floatType(schema.TypeFloat64)(v, -1).decode
		scale = digits
	case "string":
		t = valueType{schema: &schema.Schema{Type: schema.TypeString}, neutral: schema.Text(zeroOf(scale)), decode: decodeText}
		scale = digits
	default:
		t = valueType{schema: decimalSchema(0, scale), neutral: schema.Decimal([]byte(zeroOf(scale))), decode: decodeDecimal}
	}
	t.inArray = elementsNone
	number := t.decode
	t.decode = func(a *schema.Arena, text []byte) (schema.Value, error) {
		const longest = 64
		plain, ok := plainMoney(a.Make(longest)[:0], text, digits, scale)
		if !ok {
			return invalid("money", text)
		}
		return number(a, plain)
	}
	return t
}

// plainMoney appends -$1,234.56, in which digits are behind the point, as a
// number with scale digits, rounded half away from zero.
func plainMoney(dst, text []byte, digits, scale int) ([]byte, bool) {
	var n uint64
	count := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n = n*10 + uint64(c-'0')
			count++
		}
	}
	if count == 0 || count > 19 { // 2^63 has 19 digits
		return nil, false
	}
	negative := text[0] == '-'
	for ; digits > scale; digits-- {
		if digits == scale+1 {
			n += 5
		}
		n /= 10
	}
	if negative && n != 0 {
		dst = append(dst, '-')
	}
	start := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	for len(dst)-start <= digits { // a digit before the point
		dst = append(dst, 0)
		copy(dst[start+1:], dst[start:])
		dst[start] = '0'
	}
	if scale > 0 {
		if digits == 0 {
			dst = append(dst, '.')
		} else {
			point := len(dst) - digits
			dst = append(dst, 0)
			copy(dst[point+1:], dst[point:])
			dst[point] = '.'
		}
		for ; digits < scale; digits++ {
			dst = append(dst, '0')
		}
	}
	return dst, true
}
