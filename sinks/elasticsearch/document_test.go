package elasticsearch_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

func named(t schema.Type, name string) *schema.Schema {
	return &schema.Schema{Type: t, Name: name, Optional: true}
}

// typedRow is a row with a column of each kind that destinations care about.
func typedRow(topic string) schema.Record {
	type column struct {
		name  string
		s     *schema.Schema
		value schema.Value
	}
	variable := named(schema.TypeStruct, schema.NameDebeziumVariableScale)
	variable.Fields = []schema.Field{{Name: "scale", Schema: named(schema.TypeInt32, "")}, {Name: "value", Schema: named(schema.TypeBytes, "")}}
	point := named(schema.TypeStruct, schema.NameDebeziumPoint)
	point.Fields = []schema.Field{{Name: "x", Schema: named(schema.TypeFloat64, "")}, {Name: "y", Schema: named(schema.TypeFloat64, "")}}
	array := &schema.Schema{Type: schema.TypeArray, Elem: named(schema.TypeInt32, "")}
	hstore := &schema.Schema{Type: schema.TypeMap, Key: named(schema.TypeString, ""), Elem: named(schema.TypeString, "")}
	columns := []column{
		{"id", named(schema.TypeInt64, ""), schema.Int(9_007_199_254_740_993)},
		{"small", named(schema.TypeInt16, ""), schema.Int(-5)},
		{"real", named(schema.TypeFloat32, ""), schema.Float(1)},
		{"flag", named(schema.TypeBoolean, ""), schema.Bool(true)},
		{"note", named(schema.TypeString, ""), schema.Text("a \"b\"\n\\ \x01 ü")},
		{"raw", named(schema.TypeBytes, ""), schema.Bytes([]byte{0, 0xff})},
		{"price", named(schema.TypeBytes, schema.NameDecimal), schema.Decimal([]byte("12345678901234567890.10"))},
		{"amount", variable, schema.Seq(schema.KindStruct, []schema.Value{schema.Int(2), schema.Bytes([]byte{0x04, 0xd2})})},
		{"day", named(schema.TypeInt32, schema.NameDebeziumDate), schema.Int(19_000)},
		{"at", named(schema.TypeInt64, schema.NameDebeziumMicroTimestamp), schema.Int(1_700_000_000_123_456)},
		{"never", named(schema.TypeInt64, schema.NameDebeziumMicroTimestamp), schema.Int(9_223_372_036_825_200_000)},
		{"clock", named(schema.TypeInt64, schema.NameDebeziumMicroTime), schema.Int(3_723_500_000)},
		{"zoned", named(schema.TypeString, schema.NameDebeziumZonedTimestamp), schema.Text("2024-01-02T03:04:05.000006Z")},
		{"connectDay", named(schema.TypeInt32, schema.NameDate), schema.Int(19_000)},
		{"kind", named(schema.TypeString, schema.NameDebeziumEnum), schema.Text("big")},
		{"place", point, schema.Seq(schema.KindStruct, []schema.Value{schema.Float(1.5), schema.Float(-2)})},
		{"list", array, schema.Seq(schema.KindArray, []schema.Value{schema.Int(1), {}, schema.Int(3)})},
		{"tags", hstore, schema.Seq(schema.KindMap, []schema.Value{schema.Text("k"), schema.Text("v")})},
		{"none", named(schema.TypeString, ""), schema.Value{}},
	}
	row := &schema.Schema{Type: schema.TypeStruct, Name: topic + ".Value"}
	var values []schema.Value
	for _, c := range columns {
		row.Fields = append(row.Fields, schema.Field{Name: c.name, Schema: c.s})
		values = append(values, c.value)
	}
	key := &schema.Schema{Type: schema.TypeStruct, Fields: row.Fields[:1]}
	return schema.Record{
		Topic: topic,
		Key:   schema.Data{Schema: key, Value: schema.Seq(schema.KindStruct, values[:1])},
		Value: schema.Data{Schema: row, Value: schema.Seq(schema.KindStruct, values)},
	}
}

