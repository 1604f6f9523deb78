package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	defaultMaxRecords     = 2000
	defaultCommitInterval = 5 * time.Second
	defaultStopTimeout    = 20 * time.Second
	// ring is how many batches there are: one being written, one decoded, one
	// that waits between the two. More would only hold memory.
	ring = 3
	// closeTimeout is how long a destination may take to be closed, and
	// endTimeoutMin and endTimeoutMax bound the time for the last commit and
	// the leave of the group.
	closeTimeout  = time.Second
	endTimeoutMin = time.Second
	endTimeoutMax = 5 * time.Second
	// revokeTimeout is how long a rebalance waits for a Write before the Write
	// is cancelled. It has to stay well below the group's rebalance timeout.
	revokeTimeout = 20 * time.Second
)

// Transform changes or drops a record on its way to the sink.
type Transform interface {
	// Apply changes r in place; new values live in the arena. keep says
	// whether the record goes on.
	Apply(r *schema.Record, a *schema.Arena) (keep bool, err error)
	// JavaClass is the transform's class, for the dead letter queue's headers.
	JavaClass() string
}

// HeaderDecoder reads the value of a header. The data lives in the arena or
// aliases value.
type HeaderDecoder interface {
	DecodeHeader(topic, key string, value []byte, a *schema.Arena) (schema.Data, error)
}

// Classes are the Java names of the converters in use, for the dead letter
// queue's headers.
type Classes struct{ Key, Value, Header string }

// Task is one member of a sink connector's consumer group. Its fields are set
// before Run and not changed later. Run may be called again after it returned.
type Task struct {
	// Connector is the connector's name; the group is "connect-<Connector>".
	Connector string
	// ID is the task's number, from 0.
	ID int
	// Topics to read, or TopicsRegex, which whole names have to match.
	Topics      []string
	TopicsRegex string

	Destination Destination
	Key, Value  converters.Converter
	// Header reads headers; nil leaves them out.
	Header     HeaderDecoder
	Classes    Classes
	Transforms []Transform
	Errors     Errors

	// Consumer makes the client that reads. The options given to it come
	// last, so that they win.
	Consumer func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error)
	// Producer makes the client that writes the dead letter queue. It is
	// called only if there is one.
	Producer func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error)

	// MaxRecords bounds a batch (max.poll.records); 0 means 2000.
	MaxRecords int
	// CommitInterval is how often the group's offsets are committed; 0 means
	// 5 seconds. They are committed at every rebalance and at the end too.
	CommitInterval time.Duration
	// StopTimeout is how long a Write that runs when the task is stopped may
	// go on, and its letters may take; 0 means 20 seconds. The last commit and
	// the leave of the group take at most half of it more, or a second.
	StopTimeout time.Duration

	// Stats is told what happens; nil means nobody wants to know.
	Stats *Stats
	// Waiting, if set, is told why the task makes no progress (the destination
	// is down), and with nil that it does again. It is called from several
	// goroutines, one at a time.
	Waiting func(err error)
	Logger  *slog.Logger
}

// Group returns the name of a connector's consumer group.
func Group(connector string) string { return "connect-" + connector }

// Run reads, writes and commits until ctx is cancelled, which gives nil, or
// until something fails that waiting does not mend. Offsets are committed up
// to what has been applied in either case.
func (t *Task) Run(ctx context.Context) error {
	r := newRun(t)
	sink, err := r.open(ctx)
	if err != nil {
		return stopped(ctx, err)
	}
	err = r.run(ctx, sink)

	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if cerr := sink.Close(closing); cerr != nil && err == nil {
		err = fmt.Errorf("close the destination: %w", cerr)
	}
	return stopped(ctx, err)
}

// stopped turns the errors that a stop brings about into nil.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed)) {
		return nil
	}
	return err
}

// run is one Run of a task.
type run struct {
	*Task
	maxRecords     int
	commitInterval time.Duration
	stopTimeout    time.Duration

	// life outlives the task's context by what the end may take: StopTimeout
	// for the batch that is being written, and half of it for the last commit
	// and the leave of the group.
	life   context.Context
	waits  waits
	group  group
	client *kgo.Client
	made   chan struct{} // closed when there is the client
	sink   Sink
	dlq    *deadLetters

	free, decoded chan *batch
}

