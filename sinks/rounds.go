package sinks

import (
	"bytes"
	"hash/maphash"
)

// Rounds arranges the records of one Write so that many keys can be sent at
// once and yet each key's records take effect in order.
//
// A record is whole if its effect does not depend on what is there (a full
// row, a delete): of the records before it of the same key none has to be sent
// at all. Others (a row that lacks a value which is not in the log) have to
// follow their predecessors. A round holds at most one record of each key, so
// that the records of a round may be sent in any order.
//
// A whole record that is refused for good uncovers what it superseded, so that
// the destination ends in the state that the log has without the refused one.
//
// The zero Rounds is ready for Reset. It keeps its memory from one Write to
// the next.
type Rounds struct {
	seed    maphash.Seed
	seeded  bool
	records []roundRecord
	heads   map[uint64]int32 // hash of the key → index of its head
	keys    []byte
	tails   []roundKey
	// open are the keys with something left to send, as indices of tails.
	open    []int32
	failed  int
	blocked bool
}

type roundState uint8

const (
	roundWaiting roundState = iota
	roundDone
	roundFailed
	roundBlocked // failed for a passing reason: nothing of the key goes on
)

type roundRecord struct {
	prev  int32 // the record before of the same key; -1
	key   int32 // index of tails
	whole bool
	state roundState
	// dropped says that it failed and is left out on purpose.
	dropped bool
	err     error
}

type roundKey struct {
	from, to int32 // the key's bytes in keys
	tail     int32 // the key's last record
	blocked  bool
}

// Reset forgets all records and makes room for n.
func (r *Rounds) Reset(n int) {
	if !r.seeded {
		r.seed, r.seeded = maphash.MakeSeed(), true
	}
	if r.heads == nil {
		r.heads = make(map[uint64]int32, n)
	}
	clear(r.heads)
	clear(r.records)
	r.records, r.keys, r.tails, r.open = r.records[:0], r.keys[:0], r.tails[:0], r.open[:0]
	r.failed, r.blocked = 0, false
}

// Add adds the next record; its index is how many were added before. The key's
// bytes are copied.
func (r *Rounds) Add(key []byte, whole bool) {
	at := int32(len(r.records))
	h := maphash.Bytes(r.seed, key)
	for {
		k, ok := r.heads[h]
		if !ok {
			from := int32(len(r.keys))
			r.keys = append(r.keys, key...)
			k = int32(len(r.tails))
			r.heads[h] = k
			r.tails = append(r.tails, roundKey{from: from, to: int32(len(r.keys)), tail: at})
			r.open = append(r.open, k)
			r.records = append(r.records, roundRecord{prev: -1, key: k, whole: whole})
			return
		}
		if t := &r.tails[k]; bytes.Equal(r.keys[t.from:t.to], key) {
			r.records = append(r.records, roundRecord{prev: t.tail, key: k, whole: whole})
			t.tail = at
			return
		}
		h++ // another key of the same hash
	}
}

// Skip adds a record for which nothing has to be sent; it counts as done.
func (r *Rounds) Skip() {
	r.records = append(r.records, roundRecord{prev: -1, key: -1, state: roundDone})
}

// Refuse adds a record that cannot be sent at all.
func (r *Rounds) Refuse(err error) {
	r.records = append(r.records, roundRecord{prev: -1, key: -1, state: roundFailed, err: err})
	r.failed++
}

// Next appends the records of the next round to dst. An empty round means that
// there is nothing left to send. Each record of the round has to be answered
// by Done, Fail or Retry before the next.
func (r *Rounds) Next(dst []int32) []int32 {
	open := r.open[:0]
	for _, k := range r.open {
		if at := r.first(&r.tails[k]); at >= 0 {
			dst = append(dst, at)
			open = append(open, k)
		}
	}
	r.open = open
	return dst
}

// first returns the record of a key to send next, or -1.
func (r *Rounds) first(k *roundKey) int32 {
	at := int32(-1)
	if k.blocked {
		return at
	}
	for i := k.tail; i >= 0; i = r.records[i].prev {
		switch rec := &r.records[i]; rec.state {
		case roundDone:
			return at
		case roundFailed:
		default:
			if at = i; rec.whole {
				return at
			}
		}
	}
	return at
}

// Done says that a record was applied, and with it what it superseded.
func (r *Rounds) Done(at int32) {
	for i := at; i >= 0 && r.records[i].state != roundDone; i = r.records[i].prev {
		if r.records[i].state == roundWaiting {
			r.records[i].state = roundDone
		}
	}
}

// Fail says that a record was refused for good.
func (r *Rounds) Fail(at int32, err error) {
	r.records[at].state, r.records[at].err = roundFailed, err
	r.failed++
}

// Drop says of a record that was refused for good that the connector's own
// settings have it left out.
func (r *Rounds) Drop(at int32) { r.records[at].dropped = true }

// Retry says that a record was not applied for a passing reason. The later
// records of its key are held back.
func (r *Rounds) Retry(at int32, err error) {
	r.records[at].state, r.records[at].err = roundBlocked, err
	r.tails[r.records[at].key].blocked, r.blocked = true, true
	r.failed++
}

// Len returns how many records were added.
func (r *Rounds) Len() int { return len(r.records) }

// Err returns nil if every record is done, otherwise a *WriteError that names
// all others, each with its own error.
func (r *Rounds) Err() error {
	if r.failed == 0 {
		return nil
	}
	e := &WriteError{}
	for i := range r.records {
		switch rec := &r.records[i]; rec.state {
		case roundFailed:
			e.Failed = append(e.Failed, RecordError{Index: i, Err: rec.err, Dropped: rec.dropped})
		case roundBlocked:
			e.Failed = append(e.Failed, RecordError{Index: i, Err: rec.err, Retriable: true})
		case roundWaiting:
			e.Failed = append(e.Failed, RecordError{Index: i, Err: ErrHeldBack, Retriable: true})
		case roundDone:
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// Waiting reports whether a record is neither done nor failed.
func (r *Rounds) Waiting(at int) bool { return r.records[at].state == roundWaiting }

// Blocked reports whether a record failed for a passing reason.
func (r *Rounds) Blocked() bool { return r.blocked }
