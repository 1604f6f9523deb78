package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

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

// number returns an environment variable's value, which has to be at least
// least, or the default.
func number(t *testing.T, name string, least, otherwise uint64, why string) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least {
		t.Fatalf("%s=%s: give a number from %d on: %s", name, text, least, why)
	}
	return n
}

// each runs a test CHAOS_RUNS times, each time with another seed.
func each(t *testing.T, run func(t *testing.T, seed uint64)) {
	t.Helper()
	runs := number(t, "CHAOS_RUNS", 1, 1, "nothing is tested otherwise")
	seed := number(t, "CHAOS_SEED", 0, uint64(time.Now().UnixNano()), "it is that of a former run")
	for i := range runs {
		t.Run(fmt.Sprintf("run %d", i+1), func(t *testing.T) {
			t.Logf("the same again: CHAOS_SEED=%d", seed+i)
			run(t, seed+i)
		})
	}
}

// TestChaos_KillingTheDaemonLosesNothing kills the daemon while both sources
// are written to: the first time within the snapshot, the second within the
// stream, then at random moments.
func TestChaos_KillingTheDaemonLosesNothing(t *testing.T) {
	t.Parallel()
	kills := number(t, "CHAOS_KILLS", 2, 5, "one kill falls into the snapshot and one into the stream")
	each(t, func(t *testing.T, seed uint64) {
		for _, broker := range []string{"embedded broker", "Kafka"} {
			t.Run(broker, func(t *testing.T) {
				var kafka *servers.KafkaServer
				if broker == "Kafka" {
					kafka = servers.Kafka(t)
				}
				killing(t, kafka, seed, int(kills))
			})
		}
	})
}

func killing(t *testing.T, kafka *servers.KafkaServer, seed uint64, kills int) {
	t.Helper()
	p := newPipeline(t, servers.MySQL(t), servers.Postgres(t), servers.Mongo(t), servers.Elasticsearch(t), kafka)
	ctx := t.Context()
	rnd := rand.New(rand.NewPCG(seed, 1))
	slot := watchSlot(t, p)
	under(ctx, 100, seed, p.loads, func() {
		p.killInSnapshot(t)
		p.killInStream(t, rnd)
		for range kills - 2 {
			p.killSomewhere(t, rnd)
		}
		p.start(t)
	})
	for _, l := range p.loads {
		l.report(t)
		if n := l.lost.Load(); n > 0 {
			t.Errorf("%s: %d transactions were lost, although no server was restarted", l.dialect.name, n)
		}
	}
	p.converge(ctx, t)
	slot.stop()
	if n := p.resumed(t); n["mysql"] == 0 || n["postgres"] == 0 {
		t.Errorf("no kill fell into the snapshots: they were resumed %v times", n)
	}
	p.checkTopics(ctx, t, kills)
	p.checkAccounts(ctx, t, true)
	p.stop(t)
}

// TestChaos_RestartingTheServersLosesNothing restarts each server in turn,
// once in order and once with kill -9, while both sources are written to. The
// daemon runs all the time and is never told.
func TestChaos_RestartingTheServersLosesNothing(t *testing.T) {
	t.Parallel()
	each(t, restarting)
}

func restarting(t *testing.T, seed uint64) {
	my, pg, mo, es := servers.StartMySQL(t), servers.StartPostgres(t), servers.StartMongo(t), servers.StartElasticsearch(t)
	kafka := servers.StartKafka(t)
	p := newPipeline(t, my, pg, mo, es, kafka)
	p.open()
	ctx := t.Context()
	p.start(t)
	pid := p.Pid()
	states := watchStates(t, p)
	under(ctx, 50, seed, p.loads, func() {
		for _, s := range []struct {
			name string
			*servers.Process
		}{{"MySQL", my.Process}, {"Postgres", pg.Process}, {"Kafka", kafka.Process}, {"MongoDB", mo.Process}, {"Elasticsearch", es.Process}} {
			began := time.Now()
			p.settle(t)
			if err := s.Restart(ctx); err != nil {
				t.Fatalf("restart %s: %v", s.name, err)
			}
			p.settle(t)
			if err := s.Kill(ctx); err != nil {
				t.Fatalf("kill %s: %v", s.name, err)
			}
			if err := s.Start(ctx); err != nil {
				t.Fatalf("start %s after kill -9: %v", s.name, err)
			}
			t.Logf("%s was restarted twice in %v", s.name, time.Since(began).Round(time.Millisecond))
		}
		p.settle(t)
	})
	p.converge(ctx, t)
	states.stop()
	if p.Pid() != pid {
		t.Error("the daemon is not the same process")
	}
	restarts := 0
	m := p.mustMetrics(ctx, t)
	for _, c := range []string{"mysql", "postgres"} {
		n := int(m.of("penstock_task_restarts_total", c))
		if n == 0 {
			t.Errorf("the task of %s never lost its server", c)
		}
		restarts += n
	}
	for _, l := range p.loads {
		l.report(t)
		if l.lost.Load() == 0 {
			t.Errorf("no transaction met a restart of %s", l.dialect.name)
		}
	}
	p.checkTopics(ctx, t, restarts)
	p.checkAccounts(ctx, t, false)
	p.stop(t)
}
