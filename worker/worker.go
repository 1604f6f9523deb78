package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/rest"
	"github.com/penstock/penstock/worker/state"
	"github.com/penstock/penstock/worker/supervisor"
)

// Options say how a worker is started.
type Options struct {
	// Environ and ConfigFile are where the configuration comes from.
	Environ    []string
	ConfigFile string
	// Log receives the log; Terminal says that people watch it.
	Log      io.Writer
	Terminal bool
	Build    Build
	// Catalogue is what can be configured; nil means everything there is.
	Catalogue *catalogue.Catalogue
}

// Worker is a running daemon.
type Worker struct {
	// URL is that of the first REST listener, Bootstrap the address of the
	// embedded broker, empty without one.
	URL, Bootstrap string

	config     *config.Worker
	logs       *logs
	log        *slog.Logger
	broker     *kafka.Broker
	admin      *kgo.Client
	configLog  *state.ConfigLog
	statusLog  *state.StatusLog
	offsets    *offsets.Topic
	supervisor *supervisor.Supervisor
	listeners  []net.Listener
	server     *http.Server
	clients    supervisor.Clients

	done chan struct{} // closed when everything has ended
	err  error         // read after done
}

// LoadConfig reads the worker's configuration.
func LoadConfig(o Options) (*config.Worker, settings.Problems) {
	c := o.Catalogue
	if c == nil {
		c = Catalogue()
	}
	w, problems := config.Load(config.Source{Environ: o.Environ, File: o.ConfigFile, Client: kafka.Settings(), Connector: c.Definitions})
	return w, append(problems, usable(w)...)
}

