package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/compare"
	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// pipeline is MySQL → MongoDB and Postgres → Elasticsearch through one daemon.
type pipeline struct {
	*daemon.Daemon
	my *servers.MySQLServer
	pg *servers.PostgresServer
	mo *servers.MongoServer
	es *servers.ElasticsearchServer

	prefix string // of topics
	slot   string
	loads  []*load
	gates  []*gate
	kafka  *kgo.Client
}

// sources and sinks are the pipeline's connectors.
var (
	sources = []string{"mysql", "postgres"}
	sinks   = []string{"mongo", "elastic"}
)

// newPipeline returns a pipeline that is not started, whose sources' gates are
// closed. kafka is the Kafka to use; nil means the embedded broker.
func newPipeline(t *testing.T, my *servers.MySQLServer, pg *servers.PostgresServer, mo *servers.MongoServer, es *servers.ElasticsearchServer, kafka *servers.KafkaServer) *pipeline {
	t.Helper()
	p := &pipeline{my: my, pg: pg, mo: mo, es: es, prefix: es.Prefix}
	p.slot = "chaos_" + strings.NewReplacer("-", "_", ".", "_").Replace(p.prefix)
	p.loads = []*load{
		newLoad(t, mysqlDialect, my.DSN()),
		newLoad(t, postgresDialect, pg.URL()),
	}
	p.gates = []*gate{newGate(t, my.Addr()), newGate(t, pg.Addr())}
	dir := t.TempDir()
	rest := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	env := []string{
		"PENSTOCK_DATA_DIR=" + filepath.Join(dir, "data"),
		"PENSTOCK_LISTENERS=http://" + rest,
		"PENSTOCK_KEY_CONVERTER_SCHEMAS_ENABLE=false",
		"PENSTOCK_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
		"PENSTOCK_GROUP_ID=" + p.prefix,
		"PENSTOCK_CONFIG_STORAGE_TOPIC=" + p.prefix + "-configs",
		"PENSTOCK_OFFSET_STORAGE_TOPIC=" + p.offsetTopic(),
		"PENSTOCK_STATUS_STORAGE_TOPIC=" + p.prefix + "-status",
		"PENSTOCK_CONFIG_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_OFFSET_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_STATUS_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_OFFSET_STORAGE_PARTITIONS=1",
	}
	var brokers []string
	if kafka != nil {
		brokers = kafka.Brokers()
		env = append(env, "PENSTOCK_BOOTSTRAP_SERVERS="+strings.Join(brokers, ","))
	} else {
		brokers = []string{fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))}
		env = append(env, "PENSTOCK_BROKER_LISTEN="+brokers[0])
	}
	connector := func(name string, config map[string]string) {
		for k, v := range config {
			env = append(env, "PENSTOCK_CONNECTOR_"+name+"__"+strings.ToUpper(strings.ReplaceAll(k, ".", "_"))+"="+v)
		}
	}
	host, port := p.gates[0].hostPort()
	connector("MYSQL", map[string]string{
		"connector.class": "mysql", "topic.prefix": p.prefix + "-my",
		"database.hostname": host, "database.port": port, "database.user": my.User, "database.password": my.Password,
		"database.server.id": strconv.Itoa(100_000 + rand.IntN(1_000_000)), "database.include.list": my.Database,
		"snapshot.max.threads": "2",
	})
	host, port = p.gates[1].hostPort()
	connector("POSTGRES", map[string]string{
		"connector.class": "postgres", "topic.prefix": p.prefix + "-pg",
		"database.hostname": host, "database.port": port, "database.user": pg.User, "database.password": pg.Password,
		"database.dbname": pg.Database, "schema.include.list": "public", "publication.autocreate.mode": "filtered",
		"slot.name": p.slot, "publication.name": "chaos_pub", "slot.drop.on.stop": "false",
		"snapshot.max.threads": "2",
	})
	connector("MONGO", map[string]string{
		"connector.class": "mongodb-sink", "topics.regex": regex(p.topicsOf("mysql")) + `\..*`,
		"connection.uri": mo.URI(), "database": mo.Database,
	})
	connector("ELASTIC", map[string]string{
		"connector.class": "elasticsearch-sink", "topics.regex": regex(p.topicsOf("postgres")) + `\..*`,
		"connection.url": es.URL(),
	})
	p.Daemon = &daemon.Daemon{Path: program(t), Dir: dir, REST: rest, Env: env}
	var err error
	if p.kafka, err = kgo.NewClient(kgo.SeedBrokers(brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kafka.Close()
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's last words:\n%s", p.Tail())
		}
	})
	return p
}

