package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// DefaultBrokerListen is where the embedded broker listens unless told.
const DefaultBrokerListen = "127.0.0.1:9092"

const (
	// maxMessageBytes is far above Kafka's 1 MiB: a document of a database
	// may have 16 MB, and the producer's max.request.size is the limit people
	// set.
	maxMessageBytes = 100 << 20
	// segmentBytes is small because at a start the fake has a segment of each
	// partition in memory; but it keeps a file open for each that was read.
	segmentBytes = 1 << 20
	// groupRetentionMinutes keeps the offsets of a sink that is paused or of a
	// daemon that is down. Kafka's 7 days would let them begin again.
	groupRetentionMinutes = 365 * 24 * 60

	defaultRetention          = 7 * 24 * time.Hour
	defaultMaintenanceEvery   = 5 * time.Minute
	defaultCompactAtLeast     = 8 << 20
	never                     = 100 * 365 * 24 * time.Hour
	dirBroker                 = "kafka" // the fake's own files, below DataDir
	dirPerm, filePerm         = 0o700, 0o600
	embeddedClusterIDByteSize = 16
)

// BrokerConfig is how the embedded broker runs. Only DataDir is required.
type BrokerConfig struct {
	// DataDir holds everything the broker keeps. It is made if it does not
	// exist, for this user alone, and belongs to one process at a time.
	DataDir string
	// Listen is host:port, DefaultBrokerListen if empty. Port 0 takes a free
	// one (see Broker.Addr).
	Listen string
	// AllowRemote permits a Listen address that other machines can reach. The
	// broker has no login and no encryption: whoever reaches it may read and
	// write everything.
	AllowRemote bool
	// AdvertisedHost is the name or address that clients are told to connect
	// to; empty means the one in Listen. A broker that listens on all
	// interfaces needs it.
	AdvertisedHost string
	// Logger receives what the broker has to say; nil means nothing.
	Logger *slog.Logger
	// Retention is how long records of topics with cleanup.policy=delete and
	// without a retention.ms of their own are kept. 0 means 7 days, negative
	// for ever. The last batch of a partition always stays.
	Retention time.Duration
	// RetentionBytes bounds the size of each partition of such topics,
	// likewise; 0 or negative means no bound.
	RetentionBytes int64
	// MaintenanceEvery is how often topics are looked at for retention and
	// compaction; 0 means every 5 minutes.
	MaintenanceEvery time.Duration
	// CompactAtLeast is by how many bytes the compacted topics have to have
	// grown since they were last compacted before they are compacted again;
	// 0 means 8 MiB.
	CompactAtLeast int64
}

// Broker is a running embedded broker.
type Broker struct {
	cfg     BrokerConfig
	log     *slog.Logger
	cluster *kfake.Cluster
	addr    string // advertised
	local   string // as it is reached from here
	lock    *dirLock
	intent  *os.File     // written before a commit, see recovery
	faults  atomic.Int64 // errors that the fake has logged

	compactPartition int64 // bytes of the largest partition that is compacted

	creating sync.Mutex // held while the fake creates a topic
	closed   bool       // under creating: the fake answers no longer

	stop       context.CancelFunc
	maintained chan struct{} // closed when maintenance has ended

	closing sync.Once
	done    chan struct{} // closed when Close has done its work
	err     error         // of Close, once done is closed
}

// StartBroker starts the broker. After a crash it first mends its files,
// which takes about a second for each gigabyte; ctx bounds only that.
func StartBroker(ctx context.Context, cfg BrokerConfig) (*Broker, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("embedded broker: no data directory; set PENSTOCK_DATA_DIR, or bootstrap.servers to use a Kafka cluster")
	}
	advertised, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	b := &Broker{cfg: cfg, log: cfg.Logger, lock: lock, compactPartition: defaultCompactPartition, done: make(chan struct{})}
	if err := b.start(ctx, advertised); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded broker: %w", err), lock.release())
	}
	return b, nil
}

