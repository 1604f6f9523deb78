package sinks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// memory is a destination that a test scripts: it keeps what was applied, and
// fails when told to.
type memory struct {
	mu sync.Mutex
	// rows hold the last value of each key, history all values in order.
	rows    map[string]string
	history map[string][]string
	writes  int
	// onWrite, if set, is called in place of apply, which it may call.
	onWrite func(ctx context.Context, records []schema.Record) error
	// onOpen may fail the opening.
	onOpen func() error
	closed int
}

func newMemory() *memory {
	return &memory{rows: map[string]string{}, history: map[string][]string{}}
}

func (m *memory) Check(context.Context) settings.Problems { return nil }

func (m *memory) Open(context.Context) (sinks.Sink, error) {
	if m.onOpen != nil {
		if err := m.onOpen(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

func (m *memory) Write(ctx context.Context, records []schema.Record) error {
	m.mu.Lock()
	m.writes++
	m.mu.Unlock()
	if m.onWrite != nil {
		return m.onWrite(ctx, records)
	}
	m.apply(records...)
	return nil
}

func (m *memory) apply(records ...schema.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range records {
		k, v := text(records[i].Key), text(records[i].Value)
		m.rows[k] = v
		m.history[k] = append(m.history[k], v)
	}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (m *memory) row(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[key]
}

func (m *memory) of(key string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history[key])
}

func text(d schema.Data) string { return string(d.Value.Bytes()) }

// bench is a Kafka with one connector's topics.
type bench struct {
	t      *testing.T
	config kafka.Config
	client *kgo.Client
	name   string
	topic  string
}

func newBench(t *testing.T, partitions int32) *bench {
	t.Helper()
	srv := servers.Kafka(t)
	return benchOn(t, srv.Brokers()[0], srv.Topic("in"), srv.Prefix, partitions)
}

func benchOn(t *testing.T, broker, topic, name string, partitions int32) *bench {
	t.Helper()
	cfg, err := kafka.ParseClient(map[string]string{
		"bootstrap.servers": broker, "max.request.size": "30000000",
		"session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "max.poll.interval.ms": "30000",
		"group.id": sinks.Group(name), "fetch.max.wait.ms": "100",
	})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kafka.NewProducer(t.Context(), cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, config: cfg, client: cl, name: name, topic: topic}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		// A group may still have a member whose task was killed with the test.
		_, _ = kadm.NewClient(cl).DeleteGroups(ctx, sinks.Group(name))
		cl.Close()
	})
	spec := kafka.TopicSpec{Name: topic, Partitions: partitions, Replication: 1, Configs: map[string]string{"max.message.bytes": "30000000"}}
	if _, err := kafka.EnsureTopics(t.Context(), cl, spec); err != nil {
		t.Fatal(err)
	}
	return b
}

// produce writes records to a partition.
func (b *bench) produce(partition int32, records ...*kgo.Record) {
	b.t.Helper()
	for _, r := range records {
		if r.Topic == "" {
			r.Topic = b.topic
		}
		r.Partition = partition
	}
	if err := b.client.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func rec(key, value string) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Value: []byte(value)}
}

// task returns a task that reads texts.
func (b *bench) task(m *memory, stats *sinks.Stats) *sinks.Task {
	return &sinks.Task{
		Connector: b.name, Topics: []string{b.topic}, Destination: m,
		Key: converter(b.t, "string", nil, true), Value: converter(b.t, "string", nil, false),
		Classes: sinks.Classes{Key: "key.Class", Value: "value.Class"},
		Errors:  sinks.Errors{RetryDelayMax: time.Millisecond},
		Consumer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewConsumer(ctx, b.config, opts...)
		},
		Producer: func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
			return kafka.NewProducer(ctx, b.config, opts...)
		},
		CommitInterval: 50 * time.Millisecond, StopTimeout: 5 * time.Second, Stats: stats,
	}
}

func converter(t *testing.T, class string, cfg map[string]string, key bool) converters.Converter {
	t.Helper()
	c, problems := converters.New(class, cfg, key)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// running is a task in the background.
type running struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, task *sinks.Task) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- task.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Error("the task does not end")
		}
	})
	return r
}

// ends waits for the task's end and returns its error.
func (r *running) ends() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err // for the cleanup
		return err
	case <-time.After(patience):
		r.t.Fatal("the task does not end")
		return nil
	}
}

// stops cancels the task and expects it to end without an error.
func (r *running) stops() {
	r.t.Helper()
	r.stop()
	if err := r.ends(); err != nil {
		r.t.Fatalf("Run: %v", err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// committed returns the group's offset of a partition; -1 for none.
func (b *bench) committed(partition int32) int64 {
	b.t.Helper()
	var offsets kadm.OffsetResponses
	eventually(b.t, "the group's coordinator", func() (ok bool) {
		var err error
		offsets, err = kadm.NewClient(b.client).FetchOffsets(b.t.Context(), sinks.Group(b.name))
		if err != nil && !kerr.IsRetriable(err) {
			b.t.Fatal(err)
		}
		return err == nil
	})
	o, ok := offsets.Lookup(b.topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// read returns the first n records of a topic's partition 0.
func (b *bench) read(topic string, n int) []*kgo.Record {
	b.t.Helper()
	cfg := b.config
	cfg.Consumer.Group = ""
	cl, err := kafka.NewConsumer(b.t.Context(), cfg, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			b.t.Fatalf("read %s: %d of %d records: %v", topic, len(records), n, err)
		}
		records = append(records, f.Records()...)
	}
	return records
}

// end returns the end offset of a topic's partition 0, or -1 if there is no
// such topic.
func (b *bench) end(topic string) int64 {
	b.t.Helper()
	offsets, err := kadm.NewClient(b.client).ListEndOffsets(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	o, ok := offsets.Lookup(topic, 0)
	if !ok || o.Err != nil {
		return -1
	}
	return o.Offset
}

// balanced checks that every record read has one fate.
func balanced(t *testing.T, s *sinks.Stats) {
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

// failing applies those records for which why returns nil and names the others.
func (m *memory) failing(records []schema.Record, why func(r *schema.Record) *sinks.RecordError) error {
	var e sinks.WriteError
	for i := range records {
		if f := why(&records[i]); f != nil {
			f.Index = i
			e.Failed = append(e.Failed, *f)
			continue
		}
		m.apply(records[i])
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return &e
}

func numbered(prefix string, n int) []*kgo.Record {
	var records []*kgo.Record
	for i := range n {
		records = append(records, rec(fmt.Sprintf("%s%d", prefix, i), fmt.Sprint(i)))
	}
	return records
}

// refuse applies records but for those whose value begins with poison.
func refuse(m *memory, poison string) func(context.Context, []schema.Record) error {
	return func(_ context.Context, records []schema.Record) error {
		return m.failing(records, func(r *schema.Record) *sinks.RecordError {
			if strings.HasPrefix(text(r.Value), poison) {
				return &sinks.RecordError{Err: errPoison}
			}
			return nil
		})
	}
}

// refuseAll refuses every record.
func refuseAll(_ context.Context, records []schema.Record) error {
	e := &sinks.WriteError{}
	for i := range records {
		e.Failed = append(e.Failed, sinks.RecordError{Index: i, Err: errPoison})
	}
	return e
}
