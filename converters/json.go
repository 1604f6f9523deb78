package converters

import (
	"github.com/penstock/penstock/settings"
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
// about what is missing or too much, but does not bend a value: a text where
// the schema wants a number is an error here and 0 in Connect.
//
// Without schemas, objects are read as maps with string keys in the text's
// order (a key given twice stays twice), integers as KindInt, or KindDecimal
// beyond 64 bits, and other numbers as KindFloat.
type JSON struct {
	config JSONConfig
	cache  jsonSchemaCache
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

var jsonDefs = []settings.Def{
	{
		Key: "schemas.enable", Type: settings.Boolean, Default: "true", Importance: settings.High,
		Doc:   "Whether each key and value carries its schema.",
		Group: "Schemas", DisplayName: "Enable Schemas", Width: "MEDIUM",
	},
	{
		Key: "schemas.cache.size", Type: settings.Int, Default: "1000", Importance: settings.High,
		Doc:   "How many schemas the converter remembers.",
		Group: "Schemas", DisplayName: "Schema Cache Size", Width: "MEDIUM",
	},
	{
		Key: "decimal.format", Type: settings.String, Default: "BASE64", Importance: settings.Low,
		Doc:   "How decimals are written: BASE64 of the unscaled value, or NUMERIC, a JSON number. Both are read.",
		Group: "Serialization", DisplayName: "Decimal Format", Width: "MEDIUM",
		OneOf: []string{"BASE64", "NUMERIC"},
	},
	{
		Key: "replace.null.with.default", Type: settings.Boolean, Default: "true", Importance: settings.Low,
		Doc:   "Whether the null of a field that has a default is written and read as the default.",
		Group: "Serialization", DisplayName: "Replace null with default", Width: "MEDIUM",
	},
}
