package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

func TestTask_AppliesAndCommits(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 2)
	b.Produce(0, sinkstest.Numbered("a", 1000)...)
	b.Produce(1, sinkstest.Numbered("b", 500)...)
	m, stats := newMemory(), &sinks.Stats{}
	var latencies atomic.Int64
	stats.Latency = func(d time.Duration) {
		if d < 0 || d > time.Hour {
			t.Errorf("latency %v", d)
		}
		latencies.Add(1)
	}
	task := b.Task(m, stats)
	task.MaxRecords = 100
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "all rows", func() bool { return m.len() == 1500 })
	sinkstest.Eventually(t, "the commit while it runs", func() bool { return b.Committed(0) == 1000 && b.Committed(1) == 500 })
	if lag := stats.Lag.Load(); lag != 0 {
		t.Errorf("lag %d, want 0", lag)
	}
	if n := stats.Partitions.Load(); n != 2 {
		t.Errorf("%d partitions, want 2", n)
	}
	b.Produce(0, sinkstest.Record("last", "x"))
	sinkstest.Eventually(t, "the last row", func() bool { return m.row("last") == "x" })
	r.Stops()
	if at := b.Committed(0); at != 1001 {
		t.Errorf("committed %d after the stop, want 1001", at)
	}
	sinkstest.Balanced(t, stats)
	if n := stats.Applied.Load(); n != 1501 || latencies.Load() != n {
		t.Errorf("applied %d with %d latencies, want 1501", n, latencies.Load())
	}
	if n := stats.Partitions.Load(); n != 0 {
		t.Errorf("%d partitions after the end, want 0", n)
	}
	if m.closed != 1 {
		t.Errorf("the sink was closed %d times", m.closed)
	}
}

func TestTask_FollowsARegex(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("k", "v"))
	m := newMemory()
	task := b.Task(m, nil)
	// Java's matches: the whole name.
	task.Topics, task.TopicsRegex = nil, strings.TrimSuffix(b.Topic, "in")+"i.|nothing"
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the row", func() bool { return m.row("k") == "v" })
	r.Stops()
}

func TestTask_EndsAtABadRecordUnderToleranceNone(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]struct {
		value string
		stage string
		class string
		write func(m *memory) func(context.Context, []schema.Record) error
	}{
		"Conversion": {value: "{", stage: sinks.StageValueConverter, class: "value.Class"},
		"Delivery": {value: `"poison"`, stage: sinks.StagePut, class: "org.apache.kafka.connect.sink.SinkTask", write: func(m *memory) func(context.Context, []schema.Record) error {
			return func(_ context.Context, records []schema.Record) error {
				return m.failing(records, func(r *schema.Record) *sinks.RecordError {
					if text(r.Value) == "poison" {
						return &sinks.RecordError{Err: errors.New("refused for good")}
					}
					return nil
				})
			}
		}},
		"Bisected": {value: `"poison"`, stage: sinks.StagePut, class: "org.apache.kafka.connect.sink.SinkTask", write: func(m *memory) func(context.Context, []schema.Record) error {
			return refuseBatchesWith(m, "poison")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPipeline(t, 1)
			b.Produce(0, sinkstest.Record("a", `"1"`), sinkstest.Record("b", `"2"`), sinkstest.Record("c", script.value), sinkstest.Record("d", `"4"`), sinkstest.Record("a", `"5"`))
			m, stats := newMemory(), &sinks.Stats{}
			task := b.Task(m, stats)
			task.Value = sinkstest.Converter(t, "json", map[string]string{"schemas.enable": "false"}, false)
			task.Errors.DLQ, task.Errors.DLQReplication = b.Topic+".dlq", 1
			if script.write != nil {
				m.onWrite = script.write(m)
			}
			err := sinkstest.Start(t, task).Ends()
			var f *sinks.RecordFailure
			if !errors.As(err, &f) || !sinks.IsPermanent(err) {
				t.Fatalf("Run: %v, want a permanent *RecordFailure", err)
			}
			if f.Topic != b.Topic || f.Partition != 0 || f.Offset != 2 || f.Stage != script.stage || f.Class != script.class {
				t.Errorf("failure %+v, want offset 2 in stage %s of %s", f, script.stage, script.class)
			}
			for _, want := range []string{b.Topic, "partition 0", "offset 2", script.stage} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q does not name %s", err, want)
				}
			}
			if first, _, _ := strings.Cut(f.Trace(), "\n"); !strings.HasPrefix(first, "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler") || !strings.Contains(f.Trace(), "\nCaused by: ") {
				t.Errorf("trace %q has not the shape of Kafka Connect's", f.Trace())
			}
			if at := b.Committed(0); at != 2 {
				t.Errorf("committed %d, want 2: the bad record is not passed and what was before it is", at)
			}
			if m.row("a") == "" || m.row("b") != "2" {
				t.Errorf("the rows before are %v", m.rows)
			}
			if n := b.End(task.Errors.DLQ); n > 0 {
				t.Errorf("%d records in the dead letter queue, want none under tolerance none", n)
			}
			sinkstest.Balanced(t, stats)

			// Once the cause is gone a restart continues, with nothing lost.
			m.onWrite = nil
			task.Value = sinkstest.Converter(t, "string", nil, false)
			r := sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the rest", func() bool { return m.row("d") == `"4"` && m.row("a") == `"5"` })
			r.Stops()
			if got := m.row("c"); got != script.value {
				t.Errorf("row c is %q after the restart, want %q", got, script.value)
			}
		})
	}
}

