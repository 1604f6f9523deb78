package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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

// stall has the broker answer no produce request until release is closed.
func stall(c *kfake.Cluster, release <-chan struct{}) {
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
}

// TestTask_StaysAliveWhileKafkaDoesNotAnswer: the server of an impatient
// database hears of a source that cannot hand on what it has read, whether or
// not a position was ever saved.
func TestTask_StaysAliveWhileKafkaDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, saved := range map[string]bool{"at the first start": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t))
			b.exec(`CREATE TABLE t (id int PRIMARY KEY)`, `ALTER DATABASE "`+b.server.Database+`" SET wal_sender_timeout = '1s'`)
			task, cluster := b.task("shop.public.t")
			task.Batches, task.Events, task.SaveEvery = 2, 1, time.Millisecond
			release, first := make(chan struct{}), make(chan struct{}, 1)
			task.Observer.Saved = func(schema.Position) {
				select {
				case first <- struct{}{}:
				default:
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ended := make(chan error, 1)
			if !saved {
				stall(cluster, release)
			}
			go func() { ended <- task.Run(ctx) }()
			pid := ""
			for pid == "" {
				pid = b.walsender()
			}
			b.exec(`INSERT INTO t VALUES (1)`)
			if saved {
				<-first
				stall(cluster, release)
			}
			b.exec(`INSERT INTO t SELECT generate_series(2, 20)`)
			before := ""
			for begun := time.Now(); time.Since(begun) < 4*time.Second; {
				select {
				case err := <-ended:
					t.Fatalf("the task ended after %s: %v", time.Since(begun), err)
				case <-time.After(100 * time.Millisecond):
				}
				if now := b.walsender(); now != pid {
					t.Fatalf("the server has ended the connection after %s: process %q was %s", time.Since(begun), now, pid)
				}
				if now := b.confirmed(); before == "" || saved {
					before = now
				} else if now != before {
					t.Fatalf("%s was confirmed, and nothing is saved", now)
				}
			}
			close(release)
			b.wantRecords(cluster, "shop.public.t", 20)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// walsender returns the process that sends the slot's log, or nothing.
func (b *bundle) walsender() string {
	b.t.Helper()
	return b.scalar(`
SELECT coalesce(max(r.pid)::text, '') FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
WHERE s.slot_name = '` + b.raw["slot.name"] + `' AND r.state IN ('catchup', 'streaming')`)
}

// wantRecords waits until a topic has n records.
func (b *bundle) wantRecords(c *kfake.Cluster, topic string, n int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	for got := 0; got < n; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%d of %d records arrived", got, n)
		}
		got += fetches.NumRecords()
	}
}
