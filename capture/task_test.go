package capture_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a converter whose output a test can read: values in brackets.
type text struct{}

func (text) Encoder(context.Context, string, *schema.Schema) (converters.Encoder, error) {
	return text{}, nil
}

func (text) Append(dst []byte, v schema.Value) ([]byte, error) {
	switch v.Kind() {
	case schema.KindStruct:
		dst = append(dst, '(')
		for i, e := range v.Elems() {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst, _ = text{}.Append(dst, e)
		}
		return append(dst, ')'), nil
	case schema.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case schema.KindString:
		return append(dst, v.Bytes()...), nil
	default:
		return append(dst, '-'), nil
	}
}

func (text) Decode(context.Context, string, []byte, *schema.Arena) (schema.Data, error) {
	return schema.Data{}, errors.New("not needed")
}

var (
	int64Schema = &schema.Schema{Type: schema.TypeInt64}
	source      = &schema.Schema{Type: schema.TypeStruct, Fields: []schema.Field{{Name: "n", Schema: int64Schema}}}
	numbers     = &schema.Table{Schema: "s", Name: "numbers", Key: []int{0}, Source: source, Columns: []schema.Column{{Name: "id", Schema: int64Schema}}}
)

// counter is a source whose log is the numbers from 1 to last; position n says
// that n is durable.
type counter struct {
	t               *testing.T
	next, last      int64
	confirmed       int64
	saved           func() int64
	failAt, closed  int
	batches, events int
}