func regex(s string) string { return strings.ReplaceAll(s, ".", `\.`) }

func (p *pipeline) offsetTopic() string { return p.prefix + "-offsets" }

// topicsOf is what the names of a source's topics begin with.
func (p *pipeline) topicsOf(source string) string {
	if source == "mysql" {
		return p.prefix + "-my." + p.my.Database
	}
	return p.prefix + "-pg.public"
}

// open lets the sources read as much as they want.
func (p *pipeline) open() {
	for _, g := range p.gates {
		g.open()
	}
}

// await waits until holds returns true. what says what is waited for.
func (p *pipeline) await(t *testing.T, within time.Duration, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s\n%s", within, what, p.Tail())
		case <-p.Done():
			t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
		case <-tick.C:
		}
	}
}

func (p *pipeline) launch(t *testing.T) {
	t.Helper()
	if err := p.Launch(); err != nil {
		t.Fatal(err)
	}
}

func (p *pipeline) kill(t *testing.T) {
	t.Helper()
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (p *pipeline) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

func (p *pipeline) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.Tail())
	}
}

// killInSnapshot starts the daemon for the first time and kills it when each
// source has saved that some tables are copied and cannot have copied all, as
// the gates keep back the rest of the largest.
func (p *pipeline) killInSnapshot(t *testing.T) {
	t.Helper()
	p.start(t)
	offsets := p.offsets()
	p.await(t, 2*time.Minute, "both snapshots have copied some of their tables", func(ctx context.Context) bool {
		if err := offsets.read(ctx); err != nil {
			return false
		}
		for _, s := range sources {
			if done := offsets.last[s].copied(); done == 0 || done == len(tables) {
				return false
			}
		}
		return true
	})
	p.kill(t)
	p.open()
}

// killInStream kills the daemon while it follows the logs of both databases.
func (p *pipeline) killInStream(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	p.start(t)
	offsets := p.offsets()
	p.await(t, 3*time.Minute, "both snapshots are complete", func(ctx context.Context) bool {
		return offsets.read(ctx) == nil && offsets.last["mysql"].streams() && offsets.last["postgres"].streams()
	})
	p.awaitRecords(t, 20+rnd.IntN(200))
	p.kill(t)
}

// awaitRecords waits until both sources have published so many more records.
func (p *pipeline) awaitRecords(t *testing.T, more int) {
	t.Helper()
	before := p.mustMetrics(t.Context(), t)
	p.await(t, 3*time.Minute, fmt.Sprintf("both sources have published %d records", more), func(ctx context.Context) bool {
		m, err := p.metrics(ctx)
		if err != nil {
			return false
		}
		for _, s := range sources {
			if m.of("penstock_source_records_total", s)-before.of("penstock_source_records_total", s) < float64(more) {
				return false
			}
		}
		return true
	})
}

// killSomewhere kills the daemon at a random moment: while it starts, soon
// after, while it streams, or while a sink writes.
func (p *pipeline) killSomewhere(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	pause := func(most int) {
		select {
		case <-time.After(time.Duration(rnd.IntN(most)) * time.Millisecond):
		case <-p.Done():
			t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
		}
	}
	switch rnd.IntN(4) {
	case 0:
		p.launch(t)
		pause(600)
	case 1:
		p.start(t)
		pause(1500)
	case 2:
		p.start(t)
		p.awaitRecords(t, 1+rnd.IntN(500))
	default:
		p.start(t)
		p.await(t, 3*time.Minute, "both sinks write", func(ctx context.Context) bool {
			m, err := p.metrics(ctx)
			return err == nil && m.of("penstock_sink_records_applied_total", "mongo") > 0 && m.of("penstock_sink_records_applied_total", "elastic") > 0
		})
		pause(200)
	}
	p.kill(t)
}

