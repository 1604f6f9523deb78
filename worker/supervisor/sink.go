package supervisor

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/sinks"
)

// sink runs the task of a sink connector once.
func (t *task) sink(ctx context.Context) error {
	s, p := t.actor.s, t.plan
	consumer, err := s.Clients.Config(Consumer, sinks.ConsumerDefaults(), p.Resolved, map[string]string{
		"client.id": "connector-consumer-" + taskLabel(t.actor.name, t.id),
		"group.id":  sinks.Group(t.actor.name),
	})
	if err != nil {
		return sinks.Permanent(err)
	}
	producer, err := s.Clients.Config(Producer, nil, p.Resolved, map[string]string{
		"client.id": "connector-dlq-producer-" + taskLabel(t.actor.name, t.id),
	})
	if err != nil {
		return sinks.Permanent(err)
	}
	failures := sinks.ParseErrors(p.Common)
	if !p.Common.IsSet("errors.deadletterqueue.topic.replication.factor") && slices.Equal(producer.BootstrapServers, []string{s.Clients.Embedded}) {
		failures.DLQReplication = 1 // the embedded broker is alone
	}
	run := sinks.Task{
		Connector:   t.actor.name,
		ID:          t.id,
		Topics:      p.Common.List("topics"),
		TopicsRegex: p.Common.String("topics.regex"),
		Destination: p.Destination,
		Key:         p.Key,
		Value:       p.Value,
		Header:      p.Header,
		Classes:     p.Classes,
		Errors:      failures,
		Consumer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewConsumer(ctx, consumer, append(opts, kgo.WithHooks(t.wire()))...)
		},
		Producer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewProducer(ctx, producer, opts...)
		},
		MaxRecords:     consumer.Consumer.MaxPollRecords,
		CommitInterval: s.commitInterval(),
		StopTimeout:    s.graceful(),
		Stats:          &t.stats.Sink,
		Waiting:        t.waitFor,
		Logger:         t.logger(),
	}
	return run.Run(ctx)
}

// maxCommitInterval bounds what a sink repeats after a kill, where the worker
// leaves offset.flush.interval.ms at Kafka Connect's minute.
const maxCommitInterval = 5 * time.Second

func (s *Supervisor) commitInterval() time.Duration {
	every := s.Worker.Millis("offset.flush.interval.ms")
	if !s.Worker.IsSet("offset.flush.interval.ms") {
		return min(every, maxCommitInterval)
	}
	return every
}
