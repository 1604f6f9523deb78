package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batch is what is polled at once. The fetcher owns it until it is decoded,
// then the writer.
type batch struct {
	schema.Arena
	// records are those to be written, partition by partition.
	records []schema.Record
	// fates say what became of each.
	fates []fate
	// micros are when each was committed at the source, since 1970.
	micros []int64
	spans  []span
	// failures are the records that failed for good, in any order.
	failures []failure
	// fatal is the failure at which the batch ends under tolerance none.
	fatal   *failure
	changes Changes
}

// span is the part of a batch that comes from one partition.
type span struct {
	partition *partition
	fetched   []*kgo.Record
	// from and to are its places in batch.records.
	from, to int
	// end is the offset after its last record.
	end int64
	// filtered is how many of its records a transform dropped.
	filtered int
	// read is how many records it has.
	read int
	// given says that it was given back to the group.
	given bool
}

type fate uint8

const (
	fateOpen fate = iota
	fateApplied
	fateFailed  // is in batch.failures
	fateDropped // left out by the connector's own settings
	fateGiven   // given back to the group
)

// failure is one record that failed for good.
type failure struct {
	span   int
	record schema.Record // only what it was in Kafka
	stage  string
	class  string
	err    error
	// settled says that it is in the dead letter queue, or skipped.
	settled bool
}

func (b *batch) reset() {
	clear(b.records)
	clear(b.spans)
	clear(b.failures)
	b.records, b.fates, b.micros, b.spans, b.failures = b.records[:0], b.fates[:0], b.micros[:0], b.spans[:0], b.failures[:0]
	b.fatal = nil
	b.Arena.Reset()
}

// decode converts and transforms what was fetched. Under tolerance none it
// stops at the first record that fails, and says so.
func (r *run) decode(ctx context.Context, b *batch) (failed bool) {
	for i := range b.spans {
		s := &b.spans[i]
		s.from, s.end = len(b.records), s.fetched[0].Offset
		for _, k := range s.fetched {
			if f := r.decodeRecord(ctx, b, s, k); f != nil {
				f.span = i
				r.Stats.Failures.Add(1)
				if !r.Errors.TolerateAll {
					b.fatal = f
					s.to = len(b.records)
					b.spans = b.spans[:i+1]
					return true
				}
				b.failures = append(b.failures, *f)
			}
			s.read++
			s.end = k.Offset + 1
		}
		s.to = len(b.records)
		s.fetched = nil
	}
	return false
}

// decodeRecord appends one record to the batch, unless a transform drops it.
func (r *run) decodeRecord(ctx context.Context, b *batch, s *span, k *kgo.Record) *failure {
	b.records = append(b.records, schema.Record{})
	rec := &b.records[len(b.records)-1]
	*rec = schema.Record{
		// The client's name of the topic is the same string for all records.
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
		TimestampMillis: k.Timestamp.UnixMilli(),
		RawKey:          k.Key, RawValue: k.Value,
	}
	if len(k.Headers) > 0 {
		rec.RawHeaders = make([]schema.RawHeader, len(k.Headers))
		for i, h := range k.Headers {
			rec.RawHeaders[i] = schema.RawHeader{Key: h.Key, Value: h.Value}
		}
	}
	fail := func(stage, class string, err error) *failure {
		f := &failure{stage: stage, class: class, err: err, record: raw(rec)}
		b.records = b.records[:len(b.records)-1]
		return f
	}
	var err error
	if rec.Key, err = r.convert(ctx, r.Key, k.Topic, k.Key, &b.Arena); err != nil {
		return fail(StageKeyConverter, r.Classes.Key, err)
	}
	if rec.Value, err = r.convert(ctx, r.Value, k.Topic, k.Value, &b.Arena); err != nil {
		return fail(StageValueConverter, r.Classes.Value, err)
	}
	if r.Header != nil && len(rec.RawHeaders) > 0 {
		rec.Headers = make([]schema.Header, len(rec.RawHeaders))
		for i, h := range rec.RawHeaders {
			rec.Headers[i].Key = h.Key
			if rec.Headers[i].Value, err = r.Header.DecodeHeader(k.Topic, h.Key, h.Value, &b.Arena); err != nil {
				return fail(StageHeaderConverter, r.Classes.Header, err)
			}
		}
	}
	// The time is taken before a transform can take the envelope away.
	c := b.changes.Read(rec, true)
	micros := c.TimeMicros
	if micros == 0 {
		micros = rec.TimestampMillis * 1000
	}
	for _, t := range r.Transforms {
		keep, err := t.Apply(rec, &b.Arena)
		if err != nil {
			err = r.retrying(ctx, err, func() (err error) {
				keep, err = t.Apply(rec, &b.Arena)
				return err
			})
		}
		if err != nil {
			return fail(StageTransformation, t.JavaClass(), err)
		}
		if !keep {
			b.records = b.records[:len(b.records)-1]
			s.filtered++
			return nil
		}
	}
	b.fates = append(b.fates, fateOpen)
	b.micros = append(b.micros, micros)
	return nil
}

