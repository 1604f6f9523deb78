package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/schema"
)

// Offsets keeps the position of one task.
type Offsets interface {
	// Load returns nil if there is none.
	Load(ctx context.Context) (schema.Position, error)
	// Save returns once the position is durable.
	Save(ctx context.Context, p schema.Position) error
}

// Observer is told what a task does; nil functions are left out. They are
// called from the task's goroutines and must be quick.
type Observer struct {
	// Read is called for every batch from the source: how many events and how
	// far behind the source the last one was read (0 if unknown).
	Read func(events int, behind time.Duration)
	// Acked is called for every batch the broker has acknowledged, with its
	// records and their bytes.
	Acked func(records, bytes int)
	// Saved is called for every saved position.
	Saved func(p schema.Position)
}

// Task reads a source and publishes its events. All fields but Observer and
// the numbers are required.
type Task struct {
	// Name is the connector's name, for logs and errors.
	Name    string
	Open    Opener
	Offsets Offsets
	// Kafka belongs to this task alone, so that nothing else waits in its
	// buffers; the caller closes it after Run.
	Kafka  *kgo.Client
	Shape  Shape
	Logger *slog.Logger
	// HeartbeatEvery is heartbeat.interval.ms; 0 writes none. HeartbeatAction,
	// if not nil, is called as often (heartbeat.action.query).
	HeartbeatEvery  time.Duration
	HeartbeatAction func(ctx context.Context) error
	Observer        Observer

	// Batches in the ring, events in a batch and converting workers; 0 means
	// the default.
	Batches, Events, Workers int
	// SaveEvery is how old an acknowledged position may get before it is
	// saved; DrainWithin how long a stop may take to publish what was read.
	SaveEvery, DrainWithin time.Duration

	durable atomic.Pointer[schema.Position]
	events  atomic.Int64 // at most in the next batch
}

// The defaults of a Task. Rows in flight count for more than workers: a
// smaller ring lets the broker's round trip show.
const (
	defaultBatches     = 8
	defaultWorkers     = 2
	defaultSaveEvery   = 200 * time.Millisecond
	defaultDrainWithin = 4 * time.Second
	// confirmEvery keeps a source alive while Kafka is slow. A database may be
	// as impatient as one second.
	confirmEvery = 250 * time.Millisecond
)

// RefusedError says that the broker did not take a record.
type RefusedError struct {
	Topic string
	// Bytes are those of key and value before compression.
	Bytes int
	Err   error
}

// Error names the topic and, where a setting is the cause, the remedy.
func (e *RefusedError) Error() string {
	switch {
	case errors.Is(e.Err, kerr.MessageTooLarge):
		return fmt.Sprintf("topic %s refused a record of %d bytes as too large: raise max.message.bytes of the topic (or message.max.bytes of the broker) and producer.override.max.request.size", e.Topic, e.Bytes)
	case errors.Is(e.Err, kerr.TopicAuthorizationFailed), errors.Is(e.Err, kerr.ClusterAuthorizationFailed):
		return fmt.Sprintf("topic %s: not authorized to write: grant the producer's user WRITE and DESCRIBE on the topic: %v", e.Topic, e.Err)
	default:
		return fmt.Sprintf("publish to topic %s: %v", e.Topic, e.Err)
	}
}

// Unwrap returns the broker's or client's error.
func (e *RefusedError) Unwrap() error { return e.Err }

func (e *RefusedError) permanent() bool {
	for _, p := range []error{kerr.MessageTooLarge, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidRecord, kerr.PolicyViolation} {
		if errors.Is(e.Err, p) {
			return true
		}
	}
	return false
}