// usable makes what the settings describe, to find out what is wrong with
// them before anything is started.
func usable(w *config.Worker) settings.Problems {
	var problems settings.Problems
	for _, kind := range []string{supervisor.Producer, supervisor.Consumer, supervisor.Admin} {
		raw := w.Client(kind, kafka.Settings())
		if _, set := raw["bootstrap.servers"]; !set {
			raw["bootstrap.servers"] = "127.0.0.1:9092" // the embedded broker, wherever it will be
		}
		_, found := kafka.Parse(raw)
		for _, p := range found {
			if _, own := w.Given[kind+"."+p.Key]; own {
				p.Message = "In " + kind + ".: " + p.Message
			}
			if !slices.ContainsFunc(problems, func(o settings.Problem) bool { return o.Message == p.Message }) {
				problems = append(problems, p)
			}
		}
	}
	for _, key := range []string{"key.converter", "value.converter", "header.converter"} {
		raw := settings.WithPrefix(w.Resolved, key+".")
		var found settings.Problems
		if key == "header.converter" {
			_, found = converters.NewHeader(w.String(key), raw)
		} else {
			_, found = converters.New(w.String(key), raw, key == "key.converter")
		}
		for _, p := range found {
			if p.Key != key {
				p.Key, p.Message = key+"."+p.Key, "In "+key+".: "+p.Message
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// Start starts a worker and returns when it answers requests; the connectors
// may be starting still. When ctx ends the worker stops: tasks drain and
// commit within task.shutdown.graceful.timeout.ms. Wait returns after that.
//
// The error of a wrong configuration is a *settings.InvalidError, which names
// everything that is wrong.
func Start(ctx context.Context, o Options) (_ *Worker, err error) {
	if o.Catalogue == nil {
		o.Catalogue = Catalogue()
	}
	cfg, problems := LoadConfig(o)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	w := &Worker{config: cfg, done: make(chan struct{})}
	bars := newProgress(nil, nil)
	out := o.Log
	if o.Terminal {
		bars.terminal = o.Log
		out = bars
	}
	w.logs = newLogs(out, asJSON(cfg, o.Terminal), cfg.String("penstock.log.level"))
	w.logs.hide(secrets(cfg))
	w.log = w.logs.logger(logWorker)
	bars.log = w.logs.logger(logConnectors)
	defer func() {
		if err != nil {
			w.close(context.WithoutCancel(ctx))
		}
	}()
	for _, p := range problems {
		w.log.Warn("a setting has no effect", "setting", p.Key, "problem", p.Message)
	}
	w.limitMemory(o.Environ)
	w.log.Info("starting", "version", o.Build.Version, "commit", o.Build.Commit)
	if err := w.listen(ctx); err != nil { // first: it fails at once if another worker is there
		return nil, err
	}
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	env := catalogue.Env{
		Worker: cfg,
		Source: capture.Env{
			Journal: func(ctx context.Context, topic string, client map[string]string) (capture.Journal, error) {
				return openJournal(ctx, w.clients, topic, client)
			},
		},
		Logger: w.logs.logger,
	}
	w.logs.know(connectorLoggers(o.Catalogue))
	w.supervisor = supervisor.New(supervisor.Config{
		Worker: cfg, Catalogue: o.Catalogue, Env: env, Clients: w.clients, Admin: w.admin,
		ConfigLog: w.configLog, StatusLog: w.statusLog, Store: w.offsets,
		WorkerID: w.id(), Logger: w.logs.logger(logConnectors),
		Progress: bars.update, Hide: w.logs.hide,
		LevelChanged: func(name, level string) {
			if _, err := w.logs.SetLevel(name, level); err != nil {
				w.log.Warn("a level of the config topic is none", "logger", name, "error", err)
			}
		},
	})
	if err := w.supervisor.Declare(ctx, cfg.Connectors); err != nil {
		return nil, err
	}
	w.serve(ctx, o.Build)
	return w, nil
}

// connectorLoggers are named as in Kafka Connect, by the classes of connectors
// and tasks.
func connectorLoggers(c *catalogue.Catalogue) []string {
	var names []string
	for _, p := range c.Plugins() {
		if p.Kind == catalogue.Source || p.Kind == catalogue.Sink {
			names = append(names, p.Class(), p.TaskClass())
		}
	}
	return names
}

// Wait returns when the worker has stopped, with what stopped it if that was
// not the context.
func (w *Worker) Wait() error {
	<-w.done
	return w.err
}

func asJSON(c *config.Worker, terminal bool) bool {
	switch c.String("penstock.log.format") {
	case "json":
		return true
	case "text":
		return false
	}
	return !terminal
}

// secrets returns the texts of the worker's settings that must not be logged.
func secrets(c *config.Worker) []string {
	var out []string
	for k, v := range c.Resolved {
		d, ok := kafka.Settings().Lookup(k)
		if ok && d.Type == settings.Password && len(v) > 3 || c.Given[k] != v && len(v) > 3 {
			out = append(out, v)
		}
	}
	return out
}

// limitMemory sets what the garbage collector goes by, unless GOGC and
// GOMEMLIMIT do. Nearly all of the heap are buffers, which it need not look
// into: so it may come round earlier than by default, and let the heap grow by
// a half instead of doubling it.
func (w *Worker) limitMemory(environ []string) {
	if !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		debug.SetGCPercent(50)
	}
	limit, err := config.ParseSize(w.config.String("penstock.memory.limit"))
	if err != nil || limit <= 0 {
		if slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") }) {
			return
		}
		// The kernel ends a process that goes beyond, with no word of why.
		if limit = containerMemory(os.DirFS("/sys/fs/cgroup")) / 5 * 4; limit == 0 {
			return
		}
		w.log.Info("the container limits memory, four fifths of which are the limit that penstock works towards", "limit", limit, "setting", "penstock.memory.limit")
	}
	debug.SetMemoryLimit(limit)
}

// containerMemory returns how many bytes a container may use, by what its
// control groups say at root in their version 2 or 1; 0 if there is no limit.
func containerMemory(root fs.FS) int64 {
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		// Version 2 says "max" for no limit, version 1 the largest whole page.
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && n > 0 && n < math.MaxInt64/2 {
			return n
		}
	}
	return 0
}

// listen opens the REST listeners.
func (w *Worker) listen(ctx context.Context) error {
	for _, address := range w.config.Listeners() {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listeners: open %s: %w (is another worker running? choose another address with PENSTOCK_LISTENERS)", address, err)
		}
		w.listeners = append(w.listeners, l)
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			w.log.Warn("the REST API has no authentication and can be reached from other machines; put a proxy with authentication in front, or set listeners=http://127.0.0.1:8083", "listener", l.Addr().String())
		}
	}
	if len(w.listeners) == 0 {
		return errors.New("listeners is empty: use for instance http://127.0.0.1:8083")
	}
	w.URL = "http://" + w.id()
	return nil
}

