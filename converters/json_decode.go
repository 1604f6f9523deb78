package converters

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/penstock/penstock/schema"
)

// jsonReader reads values of one schema. It is made once for a schema.
type jsonReader struct {
	form      jsonForm
	schema    *schema.Schema
	null      schema.Value // what a null is read as
	refused   bool         // a null is an error
	scale     int
	low, high int64 // of an integer
	key, elem *jsonReader
	fields    []jsonReaderField
	places    map[string]int
}

type jsonReaderField struct {
	lead   []byte // "name": as Connect writes it
	reader *jsonReader
}

func (c *JSON) reader(s *schema.Schema) (*jsonReader, error) {
	if s == nil {
		return nil, nil
	}
	r := &jsonReader{form: jsonFormOf(s, false), schema: s, low: math.MinInt64, high: math.MaxInt64}
	switch {
	case s.Default != nil && !s.Default.IsNull() && !c.config.KeepNulls:
		r.null = *s.Default
	case !s.Optional:
		r.refused = true
	}
	var err error
	switch r.form {
	case jsonInt:
		switch s.Type {
		case schema.TypeInt8:
			r.low, r.high = math.MinInt8, math.MaxInt8
		case schema.TypeInt16:
			r.low, r.high = math.MinInt16, math.MaxInt16
		case schema.TypeInt32:
			r.low, r.high = math.MinInt32, math.MaxInt32
		default:
		}
	case jsonDecimal:
		r.scale, err = decimalScale(s)
	case jsonArray:
		r.elem, err = c.reader(s.Elem)
	case jsonObject, jsonPairs:
		if r.key, err = c.reader(s.Key); err == nil {
			r.elem, err = c.reader(s.Elem)
		}
	case jsonStruct:
		r.places = make(map[string]int, len(s.Fields))
		r.fields = make([]jsonReaderField, len(s.Fields))
		for i := range s.Fields {
			name := s.Fields[i].Name
			r.places[name] = i
			r.fields[i].lead = append(appendJSONString(nil, []byte(name)), ':')
			if r.fields[i].reader, err = c.reader(s.Fields[i].Schema); err != nil {
				return nil, inField(err, []byte(name))
			}
		}
	default:
	}
	return r, err
}

// read reads one value into v.
func (r *jsonReader) read(s *jsonScanner, v *schema.Value) error {
	c := s.peek()
	if c == 'n' {
		if err := s.literal("null"); err != nil {
			return err
		}
		return r.absent(v)
	}
	switch r.form {
	case jsonInt:
		if c == '-' || c-'0' <= 9 {
			return r.readInt(s, v)
		}
	case jsonText:
		if c == '"' {
			text, err := s.text()
			*v = schema.String(text)
			return err
		}
	case jsonStruct:
		if c == '{' {
			return r.readStruct(s, v)
		}
		return r.misfit(s, "Structs should be encoded as JSON objects, but found ")
	case jsonBool:
		if c == 't' || c == 'f' {
			return s.any(v)
		}
	case jsonFloat32, jsonFloat64:
		return r.readFloat(s, v, c)
	case jsonBytes, jsonDecimal, jsonDecimalNumber:
		if c == '"' {
			return r.readBytes(s, v)
		}
		if r.form != jsonBytes && (c == '-' || c-'0' <= 9) {
			return r.readDecimal(s, v)
		}
		if r.form != jsonBytes {
			return r.misfit(s, "Invalid type for Decimal, underlying representation should be numeric or bytes but was ")
		}
	case jsonArray:
		if c == '[' {
			return s.array(v, r.elem)
		}
	case jsonObject:
		if c == '{' {
			return s.object(v, r.elem)
		}
		return r.misfit(s, "Maps with string fields should be encoded as JSON objects, but found ")
	case jsonPairs:
		if c == '[' {
			return r.readPairs(s, v)
		}
		return r.misfit(s, "Maps with non-string fields should be encoded as JSON array of tuples, but found ")
	case jsonAny:
		return s.any(v)
	}
	return r.misfit(s, "Invalid type for "+r.typeName()+": ")
}

func (r *jsonReader) typeName() string { return strings.ToUpper(r.schema.Type.String()) }

