package mongodb_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/mongodb"
	"github.com/penstock/penstock/sinks/sinkstest"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// destination returns a destination in the test's database; raw goes over the
// least that is needed.
func destination(t *testing.T, srv *servers.MongoServer, raw map[string]string) sinks.Destination {
	t.Helper()
	cfg := map[string]string{"connector.class": "mongodb-sink", "connection.uri": srv.URI(), "database": srv.Database}
	maps.Copy(cfg, raw)
	c := mongodb.Connector()
	v, problems := c.Settings.Parse(cfg)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d, problems := c.New(v, sinks.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

// open opens a sink on a fresh database.
func open(t *testing.T, srv *servers.MongoServer, raw map[string]string) sinks.Sink {
	t.Helper()
	d := destination(t, srv, raw)
	s, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, srv *servers.MongoServer) *mongo.Database {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(srv.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return client.Database(srv.Database)
}

func documents(t *testing.T, c *mongo.Collection) []bson.M {
	t.Helper()
	cursor, err := c.Find(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var docs []bson.M
	if err := cursor.All(t.Context(), &docs); err != nil {
		t.Fatal(err)
	}
	return docs
}

func TestSink_Conforms(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]map[string]string{
		"Default":      nil,
		"Ordered":      {"bulk.write.ordered": "true"},
		"SmallBatches": {"max.batch.size": "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinkstest.Run(t, func(t *testing.T) sinkstest.Target {
				srv := servers.Mongo(t)
				c := connect(t, srv).Collection("shop.t")
				return sinkstest.Target{
					Topic: "shop.t", Sink: open(t, srv, raw), Truncates: true,
					Poison: func() sinkstest.Row { return sinkstest.Row{Name: "huge", Body: strings.Repeat("x", 17<<20)} },
					Contents: func(t *testing.T) map[int64]map[string]string {
						rows := map[int64]map[string]string{}
						for _, d := range documents(t, c) {
							id := d["_id"].(int64)
							fields := map[string]string{}
							for k, v := range d {
								if k != "_id" {
									fields[k] = fmt.Sprint(v)
								}
							}
							rows[id] = fields
						}
						return rows
					},
				}
			})
		})
	}
}
