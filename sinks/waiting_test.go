package sinks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// said collects what a task says that it waits for.
type said struct {
	mu   sync.Mutex
	list []string
}

func (s *said) wait(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.list = append(s.list, text)
}

// last returns what was said last, "" for that it goes on.
func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return ""
	}
	return s.list[len(s.list)-1]
}

func (s *said) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// passingError is an error of a converter that does not last: a registry that
// does not answer.
type passingError struct{}

func (passingError) Error() string   { return "the registry does not answer" }
func (passingError) Retriable() bool { return true }

// moody is a converter that may fail.
type moody struct {
	converters.Converter
	fails func() bool
}

func (m moody) Decode(ctx context.Context, topic string, data []byte, a *schema.Arena) (schema.Data, error) {
	if m.fails() {
		return schema.Data{}, passingError{}
	}
	return m.Converter.Decode(ctx, topic, data, a)
}

// TestTask_SaysThatItTriesRecordsAgain has a record that is locked, and a
// converter that misses its registry: both are tried again without end, and
// nobody should have to guess that.
func TestTask_SaysThatItTriesRecordsAgain(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Write": "locked", "Convert": "the registry does not answer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPipeline(t, 1)
			b.Produce(0, sinkstest.Record("a", "1"), sinkstest.Record("b", "2"))
			m, stats, s := newMemory(), &sinks.Stats{}, &said{}
			task := b.Task(m, stats)
			task.Errors.RetryTimeout = -1
			task.Waiting = s.wait
			troubled := func() bool {
				return !slices.ContainsFunc(s.all(), func(t string) bool { return strings.Contains(t, want) })
			}
			if name == "Write" {
				m.onWrite = func(_ context.Context, records []schema.Record) error {
					return m.failing(records, func(r *schema.Record) *sinks.RecordError {
						if text(r.Key) == "a" && troubled() {
							return &sinks.RecordError{Err: errors.New("locked"), Retriable: true}
						}
						return nil
					})
				}
			} else {
				task.Value = moody{task.Value, troubled}
			}
			r := sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == 2 })
			r.Stops()
			if troubled() || s.last() != "" {
				t.Errorf("it said %q, want what it waited for, and that it went on", s.all())
			}
			sinkstest.Balanced(t, stats)
		})
	}
}

// TestTask_DoesNotWaitForWhatIsNotItsAnyMore takes the partition from a task
// whose destination is down, and brings it back up.
func TestTask_DoesNotWaitForWhatIsNotItsAnyMore(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("a", "1"))
	m, stats, s := newMemory(), &sinks.Stats{}, &said{}
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		if stats.Abandoned.Load() == 0 {
			return errors.New("connection lost")
		}
		m.apply(records...)
		return nil
	}
	task := b.Task(m, stats)
	task.Waiting = s.wait
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "that it waits", func() bool { return s.last() == "connection lost" })
	group, err := kadm.NewClient(b.Client).DescribeGroups(t.Context(), sinks.Group(b.Name))
	if err != nil {
		t.Fatal(err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = sinks.Group(b.Name)
	for _, member := range group[leave.Group].Members {
		leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{MemberID: member.MemberID})
	}
	if _, err := leave.RequestWith(t.Context(), b.Client); err != nil {
		t.Fatal(err)
	}
	sinkstest.Eventually(t, "the row", func() bool { return m.row("a") == "1" })
	sinkstest.Eventually(t, "that it goes on", func() bool { return s.last() == "" })
	r.Stops()
	sinkstest.Balanced(t, stats)
}

// TestTask_FailsNoRecordBecauseOfAStop stops a task while it writes a record and
// tries to convert the next one again: that has not failed for good.
func TestTask_FailsNoRecordBecauseOfAStop(t *testing.T) {
	t.Parallel()
	for i := range 12 { // what a select takes of two that are ready is random
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			b := newPipeline(t, 1)
			b.Produce(0, sinkstest.Record("a", "1"), sinkstest.Record("b", "2"))
			m, stats := newMemory(), &sinks.Stats{}
			writes, goOn := make(chan struct{}), make(chan struct{})
			m.onWrite = func(_ context.Context, records []schema.Record) error {
				close(writes)
				<-goOn
				m.apply(records...)
				return nil
			}
			task := b.Task(m, stats)
			task.MaxRecords = 1
			task.Errors = sinks.Errors{TolerateAll: true, RetryTimeout: -1, RetryDelayMax: time.Hour}
			var first atomic.Bool
			task.Value = moody{task.Value, func() bool { return !first.CompareAndSwap(false, true) }}
			r := sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the retry", func() bool { return stats.Retries.Load() == 1 })
			<-writes // else there may be nothing to commit
			r.Cancel()
			close(goOn)
			r.Stops()
			if n := stats.Skipped.Load() + stats.Errors.Load(); n > 0 || b.Committed(0) != 1 {
				t.Errorf("%d records failed, committed %d; want the second to be left for the next run", n, b.Committed(0))
			}
			sinkstest.Balanced(t, stats)
		})
	}
}

// laterError is an error of a destination that says when to come back.
type laterError time.Duration

func (laterError) Error() string               { return "too busy" }
func (e laterError) RetryAfter() time.Duration { return time.Duration(e) }

func TestTask_ComesBackWhenTheDestinationSays(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("a", "1"))
	m := newMemory()
	const wait = 2 * time.Second
	var refused, applied time.Time
	m.onWrite = func(_ context.Context, records []schema.Record) error {
		if refused.IsZero() {
			refused = time.Now()
			return laterError(wait)
		}
		applied = time.Now()
		m.apply(records...)
		return nil
	}
	r := sinkstest.Start(t, b.Task(m, nil))
	sinkstest.Eventually(t, "the row", func() bool { return m.row("a") == "1" })
	r.Stops()
	if d := applied.Sub(refused); d < wait {
		t.Errorf("it came back after %v, not after %v", d, wait)
	}
}

// TestTask_EndsWhereTheGroupRefusesIt asks for a session that no broker allows.
func TestTask_EndsWhereTheGroupRefusesIt(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	task := b.Task(newMemory(), nil)
	consumer := task.Consumer
	task.Consumer = func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
		return consumer(ctx, append(opts, kgo.SessionTimeout(24*time.Hour))...)
	}
	if err := sinkstest.Start(t, task).Ends(); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "consumer.override.session.timeout.ms") {
		t.Errorf("Run: %v, want a permanent error that names the setting", err)
	}
}

// TestTask_NamesTopicsThatAreNotThere has a topic that is misspelt, or made
// later.
func TestTask_NamesTopicsThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	b.Produce(0, sinkstest.Record("a", "1"))
	m := newMemory()
	task := b.Task(m, nil)
	missing := b.Topic + ".missing"
	task.Topics = append(task.Topics, missing)
	log := &lockedBuffer{}
	task.Logger = slog.New(slog.NewTextHandler(log, nil))
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the row", func() bool { return m.row("a") == "1" })
	r.Stops()
	if text := log.String(); strings.Count(text, "WARN") != 1 || !strings.Contains(text, "topic="+missing+"\n") {
		t.Errorf("the log says\n%s\nwant a warning about %s", text, missing)
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