func (c *counter) Next(ctx context.Context, b *schema.Batch) error {
	c.batches++
	if c.failAt > 0 && c.batches > c.failAt {
		return errors.New("connection lost")
	}
	if c.next > c.last {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	for n := rand.IntN(c.events + 1); n > 0 && c.next <= c.last; n-- {
		ev := b.Append()
		ev.Op, ev.Table, ev.Source, ev.After = schema.OpCreate, numbers, b.Row(1), b.Row(1)
		// Text goes through the arena, so that a batch reset too early shows.
		ev.After[0] = schema.String(b.Copy(strconv.AppendInt(nil, c.next, 10)))
		c.next++
	}
	b.End = position(c.next - 1)
	return nil
}

func (c *counter) Confirm(_ context.Context, p schema.Position) error {
	n := number(p)
	if n < c.confirmed {
		c.t.Errorf("confirmed %d after %d", n, c.confirmed)
	}
	if s := c.saved(); n > s {
		c.t.Errorf("I1: confirmed %d, saved %d", n, s)
	}
	c.confirmed = n
	return nil
}

func (c *counter) Close(context.Context) error { c.closed++; return nil }

func position(n int64) schema.Position { return schema.Position(fmt.Sprintf(`{"n":%d}`, n)) }

func number(p schema.Position) int64 {
	if p == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(p[5:len(p)-1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// memory keeps a position; acked, if set, tells how far the topic is.
type memory struct {
	mu sync.Mutex
	p  schema.Position
	t  *testing.T
}

func (m *memory) Load(context.Context) (schema.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p, nil
}

func (m *memory) Save(_ context.Context, p schema.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if number(p) < number(m.p) {
		m.t.Errorf("saved %s after %s", p, m.p)
	}
	m.p = p
	return nil
}

func (m *memory) n() int64 { p, _ := m.Load(context.Background()); return number(p) }

func cluster(t *testing.T, topics ...string) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerLinger(0), kgo.RecordRetries(2),
		kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func shape() capture.Shape {
	return capture.Shape{Naming: capture.Naming{Prefix: "p", Delimiter: "."}, Tombstones: true, Key: text{}, Value: text{}, KeyHeader: text{}}
}

// refuse makes the next produce request fail for good.
func refuse(c *kfake.Cluster, code int16) {
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req, ok := r.(*kmsg.ProduceRequest)
		if !ok {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse) //nolint:forcetypeassert // the request's own kind
		for _, rt := range req.Topics {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = rp.Partition, code
				topic.Partitions = append(topic.Partitions, partition)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
}

// consume reads a topic until enough says so.
func consume(t *testing.T, c *kfake.Cluster, topic string, enough func(*kgo.Record) bool) {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topic), kgo.FetchMaxWait(20*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s has less than expected", topic)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if enough(it.Next()) {
				return
			}
		}
	}
}

// endOffset returns the end of a topic of one partition.
func endOffset(t *testing.T, c *kfake.Cluster, topic string) int64 {
	t.Helper()
	cl := client(t, c)
	defer cl.Close()
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].Offset
}

// TestTask_LosesNothing stops the task, fails its source and has produce
// requests refused at random, starts it again from the saved position each
// time, and reads the topic in the end: no number is missing, one is
// repeated only after a restart, and the last of each in order.
func TestTask_LosesNothing(t *testing.T) {
	t.Parallel()
	const last = 30_000
	c := cluster(t, "p.s.numbers")
	mem := memory{t: t}
	runs, refusals, sourceErrors := 0, 0, 0
	for mem.n() < last {
		runs++
		if runs > 2000 {
			t.Fatalf("no progress beyond %d", mem.n())
		}
		if runs%3 == 0 {
			refuse(c, kerr.TopicAuthorizationFailed.Code)
		}
		src := &counter{t: t, last: last, events: 200, saved: mem.n}
		if runs%5 == 0 {
			src.failAt = 1 + rand.IntN(20)
		}
		cl := client(t, c)
		task := &capture.Task{
			Name: "x", Offsets: &mem, Kafka: cl, Shape: shape(), Logger: slog.New(slog.DiscardHandler),
			Batches: 4, Events: 200, SaveEvery: 2 * time.Millisecond,
			Open: func(_ context.Context, from schema.Position) (capture.Source, error) {
				src.next = number(from) + 1
				return src, nil
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rand.IntN(60))*time.Millisecond)
		var refused *capture.RefusedError
		switch err := task.Run(ctx); {
		case err == nil:
		case errors.As(err, &refused):
			refusals++
			if !errors.Is(err, kerr.TopicAuthorizationFailed) || !capture.IsPermanent(err) {
				t.Fatalf("a refused record ended in %v", err)
			}
		case src.failAt > 0:
			sourceErrors++
		default:
			t.Fatal(err)
		}
		if src.closed != 1 {
			t.Fatalf("the source was closed %d times", src.closed)
		}
		cancel()
		cl.Close()
	}
	end := endOffset(t, c, "p.s.numbers")
	// at is where each number stands last in the topic. What a consumer that
	// folds the topic ends with is decided by that.
	at := make([]int, last+1)
	var high int64
	total, gaps := 0, 0
	consume(t, c, "p.s.numbers", func(r *kgo.Record) bool {
		n, err := strconv.ParseInt(string(r.Key[1:len(r.Key)-1]), 10, 64)
		if err != nil {
			t.Fatalf("key %q: %v", r.Key, err)
		}
		if n > high+1 {
			gaps++
		}
		high = max(high, n)
		total++
		at[n] = total
		// The run that saved the last position published the last number
		// after all others.
		return r.Offset == end-1
	})
	for n := 1; n <= last; n++ {
		if at[n] == 0 {
			t.Fatalf("%d is missing", n)
		}
		if at[n] <= at[n-1] {
			t.Fatalf("%d was last published before %d", n, n-1)
		}
	}
	// Records already on their way when the broker refuses one before them may
	// overtake it; they are all published again, in order.
	if gaps > refusals {
		t.Errorf("%d gaps, but only %d refusals", gaps, refusals)
	}
	t.Logf("runs %d, refusals %d, source errors %d, repeated %d of %d", runs, refusals, sourceErrors, total-last, last)
	if refusals == 0 || sourceErrors == 0 {
		t.Error("no failure was injected")
	}
}

// script is a source that plays batches made by a test.
type script struct {
	batches []func(*schema.Batch)
	at      int
}

func (s *script) Next(ctx context.Context, b *schema.Batch) error {
	if s.at == len(s.batches) {
		<-ctx.Done()
		return ctx.Err()
	}
	s.batches[s.at](b)
	s.at++
	b.End = position(int64(s.at))
	return nil
}
func (s *script) Confirm(context.Context, schema.Position) error { return nil }
func (s *script) Close(context.Context) error                    { return nil }

func values(b *schema.Batch, vs ...schema.Value) schema.Row {
	r := b.Row(len(vs))
	copy(r, vs)
	return r
}

var pair = &schema.Table{
	Schema: "s", Name: "a b", Key: []int{0}, Source: source,
	Columns: []schema.Column{{Name: "id", Schema: int64Schema}, {Name: "v", Schema: int64Schema}},
}

var keyless = &schema.Table{Schema: "s", Name: "keyless", Source: source, Columns: pair.Columns}

// TestTask_WritesDebeziumsRecords checks what each kind of event becomes.
func TestTask_WritesDebeziumsRecords(t *testing.T) {
	t.Parallel()
	i := schema.Int
	for _, tc := range []struct {
		name  string
		table *schema.Table
		event func(*schema.Batch, *schema.Event)
		shape func(*capture.Shape)
		want  []string // key | before after op | headers
	}{
		{"read", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.After = schema.OpRead, values(b, i(1), i(2)) }, nil, []string{"(1)|- (1 2) r|h"}},
		{"create", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.After = schema.OpCreate, values(b, i(1), i(2)) }, nil, []string{"(1)|- (1 2) c|h"}},
		{"update", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.After = schema.OpUpdate, values(b, i(1), i(2)) }, nil, []string{"(1)|- (1 2) u|h"}},
		{"update with the old row", pair, func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), i(1)), values(b, i(1), i(2))
		}, nil, []string{"(1)|(1 1) (1 2) u|h"}},
		{"update of the key", pair, func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), schema.Value{}), values(b, i(9), i(2))
		}, nil, []string{"(1)|(1 -) - d|__debezium.newkey=(9) h", "(1)|tombstone|__debezium.newkey=(9) h", "(9)|- (9 2) c|__debezium.oldkey=(1) h"}},
		{"partial image after", pair, func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), schema.Absent()), values(b, schema.Absent(), i(2))
		}, nil, []string{"(1)|(1 -) (- 2) u|h"}},
		{"delete", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.Before = schema.OpDelete, values(b, i(1), i(2)) }, nil, []string{"(1)|(1 2) - d|h", "(1)|tombstone|h"}},
		{"delete without tombstones", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.Before = schema.OpDelete, values(b, i(1), i(2)) }, func(s *capture.Shape) { s.Tombstones = false }, []string{"(1)|(1 2) - d|h"}},
		{"delete without a key", keyless, func(b *schema.Batch, e *schema.Event) { e.Op, e.Before = schema.OpDelete, values(b, i(1), i(2)) }, nil, []string{"null|(1 2) - d|h", "null|tombstone|h"}},
		{"truncate", pair, func(_ *schema.Batch, e *schema.Event) { e.Op = schema.OpTruncate }, nil, []string{"null|- - t|h"}},
		{"truncate, skipped", pair, func(_ *schema.Batch, e *schema.Event) { e.Op = schema.OpTruncate }, func(s *capture.Shape) { s.Skip = []schema.Op{schema.OpTruncate} }, nil},
		{"key by message.key.columns", pair, func(b *schema.Batch, e *schema.Event) { e.Op, e.After = schema.OpCreate, values(b, i(1), i(2)) }, func(s *capture.Shape) {
			keys, err := capture.ParseKeyColumns("other:x;s\\.a b:V,id")
			if err != nil {
				t.Fatal(err)
			}
			s.Keys = keys
		}, []string{"(2 1)|- (1 2) c|h"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, "p.s.a_b", "p.s.keyless", "end")
			cl := client(t, c)
			defer cl.Close()
			mem := memory{t: t}
			sh := shape()
			sh.Headers = []kgo.RecordHeader{{Key: "h"}}
			if tc.shape != nil {
				tc.shape(&sh)
			}
			task := &capture.Task{
				Name: "x", Offsets: &mem, Kafka: cl, Shape: sh, Logger: slog.New(slog.DiscardHandler), SaveEvery: time.Millisecond,
				Open: func(context.Context, schema.Position) (capture.Source, error) {
					return &script{batches: []func(*schema.Batch){
						func(b *schema.Batch) { e := b.Append(); e.Table, e.Source = tc.table, values(b, i(5)); tc.event(b, e) },
						func(b *schema.Batch) {
							b.Append().Record = &schema.Record{Topic: "end", Value: schema.Data{Schema: int64Schema, Value: i(1)}}
						},
					}}, nil
				},
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- task.Run(ctx) }()
			consume(t, c, "end", func(*kgo.Record) bool { return true })
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if mem.n() != 2 {
				t.Errorf("saved %d, want 2", mem.n())
			}
			topic := map[*schema.Table]string{pair: "p.s.a_b", keyless: "p.s.keyless"}[tc.table]
			if len(tc.want) == 0 {
				if n := endOffset(t, c, topic); n != 0 {
					t.Errorf("%d records were written", n)
				}
				return
			}
			var got []string
			consume(t, c, topic, func(r *kgo.Record) bool { got = append(got, render(t, r)); return len(got) == len(tc.want) })
			for n := range tc.want {
				if got[n] != tc.want[n] {
					t.Errorf("record %d is %s, want %s", n, got[n], tc.want[n])
				}
			}
		})
	}
}

