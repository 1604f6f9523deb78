package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// TestChaos_EmbeddedBrokerInBoundedMemory fills a topic of many partitions, reads
// it as greedily as clients may, and starts again after a kill and after a
// stop: the memory of none of it depends on how much there is.
func TestChaos_EmbeddedBrokerInBoundedMemory(t *testing.T) {
	t.Parallel()
	const (
		bound      = 200_000_000
		partitions = 60
		size       = 10_000
		records    = partitions * 600 // 360 MB
	)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	rest, broker := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	d := &daemon.Daemon{Path: program(t), Dir: dir, REST: rest, Env: []string{
		"PENSTOCK_DATA_DIR=" + filepath.Join(dir, "data"), "PENSTOCK_LISTENERS=http://" + rest, "PENSTOCK_BROKER_LISTEN=" + broker,
	}}
	t.Cleanup(func() {
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
	})
	within := func(what string) {
		t.Helper()
		usage, err := d.Usage()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: peak resident set %.0f MB", what, float64(usage.PeakRSS)/1e6)
		if usage.PeakRSS > bound {
			t.Errorf("%s took %.0f MB, the bound is %.0f MB", what, float64(usage.PeakRSS)/1e6, bound/1e6)
		}
		if err := d.ForgetPeak(); err != nil {
			t.Fatal(err)
		}
	}
	client := func(opts ...kgo.Opt) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(broker))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	cl := client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(50*time.Millisecond), kgo.MaxBufferedBytes(32<<20))
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{})
	for range records {
		value := make([]byte, size)
		_, _ = random.Read(value) // it never fails
		cl.Produce(ctx, &kgo.Record{Topic: "t", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cl.Close()
	within("producing")

	readers := 3
	for range readers {
		cl := client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(100<<20), kgo.FetchMaxPartitionBytes(10<<20))
		for n := 0; n < records; {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			n += fetches.NumRecords()
		}
	}
	within("consuming")

	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	within("the start after a kill")
	if err := d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	within("the start after a stop")
}
