package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/snapshot"
)

// leastBuffered is how many records a source's producer may buffer at least:
// all that are in the batches on their way.
const leastBuffered = 50_000

// source runs the task of a source connector once.
func (t *task) source(ctx context.Context) error {
	s, p := t.actor.s, t.plan
	shape, err := t.shape()
	if err != nil {
		return capture.Permanent(err)
	}
	cfg, err := s.Clients.Config(Producer, capture.ProducerDefaults(), p.Resolved, map[string]string{
		"client.id": "connector-producer-" + taskLabel(t.actor.name, t.id),
	})
	if err != nil {
		return capture.Permanent(err)
	}
	cfg.Producer.MaxBufferedRecords = max(cfg.Producer.MaxBufferedRecords, leastBuffered)
	client, err := kafka.NewProducer(ctx, cfg, kgo.WithHooks(t.wire()))
	if err != nil {
		return fmt.Errorf("reach Kafka: %w", err)
	}
	defer client.Close()
	shape.Topic = t.topicMaker(client)

	graceful := s.graceful()
	run := capture.Task{
		Name:    t.actor.name,
		Open:    t.opener(),
		Offsets: savedOffsets{s.Store, t.actor.name, []byte(p.Database.Partition())},
		Kafka:   client,
		Shape:   shape,
		Logger:  t.logger(),
		Observer: capture.Observer{
			Read: func(events int, behind time.Duration) {
				t.stats.read(events, behind)
				if events > 0 {
					t.waitFor(nil)
				}
			},
			Acked: t.stats.acked,
			Saved: func(schema.Position) {
				t.stats.Saved.Add(1)
				t.waitFor(nil)
			},
		},
		HeartbeatEvery:  millis(p.Own, p.Plugin.Settings, "heartbeat.interval.ms"),
		HeartbeatAction: t.heartbeatAction(),
		DrainWithin:     max(graceful-graceful/5, time.Millisecond),
	}
	return run.Run(ctx)
}

// heartbeatAction is heartbeat.action.query, nil without.
func (t *task) heartbeatAction() func(context.Context) error {
	p := t.plan
	database, ok := p.Database.(capture.Executor)
	if _, defined := p.Plugin.Settings.Lookup("heartbeat.action.query"); !ok || !defined || !p.Own.IsSet("heartbeat.action.query") {
		return nil
	}
	query := p.Own.String("heartbeat.action.query")
	return func(ctx context.Context) error { return database.Execute(ctx, query) }
}

// opener opens the log, after a snapshot where the connector has that.
func (t *task) opener() capture.Opener {
	p := t.plan
	if _, ok := p.Plugin.Settings.Lookup("snapshot.mode"); !ok {
		return snapshot.Wrap(p.Database, snapshot.Config{Name: t.actor.name, Mode: snapshot.NoData, Logger: t.classLogger()})
	}
	c := snapshot.Configured(p.Own)
	c.Name, c.Logger = t.actor.name, t.classLogger()
	c.Progress = func(progress snapshot.Progress) {
		t.stats.Snapshot.Store(&progress)
		t.waitFor(nil)
		t.actor.s.Progress(t.actor.name, progress)
	}
	return snapshot.Wrap(p.Database, c)
}

// shape reads how events become records. A connector that does not define
// Debezium's settings for that makes records itself.
func (t *task) shape() (capture.Shape, error) {
	p := t.plan
	v, set := p.Own, p.Plugin.Settings
	text := func(key string) string {
		if _, ok := set.Lookup(key); !ok {
			return p.Resolved[key]
		}
		return v.String(key)
	}
	shape := capture.Shape{
		Key: p.Key, Value: p.Value, KeyHeader: converters.NewJSON(converters.JSONConfig{}),
		Naming: capture.Naming{
			Prefix: text("topic.prefix"), Delimiter: orDefault(text("topic.delimiter"), "."),
			Schemas: text("schema.name.adjustment.mode"), Fields: text("field.name.adjustment.mode"),
			Heartbeat: text("topic.heartbeat.name"), HeartbeatPrefix: text("heartbeat.topics.prefix"),
		},
	}
	if _, ok := set.Lookup("topic.prefix"); !ok {
		return shape, nil
	}
	shape.Tombstones = v.Bool("tombstones.on.delete")
	if v.Bool("provide.transaction.metadata") {
		shape.Transactions = shape.Naming.Topic(v.String("topic.transaction"))
	}
	for _, op := range v.List("skipped.operations") {
		if op != "none" {
			shape.Skip = append(shape.Skip, schema.Op(op[0]))
		}
	}
	var err error
	if shape.Keys, err = capture.ParseKeyColumns(v.String("message.key.columns")); err != nil {
		return shape, fmt.Errorf("Invalid value %s for configuration message.key.columns: %w", v.String("message.key.columns"), err) //nolint:staticcheck // Kafka's sentence
	}
	var problems settings.Problems
	if shape.Columns, problems = capture.ParseColumnRules(p.Resolved); problems.Err() != nil {
		return shape, problems.Err()
	}
	shape.SkipUnchanged = v.Bool("skip.messages.without.change")
	if v.Bool("extended.headers.enabled") {
		shape.Headers = contextHeaders(v.String("topic.prefix"), t.id, debeziumName(p.Plugin.Name))
	}
	return shape, nil
}

// debeziumName is what Debezium calls the connector of a short name.
func debeziumName(name string) string {
	if name == "postgres" {
		return "postgresql"
	}
	return name
}

func orDefault(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

func millis(v settings.Values, set *settings.Set, key string) time.Duration {
	if _, ok := set.Lookup(key); !ok {
		return 0
	}
	return v.Millis(key)
}

// topicMaker returns what makes sure of a topic before its first record, and
// takes note that the connector uses it.
func (t *task) topicMaker(client *kgo.Client) func(context.Context, string) error {
	return func(ctx context.Context, topic string) error {
		if t.actor.s.Worker.Bool("topic.creation.enable") {
			if _, err := kafka.EnsureTopics(ctx, client, t.plan.Creation.Spec(topic)); err != nil {
				return err
			}
		}
		return nil
	}
}

// wire returns the hooks that count for the task.
func (t *task) wire() wire {
	s := t.actor.s
	if !s.Worker.Bool("topic.tracking.enable") {
		return wire{t.stats, func(string) {}}
	}
	return wire{t.stats, func(topic string) { s.StatusLog.UsesTopic(t.actor.name, t.id, topic) }}
}

// savedOffsets are the offsets of one source partition.
type savedOffsets struct {
	store     offsets.Store
	connector string
	partition []byte
}

// Load returns the saved position.
func (o savedOffsets) Load(ctx context.Context) (schema.Position, error) {
	return o.store.Load(ctx, o.connector, o.partition)
}

// Save saves a position.
func (o savedOffsets) Save(ctx context.Context, p schema.Position) error {
	return o.store.Save(ctx, o.connector, o.partition, p)
}
