package servers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
)

// subject is an own server with a way to write one thing and to count them.
type subject struct {
	address servers.Address
	process *servers.Process
	write   func(ctx context.Context, n int) error
	count   func(ctx context.Context) (int, error)
}

func TestProcess_KillAndRestartKeepDataAndPort(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) subject{
		"postgres": startPostgres, "mysql": startMySQL, "mariadb": startMariaDB, "mongodb": startMongo,
		"kafka": startKafka, "elasticsearch": startElasticsearch, "redis": startRedis,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			if s.address.Port >= 32768 {
				t.Errorf("port %d is in the ephemeral range", s.address.Port)
			}
			for i, outage := range []func(context.Context) error{s.process.Kill, s.process.Stop} {
				if err := s.write(t.Context(), i); err != nil {
					t.Fatalf("write: %v", err)
				}
				if err := outage(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, err := s.count(withoutWaiting(t)); err == nil {
					t.Fatalf("a stopped server answered %d", n)
				}
				if err := s.process.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, err := s.count(t.Context()); err != nil || n != i+1 {
					t.Fatalf("after outage %d: %d written, %d there, %v", i, i+1, n, err)
				}
			}
			if err := s.process.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n, err := s.count(t.Context()); err != nil || n != 2 {
				t.Fatalf("after a restart: 2 written, %d there, %v", n, err)
			}
		})
	}
}

// withoutWaiting bounds a request to a server that is down, for clients that
// would wait until it is back.
func withoutWaiting(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func startPostgres(t *testing.T) subject {
	s := servers.StartPostgres(t)
	s.MustExec(t, "CREATE TABLE a (n int PRIMARY KEY)")
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			return s.Exec(ctx, fmt.Sprintf("INSERT INTO a VALUES (%d)", n))
		},
		func(ctx context.Context) (n int, err error) {
			c, err := pgx.Connect(ctx, s.URL())
			if err != nil {
				return 0, err
			}
			defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
			return n, c.QueryRow(ctx, "SELECT count(*) FROM a").Scan(&n)
		},
	}
}

func startMySQL(t *testing.T) subject   { return mysqlSubject(t, servers.StartMySQL(t)) }
func startMariaDB(t *testing.T) subject { return mysqlSubject(t, servers.StartMariaDB(t)) }

func mysqlSubject(t *testing.T, s *servers.MySQLServer) subject {
	s.MustExec(t, "CREATE TABLE a (n int PRIMARY KEY) ENGINE=InnoDB")
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			return s.Exec(ctx, fmt.Sprintf("INSERT INTO a VALUES (%d)", n))
		},
		func(context.Context) (int, error) {
			c, err := client.Connect(s.Addr(), s.User, s.Password, s.Database)
			if err != nil {
				return 0, err
			}
			defer func() { _ = c.Close() }()
			r, err := c.Execute("SELECT count(*) FROM a")
			if err != nil {
				return 0, err
			}
			n, err := r.GetInt(0, 0)
			return int(n), err
		},
	}
}

func startMongo(t *testing.T) subject {
	s := servers.StartMongo(t)
	c, err := mongo.Connect(options.Client().ApplyURI(s.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) })
	a := c.Database(s.Database).Collection("a")
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			_, err := a.InsertOne(ctx, bson.D{{Key: "_id", Value: n}})
			return err
		},
		func(ctx context.Context) (int, error) {
			n, err := a.CountDocuments(ctx, bson.D{})
			return int(n), err
		},
	}
}

func startKafka(t *testing.T) subject {
	s := servers.StartKafka(t)
	c, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.DefaultProduceTopic(s.Topic("a")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, s.Topic("a")); err != nil {
		t.Fatal(err)
	}
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			return c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(n))).FirstErr()
		},
		func(ctx context.Context) (int, error) {
			ends, err := admin.ListEndOffsets(ctx, s.Topic("a"))
			if err != nil {
				return 0, err
			}
			end, _ := ends.Lookup(s.Topic("a"), 0)
			return int(end.Offset), errors.Join(err, end.Err)
		},
	}
}

func startElasticsearch(t *testing.T) subject {
	s := servers.StartElasticsearch(t)
	do := func(ctx context.Context, method, path, body string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("%s: %s", resp.Status, b)
		}
		return string(b), err
	}
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			_, err := do(ctx, http.MethodPut, fmt.Sprintf("/%s/_doc/%d?refresh=true", s.Index("a"), n), `{}`)
			return err
		},
		func(ctx context.Context) (n int, err error) {
			b, err := do(ctx, http.MethodGet, "/_cat/count/"+s.Index("a")+"?h=count", "")
			if err != nil {
				return 0, err
			}
			_, err = fmt.Sscan(b, &n)
			return n, err
		},
	}
}

