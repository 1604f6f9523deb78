package supervisor

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/snapshot"
)

// Stats count what a task does, over all its runs since the worker started.
// They are safe for concurrent use.
type Stats struct {
	// Restarts counts the runs after a transient error.
	Restarts atomic.Int64
	// Bytes are those written to Kafka by a source, or read from it by a
	// sink, as they were on the wire.
	Bytes atomic.Int64

	// Events read at a source; Records and RecordBytes acknowledged by the
	// broker; Saved counts the saved positions.
	Events, Records, RecordBytes, Saved atomic.Int64
	// BehindMillis is a gauge: how old the last event was when it was read,
	// by the source's clock; -1 as long as there is none.
	BehindMillis atomic.Int64
	// LastEventMillis is when the last event was read, since 1970.
	LastEventMillis atomic.Int64
	// Snapshot is how far the copy of the tables is; nil if there was none.
	Snapshot atomic.Pointer[snapshot.Progress]

	// Sink is for sinks, and so are Latency, from the commit at the source to
	// the destination, of each record, and Writes, how long each write took.
	Sink            sinks.Stats
	Latency, Writes Histogram
}

func newStats() *Stats {
	s := &Stats{}
	s.BehindMillis.Store(-1)
	s.Sink.Latency = s.Latency.Observe
	s.Sink.Wrote = func(_ int, took time.Duration) { s.Writes.Observe(took) }
	return s
}

// progress is a number that changes with everything that a task gets done.
func (s *Stats) progress() int64 {
	rows := int64(0)
	if p := s.Snapshot.Load(); p != nil {
		rows = p.Rows
	}
	return s.Events.Load() + s.Records.Load() + s.Saved.Load() + rows + s.Sink.Read.Load() + s.Sink.Applied.Load() + s.Sink.Commits.Load()
}

func (s *Stats) read(events int, behind time.Duration) {
	if events == 0 {
		return
	}
	s.Events.Add(int64(events))
	s.BehindMillis.Store(behind.Milliseconds())
	s.LastEventMillis.Store(time.Now().UnixMilli())
}

func (s *Stats) acked(records, bytes int) {
	s.Records.Add(int64(records))
	s.RecordBytes.Add(int64(bytes))
}

// TaskStats are the counters of one task.
type TaskStats struct {
	Connector string
	ID        int
	// Sink says that Stats.Sink counts.
	Sink bool
	// Debezium is what Debezium calls this kind of source in its metrics,
	// empty for others; Server its topic.prefix.
	Debezium, Server string
	Stats            *Stats
}

// Stats returns the counters of all tasks that have run.
func (s *Supervisor) Stats() []TaskStats {
	s.mu.Lock()
	actors := make([]*actor, 0, len(s.actors))
	for _, a := range s.actors {
		actors = append(actors, a)
	}
	s.mu.Unlock()
	var out []TaskStats
	for _, a := range actors {
		out = append(out, a.taskStats()...)
	}
	return out
}

// wire counts bytes on the wire and notices the topics that a task uses.
type wire struct {
	stats *Stats
	topic func(string)
}

var (
	_ kgo.HookProduceBatchWritten = wire{}
	_ kgo.HookFetchBatchRead      = wire{}
)

// OnProduceBatchWritten is called for every batch that was written.
func (w wire) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, _ int32, m kgo.ProduceBatchMetrics) {
	w.stats.Bytes.Add(int64(m.CompressedBytes))
	w.topic(topic)
}

// OnFetchBatchRead is called for every batch that was read.
func (w wire) OnFetchBatchRead(_ kgo.BrokerMetadata, topic string, _ int32, m kgo.FetchBatchMetrics) {
	w.stats.Bytes.Add(int64(m.CompressedBytes))
	w.topic(topic)
}
