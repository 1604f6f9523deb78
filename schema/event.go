package schema

// Op says what an [Event] did. Its text is the "op" field of the envelope.
type Op byte

// The operations, with Debezium's letters.
const (
	OpRead     Op = 'r' // a row of a snapshot
	OpCreate   Op = 'c'
	OpUpdate   Op = 'u'
	OpDelete   Op = 'd'
	OpTruncate Op = 't'
	OpMessage  Op = 'm' // a logical decoding message
	// OpRecord is not a row change: Event.Record is published as it is (a
	// schema change, a transaction's begin or end).
	OpRecord Op = 0
	// OpBegin and OpEnd are the bounds of a transaction, which a source hands
	// out if transaction metadata are asked for. The task makes records of
	// them; Event.Transaction and TimeMicros are set.
	OpBegin Op = '('
	OpEnd   Op = ')'
)

// Event is one change at the source.
type Event struct {
	Op Op
	// Table is nil only for OpRecord, OpBegin and OpEnd.
	Table *Table
	// Before is the row before the change as far as the log has it: nil for
	// OpRead and OpCreate, and for an OpUpdate whose log has no old row; with
	// only the identity's columns set where the log has no more, and the
	// others (Column.Unlogged) null, or the default or zero of their type where
	// they cannot be null. After is nil for OpDelete and OpTruncate.
	Before, After Row
	// Source are the values of Table.Source, constants included.
	Source Row
	// TimeMicros is when the change was committed at the source, in
	// microseconds since 1970 by the source's clock; 0 if unknown. It serves
	// metrics only, never order.
	TimeMicros int64
	// Record is set for OpRecord and belongs to the batch.
	Record *Record
	// Transaction is the event's block of transaction metadata, nil without:
	// the source sets the transaction's id, the task the rest.
	Transaction Row
}

// Position says where in a source's log a task goes on: a flat JSON object in
// Debezium's own offset keys, so that it can be shown and altered over REST
// and taken over from and by Debezium. Its bytes are never reused.
type Position []byte

// DefaultBatchEvents and DefaultBatchBytes bound a [Batch]. A batch exceeds
// the bytes by at most one event.
const (
	DefaultBatchEvents = 1024
	DefaultBatchBytes  = 1 << 20
	// FirstBatchEvents is for batches of which it is not known yet how large
	// the records become.
	FirstBatchEvents = 128
)

// Batch is a run of events in log order that moves through the pipeline as
// one. It has one owner at a time.
type Batch struct {
	Events []Event
	// End is the position to resume at once every event of this batch and of
	// those before it is durable. nil means that it has not moved.
	End Position
	// Inside says that End is inside a transaction, that of the last event.
	Inside bool
	Arena
	// MaxEvents and MaxBytes are the limits Full goes by; 0 means the default.
	MaxEvents, MaxBytes int
}

// Full reports whether a source should hand the batch on rather than add
// another event.
func (b *Batch) Full() bool {
	maxEvents, maxBytes := b.MaxEvents, b.MaxBytes
	if maxEvents == 0 {
		maxEvents = DefaultBatchEvents
	}
	if maxBytes == 0 {
		maxBytes = DefaultBatchBytes
	}
	// Cells weigh more than the text they hold, so the bytes bound memory and
	// not the size on the wire.
	return len(b.Events) >= maxEvents || b.Size() >= 4*maxBytes
}

// Append adds an empty event and returns it; the pointer is valid until the
// next Append.
func (b *Batch) Append() *Event {
	b.Events = append(b.Events, Event{})
	return &b.Events[len(b.Events)-1]
}

// Reset empties the batch for its next round. Nothing of it may be held.
func (b *Batch) Reset() {
	clear(b.Events)
	b.Events = b.Events[:0]
	b.End, b.Inside = nil, false
	b.Arena.Reset()
}