func render(t *testing.T, r *kgo.Record) string {
	t.Helper()
	key, value, headers := "null", "tombstone", ""
	if r.Key != nil {
		key = string(r.Key)
	}
	if r.Value != nil {
		fields := splitStruct(string(r.Value))
		if len(fields) != 8 {
			t.Fatalf("envelope %s has %d fields", r.Value, len(fields))
		}
		ms, err := strconv.ParseInt(fields[5], 10, 64)
		if err != nil || fields[6][:len(fields[5])] != fields[5] || time.Since(time.UnixMilli(ms)) > time.Minute {
			t.Errorf("times %s %s %s", fields[5], fields[6], fields[7])
		}
		if fields[2] != "(5)" || fields[3] != "-" {
			t.Errorf("source %s, transaction %s", fields[2], fields[3])
		}
		value = fields[0] + " " + fields[1] + " " + fields[4]
	}
	for i, h := range r.Headers {
		if i > 0 {
			headers += " "
		}
		headers += h.Key
		if h.Value != nil {
			headers += "=" + string(h.Value)
		}
	}
	return key + "|" + value + "|" + headers
}

// splitStruct splits "(a (b c) d)" into its fields.
func splitStruct(s string) []string {
	var fields []string
	depth, from := 0, 1
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 1 && r == ' ' || depth == 0 {
			fields = append(fields, s[from:i])
			from = i + 1
		}
	}
	return fields
}