func newRun(t *Task) *run {
	c := *t
	if c.Stats == nil {
		c.Stats = &Stats{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Waiting == nil {
		c.Waiting = func(error) {}
	}
	r := &run{
		Task:           &c,
		maxRecords:     c.MaxRecords,
		commitInterval: c.CommitInterval,
		stopTimeout:    c.StopTimeout,
		made:           make(chan struct{}),
		free:           make(chan *batch, ring),
		decoded:        make(chan *batch, ring),
	}
	if r.maxRecords <= 0 {
		r.maxRecords = defaultMaxRecords
	}
	if r.commitInterval <= 0 {
		r.commitInterval = defaultCommitInterval
	}
	if r.stopTimeout <= 0 {
		r.stopTimeout = defaultStopTimeout
	}
	r.waits.tell = c.Waiting
	r.group.init(c.Stats)
	for range ring {
		r.free <- &batch{}
	}
	return r
}

// open opens the destination, however long it takes to come up. The group is
// joined only afterwards, so that other tasks have the partitions meanwhile.
func (r *run) open(ctx context.Context) (Sink, error) {
	for attempt := 1; ; attempt++ {
		sink, err := r.Destination.Open(ctx)
		switch {
		case err == nil:
			r.Waiting(nil)
			return sink, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case IsPermanent(err):
			return nil, fmt.Errorf("open the destination: %w", err)
		}
		r.Stats.Retries.Add(1)
		r.Waiting(fmt.Errorf("open the destination: %w", err))
		r.Logger.Warn("destination cannot be opened; trying again", "attempt", attempt, "error", err)
		if err := wait(ctx, nil, outageDelay(attempt)); err != nil {
			return nil, err
		}
	}
}

func (r *run) run(ctx context.Context, sink Sink) (err error) {
	r.sink = sink
	var expire context.CancelFunc
	r.life, expire = context.WithCancel(context.WithoutCancel(ctx))
	expires := time.AfterFunc(time.Hour, expire)
	expires.Stop() // until the writer has ended
	defer func() {
		expires.Stop()
		expire()
	}()
	if r.Errors.DLQ != "" {
		if r.dlq, err = r.openDeadLetters(ctx); err != nil {
			return err
		}
		defer r.dlq.close()
	}
	if r.client, err = r.Consumer(ctx, r.consumerOptions()...); err != nil {
		return fmt.Errorf("make the consumer: %w", err)
	}
	close(r.made)
	defer r.leave()
	r.nameMissing(ctx)

	// The fetcher and the committer end with the writer, or before it when ctx
	// is cancelled; the writer outlives ctx by the Write that it has begun.
	g, ctx := errgroup.WithContext(ctx)
	ended := make(chan struct{})
	g.Go(func() error {
		defer close(r.decoded)
		return Guard(func() error { return r.fetch(ctx) })
	})
	g.Go(func() error {
		defer close(ended)
		defer expires.Reset(min(max(r.stopTimeout/2, endTimeoutMin), endTimeoutMax))
		return Guard(func() error { return r.write(ctx) })
	})
	g.Go(func() error {
		return Guard(func() error {
			r.commitLoop(ended)
			return nil
		})
	})
	return g.Wait()
}

// nameMissing warns of topics that do not exist, which the client waits for
// without a word: they may be made later, or be misspelt.
func (r *run) nameMissing(ctx context.Context) {
	if r.TopicsRegex != "" {
		return
	}
	topics, err := kadm.NewClient(r.client).ListTopics(ctx, r.Topics...)
	if err != nil {
		r.Logger.Debug("topics could not be looked for", "error", err)
		return
	}
	for _, t := range topics.Sorted() {
		if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			r.Logger.Warn("a topic does not exist; it is read as soon as it does", "topic", t.Topic)
		}
	}
}

func (r *run) consumerOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(Group(r.Connector)),
		kgo.ClientID(fmt.Sprintf("connector-consumer-%s-%d", r.Connector, r.ID)),
		kgo.DisableAutoCommit(),
		// A client that is closed waits for the group's answer to its leave.
		kgo.WithContext(r.life),
		// A record and the assignment that it was fetched under have to be
		// brought together before a rebalance can replace the assignment.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(r.assigned),
		kgo.OnPartitionsRevoked(r.revoked),
		kgo.OnPartitionsLost(r.lost),
		kgo.AdjustFetchOffsetsFn(r.begin),
	}
	if r.TopicsRegex != "" {
		return append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+r.TopicsRegex+")$"))
	}
	return append(opts, kgo.ConsumeTopics(r.Topics...))
}