// Run opens the source at the saved position and publishes until ctx ends or
// a stage fails. At a stop, and after an error of the source, what has been
// read is still published and its position saved. Run waits for everything it
// started. It returns nil only when ctx ended.
func (t *Task) Run(ctx context.Context) error {
	from, err := t.Offsets.Load(ctx)
	if err != nil {
		return stopped(ctx, fmt.Errorf("load the offset: %w", err))
	}
	if from != nil {
		t.durable.Store(&from)
	}
	src, err := t.Open(ctx, from)
	if err != nil {
		return stopped(ctx, err)
	}
	err = t.pump(ctx, src, from)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.drainWithin())
	defer cancel()
	if p := t.durable.Load(); p != nil && err == nil {
		// The database need not send again what the broker has.
		if cerr := src.Confirm(closing, *p); cerr != nil {
			t.Logger.Warn("could not confirm the last position; the source will send some events again", "connector", t.Name, "error", cerr)
		}
	}
	if cerr := src.Close(closing); cerr != nil && err == nil {
		t.Logger.Warn("closing the source", "connector", t.Name, "error", cerr)
	}
	return stopped(ctx, err)
}

// stopped returns nil for an error that a stop has caused.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (t *Task) drainWithin() time.Duration { return or(t.DrainWithin, defaultDrainWithin) }

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// pump moves batches round the ring:
//
//	free → reader → work → workers ─┐
//	              → order → publisher (waits for each in turn) → inflight → committer → free
//
// Every channel has room for every batch, so that no stage blocks another by
// its own fault, and order is kept because the publisher takes the batches in
// the reader's order.
func (t *Task) pump(ctx context.Context, src Source, from schema.Position) error {
	n := or(t.Batches, defaultBatches)
	free, work := make(chan *batch, n), make(chan *batch, n)
	order, inflight := make(chan *batch, n), make(chan *batch, n)

	drain, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	g, gctx := errgroup.WithContext(drain) // a stop drains; only a failure cuts
	// A stop that cannot drain in time is cut.
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(t.drainWithin(), func() { cut(context.Cause(ctx)) })
		context.AfterFunc(gctx, func() { timer.Stop() })
	})()

	for range n {
		free <- newBatch(func(err error) { cut(err) })
	}
	t.events.Store(int64(min(or(t.Events, schema.DefaultBatchEvents), schema.FirstBatchEvents)))
	sh := newShaper(t.Shape)
	sh.log = t.Logger
	in := &intake{src: src, free: free, work: work, order: order}
	if t.Shape.Transactions != "" {
		var err error
		if in.counter, err = newCounter(sh, t.Shape.Transactions, from); err != nil {
			return err
		}
	}
	reading, stopReading := context.WithCancel(gctx)
	defer context.AfterFunc(ctx, stopReading)()
	if t.HeartbeatEvery > 0 && t.HeartbeatAction != nil {
		g.Go(func() error { return Guard(func() error { return t.act(reading) }) })
	}
	var readErr error
	g.Go(func() error {
		defer stopReading()
		defer close(work)
		defer close(order)
		readErr = Guard(func() error { return t.read(ctx, gctx, in) })
		return nil // what has been read is still published
	})
	for range or(t.Workers, defaultWorkers) {
		g.Go(func() error {
			t.convert(gctx, &encoder{shaper: sh}, work)
			return nil
		})
	}
	g.Go(func() error {
		defer close(inflight)
		return Guard(func() error { return t.publish(gctx, order, inflight) })
	})
	g.Go(func() error { return Guard(func() error { return t.commit(gctx, inflight, free) }) })
	err := g.Wait()
	if err != nil && drain.Err() != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(drain) // the refusal, not its echo
	}
	var refused *RefusedError
	if errors.As(err, &refused) && refused.permanent() {
		err = Permanent(err)
	}
	if err == nil {
		err = readErr
	}
	return err
}

// intake is what the reader reads from, and hands over to.
type intake struct {
	src         Source
	counter     *counter // nil without transaction metadata
	free        <-chan *batch
	work, order chan<- *batch
}

