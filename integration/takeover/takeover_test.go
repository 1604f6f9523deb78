package takeover

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// keys is how many rows the table has, of which a transaction counts up
// perTransaction at most.
const (
	keys           = 20
	perTransaction = 8
)

// TestTakeover_GoesOnWhereDebeziumStopped lets Debezium and Penstock take
// turns on the same connectors, while both databases are written to without a
// pause. Each row has a counter that goes up by one with each change, so a
// change that is lost, repeated or out of order shows in the topic.
func TestTakeover_GoesOnWhereDebeziumStopped(t *testing.T) {
	t.Parallel()
	// Without the columns' names in MySQL's log both have to go by the schema
	// history, which is the harder case.
	my := servers.MySQL(t)
	pg := servers.Postgres(t)
	kafka := servers.Kafka(t)
	ctx := t.Context()

	internal := map[string]string{
		"bootstrap.servers": strings.Join(kafka.Brokers(), ","), "group.id": kafka.Prefix,
		"config.storage.topic": kafka.Topic("configs"), "offset.storage.topic": kafka.Topic("offsets"), "status.storage.topic": kafka.Topic("status"),
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"offset.flush.interval.ms": "1000",
	}
	var lines, env []string
	for k, v := range internal {
		lines = append(lines, k+"="+v)
		env = append(env, "CONNECT_"+strings.ToUpper(strings.ReplaceAll(k, ".", "_"))+"="+v)
	}
	debezium := servers.StartConnect(t, servers.Config(lines...))
	peer := &daemon.Daemon{REST: debezium.Addr()}
	ours := penstock(t, env)

	tables := []*table{
		newTable(t, kafka, "mysql", my.DSN(), my.Database+".counters", map[string]string{
			"connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1", "topic.prefix": kafka.Topic("my"),
			"database.hostname": my.Host, "database.port": strconv.Itoa(my.Port), "database.user": my.User, "database.password": my.Password,
			"database.server.id": "184054", "database.include.list": my.Database,
			"schema.history.internal.kafka.bootstrap.servers": strings.Join(kafka.Brokers(), ","), "schema.history.internal.kafka.topic": kafka.Topic("history"),
		}),
		newTable(t, kafka, "pgx", pg.URL(), "public.counters", map[string]string{
			"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "topic.prefix": kafka.Topic("pg"), "plugin.name": "pgoutput",
			"database.hostname": pg.Host, "database.port": strconv.Itoa(pg.Port), "database.user": pg.User, "database.password": pg.Password, "database.dbname": pg.Database,
			"table.include.list": "public.counters", "slot.name": "takeover_" + pg.Database, "publication.autocreate.mode": "filtered", "publication.name": "takeover",
		}),
	}
	for _, tb := range tables {
		tb.config["topic.creation.default.partitions"], tb.config["topic.creation.default.replication.factor"] = "1", "1"
		body := map[string]any{"name": tb.driver, "config": tb.config}
		if err := peer.Call(ctx, http.MethodPost, "/connectors", body, nil); err != nil {
			t.Fatal(err)
		}
	}
	load, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	done := make(chan error, len(tables))
	for _, tb := range tables {
		go func() { done <- tb.change(load) }()
	}
	goesOn := func(who string) {
		t.Helper()
		for _, tb := range tables {
			tb.await(t, who, tb.version.Load()+20)
		}
	}
	altered := func(column string) {
		t.Helper()
		for _, tb := range tables {
			if _, err := tb.db.ExecContext(ctx, "ALTER TABLE counters ADD COLUMN "+column+" INT"); err != nil {
				t.Fatal(err)
			}
		}
	}

	goesOn("Debezium")
	if err := debezium.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	altered("while_nobody_ran")
	start(t, ours)
	goesOn("Penstock")
	altered("while_penstock_ran")
	goesOn("Penstock")
	stop, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := ours.Stop(stop); err != nil {
		t.Fatal(err)
	}
	if err := debezium.Start(ctx); err != nil {
		t.Fatal(err)
	}
	goesOn("Debezium again")
	altered("while_debezium_ran")
	goesOn("Debezium again")
	// Debezium's connector for Postgres stops inside a transaction, of which
	// Penstock publishes the beginning again.
	for driver, most := range map[string]int{"mysql": 0, "pgx": perTransaction} {
		for _, tb := range tables {
			if tb.driver == driver && tb.repeated > most {
				t.Errorf("%s: %d events were repeated over orderly stops, want at most %d", tb.topic, tb.repeated, most)
			}
		}
	}
	if err := debezium.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	start(t, ours)
	goesOn("Penstock after a kill")
	stopLoad()
	for range tables {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, tb := range tables {
		tb.await(t, "the end", tb.version.Load())
		tb.check(t)
	}
}

// penstock is configured by nothing but what the Connect worker has, as its
// container would be; the connectors are in the config topic.
func penstock(t *testing.T, env []string) *daemon.Daemon {
	t.Helper()
	path, err := daemon.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rest := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	d := &daemon.Daemon{Path: path, Dir: t.TempDir(), REST: rest, Env: append([]string{"CONNECT_LISTENERS=http://" + rest}, env...)}
	t.Cleanup(func() {
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's last words:\n%s", d.Tail())
		}
	})
	return d
}

