package converters

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/penstock/penstock/schema"
)

// SimpleHeaders is Connect's org.apache.kafka.connect.storage.SimpleHeaderConverter,
// the default for headers: text without a schema, which is guessed in reading.
// The zero SimpleHeaders is ready for use.
//
// It reads what Connect reads, but for text of which Connect would drop a
// part: "123,456" and "007" stay text (123 and 7 there), and a fraction that a
// float32 does not hold is a float64 or a decimal.
type SimpleHeaders struct{}

// AppendHeader appends a header's text: a string as it is, everything else
// nearly as JSON.
func (SimpleHeaders) AppendHeader(dst []byte, _, _ string, d schema.Data) ([]byte, bool, error) {
	if d.Value.IsNull() {
		return dst, true, nil
	}
	dst, err := appendSimple(dst, d.Schema, d.Value, false)
	return dst, false, err
}

// appendSimple appends a value; within is set for what stands within another,
// where text needs quotes.
func appendSimple(dst []byte, s *schema.Schema, v schema.Value, within bool) ([]byte, error) {
	var err error
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return append(dst, "null"...), nil
	case schema.KindString:
		if !within {
			return append(dst, v.Bytes()...), nil
		}
		return appendQuoted(dst, v.Bytes()), nil
	case schema.KindBytes:
		if within {
			return appendBase64(dst, v.Bytes()), nil
		}
		dst = appendBase64(dst, v.Bytes())
		return unquote(dst, len(v.Bytes())), nil
	case schema.KindInt:
		if at, ok := instant(s, v); ok {
			return appendSimpleTime(dst, s, at), nil
		}
		return appendInt(dst, v.Int()), nil
	case schema.KindArray:
		dst = append(dst, '[')
		elems := v.Elems()
		for i := range elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendSimple(dst, elemOf(s), elems[i], true); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case schema.KindMap:
		dst = append(dst, '{')
		elems := v.Elems()
		var key *schema.Schema
		if s != nil {
			key = s.Key
		}
		for i := 0; i+1 < len(elems); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendSimple(dst, key, elems[i], true); err != nil {
				return dst, err
			}
			if dst, err = appendSimple(append(dst, ':'), elemOf(s), elems[i+1], true); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case schema.KindStruct:
		return appendSimpleStruct(dst, s, v)
	default:
		return appendJavaScalar(dst, s, v)
	}
}

func appendSimpleStruct(dst []byte, s *schema.Schema, v schema.Value) ([]byte, error) {
	elems, err := structElems(s, v)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '{')
	for i := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		f := &s.Fields[i]
		dst = append(appendQuoted(dst, []byte(f.Name)), ':')
		e := elems[i]
		if e.Kind() == schema.KindAbsent && f.Absent != nil {
			e = *f.Absent
		}
		if e.IsNull() && f.Schema != nil && f.Schema.Default != nil {
			e = *f.Schema.Default
		}
		if dst, err = appendSimple(dst, f.Schema, e, true); err != nil {
			return dst, inField(err, []byte(f.Name))
		}
	}
	return append(dst, '}'), nil
}

// appendQuoted appends text in quotes. Unlike in JSON only quotes and
// backslashes are escaped.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// unquote takes the quotes off the base64 text of n bytes at the end of dst.
func unquote(dst []byte, n int) []byte {
	length := (n + 2) / 3 * 4
	start := len(dst) - length - 2
	copy(dst[start:], dst[start+1:len(dst)-1])
	return dst[:start+length]
}

const (
	simpleTime      = "15:04:05.000Z"
	simpleDate      = "2006-01-02"
	simpleTimestamp = "2006-01-02T15:04:05.000Z"
)

// appendSimpleTime appends a time. Connect chooses the form by the value and
// not by the type: the first day of 1970 is a time of day, midnight a date.
// Before 1970, where it would drop the date, the type decides here.
func appendSimpleTime(dst []byte, s *schema.Schema, at time.Time) []byte {
	const day = 24 * 60 * 60 * 1000
	millis := at.UnixMilli()
	switch {
	case millis >= 0 && millis < day || s.Name == schema.NameTime:
		return at.AppendFormat(dst, simpleTime)
	case millis%day == 0:
		return at.AppendFormat(dst, simpleDate)
	default:
		return at.AppendFormat(dst, simpleTimestamp)
	}
}