// resolve fills in defaults and returns the host to advertise.
func (cfg *BrokerConfig) resolve() (advertised string, err error) {
	if cfg.Listen == "" {
		cfg.Listen = DefaultBrokerListen
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Retention == 0 {
		cfg.Retention = defaultRetention
	}
	if cfg.MaintenanceEvery <= 0 {
		cfg.MaintenanceEvery = defaultMaintenanceEvery
	}
	if cfg.CompactAtLeast <= 0 {
		cfg.CompactAtLeast = defaultCompactAtLeast
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return "", fmt.Errorf("listen address %q is not host:port; use for instance %s", cfg.Listen, DefaultBrokerListen)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "", fmt.Errorf("listen address %q has no port between 0 and 65535; use for instance %s", cfg.Listen, DefaultBrokerListen)
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if !local && !cfg.AllowRemote {
		return "", fmt.Errorf("listen address %s can be reached from other machines, and the embedded broker has neither login nor encryption; "+
			"listen on 127.0.0.1, or allow remote clients (BrokerConfig.AllowRemote) where only trusted machines get through", cfg.Listen)
	}
	if cfg.AdvertisedHost != "" {
		return cfg.AdvertisedHost, nil
	}
	if host == "" || ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("listen address %s is all interfaces, which clients cannot connect to; set PENSTOCK_BROKER_ADVERTISED_HOST to the name or address they use", cfg.Listen)
	}
	return host, nil
}

func (b *Broker) start(ctx context.Context, advertised string) (err error) {
	fake := filepath.Join(b.cfg.DataDir, dirBroker)
	if err := os.MkdirAll(fake, dirPerm); err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", b.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; is a Kafka running there? Stop it, or set PENSTOCK_BROKER_LISTEN to another port", b.cfg.Listen, unwrapNet(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeListener(ln))
		}
	}()
	if err := b.addresses(ln.Addr(), advertised); err != nil {
		return err
	}
	r := &recovery{dir: b.cfg.DataDir, fake: fake, log: b.log}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("open data directory %s: %w", b.cfg.DataDir, err)
	}
	if b.intent, err = os.OpenFile(filepath.Join(b.cfg.DataDir, fileIntent), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, filePerm); err != nil {
		return err
	}
	id, err := newClusterID()
	if err != nil {
		return errors.Join(err, b.intent.Close())
	}
	ready := make(chan struct{}) // no request comes in before it is watched
	defer close(ready)
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(id), // of a new directory; later it is read from there
		kfake.DataDir(fake),
		kfake.SyncWrites(),
		kfake.DefaultNumPartitions(1),
		kfake.MaxVersions(fakeVersions()),
		kfake.WithLogger(brokerLogger{b.log, &b.faults}),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			return &listener{Listener: ln, advertised: address(b.addr), ready: ready, create: b.createTopic}, nil
		}),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":          strconv.Itoa(maxMessageBytes),
			"log.segment.bytes":          strconv.Itoa(segmentBytes),
			"offsets.retention.minutes":  strconv.Itoa(groupRetentionMinutes),
			"default.replication.factor": "1",
			// See maintain.
			"log.retention.ms":       "-1",
			"log.retention.bytes":    "-1",
			"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10),
		}),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("open data directory %s: %w", b.cfg.DataDir, err), b.intent.Close())
	}
	// They are those of this start, and would be wrong after a crash.
	if err := removeIfThere(filepath.Join(fake, fileWindows)); err != nil {
		b.closeFake()
		return errors.Join(err, b.intent.Close())
	}
	debug.FreeOSMemory() // it has read all segments
	b.watchRequests()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop, b.maintained = stop, make(chan struct{})
	go func() {
		defer close(b.maintained)
		b.maintain(running)
	}()
	return nil
}

// fakeVersions are the requests that the broker offers: all of the fake's but
// those with which Java's clients come to grief. They have older ways to ask
// the same.
func fakeVersions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.DescribeTopicPartitions), -1) // a list is null where they expect an empty one
	v.SetMaxKeyVersion(int16(kmsg.CreateTopics), 4)             // likewise, from version 5 on
	v.SetMaxKeyVersion(int16(kmsg.ListGroups), 4)               // does not know their spelling of a group's type
	return v
}

// addresses sets how the broker is reached from here and from elsewhere.
func (b *Broker) addresses(bound net.Addr, advertised string) error {
	host, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	b.local, b.addr = net.JoinHostPort(host, port), net.JoinHostPort(advertised, port)
	return nil
}

// closeListener closes a listener that the fake may have closed before.
func closeListener(ln net.Listener) error {
	if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Addr returns the address that clients connect to, as host:port.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker: it writes what a fast start needs and lets go of
// the directory. Nothing that was acknowledged depends on it. Clients see
// their connections closed. Close returns early if ctx is done; it may be
// called more than once.
func (b *Broker) Close(ctx context.Context) error {
	b.closing.Do(func() {
		go func() {
			defer close(b.done)
			b.err = b.shutDown()
		}()
	})
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("close embedded broker: %w", ctx.Err())
	}
}

func (b *Broker) shutDown() error {
	b.stop()
	<-b.maintained // it asks the fake, which answers nothing once closed
	before := b.faults.Load()
	b.closeFake()
	err := b.intent.Close()
	// Only a stop that wrote everything spares the next start its recovery.
	if b.faults.Load() == before {
		err = errors.Join(err, replaceFile(filepath.Join(b.cfg.DataDir, fileClean), nil))
	}
	return errors.Join(err, b.lock.release())
}

// closeFake closes the fake once nobody here asks it for anything any more.
func (b *Broker) closeFake() {
	b.creating.Lock()
	b.closed = true
	b.creating.Unlock()
	b.cluster.Close()
}

// createTopic creates a topic that a client wants to use, as the broker creates
// topics by itself. It is on disk when it returns.
func (b *Broker) createTopic(name string) {
	b.creating.Lock()
	defer b.creating.Unlock()
	if b.closed {
		return
	}
	// The client is told of a refusal: for it the topic does not exist.
	if err := b.cluster.CreateTopic(name, -1, nil); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		b.log.Warn("embedded broker: did not create a topic that a client wants to use", "topic", name, "error", err)
	}
}

// newClusterID returns an id in the form that Kafka gives to clusters.
func newClusterID() (string, error) {
	var raw [embeddedClusterIDByteSize]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("make cluster id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// unwrapNet takes the address that the caller names off an error of net.
func unwrapNet(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return err
}

// brokerLogger gives the fake's log to slog.
type brokerLogger struct {
	log    *slog.Logger
	faults *atomic.Int64
}

// Logf implements kfake.Logger.
func (l brokerLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
		l.faults.Add(1)
	case kfake.LogLevelWarn:
		// It finds a commit slow that takes as long as a disk.
		if !strings.HasPrefix(format, "txn: EndTxn slow") {
			to = slog.LevelWarn
		}
	case kfake.LogLevelInfo, kfake.LogLevelDebug, kfake.LogLevelNone:
	}
	if l.log.Enabled(context.Background(), to) {
		l.log.Log(context.Background(), to, "embedded broker: kfake says", "text", fmt.Sprintf(format, args...))
	}
}
