package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// benchCase is one thing to measure.
type benchCase struct {
	name string
	run  func(ctx context.Context, s *suite, m measurement) error
}

func allCases() []benchCase {
	return []benchCase{
		{"pg-stream-1000", streamCase(postgresSource, 1000)},
		{"pg-stream-1", streamCase(postgresSource, 1)},
		{"pg-snapshot", snapshotCase(postgresSource)},
		{"mysql-stream-1000", streamCase(mysqlSource, 1000)},
		{"mysql-stream-1", streamCase(mysqlSource, 1)},
		{"mysql-snapshot", snapshotCase(mysqlSource)},
		{"pg-latency", latencyCase(postgresSource)},
		{"mysql-latency", latencyCase(mysqlSource)},
		{"sink-mongodb", sinkCase(openMongo)},
		{"sink-elasticsearch", sinkCase(openElastic)},
	}
}

// suite is a run: its servers, its program and what was measured.
type suite struct {
	rows    int
	dir     string
	program string
	servers *servers.Run
	kafka   *servers.KafkaServer
	client  *kgo.Client
	peer    *daemon.Daemon // nil without PEER
	report  report

	postgres, mysql source // nil until a case asks
	mongo           *mongoStore
	elastic         *elasticStore
	filled          string // the sinks' topic
}

func open(ctx context.Context, p plan) (s *suite, err error) {
	s = &suite{rows: p.rows, report: report{Machine: machine(), Rows: p.rows, Rounds: p.rounds, Servers: map[string]string{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return s, fmt.Errorf("make a folder: %w", err)
	}
	if s.program, err = daemon.Build(ctx, s.dir); err != nil {
		return s, err
	}
	if s.report.Version, err = version(ctx, s.program); err != nil {
		return s, err
	}
	if s.servers, err = servers.Open(ctx); err != nil {
		return s, err
	}
	s.servers.Progress = func(line string) { fmt.Fprintln(os.Stderr, line) }
	if s.kafka, err = s.servers.StartKafka(ctx); err != nil {
		return s, err
	}
	s.report.Servers["Kafka"] = s.kafka.Version
	if err := s.connect(s.kafka.Brokers()); err != nil {
		return s, err
	}
	if p.peer {
		if s.peer, err = s.startPeer(ctx); err != nil {
			return s, err
		}
		s.report.Servers["Debezium"] = debeziumVersion
	}
	return s, nil
}

func (s *suite) close() error {
	var errs []error
	for _, src := range []source{s.postgres, s.mysql} {
		if src != nil {
			errs = append(errs, src.close())
		}
	}
	if s.mongo != nil {
		errs = append(errs, s.mongo.close())
	}
	if s.peer != nil {
		errs = append(errs, s.peer.Kill()) // its topics end with the broker
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.servers != nil {
		errs = append(errs, s.servers.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// start runs a fresh daemon without connectors.
func (s *suite) start(ctx context.Context, name string) (*daemon.Daemon, error) {
	port, err := s.servers.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, name)
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	rest := fmt.Sprintf("127.0.0.1:%d", port)
	d := &daemon.Daemon{Path: s.program, Dir: dir, REST: rest, Env: []string{
		"PENSTOCK_DATA_DIR=" + dir,
		"PENSTOCK_LISTENERS=http://" + rest,
		"PENSTOCK_BOOTSTRAP_SERVERS=" + strings.Join(s.kafka.Brokers(), ","),
		"PENSTOCK_GROUP_ID=" + name,
		"PENSTOCK_CONFIG_STORAGE_TOPIC=" + name + "-configs", "PENSTOCK_OFFSET_STORAGE_TOPIC=" + name + "-offsets", "PENSTOCK_STATUS_STORAGE_TOPIC=" + name + "-status",
		"PENSTOCK_CONFIG_STORAGE_REPLICATION_FACTOR=1", "PENSTOCK_OFFSET_STORAGE_REPLICATION_FACTOR=1", "PENSTOCK_STATUS_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_KEY_CONVERTER_SCHEMAS_ENABLE=false", "PENSTOCK_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		return nil, errors.Join(err, d.Kill())
	}
	return d, nil
}

// connect makes the client that creates topics and counts their records.
func (s *suite) connect(brokers []string) (err error) {
	// By default it would believe for 5 s that a topic is missing which the
	// broker has just created.
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(50*time.Millisecond)); err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	return nil
}

// topic creates a topic of one partition and waits until it can be counted, so
// that no contestant's clock runs while that takes time.
func (s *suite) topic(ctx context.Context, name string) error {
	if _, err := kadm.NewClient(s.client).CreateTopic(ctx, 1, 1, nil, name); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create the topic %s: %w", name, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.records(ctx, name)
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// records counts what a topic holds.
func (s *suite) records(ctx context.Context, topic string) (int, error) {
	ends, err := kadm.NewClient(s.client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("count the records of %s: %w", topic, err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n, nil
}

// counter returns records of a topic as reach calls it.
func (s *suite) counter(topic string) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return s.records(ctx, topic) }
}

// reach waits until count returns at least want, while the connector is well.
func reach(ctx context.Context, d *daemon.Daemon, connector string, interval time.Duration, want int, count func(context.Context) (int, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		n, err := count(ctx)
		if err != nil || n >= want {
			return err
		}
		if i%50 == 49 { // the REST interface costs the daemon CPU time
			if st, err := d.Status(ctx, connector); err == nil && st.Failed() {
				return fmt.Errorf("the connector failed: %+v", st)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d rows: %w\n%s", n, want, ctx.Err(), d.Tail())
		case <-d.Done():
			return fmt.Errorf("the daemon ended by itself\n%s", d.Tail())
		case <-tick.C:
		}
	}
}
