package kafka_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// child is a broker in a process of its own.
type child struct {
	cmd   *exec.Cmd
	addr  string
	stdin io.WriteCloser // the broker stops when it ends
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), brokerDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait() // the reason is on stderr
		t.Fatalf("broker process said %q: %v", line, err)
	}
	return &child{cmd, strings.TrimSpace(line), in}
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // killed, as it should be
}

// crashLoad is what a test has sent to a broker that gets killed, and what of
// it was acknowledged.
type crashLoad struct {
	mu      sync.Mutex
	sent    int            // numbers are used once, over all rounds
	acked   map[string]int // number -> offset, by "topic-partition number"
	latest  map[string]int // key -> last acknowledged number, in the compacted topic
	commit  int64          // last acknowledged offset of the group
	tried   int64          // last offset sent for the group
	txns    map[int]bool   // acknowledged transactions
	acks    int            // this round
	enough  int            // of acks, for the kill
	reached chan struct{}  // closed at enough
}

func (l *crashLoad) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	return l.sent
}

func (l *crashLoad) ack(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if l.acks++; l.acks == l.enough {
		close(l.reached)
	}
}

const (
	crashPlain, crashCompacted, crashLeft, crashRight = "plain", "compacted", "left", "right"
	crashGroup                                        = "group"
)

// run sends without pause until ctx is done.
func (l *crashLoad) run(ctx context.Context, t *testing.T, cfg kafka.Config, wg *sync.WaitGroup) {
	t.Helper()
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kafka.NewProducer(t.Context(), cfg, opts...)
		if err != nil {
			t.Fatal(err)
		}
		// What has been sent once is only given up with the client.
		context.AfterFunc(ctx, cl.Close)
		return cl
	}
	plain := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(200))
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n := l.next()
			r := &kgo.Record{Topic: crashPlain, Partition: int32(i % 3), Value: fmt.Append(nil, n)}
			plain.Produce(ctx, r, func(r *kgo.Record, err error) {
				if err == nil {
					l.ack(func() { l.acked[fmt.Sprintf("%s-%d %d", r.Topic, r.Partition, n)] = int(r.Offset) })
				}
			})
		}
	})
	compacted := client(kgo.ProducerBatchCompression(kgo.Lz4Compression()))       // as sources do
	ballast := []kgo.RecordHeader{{Key: "ballast", Value: make([]byte, 100_000)}} // makes compaction last
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n, key := l.next(), fmt.Sprint("k", i%7)
			r := &kgo.Record{Topic: crashCompacted, Key: []byte(key), Value: fmt.Append(nil, n), Headers: ballast}
			if compacted.ProduceSync(ctx, r).FirstErr() == nil {
				l.ack(func() { l.latest[key] = n })
			}
		}
	})
	adm := kadm.NewClient(client())
	wg.Go(func() {
		for ctx.Err() == nil {
			n := int64(l.next())
			l.mu.Lock()
			l.tried = n
			l.mu.Unlock()
			var offsets kadm.Offsets
			offsets.AddOffset(crashPlain, 0, n, -1)
			if adm.CommitAllOffsets(ctx, crashGroup, offsets) == nil {
				l.ack(func() { l.commit = n })
			}
		}
	})
	txn := client(kgo.TransactionalID("txn"))
	wg.Go(func() {
		for ctx.Err() == nil {
			n := l.next()
			if txn.BeginTransaction() != nil {
				return
			}
			value := fmt.Append(nil, n)
			err := txn.ProduceSync(ctx, &kgo.Record{Topic: crashLeft, Value: value}, &kgo.Record{Topic: crashRight, Value: value}).FirstErr()
			if err == nil && txn.EndTransaction(ctx, kgo.TryCommit) == nil {
				l.ack(func() { l.txns[n] = true })
				continue
			}
			if ctx.Err() == nil && txn.EndTransaction(ctx, kgo.TryAbort) != nil {
				return
			}
		}
	})
}