func TestSink_DocumentsAndMappings(t *testing.T) {
	t.Parallel()
	const (
		text = `"note":{"fields":{"keyword":{"ignore_above":256,"type":"keyword"}},"type":"text"},"none":{"fields":{"keyword":{"ignore_above":256,"type":"keyword"}},"type":"text"},`
		same = `"connectDay":{"ignore_malformed":true,"type":"date"},"flag":{"type":"boolean"},"id":{"type":"long"},"kind":{"type":"keyword"},"list":{"type":"long"},` + text +
			`"place":{"properties":{"x":{"type":"double"},"y":{"type":"double"}}},"price":{"ignore_malformed":true,"type":"double"},"raw":{"type":"binary"},"real":{"type":"double"},"small":{"type":"long"},` +
			`"tags":{"properties":{"k":{"fields":{"keyword":{"ignore_above":256,"type":"keyword"}},"type":"text"}}},"zoned":{"ignore_malformed":true,"type":"date"},`
		document = `"id":9007199254740993,"small":-5,"real":1.0,"flag":true,"note":"a \"b\"\n\\ \u0001 ü","raw":"AP8=","price":12345678901234567890.10,` +
			`"zoned":"2024-01-02T03:04:05.000006Z","kind":"big","place":{"x":1.5,"y":-2.0},"list":[1,null,3],"tags":{"k":"v"},"none":null,`
	)
	for _, c := range []struct{ class, document, mapping string }{
		{
			"elasticsearch-sink",
			document + `"amount":12.34,"day":"2022-01-08","at":"2023-11-14T22:13:20.123456Z","never":9223372036825200000,"clock":"01:02:03.5","connectDay":"2022-01-08"`,
			same + `"amount":{"ignore_malformed":true,"type":"double"},"at":{"ignore_malformed":true,"type":"date"},"clock":{"type":"keyword"},"day":{"ignore_malformed":true,"type":"date"},"never":{"ignore_malformed":true,"type":"date"}`,
		},
		{
			"io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
			document + `"amount":{"scale":2,"value":"BNI="},"day":19000,"at":1700000000123456,"never":9223372036825200000,"clock":3723500000,"connectDay":1641600000000`,
			same + `"amount":{"properties":{"scale":{"type":"long"},"value":{"type":"binary"}}},"at":{"type":"long"},"clock":{"type":"long"},"day":{"type":"long"},"never":{"type":"long"}`,
		},
	} {
		srv := servers.Elasticsearch(t)
		index := srv.Index("types")
		s := open(t, srv, map[string]string{"connector.class": c.class, "index.name": index})
		if err := s.Write(t.Context(), []schema.Record{typedRow("types")}); err != nil {
			t.Fatal(err)
		}
		docs := documents(t, srv, index)
		if len(docs) != 1 || docs[0].ID != "9007199254740993" {
			t.Fatalf("%s: documents %v", c.class, docs)
		}
		same := func(what string, got any, want string) {
			t.Helper()
			var w any
			d := json.NewDecoder(strings.NewReader("{" + want + "}"))
			d.UseNumber()
			if err := d.Decode(&w); err != nil {
				t.Fatal(err)
			}
			g := got.(map[string]any)
			for name, field := range w.(map[string]any) {
				if !reflect.DeepEqual(g[name], field) {
					t.Errorf("%s: %s: %s is %v, want %v", c.class, what, name, g[name], field)
				}
			}
			if len(g) != len(w.(map[string]any)) {
				t.Errorf("%s: %s has %d fields, want %d", c.class, what, len(g), len(w.(map[string]any)))
			}
		}
		same("document", docs[0].Source, c.document)
		var mapping map[string]struct {
			Mappings struct {
				Properties map[string]any `json:"properties"`
			} `json:"mappings"`
		}
		request(t, srv, http.MethodGet, "/"+index+"/_mapping", "", &mapping)
		same("mapping", mapping[index].Mappings.Properties, c.mapping)
	}
}

// TestSink_AddsFieldsThatASchemaGrows has a table that is altered: a column
// more, one less, one of another type.
func TestSink_AddsFieldsThatASchemaGrows(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("grows")
	s := open(t, srv, map[string]string{"index.name": index})
	one := sinkstest.NewTable("t")
	if err := s.Write(t.Context(), []schema.Record{one.Event(schema.OpCreate, 1, &sinkstest.Row{Name: "a", N: 1})}); err != nil {
		t.Fatal(err)
	}
	row := &schema.Schema{Type: schema.TypeStruct, Name: "t.Value", Fields: []schema.Field{
		{Name: "id", Schema: named(schema.TypeInt64, "")},
		{Name: "n", Schema: named(schema.TypeInt64, "")}, // widened
		{Name: "code", Schema: named(schema.TypeString, schema.NameDebeziumUUID)},
	}}
	grown := one.Flat(2, nil)
	grown.Value = schema.Data{Schema: row, Value: schema.Seq(schema.KindStruct, []schema.Value{schema.Int(2), schema.Int(1 << 40), schema.Text("x-1")})}
	if err := s.Write(t.Context(), []schema.Record{grown}); err != nil {
		t.Fatal(err)
	}
	var mapping map[string]struct {
		Mappings struct {
			Properties map[string]map[string]any `json:"properties"`
		} `json:"mappings"`
	}
	request(t, srv, http.MethodGet, "/"+index+"/_mapping", "", &mapping)
	p := mapping[index].Mappings.Properties
	if p["code"]["type"] != "keyword" || p["n"]["type"] != "long" || p["name"]["type"] != "text" {
		t.Errorf("mapping %v", p)
	}
	// Another worker, which does not know what this one has done.
	again := open(t, srv, map[string]string{"index.name": index})
	if err := again.Write(t.Context(), []schema.Record{one.Event(schema.OpCreate, 3, &sinkstest.Row{Name: "b", N: 3})}); err != nil {
		t.Fatal(err)
	}
	if n := len(documents(t, srv, index)); n != 3 {
		t.Errorf("%d documents, want 3", n)
	}
}

