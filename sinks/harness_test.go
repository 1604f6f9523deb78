package sinks_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a destination that a test scripts: it keeps what was applied, and
// fails when told to.
type memory struct {
	mu sync.Mutex
	// rows hold the last value of each key, history all values in order.
	rows    map[string]string
	history map[string][]string
	writes  int
	// onWrite, if set, is called in place of apply, which it may call.
	onWrite func(ctx context.Context, records []schema.Record) error
	// onOpen may fail the opening.
	onOpen func() error
	closed int
}

func newMemory() *memory {
	return &memory{rows: map[string]string{}, history: map[string][]string{}}
}

func (m *memory) Check(context.Context) settings.Problems { return nil }

func (m *memory) Open(context.Context) (sinks.Sink, error) {
	if m.onOpen != nil {
		if err := m.onOpen(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	return nil
}

func (m *memory) Write(ctx context.Context, records []schema.Record) error {
	m.mu.Lock()
	m.writes++
	m.mu.Unlock()
	if m.onWrite != nil {
		return m.onWrite(ctx, records)
	}
	m.apply(records...)
	return nil
}

func (m *memory) apply(records ...schema.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range records {
		k, v := text(records[i].Key), text(records[i].Value)
		m.rows[k] = v
		m.history[k] = append(m.history[k], v)
	}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (m *memory) row(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[key]
}

func (m *memory) of(key string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history[key])
}

func text(d schema.Data) string { return string(d.Value.Bytes()) }

// newPipeline returns a pipeline on the shared Kafka.
func newPipeline(t *testing.T, partitions int32) *sinkstest.Pipeline {
	t.Helper()
	srv := servers.Kafka(t)
	return sinkstest.NewPipeline(t, srv.Brokers()[0], srv.Prefix, partitions)
}

// wrote wants every value of a key to have been written, and each for the last
// time in the order of the topic: what is repeated is repeated from there on.
func (m *memory) wrote(t *testing.T, key string, want []string) {
	t.Helper()
	last := map[string]int{}
	for at, value := range m.of(key) {
		last[value] = at
	}
	before := -1
	for _, value := range want {
		at, ok := last[value]
		switch {
		case !ok:
			t.Errorf("%s: %s was never written", key, value)
		case at < before:
			t.Errorf("%s: %s was written before what it follows", key, value)
		}
		before = max(before, at)
	}
}

// failing applies those records for which why returns nil and names the others.
func (m *memory) failing(records []schema.Record, why func(r *schema.Record) *sinks.RecordError) error {
	var e sinks.WriteError
	for i := range records {
		if f := why(&records[i]); f != nil {
			f.Index = i
			e.Failed = append(e.Failed, *f)
			continue
		}
		m.apply(records[i])
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return &e
}

// refuse applies records but for those whose value begins with poison.
func refuse(m *memory, poison string) func(context.Context, []schema.Record) error {
	return func(_ context.Context, records []schema.Record) error {
		return m.failing(records, func(r *schema.Record) *sinks.RecordError {
			if strings.HasPrefix(text(r.Value), poison) {
				return &sinks.RecordError{Err: errPoison}
			}
			return nil
		})
	}
}

// refuseAll refuses every record.
func refuseAll(_ context.Context, records []schema.Record) error {
	e := &sinks.WriteError{}
	for i := range records {
		e.Failed = append(e.Failed, sinks.RecordError{Index: i, Err: errPoison})
	}
	return e
}