// absent sets v to what a null, or a field that is not there, is read as.
func (r *jsonReader) absent(v *schema.Value) error {
	if r.refused {
		return &DataError{Message: "Invalid null value for required " + r.typeName() + " field"}
	}
	*v = r.null
	return nil
}

// misfit reads a value that is not of the schema's type and returns the error;
// text that is not JSON at all is another.
func (r *jsonReader) misfit(s *jsonScanner, message string) error {
	found := "NUMBER"
	switch s.peek() {
	case '"':
		found = "STRING"
	case '{':
		found = "OBJECT"
	case '[':
		found = "ARRAY"
	case 't', 'f':
		found = "BOOLEAN"
	case 'n':
		found = "NULL"
	}
	if err := s.skip(); err != nil {
		return err
	}
	return &DataError{Message: message + found}
}

func (r *jsonReader) readInt(s *jsonScanner, v *schema.Value) error {
	num, err := s.number()
	if err != nil {
		return err
	}
	n, fits := num.n, num.small
	if !num.integer {
		// 1.0 and 1e3 are whole numbers, too.
		f, err := s.float(num, 64)
		if err != nil {
			return err
		}
		n = int64(f)
		fits = math.Abs(f) < 1<<53 && float64(n) == f
	}
	if !fits || n < r.low || n > r.high {
		return &DataError{Message: "Invalid type for " + r.typeName() + ": the number " + excerpt(num.text) + " does not fit"}
	}
	*v = schema.Int(n)
	return nil
}

// excerpt is as much of a value as an error message should show.
func excerpt(b []byte) string {
	if len(b) > 40 {
		return string(b[:40]) + "…"
	}
	return string(b)
}

func (r *jsonReader) readFloat(s *jsonScanner, v *schema.Value, c byte) error {
	if c == '"' {
		text, err := s.text()
		if err != nil {
			return err
		}
		switch string(text) {
		case "NaN":
			*v = schema.Float(math.NaN())
		case "Infinity":
			*v = schema.Float(math.Inf(1))
		case "-Infinity":
			*v = schema.Float(math.Inf(-1))
		default:
			return &DataError{Message: "Invalid type for " + r.typeName() + ": STRING"}
		}
		return nil
	}
	if c != '-' && c-'0' > 9 {
		return r.misfit(s, "Invalid type for "+r.typeName()+": ")
	}
	num, err := s.number()
	if err != nil {
		return err
	}
	size := 64
	if r.form == jsonFloat32 {
		size = 32
	}
	f, err := s.float(num, size)
	*v = schema.Float(f)
	return err
}

// readBytes reads base64 text as bytes, or as a decimal's unscaled value.
func (r *jsonReader) readBytes(s *jsonScanner, v *schema.Value) error {
	text, err := s.text()
	if err != nil {
		return err
	}
	if r.form == jsonDecimal {
		var room [48]byte
		var unscaled []byte
		if unscaled, err = base64.StdEncoding.AppendDecode(room[:0], text); err == nil {
			return r.setDecimal(s, v, unscaled)
		}
		return &DataError{Message: "Invalid bytes for Decimal field", Cause: err}
	}
	b := s.arena.Make(base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return &DataError{Message: "Invalid bytes field", Cause: err}
	}
	s.arena.Trim(len(b) - n)
	*v = schema.Bytes(b[:n:n])
	return nil
}

func (r *jsonReader) setDecimal(s *jsonScanner, v *schema.Value, unscaled []byte) error {
	if len(unscaled) == 0 {
		return &DataError{Message: "Invalid bytes for Decimal field", Cause: fmt.Errorf("%w: no bytes", schema.ErrDecimal)}
	}
	var room [64]byte
	text, err := schema.AppendDecimal(room[:0], unscaled, r.scale)
	if err != nil {
		return &DataError{Message: "Invalid bytes for Decimal field", Cause: err}
	}
	*v = schema.Decimal(s.arena.Copy(text))
	return nil
}

// readDecimal reads a number as it is written, digit by digit.
func (r *jsonReader) readDecimal(s *jsonScanner, v *schema.Value) error {
	num, err := s.number()
	if err != nil {
		return err
	}
	text, err := plainNumber(num.text)
	if err != nil {
		return &DataError{Message: "Invalid type for BYTES: the number " + excerpt(num.text) + " does not fit", Cause: err}
	}
	*v = schema.Decimal(text)
	return nil
}