// TestSink_RefusesRowsThatNoMappingTakes has a table with more columns than an
// index may have fields: its rows are refused one by one, the others flow.
func TestSink_RefusesRowsThatNoMappingTakes(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	fine := sinkstest.NewTable("fine")
	wide := schema.Record{Topic: "wide", Key: fine.Flat(1, nil).Key}
	row := &schema.Schema{Type: schema.TypeStruct, Name: "wide.Value"}
	var values []schema.Value
	for i := range 1001 {
		row.Fields = append(row.Fields, schema.Field{Name: "c" + strconv.Itoa(i), Schema: named(schema.TypeInt64, "")})
		values = append(values, schema.Int(int64(i)))
	}
	wide.Value = schema.Data{Schema: row, Value: schema.Seq(schema.KindStruct, values)}
	s := open(t, srv, map[string]string{"index.name": srv.Index("${topic}")})
	for range 2 { // however often
		err := s.Write(t.Context(), []schema.Record{fine.Event(schema.OpUpdate, 1, &sinkstest.Row{}), wide, fine.Event(schema.OpUpdate, 2, &sinkstest.Row{}), wide})
		var some *sinks.WriteError
		if !errors.As(err, &some) || len(some.Failed) != 2 || some.Failed[0].Index != 1 || some.Failed[1].Index != 3 || some.Failed[0].Retriable || !strings.Contains(err.Error(), "1000") {
			t.Errorf("Write: %v, want the wide rows refused for good because of the limit", err)
		}
	}
	if docs := documents(t, srv, srv.Index("fine")); len(docs) != 2 {
		t.Errorf("documents %v, want those of the other table", docs)
	}
}

// TestSink_MakesNoIndexThatShouldBeThere has a topic whose index is misspelt.
func TestSink_MakesNoIndexThatShouldBeThere(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	tab := sinkstest.NewTable("t")
	for _, raw := range []map[string]string{
		{"external.resource.usage": "INDEX", "topic.to.external.resource.mapping": "t:" + srv.Index("nowhere")},
		{"external.resource.usage": "INDEX", "index.name": srv.Index("nowhere")},
	} {
		d := destination(t, srv, raw)
		s, err := d.Open(t.Context())
		if err == nil {
			err = s.Write(t.Context(), []schema.Record{tab.Event(schema.OpUpdate, 1, &sinkstest.Row{})})
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), srv.Index("nowhere")) || !strings.Contains(err.Error(), "external.resource.usage") {
			t.Errorf("%v: %v, want a permanent error that names the index and the setting", raw, err)
		}
		problems := d.Check(t.Context())
		if mapped := raw["topic.to.external.resource.mapping"] != ""; mapped && (len(problems) != 1 || problems[0].Key != "topic.to.external.resource.mapping") {
			t.Errorf("%v: Check: %v, want a problem with the mapping", raw, problems)
		}
	}
}

