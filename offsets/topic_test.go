package offsets_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/offsets/offsetstest"
	"github.com/penstock/penstock/schema"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func client(t *testing.T, cfg kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.NewProducer(t.Context(), cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func create(t *testing.T, cfg kafka.Config, topic string, partitions int32) *kgo.Client {
	t.Helper()
	cl := client(t, cfg)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.OffsetTopic(topic, partitions, -1)); err != nil {
		t.Fatal(err)
	}
	return cl
}

func openTopic(t *testing.T, cfg kafka.Config, topic string) *offsets.Topic {
	t.Helper()
	s, err := offsets.OpenTopic(t.Context(), cfg, topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustLoad(t *testing.T, s offsets.Store, connector, partition string) string {
	t.Helper()
	p, err := s.Load(t.Context(), connector, []byte(partition))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestTopic(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	// The group keeps the broker until the parallel tests of the suite ended.
	t.Run("suite", func(t *testing.T) {
		offsetstest.Run(t, func(t *testing.T) func() offsets.Store {
			topic := strings.ReplaceAll(t.Name(), "/", "-")
			create(t, cfg, topic, 3)
			return func() offsets.Store { return openTopic(t, cfg, topic) }
		})
	})
}

func TestTopic_OnKafka(t *testing.T) {
	t.Parallel()
	srv := servers.Kafka(t)
	cfg, err := kafka.ParseClient(map[string]string{"bootstrap.servers": srv.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("suite", func(t *testing.T) {
		offsetstest.Run(t, func(t *testing.T) func() offsets.Store {
			topic := srv.Topic(strings.ReplaceAll(t.Name(), "/", "-"))
			create(t, cfg, topic, 25)
			return func() offsets.Store { return openTopic(t, cfg, topic) }
		})
	})
}

func TestOpenTopic_SaysThatTopicIsMissing(t *testing.T) {
	t.Parallel()
	_, err := offsets.OpenTopic(t.Context(), broker(t), "nowhere")
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "offset.storage.topic=nowhere") {
		t.Errorf("OpenTopic = %v, want an error that names the setting", err)
	}
}

// recorded are the records that a real Kafka Connect 4.1.1 with Debezium
// 3.6.1 and FileStream connectors wrote to its offset topic.
func recorded(t *testing.T) (records []*kgo.Record) {
	t.Helper()
	f, err := os.Open("testdata/connect-offsets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // read only
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r struct {
			Key   string
			Value *string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		record := &kgo.Record{Key: []byte(r.Key)}
		if r.Value != nil {
			record.Value = []byte(*r.Value)
		}
		records = append(records, record)
	}
	if err := lines.Err(); err != nil || len(records) == 0 {
		t.Fatalf("read %d records: %v", len(records), err)
	}
	return records
}

func TestTopic_ReadsWhatConnectWrote(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	cl := create(t, cfg, "connect-offsets", 25)
	last := map[string]string{}
	for _, r := range recorded(t) {
		r.Topic = "connect-offsets"
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		last[string(r.Key)] = string(r.Value)
	}
	s := openTopic(t, cfg, "connect-offsets")
	for key, want := range last {
		var parts []json.RawMessage
		if err := json.Unmarshal([]byte(key), &parts); err != nil {
			t.Fatal(err)
		}
		var connector string
		if err := json.Unmarshal(parts[0], &connector); err != nil {
			t.Fatal(err)
		}
		if got := mustLoad(t, s, connector, string(parts[1])); got != want {
			t.Errorf("Load of %s = %s, want %s", key, got, want)
		}
		// What Penstock writes has to land on Connect's own key.
		r, err := new(offsets.Topic).Record(connector, parts[1], schema.Position(`{}`))
		if err != nil || string(r.Key) != key {
			t.Errorf("key of a new record = %s, %v, want %s", r.Key, err, key)
		}
	}
	entries, err := s.List(t.Context(), "cr-pg")
	if err != nil || len(entries) != 1 {
		t.Fatalf("List = %v, %v, want one entry", entries, err)
	}
	text, err := json.Marshal(entries[0])
	if want := `{"partition":{"server":"cr_pg"},"offset":` + last[`["cr-pg",{"server":"cr_pg"}]`] + `}`; err != nil || string(text) != want {
		t.Errorf("entry is %s, %v, want %s", text, err, want)
	}
}

// read returns the records of a topic in the order of their partitions.
func read(t *testing.T, cl *kgo.Client, topic string) (list []string) {
	t.Helper()
	err := kafka.NewLog(cl, topic).ReadToEnd(t.Context(), func(r *kgo.Record) error {
		value := "nil"
		if r.Value != nil {
			value = string(r.Value)
		}
		list = append(list, string(r.Key)+" "+value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTopic_WritesUnderTheKeyThatItRead(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	cl := create(t, cfg, "o", 1)
	foreign := `["a", {"database":"d", "server":"s"}]`
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "o", Key: []byte(foreign), Value: []byte(`{"pos":1}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s := openTopic(t, cfg, "o")
	ours := []byte(`{"server":"s","database":"d"}`)
	if err := s.Save(t.Context(), "a", ours, schema.Position(`{"pos":2}`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), `b"\`, []byte(`{ "server": "é<>" }`), schema.Position(`{"pos":3}`)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	want := []string{foreign + ` {"pos":1}`, foreign + ` {"pos":2}`, `["b\"\\",{"server":"é<>"}] {"pos":3}`, foreign + ` nil`}
	if got := read(t, cl, "o"); !slices.Equal(got, want) {
		t.Errorf("topic holds\n%q\nwant\n%q", got, want)
	}
}

// TestTopic_TakesTheNewestSpelling is about two programs that wrote the same
// partition under different texts: the one written last counts, wherever in
// the topic it is, and the next Save leaves only one.
func TestTopic_TakesTheNewestSpelling(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	cl := create(t, cfg, "o", 2)
	at := time.Now()
	write := func(key string, millis int, value string, partition int32) {
		t.Helper()
		r := &kgo.Record{Topic: "o", Key: []byte(key), Value: []byte(value), Timestamp: at.Add(time.Duration(millis) * time.Millisecond), Partition: partition}
		manual := client(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := manual.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	one, two := `["a",{"x":1,"y":2}]`, `["a",{"y":2,"x":1}]`
	write(one, 10, `{"pos":2}`, 1)
	write(two, 0, `{"pos":1}`, 0)
	s := openTopic(t, cfg, "o")
	if got := mustLoad(t, s, "a", `{"x":1,"y":2}`); got != `{"pos":2}` {
		t.Errorf("Load = %s, want the record with the later timestamp", got)
	}
	write(two, 20, `{"pos":3}`, 0)
	if got := mustLoad(t, s, "a", `{"x":1,"y":2}`); got != `{"pos":3}` {
		t.Errorf("Load = %s, want the record written since", got)
	}
	if err := s.Save(t.Context(), "a", []byte(`{"x":1,"y":2}`), schema.Position(`{"pos":4}`)); err != nil {
		t.Fatal(err)
	}
	got := read(t, cl, "o")
	if !slices.Contains(got, two+` {"pos":4}`) || !slices.Contains(got, one+` nil`) {
		t.Errorf("topic holds %q, want the position under %s and a tombstone under %s", got, two, one)
	}
	if got := mustLoad(t, s, "a", `{"x":1,"y":2}`); got != `{"pos":4}` {
		t.Errorf("Load = %s, want what was saved", got)
	}
}

func TestTopic_PassesOverWhatIsNoOffset(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	cl := create(t, cfg, "o", 1)
	for _, key := range []string{"", "x", `["a"]`, `["a",{},1]`, `[1,{}]`, `[null,{}]`, `["a",5]`, `{"a":1}`} {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "o", Key: []byte(key), Value: []byte(`{"pos":1}`)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*kgo.Record{
		{Topic: "o", Value: []byte(`{"pos":1}`)},
		{Topic: "o", Key: []byte(`["good",{}]`), Value: []byte(`{"pos":2}`)},
		{Topic: "o", Key: []byte(`["bad",{}]`), Value: []byte(`[1]`)},
		{Topic: "o", Key: []byte(`["gone",{}]`), Value: []byte(`null`)},
	} {
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := openTopic(t, cfg, "o")
	if got := mustLoad(t, s, "good", `{}`); got != `{"pos":2}` {
		t.Errorf("Load = %s, want the offset among the rest", got)
	}
	if got := mustLoad(t, s, "gone", `{}`); got != "" {
		t.Errorf("Load = %s, want nothing for null", got)
	}
	if _, err := s.Load(t.Context(), "bad", []byte(`{}`)); !errors.Is(err, offsets.ErrPosition) {
		t.Errorf("Load of an offset that is no object = %v, want ErrPosition", err)
	}
}

func TestTopic_SeesOnlyCommittedTransactions(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	create(t, cfg, "o", 1)
	s := openTopic(t, cfg, "o")
	part := []byte(`{"server":"s"}`)
	txn := client(t, cfg, kgo.TransactionalID("task"))
	inTransaction := func(position string, commit kgo.TransactionEndTry) {
		t.Helper()
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r, err := s.Record("a", part, schema.Position(position))
		if err != nil {
			t.Fatal(err)
		}
		if err := txn.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		// What it will lead to is not known yet.
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if p, err := s.Load(short, "a", part); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load inside the transaction = %s, %v, want it to wait", p, err)
		}
		if err := txn.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	inTransaction(`{"pos":1}`, kgo.TryCommit)
	if got := mustLoad(t, s, "a", string(part)); got != `{"pos":1}` {
		t.Errorf("Load after the commit = %s", got)
	}
	inTransaction(`{"pos":2}`, kgo.TryAbort)
	if got := mustLoad(t, s, "a", string(part)); got != `{"pos":1}` {
		t.Errorf("Load after the abort = %s, want the committed one", got)
	}
	if got := mustLoad(t, openTopic(t, cfg, "o"), "a", string(part)); got != `{"pos":1}` {
		t.Errorf("Load by a new Topic = %s, want the committed one", got)
	}
}

func TestTopic_ReadsALongTopicFromTheBeginning(t *testing.T) {
	t.Parallel()
	cfg := broker(t)
	cl := create(t, cfg, "o", 5)
	var records []*kgo.Record
	for i := range 20_000 {
		records = append(records, &kgo.Record{
			Topic: "o", Key: fmt.Appendf(nil, `["c%d",{"server":"s"}]`, i%50), Value: fmt.Appendf(nil, `{"pos":%d}`, i),
		})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s := openTopic(t, cfg, "o")
	for c := range 50 {
		if got, want := mustLoad(t, s, fmt.Sprint("c", c), `{"server":"s"}`), fmt.Sprintf(`{"pos":%d}`, 20_000-50+c); got != want {
			t.Errorf("Load of c%d = %s, want %s", c, got, want)
		}
	}
}
