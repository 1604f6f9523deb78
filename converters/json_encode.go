package converters

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/penstock/penstock/schema"
)

// jsonForm is how a value stands in JSON.
type jsonForm uint8

const (
	jsonAny jsonForm = iota // schemaless: by the value's kind
	jsonBool
	jsonInt
	jsonFloat32
	jsonFloat64
	jsonText
	jsonBytes
	jsonDecimal       // base64 of the unscaled value
	jsonDecimalNumber // decimal.format=NUMERIC
	jsonArray
	jsonObject // a map whose keys are strings
	jsonPairs  // any other map: an array of [key,value]
	jsonStruct
)

func jsonFormOf(s *schema.Schema, numeric bool) jsonForm {
	if s.Name == schema.NameDecimal {
		if numeric {
			return jsonDecimalNumber
		}
		return jsonDecimal
	}
	switch s.Type {
	case schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		return jsonInt
	case schema.TypeFloat32:
		return jsonFloat32
	case schema.TypeFloat64:
		return jsonFloat64
	case schema.TypeBoolean:
		return jsonBool
	case schema.TypeString:
		return jsonText
	case schema.TypeBytes:
		return jsonBytes
	case schema.TypeArray:
		return jsonArray
	case schema.TypeMap:
		if s.Key != nil && s.Key.Type == schema.TypeString {
			return jsonObject
		}
		return jsonPairs
	case schema.TypeStruct:
		return jsonStruct
	}
	return jsonAny
}

// jsonWriter writes values of one schema. It is made once; everything that is
// the same for all values is text in it already.
type jsonWriter struct {
	form   jsonForm
	kind   schema.Kind // which a value must have; not for jsonAny
	schema *schema.Schema
	scale  int    // of a decimal
	null   []byte // what stands for null; nil: null is refused

	key, elem *jsonWriter // of an array or map
	fields    []jsonWriterField
	close     []byte // what follows the last of fields
}

// jsonWriterField is a struct's field that varies.
type jsonWriterField struct {
	// lead is everything from the former varying field to this one's value:
	// constant fields, the comma, the name.
	lead   []byte
	at     int // place in the struct's elements
	writer *jsonWriter
	absent []byte // what stands for an absent value; nil: what does for null
}

var kindOfForm = [...]schema.Kind{
	jsonBool: schema.KindBool, jsonInt: schema.KindInt, jsonFloat32: schema.KindFloat, jsonFloat64: schema.KindFloat,
	jsonText: schema.KindString, jsonBytes: schema.KindBytes, jsonDecimal: schema.KindDecimal, jsonDecimalNumber: schema.KindDecimal,
	jsonArray: schema.KindArray, jsonObject: schema.KindMap, jsonPairs: schema.KindMap, jsonStruct: schema.KindStruct,
}

var jsonNull = []byte("null")

// anyWriter writes schemaless values.
var anyWriter = &jsonWriter{form: jsonAny, null: jsonNull}

func (c *JSON) writer(s *schema.Schema) (*jsonWriter, error) {
	if s == nil {
		return anyWriter, nil
	}
	w := &jsonWriter{form: jsonFormOf(s, c.config.NumericDecimals), schema: s}
	w.kind = kindOfForm[w.form]
	var err error
	switch w.form {
	case jsonAny:
		return nil, fmt.Errorf("encode as JSON: the schema %q has no type that Kafka Connect knows (%s)", s.Name, s.Type)
	case jsonDecimal, jsonDecimalNumber:
		if w.scale, err = decimalScale(s); err != nil {
			return nil, err
		}
	case jsonArray:
		w.elem, err = c.writer(s.Elem)
	case jsonObject, jsonPairs:
		if w.key, err = c.writer(s.Key); err == nil {
			w.elem, err = c.writer(s.Elem)
		}
	case jsonStruct:
		err = c.structWriter(w)
	default:
	}
	if err != nil {
		return nil, err
	}
	switch {
	case s.Default != nil && !s.Default.IsNull() && !c.config.KeepNulls:
		if w.null, err = w.append(nil, s.Default); err != nil {
			return nil, fmt.Errorf("encode the default of the schema %q: %w", s.Name, err)
		}
	case s.Optional:
		w.null = jsonNull
	}
	return w, nil
}

func (c *JSON) structWriter(w *jsonWriter) error {
	lead := []byte{'{'}
	for i := range w.schema.Fields {
		f := &w.schema.Fields[i]
		if i > 0 {
			lead = append(lead, ',')
		}
		lead = append(appendJSONString(lead, []byte(f.Name)), ':')
		field := jsonWriterField{at: i}
		var err error
		if field.writer, err = c.writer(f.Schema); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		if f.Absent != nil {
			if field.absent, err = field.writer.append(nil, f.Absent); err != nil {
				return fmt.Errorf("what stands for an absent field %s: %w", f.Name, err)
			}
		}
		if f.Schema == nil {
			return fmt.Errorf("encode as JSON: the field %s of the schema %q has no schema", f.Name, w.schema.Name)
		}
		if f.Const != nil {
			if f.Const.Kind() == schema.KindAbsent && field.absent != nil {
				lead = append(lead, field.absent...)
			} else if lead, err = field.writer.append(lead, f.Const); err != nil {
				return fmt.Errorf("constant field %s: %w", f.Name, err)
			}
			continue
		}
		field.lead = lead
		w.fields = append(w.fields, field)
		lead = nil
	}
	w.close = append(lead, '}')
	return nil
}

