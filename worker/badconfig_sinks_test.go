package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/worker"
)

// TestBadConfiguration_Sinks has each mistake in a sink's configuration
// explained where people meet it, as TestBadConfiguration has those in a
// source's. What only a record shows is shown by one.
func TestBadConfiguration_Sinks(t *testing.T) {
	t.Parallel()
	var cases []badConfiguration
	cases = append(cases, badMongo(t)...)
	cases = append(cases, badElasticsearch(t)...)
	cases = append(cases, badSinks(t)...)
	env := []string{}
	for _, c := range cases {
		env = append(env, declare(t, c.name, c.config))
	}
	w := startWorker(t, env...)
	if _, err := kadm.NewClient(w.kafka).CreateTopic(t.Context(), 1, 1, nil, "in"); err != nil {
		t.Fatal(err)
	}
	row := &kgo.Record{Topic: "in", Key: []byte(`{"id":1}`), Value: []byte(`{"id":1,"name":"canary-4711"}`)}
	if err := w.kafka.ProduceSync(t.Context(), row).FirstErr(); err != nil {
		t.Fatal(err)
	}
	reports, err := worker.Check(t.Context(), worker.Options{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"canary-4711", "sesame", "mellon"}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprint(reports), secret) {
			t.Errorf("check shows %q", secret)
		}
	}
	t.Cleanup(func() { // when the parallel tests have ended
		for _, secret := range secrets {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log shows %q", secret)
			}
		}
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(reports, func(r worker.Report) bool { return r.Name == c.name })
			if i < 0 {
				t.Fatal("check says nothing about it")
			}
			found := reports[i].Errors
			if c.warning {
				found = reports[i].Warnings
			}
			c.explained(t, "check", strings.Join(found, "\n"))
			if len(found) != 1 {
				t.Errorf("one mistake gives %d messages:\n%s", len(found), strings.Join(found, "\n"))
			}
			c.validated(t, w)
			c.started(t, w)
		})
	}
}

