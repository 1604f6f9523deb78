package converters_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

func TestNew_FindsEveryPluginByEveryName(t *testing.T) {
	t.Parallel()
	plugins := converters.Plugins()
	if !slices.IsSortedFunc(plugins, func(a, b converters.Plugin) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the plugins are not in order")
	}
	for _, p := range plugins {
		simple := p.Classes[0][strings.LastIndex(p.Classes[0], ".")+1:]
		for _, name := range []string{p.Name, strings.ToUpper(p.Name), p.Classes[0], simple, strings.TrimSuffix(simple, "Converter")} {
			if p.Data {
				for _, isKey := range []bool{true, false} {
					if c, problems := converters.New(name, nil, isKey); c == nil || len(problems) > 0 {
						t.Errorf("%s: %v", name, problems)
					}
				}
			} else if c, problems := converters.New(name, nil, false); c != nil || problems.Err() == nil {
				t.Errorf("%s converts values", name)
			}
			if p.Header {
				if c, problems := converters.NewHeader(name, nil); c == nil || len(problems) > 0 {
					t.Errorf("%s: %v", name, problems)
				}
			}
		}
	}
}

func TestNew_ReadsTheSettings(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	for _, test := range []struct {
		config map[string]string
		want   string // of 1.50 with the default 7 for null
	}{
		{nil, `{"schema":`},
		{map[string]string{"schemas.enable": "false"}, `{"d":"AJY=","n":7}`},
		{map[string]string{"schemas.enable": "false", "decimal.format": "numeric"}, `{"d":1.50,"n":7}`},
		{map[string]string{"schemas.enable": "false", "replace.null.with.default": "false"}, `{"d":"AJY=","n":null}`},
	} {
		c, problems := converters.New("json", test.config, false)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		s := structOf(schema.Field{Name: "d", Schema: decimalSchema(2)}, schema.Field{Name: "n", Schema: withDefault(optional(schema.TypeInt32), schema.Int(7))})
		v := schema.Seq(schema.KindStruct, []schema.Value{schema.Decimal([]byte("1.50")), {}})
		got, err := encoderOf(t, c, s).Append(nil, v)
		if err != nil || !strings.HasPrefix(string(got), test.want) {
			t.Errorf("%v: got %s, %v, want %s", test.config, got, err, test.want)
		}
		if _, err := c.Decode(t.Context(), "t", got, &a); err != nil {
			t.Error(err)
		}
	}
}

func TestNew_NamesTheProblem(t *testing.T) {
	t.Parallel()
	const there = "; there are boolean (org.apache.kafka.connect.converters.BooleanConverter), "
	for _, test := range []struct {
		class   string
		config  map[string]string
		key     string
		message string
	}{
		{"nope", nil, "value.converter", "Invalid value nope for configuration value.converter: Class nope could not be found" + there},
		{"", nil, "value.converter", "Invalid value  for configuration value.converter: Class  could not be found" + there},
		{"avro", nil, "value.converter", "Invalid value avro for configuration value.converter: avro is not supported yet" + there},
		{"io.confluent.connect.avro.AvroConverter", nil, "value.converter", "Invalid value io.confluent.connect.avro.AvroConverter for configuration value.converter: Avro converters are not supported yet" + there},
		{"io.confluent.connect.json.JsonSchemaConverter", nil, "value.converter", "Invalid value io.confluent.connect.json.JsonSchemaConverter for configuration value.converter: JSON Schema converters are not supported yet" + there},
		{"io.confluent.connect.protobuf.ProtobufConverter", nil, "value.converter", "Invalid value io.confluent.connect.protobuf.ProtobufConverter for configuration value.converter: Protobuf converters are not supported yet" + there},
		{"json", map[string]string{"schemas.enable": "maybe"}, "schemas.enable", "Invalid value maybe for configuration schemas.enable: Expected value to be either true or false"},
		{"json", map[string]string{"decimal.format": "HEX"}, "decimal.format", "Invalid value HEX for configuration decimal.format: Value must be one of BASE64, NUMERIC"},
		{"string", map[string]string{"converter.encoding": "UTF-16"}, "converter.encoding", "Invalid value UTF-16 for configuration converter.encoding: Value must be one of UTF-8, UTF8"},
	} {
		c, problems := converters.New(test.class, test.config, false)
		if c != nil || len(problems) != 1 || problems[0].Key != test.key || !strings.HasPrefix(problems[0].Message, test.message) {
			t.Errorf("%s %v: got %v, want %s at %s", test.class, test.config, problems, test.message, test.key)
		}
	}
	if _, problems := converters.New("nope", nil, true); len(problems) != 1 || problems[0].Key != "key.converter" {
		t.Errorf("the problem with a key converter is %v", problems)
	}
	if _, problems := converters.NewHeader("nope", nil); len(problems) != 1 || problems[0].Key != "header.converter" {
		t.Errorf("the problem with a header converter is %v", problems)
	}
}

// TestPlugins_ListConnectsSettings compares with what a Connect 4.1.1 worker
// lists for its converters.
func TestPlugins_ListConnectsSettings(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"json":   "converter.type schemas.enable=true schemas.cache.size=1000 decimal.format=BASE64 replace.null.with.default=true",
		"string": "converter.type converter.encoding=UTF-8",
		"bytes":  "converter.type",
		"simple": "",
	}
	for _, p := range converters.Plugins() {
		listed, ok := want[p.Name]
		if !ok {
			continue
		}
		var got []string
		for _, d := range p.Settings.Defs() {
			text := d.Key
			if !d.Required {
				text += "=" + d.Default
			}
			if d.Doc == "" || d.Importance == "" || d.Width == "" {
				t.Errorf("%s: %s is not documented", p.Name, d.Key)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != listed {
			t.Errorf("%s: got %q, want %q", p.Name, got, listed)
		}
	}
}
