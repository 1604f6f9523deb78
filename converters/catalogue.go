package converters

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// Plugin is one kind of converter, as the worker's catalogue lists it.
type Plugin struct {
	// Name is the short name for key.converter, value.converter and
	// header.converter ("json").
	Name string
	// Classes are the Java class names that are taken for it; the first is
	// shown in listings.
	Classes []string
	// Version is that of the Kafka Connect whose converter it stands for.
	Version string
	// Settings define its configuration, without the prefix key.converter.
	Settings *settings.Set
	// Data and Header say what it can convert: keys and values, headers.
	Data, Header bool

	create func(v settings.Values) any
}

// connectVersion is the Kafka Connect whose bytes the tests compare with.
const connectVersion = "4.1.1"

// Plugins returns the converters there are, in order of their names.
func Plugins() []Plugin {
	const connect = "org.apache.kafka.connect."
	primitive := func(name, class string, t schema.Type) Plugin {
		return Plugin{
			Name: name, Classes: []string{connect + "converters." + class}, Version: connectVersion,
			Settings: settings.NewSet(typeDefs()), Data: true, Header: true,
			create: func(settings.Values) any { return NewPrimitive(t) },
		}
	}
	return []Plugin{
		primitive("boolean", "BooleanConverter", schema.TypeBoolean),
		{
			Name: "bytes", Classes: []string{connect + "converters.ByteArrayConverter"}, Version: connectVersion,
			Settings: settings.NewSet(typeDefs()), Data: true, Header: true,
			create: func(settings.Values) any { return Bytes{} },
		},
		primitive("double", "DoubleConverter", schema.TypeFloat64),
		primitive("float", "FloatConverter", schema.TypeFloat32),
		primitive("integer", "IntegerConverter", schema.TypeInt32),
		{
			Name: "json", Classes: []string{connect + "json.JsonConverter"}, Version: connectVersion,
			Settings: settings.NewSet(typeDefs(), jsonDefs()), Data: true, Header: true,
			create: func(v settings.Values) any {
				return NewJSON(JSONConfig{
					Schemas:         v.Bool("schemas.enable"),
					CacheSize:       int(v.Int("schemas.cache.size")),
					NumericDecimals: v.String("decimal.format") == "NUMERIC",
					KeepNulls:       !v.Bool("replace.null.with.default"),
				})
			},
		},
		primitive("long", "LongConverter", schema.TypeInt64),
		primitive("short", "ShortConverter", schema.TypeInt16),
		{
			Name: "simple", Classes: []string{connect + "storage.SimpleHeaderConverter"}, Version: connectVersion,
			Settings: settings.NewSet(), Header: true,
			create: func(settings.Values) any { return SimpleHeaders{} },
		},
		{
			Name: "string", Classes: []string{connect + "storage.StringConverter"}, Version: connectVersion,
			Settings: settings.NewSet(typeDefs(), stringDefs()), Data: true, Header: true,
			create: func(settings.Values) any { return String{} },
		},
	}
}

func typeDefs() []settings.Def {
	return []settings.Def{{
		Key: "converter.type", Type: settings.String, Required: true, Importance: settings.Low, Width: "NONE",
		DisplayName: "converter.type", OneOf: []string{"key", "value", "header"},
		Doc: "What the converter is for. It is set by where the converter is configured.",
	}}
}

func jsonDefs() []settings.Def {
	return []settings.Def{
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
}

func stringDefs() []settings.Def {
	return []settings.Def{{
		Key: "converter.encoding", Type: settings.String, Default: "UTF-8", Importance: settings.High,
		Doc:         "The character set. Only UTF-8 is there.",
		DisplayName: "Encoding", Width: "MEDIUM", OneOf: []string{"UTF-8", "UTF8"},
	}}
}

// New returns the converter for keys or values of a class, which may be the
// short name, the Java class or its simple name. config are its settings
// without the prefix; the problems name them so.
func New(class string, config map[string]string, isKey bool) (Converter, settings.Problems) {
	setting, kind := "value.converter", "value"
	if isKey {
		setting, kind = "key.converter", "key"
	}
	made, problems := create(setting, class, kind, config)
	c, _ := made.(Converter)
	return c, problems
}

// NewHeader returns the converter for headers of a class; see New.
func NewHeader(class string, config map[string]string) (HeaderConverter, settings.Problems) {
	made, problems := create("header.converter", class, "header", config)
	c, _ := made.(HeaderConverter)
	return c, problems
}

func create(setting, class, kind string, config map[string]string) (any, settings.Problems) {
	p, err := Find(class, kind == "header")
	if err != nil {
		return nil, settings.Problems{{Key: setting, Message: fmt.Sprintf(
			"Invalid value %s for configuration %s: %v", class, setting, err)}}
	}
	raw := map[string]string{"converter.type": kind}
	for k, v := range config {
		if k != "converter.type" {
			raw[k] = v
		}
	}
	v, problems := p.Settings.Parse(raw)
	if problems.Err() != nil {
		return nil, problems
	}
	return p.create(v), problems
}

// Find returns the plugin of a class for headers, or for keys and values. The
// error says what there is.
func Find(class string, header bool) (Plugin, error) {
	class = strings.TrimSpace(class)
	var names []string
	for _, p := range Plugins() {
		if header && !p.Header || !header && !p.Data {
			continue
		}
		if p.named(class) {
			return p, nil
		}
		names = append(names, p.Name+" ("+p.Classes[0]+")")
	}
	there := "; there are " + strings.Join(names, ", ")
	if why := unsupported(class); why != "" {
		return Plugin{}, fmt.Errorf("%s%s", why, there)
	}
	return Plugin{}, fmt.Errorf("Class %s could not be found%s", class, there) //nolint:staticcheck // Kafka's sentence, which clients match on
}

// named reports whether the plugin goes by a name: its own, a class, or a
// class without its package and, as in Connect, without "Converter".
func (p Plugin) named(class string) bool {
	if strings.EqualFold(class, p.Name) {
		return true
	}
	return slices.ContainsFunc(p.Classes, func(c string) bool {
		simple := c[strings.LastIndexByte(c, '.')+1:]
		return class == c || class == simple || class == strings.TrimSuffix(simple, "Converter")
	})
}

// unsupported says why a converter that people use elsewhere is not there.
func unsupported(class string) string {
	for prefix, format := range map[string]string{
		"io.confluent.connect.avro.": "Avro", "io.confluent.connect.protobuf.": "Protobuf", "io.confluent.connect.json.": "JSON Schema",
		"io.apicurio.": "schema registry", "com.amazonaws.": "schema registry",
	} {
		if strings.HasPrefix(class, prefix) {
			return format + " converters are not supported yet"
		}
	}
	switch class {
	case "avro", "protobuf", "jsonschema", "json-schema":
		return class + " is not supported yet"
	case "io.debezium.converters.BinaryDataConverter", "io.debezium.converters.ByteArrayConverter", "io.debezium.converters.CloudEventsConverter":
		return "Debezium's own converters are not supported yet"
	}
	return ""
}
