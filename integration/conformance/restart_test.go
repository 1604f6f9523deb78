package conformance

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// TestTransactions_SurviveRestarts stops a task again and again inside one
// transaction, and loses every other position that it has saved, as a kill
// does. An event that is published twice has the same place in the transaction
// both times, no place is missing, and the end counts all of them.
func TestTransactions_SurviveRestarts(t *testing.T) {
	t.Parallel()
	tables := []string{"CREATE TABLE a (id int PRIMARY KEY, v text)", "CREATE TABLE b (id int PRIMARY KEY, v text)"}
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		server := servers.MySQL(t)
		server.MustExec(t, tables...)
		settings := addressOf(server.Address)
		settings["database.server.id"], settings["database.include.list"] = "6501", server.Database
		restartInside(t, mysql.Connector(), settings, server.Database, func(statements []string) { server.MustExec(t, statements...) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := servers.Postgres(t)
		server.MustExec(t, tables...)
		settings := addressOf(server.Address)
		settings["database.dbname"], settings["slot.name"] = server.Database, "s"+server.Database[len(server.Database)-8:]
		restartInside(t, postgres.Connector(), settings, "public", func(statements []string) { server.MustExec(t, statements...) })
	})
}

func restartInside(t *testing.T, connector capture.Connector, config map[string]string, namespace string, exec func([]string)) {
	config = maps.Clone(config)
	config["topic.prefix"], config["provide.transaction.metadata"] = "x", "true"
	values, problems := connector.Settings.Parse(config)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	db, problems := connector.New(values, capture.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	names := []string{"x." + namespace + ".a", "x." + namespace + ".b"}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, append(names, "x.transaction")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	tape := newTape(t, cluster.ListenAddrs()[0])
	now, err := db.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	statements, total := []string{"BEGIN"}, 0
	for id := 1; id < 200; id += 2 {
		statements = append(statements, fmt.Sprintf("INSERT INTO a VALUES (%d, 'x'), (%d, 'y')", id, id+1), fmt.Sprintf("INSERT INTO b VALUES (%d, 'x')", id))
		total += 3
		if id%20 == 1 {
			statements = append(statements, fmt.Sprintf("UPDATE b SET id = -%[1]d WHERE id = %[1]d", id))
			total += 2 // a deletion and a creation
		}
	}
	exec(append(statements, "COMMIT"))

	saved := &forgetful{last: now}
	run := func(ctx context.Context, acked func(stop func())) {
		t.Helper()
		ctx, stop := context.WithTimeout(ctx, time.Minute)
		defer stop()
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		json := converters.NewJSON(converters.JSONConfig{})
		task := capture.Task{
			Name: "x", Open: db.Open, Offsets: saved, Kafka: client, Logger: slog.New(slog.DiscardHandler),
			Shape: capture.Shape{Naming: capture.Naming{Prefix: "x", Delimiter: "."}, Tombstones: true, Key: json, Value: json, KeyHeader: json, Transactions: "x.transaction"},
			// Few events in few batches, so that a stop is soon and leaves little.
			Events: 7, Batches: 2, SaveEvery: time.Nanosecond,
			Observer: capture.Observer{Acked: func(int, int) { acked(stop) }},
		}
		if err := task.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		batches := 0
		run(t.Context(), func(stop func()) {
			if batches++; batches == 2 {
				stop()
			}
		})
	}
	ended := func(all topics) bool {
		list := all["x.transaction"]
		return len(list) > 0 && bytes.Contains(list[len(list)-1].Value, []byte(`"END"`))
	}
	run(t.Context(), func(stop func()) {
		if tape.settle(t, 10*time.Millisecond, ended) {
			stop()
		}
	})
	checkPlaces(t, total, tape.of("x"), names)
}

// checkPlaces checks the numbers of a transaction's events, some of which are
// there more than once.
func checkPlaces(t *testing.T, total int, all topics, names []string) {
	t.Helper()
	type place struct{ total, ofTable int64 }
	of, at := map[string]place{}, map[int64]string{}
	records := 0
	for _, topic := range names {
		seen := map[int64]bool{}
		for _, r := range all[topic] {
			value, err := parse(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if value.isNull() {
				continue // a tombstone
			}
			records++
			event := topic + string(r.Key) + value.at("op").str()
			p := place{value.at("transaction", "total_order").int(), value.at("transaction", "data_collection_order").int()}
			if was, twice := of[event]; twice && was != p {
				t.Fatalf("%s was at %v and then at %v", event, was, p)
			}
			if other, taken := at[p.total]; taken && other != event {
				t.Fatalf("%s and %s are both at %d", other, event, p.total)
			}
			of[event], at[p.total], seen[p.ofTable] = p, event, true
		}
		for n := range int64(len(seen)) {
			if !seen[n+1] {
				t.Errorf("%s has %d places, but nothing at %d", topic, len(seen), n+1)
			}
		}
	}
	for n := range int64(total) {
		if at[n+1] == "" {
			t.Fatalf("nothing at place %d of %d", n+1, total)
		}
	}
	if len(of) != total {
		t.Errorf("%d events, want %d", len(of), total)
	}
	if records == total {
		t.Error("nothing was published twice: no stop was inside the transaction")
	}
	t.Logf("%d records of %d events", records, total)
	bounds := all["x.transaction"]
	end, err := parse(bounds[len(bounds)-1].Value)
	if err != nil {
		t.Fatal(err)
	}
	if end.at("status").str() != "END" || end.at("event_count").int() != int64(total) || len(end.at("data_collections").kids) != 2 {
		t.Errorf("the transaction ends with %s, and has %d events", end.raw, total)
	}
}

// forgetful keeps every other position.
type forgetful struct {
	mu   sync.Mutex
	last schema.Position
	n    int
}

// Load returns the position that was kept last.
func (f *forgetful) Load(context.Context) (schema.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, nil
}

// Save keeps the position or does not.
func (f *forgetful) Save(_ context.Context, p schema.Position) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n%2 == 0 {
		f.last = p
	}
	return nil
}