// The schemas of what a header's text may turn out to be.
var (
	simpleBool    = &schema.Schema{Type: schema.TypeBoolean}
	simpleInt8    = &schema.Schema{Type: schema.TypeInt8}
	simpleInt16   = &schema.Schema{Type: schema.TypeInt16}
	simpleInt32   = &schema.Schema{Type: schema.TypeInt32}
	simpleInt64   = &schema.Schema{Type: schema.TypeInt64}
	simpleFloat32 = &schema.Schema{Type: schema.TypeFloat32}
	simpleFloat64 = &schema.Schema{Type: schema.TypeFloat64}
	connectDate   = &schema.Schema{Type: schema.TypeInt32, Name: schema.NameDate, Version: 1}
	connectTime   = &schema.Schema{Type: schema.TypeInt32, Name: schema.NameTime, Version: 1}
	connectStamp  = &schema.Schema{Type: schema.TypeInt64, Name: schema.NameTimestamp, Version: 1}
)

// DecodeHeader guesses what a header's text is. It never fails: what is
// nothing else is a string.
func (SimpleHeaders) DecodeHeader(_, _ string, value []byte, a *schema.Arena) (schema.Data, error) {
	if value == nil {
		return schema.Data{}, nil
	}
	text := validText(value, a)
	if d, ok := guess(text, a); ok {
		return d, nil
	}
	return schema.Data{Schema: requiredString, Value: schema.String(text)}, nil
}

func guess(text []byte, a *schema.Arena) (schema.Data, bool) {
	switch string(text) {
	case "null":
		return schema.Data{}, true
	case "true", "false":
		return schema.Data{Schema: simpleBool, Value: schema.Bool(text[0] == 't')}, true
	}
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 {
		return schema.Data{}, false
	}
	switch c := trimmed[0]; {
	case c == '[' || c == '{':
		s := jsonScanner{data: trimmed, arena: a, raw: true}
		var v schema.Value
		if s.any(&v) != nil || s.end() != nil {
			return schema.Data{}, false
		}
		return guessTyped(v, a), true
	case c-'0' <= 9:
		if d, ok := guessTime(string(trimmed)); ok {
			return d, true
		}
		return guessNumber(trimmed, a)
	case c == '-' || c == '+':
		return guessNumber(trimmed, a)
	}
	return schema.Data{}, false
}

func guessTime(text string) (schema.Data, bool) {
	switch len(text) {
	case len(simpleTime):
		if at, err := time.Parse(simpleTime, text); err == nil {
			millis := at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()
			return schema.Data{Schema: connectTime, Value: schema.Int(millis)}, true
		}
	case len(simpleTimestamp):
		if at, err := time.Parse(simpleTimestamp, text); err == nil {
			return schema.Data{Schema: connectStamp, Value: schema.Int(at.UnixMilli())}, true
		}
	case len(simpleDate):
		if at, err := time.Parse(simpleDate, text); err == nil {
			return schema.Data{Schema: connectDate, Value: schema.Int(at.Unix() / 86400)}, true
		}
	}
	return schema.Data{}, false
}

// guessNumber reads a number into the smallest type that holds it exactly.
func guessNumber(text []byte, a *schema.Arena) (schema.Data, bool) {
	exact, scale, ok := plainDecimal(text)
	if !ok {
		return schema.Data{}, false
	}
	// A whole number, however it is written.
	whole := exact
	if point := bytes.IndexByte(exact, '.'); point >= 0 && allZero(exact[point+1:]) {
		whole = exact[:point]
	}
	if n, err := strconv.ParseInt(string(whole), 10, 64); err == nil {
		return schema.Data{Schema: intSchema(n), Value: schema.Int(n)}, true
	}
	if scale > 0 || bytes.ContainsAny(text, "eE") {
		for _, size := range []int{32, 64} {
			f, err := strconv.ParseFloat(string(exact), size)
			if err != nil || !sameNumber(f, size, exact) {
				continue
			}
			if size == 32 {
				return schema.Data{Schema: simpleFloat32, Value: schema.Float(f)}, true
			}
			return schema.Data{Schema: simpleFloat64, Value: schema.Float(f)}, true
		}
	}
	s := &schema.Schema{
		Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1,
		Parameters: []schema.Parameter{{Name: schema.ParamScale, Value: strconv.Itoa(scale)}},
	}
	return schema.Data{Schema: s, Value: schema.Decimal(a.Copy(exact))}, true
}

