package kafka_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// crashed returns a copy of a running broker's data directory: what a kill at
// this moment would leave.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "clean")); err == nil {
		t.Fatal("a running broker has the mark of a clean stop")
	}
	return to
}

func segmentFile(dir, topic string, base int) string {
	return filepath.Join(dir, "kafka", "partitions", topic+"-0", fmt.Sprint(base, ".dat"))
}

// readAll returns the committed values of a topic.
func readAll(t *testing.T, c kafka.Config, topic string) (list []string) {
	t.Helper()
	err := kafka.NewLog(producer(t, c), topic).ReadToEnd(t.Context(), func(r *kgo.Record) error {
		list = append(list, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func expectAll(t *testing.T, c kafka.Config, topic string, want ...string) {
	t.Helper()
	if got := readAll(t, c, topic); !slices.Equal(got, want) {
		t.Errorf("topic %s has %q, want %q", topic, got, want)
	}
}

// make1 creates topics of one partition.
func make1(t *testing.T, c kafka.Config, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		if _, err := kafka.EnsureTopics(t.Context(), producer(t, c), kafka.TopicSpec{Name: topic, Partitions: 1, Replication: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, c kafka.Config, topic string, values ...string) {
	t.Helper()
	cl := producer(t, c)
	for _, v := range values { // one by one: a batch for each
		produce(t, cl, &kgo.Record{Topic: topic, Key: []byte("k" + v), Value: []byte(v)})
	}
}

func TestRecover_CutsOffHalfWrittenBatch(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	dir := b.DataDir()
	c := config(t, b.Addr())
	make1(t, c, "t")
	write(t, c, "t", "a", "b")
	for name, tear := range map[string]func(batches []byte) []byte{
		"half a batch":    func(p []byte) []byte { return append(p, p[:len(p)/4]...) },
		"a few bytes":     func(p []byte) []byte { return append(p, 0, 0, 0) },
		"zeros":           func(p []byte) []byte { return append(p, make([]byte, 200)...) },
		"a huge length":   func(p []byte) []byte { return append(p, slices.Repeat([]byte{0x7F}, 100)...) },
		"the last batch":  func(p []byte) []byte { return p[:len(p)-1] },
		"no index at all": func(p []byte) []byte { return p },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			left := crashed(t, dir)
			path := segmentFile(left, "t", 0)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tear(data), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(strings.TrimSuffix(path, ".dat")+".idx", 0); err != nil {
				t.Fatal(err)
			}
			want := []string{"a", "b"}
			if name == "the last batch" {
				want = want[:1]
			}
			b, stop := start(t, kafka.BrokerConfig{DataDir: left})
			c := config(t, b.Addr())
			expectAll(t, c, "t", want...)
			write(t, c, "t", "c")
			expectAll(t, c, "t", append(want, "c")...)
			again := crashed(t, left)
			stop()
			for _, dir := range []string{again, left} {
				b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
				expectAll(t, config(t, b.Addr()), "t", append(want, "c")...)
			}
		})
	}
}

func TestRecover_RefusesDamage(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	c := config(t, b.Addr())
	make1(t, c, "t")
	write(t, c, "t", "first", "second", "third")
	left := crashed(t, b.DataDir())
	path := segmentFile(left, "t", 0)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(data), "second")
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = kafka.StartBroker(t.Context(), kafka.BrokerConfig{DataDir: left, Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), path+" is damaged at byte ") {
		t.Errorf("StartBroker = %v, want an error that names the file and the byte", err)
	}
	// It has changed nothing that a backup would not mend.
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	expectAll(t, config(t, b.Addr()), "t", "first", "second", "third")
}

// transaction writes values to topics in one transaction and leaves it open.
func transaction(t *testing.T, cl *kgo.Client, value string, topics ...string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		produce(t, cl, &kgo.Record{Topic: topic, Key: []byte(value), Value: []byte(value)})
	}
}

func end(t *testing.T, cl *kgo.Client, how kgo.TransactionEndTry) {
	t.Helper()
	if err := cl.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

func TestRecover_AbortsOpenTransactionForGood(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	c := config(t, b.Addr())
	make1(t, c, "t")
	cl := producer(t, c, kgo.TransactionalID("x"))
	transaction(t, cl, "committed", "t")
	end(t, cl, kgo.TryCommit)
	transaction(t, cl, "aborted", "t")
	end(t, cl, kgo.TryAbort)
	transaction(t, cl, "open", "t")
	left := crashed(t, b.DataDir())

	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	c = config(t, b.Addr())
	expectAll(t, c, "t", "committed")
	// The same producer again has the same id; its next commit must not take
	// the records of the transaction along that the crash ended.
	cl = producer(t, c, kgo.TransactionalID("x"))
	transaction(t, cl, "later", "t")
	end(t, cl, kgo.TryCommit)
	left = crashed(t, left)

	b, stop := start(t, kafka.BrokerConfig{DataDir: left})
	expectAll(t, config(t, b.Addr()), "t", "committed", "later")
	stop()
	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	expectAll(t, config(t, b.Addr()), "t", "committed", "later")
}

func TestRecover_FinishesCommitThatHadBegun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
	c := config(t, b.Addr())
	make1(t, c, "left", "right")
	cl := producer(t, c, kgo.TransactionalID("x"))
	transaction(t, cl, "one", "left", "right")
	end(t, cl, kgo.TryCommit)
	transaction(t, cl, "two", "left", "right")
	open := size(t, segmentFile(dir, "right", 0))
	end(t, cl, kgo.TryCommit)
	// As if the broker had died between the two partitions.
	for name, tt := range map[string]struct {
		begun bool
		right []string
	}{
		"begun":     {true, []string{"one", "two"}},
		"not begun": {false, []string{"one"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			died := crashed(t, dir)
			if err := os.Truncate(segmentFile(died, "right", 0), open); err != nil {
				t.Fatal(err)
			}
			if !tt.begun {
				if err := os.Truncate(filepath.Join(died, "commit"), 5); err != nil {
					t.Fatal(err)
				}
			}
			b, _ := start(t, kafka.BrokerConfig{DataDir: died})
			c := config(t, b.Addr())
			expectAll(t, c, "left", "one", "two")
			expectAll(t, c, "right", tt.right...)
		})
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestRecover_EmptyPartitionGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, stop := start(t, kafka.BrokerConfig{DataDir: dir})
	c := config(t, b.Addr())
	make1(t, c, "t")
	write(t, c, "t", "a", "b", "c")
	adm := kadm.NewClient(producer(t, c))
	var all kadm.Offsets
	all.AddOffset("t", 0, 3, -1)
	if deleted, err := adm.DeleteRecords(t.Context(), all); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	left := crashed(t, dir)
	stop()
	for name, dir := range map[string]string{"crash": left, "clean": dir} {
		for round := range 2 { // the second time there is a record again
			b, stop := start(t, kafka.BrokerConfig{DataDir: dir})
			cl := producer(t, config(t, b.Addr()))
			r := &kgo.Record{Topic: "t", Value: []byte("d")}
			produce(t, cl, r)
			if r.Offset != int64(3+round) {
				t.Errorf("%s: record %d got offset %d, want %d", name, round, r.Offset, 3+round)
			}
			cl.Close()
			if name == "crash" {
				dir = crashed(t, dir)
			}
			stop()
		}
	}
}

func TestRecover_ForgetsPartitionsOfDeletedTopic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
	c := config(t, b.Addr())
	make1(t, c, "t", "u")
	write(t, c, "t", "a")
	write(t, c, "u", "b")
	files := filepath.Join(dir, "kafka", "partitions", "t-0")
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(producer(t, c)).DeleteTopics(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	left := crashed(t, dir)
	if err := os.CopyFS(filepath.Join(left, "kafka", "partitions", "t-0"), os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	c = config(t, b.Addr())
	make1(t, c, "t")
	left = crashed(t, left)
	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	expectAll(t, config(t, b.Addr()), "t")
	expectAll(t, config(t, b.Addr()), "u", "b")
}

func TestRecover_KeepsGroupOffsetsBehindHalfWrittenOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
	make1(t, config(t, b.Addr()), "t")
	for offset := range int64(4) {
		c := config(t, b.Addr())
		adm := kadm.NewClient(producer(t, c))
		offsets, err := adm.FetchOffsets(t.Context(), "g")
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup("t", 0); ok && o.At != offset-1 || !ok && offset > 0 {
			t.Errorf("group is at %v, want %d", o.At, offset-1)
		}
		var commit kadm.Offsets
		commit.AddOffset("t", 0, offset, -1)
		if err := adm.CommitAllOffsets(t.Context(), "g", commit); err != nil {
			t.Fatal(err)
		}
		dir = crashed(t, dir)
		f, err := os.OpenFile(filepath.Join(dir, "kafka", "groups.log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte{50, 0, 0, 0, 1, 2, 3, 4, 1, 0, '{'}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		b, _ = start(t, kafka.BrokerConfig{DataDir: dir})
	}
}

func TestRecover_KnowsBatchThatIsSentAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
	c := config(t, b.Addr())
	// Each batch is in a segment of its own, as large ones are.
	spec := kafka.TopicSpec{Name: "t", Partitions: 1, Replication: 1, Configs: map[string]string{"segment.bytes": "1"}}
	if _, err := kafka.EnsureTopics(t.Context(), producer(t, c), spec); err != nil {
		t.Fatal(err)
	}
	id, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(t.Context(), producer(t, c))
	if err != nil {
		t.Fatal(err)
	}
	send := func(c kafka.Config, seq int32, value string) (offset int64, err error) {
		t.Helper()
		cl := producer(t, c)
		meta, err := kadm.NewClient(cl).Metadata(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 1000
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = "t", meta.Topics["t"].ID
		part := kmsg.NewProduceRequestTopicPartition()
		part.Records = kafka.OneRecordBatch(id.ProducerID, id.ProducerEpoch, seq, value)
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(t.Context(), cl.Broker(0))
		if err != nil {
			t.Fatal(err)
		}
		answer := resp.Topics[0].Partitions[0]
		return answer.BaseOffset, kerr.ErrorForCode(answer.ErrorCode)
	}
	sent := []string{"a", "b", "c", "d", "e"} // as many as may be on their way
	for seq, v := range sent {
		if _, err := send(c, int32(seq), v); err != nil {
			t.Fatal(err)
		}
	}
	left := crashed(t, dir)
	b, _ = start(t, kafka.BrokerConfig{DataDir: left})
	c = config(t, b.Addr())
	for seq, v := range sent {
		if offset, err := send(c, int32(seq), v); err != nil || offset != int64(seq) {
			t.Errorf("batch %d sent again got offset %d, %v, want %d", seq, offset, err, seq)
		}
	}
	if _, err := send(c, 7, "h"); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("a batch after a gap got %v, want OUT_OF_ORDER_SEQUENCE_NUMBER", err)
	}
	if offset, err := send(c, 5, "f"); err != nil || offset != 5 {
		t.Errorf("the next batch got offset %d, %v, want 5", offset, err)
	}
	expectAll(t, c, "t", append(sent, "f")...)
}

func TestRecover_TakesUnfinishedCompactionBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir, MaintenanceEvery: time.Hour})
	c := config(t, b.Addr())
	if _, err := kafka.EnsureTopics(t.Context(), producer(t, c), kafka.OffsetTopic("o", 1, -1)); err != nil {
		t.Fatal(err)
	}
	write(t, c, "o", "a", "b", "c")
	for name, damage := range map[string]func(dir string) error{
		"nothing deleted yet":    func(string) error { return nil },
		"all deleted":            func(dir string) error { return os.Remove(segmentFile(dir, "o", 0)) },
		"half written":           func(dir string) error { return replace(segmentFile(dir, "o", 0), 100) },
		"directory gone":         func(dir string) error { return os.RemoveAll(filepath.Dir(segmentFile(dir, "o", 0))) },
		"killed in recovery too": func(dir string) error { return swap(filepath.Dir(segmentFile(dir, "o", 0))) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			left := crashed(t, dir)
			aside := filepath.Join(left, "compacting", "o-0")
			if err := os.CopyFS(aside, os.DirFS(filepath.Dir(segmentFile(left, "o", 0)))); err != nil {
				t.Fatal(err)
			}
			if err := damage(left); err != nil {
				t.Fatal(err)
			}
			b, _ := start(t, kafka.BrokerConfig{DataDir: left})
			expectAll(t, config(t, b.Addr()), "o", "a", "b", "c")
			if _, err := os.Stat(filepath.Join(left, "compacting")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what was kept aside is still there: %v", err)
			}
		})
	}
}