// TestBadConfiguration_Topics has the two settings of which a sink needs one.
// As in Kafka Connect both are marked.
func TestBadConfiguration_Topics(t *testing.T) {
	t.Parallel()
	both := "topics and topics.regex are mutually exclusive options, but both are set."
	neither := "Must configure one of topics or topics.regex"
	base := map[string]string{"connector.class": "file-sink", "file": t.TempDir() + "/out"}
	cases := map[string]map[string]string{both: with(base, "topics", "a", "topics.regex", "b.*"), neither: base}
	names := map[string]string{both: "both", neither: "neither"}
	var env []string
	for want, config := range cases {
		env = append(env, declare(t, names[want], config))
	}
	w := startWorker(t, env...)
	reports, err := worker.Check(t.Context(), worker.Options{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	for want, config := range cases {
		i := slices.IndexFunc(reports, func(r worker.Report) bool { return r.Name == names[want] })
		if i < 0 || !slices.Equal(reports[i].Errors, []string{want, want}) {
			t.Errorf("check says %q, want %q twice", reports, want)
		}
		config = maps.Clone(config)
		config["name"] = names[want]
		var v struct {
			ErrorCount int `json:"error_count"`
		}
		if err := json.Unmarshal(w.request(t, http.MethodPut, "/connector-plugins/file-sink/config/validate", config, http.StatusOK), &v); err != nil || v.ErrorCount != 2 {
			t.Errorf("%s: validation counts %d errors, want one at each setting: %v", names[want], v.ErrorCount, err)
		}
		eventually(t, w, "the failure", func() bool {
			state, trace, _ := w.stateOf(t, names[want])
			return state == "FAILED" && strings.Contains(trace, want)
		})
	}
}

func badMongo(t *testing.T) []badConfiguration {
	srv := servers.Mongo(t)
	ctx := context.WithoutCancel(t.Context())
	client, err := mongo.Connect(options.Client().ApplyURI(srv.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	db := client.Database(srv.Database)
	role := bson.D{{Key: "role", Value: "read"}, {Key: "db", Value: srv.Database}}
	if err := db.RunCommand(ctx, bson.D{{Key: "createUser", Value: "reader"}, {Key: "pwd", Value: "sesame"}, {Key: "roles", Value: bson.A{role}}}).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.RunCommand(ctx, bson.D{{Key: "dropUser", Value: "reader"}}).Err(); err != nil {
			t.Error(err)
		}
	})
	reader := "mongodb://reader:sesame@" + srv.Addr() + "/?authSource=" + srv.Database
	base := map[string]string{
		"connector.class": "mongodb-sink", "topics": "in", "connection.uri": srv.URI(), "database": srv.Database,
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	return []badConfiguration{
		{name: "mg-password", config: with(base, "connection.uri", strings.Replace(reader, "sesame", "wrong-sesame", 1)), says: []string{"user, password and authSource in connection.uri"}},
		{name: "mg-privilege", config: with(base, "connection.uri", reader), says: []string{"connection.uri", "readWrite", srv.Database}},
		{name: "mg-host", config: with(base, "connection.uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"), says: []string{"127.0.0.1:1", "check connection.uri and that the server runs"}, passes: true},
		{name: "mg-name", config: with(base, "connection.uri", "mongodb://nobody.invalid/?serverSelectionTimeoutMS=300"), says: []string{"nobody.invalid", "check connection.uri and that the server runs"}, passes: true},
		{name: "mg-uri", config: with(base, "connection.uri", "postgres://user:sesame@host/"), says: []string{"connection.uri", "mongodb://"}},
		{name: "mg-concern", config: with(base, "connection.uri", srv.URI()+"&w=2"), says: []string{"w in connection.uri"}, passes: true},
		{name: "mg-misspelt", config: with(base, "database", "-", "databse", "x"), says: []string{`"database"`, `"databse"`}},
		{name: "mg-unknown", config: with(base, "colection", "x"), says: []string{`did you mean "collection"`}, warning: true},
		{name: "mg-database", config: with(base, "database", "a.b"), says: []string{"a.b", "database", "1 to 63 characters"}},
		{name: "mg-collection", config: with(base, "collection", "a$b"), says: []string{"a$b", "collection", "no $"}},
		{name: "mg-format", config: with(base, "collection.name.format", "${tabel}"), says: []string{"${tabel}", "collection.name.format", "no $"}},
		{name: "mg-strategy", config: with(base, "writemodel.strategy", "UpsertStrategy"), says: []string{"UpsertStrategy", "writemodel.strategy", "ReplaceOneDefaultStrategy"}},
		{name: "mg-handler", config: with(base, "change.data.capture.handler", "OracleHandler"), says: []string{"OracleHandler", "change.data.capture.handler", "PostgresHandler"}},
	}
}

func badElasticsearch(t *testing.T) []badConfiguration {
	srv := servers.Elasticsearch(t, servers.ElasticsearchAccounts())
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	t.Cleanup(other.Close)
	base := map[string]string{
		"connector.class": "elasticsearch-sink", "topics": "in", "index.name": srv.Index("in"),
		"connection.url": "http://" + srv.Addr(), "connection.username": "writer", "connection.password": "sesame",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	return []badConfiguration{
		{name: "es-password", config: with(base, "connection.password", "wrong-sesame"), says: []string{"unable to authenticate user [writer]", "connection.password"}},
		{name: "es-nobody", config: with(base, "connection.username", "-", "connection.password", "-"), says: []string{"missing authentication", "connection.username"}},
		{name: "es-privilege", config: with(base, "connection.username", "reader"), says: []string{"privileges create_index", "user"}},
		{name: "es-host", config: with(base, "connection.url", "http://127.0.0.1:1"), says: []string{"http://127.0.0.1:1", "check connection.url and that the server runs"}, passes: true},
		{name: "es-name", config: with(base, "connection.url", "http://nobody.invalid:9200"), says: []string{"nobody.invalid", "check connection.url and that the server runs"}, passes: true},
		{name: "es-url", config: with(base, "connection.url", "127.0.0.1:9200"), says: []string{"127.0.0.1:9200", "connection.url", "http://host:9200"}},
		{name: "es-login", config: with(base, "connection.url", "http://writer:mellon-in-a-url@127.0.0.1:9200"), says: []string{"connection.url", "connection.username and connection.password"}},
		{name: "es-reference", config: with(base, "connection.url", "http://writer:mellon@${env:NO_HOST}:9200"), says: []string{"connection.url", "NO_HOST"}},
		{name: "es-other", config: with(base, "connection.url", other.URL), says: []string{"not Elasticsearch", "connection.url"}},
		{name: "es-misspelt", config: with(base, "connection.url", "-", "connection.urls", "http://x:1"), says: []string{`"connection.url"`, `"connection.urls"`}},
		{name: "es-unknown", config: with(base, "key.ignor", "true"), says: []string{`did you mean "key.ignore"`}, warning: true},
		{name: "es-index", config: with(base, "index.name", "a b"), says: []string{"a b", "index.name", "no space"}},
		{name: "es-missing", config: with(base, "external.resource.usage", "INDEX", "topic.to.external.resource.mapping", "in:"+srv.Index("nowhere")), says: []string{srv.Index("nowhere"), "topic.to.external.resource.mapping"}},
		{name: "es-method", config: with(base, "write.method", "replace"), says: []string{"replace", "write.method", "insert, upsert"}},
		{name: "es-null", config: with(base, "behavior.on.null.values", "skip"), says: []string{"skip", "behavior.on.null.values", "ignore, delete, fail"}},
	}
}

// badSinks are mistakes in what all sinks have.
func badSinks(t *testing.T) []badConfiguration {
	base := map[string]string{
		"connector.class": "file-sink", "topics": "in", "file": t.TempDir() + "/out", "errors.tolerance": "all",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
	}
	const dlq = "errors.deadletterqueue.topic.name"
	return []badConfiguration{
		{name: "dlq-consumed", config: with(base, dlq, "in"), says: []string{"The DLQ topic 'in' may not be included in the list of topics"}},
		{name: "dlq-matched", config: with(base, "topics", "-", "topics.regex", "in.*", dlq, "in-dlq"), says: []string{"The DLQ topic 'in-dlq' may not be included in the regex matching topics"}},
		{name: "dlq-name", config: with(base, dlq, "in dlq"), says: []string{"in dlq", dlq, "letters, digits"}},
		{name: "dlq-unused", config: with(base, dlq, "letters", "errors.tolerance", "none"), says: []string{dlq, "set errors.tolerance=all"}, warning: true},
		{name: "topic-name", config: with(base, "topics", "in*"), says: []string{"in*", "topics", "topics.regex"}},
		{name: "regex", config: with(base, "topics", "-", "topics.regex", "(in"), says: []string{"(in", "topics.regex", "Invalid regex"}},
		{name: "tolerance", config: with(base, "errors.tolerance", "some"), says: []string{"some", "errors.tolerance", "none, all"}},
		{name: "session", config: with(base, "consumer.override.session.timeout.ms", "soon"), says: []string{"soon", "session.timeout.ms"}},
	}
}
