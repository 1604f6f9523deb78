package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/compare"
	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// binary is the program, built once for all tests of the package.
var binary struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "penstock-chaos-")
	if err != nil {
		panic(err)
	}
	binary.path = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() { binary.path, binary.err = daemon.Build(context.Background(), binary.path) })
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// pipeline is MySQL → MongoDB and Postgres → Elasticsearch through one daemon.
type pipeline struct {
	*daemon.Daemon
	my *servers.MySQLServer
	pg *servers.PostgresServer
	mo *servers.MongoServer
	es *servers.ElasticsearchServer

	prefix string // of topics
	loads  []*load
}

// kafkaOf is the Kafka to use; nil means the embedded broker.
func newPipeline(t *testing.T, my *servers.MySQLServer, pg *servers.PostgresServer, mo *servers.MongoServer, es *servers.ElasticsearchServer, kafka *servers.KafkaServer) *pipeline {
	t.Helper()
	p := &pipeline{my: my, pg: pg, mo: mo, es: es, prefix: es.Prefix}
	p.loads = []*load{
		newLoad(t, mysqlDialect, my.DSN()),
		newLoad(t, postgresDialect, pg.URL()),
	}
	dir := t.TempDir()
	rest := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	env := []string{
		"PENSTOCK_DATA_DIR=" + filepath.Join(dir, "data"),
		"PENSTOCK_LISTENERS=http://" + rest,
		"PENSTOCK_KEY_CONVERTER_SCHEMAS_ENABLE=false",
		"PENSTOCK_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
		"PENSTOCK_GROUP_ID=" + p.prefix,
		"PENSTOCK_CONFIG_STORAGE_TOPIC=" + p.prefix + "-configs",
		"PENSTOCK_OFFSET_STORAGE_TOPIC=" + p.prefix + "-offsets",
		"PENSTOCK_STATUS_STORAGE_TOPIC=" + p.prefix + "-status",
		"PENSTOCK_CONFIG_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_OFFSET_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_STATUS_STORAGE_REPLICATION_FACTOR=1",
	}
	if kafka != nil {
		env = append(env, "PENSTOCK_BOOTSTRAP_SERVERS="+strings.Join(kafka.Brokers(), ","))
	} else {
		env = append(env, fmt.Sprintf("PENSTOCK_BROKER_LISTEN=127.0.0.1:%d", servers.FreePort(t)))
	}
	connector := func(name string, config map[string]string) {
		for k, v := range config {
			env = append(env, "PENSTOCK_CONNECTOR_"+name+"__"+strings.ToUpper(strings.ReplaceAll(k, ".", "_"))+"="+v)
		}
	}
	connector("MYSQL", map[string]string{
		"connector.class": "mysql", "topic.prefix": p.prefix + "-my",
		"database.hostname": my.Host, "database.port": strconv.Itoa(my.Port), "database.user": my.User, "database.password": my.Password,
		"database.server.id": strconv.Itoa(100_000 + rand.IntN(1_000_000)), "database.include.list": my.Database,
	})
	connector("POSTGRES", map[string]string{
		"connector.class": "postgres", "topic.prefix": p.prefix + "-pg",
		"database.hostname": pg.Host, "database.port": strconv.Itoa(pg.Port), "database.user": pg.User, "database.password": pg.Password,
		"database.dbname": pg.Database, "schema.include.list": "public", "publication.autocreate.mode": "filtered",
		"slot.name": "chaos_" + strings.NewReplacer("-", "_", ".", "_").Replace(p.prefix), "publication.name": "chaos_pub", "slot.drop.on.stop": "false",
	})
	connector("MONGO", map[string]string{
		"connector.class": "mongodb-sink", "topics.regex": regex(p.prefix+"-my."+my.Database) + `\..*`,
		"connection.uri": mo.URI(), "database": mo.Database,
	})
	connector("ELASTIC", map[string]string{
		"connector.class": "elasticsearch-sink", "topics.regex": regex(p.prefix+"-pg") + `\.public\..*`,
		"connection.url": es.URL(),
	})
	p.Daemon = &daemon.Daemon{Path: program(t), Dir: dir, REST: rest, Env: env}
	t.Cleanup(func() {
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

// differences compares every row of both pipelines.
func (p *pipeline) differences(ctx context.Context) (string, error) {
	var all strings.Builder
	pairs := func(prefix string) []compare.Pair {
		return []compare.Pair{{Table: "orders", Target: prefix + ".orders"}, {Table: "items", Target: prefix + ".items"}}
	}
	mongo, err := compare.MySQLToMongo(ctx, p.my.DSN(), p.mo.URI(), p.mo.Database, pairs(p.prefix+"-my."+p.my.Database))
	if err != nil {
		return "", fmt.Errorf("compare MySQL with MongoDB: %w", err)
	}
	elastic, err := compare.PostgresToElasticsearch(ctx, p.pg.URL(), p.es.URL(), pairs(p.prefix+"-pg.public"))
	if err != nil {
		return "", fmt.Errorf("compare Postgres with Elasticsearch: %w", err)
	}
	for _, r := range []*compare.Report{mongo, elastic} {
		if !r.Equal() {
			fmt.Fprintln(&all, r)
		}
	}
	return all.String(), nil
}

// converge waits until the destinations equal the sources, which are at rest.
func (p *pipeline) converge(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	last := "never compared"
	for {
		diff, err := p.differences(ctx)
		if err == nil {
			last = diff
		} else if ctx.Err() == nil {
			last = err.Error()
		}
		if err == nil && diff == "" {
			t.Logf("equal %v after the load; commits: MySQL %d, Postgres %d", time.Since(began).Round(time.Millisecond), p.loads[0].commits.Load(), p.loads[1].commits.Load())
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the destinations do not equal their sources:\n%s", last)
		case <-p.Done():
			t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
		case <-tick.C:
		}
	}
}

func kills() int {
	if n, err := strconv.Atoi(os.Getenv("CHAOS_KILLS")); err == nil {
		return n
	}
	return 20
}

// TestChaos_KillingTheDaemonLosesNothing kills the daemon at random moments,
// the first of them during the snapshot, while both sources are written to.
func TestChaos_KillingTheDaemonLosesNothing(t *testing.T) {
	t.Parallel()
	for _, broker := range []string{"embedded broker", "Kafka"} {
		t.Run(broker, func(t *testing.T) {
			var kafka *servers.KafkaServer
			n := kills() / 2
			if broker == "Kafka" {
				kafka = servers.Kafka(t)
			}
			p := newPipeline(t, servers.MySQL(t), servers.Postgres(t), servers.Mongo(t), servers.Elasticsearch(t), kafka)
			ctx := t.Context()
			seed := uint64(time.Now().UnixNano())
			rnd := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			under(ctx, 100, p.loads, func() {
				for i := range n {
					if err := p.Launch(); err != nil {
						t.Fatal(err)
					}
					// Short lives first: they end in the snapshot.
					life := time.Duration(100+rnd.IntN(400+300*i)) * time.Millisecond
					select {
					case <-time.After(life):
					case <-p.Done():
						t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
					}
					if err := p.Kill(); err != nil {
						t.Fatal(err)
					}
				}
				start(t, p)
			})
			p.converge(ctx, t)
			stop(t, p)
		})
	}
}

func start(t *testing.T, p *pipeline) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, p *pipeline) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.Tail())
	}
}

