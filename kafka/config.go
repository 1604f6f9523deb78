package kafka

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/penstock/penstock/settings"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	mechanismPlain    = "PLAIN"
	mechanismScram256 = "SCRAM-SHA-256"
	mechanismScram512 = "SCRAM-SHA-512"
)

// Config is how to reach a Kafka cluster and how to produce to and consume
// from it. Make one with Parse, then change it if need be. It holds no open
// files or connections and may be copied; TLS is shared by copies.
type Config struct {
	// BootstrapServers are host:port.
	BootstrapServers []string
	// ClientID is the name brokers know the client by; empty means franz-go's.
	ClientID string
	// Rack is the client's rack; empty means unknown.
	Rack string
	// TLS is nil for connections in the clear.
	TLS *tls.Config
	// SASL is nil for connections without a login.
	SASL *SASL
	// RequestTimeout is how long a broker may take to answer.
	RequestTimeout time.Duration
	// APITimeout is after which time a failing request is given up; 0 means
	// franz-go's defaults (30 s; the session's timeout for groups).
	APITimeout time.Duration
	// DialTimeout is how long opening a connection may take.
	DialTimeout time.Duration
	// RetryBackoff and MaxRetryBackoff bound the wait between tries.
	RetryBackoff, MaxRetryBackoff time.Duration
	// MetadataMaxAge is after which time topics and leaders are asked for again.
	MetadataMaxAge time.Duration
	// ConnIdleTimeout is after which time an idle connection is closed.
	ConnIdleTimeout time.Duration
	// Logger receives the client's own log; nil means none.
	Logger *slog.Logger

	Producer ProducerConfig
	Consumer ConsumerConfig
}

// SASL is a login with user and password.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username  string
	Password  Secret
	// Token says that user and password are those of a delegation token.
	Token bool
}

// ProducerConfig is how a producer made from a Config writes.
type ProducerConfig struct {
	// Acks is who must have written a record.
	Acks kgo.Acks
	// Idempotent says that brokers drop a record's second copy.
	Idempotent bool
	// Compression of batches.
	Compression kgo.CompressionCodec
	// Linger is how long a batch waits for more records.
	Linger time.Duration
	// MaxBatchBytes bounds a batch and so a record.
	MaxBatchBytes int32
	// DeliveryTimeout is after which time a record fails; 0 means never.
	DeliveryTimeout time.Duration
	// Retries of a record; negative means without limit.
	Retries int
	// MaxBufferedBytes and MaxBufferedRecords bound what waits to be sent;
	// Produce blocks above either.
	MaxBufferedBytes, MaxBufferedRecords int
	// MaxInFlight requests for each broker, used only without idempotence:
	// with it franz-go sends up to 5 and keeps the order.
	MaxInFlight int
	// Partitioner chooses partitions.
	Partitioner kgo.Partitioner
	// TransactionalID makes the producer transactional if not empty.
	TransactionalID string
	// TransactionTimeout is after which time a broker aborts an open
	// transaction.
	TransactionTimeout time.Duration
}

// ConsumerConfig is how a consumer made from a Config reads.
type ConsumerConfig struct {
	// Group and InstanceID may be empty.
	Group, InstanceID string
	// MinBytes, MaxBytes and MaxPartitionBytes of a fetch, and how long a
	// broker waits for MinBytes.
	MinBytes, MaxBytes, MaxPartitionBytes int32
	MaxWait                               time.Duration
	// MaxPollRecords is for the caller of PollRecords.
	MaxPollRecords int
	// SessionTimeout, HeartbeatInterval and RebalanceTimeout of the group.
	SessionTimeout, HeartbeatInterval, RebalanceTimeout time.Duration
	// Reset is where to begin without a valid offset.
	Reset kgo.Offset
	// Isolation says whether uncommitted records are read.
	Isolation kgo.IsolationLevel
	// Balancers share the partitions in a group of the classic protocol.
	Balancers []kgo.GroupBalancer
	// ServerSide asks for the group protocol in which the broker assigns.
	ServerSide bool
}

// maxBufferedRecords bounds memory for tiny records, each of which costs
// about 200 bytes beside its own: 26 MB.
const maxBufferedRecords = 1 << 17

// ParseClient reads a client's settings as Parse does and returns all
// problems but warnings as one error.
func ParseClient(raw map[string]string) (Config, error) {
	c, problems := Parse(raw)
	return c, problems.Err()
}

