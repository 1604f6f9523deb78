package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/schema"
)

// write applies batches in the order in which they were fetched until there
// are no more or ctx is done. The Write that runs when ctx is done may finish.
func (r *run) write(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	cut := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(r.stopTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-work.Done():
		}
	})
	defer cut()
	for {
		select {
		case b, more := <-r.decoded:
			if !more {
				return cmp.Or(ctx.Err(), errMoved)
			}
			w := writer{run: r, batch: b, work: work}
			err := w.process(ctx)
			if err != nil {
				return err
			}
			b.reset()
			r.free <- b
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errMoved ends a run whose fetcher stopped at a record that failed, when the
// record's partition has gone to another task before its turn came.
var errMoved = errors.New("a record failed whose partition has gone to another task")

// writer deals with one batch.
type writer struct {
	*run
	*batch
	work context.Context // outlives a stop by StopTimeout
}

// process applies the batch. Whatever it returns, the offsets of the batch's
// partitions move exactly as far as everything before them is dealt with.
func (w *writer) process(ctx context.Context) error {
	w.group.begin(w.batch)
	defer w.group.finish(w.batch)
	if err := w.apply(ctx); err != nil {
		return err
	}
	if err := w.bury(w.work); err != nil {
		return err
	}
	w.Stats.Batches.Add(1)
	if f := w.fatal; f != nil && !w.spans[f.span].given {
		return w.ends(f)
	}
	return nil
}

// piece is a part of the batch that is written at once.
type piece struct {
	records []schema.Record
	at      []int // their places in the batch; nil for the whole batch
	// attempt counts the tries of this piece after a failure.
	attempt int
}

func (p *piece) place(i int) int {
	if p.at == nil {
		return i
	}
	return p.at[i]
}

// apply writes the batch, retrying and cutting up what fails, until each
// record is applied or has failed for good. The order of the pieces is the
// order of the records, and a piece is finished before the next is begun, so
// that no record overtakes an earlier one of its key.
func (w *writer) apply(ctx context.Context) error {
	// When each record first failed for a passing reason.
	var since map[int]time.Time
	outage := 0
	// What is waited for may be given back to the group.
	defer w.waits.say(waitsToWrite, nil)
	queue := []piece{{records: w.records}}
	for len(queue) > 0 {
		w.group.yield(w.batch)
		p := w.prune(queue[0])
		queue = queue[1:]
		if len(p.records) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := w.writeOnce(p.records)
		var some *WriteError
		var refused *refusedError
		if err == nil || errors.As(err, &some) || errors.As(err, &refused) {
			outage = 0
			w.waits.say(waitsToWrite, nil)
		}
		if err == nil {
			w.applied(p, nil)
			continue
		}
		w.Stats.Failures.Add(1)
		switch {
		case some != nil:
			if since == nil {
				since = map[int]time.Time{}
			}
			w.applied(p, some)
			again, failed := w.sort(p, some, since)
			for _, f := range failed {
				if err := w.fail(f); err != nil {
					return err
				}
			}
			if len(again.records) == 0 {
				continue
			}
			queue = slices.Insert(queue, 0, again)
			if len(failed) == 0 {
				w.Stats.Retries.Add(1)
				w.waits.say(waitsToWrite, err)
				w.Logger.Warn("destination does not take some records for now; trying again", "attempt", again.attempt, "records", len(again.records), "error", err)
				if err := wait(ctx, w.group.wake, recordDelay(again.attempt, w.Errors.RetryDelayMax)); err != nil {
					return err
				}
			}
		case refused != nil:
			if len(p.records) == 1 {
				if err := w.fail(w.failure(p.place(0), refused.err)); err != nil {
					return err
				}
				continue
			}
			// Halves: k refused records among n cost 2·k·log2 n writes, and
			// what has been applied once is not written again.
			left, right := p.halves()
			queue = slices.Insert(queue, 0, left, right)
		case IsPermanent(err):
			return fmt.Errorf("write %d records: %w", len(p.records), err)
		default:
			// The destination as a whole: wait for it, however long it takes.
			// That is no fault of any record, so nothing goes to the dead
			// letter queue.
			if w.work.Err() != nil {
				return context.Cause(w.work)
			}
			outage++
			w.Stats.Retries.Add(1)
			w.waits.say(waitsToWrite, err)
			w.Logger.Warn("destination does not take records; trying again", "attempt", outage, "records", len(p.records), "error", err)
			queue = slices.Insert(queue, 0, p)
			delay := outageDelay(outage)
			var later interface{ RetryAfter() time.Duration }
			if errors.As(err, &later) {
				delay = max(delay, later.RetryAfter())
			}
			if err := wait(ctx, w.group.wake, delay); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeOnce calls the sink. A rebalance may cancel the call.
func (w *writer) writeOnce(records []schema.Record) error {
	ctx, cancel := context.WithCancel(w.work)
	defer cancel()
	w.group.writing(cancel)
	defer w.group.writing(nil)
	begin := time.Now()
	err := w.sink.Write(ctx, records)
	if w.Stats.Wrote != nil {
		w.Stats.Wrote(len(records), time.Since(begin))
	}
	return err
}

// prune leaves out what was given back to the group meanwhile.
func (w *writer) prune(p piece) piece {
	open := 0
	for i := range p.records {
		if w.fates[p.place(i)] == fateOpen {
			open++
		}
	}
	if open == len(p.records) {
		return p
	}
	q := piece{attempt: p.attempt}
	for i := range p.records {
		if w.fates[p.place(i)] == fateOpen {
			q.add(p.records[i], p.place(i))
		}
	}
	return q
}

func (p *piece) add(r schema.Record, at int) {
	p.records = append(p.records, r)
	p.at = append(p.at, at)
}

func (p *piece) halves() (left, right piece) {
	for i := range p.records {
		half := &left
		if i >= len(p.records)/2 {
			half = &right
		}
		half.add(p.records[i], p.place(i))
	}
	return left, right
}

// applied notes that the records of a piece are applied, but for those that an
// error names.
func (w *writer) applied(p piece, except *WriteError) {
	var failed []RecordError
	if except != nil {
		failed = except.Failed
	}
	now := time.Now().UnixMicro()
	n := int64(0)
	for i := range p.records {
		if len(failed) > 0 && failed[0].Index == i {
			failed = failed[1:]
			continue
		}
		at := p.place(i)
		w.fates[at] = fateApplied
		n++
		if w.Stats.Latency != nil {
			w.Stats.Latency(time.Duration(now-w.micros[at]) * time.Microsecond)
		}
	}
	w.Stats.Applied.Add(n)
}

// sort parts the records that an error names into those to try again and those
// that failed for good: because the destination says so, or because they have
// been tried for as long as errors.retry.timeout allows.
func (w *writer) sort(p piece, e *WriteError, since map[int]time.Time) (again piece, failed []failure) {
	again.attempt = p.attempt + 1
	delay := recordDelay(again.attempt, w.Errors.RetryDelayMax)
	now := time.Now()
	for _, f := range e.Failed {
		at := p.place(f.Index)
		switch {
		case f.Dropped:
			w.fates[at] = fateDropped
			w.Stats.Skipped.Add(1)
			w.noteError()
			continue
		case f.Retriable && errors.Is(f.Err, ErrHeldBack):
			again.add(p.records[f.Index], at)
			continue
		case f.Retriable:
			first, ok := since[at]
			if !ok {
				first = now
				since[at] = now
			}
			if w.Errors.RetryTimeout < 0 || now.Add(delay).Sub(first) <= w.Errors.RetryTimeout {
				again.add(p.records[f.Index], at)
				continue
			}
		}
		failed = append(failed, w.failure(at, f.Err))
	}
	return again, failed
}

func (w *writer) failure(at int, err error) failure {
	return failure{span: w.spanOf(at), record: raw(&w.records[at]), stage: StagePut, class: classSinkTask, err: err}
}

// fail notes that a record of the batch failed for good. Under tolerance none
// that ends the task.
func (w *writer) fail(f failure) error {
	if !w.Errors.TolerateAll {
		return w.ends(&f)
	}
	w.fates[w.placeOf(&f)] = fateFailed
	w.failures = append(w.failures, f)
	return nil
}

// placeOf returns a failed record's place in the batch.
func (w *writer) placeOf(f *failure) int {
	s := &w.spans[f.span]
	for j := s.from; j < s.to; j++ {
		if w.records[j].Offset == f.record.Offset {
			return j
		}
	}
	panic("sinks: a record that failed in Write is not in the batch")
}

// ends returns the error that ends the task because of a record.
func (w *writer) ends(f *failure) error {
	w.noteError()
	return &RecordFailure{
		Topic: f.record.Topic, Partition: f.record.Partition, Offset: f.record.Offset,
		Stage: f.stage, Class: f.class, Err: f.err,
	}
}

func (w *writer) noteError() {
	w.Stats.Errors.Add(1)
	w.Stats.LastErrorMillis.Store(time.Now().UnixMilli())
}

// bury deals with the batch's failed records: into the dead letter queue, if
// there is one. It returns when the queue has acknowledged them, since their
// offsets are passed afterwards.
func (w *writer) bury(ctx context.Context) error {
	if len(w.failures) == 0 {
		return nil
	}
	slices.SortFunc(w.failures, func(a, b failure) int {
		return cmp.Or(cmp.Compare(a.span, b.span), cmp.Compare(a.record.Offset, b.record.Offset))
	})
	for i := range w.failures {
		if f := &w.failures[i]; !w.spans[f.span].given {
			w.noteError()
			w.logFailure(f)
		}
	}
	if w.dlq == nil {
		for i := range w.failures {
			if f := &w.failures[i]; !w.spans[f.span].given {
				f.settled = true
				w.Stats.Skipped.Add(1)
			}
		}
		return nil
	}
	var open []*failure
	for i := range w.failures {
		if f := &w.failures[i]; !w.spans[f.span].given {
			open = append(open, f)
		}
	}
	return w.dlq.write(ctx, open)
}

// logFailure logs a tolerated failure as errors.log.* ask. The entry has Kafka
// Connect's words, and never the record's content.
func (w *writer) logFailure(f *failure) {
	if !w.Errors.Log {
		return
	}
	w.Stats.Logged.Add(1)
	attrs := []any{"stage", f.stage, "class", f.class, "error", f.err}
	if w.Errors.LogMessages {
		attrs = append(attrs, "topic", f.record.Topic, "partition", f.record.Partition, "offset", f.record.Offset, "timestamp", f.record.TimestampMillis)
	}
	w.Logger.Error("a record failed and is passed over", attrs...)
}