// replace puts a new file of the first n bytes in the place of a file, as
// compaction makes new files.
func replace(path string, n int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(path), os.WriteFile(path, data[:n], 0o600))
}

func swap(dir string) error {
	return errors.Join(os.CopyFS(dir+".restored", os.DirFS(dir)), os.Rename(dir, dir+".replaced"))
}

// maintain applies retention and compaction.
func maintain(t *testing.T, b *kafka.Broker) {
	t.Helper()
	if err := b.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestBroker_CompactsAndKeepsWhatCounts(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "lz4"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			compactsAndKeepsWhatCounts(t, codec)
		})
	}
}

func compactsAndKeepsWhatCounts(t *testing.T, codec string) {
	t.Helper()
	dir := t.TempDir()
	cfg := kafka.BrokerConfig{DataDir: dir, MaintenanceEvery: time.Hour, CompactAtLeast: 1}
	b, stop := start(t, cfg)
	c := config(t, b.Addr(), "compression.type", codec)
	cl := producer(t, c)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.OffsetTopic("o", 1, -1)); err != nil {
		t.Fatal(err)
	}
	ballast := []kgo.RecordHeader{{Key: "ballast", Value: make([]byte, 1000)}} // worth compressing
	// Older than any retention, which is not for compacted topics.
	old := time.Now().Add(-1000 * time.Hour)
	produce(
		t, producer(t, c, kgo.ProducerLinger(200*time.Millisecond)), // in one batch, of which a part remains
		&kgo.Record{Topic: "o", Key: []byte("k0"), Value: []byte("gone"), Timestamp: old, Headers: ballast},
		&kgo.Record{Topic: "o", Key: []byte("k8"), Value: []byte("stays"), Timestamp: old, Headers: ballast},
	)
	for i := range 50 {
		produce(t, cl, &kgo.Record{Topic: "o", Key: fmt.Append(nil, "k", i%3), Value: fmt.Append(nil, i), Timestamp: old, Headers: ballast})
	}
	// While a transaction is open, its records must not push the last
	// committed ones out.
	txn := producer(t, c, kgo.TransactionalID("x"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, txn, &kgo.Record{Topic: "o", Key: []byte("k0"), Value: []byte("not committed")})
	produce(t, cl, &kgo.Record{Topic: "o", Key: []byte("k9"), Value: []byte("end")})
	maintain(t, b)
	end(t, txn, kgo.TryAbort)
	maintain(t, b)
	// The rest of the last batch before the end stays, like Kafka's last segment.
	want := []string{"stays", "47", "48", "49", "end"}
	expectAll(t, c, "o", want...)
	write(t, c, "o", "more")
	want = append(want, "more")

	left := crashed(t, dir)
	stop()
	for _, cfg.DataDir = range []string{left, dir} {
		b, _ := start(t, cfg)
		c := config(t, b.Addr())
		expectAll(t, c, "o", want...)
		maintain(t, b)
		expectAll(t, c, "o", want...)
	}
}