// fetch polls, decodes and transforms ahead of the writer until ctx is done.
func (r *run) fetch(ctx context.Context) error {
	for {
		var b *batch
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		// The client goes on heartbeating in the background while no batch is
		// free, and stops fetching when its buffers are full: a destination
		// that is down costs neither memory nor the membership.
		fetches := r.client.PollRecords(ctx, r.maxRecords)
		err := errors.Join(r.take(fetches, b), r.fetchErrors(ctx, fetches))
		r.client.AllowRebalance()
		if err != nil {
			return err
		}
		if len(b.spans) == 0 {
			r.free <- b
			continue
		}
		failed := r.decode(ctx, b)
		if err := ctx.Err(); err != nil {
			return err // which may be why a record could not be converted
		}
		r.decoded <- b // holds every batch that there is
		if failed {
			return nil // the writer ends the task when it gets there
		}
	}
}

// take moves fetched records into a batch.
func (r *run) take(fetches kgo.Fetches, b *batch) (err error) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		p := r.group.fetched(f.Topic, f.Partition, f.Records[0].Offset, f.HighWatermark)
		if p == nil {
			// The client promises that this cannot be; leaving the records out
			// would lose them.
			err = fmt.Errorf("records of topic %s, partition %d arrived, which is not assigned to this task", f.Topic, f.Partition)
			return
		}
		b.spans = append(b.spans, span{partition: p, fetched: f.Records})
	})
	return err
}

// fetchErrors returns those errors of a poll that the client does not get over
// by itself.
func (r *run) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	var fatal error
	fetches.EachError(func(topic string, partition int32, err error) {
		var session *kgo.ErrGroupSession
		var loss *kgo.ErrDataLoss
		var answer *kerr.Error
		switch {
		case ctx.Err() != nil:
			fatal = ctx.Err()
		case errors.As(err, &loss):
			// Records were deleted before they were read: say so loudly.
			r.Logger.Error("records are gone from the topic before they were read", "topic", topic, "partition", partition, "error", err)
		case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
			fatal = Permanent(fmt.Errorf("read topic %s as group %s: %w", topic, Group(r.Connector), err))
		case errors.Is(err, kerr.InvalidSessionTimeout):
			fatal = Permanent(fmt.Errorf("join group %s: %w; set consumer.override.session.timeout.ms to what the broker allows (group.min.session.timeout.ms, group.max.session.timeout.ms)", Group(r.Connector), err))
		case errors.Is(err, kerr.InconsistentGroupProtocol), errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.GroupMaxSizeReached):
			fatal = fmt.Errorf("join group %s, which others are in: %w", Group(r.Connector), err)
		case errors.As(err, &session), kerr.IsRetriable(err), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
			// The group is joined again; a topic may be made later.
			r.Logger.Warn("reading is interrupted", "topic", topic, "partition", partition, "error", err)
		case fatal == nil && !r.mayBegin() && (errors.Is(err, kerr.OffsetOutOfRange) || !errors.As(err, &answer)):
			// That there is no offset is the client's own word.
			fatal = Permanent(fmt.Errorf("read topic %s, partition %d: %w; with auto.offset.reset=none the offset has to be set first (PATCH /connectors/%s/offsets)", topic, partition, err, r.Connector))
		case fatal == nil:
			fatal = fmt.Errorf("read topic %s, partition %d: %w", topic, partition, err)
		}
	})
	return fatal
}