// refuseBatchesWith refuses every batch that holds a poisonous value, without
// saying which record it is, and without having applied any.
func refuseBatchesWith(m *memory, poison string) func(context.Context, []schema.Record) error {
	return func(_ context.Context, records []schema.Record) error {
		for i := range records {
			if text(records[i].Value) == poison {
				return sinks.Refused(errors.New("some record is refused"))
			}
		}
		m.apply(records...)
		return nil
	}
}

func TestTask_IsolatesBadRecords(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	const n = 1000
	bad := map[int]bool{0: true, 7: true, 8: true, 500: true, 999: true}
	var records []*kgo.Record
	for i := range n {
		v := fmt.Sprint(i)
		if bad[i] {
			v = "poison"
		}
		records = append(records, sinkstest.Record(fmt.Sprintf("k%d", i), v))
	}
	b.Produce(0, records...)
	m, stats := newMemory(), &sinks.Stats{}
	m.onWrite = refuseBatchesWith(m, "poison")
	task := b.Task(m, stats)
	task.MaxRecords = n
	task.Errors.TolerateAll, task.Errors.DLQ, task.Errors.DLQReplication = true, b.Topic+".dlq", 1
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == n })
	r.Stops()
	for i := range n {
		want := []string{fmt.Sprint(i)}
		if bad[i] {
			want = nil
		}
		if got := m.of(fmt.Sprintf("k%d", i)); !slices.Equal(got, want) {
			t.Errorf("k%d was applied as %q, want %q", i, got, want)
		}
	}
	letters := b.Read(task.Errors.DLQ, len(bad))
	var keys []string
	for _, k := range letters {
		keys = append(keys, string(k.Key))
	}
	if want := []string{"k0", "k7", "k8", "k500", "k999"}; !slices.Equal(keys, want) {
		t.Errorf("dead letters %q, want %q in the order of the log", keys, want)
	}
	if got := stats.DeadLettered.Load(); got != 5 {
		t.Errorf("dead-lettered %d, want 5", got)
	}
	// k·2·log2(n) for k bad ones among n.
	if m.writes > 5*2*10+2 {
		t.Errorf("%d writes to isolate 5 of %d records", m.writes, n)
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_WaitsForADestinationThatIsDown(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Numbered("k", 50)...)
	m, stats := newMemory(), &sinks.Stats{}
	var opens, fails int
	m.onOpen = func() error {
		if opens++; opens < 3 {
			return errors.New("connection refused")
		}
		return nil
	}
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		if fails++; fails <= 3 {
			return errors.New("connection lost")
		}
		m.apply(records...)
		return nil
	}
	task := b.Task(m, stats)
	task.Errors.TolerateAll, task.Errors.DLQ, task.Errors.DLQReplication = true, b.Topic+".dlq", 1
	var mu sync.Mutex
	var said []string
	task.Waiting = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprint(err))
	}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "all rows", func() bool { return m.len() == 50 })
	r.Stops()
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"open the destination: connection refused", "open the destination: connection refused", "<nil>",
		"connection lost", "connection lost", "connection lost", "<nil>",
	}
	if !slices.Equal(said, want) {
		t.Errorf("it said %q, want %q", said, want)
	}
	if n := stats.DeadLettered.Load() + stats.Errors.Load(); n != 0 || b.End(task.Errors.DLQ) > 0 {
		t.Errorf("an outage made %d dead letters", n)
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_PermanentErrorsEndIt(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("k", "v"))
	refused := errors.New("wrong password")
	m := newMemory()
	m.onOpen = func() error { return sinks.Permanent(refused) }
	if err := sinkstest.Start(t, b.Task(m, nil)).Ends(); !sinks.IsPermanent(err) || !errors.Is(err, refused) {
		t.Errorf("Run: %v, want the permanent error of Open", err)
	}
	m.onOpen = nil
	m.onWrite = func(context.Context, []schema.Record) error { return sinks.Permanent(refused) }
	if err := sinkstest.Start(t, b.Task(m, nil)).Ends(); !sinks.IsPermanent(err) || !errors.Is(err, refused) {
		t.Errorf("Run: %v, want the permanent error of Write", err)
	}
	if at := b.Committed(0); at > 0 {
		t.Errorf("committed %d, want nothing", at)
	}
}

