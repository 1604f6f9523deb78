package servers_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
)

func TestPostgres_FreshDatabase(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"15", "17", "18"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := servers.Postgres(t, servers.Version(version))
			s.MustExec(t, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)")
			other := servers.Postgres(t, servers.Version(version))
			if other.Addr() != s.Addr() {
				t.Errorf("two uses of the shared server: %s and %s", s.Addr(), other.Addr())
			}
			// Left for the cleanup, which must get rid of it.
			other.MustExec(t, "SELECT pg_create_logical_replication_slot('"+other.Database+"', 'pgoutput')")
			c, err := pgx.Connect(t.Context(), other.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
			var level, number string
			var tables int
			err = c.QueryRow(t.Context(), `SELECT current_setting('wal_level'), current_setting('server_version'), (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')`).
				Scan(&level, &number, &tables)
			if err != nil {
				t.Fatal(err)
			}
			if level != "logical" || number[:2] != version || tables != 0 {
				t.Errorf("wal_level %s, version %s, %d tables in a fresh database", level, number, tables)
			}
		})
	}
}

func TestMySQL_FreshDatabase(t *testing.T) {
	t.Parallel()
	s := servers.MySQL(t)
	s.MustExec(t, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	other := servers.MySQL(t)
	if other.Addr() != s.Addr() {
		t.Errorf("two uses of the shared server: %s and %s", s.Addr(), other.Addr())
	}
	c, err := client.Connect(other.Addr(), other.User, other.Password, other.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for setting, want := range map[string]string{
		"gtid_mode": "ON", "binlog_format": "ROW", "binlog_row_metadata": "FULL",
		"binlog_transaction_compression": "0", "binlog_row_value_options": "",
		"(SELECT count(*) FROM information_schema.tables WHERE table_schema = database())": "0",
	} {
		if setting[0] != '(' {
			setting = "@@global." + setting
		}
		r, err := c.Execute("SELECT CAST(" + setting + " AS CHAR)")
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := r.GetString(0, 0); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
}

func TestMongo_FreshDatabase(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		s := servers.Mongo(t, servers.Nodes(nodes))
		if len(s.Members) != nodes {
			t.Errorf("members: %v, want %d", s.Members, nodes)
		}
		c, err := mongo.Connect(options.Client().ApplyURI(s.URI()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Disconnect(context.WithoutCancel(t.Context())) }()
		if _, err := c.Database(s.Database).Collection("a").InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); err != nil {
			t.Fatal(err)
		}
		if other := servers.Mongo(t, servers.Nodes(nodes)); other.Database == s.Database || other.Addr() != s.Addr() {
			t.Errorf("second use: %s/%s after %s/%s", other.Addr(), other.Database, s.Addr(), s.Database)
		}
	}
}

func TestKafka_FreshPrefix(t *testing.T) {
	t.Parallel()
	s := servers.Kafka(t)
	c, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.ConsumeTopics(s.Topic("a")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, s.Topic("a")); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err == nil {
		t.Error("record without a topic was accepted")
	}
	r := kgo.StringRecord("x")
	r.Topic = s.Topic("a")
	if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if f := c.PollFetches(t.Context()); f.Err() != nil || f.NumRecords() != 1 {
		t.Errorf("fetched %d records, %v", f.NumRecords(), f.Err())
	}
	if other := servers.Kafka(t); other.Prefix == s.Prefix || other.Addr() != s.Addr() {
		t.Errorf("second use: %s/%s after %s/%s", other.Addr(), other.Prefix, s.Addr(), s.Prefix)
	}
}

func TestMariaDB_FreshDatabase(t *testing.T) {
	t.Parallel()
	s := servers.MariaDB(t)
	s.MustExec(t, "CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	other := servers.MariaDB(t)
	c, err := client.Connect(other.Addr(), other.User, other.Password, other.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r, err := c.Execute("SELECT @@version, @@binlog_row_metadata, (SELECT count(*) FROM information_schema.tables WHERE table_schema = database())")
	if err != nil {
		t.Fatal(err)
	}
	version, _ := r.GetString(0, 0)
	metadata, _ := r.GetString(0, 1)
	tables, _ := r.GetInt(0, 2)
	if !strings.Contains(version, "MariaDB") || metadata != "FULL" || tables != 0 {
		t.Errorf("version %s, row metadata %s, %d tables in a fresh database", version, metadata, tables)
	}
}

func TestElasticsearch_FreshPrefix(t *testing.T) {
	t.Parallel()
	s := servers.Elasticsearch(t)
	c, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses: []string{s.URL()}, Transport: http.DefaultTransport, // whose connections TestMain can close
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Index(s.Index("a"), strings.NewReader(`{"x":1}`),
		c.Index.WithContext(t.Context()), c.Index.WithDocumentID("1"), c.Index.WithRefresh("true"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.IsError() {
		t.Fatalf("index a document: %s", resp.Status())
	}
	count, err := c.Count(c.Count.WithContext(t.Context()), c.Count.WithIndex(s.Index("*")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = count.Body.Close() }()
	var n struct{ Count int }
	if err := json.NewDecoder(count.Body).Decode(&n); err != nil || n.Count != 1 {
		t.Errorf("counted %d documents, %v", n.Count, err)
	}
	if other := servers.Elasticsearch(t); other.Prefix == s.Prefix || other.Addr() != s.Addr() {
		t.Errorf("second use: %s/%s after %s/%s", other.Addr(), other.Prefix, s.Addr(), s.Prefix)
	}
}

func TestRegistry_RegistersSchemas(t *testing.T) {
	t.Parallel()
	s := servers.Registry(t)
	body := strings.NewReader(`{"schema":"{\"type\":\"string\"}"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/subjects/"+s.Subject("a")+"/versions", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var registered struct{ ID int }
	if err := json.NewDecoder(resp.Body).Decode(&registered); err != nil || registered.ID == 0 {
		t.Errorf("registered id %d, status %s, %v", registered.ID, resp.Status, err)
	}
	level, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/config", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(level)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if b, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(b), `"BACKWARD"`) {
		t.Errorf("global compatibility: %s, %v", b, err)
	}
}

func TestRedis_FreshPrefix(t *testing.T) {
	t.Parallel()
	s := servers.Redis(t)
	if _, err := s.Do(t.Context(), "SET", s.Key("a"), "x"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Do(t.Context(), "GET", s.Key("a")); err != nil || got != "x" {
		t.Errorf("GET: %q, %v", got, err)
	}
	wrong := *s
	wrong.Password = "wrong"
	if _, err := wrong.Do(t.Context(), "GET", s.Key("a")); err == nil {
		t.Error("a wrong password was accepted")
	}
}