// Parse reads the settings of a client, without prefixes such as producer.
// Keys that are no client settings are left to others. It reads the files
// that ssl.truststore.location and ssl.keystore.location name, and talks to
// no broker. A problem with one setting does not hide another's.
func Parse(raw map[string]string) (Config, settings.Problems) {
	v, problems := clientSettings.Parse(raw)
	report := func(key, format string, args ...any) {
		problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	c := Config{
		ClientID:        v.String("client.id"),
		Rack:            v.String("client.rack"),
		RequestTimeout:  v.Millis("request.timeout.ms"),
		DialTimeout:     v.Millis("socket.connection.setup.timeout.ms"),
		RetryBackoff:    v.Millis("retry.backoff.ms"),
		MaxRetryBackoff: v.Millis("retry.backoff.max.ms"),
		MetadataMaxAge:  v.Millis("metadata.max.age.ms"),
		ConnIdleTimeout: v.Millis("connections.max.idle.ms"),
	}
	if v.IsSet("default.api.timeout.ms") {
		c.APITimeout = v.Millis("default.api.timeout.ms")
	}
	for _, entry := range v.List("bootstrap.servers") {
		if addr, err := parseAddress(entry); err == nil { // else Check has reported it
			c.BootstrapServers = append(c.BootstrapServers, addr)
		}
	}
	if v.IsSet("bootstrap.servers") && len(v.List("bootstrap.servers")) == 0 && strings.TrimSpace(raw["bootstrap.servers"]) != "" {
		report("bootstrap.servers", "Invalid value %s for configuration bootstrap.servers: it names no broker; write for instance kafka.example.org:9092", raw["bootstrap.servers"])
	}
	c.security(v, report)
	c.Producer = producerConfig(v, report)
	c.Consumer = consumerConfig(v, report)
	return c, problems
}

func (c *Config) security(v settings.Values, report func(key, format string, args ...any)) {
	protocol := v.String("security.protocol")
	if strings.HasSuffix(protocol, "SSL") {
		c.TLS = tlsConfig(v, report)
	}
	if !strings.HasPrefix(protocol, "SASL_") {
		return
	}
	mechanism := v.String("sasl.mechanism")
	if mechanism == "" {
		report("sasl.mechanism", "sasl.mechanism is not set, which security.protocol=%s needs: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, whichever the broker has", protocol)
	}
	text := v.String("sasl.jaas.config")
	if text == "" {
		report("sasl.jaas.config", "sasl.jaas.config is not set, which security.protocol=%s needs: %s", protocol, jaasForm)
		return
	}
	entry, err := parseJAAS(text)
	if err != nil {
		report("sasl.jaas.config", "Invalid value %s for configuration sasl.jaas.config: %v", hidden, err)
		return
	}
	s := &SASL{
		Mechanism: mechanism,
		Username:  entry.options["username"],
		Password:  NewSecret(entry.options["password"]),
		Token:     entry.options["tokenauth"] == "true",
	}
	module, fits := className(entry.module), true
	switch mechanism {
	case mechanismPlain:
		fits = module == "PlainLoginModule"
	case mechanismScram256, mechanismScram512:
		fits = module == "ScramLoginModule"
	}
	if !fits {
		report("sasl.jaas.config", "Invalid value %s for configuration sasl.jaas.config: the login module does not fit sasl.mechanism=%s; "+
			"PLAIN needs org.apache.kafka.common.security.plain.PlainLoginModule, SCRAM needs org.apache.kafka.common.security.scram.ScramLoginModule", hidden, mechanism)
	}
	for _, option := range []string{"username", "password"} {
		if entry.options[option] == "" {
			report("sasl.jaas.config", "Invalid value %s for configuration sasl.jaas.config: there is no %s in it; %s", hidden, option, jaasForm)
		}
	}
	c.SASL = s
}

func producerConfig(v settings.Values, report func(key, format string, args ...any)) ProducerConfig {
	p := ProducerConfig{
		Idempotent:         v.Bool("enable.idempotence"),
		Linger:             v.Millis("linger.ms"),
		MaxBatchBytes:      int32(v.Int("max.request.size")), // at most 1<<30, by its Check
		Retries:            -1,
		MaxBufferedBytes:   int(min(v.Int("buffer.memory"), math.MaxInt)),
		MaxBufferedRecords: maxBufferedRecords,
		MaxInFlight:        int(v.Int("max.in.flight.requests.per.connection")),
		TransactionalID:    v.String("transactional.id"),
		TransactionTimeout: v.Millis("transaction.timeout.ms"),
		Compression:        compression(v),
		Partitioner:        partitioner(v),
	}
	if n := v.Int("delivery.timeout.ms"); n < math.MaxInt32 {
		p.DeliveryTimeout = time.Duration(n) * time.Millisecond
	}
	if n := v.Int("retries"); n < math.MaxInt32 {
		p.Retries = int(n)
	}
	switch v.String("acks") {
	case "0":
		p.Acks = kgo.NoAck()
	case "1":
		p.Acks = kgo.LeaderAck()
	default:
		p.Acks = kgo.AllISRAcks()
		return p
	}
	// As in the Java client: fewer acks switch idempotence off, unless
	// somebody asked for it.
	switch {
	case p.TransactionalID != "":
		report("acks", "Invalid value %s for configuration acks: a producer with a transactional.id needs acks=all; take acks away", v.String("acks"))
	case v.IsSet("enable.idempotence") && p.Idempotent:
		report("acks", "Invalid value %s for configuration acks: enable.idempotence=true needs acks=all; take one of the two away", v.String("acks"))
	}
	p.Idempotent = false
	return p
}

func compression(v settings.Values) kgo.CompressionCodec {
	switch v.String("compression.type") {
	case "gzip":
		if n := v.Int("compression.gzip.level"); n >= 1 {
			return kgo.GzipCompression().WithLevel(int(n))
		}
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		if v.IsSet("compression.lz4.level") {
			return kgo.Lz4Compression().WithLevel(int(v.Int("compression.lz4.level")))
		}
		return kgo.Lz4Compression()
	case "zstd":
		if v.IsSet("compression.zstd.level") {
			return kgo.ZstdCompression().WithLevel(int(v.Int("compression.zstd.level")))
		}
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

// javaBatchBytes is how many bytes without a key go to one partition before
// the next is chosen: franz-go's default, four times that of Java.
const javaBatchBytes = 64 << 10

func partitioner(v settings.Values) kgo.Partitioner {
	switch className(v.String("partitioner.class")) {
	case "RoundRobinPartitioner":
		return kgo.RoundRobinPartitioner()
	case "UniformStickyPartitioner":
		return kgo.StickyPartitioner()
	}
	// A nil hasher is murmur2 as Kafka's own clients use it.
	return kgo.UniformBytesPartitioner(javaBatchBytes, true, !v.Bool("partitioner.ignore.keys"), nil)
}

func consumerConfig(v settings.Values, report func(key, format string, args ...any)) ConsumerConfig {
	c := ConsumerConfig{
		Group:             v.String("group.id"),
		InstanceID:        v.String("group.instance.id"),
		MinBytes:          int32(v.Int("fetch.min.bytes")),
		MaxBytes:          int32(v.Int("fetch.max.bytes")),
		MaxPartitionBytes: int32(v.Int("max.partition.fetch.bytes")),
		MaxWait:           v.Millis("fetch.max.wait.ms"),
		MaxPollRecords:    int(v.Int("max.poll.records")),
		SessionTimeout:    v.Millis("session.timeout.ms"),
		HeartbeatInterval: v.Millis("heartbeat.interval.ms"),
		RebalanceTimeout:  v.Millis("max.poll.interval.ms"),
		ServerSide:        v.String("group.protocol") == "consumer",
	}
	c.Reset = kgo.NewOffset().AtStart()
	switch v.String("auto.offset.reset") {
	case "latest":
		c.Reset = kgo.NewOffset().AtEnd()
	case "none":
		c.Reset = kgo.NoResetOffset()
	}
	if v.String("isolation.level") == "read_committed" {
		c.Isolation = kgo.ReadCommitted()
	}
	for _, name := range v.List("partition.assignment.strategy") {
		if b := assignor(name); b != nil { // else Check has reported it
			c.Balancers = append(c.Balancers, b)
		}
	}
	if c.HeartbeatInterval >= c.SessionTimeout {
		report("heartbeat.interval.ms", "Invalid value %d for configuration heartbeat.interval.ms: it must be below session.timeout.ms=%d; a third of it is usual",
			c.HeartbeatInterval.Milliseconds(), c.SessionTimeout.Milliseconds())
	}
	return c
}

// assignor returns nil for a name that is not known.
func assignor(name string) kgo.GroupBalancer {
	switch className(name) {
	case "range", "RangeAssignor":
		return kgo.RangeBalancer()
	case "roundrobin", "RoundRobinAssignor":
		return kgo.RoundRobinBalancer()
	case "sticky", "StickyAssignor":
		return kgo.StickyBalancer()
	case "cooperative-sticky", "CooperativeStickyAssignor":
		return kgo.CooperativeStickyBalancer()
	}
	return nil
}
