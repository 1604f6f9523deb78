package schema

import "slices"

// Names of the logical types that Kafka Connect itself defines, and those of
// Debezium that more than one package has to know. Sources: the packages
// org.apache.kafka.connect.data and io.debezium.{data,time}.
const (
	NameDecimal   = "org.apache.kafka.connect.data.Decimal"
	NameDate      = "org.apache.kafka.connect.data.Date"
	NameTime      = "org.apache.kafka.connect.data.Time"
	NameTimestamp = "org.apache.kafka.connect.data.Timestamp"

	NameDebeziumDate           = "io.debezium.time.Date"
	NameDebeziumTime           = "io.debezium.time.Time"
	NameDebeziumMicroTime      = "io.debezium.time.MicroTime"
	NameDebeziumNanoTime       = "io.debezium.time.NanoTime"
	NameDebeziumTimestamp      = "io.debezium.time.Timestamp"
	NameDebeziumMicroTimestamp = "io.debezium.time.MicroTimestamp"
	NameDebeziumNanoTimestamp  = "io.debezium.time.NanoTimestamp"
	NameDebeziumZonedTime      = "io.debezium.time.ZonedTime"
	NameDebeziumZonedTimestamp = "io.debezium.time.ZonedTimestamp"
	NameDebeziumYear           = "io.debezium.time.Year"
	NameDebeziumMicroDuration  = "io.debezium.time.MicroDuration"
	NameDebeziumInterval       = "io.debezium.time.Interval"
	NameDebeziumBits           = "io.debezium.data.Bits"
	NameDebeziumEnum           = "io.debezium.data.Enum"
	NameDebeziumEnumSet        = "io.debezium.data.EnumSet"
	NameDebeziumJSON           = "io.debezium.data.Json"
	NameDebeziumXML            = "io.debezium.data.Xml"
	NameDebeziumUUID           = "io.debezium.data.Uuid"
	NameDebeziumVariableScale  = "io.debezium.data.VariableScaleDecimal"
	NameDebeziumPoint          = "io.debezium.data.geometry.Point"
	NameDebeziumGeometry       = "io.debezium.data.geometry.Geometry"
)

// ParamScale is the parameter of [NameDecimal] that holds the number of digits
// after the point, as decimal text.
const ParamScale = "scale"

// Schema describes a value, as Kafka Connect's Schema does. It must not be
// changed once it is shared.
type Schema struct {
	Type     Type
	Optional bool
	// Name is the logical or struct name; empty when there is none.
	Name string
	// Version is 0 when the schema has none.
	Version int
	Doc     string
	// Parameters keep the order in which converters write them.
	Parameters []Parameter
	// Default is nil when there is none. A null default is a pointer to the
	// null Value.
	Default *Value
	// Fields are those of a struct, in order.
	Fields []Field
	// Elem is the element schema of an array or the value schema of a map.
	Elem *Schema
	// Key is the key schema of a map.
	Key *Schema
}

// Parameter is one entry of a schema's parameters.
type Parameter struct{ Name, Value string }

// Field is one field of a struct schema. A struct [Value] holds one element
// for each, in the same order.
type Field struct {
	Name   string
	Schema *Schema
	// Const, when not nil, is the value of this field in every value that is
	// ever encoded with this schema, so that an encoder may render it once.
	// The elements hold it too; decoders never set it.
	Const *Value
	// Absent is what is written where the element's kind is KindAbsent; nil
	// means null.
	Absent *Value
}

// Parameter returns the value of a parameter and whether it is set.
func (s *Schema) Parameter(name string) (string, bool) {
	for _, p := range s.Parameters {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Index returns the place of a field by its exact name, or -1.
func (s *Schema) Index(name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// AsOptional returns the schema with Optional set: s itself if it is already,
// otherwise a copy.
func (s *Schema) AsOptional() *Schema {
	if s.Optional {
		return s
	}
	c := *s
	c.Optional = true
	return &c
}

// Equal reports whether two schemas, either of which may be nil, say the same
// of their values. It does not compare what fields hold for encoders alone.
func (s *Schema) Equal(t *Schema) bool {
	if s == t {
		return true
	}
	if s == nil || t == nil || s.Type != t.Type || s.Optional != t.Optional || s.Name != t.Name || s.Version != t.Version ||
		s.Doc != t.Doc || !slices.Equal(s.Parameters, t.Parameters) || !equalDefaults(s.Default, t.Default) {
		return false
	}
	return s.Key.Equal(t.Key) && s.Elem.Equal(t.Elem) && slices.EqualFunc(s.Fields, t.Fields, func(f, g Field) bool {
		return f.Name == g.Name && f.Schema.Equal(g.Schema)
	})
}

func equalDefaults(v, w *Value) bool {
	if v == nil || w == nil {
		return v == w
	}
	return v.Equal(*w)
}