func TestSink_Identifies(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("ids")
	key := func(values ...schema.Value) schema.Data {
		s := &schema.Schema{Type: schema.TypeStruct}
		for i := range values {
			s.Fields = append(s.Fields, schema.Field{Name: string(rune('a' + i)), Schema: named(schema.TypeString, "")})
		}
		return schema.Data{Schema: s, Value: schema.Seq(schema.KindStruct, values)}
	}
	tab := sinkstest.NewTable("t")
	var records []schema.Record
	var want []string
	for _, c := range []struct {
		key schema.Data
		id  string
	}{
		{schema.Data{Value: schema.Int(7)}, "7"},
		{schema.Data{Value: schema.Text("plain")}, "plain"},
		{key(schema.Text("one \"x\"")), `one "x"`},
		{key(schema.Text("a"), schema.Int(2)), `["a",2]`},
		{key(schema.Text("a,2"), schema.Value{}), `["a,2",null]`},
		{key(schema.Text("")), `[""]`},
		{schema.Data{Value: schema.Seq(schema.KindMap, []schema.Value{schema.Text("id"), schema.Int(8)})}, "8"},
		{key(schema.Text(strings.Repeat("k", 512))), strings.Repeat("k", 512)},
	} {
		r := tab.Flat(1, &sinkstest.Row{})
		r.Key = c.key
		records = append(records, r)
		want = append(want, c.id)
	}
	s := open(t, srv, map[string]string{"index.name": index})
	if err := s.Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, d := range documents(t, srv, index) {
		ids[d.ID] = true
	}
	for _, id := range want {
		if !ids[id] {
			t.Errorf("there is no document %s among %v", id, ids)
		}
	}
	for _, k := range []schema.Data{key(schema.Text(strings.Repeat("k", 513))), key(schema.Value{}), {}} {
		r := tab.Flat(1, &sinkstest.Row{})
		r.Key = k
		if err := s.Write(t.Context(), []schema.Record{r}); err == nil {
			t.Errorf("a record with key %#v was taken", k.Value)
		}
	}
}

// TestSink_JavaDefaults has what users of Confluent's connector count on.
func TestSink_JavaDefaults(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("java")
	java := map[string]string{"connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "index.name": index}
	tab := sinkstest.NewTable("t")
	s := open(t, srv, java)
	if err := s.Write(t.Context(), []schema.Record{tab.Flat(1, nil)}); err == nil || !strings.Contains(err.Error(), "behavior.on.null.values") {
		t.Errorf("a null value: %v, want an error that names behavior.on.null.values", err)
	}
	if err := s.Write(t.Context(), []schema.Record{tab.Event(schema.OpCreate, 1, &sinkstest.Row{Name: "x"})}); err != nil {
		t.Fatal(err)
	}
	if docs := documents(t, srv, index); len(docs) != 1 || docs[0].Source["after"] == nil {
		t.Errorf("documents %v, want the envelope as it is", docs)
	}
}

func TestSink_WriteMethods(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	tab := sinkstest.NewTable("t")
	first, second := tab.Flat(1, &sinkstest.Row{Name: "a", N: 1}), tab.Flat(1, &sinkstest.Row{})
	second.Value = schema.Data{Value: schema.Seq(schema.KindMap, []schema.Value{schema.Text("n"), schema.Int(2)})}
	for method, fields := range map[string]int{"insert": 1, "upsert": 4} {
		index := srv.Index(method)
		s := open(t, srv, map[string]string{"write.method": method, "index.name": index})
		if err := s.Write(t.Context(), []schema.Record{first, second}); err != nil {
			t.Fatal(err)
		}
		if docs := documents(t, srv, index); len(docs) != 1 || len(docs[0].Source) != fields {
			t.Errorf("%s: documents %v, want one with %d fields", method, docs, fields)
		}
		if err := s.Write(t.Context(), []schema.Record{tab.Flat(1, nil)}); err != nil {
			t.Fatal(err)
		}
		if docs := documents(t, srv, index); len(docs) != 0 {
			t.Errorf("%s: documents %v after the delete", method, docs)
		}
	}
	// Without keys each record is a document, once however often it is read.
	index := srv.Index("grow")
	s := open(t, srv, map[string]string{"key.ignore": "true", "index.name": index})
	for range 2 {
		if err := s.Write(t.Context(), []schema.Record{first, second}); err != nil {
			t.Fatal(err)
		}
	}
	if docs := documents(t, srv, index); len(docs) != 2 {
		t.Errorf("documents %v, want 2", docs)
	}
}

func TestSink_TakesVersionsFromAHeader(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("versions")
	s := open(t, srv, map[string]string{"external.version.header": "v", "index.name": index})
	tab := sinkstest.NewTable("t")
	write := func(version, name string) error {
		r := tab.Flat(1, &sinkstest.Row{Name: name})
		if version != "" {
			r.RawHeaders = []schema.RawHeader{{Key: "v", Value: []byte(version)}}
		}
		return s.Write(t.Context(), []schema.Record{r})
	}
	for _, c := range []struct{ version, name string }{{"10", "ten"}, {"9", "nine"}, {"11", "eleven"}, {"11", "again"}} {
		if err := write(c.version, c.name); err != nil {
			t.Fatal(err)
		}
	}
	if docs := documents(t, srv, index); len(docs) != 1 || docs[0].Source["name"] != "eleven" {
		t.Errorf("documents %v, want the newest version", docs)
	}
	for _, bad := range []string{"", "x", "-1"} {
		if write(bad, "bad") == nil {
			t.Errorf("version %q was taken", bad)
		}
	}
}
