package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestTask_HandsPartitionsOverAfterTheWriteThatRuns lets a second task join
// while the first one writes: the second must not begin with a partition
// before the first has ended with it.
func TestTask_HandsPartitionsOverAfterTheWriteThatRuns(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 2)
	b.Produce(0, sinkstest.Numbered("a", 20)...)
	b.Produce(1, sinkstest.Numbered("b", 20)...)
	m, stats := newMemory(), &sinks.Stats{}
	began, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		once.Do(func() {
			close(began)
			<-goOn
		})
		m.apply(records...)
		return nil
	}
	first := sinkstest.Start(t, b.Task(m, stats))
	<-began
	task := b.Task(m, stats)
	task.ID = 1
	second := sinkstest.Start(t, task)
	// The group waits for the first task, which waits for its Write.
	sinkstest.Eventually(t, "the rebalance", func() bool { return stats.Partitions.Load() == 0 })
	close(goOn)
	sinkstest.Eventually(t, "the second task's partition", func() bool { return stats.Partitions.Load() == 2 && b.Committed(0) == 20 && b.Committed(1) == 20 })
	b.Produce(0, sinkstest.Record("x", "1"))
	b.Produce(1, sinkstest.Record("y", "1"))
	sinkstest.Eventually(t, "both tasks' rows", func() bool { return m.row("x") == "1" && m.row("y") == "1" })
	second.Stops()
	b.Produce(0, sinkstest.Record("x", "2"))
	b.Produce(1, sinkstest.Record("y", "2"))
	sinkstest.Eventually(t, "the first task's rows", func() bool { return m.row("x") == "2" && m.row("y") == "2" })
	first.Stops()
	for i := range 20 {
		for _, prefix := range []string{"a", "b"} {
			if got := m.of(fmt.Sprint(prefix, i)); len(got) != 1 {
				t.Errorf("%s%d was applied %d times, want once: the hand-over was in order", prefix, i, len(got))
			}
		}
	}
	sinkstest.Balanced(t, stats)
}

// TestTask_LosesNothing runs a history through tasks that come and go, over a
// destination that fails in every way, and compares the end with the log's.
func TestTask_LosesNothing(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const partitions, keys, events = 3, 30, 3000
	b := newPipeline(t, partitions)
	m, stats := newMemory(), &sinks.Stats{}

	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	m.onWrite = func(ctx context.Context, records []schema.Record) error {
		switch roll(6) {
		case 0:
			for _, r := range records[:roll(len(records)+1)] {
				if text(r.Value) != "poison" { // which is never applied
					m.apply(r)
				}
			}
			return errors.New("connection lost in the middle")
		case 1:
			held := map[string]bool{}
			return m.failing(records, func(r *schema.Record) *sinks.RecordError {
				switch k := text(r.Key); {
				case held[k]:
					return &sinks.RecordError{Err: sinks.ErrHeldBack, Retriable: true}
				case text(r.Value) == "poison":
					return &sinks.RecordError{Err: errPoison}
				case roll(10) == 0:
					held[k] = true
					return &sinks.RecordError{Err: errors.New("locked"), Retriable: true}
				}
				return nil
			})
		default:
			return refuseBatchesWith(m, "poison")(ctx, records)
		}
	}

	// The tasks come and go while the records come.
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for id := range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				task := b.Task(m, stats)
				task.ID, task.MaxRecords = id, 1+roll(200)
				task.Errors = sinks.Errors{TolerateAll: true, RetryTimeout: -1, RetryDelayMax: time.Millisecond, DLQ: b.Topic + ".dlq", DLQReplication: 1}
				task.StopTimeout = 100 * time.Millisecond
				stop, ended := context.WithTimeout(ctx, time.Duration(500+roll(3000))*time.Millisecond)
				if err := task.Run(stop); err != nil && stop.Err() == nil {
					t.Errorf("Run: %v", err)
				}
				ended()
			}
		})
	}
	wrote := map[string][]string{}
	poison := map[string]int{}
	next := [partitions]int64{}
	for i := range events {
		k := roll(keys)
		p := int32(k % partitions)
		key, value := "k"+strconv.Itoa(k), strconv.Itoa(i)
		if roll(100) == 0 {
			value = "poison"
			poison[key]++
		} else {
			wrote[key] = append(wrote[key], value)
		}
		b.Produce(p, sinkstest.Record(key, value))
		next[p]++
	}
	sinkstest.Eventually(t, "all commits", func() bool {
		for p := range int32(partitions) {
			if b.Committed(p) != next[p] {
				return false
			}
		}
		return true
	})
	cancel()
	wg.Wait()
	for key, want := range wrote {
		m.wrote(t, key, want)
	}
	// Each poison is dead-lettered, at least once.
	letters := b.Read(b.Topic+".dlq", int(b.End(b.Topic+".dlq")))
	got := map[string]int{}
	for _, l := range letters {
		got[string(l.Key)]++
	}
	for key, n := range poison {
		if got[key] < n {
			t.Errorf("%d dead letters of %s, want at least %d", got[key], key, n)
		}
	}
	for key, n := range got {
		if poison[key] == 0 {
			t.Errorf("%d dead letters of %s, which has no poison", n, key)
		}
	}
	sinkstest.Balanced(t, stats)
}