// verify reads everything back.
func (l *crashLoad) verify(t *testing.T, cfg kafka.Config) {
	t.Helper()
	cl := producer(t, cfg)
	read := func(topic string) (records []*kgo.Record) {
		t.Helper()
		err := kafka.NewLog(cl, topic).ReadToEnd(t.Context(), func(r *kgo.Record) error {
			records = append(records, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	number := func(r *kgo.Record) int {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	found, last := map[string]int{}, map[int32]int{}
	for _, r := range read(crashPlain) {
		n := number(r)
		if n <= last[r.Partition] {
			t.Errorf("partition %d: %d comes after %d", r.Partition, n, last[r.Partition])
		}
		last[r.Partition] = n
		found[fmt.Sprintf("%s-%d %d", r.Topic, r.Partition, n)] = int(r.Offset)
	}
	lost := 0
	for what, offset := range l.acked {
		if got, ok := found[what]; !ok || got != offset {
			lost++
			t.Logf("%s was acknowledged at offset %d, found %v at %d", what, offset, ok, got)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are not where they were", lost, len(l.acked))
	}

	latest := map[string]int{}
	for _, r := range read(crashCompacted) {
		latest[string(r.Key)] = number(r)
	}
	for key, want := range l.latest {
		if latest[key] < want {
			t.Errorf("compacted key %s has %d, %d was acknowledged", key, latest[key], want)
		}
	}

	adm := kadm.NewClient(cl)
	offsets, err := adm.FetchOffsets(t.Context(), crashGroup)
	if err != nil && (l.commit > 0 || !errors.Is(err, kerr.GroupIDNotFound)) { // no commit, no group
		t.Fatal(err)
	}
	if o, _ := offsets.Lookup(crashPlain, 0); o.At < l.commit || o.At > l.tried {
		t.Errorf("group is at %d, want %d (acknowledged) to %d (sent)", o.At, l.commit, l.tried)
	}

	sides := map[string][]int{}
	for _, topic := range []string{crashLeft, crashRight} {
		for _, r := range read(topic) {
			sides[topic] = append(sides[topic], number(r))
		}
		if !slices.IsSorted(sides[topic]) || len(slices.Compact(slices.Clone(sides[topic]))) != len(sides[topic]) {
			t.Errorf("transactions in %s are not each there once in order: %v", topic, sides[topic])
		}
	}
	if !slices.Equal(sides[crashLeft], sides[crashRight]) {
		t.Errorf("transactions are committed by halves: %v and %v", sides[crashLeft], sides[crashRight])
	}
	for n := range l.txns {
		if !slices.Contains(sides[crashLeft], n) {
			t.Errorf("transaction %d was acknowledged and is not there", n)
		}
	}
}

func TestBroker_LosesNothingAcknowledgedWhenKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	load := &crashLoad{acked: map[string]int{}, latest: map[string]int{}, txns: map[int]bool{}}
	const rounds = 8
	compacting := 0
	for round := range rounds {
		c := startChild(t, dir)
		cfg := config(t, c.addr)
		if round == 0 {
			adm := producer(t, cfg)
			_, err := kafka.EnsureTopics(
				t.Context(), adm,
				kafka.TopicSpec{Name: crashPlain, Partitions: 3, Replication: -1},
				kafka.OffsetTopic(crashCompacted, 2, -1),
				kafka.TopicSpec{Name: crashLeft, Partitions: 1, Replication: -1},
				kafka.TopicSpec{Name: crashRight, Partitions: 1, Replication: -1},
			)
			if err != nil {
				t.Fatal(err)
			}
		} else {
			load.verify(t, cfg)
		}
		load.acks, load.enough, load.reached = 0, 300+random.IntN(2000), make(chan struct{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the broker does not get on"))
		var wg sync.WaitGroup
		load.run(ctx, t, cfg, &wg)
		select {
		case <-load.reached:
		case <-ctx.Done():
			t.Errorf("round %d: %v", round, context.Cause(ctx))
		}
		if round%2 == 1 { // in the middle of a compaction
			for ctx.Err() == nil {
				if _, err := os.Stat(filepath.Join(dir, "compacting")); err == nil {
					compacting++
					break
				}
			}
		}
		c.kill(t)
		cancel()
		wg.Wait()
		if t.Failed() {
			break
		}
	}
	c := startChild(t, dir)
	load.verify(t, config(t, c.addr))
	c.kill(t)
	if compacting == 0 {
		t.Error("no kill fell into a compaction")
	}
	t.Logf("%d records, %d transactions acknowledged, group at %d over %d kills", len(load.acked), len(load.txns), load.commit, rounds)
}

// Java's producers, and others, leave it to the broker to create the topics
// that they write to.
func TestBroker_KeepsTopicsThatClientsCreateByUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	cl := producer(t, config(t, c.addr), kgo.AllowAutoTopicCreation())
	produce(t, cl, &kgo.Record{Topic: "by.use", Value: []byte("v")})
	err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "../by.use", Value: []byte("v")}).FirstErr()
	if err == nil {
		t.Error("a topic with an impossible name was created")
	}
	c.kill(t)
	c = startChild(t, dir)
	defer c.kill(t)
	got := poll(t, consumer(t, config(t, c.addr), kgo.ConsumeTopics("by.use")), 1)
	if want := []string{"v"}; !slices.Equal(values(got), want) {
		t.Errorf("read %q after the kill, want %q", values(got), want)
	}
}
