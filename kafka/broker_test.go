package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// start runs a broker on dir until the test ends, or until the returned stop
// is called.
func start(t *testing.T, cfg kafka.BrokerConfig) (b *kafka.Broker, stop func()) {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	b, err := kafka.StartBroker(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close broker: %v", err)
		}
	}
	t.Cleanup(stop)
	return b, stop
}

// config returns the configuration of a client of addr.
func config(t *testing.T, addr string, pairs ...string) kafka.Config {
	t.Helper()
	raw := map[string]string{"bootstrap.servers": addr}
	for i := 0; i < len(pairs); i += 2 {
		raw[pairs[i]] = pairs[i+1]
	}
	c, err := kafka.ParseClient(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func producer(t *testing.T, c kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewProducer(t.Context(), c, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func consumer(t *testing.T, c kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewConsumer(t.Context(), c, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// produce writes records and waits for them to be acknowledged.
func produce(t *testing.T, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// poll reads n records, failing after a while.
func poll(t *testing.T, cl *kgo.Client, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("poll after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachError(func(topic string, p int32, err error) { t.Fatalf("poll %s-%d: %v", topic, p, err) })
		got = append(got, fetches.Records()...)
	}
	return got
}

func values(records []*kgo.Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, string(r.Value))
	}
	return list
}

func TestBroker_KeepsEverythingOverCleanRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, stop := start(t, kafka.BrokerConfig{DataDir: dir})
	cfg := config(t, b.Addr(), "group.id", "g")
	cl := producer(t, cfg)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: "t", Partitions: 1, Replication: -1}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("value %d", i))
		produce(t, cl, &kgo.Record{Topic: "t", Key: fmt.Appendf(nil, "k%d", i), Value: []byte(want[i])})
	}
	co := consumer(t, cfg, kgo.ConsumeTopics("t"))
	first := poll(t, co, 100)
	if err := co.CommitRecords(t.Context(), first[:40]...); err != nil {
		t.Fatal(err)
	}
	id := clusterID(t, cfg)
	co.Close()
	cl.Close()
	stop()

	b, _ = start(t, kafka.BrokerConfig{DataDir: dir})
	cfg = config(t, b.Addr(), "group.id", "g")
	if got := clusterID(t, cfg); got != id || len(got) != 22 {
		t.Errorf("cluster id %q after the restart, want %q of 22 characters", got, id)
	}
	got := values(poll(t, consumer(t, cfg, kgo.ConsumeTopics("t")), 60))
	if !slices.Equal(got, want[40:]) {
		t.Errorf("after the restart the group got %q, want %q", got, want[40:])
	}
}

func clusterID(t *testing.T, c kafka.Config) string {
	t.Helper()
	adm, err := kafka.NewAdmin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	m, err := adm.BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m.Cluster
}