func decimalScale(s *schema.Schema) (int, error) {
	text, ok := s.Parameter(schema.ParamScale)
	if !ok {
		return 0, &DataError{Message: "Invalid Decimal schema: scale parameter not found."}
	}
	scale, err := strconv.Atoi(text)
	if err != nil {
		return 0, &DataError{Message: "Invalid scale parameter found in Decimal schema: ", Cause: err}
	}
	return scale, nil
}

// append appends v as JSON. v is a pointer only because a Value is five words.
func (w *jsonWriter) append(dst []byte, v *schema.Value) ([]byte, error) {
	kind := v.Kind()
	if kind != w.kind {
		if kind == schema.KindNull || kind == schema.KindAbsent {
			if w.null == nil {
				return dst, &DataError{Message: "Conversion error: null value for field that is required and has no default value"}
			}
			return append(dst, w.null...), nil
		}
		if w.form == jsonAny {
			return appendJSONAny(dst, v)
		}
		if w.form == jsonDecimal && kind == schema.KindBytes { // unscaled already
			return appendBase64(dst, v.Bytes()), nil
		}
		return dst, &DataError{Message: "Invalid type for " + strings.ToUpper(w.schema.Type.String()) + ": " + kind.String()}
	}
	switch w.form {
	case jsonInt:
		return appendInt(dst, v.Int()), nil
	case jsonText:
		return appendJSONString(dst, v.Bytes()), nil
	case jsonBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case jsonFloat32:
		return appendJSONFloat(dst, v.Float(), 32), nil
	case jsonFloat64:
		return appendJSONFloat(dst, v.Float(), 64), nil
	case jsonBytes:
		return appendBase64(dst, v.Bytes()), nil
	case jsonDecimal:
		var room [40]byte
		unscaled, err := schema.AppendUnscaled(room[:0], v.Bytes(), w.scale)
		if err != nil {
			return dst, decimalMismatch(w.scale, err)
		}
		return appendBase64(dst, unscaled), nil
	case jsonDecimalNumber:
		return appendJavaDecimal(dst, v.Bytes(), w.scale)
	case jsonStruct:
		return w.appendStruct(dst, v.Elems())
	case jsonArray:
		dst = append(dst, '[')
		elems := v.Elems()
		for i := range elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = w.elem.append(dst, &elems[i]); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case jsonObject:
		return w.appendObject(dst, v.Elems())
	case jsonPairs:
		return appendPairs(dst, v.Elems(), w.key, w.elem)
	case jsonAny: // only null has anyWriter's kind
	}
	return append(dst, w.null...), nil
}

func (w *jsonWriter) appendStruct(dst []byte, elems []schema.Value) ([]byte, error) {
	if len(elems) != len(w.schema.Fields) {
		return dst, &DataError{Message: "Mismatching schema.", Cause: fmt.Errorf(
			"a struct of %d elements for the %d fields of the schema %q", len(elems), len(w.schema.Fields), w.schema.Name)}
	}
	for i := range w.fields {
		f := &w.fields[i]
		dst = append(dst, f.lead...)
		v := &elems[f.at]
		if f.absent != nil && v.Kind() == schema.KindAbsent {
			dst = append(dst, f.absent...)
			continue
		}
		var err error
		if dst, err = f.writer.append(dst, v); err != nil {
			return dst, inField(err, []byte(w.schema.Fields[f.at].Name))
		}
	}
	return append(dst, w.close...), nil
}

func (w *jsonWriter) appendObject(dst []byte, elems []schema.Value) ([]byte, error) {
	dst = append(dst, '{')
	for i := 0; i+1 < len(elems); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch k := &elems[i]; k.Kind() {
		case schema.KindString:
			dst = appendJSONString(dst, k.Bytes())
		case schema.KindNull: // Java writes its text
			dst = append(dst, `"null"`...)
		default:
			return dst, &DataError{Message: "Invalid type for STRING: " + k.Kind().String()}
		}
		dst = append(dst, ':')
		var err error
		if dst, err = w.elem.append(dst, &elems[i+1]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendPairs(dst []byte, elems []schema.Value, key, elem *jsonWriter) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := 0; i+1 < len(elems); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = key.append(append(dst, '['), &elems[i]); err != nil {
			return dst, err
		}
		if dst, err = elem.append(append(dst, ','), &elems[i+1]); err != nil {
			return dst, err
		}
		dst = append(dst, ']')
	}
	return append(dst, ']'), nil
}