func TestBroker_DoesNotCompactWhatWouldBeLost(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir(), MaintenanceEvery: time.Hour, CompactAtLeast: 1})
	c := config(t, b.Addr())
	cl := producer(t, c)
	spec := kafka.OffsetTopic("o", 1, -1)
	spec.Configs["retention.ms"] = "1000" // kfake would apply it, Kafka does not
	if _, err := kafka.EnsureTopics(t.Context(), cl, spec); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		produce(t, cl, &kgo.Record{Topic: "o", Key: fmt.Append(nil, i), Value: fmt.Append(nil, i), Timestamp: time.Now().Add(-time.Hour)})
	}
	maintain(t, b)
	expectAll(t, c, "o", "0", "1", "2")
}

func TestBroker_DeletesOldRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := kafka.BrokerConfig{DataDir: dir, MaintenanceEvery: time.Hour}
	b, stop := start(t, cfg)
	c := config(t, b.Addr())
	cl := producer(t, c)
	_, err := kafka.EnsureTopics(
		t.Context(), cl,
		kafka.TopicSpec{Name: "default", Partitions: 1, Replication: 1},
		kafka.TopicSpec{Name: "ever", Partitions: 1, Replication: 1, Configs: map[string]string{"retention.ms": "-1"}},
		kafka.TopicSpec{Name: "short", Partitions: 1, Replication: 1, Configs: map[string]string{"retention.ms": "1000"}},
		kafka.TopicSpec{Name: "small", Partitions: 1, Replication: 1, Configs: map[string]string{"retention.bytes": "3000000", "segment.bytes": "1000000"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	ages := map[string]time.Duration{"30 days": 720 * time.Hour, "8 days": 192 * time.Hour, "an hour": time.Hour, "now": 0}
	for _, age := range []string{"30 days", "8 days", "an hour", "now"} {
		for _, topic := range []string{"default", "ever", "short"} {
			produce(t, cl, &kgo.Record{Topic: topic, Value: []byte(age), Timestamp: time.Now().Add(-ages[age])})
		}
	}
	produce(t, cl, &kgo.Record{Topic: "short", Value: []byte("last"), Timestamp: time.Now().Add(-time.Hour)})
	for range 10 {
		produce(t, cl, &kgo.Record{Topic: "small", Value: make([]byte, 700_000)})
	}
	maintain(t, b)
	check := func(c kafka.Config) {
		t.Helper()
		expectAll(t, c, "default", "an hour", "now")
		expectAll(t, c, "ever", "30 days", "8 days", "an hour", "now")
		expectAll(t, c, "short", "now", "last") // in the order of the log
		if n := len(readAll(t, c, "small")); n < 4 || n > 6 {
			t.Errorf("%d records of 700 kB are left of 10, want about 3 MB in whole segments", n)
		}
	}
	check(c)
	stop()
	b, _ = start(t, cfg)
	c = config(t, b.Addr())
	check(c)

	// All too old: the last batch stays and with it the place in the offsets.
	cl = producer(t, c)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: "past", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		produce(t, cl, &kgo.Record{Topic: "past", Value: fmt.Append(nil, i), Timestamp: time.Now().Add(-ages["8 days"])})
	}
	maintain(t, b)
	expectAll(t, c, "past", "2")
}

// afterRead calls a function once, after the first answer to a request of a
// kind and before the one who asked has it.
type afterRead struct {
	key  kmsg.Key
	once sync.Once
	do   func()
}

func (a *afterRead) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(a.key) {
		a.once.Do(a.do)
	}
}

