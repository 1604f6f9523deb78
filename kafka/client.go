package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// metadataMinAge is how soon brokers may be asked again after a topic or a
// leader was not where the client thought. The first record of every new topic
// waits for it, one table of a snapshot after another, so that franz-go's 5 s
// and even its quarter would be what a snapshot of many tables takes.
const metadataMinAge = 50 * time.Millisecond

// Options returns what every client of this configuration needs. Options that
// are appended to them win.
func (c Config) Options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.BootstrapServers...),
		kgo.SoftwareNameAndVersion("penstock", "1"),
		kgo.RequestTimeoutOverhead(clamp(c.RequestTimeout, 100*time.Millisecond, 15*time.Minute)),
		kgo.DialTimeout(c.DialTimeout),
		kgo.ConnIdleTimeout(clamp(c.ConnIdleTimeout, time.Second, 15*time.Minute)),
		kgo.RetryBackoffFn(c.backoff),
		kgo.MetadataMaxAge(clamp(c.MetadataMaxAge, metadataMinAge, time.Hour)),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.BrokerMaxWriteBytes(1 << 30),
		kgo.BrokerMaxReadBytes(1 << 30),
		kgo.DisableClientMetrics(),
	}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if c.APITimeout > 0 {
		opts = append(opts, kgo.RetryTimeout(c.APITimeout))
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS.Clone()))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(clientLogger{c.Logger}))
	}
	return opts
}

// ProducerOptions returns what a producer needs beside Options.
func (c Config) ProducerOptions() []kgo.Opt {
	p := c.Producer
	opts := []kgo.Opt{
		kgo.RequiredAcks(p.Acks),
		kgo.ProducerBatchCompression(p.Compression),
		kgo.ProducerLinger(p.Linger),
		kgo.ProducerBatchMaxBytes(p.MaxBatchBytes),
		kgo.MaxBufferedBytes(p.MaxBufferedBytes),
		kgo.MaxBufferedRecords(p.MaxBufferedRecords),
		kgo.RecordPartitioner(p.Partitioner),
		// A new topic may take a while to be known to every broker. A record
		// that fails would stop the task; one that waits does no harm.
		kgo.UnknownTopicRetries(100),
	}
	if !p.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(p.MaxInFlight))
	}
	if p.DeliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(max(p.DeliveryTimeout, time.Second)))
	}
	if p.Retries >= 0 {
		opts = append(opts, kgo.RecordRetries(p.Retries))
	}
	if p.TransactionalID != "" {
		opts = append(opts, kgo.TransactionalID(p.TransactionalID), kgo.TransactionTimeout(p.TransactionTimeout))
	}
	return opts
}

// start is where a partition without a committed offset is begun. NoResetOffset
// alone would begin at its end.
func (c ConsumerConfig) start() kgo.Offset {
	if c.Reset == kgo.NoResetOffset() {
		return kgo.NewOffset().AtCommitted()
	}
	return c.Reset
}

// ConsumerOptions returns what a consumer needs beside Options. Offsets are
// never committed by a clock: the caller commits what it has dealt with.
func (c Config) ConsumerOptions() []kgo.Opt {
	r := c.Consumer
	opts := []kgo.Opt{
		kgo.FetchMinBytes(r.MinBytes),
		kgo.FetchMaxBytes(r.MaxBytes),
		kgo.FetchMaxPartitionBytes(r.MaxPartitionBytes),
		kgo.FetchMaxWait(max(r.MaxWait, 10*time.Millisecond)),
		kgo.ConsumeStartOffset(r.start()),
		kgo.ConsumeResetOffset(r.Reset),
		kgo.FetchIsolationLevel(r.Isolation),
	}
	if c.Rack != "" {
		opts = append(opts, kgo.Rack(c.Rack))
	}
	if r.Group == "" {
		return opts
	}
	opts = append(
		opts,
		kgo.ConsumerGroup(r.Group),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(r.SessionTimeout),
		kgo.HeartbeatInterval(r.HeartbeatInterval),
		kgo.RebalanceTimeout(max(r.RebalanceTimeout, 100*time.Millisecond)),
	)
	if r.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(r.InstanceID))
	}
	if r.ServerSide {
		opts = append(opts, kgo.ServerSideBalancer())
	} else if len(r.Balancers) > 0 {
		opts = append(opts, kgo.Balancers(r.Balancers...))
	}
	return opts
}