// plainNumber returns a JSON number without exponent and leading zeros: text
// itself if it has none.
func plainNumber(text []byte) ([]byte, error) {
	e := bytes.IndexAny(text, "eE")
	if e < 0 {
		if digits := bytes.TrimPrefix(text, []byte("-")); len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
			e = len(text) // leading zeros
		} else {
			return text, nil
		}
	}
	exponent := 0
	var err error
	if e < len(text) {
		exponent, err = strconv.Atoi(string(bytes.TrimPrefix(text[e+1:], []byte("+"))))
	}
	if err != nil || exponent < -schema.MaxScale || exponent > schema.MaxScale {
		return nil, fmt.Errorf("%w: its exponent is beyond %d", schema.ErrDecimal, schema.MaxScale)
	}
	// The digits without the point are the unscaled value, and the exponent
	// moves the point.
	mantissa := text[:e]
	scale := -exponent
	if point := bytes.IndexByte(mantissa, '.'); point >= 0 {
		scale += len(mantissa) - point - 1
	}
	unscaled, err := schema.AppendUnscaled(nil, bytes.ReplaceAll(mantissa, []byte{'.'}, nil), 0)
	if err != nil {
		return nil, err
	}
	return schema.AppendDecimal(nil, unscaled, scale)
}

func (r *jsonReader) readStruct(s *jsonScanner, v *schema.Value) error {
	row := s.arena.Row(len(r.fields))
	*v = schema.Seq(schema.KindStruct, row)
	empty, err := s.open('}')
	if err != nil {
		return err
	}
	read := 0 // how many fields came, one after the other, in order
	next := 0
	for more := !empty; more; {
		at := next
		if next < len(r.fields) && bytes.HasPrefix(s.data[s.at:], r.fields[next].lead) {
			s.at += len(r.fields[next].lead)
		} else {
			name, err := s.name()
			if err != nil {
				return err
			}
			var known bool
			if at, known = r.places[string(name)]; !known {
				if err := s.skip(); err != nil {
					return err
				}
				if more, err = s.more('}'); err != nil {
					return err
				}
				continue
			}
		}
		if at == read {
			read++
		}
		next = at + 1
		if err := r.fields[at].reader.read(s, &row[at]); err != nil {
			return inField(err, []byte(r.schema.Fields[at].Name))
		}
		// The comma without white space, which nearly always follows.
		if s.at+1 < len(s.data) && s.data[s.at] == ',' && s.data[s.at+1] == '"' {
			s.at++
			continue
		}
		if more, err = s.more('}'); err != nil {
			return err
		}
		s.peek()
	}
	if read == len(r.fields) {
		return nil
	}
	for i := range row {
		if row[i].IsNull() {
			if err := r.fields[i].reader.absent(&row[i]); err != nil {
				return inField(err, []byte(r.schema.Fields[i].Name))
			}
		}
	}
	return nil
}

func (r *jsonReader) readPairs(s *jsonScanner, v *schema.Value) error {
	*v = schema.Seq(schema.KindMap, nil)
	if empty, err := s.open(']'); empty || err != nil {
		return err
	}
	base := len(s.stack)
	var k, e schema.Value // outside of the loop, or they would be on the heap
	for {
		if s.peek() != '[' {
			return r.misfit(s, "Found invalid map entry instead of array tuple: ")
		}
		if err := r.readPair(s, &k, &e); err != nil {
			return err
		}
		s.stack = append(s.stack, k, e)
		more, err := s.more(']')
		if err != nil {
			return err
		}
		if !more {
			*v = s.collect(schema.KindMap, base)
			return nil
		}
	}
}

// readPair reads [key,value].
func (r *jsonReader) readPair(s *jsonScanner, k, e *schema.Value) error {
	empty, err := s.open(']')
	if err != nil {
		return err
	}
	n := 0
	for more := !empty; more; n++ {
		switch n {
		case 0:
			err = s.value(k, r.key)
		case 1:
			err = s.value(e, r.elem)
		default:
			err = s.skip()
		}
		if err != nil {
			return err
		}
		if more, err = s.more(']'); err != nil {
			return err
		}
	}
	if n != 2 {
		return &DataError{Message: "Found invalid map entry, expected length 2 but found :" + strconv.Itoa(n)}
	}
	return nil
}