// read hands over batches until ctx ends, a later stage has failed, or the
// source has.
func (t *Task) read(ctx, failed context.Context, in *intake) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(failed, cancel)()
	tick := time.NewTicker(confirmEvery)
	defer tick.Stop()
	var confirmed *schema.Position
	lastConfirm, lastBeat := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-in.free:
			b.MaxEvents = int(t.events.Load())
			if err := in.src.Next(ctx, &b.Batch); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if in.counter != nil {
				if err := in.counter.number(&b.Batch); err != nil {
					return err
				}
			}
			now := time.Now()
			if t.HeartbeatEvery > 0 && now.Sub(lastBeat) >= t.HeartbeatEvery {
				b.heartbeat, lastBeat = true, now
			}
			t.observeRead(b, now)
			in.work <- b
			in.order <- b
		case <-tick.C: // Kafka is slow; the source is kept alive below
		}
		p := t.durable.Load()
		if p == confirmed && time.Since(lastConfirm) < confirmEvery {
			continue
		}
		var at schema.Position
		if p != nil {
			at = *p // I1: durable holds only what has been saved
		}
		if err := in.src.Confirm(ctx, at); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("confirm: %w", err)
		}
		confirmed, lastConfirm = p, time.Now()
	}
}

// act calls the heartbeat's action until ctx ends. That it fails is no reason to
// stop: what it is for, an idle database, will still be there next time.
func (t *Task) act(ctx context.Context) error {
	tick := time.NewTicker(t.HeartbeatEvery)
	defer tick.Stop()
	for {
		if err := t.HeartbeatAction(ctx); err != nil && ctx.Err() == nil {
			t.Logger.Warn("heartbeat.action.query failed", "connector", t.Name, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Task) observeRead(b *batch, now time.Time) {
	if t.Observer.Read == nil {
		return
	}
	var behind time.Duration
	if n := len(b.Events); n > 0 && b.Events[n-1].TimeMicros > 0 {
		behind = max(0, now.Sub(time.UnixMicro(b.Events[n-1].TimeMicros)))
	}
	t.Observer.Read(len(b.Events), behind)
}

// convert never stops early: the publisher waits for each batch.
func (t *Task) convert(ctx context.Context, e *encoder, work <-chan *batch) {
	for b := range work {
		now := time.Now()
		err := Guard(func() error {
			if err := e.encode(ctx, b, now); err != nil || !b.heartbeat {
				return err
			}
			return e.record(ctx, b, heartbeat(&b.Arena, t.Shape.Naming, now))
		})
		b.finish()
		b.converted <- err
	}
}

func (t *Task) publish(ctx context.Context, order <-chan *batch, inflight chan<- *batch) error {
	for b := range order {
		if err := <-b.converted; err != nil {
			return err
		}
		b.left.Store(int64(len(b.recs)) + 1)
		for i := range b.recs {
			t.Kafka.Produce(ctx, &b.recs[i], b.promise)
		}
		b.done() // an empty batch is acknowledged at once
		inflight <- b
	}
	return nil
}

// commit saves positions in the order of publishing, not each but the newest
// every SaveEvery: the saved one may only ever lag behind.
func (t *Task) commit(ctx context.Context, inflight <-chan *batch, free chan<- *batch) error {
	every := or(t.SaveEvery, defaultSaveEvery)
	timer := time.NewTicker(every)
	defer timer.Stop()
	var unsaved schema.Position
	save := func() error {
		if unsaved == nil {
			return nil
		}
		if err := t.Offsets.Save(ctx, unsaved); err != nil {
			return fmt.Errorf("save the offset: %w", err)
		}
		p := unsaved // Reset drops End and never reuses its bytes
		t.durable.Store(&p)
		unsaved = nil
		if t.Observer.Saved != nil {
			t.Observer.Saved(p)
		}
		return nil
	}
	for {
		select {
		case b, ok := <-inflight:
			if !ok {
				return save()
			}
			var err error
			select {
			case err = <-b.acked:
			case <-ctx.Done(): // another stage has failed; the client may never answer
				select {
				case err = <-b.acked:
				default:
					err = ctx.Err()
				}
			}
			if err != nil {
				return err
			}
			if t.Observer.Acked != nil && len(b.recs) > 0 {
				t.Observer.Acked(len(b.recs), len(b.out))
			}
			if b.End != nil {
				unsaved = b.End
			}
			t.events.Store(int64(b.fit(or(t.Events, schema.DefaultBatchEvents))))
			free <- b.reset()
		case <-timer.C:
			if err := save(); err != nil {
				return err
			}
		}
	}
}
