package mongodb_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/mongodb"
	"github.com/penstock/penstock/sinks/sinkstest"
)

const (
	java       = "com.mongodb.kafka.connect.MongoSinkConnector"
	strategies = "com.mongodb.kafka.connect.sink.processor.id.strategy."
	writes     = "com.mongodb.kafka.connect.sink.writemodel.strategy."
	rdbms      = "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.RdbmsHandler"
)

// extended returns the documents of a collection in canonical extended JSON.
func extended(t *testing.T, c *mongo.Collection) []string {
	t.Helper()
	cursor, err := c.Find(t.Context(), bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		t.Fatal(err)
	}
	var raw []bson.Raw
	if err := cursor.All(t.Context(), &raw); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range raw {
		b, err := bson.MarshalExtJSON(r, true, false)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return texts
}

func named(t schema.Type, name string) *schema.Schema {
	return &schema.Schema{Type: t, Name: name, Optional: true}
}

func TestSink_Documents(t *testing.T) {
	t.Parallel()
	type column struct {
		name  string
		s     *schema.Schema
		value schema.Value
	}
	variable := named(schema.TypeStruct, schema.NameDebeziumVariableScale)
	variable.Fields = []schema.Field{{Name: "scale", Schema: named(schema.TypeInt32, "")}, {Name: "value", Schema: named(schema.TypeBytes, "")}}
	columns := []column{
		{"id", named(schema.TypeInt32, ""), schema.Int(7)},
		{"big", named(schema.TypeInt64, ""), schema.Int(1 << 40)},
		{"real", named(schema.TypeFloat32, ""), schema.Float(1.5)},
		{"flag", named(schema.TypeBoolean, ""), schema.Bool(true)},
		{"note", named(schema.TypeString, ""), schema.Text("ü")},
		{"raw", named(schema.TypeBytes, ""), schema.Bytes([]byte{0, 0xff})},
		{"price", named(schema.TypeBytes, schema.NameDecimal), schema.Decimal([]byte("-12.50"))},
		{"amount", variable, schema.Seq(schema.KindStruct, []schema.Value{schema.Int(2), schema.Bytes([]byte{0x04, 0xd2})})},
		{"day", named(schema.TypeInt32, schema.NameDebeziumDate), schema.Int(-1)},
		{"at", named(schema.TypeInt64, schema.NameDebeziumMicroTimestamp), schema.Int(-1)},
		{"clock", named(schema.TypeInt64, schema.NameDebeziumMicroTime), schema.Int(3_723_500_000)},
		{"zoned", named(schema.TypeString, schema.NameDebeziumZonedTimestamp), schema.Text("2024-01-02T03:04:05.678901Z")},
		{"connectAt", named(schema.TypeInt64, schema.NameTimestamp), schema.Int(5)},
		{"list", &schema.Schema{Type: schema.TypeArray, Elem: named(schema.TypeInt32, "")}, schema.Seq(schema.KindArray, []schema.Value{schema.Int(1), {}})},
		{"tags", &schema.Schema{Type: schema.TypeMap, Key: named(schema.TypeString, ""), Elem: named(schema.TypeString, "")}, schema.Seq(schema.KindMap, []schema.Value{schema.Text("k"), schema.Text("v")})},
		{"none", named(schema.TypeString, ""), schema.Value{}},
	}
	row := &schema.Schema{Type: schema.TypeStruct, Name: "t.Value"}
	var values []schema.Value
	for _, c := range columns {
		row.Fields = append(row.Fields, schema.Field{Name: c.name, Schema: c.s})
		values = append(values, c.value)
	}
	key := &schema.Schema{Type: schema.TypeStruct, Fields: row.Fields[:1]}
	record := schema.Record{
		Topic: "t",
		Key:   schema.Data{Schema: key, Value: schema.Seq(schema.KindStruct, values[:1])},
		Value: schema.Data{Schema: row, Value: schema.Seq(schema.KindStruct, values)},
	}
	const (
		plain = `"big":{"$numberLong":"1099511627776"},"real":{"$numberDouble":"1.5"},"flag":true,"note":"ü","raw":{"$binary":{"base64":"AP8=","subType":"00"}},"price":{"$numberDecimal":"-12.50"},`
		rest  = `"connectAt":{"$date":{"$numberLong":"5"}},"list":[{"$numberInt":"1"},null],"tags":{"k":"v"},"none":null}`
	)
	for class, want := range map[string]string{
		"mongodb-sink": `{"_id":{"$numberInt":"7"},"id":{"$numberInt":"7"},` + plain +
			`"amount":{"$numberDecimal":"12.34"},"day":{"$date":{"$numberLong":"-86400000"}},"at":{"$date":{"$numberLong":"-1"}},"clock":"01:02:03.5","zoned":{"$date":{"$numberLong":"1704164645678"}},` + rest,
		java: `{"_id":{"id":{"$numberInt":"7"}},"id":{"$numberInt":"7"},` + plain +
			`"amount":{"scale":{"$numberInt":"2"},"value":{"$binary":{"base64":"BNI=","subType":"00"}}},"day":{"$numberInt":"-1"},"at":{"$numberLong":"-1"},"clock":{"$numberLong":"3723500000"},"zoned":"2024-01-02T03:04:05.678901Z",` + rest,
	} {
		srv := servers.Mongo(t)
		raw := map[string]string{"connector.class": class}
		if class == java {
			raw["document.id.strategy"] = strategies + "FullKeyStrategy"
		}
		if err := open(t, srv, raw).Write(t.Context(), []schema.Record{record}); err != nil {
			t.Fatal(err)
		}
		if got := extended(t, connect(t, srv).Collection("t")); len(got) != 1 || got[0] != want {
			t.Errorf("%s wrote\n%s\nwant\n%s", class, strings.Join(got, "\n"), want)
		}
	}
}

// TestSink_Strategies goes through what MongoDB's own connector can be told.
func TestSink_Strategies(t *testing.T) {
	t.Parallel()
	tab := sinkstest.NewTable("t")
	one, two := &sinkstest.Row{Name: "a", N: 1, Body: "x"}, &sinkstest.Row{Name: "b", N: 2, Body: "y"}
	id := `{"$numberLong":"1"}`
	full := func(name, n, body string) string {
		return `"id":` + id + `,"name":"` + name + `","n":{"$numberInt":"` + n + `"},"body":"` + body + `"}`
	}
	for name, c := range map[string]struct {
		raw     map[string]string
		records []schema.Record
		want    []string
		refused int
	}{
		"FullKey": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy"},
			[]schema.Record{tab.Flat(1, one), tab.Flat(1, two)},
			[]string{`{"_id":{"id":` + id + `},` + full("b", "2", "y")},
			0,
		},
		"NullValuesAreLeftAlone": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy"},
			[]schema.Record{tab.Flat(1, one), tab.Flat(1, nil)},
			[]string{`{"_id":{"id":` + id + `},` + full("a", "1", "x")},
			0,
		},
		"NullValuesDelete": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy", "delete.on.null.values": "true"},
			[]schema.Record{tab.Flat(1, one), tab.Flat(2, one), tab.Flat(1, nil)},
			[]string{`{"_id":{"id":{"$numberLong":"2"}},"id":{"$numberLong":"2"},"name":"a","n":{"$numberInt":"1"},"body":"x"}`},
			0,
		},
		"PartialKey": {
			map[string]string{
				"document.id.strategy": strategies + "PartialKeyStrategy", "document.id.strategy.partial.key.projection.type": "AllowList",
				"document.id.strategy.partial.key.projection.list": "id",
			},
			[]schema.Record{tab.Flat(1, one), tab.Flat(1, two)},
			[]string{`{"_id":{"id":` + id + `},` + full("b", "2", "y")},
			0,
		},
		"PartialValue": {
			map[string]string{
				"document.id.strategy": strategies + "PartialValueStrategy", "document.id.strategy.partial.value.projection.type": "BlockList",
				"document.id.strategy.partial.value.projection.list": "name,body,id",
			},
			[]schema.Record{tab.Flat(1, one), tab.Flat(2, one), tab.Flat(1, two)},
			[]string{
				`{"_id":{"n":{"$numberInt":"1"}},"id":{"$numberLong":"2"},"name":"a","n":{"$numberInt":"1"},"body":"x"}`,
				`{"_id":{"n":{"$numberInt":"2"}},` + full("b", "2", "y"),
			},
			0,
		},
		"BusinessKeySet": {
			map[string]string{
				"document.id.strategy": strategies + "PartialValueStrategy", "document.id.strategy.partial.value.projection.type": "AllowList",
				"document.id.strategy.partial.value.projection.list": "name", "writemodel.strategy": writes + "ReplaceOneBusinessKeyStrategy",
				"value.projection.type": "allowlist", "value.projection.list": "name",
			},
			[]schema.Record{tab.Flat(1, one), tab.Flat(2, one)},
			nil, 0, // the _id is MongoDB's own; see below
		},
		"ProvidedInValue": {
			map[string]string{"document.id.strategy": strategies + "ProvidedInValueStrategy"},
			[]schema.Record{tab.Flat(1, one)},
			[]string{},
			1, // there is no field _id
		},
		"KafkaMetaData": {
			map[string]string{"document.id.strategy": strategies + "KafkaMetaDataStrategy"},
			[]schema.Record{{Topic: "t", Partition: 3, Offset: 9, Value: tab.Flat(1, one).Value}},
			[]string{`{"_id":"t#3#9",` + full("a", "1", "x")},
			0,
		},
		"Projection": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy", "value.projection.type": "blocklist", "value.projection.list": "name,body"},
			[]schema.Record{tab.Flat(1, one)},
			[]string{`{"_id":{"id":` + id + `},"id":` + id + `,"n":{"$numberInt":"1"}}`},
			0,
		},
		"UpdateOne": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy", "writemodel.strategy": writes + "UpdateOneDefaultStrategy"},
			[]schema.Record{tab.Flat(1, one), {Topic: "t", Key: tab.Flat(1, nil).Key, Value: schema.Data{Value: schema.Seq(schema.KindMap, []schema.Value{schema.Text("more"), schema.Bool(true)})}}},
			// $set puts new fields into the order of their names.
			[]string{`{"_id":{"id":` + id + `},"body":"x","id":` + id + `,"n":{"$numberInt":"1"},"name":"a","more":true}`},
			0,
		},
		"InsertOne": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy", "writemodel.strategy": writes + "InsertOneDefaultStrategy"},
			[]schema.Record{tab.Flat(1, one), tab.Flat(1, two), tab.Flat(2, one)},
			[]string{`{"_id":{"id":` + id + `},` + full("a", "1", "x"), `{"_id":{"id":{"$numberLong":"2"}},"id":{"$numberLong":"2"},"name":"a","n":{"$numberInt":"1"},"body":"x"}`},
			1,
		},
		"DeleteOne": {
			map[string]string{"document.id.strategy": strategies + "FullKeyStrategy", "writemodel.strategy": writes + "DeleteOneDefaultStrategy"},
			[]schema.Record{tab.Flat(1, one)},
			[]string{},
			0,
		},
		"Handler": {
			map[string]string{"change.data.capture.handler": rdbms},
			[]schema.Record{tab.Event(schema.OpCreate, 1, one), tab.Event(schema.OpUpdate, 1, two), tab.Event(schema.OpCreate, 2, one), tab.Event(schema.OpDelete, 2, nil), tab.Flat(2, nil)},
			[]string{`{"_id":{"id":` + id + `},"name":"b","n":{"$numberInt":"2"},"body":"y"}`},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := servers.Mongo(t)
			c.raw["connector.class"] = java
			err := open(t, srv, c.raw).Write(t.Context(), c.records)
			var some *sinks.WriteError
			if errors.As(err, &some) {
				if len(some.Failed) != c.refused {
					t.Errorf("Write: %v, want %d records refused", err, c.refused)
				}
			} else if err != nil || c.refused > 0 {
				t.Fatalf("Write: %v, want %d records refused", err, c.refused)
			}
			got := extended(t, connect(t, srv).Collection("t"))
			if name == "BusinessKeySet" {
				if len(got) != 1 || !strings.Contains(got[0], `"$oid"`) || !strings.HasSuffix(got[0], `"name":"a"}`) {
					t.Errorf("documents %s", got)
				}
				return
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("documents\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestSink_SetsTimestamps(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	tab := sinkstest.NewTable("t")
	s := open(t, srv, map[string]string{
		"connector.class": java, "document.id.strategy": strategies + "FullKeyStrategy", "writemodel.strategy": writes + "UpdateOneTimestampsStrategy",
	})
	c := connect(t, srv).Collection("t")
	for i := range 2 {
		if err := s.Write(t.Context(), []schema.Record{tab.Flat(1, &sinkstest.Row{N: int32(i)})}); err != nil {
			t.Fatal(err)
		}
	}
	d := documents(t, c)[0]
	inserted, ok1 := d["_insertedTS"].(bson.DateTime)
	modified, ok2 := d["_modifiedTS"].(bson.DateTime)
	if !ok1 || !ok2 || inserted > modified || d["n"] != int32(1) {
		t.Errorf("document %v", d)
	}
}

// TestSink_AwkwardNames has columns whose names an update would take for
// paths and operators.
func TestSink_AwkwardNames(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	s := open(t, srv, nil)
	row := &schema.Schema{Type: schema.TypeStruct, Name: "t.Value", Fields: []schema.Field{
		{Name: "id", Schema: named(schema.TypeInt32, "")}, {Name: "a.b", Schema: named(schema.TypeString, "")}, {Name: "large", Schema: named(schema.TypeString, "")},
	}}
	record := func(ab, large string) schema.Record {
		values := []schema.Value{schema.Int(1), schema.Text(ab), schema.Text(large)}
		return schema.Record{
			Topic: "t", Key: schema.Data{Value: schema.Int(1)},
			Value: schema.Data{Schema: row, Value: schema.Seq(schema.KindStruct, values)},
		}
	}
	for _, batch := range [][]schema.Record{{record("one", "text")}, {record("$two", sinks.Unavailable)}} {
		if err := s.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"_id":{"$numberLong":"1"},"id":{"$numberInt":"1"},"a.b":"$two","large":"text"}`
	if got := extended(t, connect(t, srv).Collection("t")); len(got) != 1 || got[0] != want {
		t.Errorf("documents %s, want %s", got, want)
	}
	zero := record("x", "y")
	zero.Value.Schema = &schema.Schema{Type: schema.TypeStruct, Fields: []schema.Field{
		{Name: "id", Schema: named(schema.TypeInt32, "")}, {Name: "a\x00b", Schema: named(schema.TypeString, "")}, {Name: "c", Schema: named(schema.TypeString, "")},
	}}
	if err := s.Write(t.Context(), []schema.Record{zero}); err == nil || !strings.Contains(err.Error(), "zero character") {
		t.Errorf("a name with a zero character: %v", err)
	}
}

func TestSink_NamesCollections(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	tab := sinkstest.NewTable("shop.public.items")
	for want, raw := range map[string]map[string]string{
		"shop.public.items": nil,
		"fixed":             {"collection": "fixed"},
		"items":             {"collection.name.format": "${table}"},
		"over":              {"topic.override.shop.public.items.collection": "over", "collection": "fixed2"},
	} {
		if err := open(t, srv, raw).Write(t.Context(), []schema.Record{tab.Event(schema.OpCreate, 1, &sinkstest.Row{})}); err != nil {
			t.Fatal(err)
		}
		if n := len(documents(t, connect(t, srv).Collection(want))); n != 1 {
			t.Errorf("%v: %d documents in %s", raw, n, want)
		}
	}
}

// account makes a user with a role in the test's database and returns its
// connection string; the password is sesame.
func account(t *testing.T, srv *servers.MongoServer, name, role string) string {
	t.Helper()
	db := connect(t, srv)
	command := bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: "sesame"}, {Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: role}, {Key: "db", Value: srv.Database}}}}}
	if err := db.RunCommand(t.Context(), command).Err(); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		// The database goes with the test; its users are kept elsewhere.
		if err := db.RunCommand(ctx, bson.D{{Key: "dropUser", Value: name}}).Err(); err != nil {
			t.Error(err)
		}
	})
	return "mongodb://" + name + ":sesame@" + srv.Addr() + "/?authSource=" + srv.Database
}

func TestDestination_ChecksTheServer(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	user := func(name, role string) string { return account(t, srv, name, role) }
	for _, c := range []struct{ what, uri, says string }{
		{"right", srv.URI(), ""},
		{"writer", user("writer", "readWrite"), ""},
		{"reader", user("reader", "read"), "db.grantRolesToUser"},
		{"wrong password", strings.Replace(user("other", "readWrite"), "sesame", "simsim", 1), "check user, password and authSource"},
		{"no login", "mongodb://" + srv.Addr() + "/?directConnection=true", "put user and password into connection.uri"},
		{"unreachable", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300", "check connection.uri and that the server runs"},
	} {
		problems := destination(t, srv, map[string]string{"connection.uri": c.uri}).Check(t.Context())
		if c.says == "" {
			if len(problems) > 0 {
				t.Errorf("%s: %v", c.what, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Key != "connection.uri" || !strings.Contains(problems[0].Message, c.says) ||
			strings.Contains(problems[0].Message, "sesame") || strings.Contains(problems[0].Message, "simsim") {
			t.Errorf("%s: %v, want one that says %q", c.what, problems, c.says)
		}
	}
}

func TestSink_WrongPasswordIsPermanent(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	uri := strings.Replace(srv.URI(), srv.Password, "simsim", 1)
	if _, err := destination(t, srv, map[string]string{"connection.uri": uri}).Open(t.Context()); !sinks.IsPermanent(err) || strings.Contains(err.Error(), "simsim") {
		t.Errorf("Open: %v, want a permanent error without the password", err)
	}
}

func TestConnector_RefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	with := func(more map[string]string) map[string]string {
		raw := map[string]string{"connector.class": java, "connection.uri": "mongodb://h:1", "database": "d"}
		for k, v := range more {
			raw[k] = v
		}
		return raw
	}
	for _, c := range []struct {
		raw  map[string]string
		keys string
	}{
		{with(nil), ""},
		{map[string]string{}, "connection.uri,database"},
		{with(map[string]string{"connection.uri": "postgres://u:sesame@h"}), "connection.uri"},
		{with(map[string]string{"database": "a.b"}), "database"},
		{with(map[string]string{"collection": "a$b"}), "collection"},
		{with(map[string]string{"collection": "system.users"}), "collection"},
		{with(map[string]string{"collection": strings.Repeat("x", 254)}), "collection"},
		{with(map[string]string{"collection": strings.Repeat("x", 253)}), ""},
		{with(map[string]string{"collection.name.format": ".${table}"}), "collection.name.format"},
		{with(map[string]string{"topic.override.t.collection": "a$b", "topic.override.u.database": "a b"}), "topic.override.u.database,topic.override.t.collection"},
		{with(map[string]string{"change.data.capture.handler": "x.MongoDbHandler"}), "change.data.capture.handler"},
		{with(map[string]string{"document.id.strategy": strategies + "PartialKeyStrategy"}), "document.id.strategy.partial.key.projection.list"},
		{with(map[string]string{"document.id.strategy": "NoStrategy"}), "document.id.strategy"},
		{with(map[string]string{"delete.on.null.values": "true"}), "delete.on.null.values"},
		{with(map[string]string{"writemodel.strategy": writes + "ReplaceOneBusinessKeyStrategy"}), "writemodel.strategy"},
		{with(map[string]string{"post.processor.chain": "x.RenameByRegex"}), "post.processor.chain"},
		{with(map[string]string{"topic.override.t.max.batch.size": "3"}), "topic.override.t.max.batch.size"},
		{with(map[string]string{"rate.limiting.timeout": "3"}), "rate.limiting.timeout"},
		{with(map[string]string{"change.data.capture.handler": rdbms, "document.id.strategy": strategies + "UuidStrategy"}), "document.id.strategy"},
	} {
		v, problems := mongodb.Connector().Settings.Parse(c.raw)
		if problems.Err() == nil {
			var more settings.Problems
			_, more = mongodb.Connector().New(v, sinks.Env{})
			problems = append(problems, more...)
		}
		var keys []string
		for _, p := range problems {
			keys = append(keys, p.Key)
			if strings.Contains(p.Message, "sesame") {
				t.Errorf("%v shows the password", p)
			}
		}
		if strings.Join(keys, ",") != c.keys {
			t.Errorf("%v: problems at %v (%v), want at %s", c.raw, keys, problems, c.keys)
		}
	}
}
