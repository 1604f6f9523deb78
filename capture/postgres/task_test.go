package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// forgetful are offsets of a task that starts for the first time.
type forgetful struct{}

func (forgetful) Load(context.Context) (schema.Position, error) { return nil, nil }
func (forgetful) Save(context.Context, schema.Position) error   { return nil }

// task is a task that streams from the current position on to a Kafka of its
// own.
func (b *bundle) task(topics ...string) (*capture.Task, *kfake.Cluster) {
	b.t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerLinger(0))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	keys, err := capture.ParseKeyColumns(b.raw["message.key.columns"])
	if err != nil {
		b.t.Fatal(err)
	}
	plain := converters.NewJSON(converters.JSONConfig{})
	return &capture.Task{
		Name: "x", Offsets: forgetful{}, Kafka: client, Logger: slog.New(slog.DiscardHandler), DrainWithin: 100 * time.Millisecond,
		Shape: capture.Shape{
			Naming: capture.Naming{Prefix: "shop", Delimiter: "."}, Tombstones: true, Keys: keys,
			Key: plain, Value: plain, KeyHeader: plain,
		},
		Open: func(ctx context.Context, _ schema.Position) (capture.Source, error) {
			from, err := b.db.Now(ctx)
			if err != nil {
				return nil, err
			}
			return b.db.Open(ctx, from)
		},
	}, cluster
}

// TestTask_MakesNoKeyUp deletes a row whose key by message.key.columns the log
// does not have.
func TestTask_MakesNoKeyUp(t *testing.T) {
	t.Parallel()
	for name, identity := range map[string]string{"default": "DEFAULT", "index": "USING INDEX t_u_key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t), "message.key.columns", `public\.t:v`)
			b.exec(`CREATE TABLE t (id int PRIMARY KEY, u text NOT NULL UNIQUE, v int NOT NULL)`, `ALTER TABLE t REPLICA IDENTITY `+identity)
			if _, err := b.db.Now(t.Context()); err != nil { // which makes the slot
				t.Fatal(err)
			}
			b.exec(`INSERT INTO t VALUES (1, 'a', 5)`, `DELETE FROM t`)
			task, _ := b.task("shop.public.t")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := task.Run(ctx)
			if !capture.IsPermanent(err) || !strings.Contains(err.Error(), `ALTER TABLE "public"."t" REPLICA IDENTITY FULL`) || !strings.Contains(err.Error(), "column v") {
				t.Errorf("got %v", err)
			}
		})
	}
}