// id is host:port of the first listener as others know it.
func (w *Worker) id() string {
	host, port, err := net.SplitHostPort(w.listeners[0].Addr().String())
	if err != nil {
		return w.listeners[0].Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if h := w.config.String("rest.advertised.host.name"); h != "" {
		host = h
	}
	if p := w.config.Int("rest.advertised.port"); p != 0 {
		port = strconv.FormatInt(p, 10)
	}
	return net.JoinHostPort(host, port)
}

// connect starts the embedded broker or reaches the given Kafka, and opens the
// internal topics.
func (w *Worker) connect(ctx context.Context) error {
	if !w.config.IsSet("bootstrap.servers") {
		if err := w.startBroker(ctx); err != nil {
			return err
		}
	}
	w.clients = supervisor.Clients{Worker: w.config, Embedded: w.Bootstrap, Logger: w.logs.logger(logKafka)}
	cfg, err := w.clients.Config(supervisor.Producer, nil, nil, map[string]string{"client.id": "connect-" + w.id() + "-states"})
	if err != nil {
		return err
	}
	if w.admin, err = w.reach(ctx, cfg); err != nil {
		return err
	}
	if err := w.internalTopics(ctx); err != nil {
		return err
	}
	c := w.config
	if w.configLog, err = state.OpenConfigLog(ctx, w.admin, c.String("config.storage.topic"), w.log); err != nil {
		return fmt.Errorf("config.storage.topic: %w", err)
	}
	if w.statusLog, err = state.OpenStatusLog(ctx, w.admin, c.String("status.storage.topic"), w.log); err != nil {
		return fmt.Errorf("status.storage.topic: %w", err)
	}
	if w.offsets, err = offsets.OpenTopic(ctx, cfg, c.String("offset.storage.topic")); err != nil {
		return err
	}
	return nil
}

func (w *Worker) startBroker(ctx context.Context) error {
	c := w.config
	listen := c.String("penstock.broker.listen")
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("penstock.broker.listen=%s: %w; use host:port", listen, err)
	}
	remote := host != "localhost"
	if ip := net.ParseIP(host); ip != nil {
		remote = !ip.IsLoopback()
	}
	if remote {
		w.log.Warn("the embedded broker has no login and can be reached from other machines", "listener", listen)
	}
	dir, err := filepath.Abs(c.String("penstock.data.dir"))
	if err != nil {
		return fmt.Errorf("penstock.data.dir: %w", err)
	}
	w.broker, err = kafka.StartBroker(ctx, kafka.BrokerConfig{
		DataDir: dir, Listen: listen, AllowRemote: remote, AdvertisedHost: c.String("penstock.broker.advertised.host"),
		Logger:    w.logs.logger(logBroker),
		Retention: retention(c.Int("penstock.broker.retention.ms")), RetentionBytes: c.Int("penstock.broker.retention.bytes"),
	})
	if err != nil {
		return fmt.Errorf("start the embedded broker (penstock.data.dir=%s, penstock.broker.listen=%s): %w", dir, listen, err)
	}
	w.Bootstrap = w.broker.Addr()
	w.log.Info("bootstrap.servers is not set: the embedded broker serves Kafka clients", "address", w.Bootstrap, "data", dir)
	return nil
}

// reachTimeout is for how long a Kafka that cannot be reached is waited for at
// the start, where default.api.timeout.ms does not say: in a composition of
// containers it may start at the same time.
const (
	reachTimeout = time.Minute
	reachEvery   = time.Second
)