func TestTask_KeepsTheOrderOfAKeyWhileItRetries(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	var records []*kgo.Record
	for i := range 40 {
		records = append(records, sinkstest.Record(fmt.Sprintf("k%d", i%4), fmt.Sprint(i)))
	}
	b.Produce(0, records...)
	m, stats := newMemory(), &sinks.Stats{}
	tries := map[string]int{}
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		held := map[string]bool{}
		return m.failing(records, func(r *schema.Record) *sinks.RecordError {
			k, v := text(r.Key), text(r.Value)
			if held[k] {
				return &sinks.RecordError{Err: sinks.ErrHeldBack, Retriable: true}
			}
			if tries[v]++; (k == "k1" || k == "k2") && tries[v] <= 2 {
				held[k] = true
				return &sinks.RecordError{Err: errors.New("locked"), Retriable: true}
			}
			return nil
		})
	}
	task := b.Task(m, stats)
	task.MaxRecords = 7
	task.Errors.RetryTimeout = -1
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == 40 })
	r.Stops()
	for k := range 4 {
		var want []string
		for i := k; i < 40; i += 4 {
			want = append(want, fmt.Sprint(i))
		}
		if got := m.of(fmt.Sprintf("k%d", k)); !slices.Equal(got, want) {
			t.Errorf("k%d was applied as %q, want %q", k, got, want)
		}
	}
	if stats.Retries.Load() == 0 {
		t.Error("no retries were counted")
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_GivesUpARecordAfterTheRetryTimeout(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("a", "locked"), sinkstest.Record("a", "later"), sinkstest.Record("b", "fine"))
	m, stats := newMemory(), &sinks.Stats{}
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		held := map[string]bool{}
		return m.failing(records, func(r *schema.Record) *sinks.RecordError {
			switch k := text(r.Key); {
			case held[k]:
				return &sinks.RecordError{Err: sinks.ErrHeldBack, Retriable: true}
			case text(r.Value) == "locked":
				held[k] = true
				return &sinks.RecordError{Err: errors.New("locked"), Retriable: true}
			default:
				return nil
			}
		})
	}
	task := b.Task(m, stats)
	task.Errors = sinks.Errors{TolerateAll: true, RetryTimeout: 30 * time.Millisecond, RetryDelayMax: 5 * time.Millisecond}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == 3 })
	r.Stops()
	// What was held back behind it is no failure of its own.
	if got := m.of("a"); !slices.Equal(got, []string{"later"}) {
		t.Errorf("a was applied as %q, want only what came after the record given up", got)
	}
	if stats.Skipped.Load() != 1 || stats.Applied.Load() != 2 || stats.Retries.Load() == 0 {
		t.Errorf("skipped %d, applied %d, retries %d; want 1, 2 and some", stats.Skipped.Load(), stats.Applied.Load(), stats.Retries.Load())
	}
	sinkstest.Balanced(t, stats)
}