func startRedis(t *testing.T) subject {
	s := servers.StartRedis(t)
	return subject{
		s.Address, s.Process,
		func(ctx context.Context, n int) error {
			_, err := s.Do(ctx, "SADD", s.Key("a"), fmt.Sprint(n))
			return err
		},
		func(ctx context.Context) (n int, err error) {
			b, err := s.Do(ctx, "SCARD", s.Key("a"))
			if err != nil {
				return 0, err
			}
			_, err = fmt.Sscan(b, &n)
			return n, err
		},
	}
}

func TestProcess_SharedServerCannotBeStopped(t *testing.T) {
	t.Parallel()
	s := servers.Redis(t)
	for _, f := range []func(context.Context) error{s.Stop, s.Kill, s.Start, s.Restart, s.Release} {
		if err := f(t.Context()); !errors.Is(err, servers.ErrShared) {
			t.Errorf("got %v, want ErrShared", err)
		}
	}
	if _, err := s.Do(t.Context(), "PING"); err != nil {
		t.Error(err)
	}
}

func TestMongo_PrimaryFailsOver(t *testing.T) {
	t.Parallel()
	s := servers.StartMongo(t, servers.Nodes(3))
	c, err := mongo.Connect(options.Client().ApplyURI(s.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) }()
	a := c.Database(s.Database).Collection("a")
	for i, fault := range []func() error{
		func() error { return nil },
		func() error { return s.KillNode(t.Context(), 0) }, // the preferred primary
		func() error { return s.StartNode(t.Context(), 0) },
	} {
		if err := fault(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.InsertOne(t.Context(), bson.D{{Key: "_id", Value: i}}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
}

func TestConfig_OverridesSettings(t *testing.T) {
	t.Parallel()
	pg := servers.StartPostgres(t, servers.Config("wal_level = replica"))
	c, err := pgx.Connect(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	var level, fsync string
	if err := c.QueryRow(t.Context(), "SELECT current_setting('wal_level'), current_setting('fsync')").Scan(&level, &fsync); err != nil {
		t.Fatal(err)
	}
	if level != "replica" || fsync != "on" {
		t.Errorf("wal_level %s, fsync %s, want replica and on", level, fsync)
	}
	my := servers.StartMySQL(t, servers.Config("binlog_format=STATEMENT", "binlog_row_metadata=MINIMAL"))
	m, err := client.Connect(my.Addr(), my.User, my.Password, my.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	r, err := m.Execute("SELECT @@global.binlog_format, @@global.binlog_row_metadata, CAST(@@global.sync_binlog AS CHAR)")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"STATEMENT", "MINIMAL", "1"} {
		if got, _ := r.GetString(0, i); got != want {
			t.Errorf("setting %d is %s, want %s", i, got, want)
		}
	}
}

func TestRun_StartSaysWhyAServerDoesNotStart(t *testing.T) {
	t.Parallel()
	run, err := servers.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	_, err = run.StartPostgres(t.Context(), servers.Config("no_such_setting = 1"))
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("error does not quote the server's log: %v", err)
	}
	_, err = run.Postgres(t.Context(), servers.Version("9"))
	if err == nil || !strings.Contains(err.Error(), "only 15, 17 and 18") || !strings.Contains(err.Error(), "PENSTOCK_TEST_POSTGRES") {
		t.Errorf("error does not name the remedy: %v", err)
	}
}

func TestFreePort_IsKept(t *testing.T) {
	t.Parallel()
	seen := make(map[int]bool)
	for range 20 {
		port := servers.FreePort(t)
		if port >= 32768 || seen[port] {
			t.Errorf("port %d, given before: %v", port, seen[port])
		}
		seen[port] = true
	}
}

func TestConfig_PlaceholdersAndFiles(t *testing.T) {
	t.Parallel()
	s := servers.StartKafka(t,
		servers.Config(
			"listeners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
			"advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{port}",
			"listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
			"inter.broker.listener.name=SASL_PLAINTEXT",
			"sasl.enabled.mechanisms=PLAIN",
			"sasl.mechanism.inter.broker.protocol=PLAIN",
			`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="alice-secret" user_alice="alice-secret";`,
		))
	for password, want := range map[string]error{"alice-secret": nil, "wrong": kerr.SaslAuthenticationFailed} {
		c, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.SASL(plain.Auth{User: "alice", Pass: password}.AsMechanism()))
		if err != nil {
			t.Fatal(err)
		}
		err = c.Ping(t.Context())
		c.Close()
		if !errors.Is(err, want) {
			t.Errorf("password %q: %v, want %v", password, err, want)
		}
	}

	my := servers.StartRedis(t, servers.File("users.acl", "user default off\nuser bob on >bob-secret ~* +@all\n"),
		servers.Config("--aclfile={dir}/users.acl"))
	my.User, my.Password = "bob", "bob-secret"
	if _, err := my.Do(t.Context(), "PING"); err != nil {
		t.Error(err)
	}
}
