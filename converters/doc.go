// Package converters turns values into the bytes of a Kafka record's key,
// value or headers and back: Kafka Connect's converters.
//
// A converter compiles an [Encoder] once per topic and schema; the encoder
// then appends to the caller's buffer. Nothing here knows what a change event
// is: an envelope is a struct like any other.
//
// [New] and [NewHeader] make a converter of its class and settings as a
// configuration has them; [NewJSON] and the others make one directly. What they
// write is compared, byte for byte, with what Kafka Connect 4.1.1 and Debezium
// 3.6.1 wrote (see testdata/README.md, which also lists where they differ on
// purpose). An error about a record's data is a [DataError].
package converters

import (
	"context"

	"github.com/penstock/penstock/schema"
)

// Converter is one configured converter. It is safe for concurrent use.
type Converter interface {
	// Encoder compiles what writes values of s (nil: schemaless data) into
	// records of a topic. A converter with a registry registers the schema
	// here. The result may be kept as long as the converter.
	Encoder(ctx context.Context, topic string, s *schema.Schema) (Encoder, error)
	// Decode reads one key or value. nil data is null, without a schema. The
	// values it returns live in the arena or alias data. Equal schemas come
	// back as the same pointer as far as the converter's cache reaches, so
	// that the caller may key its own plans by it.
	Decode(ctx context.Context, topic string, data []byte, a *schema.Arena) (schema.Data, error)
}

// Encoder writes values of one schema. It is safe for concurrent use.
type Encoder interface {
	// Append appends the encoded value to dst. A null value of a schema (the
	// whole record's key or value) is the caller's business: a tombstone is
	// never encoded. On an error dst's new bytes are unspecified.
	Append(dst []byte, v schema.Value) ([]byte, error)
}
