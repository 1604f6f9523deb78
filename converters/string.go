package converters

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/schema"
)

// String is Connect's org.apache.kafka.connect.storage.StringConverter: a
// value's text in UTF-8. Numbers, structs and the rest are written as Java's
// toString has them (Struct{id=1,name=x}). The zero String is ready for use.
type String struct{}

var (
	optionalString = &schema.Schema{Type: schema.TypeString, Optional: true}
	requiredString = &schema.Schema{Type: schema.TypeString}
)

// Encoder returns what writes the text of values of s.
func (String) Encoder(_ context.Context, topic string, s *schema.Schema) (Encoder, error) {
	if s != nil && s.Type == schema.TypeBytes && s.Name != schema.NameDecimal {
		return nil, &DataError{Message: "StringConverter cannot write bytes", Cause: fmt.Errorf(
			"records of the topic %s are bytes; use the json or the bytes converter", topic)}
	}
	return stringEncoder{s}, nil
}

type stringEncoder struct{ schema *schema.Schema }

func (e stringEncoder) Append(dst []byte, v schema.Value) ([]byte, error) {
	return appendJavaText(dst, e.schema, v)
}

// appendJavaText appends what Java's toString gives for a value.
func appendJavaText(dst []byte, s *schema.Schema, v schema.Value) ([]byte, error) {
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return append(dst, "null"...), nil
	case schema.KindString:
		return append(dst, v.Bytes()...), nil
	case schema.KindInt:
		if at, ok := instant(s, v); ok {
			return at.AppendFormat(dst, "Mon Jan 02 15:04:05 UTC 2006"), nil
		}
		return appendInt(dst, v.Int()), nil
	case schema.KindBytes:
		return dst, &DataError{Message: "StringConverter cannot write bytes"}
	case schema.KindArray:
		return appendJavaList(dst, elemOf(s), v.Elems())
	case schema.KindMap:
		dst = append(dst, '{')
		elems := v.Elems()
		var key *schema.Schema
		if s != nil {
			key = s.Key
		}
		var err error
		for i := 0; i+1 < len(elems); i += 2 {
			if i > 0 {
				dst = append(dst, ',', ' ')
			}
			if dst, err = appendJavaText(dst, key, elems[i]); err != nil {
				return dst, err
			}
			if dst, err = appendJavaText(append(dst, '='), elemOf(s), elems[i+1]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case schema.KindStruct:
		elems, err := structElems(s, v)
		if err != nil {
			return dst, err
		}
		dst = append(dst, "Struct{"...)
		first := true
		for i := range elems {
			if elems[i].IsNull() {
				continue // Java leaves them out
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, s.Fields[i].Name...), '=')
			if dst, err = appendJavaText(dst, s.Fields[i].Schema, elems[i]); err != nil {
				return dst, inField(err, []byte(s.Fields[i].Name))
			}
		}
		return append(dst, '}'), nil
	default:
		return appendJavaScalar(dst, s, v)
	}
}

func appendJavaList(dst []byte, elem *schema.Schema, elems []schema.Value) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := range elems {
		if i > 0 {
			dst = append(dst, ',', ' ')
		}
		if dst, err = appendJavaText(dst, elem, elems[i]); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendJavaScalar appends a boolean, a floating point or a decimal number.
func appendJavaScalar(dst []byte, s *schema.Schema, v schema.Value) ([]byte, error) {
	switch v.Kind() {
	case schema.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case schema.KindFloat:
		size := 64
		if s != nil && s.Type == schema.TypeFloat32 {
			size = 32
		}
		return AppendJavaFloat(dst, v.Float(), size), nil
	case schema.KindDecimal:
		scale := 0
		if s != nil && s.Name == schema.NameDecimal {
			var err error
			if scale, err = decimalScale(s); err != nil {
				return dst, err
			}
		}
		return appendJavaDecimal(dst, v.Bytes(), scale)
	default:
		return dst, &DataError{Message: "Failed to serialize unexpected value type " + v.Kind().String()}
	}
}

func elemOf(s *schema.Schema) *schema.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}

func structElems(s *schema.Schema, v schema.Value) ([]schema.Value, error) {
	elems := v.Elems()
	if s == nil || len(elems) != len(s.Fields) {
		return nil, &DataError{Message: "Mismatching schema.", Cause: fmt.Errorf("a struct of %d elements does not fit its schema", len(elems))}
	}
	return elems, nil
}

// instant returns the time that a value of one of Connect's own logical types
// stands for.
func instant(s *schema.Schema, v schema.Value) (time.Time, bool) {
	if s == nil {
		return time.Time{}, false
	}
	switch s.Name {
	case schema.NameDate:
		return time.Unix(v.Int()*86400, 0).UTC(), true
	case schema.NameTime, schema.NameTimestamp:
		return time.UnixMilli(v.Int()).UTC(), true
	default:
		return time.Time{}, false
	}
}

// Decode returns data as an optional string; what is not UTF-8 becomes U+FFFD.
func (String) Decode(_ context.Context, _ string, data []byte, a *schema.Arena) (schema.Data, error) {
	if data == nil {
		return schema.Data{}, nil
	}
	return schema.Data{Schema: optionalString, Value: schema.String(validText(data, a))}, nil
}

// validText returns text itself, or a copy with what is not UTF-8 replaced as
// Java does.
func validText(text []byte, a *schema.Arena) []byte {
	if utf8.Valid(text) {
		return text
	}
	var out bytes.Buffer
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			size = malformed(text)
		}
		out.WriteRune(r)
		text = text[size:]
	}
	return a.Copy(out.Bytes())
}

// AppendHeader appends a header's text.
func (c String) AppendHeader(dst []byte, topic, _ string, d schema.Data) ([]byte, bool, error) {
	e, err := c.Encoder(context.Background(), topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	return encodeHeader(e, dst, d)
}

// DecodeHeader returns a header's text.
func (c String) DecodeHeader(topic, _ string, value []byte, a *schema.Arena) (schema.Data, error) {
	return c.Decode(context.Background(), topic, value, a)
}