// reach returns the worker's own client.
func (w *Worker) reach(ctx context.Context, cfg kafka.Config) (*kgo.Client, error) {
	patience := reachTimeout
	if cfg.APITimeout > 0 {
		patience = cfg.APITimeout
	}
	deadline := time.Now().Add(patience)
	for {
		client, err := kafka.NewProducer(ctx, cfg, kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()))
		var passing *kafka.ConnectError
		if err == nil || !errors.As(err, &passing) || !passing.Retriable() || time.Now().After(deadline) {
			return client, err
		}
		w.log.Warn("Kafka cannot be reached yet", "error", err, "trying_for", time.Until(deadline).Round(time.Second).String())
		select {
		case <-time.After(reachEvery):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// retention turns milliseconds into what the broker takes, for which 0 means
// its own default.
func retention(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return -1
	}
	return max(time.Duration(ms)*time.Millisecond, time.Duration(ms)) // negative stays so
}

// internalTopics creates what is missing of the worker's own topics.
func (w *Worker) internalTopics(ctx context.Context) error {
	c := w.config
	brokers, err := kadm.NewClient(w.admin).ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list Kafka's brokers: %w", err)
	}
	replication := func(key string) int16 {
		n := int16(c.Int(key))
		if !c.IsSet(key) {
			n = int16(min(int(n), len(brokers)))
		}
		return n
	}
	specs := []kafka.TopicSpec{
		kafka.ConfigTopic(c.String("config.storage.topic"), replication("config.storage.replication.factor")),
		kafka.OffsetTopic(c.String("offset.storage.topic"), int32(c.Int("offset.storage.partitions")), replication("offset.storage.replication.factor")),
		kafka.StatusTopic(c.String("status.storage.topic"), int32(c.Int("status.storage.partitions")), replication("status.storage.replication.factor")),
	}
	// A topic that has just been created, by a worker that was killed at it
	// for instance, is not known to every broker at once.
	retry := time.NewTicker(topicsRetry)
	defer retry.Stop()
	deadline := time.NewTimer(topicsWithin)
	defer deadline.Stop()
	for {
		_, err := kafka.EnsureTopics(ctx, w.admin, specs...)
		var topic *kafka.TopicError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &topic) || !topic.Retriable():
			return fmt.Errorf("internal topics: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("internal topics: %w", err)
		case <-retry.C:
		}
	}
}

// How often, and how long, a passing error of the internal topics is met by
// another try.
const (
	topicsRetry  = 200 * time.Millisecond
	topicsWithin = 30 * time.Second
)

// The times that an HTTP client may take.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 60 * time.Second
	answerTimeout = 120 * time.Second
	idleTimeout   = 2 * time.Minute
)

// serve starts what goes on until ctx ends.
func (w *Worker) serve(ctx context.Context, build Build) {
	clusterID := ""
	if m, err := kadm.NewClient(w.admin).BrokerMetadata(ctx); err == nil {
		clusterID = m.Cluster
	}
	api := &rest.API{
		Supervisor: w.supervisor, Loggers: w.logs, URL: w.URL, ClusterID: clusterID, Commit: build.Commit,
		Ready: w.supervisor.Ready,
		Healthy: func(ctx context.Context) error {
			return w.admin.Ping(ctx)
		},
		Metrics: newMetricsHandler(w.supervisor, build),
		Logger:  w.logs.logger(logREST),
	}
	w.server = &http.Server{
		Handler: api.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(w.logs.logger(logREST).Handler(), slog.LevelWarn),
	}
	running, cancel := context.WithCancel(ctx)
	supervised := make(chan struct{})
	go func() {
		defer close(supervised)
		w.supervisor.Run(running)
	}()
	served := make(chan error, len(w.listeners))
	for _, l := range w.listeners {
		go func() { served <- w.server.Serve(l) }()
	}
	w.log.Info("answering requests", "url", w.URL)
	go func() {
		defer close(w.done)
		var failed error
		left := len(w.listeners)
		select {
		case <-ctx.Done():
			w.log.Info("stopping: tasks drain and commit", "within", w.config.Millis("task.shutdown.graceful.timeout.ms").String())
		case failed = <-served:
			left--
			failed = fmt.Errorf("answer requests: %w", failed)
		}
		cancel()
		<-supervised
		w.close(context.WithoutCancel(ctx))
		for range left {
			if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed = errors.Join(failed, err)
			}
		}
		w.err = failed
		w.log.Info("stopped")
	}()
}

// closeTimeout bounds what is left to do after the tasks have ended.
const closeTimeout = 5 * time.Second

// close lets go of everything that has been opened.
func (w *Worker) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if w.server != nil {
		if err := w.server.Shutdown(ctx); err != nil {
			w.log.Warn("requests were cut off", "error", err)
			_ = w.server.Close() // it is the second attempt
		}
	}
	for _, l := range w.listeners {
		_ = l.Close() // the server has closed those that it served
	}
	if w.statusLog != nil {
		if err := w.statusLog.Flush(ctx); err != nil {
			w.log.Warn("some states were not written", "error", err)
		}
	}
	if w.offsets != nil {
		w.offsets.Close()
	}
	if w.admin != nil {
		w.admin.Close()
	}
	if w.broker != nil {
		if err := w.broker.Close(ctx); err != nil {
			w.log.Error("closing the embedded broker", "error", err)
		}
	}
}
