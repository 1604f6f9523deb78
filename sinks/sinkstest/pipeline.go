package sinkstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/sinks"
)

// Patience is how long a test waits for what has to come.
const Patience = 60 * time.Second

// Pipeline is a topic in a Kafka and a connector that reads it.
type Pipeline struct {
	// Name is the connector's, Topic the topic's.
	Name, Topic string
	// Client may be used to write and to administer; partitions are chosen by
	// the record.
	Client *kgo.Client
	t      *testing.T
	config kafka.Config
}

// NewPipeline makes the topic. Topic and connector get names that begin with
// prefix. The group is deleted with the test.
func NewPipeline(t *testing.T, broker, prefix string, partitions int32) *Pipeline {
	t.Helper()
	cfg, err := kafka.ParseClient(map[string]string{
		"bootstrap.servers": broker, "max.request.size": "30000000", "group.id": sinks.Group(prefix),
		"session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "max.poll.interval.ms": "30000", "fetch.max.wait.ms": "100",
	})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kafka.NewProducer(t.Context(), cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{Name: prefix, Topic: prefix + ".in", Client: cl, t: t, config: cfg}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		// A group may still have a member whose task was killed with the test.
		_, _ = kadm.NewClient(cl).DeleteGroups(ctx, sinks.Group(p.Name))
		cl.Close()
	})
	spec := kafka.TopicSpec{Name: p.Topic, Partitions: partitions, Replication: 1, Configs: map[string]string{"max.message.bytes": "30000000"}}
	if _, err := kafka.EnsureTopics(t.Context(), cl, spec); err != nil {
		t.Fatal(err)
	}
	return p
}

// Produce writes records to a partition of the topic.
func (p *Pipeline) Produce(partition int32, records ...*kgo.Record) {
	p.t.Helper()
	for _, r := range records {
		r.Topic, r.Partition = p.Topic, partition
	}
	if err := p.Client.ProduceSync(p.t.Context(), records...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// Task returns a task that reads texts, commits often and retries soon.
func (p *Pipeline) Task(d sinks.Destination, stats *sinks.Stats) *sinks.Task {
	return &sinks.Task{
		Connector: p.Name, Topics: []string{p.Topic}, Destination: d,
		Key: Converter(p.t, "string", nil, true), Value: Converter(p.t, "string", nil, false),
		Classes: sinks.Classes{Key: "key.Class", Value: "value.Class"},
		Errors:  sinks.Errors{RetryDelayMax: time.Millisecond},
		Consumer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewConsumer(ctx, p.config, opts...)
		},
		Producer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewProducer(ctx, p.config, opts...)
		},
		CommitInterval: 50 * time.Millisecond, StopTimeout: 5 * time.Second, Stats: stats,
	}
}

// JSONTask returns a task that reads JSON without schemas.
func (p *Pipeline) JSONTask(d sinks.Destination, stats *sinks.Stats) *sinks.Task {
	task := p.Task(d, stats)
	loose := map[string]string{"schemas.enable": "false"}
	task.Key, task.Value = Converter(p.t, "json", loose, true), Converter(p.t, "json", loose, false)
	return task
}

// Converter returns a converter by its name.
func Converter(t *testing.T, class string, cfg map[string]string, key bool) converters.Converter {
	t.Helper()
	c, problems := converters.New(class, cfg, key)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Committed returns the group's offset of a partition; -1 for none.
func (p *Pipeline) Committed(partition int32) int64 {
	p.t.Helper()
	var offsets kadm.OffsetResponses
	Eventually(p.t, "the group's coordinator", func() (ok bool) {
		var err error
		offsets, err = kadm.NewClient(p.Client).FetchOffsets(p.t.Context(), sinks.Group(p.Name))
		if err != nil && !kerr.IsRetriable(err) && !kgo.IsRetryableBrokerErr(err) {
			p.t.Fatal(err)
		}
		return err == nil
	})
	o, ok := offsets.Lookup(p.Topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// Read returns the first n records of a topic's partition 0.
func (p *Pipeline) Read(topic string, n int) []*kgo.Record {
	p.t.Helper()
	cfg := p.config
	cfg.Consumer.Group = ""
	cl, err := kafka.NewConsumer(p.t.Context(), cfg, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(p.t.Context(), Patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			p.t.Fatalf("read %s: %d of %d records: %v", topic, len(records), n, err)
		}
		records = append(records, f.Records()...)
	}
	return records
}

// End returns the end offset of a topic's partition 0, or -1 if there is no
// such topic.
func (p *Pipeline) End(topic string) int64 {
	p.t.Helper()
	offsets, err := kadm.NewClient(p.Client).ListEndOffsets(p.t.Context(), topic)
	if err != nil {
		p.t.Fatal(err)
	}
	o, ok := offsets.Lookup(topic, 0)
	if !ok || o.Err != nil {
		return -1
	}
	return o.Offset
}

// Running is a task in the background.
type Running struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

// Start runs a task until it ends, is stopped, or the test ends.
func Start(t *testing.T, task *sinks.Task) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &Running{t: t, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- task.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-r.done:
			r.done <- err
		case <-time.After(Patience):
			t.Error("the task does not end")
		}
	})
	return r
}

// Cancel asks the task to stop and does not wait.
func (r *Running) Cancel() { r.stop() }

// Ends waits for the task's end and returns its error.
func (r *Running) Ends() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err // for those who ask again
		return err
	case <-time.After(Patience):
		r.t.Fatal("the task does not end")
		return nil
	}
}

// Stops cancels the task and expects it to end without an error.
func (r *Running) Stops() {
	r.t.Helper()
	r.stop()
	if err := r.Ends(); err != nil {
		r.t.Fatalf("Run: %v", err)
	}
}

// Eventually waits until a condition holds.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// Balanced checks that every record that was read has one fate.
func Balanced(t *testing.T, s *sinks.Stats) {
	t.Helper()
	in := s.Read.Load()
	out := s.Applied.Load() + s.Filtered.Load() + s.DeadLettered.Load() + s.Skipped.Load() + s.Abandoned.Load()
	if in != out {
		t.Errorf("read %d, but applied %d + filtered %d + dead-lettered %d + skipped %d + abandoned %d = %d",
			in, s.Applied.Load(), s.Filtered.Load(), s.DeadLettered.Load(), s.Skipped.Load(), s.Abandoned.Load(), out)
	}
	if n := s.Active.Load(); n != 0 {
		t.Errorf("%d records are still active", n)
	}
}

// Record returns a record.
func Record(key, value string) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Value: []byte(value)}
}

// Numbered returns n records with keys prefix0, prefix1, … and the numbers as
// values.
func Numbered(prefix string, n int) []*kgo.Record {
	var records []*kgo.Record
	for i := range n {
		records = append(records, Record(fmt.Sprint(prefix, i), fmt.Sprint(i)))
	}
	return records
}