// TestChaos_RestartingTheServersLosesNothing restarts each server in turn,
// once in order and once with kill -9, while both sources are written to. The
// daemon runs all the time and is never told.
func TestChaos_RestartingTheServersLosesNothing(t *testing.T) {
	t.Parallel()
	my, pg, mo, es := servers.StartMySQL(t), servers.StartPostgres(t), servers.StartMongo(t), servers.StartElasticsearch(t)
	kafka := servers.StartKafka(t)
	p := newPipeline(t, my, pg, mo, es, kafka)
	ctx := t.Context()
	start(t, p)
	pid := p.Pid()
	under(ctx, 50, p.loads, func() {
		for _, s := range []struct {
			name string
			*servers.Process
		}{{"MySQL", my.Process}, {"Postgres", pg.Process}, {"Kafka", kafka.Process}, {"MongoDB", mo.Process}, {"Elasticsearch", es.Process}} {
			settle(t, p)
			if err := s.Restart(ctx); err != nil {
				t.Fatalf("restart %s: %v", s.name, err)
			}
			settle(t, p)
			if err := s.Kill(ctx); err != nil {
				t.Fatalf("kill %s: %v", s.name, err)
			}
			if err := s.Start(ctx); err != nil {
				t.Fatalf("start %s after kill -9: %v", s.name, err)
			}
		}
		settle(t, p)
	})
	p.converge(ctx, t)
	if p.Pid() != pid {
		t.Error("the daemon is not the same process")
	}
	for _, c := range []string{"mysql", "postgres", "mongo", "elastic"} {
		s, err := p.Status(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Running() {
			t.Errorf("%s: %+v", c, s)
		}
	}
	for _, l := range p.loads {
		if l.retries.Load() == 0 {
			t.Errorf("no transaction met a restart of %s", l.dialect.name)
		}
	}
	stop(t, p)
}

// settle waits until both sources have taken some more commits, which shows
// that they are up and that the load meets what comes next.
func settle(t *testing.T, p *pipeline) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for _, l := range p.loads {
		for enough := l.commits.Load() + 50; l.commits.Load() < enough; {
			select {
			case <-deadline:
				t.Fatalf("%s takes no commits", l.dialect.name)
			case <-p.Done():
				t.Fatalf("the daemon ended by itself:\n%s", p.Tail())
			case <-tick.C:
			}
		}
	}
}
