package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"golang.org/x/sync/errgroup"
)

const (
	// commandBytes bounds a command: MongoDB takes a document of 16 MiB and
	// little more, and ours grow by the statement that crosses the line.
	commandBytes = 8 << 20
	// commandStatements is MongoDB's limit (maxWriteBatchSize).
	commandStatements = 100_000
	// atOnce is how many commands are on their way at a time. Each waits for
	// the set to confirm it, which takes longer than all the work in it.
	atOnce = 4
)

// sink writes to MongoDB. It sends whole write commands of its own making
// rather than the driver's models: a million documents cost the driver about
// five seconds of CPU, copying them three times, and us one.
type sink struct {
	client   *mongo.Client
	config   *config
	build    *builder
	ops      []op
	rounds   sinks.Rounds
	round    []int32
	sendings []sending
	// memory holds the commands on their way.
	memory [atOnce][]byte
	// upsertsOnly counts the Writes left in which new rows are upserted at
	// once, because too many of the inserts before found the row there (a
	// snapshot that is repeated).
	upsertsOnly int
}

// sending is what one command writes of a round.
type sending struct {
	ops  []int32
	sent bool
	err  error // what MongoDB answered
}

// Write implements sinks.Sink.
func (s *sink) Write(ctx context.Context, records []schema.Record) error {
	if s.upsertsOnly > 0 {
		s.upsertsOnly--
	}
	var failed []sinks.RecordError
	for from := 0; from < len(records); {
		// A truncate stands between what was before it and what comes after.
		to, truncate := s.compile(records[from:])
		to += from
		err := s.apply(ctx)
		var some *sinks.WriteError
		switch {
		case err == nil:
		case errors.As(err, &some):
			for _, f := range some.Failed {
				f.Index += from
				failed = append(failed, f)
			}
		default:
			return err
		}
		if truncate >= 0 {
			switch err := s.truncate(ctx, truncate); {
			case err == nil:
			case refusal(err) != nil:
				failed = append(failed, sinks.RecordError{Index: to, Err: refusal(err)})
			default:
				return err
			}
			to++
		}
		from = to
	}
	if len(failed) > 0 {
		return &sinks.WriteError{Failed: failed}
	}
	return nil
}

// compile makes the writes of the records up to the first truncate, whose
// collection it returns; -1 without one.
func (s *sink) compile(records []schema.Record) (n, truncate int) {
	s.build.reset()
	s.ops = s.ops[:0]
	s.rounds.Reset(len(records))
	for i := range records {
		from := len(s.build.mem)
		o, err := s.build.build(&records[i])
		switch {
		case err != nil:
			s.build.mem = s.build.mem[:from]
			s.rounds.Refuse(err)
		case o.kind == opTruncate:
			return i, o.ns
		case o.kind == opSkip:
			s.rounds.Skip()
		case s.config.ordered:
			// Rounds only keeps the score here; see applyOrdered. Upserts
			// alone make for fewer commands than upserts among inserts.
			if o.kind == opInsert && !o.strict {
				o.kind = opReplace
			}
			s.rounds.Add(nil, false)
		default:
			if o.kind == opInsert && !o.strict && s.upsertsOnly > 0 {
				o.kind = opReplace
			}
			s.rounds.Add(s.build.bytes(o.key), o.whole)
		}
		s.ops = append(s.ops, o)
	}
	return len(records), -1
}

// apply sends the compiled writes.
func (s *sink) apply(ctx context.Context) error {
	if s.config.ordered {
		return s.applyOrdered(ctx)
	}
	for {
		s.round = s.rounds.Next(s.round[:0])
		if len(s.round) == 0 {
			return s.rounds.Err()
		}
		// One command for each collection and kind of write; within a round
		// the order does not matter.
		slices.SortStableFunc(s.round, func(a, b int32) int { return s.class(a) - s.class(b) })
		if err := s.sendRound(ctx); err != nil {
			return err
		}
	}
}

// sendRound sends the sorted writes of a round, several commands at a time.
func (s *sink) sendRound(ctx context.Context) error {
	s.sendings = s.sendings[:0]
	for ops := s.round; len(ops) > 0; {
		same := slices.IndexFunc(ops, func(at int32) bool { return s.class(at) != s.class(ops[0]) })
		if same < 0 {
			same = len(ops)
		}
		n := s.fit(ops[:same])
		s.sendings = append(s.sendings, sending{ops: ops[:n]})
		ops = ops[n:]
	}
	var next atomic.Int32
	var failed atomic.Bool
	var g errgroup.Group
	for w := range min(atOnce, len(s.sendings)) {
		g.Go(func() error {
			return sinks.Guard(func() error {
				for !failed.Load() {
					i := int(next.Add(1)) - 1
					if i >= len(s.sendings) {
						break
					}
					c := &s.sendings[i]
					c.err = s.run(ctx, &s.memory[w], c.ops, false)
					c.sent = true
					if c.err != nil && refusal(c.err) == nil && writeErrors(c.err) == nil {
						failed.Store(true) // MongoDB is away: the others need not find out
					}
				}
				return nil
			})
		})
	}
	err := g.Wait()
	// One that was not sent stays in the rounds; then another has failed.
	for i := range s.sendings {
		if c := &s.sendings[i]; c.sent {
			err = cmp.Or(err, s.settle(ctx, c.ops, false, c.err))
		}
	}
	return err
}

// class orders ops by collection and command.
func (s *sink) class(at int32) int {
	o := &s.ops[at]
	return o.ns*4 + int(commandOf(o.kind))
}

