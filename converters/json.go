package converters

import (
	"sync"

	"github.com/penstock/penstock/schema"
)

// JSONConfig configures a [JSON] converter.
type JSONConfig struct {
	// Schemas says that every key and value carries its schema, as
	// {"schema":…,"payload":…} (schemas.enable).
	Schemas bool
	// CacheSize is how many schemas the converter keeps (schemas.cache.size);
	// 0 means Connect's 1000.
	CacheSize int
	// NumericDecimals writes decimals as JSON numbers instead of the base64
	// text of their unscaled value (decimal.format=NUMERIC). Both are read.
	NumericDecimals bool
	// KeepNulls leaves a null null where the schema has a default
	// (replace.null.with.default=false).
	KeepNulls bool
}

// JSON is Connect's org.apache.kafka.connect.json.JsonConverter. What it
// writes is, byte for byte, what Connect writes. In reading it is as lenient
// about fields that are missing or too many, but loses nothing silently: a
// value that is not of the schema's type or does not fit, and text after the
// value, are errors here, where Connect makes 0 of the one and ignores the
// other.
//
// Without schemas, objects are read as maps with string keys in the text's
// order, integers as KindInt, or KindDecimal beyond 64 bits, and other numbers
// as KindFloat.
type JSON struct {
	config JSONConfig
	cache  jsonSchemaCache

	mu      sync.Mutex
	headers map[*schema.Schema]*jsonEncoder // by AppendHeader
}

// NewJSON returns a JSON converter.
func NewJSON(config JSONConfig) *JSON {
	if config.CacheSize <= 0 {
		config.CacheSize = 1000
	}
	c := &JSON{config: config}
	c.cache.size = config.CacheSize
	return c
}