// chatter is a source that always has an event.
type chatter struct {
	next     int64
	confirms chan schema.Position
}

func (c *chatter) Next(_ context.Context, b *schema.Batch) error {
	ev := b.Append()
	ev.Op, ev.Table, ev.Source, ev.After = schema.OpCreate, numbers, b.Row(1), b.Row(1)
	c.next++
	ev.After[0] = schema.Int(c.next)
	b.End = position(c.next)
	return nil
}

func (c *chatter) Confirm(ctx context.Context, p schema.Position) error {
	select {
	case c.confirms <- p:
	case <-ctx.Done():
	}
	return nil
}

func (c *chatter) Close(context.Context) error { return nil }

func TestTask_KeepsASourceAliveThatHasNoPositionYet(t *testing.T) {
	t.Parallel()
	c := cluster(t, "p.s.numbers")
	release := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	cl := client(t, c)
	defer cl.Close()
	src := &chatter{confirms: make(chan schema.Position)}
	task := &capture.Task{
		Name: "x", Offsets: &memory{t: t}, Kafka: cl, Shape: shape(), Logger: slog.New(slog.DiscardHandler), Batches: 2, SaveEvery: time.Millisecond,
		Open: func(context.Context, schema.Position) (capture.Source, error) { return src, nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- task.Run(ctx) }()
	next := func() schema.Position {
		select {
		case p := <-src.confirms:
			return p
		case <-time.After(20 * time.Second):
			t.Fatal("the source hears nothing")
			return nil
		}
	}
	for range 5 {
		if p := next(); p != nil {
			t.Fatalf("%s was confirmed while nothing was acknowledged", p)
		}
	}
	close(release)
	for next() == nil { // then the task is as any other
	}
	cancel()
	for {
		select {
		case <-src.confirms:
			continue
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

func TestTask_HeartbeatsWhileIdle(t *testing.T) {
	t.Parallel()
	c := cluster(t, "__debezium-heartbeat.p", "p.s.numbers")
	cl := client(t, c)
	defer cl.Close()
	mem := memory{t: t}
	sh := shape()
	sh.Naming.HeartbeatPrefix = "__debezium-heartbeat"
	task := &capture.Task{
		Name: "x", Offsets: &mem, Kafka: cl, Shape: sh, Logger: slog.New(slog.DiscardHandler), HeartbeatEvery: 5 * time.Millisecond,
		Open: func(context.Context, schema.Position) (capture.Source, error) {
			return &counter{t: t, next: 1, saved: mem.n}, nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- task.Run(ctx) }()
	beats := 0
	consume(t, c, "__debezium-heartbeat.p", func(r *kgo.Record) bool {
		if string(r.Key) != "(p)" {
			t.Errorf("key %q", r.Key)
		}
		beats++
		return beats == 3
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestTask_ActsWithHeartbeats calls the action on, though it fails.
func TestTask_ActsWithHeartbeats(t *testing.T) {
	t.Parallel()
	cl := client(t, cluster(t, "__debezium-heartbeat.p", "p.s.numbers"))
	defer cl.Close()
	mem := memory{t: t}
	sh := shape()
	sh.Naming.HeartbeatPrefix = "__debezium-heartbeat"
	calls := make(chan struct{})
	task := &capture.Task{
		Name: "x", Offsets: &mem, Kafka: cl, Shape: sh, Logger: slog.New(slog.DiscardHandler), HeartbeatEvery: time.Millisecond,
		HeartbeatAction: func(ctx context.Context) error {
			select {
			case calls <- struct{}{}:
			case <-ctx.Done():
			}
			return errors.New("the table is locked")
		},
		Open: func(context.Context, schema.Position) (capture.Source, error) {
			return &counter{t: t, next: 1, saved: mem.n}, nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- task.Run(ctx) }()
	for range 3 {
		<-calls
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// identified is a table whose log has only the column id of old rows; v is
// stood in for.
var identified = &schema.Table{
	Schema: "s", Name: "a b", Key: []int{0}, Source: source,
	Columns: []schema.Column{{Name: "id", Schema: int64Schema}, {Name: "v", Schema: int64Schema, Unlogged: true}},
}

func TestTask_FailsAtARowWithoutItsKey(t *testing.T) {
	t.Parallel()
	i := schema.Int
	minimal := &schema.Table{Database: "shop", Name: "a b", Key: []int{0}, Source: source, Columns: pair.Columns}
	for _, tc := range []struct {
		name  string
		table *schema.Table
		keys  string // message.key.columns
		event func(*schema.Batch, *schema.Event)
		want  string // the error's text; none if there is a key
	}{
		{"update without a key", pair, "", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.After = schema.OpUpdate, values(b, schema.Absent(), i(1))
		}, `event of table s.a b: the log does not have the row's column id, which is part of its key. Run ALTER TABLE "s"."a b" REPLICA IDENTITY FULL`},
		{"delete, identified by another column", identified, ".*:v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before = schema.OpDelete, values(b, i(1), i(0))
		}, `event of table s.a b: the log does not have the row's column v, which is part of its key. Run ALTER TABLE "s"."a b" REPLICA IDENTITY FULL`},
		{"delete, identified by a part", identified, ".*:id,v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before = schema.OpDelete, values(b, i(1), i(0))
		}, "column v"},
		{"update that moves a part", identified, ".*:id,v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), i(0)), values(b, i(2), i(7))
		}, "column v"},
		{"update of an unchanged large value", identified, ".*:v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), i(0)), values(b, i(2), schema.Absent())
		}, "column v"},
		{"delete with a minimal image", minimal, ".*:v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before = schema.OpDelete, values(b, i(1), schema.Absent())
		}, "event of table shop.a b: the log does not have the row's column v, which is part of its key. Run SET GLOBAL binlog_row_image = FULL"},
		{"update that moves the primary key only", identified, ".*:v", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before, e.After = schema.OpUpdate, values(b, i(1), i(0)), values(b, i(2), i(7))
		}, ""},
		{"delete, identified by the key", identified, "", func(b *schema.Batch, e *schema.Event) {
			e.Op, e.Before = schema.OpDelete, values(b, i(1), i(0))
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, "p.s.a_b", "p.shop.a_b")
			cl := client(t, c)
			defer cl.Close()
			mem := memory{t: t}
			sh := shape()
			var err error
			if sh.Keys, err = capture.ParseKeyColumns(tc.keys); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			task := &capture.Task{
				Name: "x", Offsets: &mem, Kafka: cl, Shape: sh, Logger: slog.New(slog.DiscardHandler), SaveEvery: time.Millisecond,
				Observer: capture.Observer{Saved: func(schema.Position) { cancel() }},
				Open: func(context.Context, schema.Position) (capture.Source, error) {
					return &script{batches: []func(*schema.Batch){
						func(b *schema.Batch) { e := b.Append(); e.Table, e.Source = tc.table, values(b, i(5)); tc.event(b, e) },
					}}, nil
				},
			}
			err = task.Run(ctx)
			if tc.want == "" {
				if err != nil || mem.n() != 1 {
					t.Errorf("position %d: %v", mem.n(), err)
				}
				return
			}
			if !capture.IsPermanent(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
			if mem.n() != 0 {
				t.Error("the position was passed")
			}
		})
	}
}

// wordy makes records that are many times as large as the rows, as JSON with
// its schemas is.
type wordy struct{ text }

func (wordy) Encoder(context.Context, string, *schema.Schema) (converters.Encoder, error) {
	return wordy{}, nil
}

func (wordy) Append(dst []byte, v schema.Value) ([]byte, error) {
	dst, err := text{}.Append(dst, v)
	return append(dst, make([]byte, 8000)...), err
}

// eager is a source that fills every batch.
type eager struct {
	counter
	sizes []int
}

func (e *eager) Next(ctx context.Context, b *schema.Batch) error {
	for !b.Full() && e.next <= e.last {
		e.events = 1
		if err := e.counter.Next(ctx, b); err != nil {
			return err
		}
	}
	if n := len(b.Events); n > 0 {
		e.sizes = append(e.sizes, n)
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestTask_FitsBatchesToTheirRecords bounds what a ring of batches holds.
func TestTask_FitsBatchesToTheirRecords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		value       converters.Converter
		least, most int // events of the largest batch
	}{
		{"small records", text{}, schema.DefaultBatchEvents, schema.DefaultBatchEvents},
		{"large records", wordy{}, 100, 150},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fitsBatches(t, tc.value, tc.least, tc.most)
		})
	}
}

func fitsBatches(t *testing.T, value converters.Converter, least, most int) {
	t.Helper()
	const last = 10_000
	c := cluster(t, "p.s.numbers")
	cl := client(t, c)
	defer cl.Close()
	mem := memory{t: t}
	src := &eager{counter: counter{t: t, next: 1, last: last, saved: mem.n}}
	sh := shape()
	sh.Value = value
	ctx, cancel := context.WithCancel(t.Context())
	var acked []int
	records := 0
	task := &capture.Task{
		Name: "x", Offsets: &mem, Kafka: cl, Shape: sh, Logger: slog.New(slog.DiscardHandler), Batches: 4, SaveEvery: time.Millisecond,
		Observer: capture.Observer{Acked: func(n, bytes int) {
			acked = append(acked, bytes)
			if records += n; records == last {
				cancel()
			}
		}},
		Open: func(context.Context, schema.Position) (capture.Source, error) { return src, nil },
	}
	if err := task.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := src.sizes[0]; n != schema.FirstBatchEvents {
		t.Errorf("the first batch had %d events, want %d", n, schema.FirstBatchEvents)
	}
	if n := slices.Max(src.sizes); n < least || n > most {
		t.Errorf("the largest batch had %d events, want %d to %d", n, least, most)
	}
	if n := slices.Max(acked); n > 1<<20+1<<18 {
		t.Errorf("a batch had %d bytes of records, want no more than about a MiB", n)
	}
}