// TestTask_PassesWhatASinkDrops has a sink whose own settings leave a record
// out: that is neither applied nor a failure, whatever errors.tolerance says.
func TestTask_PassesWhatASinkDrops(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		b := newPipeline(t, 1)
		b.Produce(0, sinkstest.Record("a", "1"), sinkstest.Record("b", "dropped"), sinkstest.Record("c", "3"))
		m, stats := newMemory(), &sinks.Stats{}
		m.onWrite = func(_ context.Context, records []schema.Record) error {
			return m.failing(records, func(r *schema.Record) *sinks.RecordError {
				if text(r.Value) == "dropped" {
					return &sinks.RecordError{Err: errPoison, Dropped: true}
				}
				return nil
			})
		}
		task := b.Task(m, stats)
		task.Errors = sinks.Errors{TolerateAll: all, DLQ: b.Topic + ".dlq", DLQReplication: 1}
		r := sinkstest.Start(t, task)
		sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == 3 })
		r.Stops()
		if m.len() != 2 || stats.Applied.Load() != 2 || stats.Skipped.Load() != 1 || b.End(task.Errors.DLQ) != 0 {
			t.Errorf("rows %v, applied %d, skipped %d, %d letters; want 2 rows, one skipped", m.rows, stats.Applied.Load(), stats.Skipped.Load(), b.End(task.Errors.DLQ))
		}
		sinkstest.Balanced(t, stats)
	}
}

func TestTask_FinishesTheWriteThatRunsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Numbered("k", 10)...)
	m, stats := newMemory(), &sinks.Stats{}
	began, goOn := make(chan struct{}), make(chan struct{})
	m.onWrite = func(ctx context.Context, records []schema.Record) error {
		close(began)
		select {
		case <-goOn:
		case <-ctx.Done():
			return ctx.Err()
		}
		m.apply(records...)
		return nil
	}
	r := sinkstest.Start(t, b.Task(m, stats))
	<-began
	r.Cancel()
	close(goOn)
	r.Stops()
	if m.len() != 10 || b.Committed(0) != 10 {
		t.Errorf("%d rows, committed %d; want 10 of both", m.len(), b.Committed(0))
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_CutsAWriteThatOutlastsTheStop(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Numbered("k", 10)...)
	m, stats := newMemory(), &sinks.Stats{}
	began := make(chan struct{})
	m.onWrite = func(ctx context.Context, _ []schema.Record) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}
	task := b.Task(m, stats)
	task.StopTimeout = 100 * time.Millisecond
	r := sinkstest.Start(t, task)
	<-began
	r.Stops()
	if at := b.Committed(0); at > 0 {
		t.Errorf("committed %d, want nothing", at)
	}
	sinkstest.Balanced(t, stats)
	if n := stats.Abandoned.Load(); n != 10 {
		t.Errorf("abandoned %d, want 10", n)
	}
}

// TestTask_CommitsWhereItBegins stops a task before a partition has a record:
// with auto.offset.reset=latest, what arrives meanwhile must not be passed
// over.
func TestTask_CommitsWhereItBegins(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 2)
	b.Produce(0, sinkstest.Record("before", "x"))
	m := newMemory()
	task := b.Task(m, nil)
	consumer := task.Consumer
	task.Consumer = func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
		return consumer(ctx, append(opts, kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()))...)
	}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit of the ends", func() bool { return b.Committed(0) == 1 && b.Committed(1) == 0 })
	r.Stops()
	b.Produce(0, sinkstest.Record("meanwhile", "0"))
	b.Produce(1, sinkstest.Record("meanwhile too", "1"))
	r = sinkstest.Start(t, task)
	sinkstest.Eventually(t, "what arrived meanwhile", func() bool { return m.row("meanwhile") == "0" && m.row("meanwhile too") == "1" })
	r.Stops()
	if m.len() != 2 {
		t.Errorf("%d rows; latest begins after those that were there", m.len())
	}
}

// TestTask_FailsWithoutAnOffsetIfItMayNotChooseOne is auto.offset.reset=none.
func TestTask_FailsWithoutAnOffsetIfItMayNotChooseOne(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("before", "x"))
	m := newMemory()
	task := b.Task(m, nil)
	c, err := kafka.ParseClient(map[string]string{"bootstrap.servers": servers.Kafka(t).Brokers()[0], "auto.offset.reset": "none"})
	if err != nil {
		t.Fatal(err)
	}
	consumer := task.Consumer
	task.Consumer = func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
		return consumer(ctx, append(opts, c.ConsumerOptions()...)...)
	}
	err = sinkstest.Start(t, task).Ends()
	if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "auto.offset.reset") {
		t.Errorf("the task ends with %v", err)
	}
	if m.len() != 0 || b.Committed(0) > 0 {
		t.Errorf("%d rows, committed %d", m.len(), b.Committed(0))
	}
}