const messageNoEnvelope = `JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields.` +
	` If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.`

// Decode reads one key or value.
func (c *JSON) Decode(_ context.Context, topic string, data []byte, a *schema.Arena) (schema.Data, error) {
	return c.decode(topic, data, a)
}

func (c *JSON) decode(topic string, data []byte, a *schema.Arena) (schema.Data, error) {
	if data == nil {
		return schema.Data{}, nil
	}
	s := jsonScanner{data: data, arena: a}
	if len(data) > 2 && string(data[:3]) == "\uFEFF" {
		s.data = data[3:] // a byte order mark
	}
	stack := stacks.Get().(*[]schema.Value)
	s.stack = (*stack)[:0]
	var d schema.Data
	var err error
	if c.config.Schemas {
		d, err = c.decodeEnvelope(topic, &s)
	} else if s.peek() != 0 || s.at < len(s.data) { // nothing at all is null
		if err = s.any(&d.Value); err == nil {
			err = s.end()
		}
	}
	clear(s.stack) // not empty after an error
	*stack = s.stack[:0]
	if cap(s.stack) <= maxStack {
		stacks.Put(stack)
	}
	if err != nil {
		return schema.Data{}, err
	}
	return d, nil
}

const (
	envelopeOpen = `{"schema":`
	envelopeNext = `,"payload":`
)

// decodeEnvelope reads {"schema":…,"payload":…}.
func (c *JSON) decodeEnvelope(topic string, s *jsonScanner) (schema.Data, error) {
	// As Connect writes it, and with the schema of the record before.
	if last := c.cache.last(topic); last != nil && len(s.data) > len(envelopeOpen) && string(s.data[:len(envelopeOpen)]) == envelopeOpen {
		rest := s.data[len(envelopeOpen):]
		if bytes.HasPrefix(rest, last.text) && bytes.HasPrefix(rest[len(last.text):], []byte(envelopeNext)) {
			s.at = len(envelopeOpen) + len(last.text) + len(envelopeNext)
			s.depth = 1
			var v schema.Value
			if err := s.value(&v, last.reader); err != nil {
				return schema.Data{}, err
			}
			if s.peek() == '}' {
				s.at++
				return schema.Data{Schema: last.schema, Value: v}, s.end()
			}
			// Something else follows: an error, or a second payload.
			s.at, s.depth = 0, 0
		}
	}
	schemaText, payload, err := splitEnvelope(s)
	if err != nil {
		return schema.Data{}, err
	}
	entry, err := c.cache.lookup(topic, schemaText, c.parseSchema)
	if err != nil {
		return schema.Data{}, err
	}
	p := jsonScanner{data: s.data[:payload.end], at: payload.start, arena: s.arena, stack: s.stack, depth: 1}
	d := schema.Data{Schema: entry.schema}
	err = p.value(&d.Value, entry.reader)
	s.stack = p.stack
	return d, err
}

type span struct{ start, end int }

// splitEnvelope finds the schema's and the payload's text. Of a field given
// twice the last counts, as in Jackson.
func splitEnvelope(s *jsonScanner) (schemaText []byte, payload span, err error) {
	no := &DataError{Message: messageNoEnvelope}
	if s.peek() != '{' {
		if s.at < len(s.data) {
			if err := s.skip(); err != nil {
				return nil, payload, err
			}
		}
		return nil, payload, no
	}
	others := false
	empty, err := s.open('}')
	for more := !empty; more && err == nil; {
		var name []byte
		if name, err = s.name(); err != nil {
			break
		}
		s.peek()
		start := s.at
		if err = s.skip(); err != nil {
			break
		}
		switch string(name) {
		case "schema":
			schemaText = s.data[start:s.at]
		case "payload":
			payload = span{start, s.at}
		default:
			others = true
		}
		more, err = s.more('}')
	}
	if err == nil {
		err = s.end()
	}
	if err == nil && (others || schemaText == nil || payload.end == 0) {
		err = no
	}
	return schemaText, payload, err
}

// maxStack is how many elements of room are kept for the next record.
const maxStack = 1 << 14

// stacks lends scanners the room for elements whose number is not yet known.
var stacks = sync.Pool{New: func() any {
	stack := make([]schema.Value, 0, 64)
	return &stack
}}
