package converters

import (
	"context"
	"fmt"
	"strings"

	"github.com/penstock/penstock/schema"
)

// Bytes is Connect's org.apache.kafka.connect.converters.ByteArrayConverter:
// bytes go through as they are. The zero Bytes is ready for use.
type Bytes struct{}

var optionalBytes = &schema.Schema{Type: schema.TypeBytes, Optional: true}

// Encoder returns what writes bytes. It refuses a schema of any other type.
func (Bytes) Encoder(_ context.Context, topic string, s *schema.Schema) (Encoder, error) {
	if s != nil && s.Type != schema.TypeBytes {
		return nil, &DataError{Message: "Invalid schema type for ByteArrayConverter: " + strings.ToUpper(s.Type.String()), Cause: fmt.Errorf(
			"records of the topic %s are not bytes; use the json converter", topic)}
	}
	return bytesEncoder{}, nil
}

type bytesEncoder struct{}

func (bytesEncoder) Append(dst []byte, v schema.Value) ([]byte, error) {
	if v.Kind() != schema.KindBytes {
		return dst, &DataError{Message: "ByteArrayConverter is not compatible with objects of type " + v.Kind().String()}
	}
	return append(dst, v.Bytes()...), nil
}

// Decode returns data as optional bytes. The value aliases data.
func (Bytes) Decode(_ context.Context, _ string, data []byte, _ *schema.Arena) (schema.Data, error) {
	if data == nil {
		return schema.Data{}, nil
	}
	return schema.Data{Schema: optionalBytes, Value: schema.Bytes(data)}, nil
}

// AppendHeader appends a header's bytes.
func (b Bytes) AppendHeader(dst []byte, topic, _ string, d schema.Data) ([]byte, bool, error) {
	e, err := b.Encoder(context.Background(), topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	return encodeHeader(e, dst, d)
}

// DecodeHeader returns a header's bytes.
func (b Bytes) DecodeHeader(topic, _ string, value []byte, a *schema.Arena) (schema.Data, error) {
	return b.Decode(context.Background(), topic, value, a)
}