// Records that come while a partition is looked at for old ones are not old.
func TestBroker_KeepsWhatComesDuringRetention(t *testing.T) {
	t.Parallel()
	for _, old := range []int{0, 3} {
		b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir(), MaintenanceEvery: time.Hour})
		c := config(t, b.Addr())
		cl := producer(t, c)
		if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: "t", Partitions: 1, Replication: 1}); err != nil {
			t.Fatal(err)
		}
		for i := range old {
			produce(t, cl, &kgo.Record{Topic: "t", Value: fmt.Append(nil, "old ", i), Timestamp: time.Now().Add(-1000 * time.Hour)})
		}
		want := []string{"new 0", "new 1", "new 2"}
		during := &afterRead{key: kmsg.ListOffsets, do: func() {
			for _, v := range want {
				produce(t, cl, &kgo.Record{Topic: "t", Value: []byte(v)})
			}
		}}
		if err := b.MaintainOnce(t.Context(), kgo.WithHooks(during)); err != nil {
			t.Fatal(err)
		}
		if old > 0 {
			want = append([]string{fmt.Sprint("old ", old-1)}, want...) // the last batch that there was
		}
		expectAll(t, c, "t", want...)
	}
}

// What is compacted is written again without compression.
func TestBroker_DoesNotCompactWhatUnpacksTooLarge(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir(), MaintenanceEvery: time.Hour, CompactAtLeast: 1})
	b.CompactPartitionsUpTo(3_000_000)
	c := config(t, b.Addr(), "compression.type", "lz4")
	cl := producer(t, c)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.OffsetTopic("o", 1, -1)); err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		t.Helper()
		for range n {
			produce(t, cl, &kgo.Record{Topic: "o", Key: []byte("k"), Value: make([]byte, 900_000)})
		}
	}
	write(3)
	maintain(t, b)
	if n := len(readAll(t, c, "o")); n >= 3 {
		t.Errorf("%d records of one key are left of 3, want fewer", n)
	}
	write(4)
	n := len(readAll(t, c, "o"))
	maintain(t, b)
	if got := len(readAll(t, c, "o")); got != n {
		t.Errorf("%d records are left of %d, want them left alone", got, n)
	}
}

// Kafka refuses such names, the fake does not.
func TestRecover_KeepsTopicsWhateverTheirNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, _ := start(t, kafka.BrokerConfig{DataDir: dir})
	make1(t, config(t, b.Addr()), "a b/c")
	write(t, config(t, b.Addr()), "a b/c", "v")
	b, _ = start(t, kafka.BrokerConfig{DataDir: crashed(t, dir)})
	expectAll(t, config(t, b.Addr()), "a b/c", "v")
}
