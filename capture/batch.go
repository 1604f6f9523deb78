package capture

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/schema"
)

const (
	// outAim is how many bytes of encoded records a batch should come to. With
	// their schemas in JSON, records are many times as large as the rows.
	outAim = 1 << 20
	// outKeep is how many bytes of encoded records a batch keeps for its next
	// round; one that grew beyond gives its memory back.
	outKeep = 4 << 20
	// leastEvents in a full batch, however large the records are.
	leastEvents = 16
)

// batch is a schema.Batch on its way round the ring, with the memory that its
// stages write into.
type batch struct {
	schema.Batch
	heartbeat bool

	out     []byte // encoded keys and values
	pending []pending
	recs    []kgo.Record

	converted chan error
	acked     chan error
	left      atomic.Int64
	failed    atomic.Pointer[error]
	promise   func(*kgo.Record, error)
}

// span is a part of batch.out. out moves while it grows, so slices are made
// at the end.
type span struct {
	from, to int
	set      bool // otherwise null
}

// pending is a record before its slices are made.
type pending struct {
	topic      string
	key, value span
	headers    []kgo.RecordHeader
	timeMicros int64
}

// newBatch returns an empty batch; abort is called with the first record's
// refusal.
func newBatch(abort func(error)) *batch {
	b := &batch{converted: make(chan error, 1), acked: make(chan error, 1)}
	b.promise = func(r *kgo.Record, err error) {
		if err != nil {
			refused := &RefusedError{Topic: r.Topic, Bytes: len(r.Key) + len(r.Value), Err: err}
			var e error = refused
			if b.failed.CompareAndSwap(nil, &e) {
				// What follows must not be published: it would overtake.
				abort(e)
			}
		}
		b.done()
	}
	return b
}

func (b *batch) add(topic string, key, value span, headers []kgo.RecordHeader, timeMicros int64) {
	b.pending = append(b.pending, pending{topic, key, value, headers, timeMicros})
}

// finish makes the records out of what add collected.
func (b *batch) finish() {
	if cap(b.recs) < len(b.pending) {
		b.recs = make([]kgo.Record, len(b.pending), len(b.pending)+len(b.pending)/4)
	}
	b.recs = b.recs[:len(b.pending)]
	for i := range b.pending {
		p := &b.pending[i]
		b.recs[i] = kgo.Record{Topic: p.topic, Key: b.slice(p.key), Value: b.slice(p.value), Headers: p.headers}
	}
}

func (b *batch) slice(s span) []byte {
	if !s.set {
		return nil
	}
	return b.out[s.from:s.to:s.to]
}

// fit returns how many events a batch should have for the records to come to
// outAim, judging by this one. It is not more than most.
func (b *batch) fit(most int) int {
	if len(b.out) == 0 {
		return most
	}
	return min(most, max(leastEvents, len(b.Events)*outAim/len(b.out)))
}

// done counts one promise; the last one tells the committer.
func (b *batch) done() {
	if b.left.Add(-1) == 0 {
		var err error
		if p := b.failed.Load(); p != nil {
			err = *p
		}
		b.acked <- err
	}
}

// reset readies the batch for its next round (I4: it has no other owner now).
func (b *batch) reset() *batch {
	b.Batch.Reset()
	b.heartbeat = false
	clear(b.pending)
	b.pending = b.pending[:0]
	clear(b.recs)
	b.recs = b.recs[:0]
	if cap(b.out) > outKeep {
		b.out = nil
	}
	b.out = b.out[:0]
	return b
}
