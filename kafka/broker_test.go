package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

func TestStartBroker_Refuses(t *testing.T) {
	t.Parallel()
	busy, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	newer := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(newer, "kafka"), 0o700),
		os.WriteFile(filepath.Join(newer, "kafka", "meta.json"), []byte(`{"version":9}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	torn := t.TempDir()
	if err := os.MkdirAll(filepath.Join(torn, "kafka", "partitions", "t-0"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cfg  kafka.BrokerConfig
		says []string
	}{
		"no directory":   {kafka.BrokerConfig{}, []string{"PENSTOCK_DATA_DIR"}},
		"a file":         {kafka.BrokerConfig{DataDir: file}, []string{file}},
		"taken":          {kafka.BrokerConfig{DataDir: busy.DataDir()}, []string{busy.DataDir(), "in use by the process " + strconv.Itoa(os.Getpid()), "PENSTOCK_DATA_DIR"}},
		"port taken":     {kafka.BrokerConfig{Listen: busy.Addr()}, []string{"listen on " + busy.Addr() + ": address already in use", "PENSTOCK_BROKER_LISTEN"}},
		"all interfaces": {kafka.BrokerConfig{Listen: "0.0.0.0:0"}, []string{"neither login nor encryption", "BrokerConfig.AllowRemote"}},
		"no host":        {kafka.BrokerConfig{Listen: ":0"}, []string{"neither login nor encryption"}},
		"another host":   {kafka.BrokerConfig{Listen: "192.0.2.1:9092"}, []string{"neither login nor encryption"}},
		"no address":     {kafka.BrokerConfig{Listen: "localhost"}, []string{`"localhost" is not host:port`}},
		"no port":        {kafka.BrokerConfig{Listen: "localhost:kafka"}, []string{"no port between 0 and 65535"}},
		"not advertised": {kafka.BrokerConfig{Listen: "0.0.0.0:0", AllowRemote: true}, []string{"PENSTOCK_BROKER_ADVERTISED_HOST"}},
		"newer format":   {kafka.BrokerConfig{DataDir: newer}, []string{"have format 9, this program knows 1"}},
		"no topics":      {kafka.BrokerConfig{DataDir: torn}, []string{"has partitions but no topics.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			if cfg.DataDir == "" && name != "no directory" {
				cfg.DataDir = t.TempDir()
			}
			if cfg.Listen == "" {
				cfg.Listen = "127.0.0.1:0"
			}
			b, err := kafka.StartBroker(t.Context(), cfg)
			if err == nil {
				t.Fatal("it started", b.Close(t.Context()))
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error is %v, without %q", err, says)
				}
			}
		})
	}
}

func TestBroker_AdvertisesItsHost(t *testing.T) {
	t.Parallel()
	// Maintenance has to work although nobody here can reach what is advertised.
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{
		DataDir: dir, Listen: "0.0.0.0:0", AllowRemote: true, AdvertisedHost: "kafka.example.org",
		MaintenanceEvery: 10 * time.Millisecond, CompactAtLeast: 1, Retention: time.Nanosecond,
	})
	host, port, err := net.SplitHostPort(b.Addr())
	if err != nil || host != "kafka.example.org" {
		t.Fatalf("address is %s, %v", b.Addr(), err)
	}
	local := net.JoinHostPort("127.0.0.1", port)
	c := config(t, local)
	inside := kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", local)
	})
	adm, err := kafka.NewAdmin(t.Context(), c, inside)
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	m, err := adm.BrokerMetadata(t.Context())
	if err != nil || len(m.Brokers) != 1 || m.Brokers[0].Host != "kafka.example.org" {
		t.Errorf("brokers are %+v, %v", m.Brokers, err)
	}
	cl := producer(t, c, inside)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: "t", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		produce(t, cl, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		starts, err := adm.ListStartOffsets(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := starts.Lookup("t", 0); o.Offset == 2 {
			break
		}
	}
}

func TestBroker_OutlivesNonsense(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	for _, nonsense := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"\x00\x00\x00\x0c\x7f\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"\xff\xff\xff\xff\x00\x03\x00\x00",
		"\x00\x00\x00\x0c\x00\x03\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(nonsense)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: read %d, %v, want the connection closed", nonsense, n, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	config(t, b.Addr())
	c, err := config(t, b.Addr()).NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestBroker_OffersWhatJavaCanRead is about answers of the fake on which
// Java's admin client fails (kafka-topics.sh, kafka-consumer-groups.sh --list).
// When they work again in a later version, the limits may go.
func TestBroker_OffersWhatJavaCanRead(t *testing.T) {
	t.Parallel()
	adm, err := kafka.NewAdmin(t.Context(), config(t, embedded(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	versions, err := adm.ApiVersions(t.Context())
	if err != nil || len(versions) != 1 {
		t.Fatal(versions, err)
	}
	offered := versions[0]
	for key, want := range map[kmsg.Key]int16{kmsg.DescribeTopicPartitions: -1, kmsg.CreateTopics: 4, kmsg.ListGroups: 4, kmsg.EndTxn: 5} {
		got := int16(-1)
		if v, ok := offered.KeyMaxVersion(int16(key)); ok {
			got = v
		}
		if got != want {
			t.Errorf("%v up to version %d, want %d", key.Name(), got, want)
		}
	}
}

func TestBroker_ClosesTwiceAndInTime(t *testing.T) {
	t.Parallel()
	b, stop := start(t, kafka.BrokerConfig{DataDir: t.TempDir(), MaintenanceEvery: time.Millisecond})
	past, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(past); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v", err)
	}
	stop()
	stop()
}

// BenchmarkBroker_Produce writes records through TCP, with every batch synced.
// records/s counts until the last one is acknowledged.
func BenchmarkBroker_Produce(b *testing.B) {
	for _, size := range []int{100, 800} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			broker, err := kafka.StartBroker(b.Context(), kafka.BrokerConfig{DataDir: b.TempDir(), Listen: "127.0.0.1:0"})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := broker.Close(context.Background()); err != nil {
					b.Error(err)
				}
			}()
			cfg, err := kafka.ParseClient(map[string]string{"bootstrap.servers": broker.Addr()})
			if err != nil {
				b.Fatal(err)
			}
			cl, err := kafka.NewProducer(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer cl.Close()
			if _, err := kafka.EnsureTopics(b.Context(), cl, kafka.TopicSpec{Name: "t", Partitions: 1, Replication: 1}); err != nil {
				b.Fatal(err)
			}
			value := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var failed kgo.FirstErrPromise
			began := time.Now()
			for b.Loop() {
				cl.Produce(b.Context(), &kgo.Record{Topic: "t", Value: value}, failed.Promise())
			}
			if err := failed.Err(); err != nil { // waits for all
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
		})
	}
}