// NewProducer returns a client that writes, after having reached a broker.
func NewProducer(ctx context.Context, c Config, opts ...kgo.Opt) (*kgo.Client, error) {
	return c.NewClient(ctx, append(c.ProducerOptions(), opts...)...)
}

// NewConsumer returns a client that reads, in the group of c.Consumer if it
// has one, after having reached a broker. What to read comes with opts
// (kgo.ConsumeTopics, kgo.ConsumePartitions).
func NewConsumer(ctx context.Context, c Config, opts ...kgo.Opt) (*kgo.Client, error) {
	return c.NewClient(ctx, append(c.ConsumerOptions(), opts...)...)
}

// NewAdmin returns a client for topics, groups and configurations, after
// having reached a broker. Close it with its Close.
func NewAdmin(ctx context.Context, c Config, opts ...kgo.Opt) (*kadm.Client, error) {
	cl, err := c.NewClient(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// NewClient returns a client with Options and opts, after having reached a
// broker and logged in. It tries each of the bootstrap servers once; if none
// answers the error is a *ConnectError that says why for each. It returns
// early when ctx is done, and the client does not depend on ctx later.
func (c Config) NewClient(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	attempts := &dialAttempts{failed: map[string]error{}}
	cl, err := kgo.NewClient(append(append(c.Options(), kgo.WithHooks(attempts)), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	if err := cl.Ping(ctx); err != nil {
		cl.Close()
		return nil, c.connectError(err, attempts.stop())
	}
	attempts.stop()
	return cl, nil
}

// backoff doubles with each failure, with jitter so that the clients of a
// restarted broker do not all come back at once.
func (c Config) backoff(fails int) time.Duration {
	d := c.MaxRetryBackoff
	if fails < 20 {
		d = min(d, c.RetryBackoff<<max(fails-1, 0))
	}
	return time.Duration(float64(max(d, c.RetryBackoff)) * (0.8 + 0.4*rand.Float64()))
}

func (s *SASL) mechanism() sasl.Mechanism {
	auth := scram.Auth{User: s.Username, Pass: s.Password.Reveal(), IsToken: s.Token}
	switch s.Mechanism {
	case mechanismScram256:
		return auth.AsSha256Mechanism()
	case mechanismScram512:
		return auth.AsSha512Mechanism()
	}
	return plain.Auth{User: s.Username, Pass: s.Password.Reveal()}.AsMechanism()
}

func clamp(d, least, most time.Duration) time.Duration { return min(max(d, least), most) }

// dialAttempts remembers why brokers could not be reached while a client is
// being made.
type dialAttempts struct {
	mu      sync.Mutex
	failed  map[string]error // by host:port; nil once the client is made
	stopped bool
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (d *dialAttempts) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped {
		d.failed[net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))] = err
	}
}

func (d *dialAttempts) stop() map[string]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	failed := d.failed
	d.failed = nil
	return failed
}

// clientLogger gives franz-go's log to slog. What a client does all the time
// is for debugging; a worker tells its user what matters.
type clientLogger struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (l clientLogger) Level() kgo.LogLevel {
	switch ctx := context.Background(); {
	case l.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.log.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	}
	return kgo.LogLevelError
}

// Log implements kgo.Logger.
func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	case kgo.LogLevelInfo, kgo.LogLevelDebug, kgo.LogLevelNone:
	}
	l.log.Log(context.Background(), to, "kafka client: franz-go says", append([]any{"text", msg}, keyvals...)...)
}

// IsConnectError reports whether err says that no broker could be reached.
func IsConnectError(err error) bool {
	_, ok := errors.AsType[*ConnectError](err)
	return ok
}