// applyOrdered sends the writes in the order of the log, for
// bulk.write.ordered. A write that is refused for good does not keep those
// after it from being sent: whether it ends the task is not the sink's to say.
func (s *sink) applyOrdered(ctx context.Context) error {
	for {
		s.round = s.round[:0]
		// All that is left, as far as it fits one command.
		for at := range s.ops {
			if s.rounds.Waiting(at) {
				if len(s.round) > 0 && s.class(int32(at)) != s.class(s.round[0]) {
					break
				}
				s.round = append(s.round, int32(at))
			}
		}
		if len(s.round) == 0 {
			return s.rounds.Err()
		}
		if err := s.sendOrdered(ctx, s.round); err != nil {
			return err
		}
	}
}

// sendOrdered writes ops of one collection and command, in as many commands as
// it takes. It answers each of them to the rounds; those that are not answered
// are to be sent again.
func (s *sink) sendOrdered(ctx context.Context, ops []int32) error {
	for len(ops) > 0 {
		n := s.fit(ops)
		err := s.sendOne(ctx, ops[:n], true)
		if err != nil {
			return err
		}
		if s.rounds.Waiting(int(ops[n-1])) {
			return nil // the rest is sent again, from where this one ended
		}
		ops = ops[n:]
	}
	return nil
}

func (s *sink) fit(ops []int32) int {
	size := 0
	for i, at := range ops {
		o := &s.ops[at]
		size += o.doc.to - o.doc.from + o.filter.to - o.filter.from
		if i > 0 && size > commandBytes || i == commandStatements || s.config.maxBatch > 0 && i == s.config.maxBatch {
			return i
		}
	}
	return len(ops)
}

func (s *sink) sendOne(ctx context.Context, ops []int32, ordered bool) error {
	return s.settle(ctx, ops, ordered, s.run(ctx, &s.memory[0], ops, ordered))
}

// run runs the command of ops, which it puts together in memory.
func (s *sink) run(ctx context.Context, memory *[]byte, ops []int32, ordered bool) error {
	n := s.build.namespaces[s.ops[ops[0]].ns]
	c := appendCommand((*memory)[:0], s.build, n.collection, s.ops, ops, ordered, s.config.client.WriteConcern)
	if cap(c) <= keepMemory {
		*memory = c
	}
	return s.client.Database(n.database).RunCommand(ctx, bson.Raw(c)).Err()
}

// writeErrors are those of a command that was carried out but for them.
func writeErrors(err error) []mongo.WriteError {
	var write mongo.WriteException
	if errors.As(err, &write) && write.WriteConcernError == nil {
		return write.WriteErrors
	}
	return nil
}

// settle tells the rounds what MongoDB answered to the command of ops.
func (s *sink) settle(ctx context.Context, ops []int32, ordered bool, err error) error {
	n := s.build.namespaces[s.ops[ops[0]].ns]
	switch {
	case err == nil:
		for _, at := range ops {
			s.rounds.Done(at)
		}
		return nil
	case len(writeErrors(err)) > 0:
		return s.answer(n, ops, writeErrors(err), ordered)
	case refusal(err) != nil && len(ops) == 1:
		s.rounds.Fail(ops[0], refusal(err))
		return nil
	case refusal(err) != nil:
		// Nothing of the command was done. Halves find whose fault it is.
		half := len(ops) / 2
		if err := s.sendOne(ctx, ops[:half], ordered); err != nil || ordered && s.rounds.Waiting(int(ops[half-1])) {
			return err
		}
		return s.sendOne(ctx, ops[half:], ordered)
	default:
		// Also what the primary has done and the set has not confirmed, which
		// may be rolled back: nothing of it counts.
		return classify(fmt.Sprintf("write to %s", n), err)
	}
}

// answer tells the rounds what became of the ops of one command. What MongoDB
// could not do because of its own state is an error of the destination.
func (s *sink) answer(n namespace, ops []int32, errs []mongo.WriteError, ordered bool) error {
	slices.SortFunc(errs, func(a, b mongo.WriteError) int { return a.Index - b.Index })
	there := 0
	for i, at := range ops {
		if len(errs) == 0 || errs[0].Index != i {
			s.rounds.Done(at)
			continue
		}
		e := errs[0]
		errs = errs[1:]
		o := &s.ops[at]
		switch {
		case e.Code == codeDuplicateKey && o.kind == opInsert && !o.strict && isDuplicateID(e):
			o.kind = opReplace // and is sent again
			there++
		case isPassing(e.Code) || e.Code == codeDuplicateKey && isDuplicateID(e) && o.kind != opInsert:
			// Or two upserts of one new _id raced (another task, a zombie).
			return fmt.Errorf("write to %s: %w", n, &writeError{e})
		default:
			s.rounds.Fail(at, &writeError{e})
		}
		if ordered {
			break // nothing after it was tried
		}
	}
	if there > 10 && there*5 > len(ops) {
		s.upsertsOnly = 50
	}
	return nil
}

// truncate empties a collection.
func (s *sink) truncate(ctx context.Context, ns int) error {
	n := s.build.namespaces[ns]
	if _, err := s.client.Database(n.database).Collection(n.collection).DeleteMany(ctx, bson.Raw(emptyDocument)); err != nil {
		return classify(fmt.Sprintf("truncate %s", n), err)
	}
	return nil
}

// Close implements sinks.Sink.
func (s *sink) Close(ctx context.Context) error {
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("disconnect from MongoDB: %w", err)
	}
	return nil
}
