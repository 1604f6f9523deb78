package worker

import (
	"context"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/worker/supervisor"
)

// journal is a capture.Journal in a Kafka topic of one partition that keeps
// its records for ever, as Debezium keeps its schema history.
type journal struct {
	client *kgo.Client
	topic  string
	log    *kafka.Log
}

// openJournal opens a journal and creates its topic if it is missing. client
// are Kafka client settings that differ from the worker's.
func openJournal(ctx context.Context, clients supervisor.Clients, topic string, client map[string]string) (capture.Journal, error) {
	overrides := map[string]string{}
	for k, v := range client {
		overrides[supervisor.Producer+".override."+k] = v
	}
	cfg, err := clients.Config(supervisor.Producer, nil, overrides, nil)
	if err != nil {
		return nil, capture.Permanent(fmt.Errorf("open topic %s: %w", topic, err))
	}
	// A few small records that are waited for, each needed to read the next.
	cl, err := kafka.NewProducer(ctx, cfg, kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return nil, fmt.Errorf("open topic %s: %w", topic, err)
	}
	spec := kafka.TopicSpec{
		Name: topic, Partitions: 1, Replication: -1, MustHavePartitions: 1,
		Configs: maps.Clone(forEver),
	}
	if _, err := kafka.EnsureTopics(ctx, cl, spec); err != nil {
		cl.Close()
		return nil, fmt.Errorf("open topic %s: %w", topic, err)
	}
	return &journal{client: cl, topic: topic, log: kafka.NewLog(cl, topic)}, nil
}

var forEver = map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}

// Append implements capture.Journal.
func (j *journal) Append(ctx context.Context, records ...[]byte) error {
	list := make([]*kgo.Record, len(records))
	for i, r := range records {
		list[i] = &kgo.Record{Topic: j.topic, Partition: 0, Value: r}
	}
	err := j.client.ProduceSync(ctx, list...).FirstErr()
	if err != nil {
		return fmt.Errorf("append to topic %s: %w", j.topic, err)
	}
	return nil
}

// Replay implements capture.Journal.
func (j *journal) Replay(ctx context.Context, f func(record []byte) error) error {
	j.log = kafka.NewLog(j.client, j.topic) // from the first record again
	return j.log.ReadToEnd(ctx, func(r *kgo.Record) error { return f(r.Value) })
}

// Close implements capture.Journal.
func (j *journal) Close() error {
	j.client.Close()
	return nil
}
