package servers

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// processRun is the Run of a test process. It is package state because leases
// belong to processes and go test offers no other place that all tests of a
// package share; it starts nothing before the first use, holds no goroutine,
// and ends with the process.
var processRun = sync.OnceValues(func() (*Run, error) {
	r, err := Open(context.Background())
	if err == nil {
		// Downloads can take minutes: a person should see what is waited for.
		r.Progress = func(line string) { _, _ = os.Stderr.WriteString("servers: " + line + "\n") }
	}
	return r, err
})

// server is what all kinds have in common for tests.
type server interface {
	Fresh(ctx context.Context, hint string) (drop func(context.Context) error, err error)
	address() Address
	process() *Process
}

func (a Address) address() Address   { return a }
func (p *Process) process() *Process { return p }

// obtain calls get and gives the server a fresh database for the test.
func obtain[S server](t testing.TB, get func(*Run, context.Context, ...Option) (S, error), opts []Option) S {
	t.Helper()
	r, err := processRun()
	if err != nil {
		t.Fatal(err)
	}
	s, err := get(r, t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	own := s.process().id != ""
	if own {
		t.Cleanup(func() { release(t, s) })
	}
	drop, err := s.Fresh(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !own { // an own server is deleted as a whole, and may be down by then
		t.Cleanup(func() {
			ctx, cancel := cleanupContext(t)
			defer cancel()
			if err := drop(ctx); err != nil {
				t.Errorf("clean up %s: %v", s.address().Addr(), err)
			}
		})
	}
	return s
}

// release ends a test's own server and shows its log if the test has failed.
func release(t testing.TB, s server) {
	t.Helper()
	if t.Failed() {
		if b, err := os.ReadFile(s.address().Log); err == nil {
			t.Logf("last lines of %s:\n%s", s.address().Log, lastLines(string(b), 20))
		}
	}
	ctx, cancel := cleanupContext(t)
	defer cancel()
	if err := s.process().Release(ctx); err != nil {
		t.Errorf("end the test's own server: %v", err)
	}
}

// cleanupContext outlives the test's own context, which is cancelled by the
// time cleanups run.
func cleanupContext(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
}

// Postgres gives the test the shared PostgreSQL with a fresh database.
func Postgres(t testing.TB, opts ...Option) *PostgresServer {
	t.Helper()
	return obtain(t, (*Run).Postgres, opts)
}

// StartPostgres gives the test a PostgreSQL of its own.
func StartPostgres(t testing.TB, opts ...Option) *PostgresServer {
	t.Helper()
	return obtain(t, (*Run).StartPostgres, opts)
}

// MySQL gives the test the shared MySQL with a fresh database.
func MySQL(t testing.TB, opts ...Option) *MySQLServer {
	t.Helper()
	return obtain(t, (*Run).MySQL, opts)
}

// StartMySQL gives the test a MySQL of its own.
func StartMySQL(t testing.TB, opts ...Option) *MySQLServer {
	t.Helper()
	return obtain(t, (*Run).StartMySQL, opts)
}

// Mongo gives the test the shared MongoDB with a fresh database.
func Mongo(t testing.TB, opts ...Option) *MongoServer {
	t.Helper()
	return obtain(t, (*Run).Mongo, opts)
}

// StartMongo gives the test a MongoDB of its own.
func StartMongo(t testing.TB, opts ...Option) *MongoServer {
	t.Helper()
	return obtain(t, (*Run).StartMongo, opts)
}

// Kafka gives the test the shared Kafka with a fresh prefix.
func Kafka(t testing.TB, opts ...Option) *KafkaServer {
	t.Helper()
	return obtain(t, (*Run).Kafka, opts)
}

// StartKafka gives the test a Kafka of its own.
func StartKafka(t testing.TB, opts ...Option) *KafkaServer {
	t.Helper()
	return obtain(t, (*Run).StartKafka, opts)
}

// MariaDB gives the test the shared MariaDB with a fresh database.
func MariaDB(t testing.TB, opts ...Option) *MySQLServer {
	t.Helper()
	return obtain(t, (*Run).MariaDB, opts)
}

// StartMariaDB gives the test a MariaDB of its own.
func StartMariaDB(t testing.TB, opts ...Option) *MySQLServer {
	t.Helper()
	return obtain(t, (*Run).StartMariaDB, opts)
}

// Elasticsearch gives the test the shared Elasticsearch with a fresh prefix.
func Elasticsearch(t testing.TB, opts ...Option) *ElasticsearchServer {
	t.Helper()
	return obtain(t, (*Run).Elasticsearch, opts)
}

// StartElasticsearch gives the test an Elasticsearch of its own.
func StartElasticsearch(t testing.TB, opts ...Option) *ElasticsearchServer {
	t.Helper()
	return obtain(t, (*Run).StartElasticsearch, opts)
}

// Registry gives the test the shared schema registry with a fresh prefix.
func Registry(t testing.TB, opts ...Option) *RegistryServer {
	t.Helper()
	return obtain(t, (*Run).Registry, opts)
}

// StartRegistry gives the test a schema registry of its own.
func StartRegistry(t testing.TB, opts ...Option) *RegistryServer {
	t.Helper()
	return obtain(t, (*Run).StartRegistry, opts)
}

// Redis gives the test the shared Redis with a fresh prefix.
func Redis(t testing.TB, opts ...Option) *RedisServer {
	t.Helper()
	return obtain(t, (*Run).Redis, opts)
}

// StartRedis gives the test a Redis of its own.
func StartRedis(t testing.TB, opts ...Option) *RedisServer {
	t.Helper()
	return obtain(t, (*Run).StartRedis, opts)
}

// StartConnect gives the test a Kafka Connect worker of its own, with
// Debezium's connectors.
func StartConnect(t testing.TB, opts ...Option) *ConnectServer {
	t.Helper()
	return obtain(t, (*Run).StartConnect, opts)
}

// FreePort gives the test a loopback port below the ephemeral range that no
// other process of the run gets. It is kept until the test process ends.
func FreePort(t testing.TB) int {
	t.Helper()
	r, err := processRun()
	if err != nil {
		t.Fatal(err)
	}
	port, err := r.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// MustExec is Exec for tests: an error is fatal.
func (s *PostgresServer) MustExec(t testing.TB, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

// MustExec is Exec for tests: an error is fatal.
func (s *MySQLServer) MustExec(t testing.TB, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}