// resumed returns how often the log says that a source's snapshot went on
// after a kill.
func (p *pipeline) resumed(t *testing.T) map[string]int {
	t.Helper()
	log, err := os.ReadFile(p.Log())
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for line := range strings.Lines(string(log)) {
		for _, s := range sources {
			if strings.Contains(line, `"resuming the snapshot"`) && strings.Contains(line, `"connector":"`+s+`"`) {
				n[s]++
			}
		}
	}
	return n
}

// settle waits until both sources have taken some more commits, which shows
// that they are up and that the load meets what comes next.
func (p *pipeline) settle(t *testing.T) {
	t.Helper()
	for _, l := range p.loads {
		enough := l.commits.Load() + 50
		p.await(t, 3*time.Minute, l.dialect.name+" takes commits", func(context.Context) bool { return l.commits.Load() >= enough })
	}
}

// converge waits until the destinations equal the sources, which are at rest.
// They are compared when the sinks have read all there is, as a comparison
// reads every row.
func (p *pipeline) converge(ctx context.Context, t *testing.T) {
	t.Helper()
	began := time.Now()
	last := "never compared, as the sinks never had read all"
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		if p.atRest(ctx, t) {
			diff, err := p.differences(ctx)
			switch {
			case err == nil && diff == "":
				t.Logf("equal %v after the load", time.Since(began).Round(time.Millisecond))
				return
			case err == nil:
				last = diff
			case ctx.Err() == nil:
				last = err.Error()
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the destinations do not equal their sources:\n%s", last)
		}
	}
}

// atRest waits until nothing moves for a moment and the sinks lag behind
// nothing.
func (p *pipeline) atRest(ctx context.Context, t *testing.T) bool {
	t.Helper()
	moved := func(m metrics) (n float64) {
		for _, s := range sources {
			n += m.of("penstock_source_records_total", s)
		}
		for _, s := range sinks {
			n += m.of("penstock_sink_records_read_total", s) + m.of("penstock_sink_records_applied_total", s)
		}
		return n
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	before := -1.0
	for {
		m, err := p.metrics(ctx)
		resting := err == nil && moved(m) == before
		for _, s := range sinks {
			resting = resting && m.of("penstock_sink_partitions", s) > 0 && m.of("penstock_sink_lag_records", s) == 0
		}
		if resting {
			return true
		}
		if err == nil {
			before = moved(m)
		}
		select {
		case <-ctx.Done():
			return false
		case <-p.Done():
			t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
		case <-tick.C:
		}
	}
}

// differences compares every row of both pipelines.
func (p *pipeline) differences(ctx context.Context) (string, error) {
	pairs := func(source string) (out []compare.Pair) {
		for _, table := range tables {
			out = append(out, compare.Pair{Table: table.name, Target: p.topicsOf(source) + "." + table.name})
		}
		return out
	}
	mongo, err := compare.MySQLToMongo(ctx, p.my.DSN(), p.mo.URI(), p.mo.Database, pairs("mysql"))
	if err != nil {
		return "", fmt.Errorf("compare MySQL with MongoDB: %w", err)
	}
	elastic, err := compare.PostgresToElasticsearch(ctx, p.pg.URL(), p.es.URL(), pairs("postgres"))
	if err != nil {
		return "", fmt.Errorf("compare Postgres with Elasticsearch: %w", err)
	}
	var all strings.Builder
	for _, r := range []*compare.Report{mongo, elastic} {
		if !r.Equal() {
			fmt.Fprintln(&all, r)
		}
	}
	return all.String(), nil
}