// appendJSONAny appends a schemaless value.
func appendJSONAny(dst []byte, v *schema.Value) ([]byte, error) {
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return append(dst, jsonNull...), nil
	case schema.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case schema.KindInt:
		return appendInt(dst, v.Int()), nil
	case schema.KindFloat:
		return appendJSONFloat(dst, v.Float(), 64), nil
	case schema.KindString:
		return appendJSONString(dst, v.Bytes()), nil
	case schema.KindBytes:
		return appendBase64(dst, v.Bytes()), nil
	case schema.KindDecimal:
		return appendJavaDecimal(dst, v.Bytes(), 0)
	case schema.KindArray:
		dst = append(dst, '[')
		elems := v.Elems()
		for i := range elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSONAny(dst, &elems[i]); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case schema.KindMap:
		elems := v.Elems()
		for i := 0; i < len(elems); i += 2 {
			if elems[i].Kind() != schema.KindString {
				return appendPairs(dst, elems, anyWriter, anyWriter)
			}
		}
		return anyObjectWriter.appendObject(dst, elems)
	default:
		return dst, &DataError{Message: "Mismatching schema.", Cause: fmt.Errorf("a %s without a schema cannot be written as JSON", v.Kind())}
	}
}

var anyObjectWriter = &jsonWriter{form: jsonObject, elem: anyWriter}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func decimalMismatch(scale int, err error) error {
	return &DataError{Message: "Decimal value has mismatching scale for given Decimal schema. Schema has scale " + strconv.Itoa(scale) + ".", Cause: err}
}

// jsonEncoder is the Encoder of the JSON converter.
type jsonEncoder struct {
	writer *jsonWriter
	// open and close are the envelope around the value, empty without schemas.
	open, close []byte
}

// Encoder compiles what writes values of s. The topic does not matter.
func (c *JSON) Encoder(_ context.Context, _ string, s *schema.Schema) (Encoder, error) {
	return c.encoder(s)
}

func (c *JSON) encoder(s *schema.Schema) (*jsonEncoder, error) {
	w, err := c.writer(s)
	if err != nil {
		return nil, err
	}
	e := &jsonEncoder{writer: w}
	if c.config.Schemas {
		e.open = append(e.open, `{"schema":`...)
		if e.open, err = c.appendSchema(e.open, s); err != nil {
			return nil, err
		}
		e.open = append(e.open, `,"payload":`...)
		e.close = []byte{'}'}
	}
	return e, nil
}

// Append appends one record's key or value.
func (e *jsonEncoder) Append(dst []byte, v schema.Value) ([]byte, error) {
	dst = append(dst, e.open...)
	dst, err := e.writer.append(dst, &v)
	return append(dst, e.close...), err
}

// appendSchema appends a schema's text.
func (c *JSON) appendSchema(dst []byte, s *schema.Schema) ([]byte, error) {
	if s == nil {
		return append(dst, jsonNull...), nil
	}
	dst, err := c.appendOpenSchema(dst, s)
	return append(dst, '}'), err
}

// appendOpenSchema appends a schema's text in the order in which Connect
// writes it, without the closing brace: a struct's field follows with its name.
func (c *JSON) appendOpenSchema(dst []byte, s *schema.Schema) ([]byte, error) {
	dst = append(append(dst, `{"type":"`...), jsonTypeName(s.Type)...)
	dst = append(dst, '"')
	var err error
	switch s.Type {
	case schema.TypeArray:
		if dst, err = c.appendSchema(append(dst, `,"items":`...), s.Elem); err != nil {
			return dst, err
		}
	case schema.TypeMap:
		if dst, err = c.appendSchema(append(dst, `,"keys":`...), s.Key); err != nil {
			return dst, err
		}
		if dst, err = c.appendSchema(append(dst, `,"values":`...), s.Elem); err != nil {
			return dst, err
		}
	case schema.TypeStruct:
		dst = append(dst, `,"fields":[`...)
		for i := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = c.appendOpenSchema(dst, s.Fields[i].Schema); err != nil {
				return dst, err
			}
			dst = appendJSONString(append(dst, `,"field":`...), []byte(s.Fields[i].Name))
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	default:
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), s.Optional)
	if s.Name != "" {
		dst = appendJSONString(append(dst, `,"name":`...), []byte(s.Name))
	}
	if s.Version != 0 {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(s.Version), 10)
	}
	if s.Doc != "" {
		dst = appendJSONString(append(dst, `,"doc":`...), []byte(s.Doc))
	}
	for i, p := range s.Parameters {
		if i == 0 {
			dst = append(dst, `,"parameters":{`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, []byte(p.Name)), ':')
		dst = appendJSONString(dst, []byte(p.Value))
	}
	if len(s.Parameters) > 0 {
		dst = append(dst, '}')
	}
	if s.Default != nil && !s.Default.IsNull() {
		w, err := c.writer(s)
		if err != nil {
			return dst, err
		}
		if dst, err = w.append(append(dst, `,"default":`...), s.Default); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// jsonTypeName is Connect's name of the type in a JSON schema.
func jsonTypeName(t schema.Type) string {
	switch t {
	case schema.TypeFloat32:
		return "float"
	case schema.TypeFloat64:
		return "double"
	default:
		return t.String()
	}
}
