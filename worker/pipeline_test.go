package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
)

// TestPipeline_MySQLToMongoDB mirrors a table, declared by environment
// variables alone.
func TestPipeline_MySQLToMongoDB(t *testing.T) {
	t.Parallel()
	db, store := servers.MySQL(t), servers.Mongo(t)
	db.MustExec(
		t, "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50), balance DECIMAL(10,2))",
		"INSERT INTO customers VALUES (1, 'Ada', 10.50), (2, 'Bob', 20.00), (3, 'Cyd', NULL)",
	)
	w := startWorker(
		t,
		"PENSTOCK_CONNECTOR_SHOP__CONNECTOR_CLASS=mysql",
		"PENSTOCK_CONNECTOR_SHOP__DATABASE_HOSTNAME="+db.Host, "PENSTOCK_CONNECTOR_SHOP__DATABASE_PORT="+fmt.Sprint(db.Port),
		"PENSTOCK_CONNECTOR_SHOP__DATABASE_USER="+db.User, "PENSTOCK_CONNECTOR_SHOP__DATABASE_PASSWORD="+db.Password,
		"PENSTOCK_CONNECTOR_SHOP__DATABASE_SERVER_ID=7301", "PENSTOCK_CONNECTOR_SHOP__TOPIC_PREFIX=shop",
		"PENSTOCK_CONNECTOR_SHOP__DATABASE_INCLUDE_LIST="+db.Database, "PENSTOCK_CONNECTOR_SHOP__SCHEMA_HISTORY_INTERNAL_KAFKA_TOPIC=shop.history",
		"PENSTOCK_CONNECTOR_MIRROR__CONNECTOR_CLASS=mongodb-sink", "PENSTOCK_CONNECTOR_MIRROR__TOPICS=shop."+db.Database+".customers",
		"PENSTOCK_CONNECTOR_MIRROR__CONNECTION_URI="+store.URI(), "PENSTOCK_CONNECTOR_MIRROR__DATABASE="+store.Database,
		"PENSTOCK_CONNECTOR_MIRROR__COLLECTION=customers",
	)
	client, err := mongo.Connect(options.Client().ApplyURI(store.URI()))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	names := func() string {
		cursor, err := client.Database(store.Database).Collection("customers").Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "name", Value: 1}}))
		if err != nil {
			t.Fatal(err)
		}
		var docs []struct{ Name string }
		if err := cursor.All(ctx, &docs); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range docs {
			out = append(out, d.Name)
		}
		return strings.Join(out, " ")
	}
	eventually(t, w, "the rows are copied", func() bool { return names() == "Ada Bob Cyd" })
	db.MustExec(t, "UPDATE customers SET name = 'Zoe' WHERE id = 1", "DELETE FROM customers WHERE id = 2", "INSERT INTO customers VALUES (4, 'Dan', 1)")
	eventually(t, w, "the changes are copied", func() bool { return names() == "Cyd Dan Zoe" })
	for _, part := range []string{
		`penstock_source_events_total{connector="shop",task="0"} `, `penstock_sink_records_applied_total{connector="mirror",task="0"} `,
		`penstock_snapshot_rows{connector="shop",task="0"} 3`, `debezium_metrics_SnapshotCompleted{context="snapshot",name="shop",plugin="mysql",task="0"} 1`,
		`debezium_metrics_Connected{context="streaming",name="shop",plugin="mysql",task="0"} 1`, `penstock_sink_records_dead_lettered_total{connector="mirror",task="0"} 0`,
		`penstock_sink_latency_seconds_bucket{connector="mirror",task="0",le="+Inf"} 7`, `penstock_sink_write_seconds_count{connector="mirror",task="0"} `,
	} {
		eventually(t, w, "the metrics have "+part, func() bool {
			return strings.Contains(string(w.request(t, http.MethodGet, "/metrics", nil, 200)), part)
		})
	}
}

// TestPipeline_PostgresToElasticsearch makes a table searchable, over REST,
// with the Java names of the connectors.
func TestPipeline_PostgresToElasticsearch(t *testing.T) {
	t.Parallel()
	db, store := servers.Postgres(t), servers.Elasticsearch(t)
	db.MustExec(t, "CREATE TABLE reviews (id int PRIMARY KEY, text text)", "INSERT INTO reviews VALUES (1, 'a fine kettle'), (2, 'a poor pan')")
	w := startWorker(t)
	prefix := store.Prefix
	slot := strings.ReplaceAll(db.Database[len(db.Database)-8:], "-", "_") + "_es"
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "reviews", "config": map[string]any{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": db.Host, "database.port": db.Port,
		"database.user": db.User, "database.password": db.Password, "database.dbname": db.Database, "topic.prefix": prefix,
		"plugin.name": "pgoutput", "slot.name": slot, "publication.name": slot, "publication.autocreate.mode": "filtered",
		"table.include.list": "public.reviews", "slot.drop.on.stop": true,
	}}, 201)
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "search", "config": map[string]any{
		"connector.class": "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", "connection.url": store.URL(),
		"topics": prefix + ".public.reviews", "key.ignore": false, "behavior.on.null.values": "delete",
	}}, 201)
	find := func(word string) int {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		url := store.URL() + "/" + prefix + "*/_search?ignore_unavailable=true&q=" + word
		for _, u := range []string{store.URL() + "/" + prefix + "*/_refresh?ignore_unavailable=true", url} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close() // it has been read
			if err != nil {
				t.Fatal(err)
			}
			if u != url {
				continue
			}
			var found struct {
				Hits struct{ Hits []any }
			}
			if err := json.Unmarshal(body, &found); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			return len(found.Hits.Hits)
		}
		return 0
	}
	eventually(t, w, "the rows are found", func() bool { return find("kettle") == 1 && find("pan") == 1 })
	db.MustExec(t, "UPDATE reviews SET text = 'a fine teapot' WHERE id = 1", "DELETE FROM reviews WHERE id = 2")
	eventually(t, w, "the changes are found", func() bool { return find("teapot") == 1 && find("kettle") == 0 && find("pan") == 0 })

	// The events are Debezium's, headers included.
	var headers []string
	var op string
	cl := newClient(t, w.bootstrap)
	defer cl.Close()
	err := kafka.NewLog(cl, prefix+".public.reviews").ReadToEnd(t.Context(), func(r *kgo.Record) error {
		if r.Value == nil {
			return nil
		}
		var v struct {
			Payload struct{ Op string }
		}
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return err
		}
		op += v.Payload.Op
		headers = nil
		for _, h := range r.Headers {
			headers = append(headers, h.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if op != "rrud" {
		t.Errorf("the operations are %s", op)
	}
	want := "__debezium.context.connectorLogicalName __debezium.context.taskId __debezium.context.connectorName __debezium.context.runId"
	if got := strings.Join(headers, " "); got != want {
		t.Errorf("the headers are %s", got)
	}
	if n := slots(t, db, slot); n != 1 {
		t.Errorf("there are %d slots %s while the connector runs", n, slot)
	}
	w.request(t, http.MethodDelete, "/connectors/reviews", nil, 204)
	eventually(t, w, "the slot is dropped with the connector", func() bool { return slots(t, db, slot) == 0 })
	w.request(t, http.MethodGet, "/connectors/reviews", nil, 404)
}

// slots counts the replication slots of a name.
func slots(t *testing.T, db *servers.PostgresServer, name string) (n int) {
	t.Helper()
	ctx := t.Context()
	c, err := pgx.Connect(ctx, db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // it was only read
	if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