// convert decodes one key, value or header.
func (r *run) convert(ctx context.Context, c converters.Converter, topic string, data []byte, a *schema.Arena) (schema.Data, error) {
	d, err := c.Decode(ctx, topic, data, a)
	if err != nil {
		err = r.retrying(ctx, err, func() (err error) {
			d, err = c.Decode(ctx, topic, data, a)
			return err
		})
	}
	return d, err
}

// retrying calls f, which has failed with err, until it succeeds, fails for
// good, or errors.retry.timeout is over. An error says by a method that it may
// pass (a schema registry that does not answer).
func (r *run) retrying(ctx context.Context, err error, f func() error) error {
	begin := time.Now()
	defer r.waits.say(waitsToConvert, nil)
	for attempt := 1; err != nil; attempt++ {
		var passing interface{ Retriable() bool }
		if !errors.As(err, &passing) || !passing.Retriable() {
			return err
		}
		delay := recordDelay(attempt, r.Errors.RetryDelayMax)
		if r.Errors.RetryTimeout >= 0 && time.Since(begin)+delay > r.Errors.RetryTimeout {
			return err
		}
		r.Stats.Failures.Add(1)
		r.Stats.Retries.Add(1)
		r.waits.say(waitsToConvert, err)
		r.Logger.Warn("a record cannot be converted for now; trying again", "attempt", attempt, "error", err)
		if wait(ctx, nil, delay) != nil {
			return err
		}
		err = f()
	}
	return nil
}

// raw returns a record as it was in Kafka.
func raw(r *schema.Record) schema.Record {
	return schema.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, TimestampMillis: r.TimestampMillis,
		RawKey: r.RawKey, RawValue: r.RawValue, RawHeaders: r.RawHeaders,
	}
}

// spanOf returns which span a record belongs to.
func (b *batch) spanOf(record int) int {
	at, found := slices.BinarySearchFunc(b.spans, record, func(s span, record int) int {
		switch {
		case s.to <= record:
			return -1
		case s.from > record:
			return 1
		default:
			return 0
		}
	})
	if !found {
		panic(fmt.Sprintf("sinks: record %d of the batch belongs to no partition", record))
	}
	return at
}

// passed returns the offset up to which a span is finished: every record
// before it is applied, filtered, skipped or in the dead letter queue.
func (b *batch) passed(i int) int64 {
	s := &b.spans[i]
	end := s.end
	for j := s.from; j < s.to; j++ {
		if f := b.fates[j]; f == fateOpen || f == fateGiven {
			end = min(end, b.records[j].Offset)
			break
		}
	}
	for j := range b.failures {
		if f := &b.failures[j]; f.span == i && !f.settled {
			end = min(end, f.record.Offset)
		}
	}
	return end
}
