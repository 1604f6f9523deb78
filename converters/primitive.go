package converters

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/penstock/penstock/schema"
)

// Primitive is one of Connect's converters for a single number or boolean
// (org.apache.kafka.connect.converters.IntegerConverter and its siblings):
// big-endian bytes, a boolean as one byte. The zero Primitive is not usable.
type Primitive struct {
	name   string         // of the converter and in its error texts
	schema *schema.Schema // what is written and read
	size   int            // in bytes
}

// NewPrimitive returns the converter for a type: TypeInt16, TypeInt32,
// TypeInt64, TypeFloat32, TypeFloat64 or TypeBoolean. It panics on any other.
func NewPrimitive(t schema.Type) Primitive {
	p := Primitive{schema: &schema.Schema{Type: t, Optional: true}}
	switch t {
	case schema.TypeInt16:
		p.name, p.size = "Short", 2
	case schema.TypeInt32:
		p.name, p.size = "Integer", 4
	case schema.TypeInt64:
		p.name, p.size = "Long", 8
	case schema.TypeFloat32:
		p.name, p.size = "Float", 4
	case schema.TypeFloat64:
		p.name, p.size = "Double", 8
	case schema.TypeBoolean:
		p.name, p.size = "Boolean", 1
	default:
		panic("converters: there is no converter for a single " + t.String())
	}
	return p
}

// Encoder returns what writes the number. It refuses a schema of another type.
func (p Primitive) Encoder(_ context.Context, topic string, s *schema.Schema) (Encoder, error) {
	if s != nil && s.Type != p.schema.Type {
		message := "Failed to serialize to " + strings.ToLower(p.name) + " (was " + s.Type.String() + "): "
		if p.schema.Type == schema.TypeBoolean {
			message = "Invalid schema type for BooleanConverter: " + strings.ToUpper(s.Type.String())
		}
		return nil, &DataError{Message: message, Cause: fmt.Errorf("records of the topic %s are no %s; use the json converter", topic, p.schema.Type)}
	}
	return p, nil
}

// Append appends a value.
func (p Primitive) Append(dst []byte, v schema.Value) ([]byte, error) {
	wrong := func() ([]byte, error) {
		return dst, &DataError{Message: "Failed to serialize to " + strings.ToLower(p.name) + " (was " + v.Kind().String() + "): "}
	}
	switch p.schema.Type {
	case schema.TypeBoolean:
		if v.Kind() != schema.KindBool {
			return wrong()
		}
		if v.Bool() {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case schema.TypeFloat32, schema.TypeFloat64:
		if v.Kind() != schema.KindFloat {
			return wrong()
		}
		if p.size == 4 {
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(v.Float()))), nil
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Float())), nil
	default:
		n := v.Int()
		if v.Kind() != schema.KindInt {
			return wrong()
		}
		if p.size < 8 && n>>(8*p.size-1) != n>>63 {
			return dst, &DataError{Message: fmt.Sprintf("Failed to serialize to %s (was %d): ", strings.ToLower(p.name), n)}
		}
		for shift := 8 * (p.size - 1); shift >= 0; shift -= 8 {
			dst = append(dst, byte(n>>shift))
		}
		return dst, nil
	}
}

var errByte = errors.New("a boolean is one byte, 0 or 1")

// Decode reads a number, as an optional one.
func (p Primitive) Decode(_ context.Context, _ string, data []byte, _ *schema.Arena) (schema.Data, error) {
	if data == nil {
		return schema.Data{}, nil
	}
	fail := func(cause error) (schema.Data, error) {
		return schema.Data{}, &DataError{Message: "Failed to deserialize " + strings.ToLower(p.name) + ": ", Cause: cause}
	}
	if len(data) != p.size {
		return fail(fmt.Errorf("%d bytes instead of %d", len(data), p.size))
	}
	d := schema.Data{Schema: p.schema}
	switch p.schema.Type {
	case schema.TypeBoolean:
		if data[0] > 1 {
			return fail(errByte)
		}
		d.Value = schema.Bool(data[0] == 1)
	case schema.TypeFloat32:
		d.Value = schema.Float(float64(math.Float32frombits(binary.BigEndian.Uint32(data))))
	case schema.TypeFloat64:
		d.Value = schema.Float(math.Float64frombits(binary.BigEndian.Uint64(data)))
	default:
		n := int64(int8(data[0])) // the sign
		for _, c := range data[1:] {
			n = n<<8 | int64(c)
		}
		d.Value = schema.Int(n)
	}
	return d, nil
}

// AppendHeader appends a header's value.
func (p Primitive) AppendHeader(dst []byte, topic, _ string, d schema.Data) ([]byte, bool, error) {
	e, err := p.Encoder(context.Background(), topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	return encodeHeader(e, dst, d)
}

// DecodeHeader reads a header's value.
func (p Primitive) DecodeHeader(topic, _ string, value []byte, a *schema.Arena) (schema.Data, error) {
	return p.Decode(context.Background(), topic, value, a)
}