func allZero(digits []byte) bool {
	return len(bytes.Trim(digits, "0")) == 0
}

// plainDecimal returns a number without an exponent and its digits after the
// point.
func plainDecimal(text []byte) (plain []byte, scale int, ok bool) {
	digits := bytes.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		return nil, 0, false // a leading zero would be lost
	}
	s := jsonScanner{data: bytes.TrimPrefix(text, []byte("+"))}
	num, err := s.number()
	if err != nil || s.at < len(s.data) {
		return nil, 0, false
	}
	if plain, err = plainNumber(num.text); err != nil {
		return nil, 0, false
	}
	if point := bytes.IndexByte(plain, '.'); point >= 0 {
		scale = len(plain) - point - 1
	}
	return plain, scale, true
}

// sameNumber reports whether the shortest text of f is the number exact.
func sameNumber(f float64, size int, exact []byte) bool {
	if math.IsInf(f, 0) {
		return false
	}
	shortest := strconv.AppendFloat(nil, f, 'f', -1, size)
	a, errA := schema.AppendUnscaled(nil, shortest, 400)
	b, errB := schema.AppendUnscaled(nil, exact, 400)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func intSchema(n int64) *schema.Schema {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		return simpleInt8
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return simpleInt16
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return simpleInt32
	default:
		return simpleInt64
	}
}

// guessTyped gives a schema to a value out of JSON text. Elements of different
// types have none.
func guessTyped(v schema.Value, a *schema.Arena) schema.Data {
	switch v.Kind() {
	case schema.KindArray, schema.KindMap:
	case schema.KindBool:
		return schema.Data{Schema: simpleBool, Value: v}
	case schema.KindInt:
		return schema.Data{Schema: intSchema(v.Int()), Value: v}
	case schema.KindFloat:
		if f := v.Float(); sameNumber(float64(float32(f)), 32, strconv.AppendFloat(nil, f, 'f', -1, 64)) {
			return schema.Data{Schema: simpleFloat32, Value: schema.Float(float64(float32(f)))}
		}
		return schema.Data{Schema: simpleFloat64, Value: v}
	case schema.KindString:
		if d, ok := guessTime(string(v.Bytes())); ok {
			return d
		}
		return schema.Data{Schema: requiredString, Value: v}
	case schema.KindDecimal:
		d, _ := guessNumber(v.Bytes(), a)
		return d
	default:
		return schema.Data{Value: v}
	}
	elems := v.Elems()
	typed := a.Row(len(elems))
	step, s := 1, &schema.Schema{Type: schema.TypeArray}
	if v.Kind() == schema.KindMap {
		step, s = 2, &schema.Schema{Type: schema.TypeMap, Key: requiredString}
		for i := 0; i < len(elems); i += 2 {
			typed[i] = elems[i]
		}
	}
	for i := step - 1; i < len(elems); i += step {
		d := guessTyped(elems[i], a)
		typed[i] = d.Value
		if i == step-1 {
			s.Elem = d.Schema
		} else {
			s.Elem = commonSchema(s.Elem, d.Schema)
		}
	}
	if s.Elem != nil && (s.Elem.Type == schema.TypeFloat32 || s.Elem.Type == schema.TypeFloat64) {
		for i := step - 1; i < len(typed); i += step {
			if typed[i].Kind() == schema.KindInt {
				typed[i] = schema.Float(float64(typed[i].Int()))
			}
		}
	}
	return schema.Data{Schema: s, Value: schema.Seq(v.Kind(), typed)}
}

// commonSchema returns the wider of two numbers' schemas, the schema if both
// are the same, and nil otherwise.
func commonSchema(a, b *schema.Schema) *schema.Schema {
	switch {
	case a == nil || b == nil:
		return nil
	case a.Equal(b):
		return a
	case a.Name != "" || b.Name != "" || a.Type > schema.TypeFloat64 || b.Type > schema.TypeFloat64:
		return nil
	case a.Type > b.Type: // the order of the types is that of width
		return a
	default:
		return b
	}
}
