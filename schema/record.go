package schema

// Data is a value with its schema. A nil Schema means schemaless, as from
// JSON without schemas: objects are maps with string keys then.
type Data struct {
	Schema *Schema
	Value  Value
}

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value Data
}

// RawHeader is one header as it is in Kafka. Value is nil for a null value.
type RawHeader struct {
	Key   string
	Value []byte
}

// Record is what Kafka carries, decoded: what a transform changes and a sink
// applies. Raw fields hold the bytes as they were read, for the dead letter
// queue; they are nil in a record that was never in Kafka.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// TimestampMillis is the record's Kafka timestamp, since 1970.
	TimestampMillis int64

	Key, Value Data
	Headers    []Header

	RawKey, RawValue []byte
	RawHeaders       []RawHeader
}