func start(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// table is a table of counters and the topic that it is captured to.
type table struct {
	driver, topic string
	config        map[string]string
	db            *sql.DB
	brokers       []string
	client        *kgo.Client  // once the topic is there
	version       atomic.Int64 // of the row with key 0, which every transaction changes

	ops      map[string]int
	seen     map[int64][]int64 // the versions of each key, in the topic's order
	high     map[int64]int64   // the highest of them
	repeated int               // events that do not go beyond it
	last     map[string]json.RawMessage
}

func newTable(t *testing.T, kafka *servers.KafkaServer, driver, dsn, name string, config map[string]string) *table {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	tb := &table{driver: driver, topic: config["topic.prefix"] + "." + name, config: config, db: db, ops: map[string]int{}, seen: map[int64][]int64{}, high: map[int64]int64{}}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	statements := []string{"CREATE TABLE counters (id INT PRIMARY KEY, version BIGINT NOT NULL, note VARCHAR(40))"}
	for id := range keys {
		statements = append(statements, fmt.Sprintf("INSERT INTO counters (id, version, note) VALUES (%d, 0, 'ä %d')", id, id))
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	tb.brokers = kafka.Brokers()
	t.Cleanup(func() {
		if tb.client != nil {
			tb.client.Close()
		}
	})
	return tb
}

// change counts rows up, in transactions of seven or eight rows, until ctx
// ends.
func (tb *table) change(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// In whole or not at all, and not given up halfway.
		run := context.WithoutCancel(ctx)
		tx, err := tb.db.BeginTx(run, nil)
		if err != nil {
			return err
		}
		for _, s := range []string{
			"UPDATE counters SET version = version + 1 WHERE id < 5",
			fmt.Sprintf("UPDATE counters SET version = version + 1 WHERE id >= 5 AND id %% 7 = %d", n%7),
		} {
			if _, err := tx.ExecContext(run, s); err != nil {
				return fmt.Errorf("%s: %w", tb.driver, err)
			}
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("%s: %w", tb.driver, err)
		}
		tb.version.Add(1)
	}
}

// await reads the topic until it has a version of the first row.
func (tb *table) await(t *testing.T, who string, version int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for !tb.has(version) {
		if err := tb.read(ctx); err != nil {
			t.Fatalf("%s: %s has not published version %d of %d; the last is %v: %v", who, tb.topic, version, tb.version.Load(), tb.newest(), err)
		}
	}
}

func (tb *table) newest() int64 {
	if all := tb.seen[0]; len(all) > 0 {
		return all[len(all)-1]
	}
	return -1
}

func (tb *table) has(version int64) bool { return tb.newest() >= version }

// read takes what the topic has more, and waits for it.
func (tb *table) read(ctx context.Context) error {
	if tb.client == nil {
		if err := tb.connect(ctx); err != nil {
			return err
		}
	}
	fetches := tb.client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return err
	}
	for _, r := range fetches.Records() {
		var key struct{ ID int64 }
		var value struct {
			Op    string
			After map[string]json.RawMessage
		}
		if err := json.Unmarshal(r.Key, &key); err != nil {
			return fmt.Errorf("key %s: %w", r.Key, err)
		}
		if err := json.Unmarshal(r.Value, &value); err != nil {
			return fmt.Errorf("value %s: %w", r.Value, err)
		}
		version, err := strconv.ParseInt(string(value.After["version"]), 10, 64)
		if err != nil {
			return fmt.Errorf("value %s: %w", r.Value, err)
		}
		tb.ops[value.Op]++
		if high, ok := tb.high[key.ID]; ok && version <= high {
			tb.repeated++
		} else {
			tb.high[key.ID] = version
		}
		tb.seen[key.ID] = append(tb.seen[key.ID], version)
		tb.last = value.After
	}
	return nil
}

// connect waits until somebody has made the topic.
func (tb *table) connect(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(tb.brokers...))
	if err != nil {
		return err
	}
	admin := kadm.NewClient(client)
	defer admin.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		topics, err := admin.ListTopics(ctx, tb.topic)
		if err == nil && topics.Has(tb.topic) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no topic: %w", ctx.Err())
		case <-tick.C:
		}
	}
	tb.client, err = kgo.NewClient(kgo.SeedBrokers(tb.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		tb.topic: {0: kgo.NewOffset().AtStart()},
	}))
	return err
}

// check looks at the whole history of each row.
func (tb *table) check(t *testing.T) {
	t.Helper()
	if tb.ops["r"] != keys {
		t.Errorf("%s: %d rows were copied, want those %d of the one snapshot", tb.topic, tb.ops["r"], keys)
	}
	for id, versions := range tb.seen {
		next := versions[0] // whatever it was when the snapshot came
		for at, v := range versions {
			switch {
			case v == next:
				next++
			case v < next:
				// A kill may repeat what came before it, from one place on.
				if at > 0 && v != versions[at-1]+1 && v > versions[at-1] {
					t.Errorf("%s: row %d jumps from version %d to %d", tb.topic, id, versions[at-1], v)
				}
			default:
				t.Errorf("%s: row %d has version %d where %d was due", tb.topic, id, v, next)
				next = v + 1
			}
		}
	}
	for _, column := range []string{"while_nobody_ran", "while_penstock_ran", "while_debezium_ran"} {
		if _, ok := tb.last[column]; !ok {
			t.Errorf("%s: the last event lacks column %s: %v", tb.topic, column, tb.last)
		}
	}
	t.Logf("%s: operations %v, %d of them repeated", tb.topic, tb.ops, tb.repeated)
}
