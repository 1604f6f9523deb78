package conformance

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/integration/servers"
)

// configuration is one recording.
type configuration struct {
	name, connector, events string
	prefix, schemas         string
}

func configurations(prefix string) []configuration {
	return []configuration{
		{"default", "connector.json", "events.jsonl.gz", prefix + "n", "false"},
		{"schemas", "connector.json", "events.schemas.jsonl.gz", prefix + "s", "true"},
		{"variant1", "connector-variant1.json", "events.variant1.jsonl.gz", prefix + "v1", "true"},
	}
}

// TestRules_HoldForTheRecordings compares the recordings with themselves.
func TestRules_HoldForTheRecordings(t *testing.T) {
	t.Parallel()
	for system, prefix := range map[string]string{"postgres": "pg", "mysql": "my"} {
		for _, cfg := range configurations(prefix) {
			recorded := readRecording(t, system, cfg.events)
			c := newComparison(system, cfg.name, cfg.prefix, newUsage[deviation](nil), newUsage[pendingEntry](nil))
			c.compare(recorded, recorded)
			for _, f := range c.findings {
				t.Errorf("%s %s: %+v", system, cfg.name, f)
			}
		}
	}
}

func TestEvents_Postgres(t *testing.T) {
	t.Parallel()
	// Nothing but the statements may make the server describe a table anew.
	server := servers.StartPostgres(t, servers.Version("15"), servers.Config("autovacuum=off"))
	server.MustExec(t, "CREATE DATABASE gold")
	server.Database = "gold"
	server.MustExec(t, readStatements(t, false, "postgres", "setup.sql")...)
	r := newRun(t, "postgres", "pg", addressOf(server.Address))
	r.start()
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range readStatements(t, false, "postgres", "workload.sql") {
		if altersTable(statement) {
			r.awaitSlots(conn)
		}
		if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	r.finish()
}

func TestEvents_MySQL(t *testing.T) {
	t.Parallel()
	server := servers.StartMySQL(t)
	bare := *server
	bare.Database = ""
	bare.MustExec(t, readStatements(t, true, "mysql", "setup.sql")...)
	r := newRun(t, "mysql", "my", addressOf(server.Address))
	r.start()
	bare.MustExec(t, append([]string{"SET NAMES utf8mb4"}, readStatements(t, true, "mysql", "workload.sql")...)...)
	r.finish()
}

// finish waits for the end of the workload and compares.
func (r *run) finish() {
	r.t.Helper()
	want := map[string]topics{}
	for _, cfg := range r.configurations {
		want[cfg.name] = readRecording(r.t, r.system, cfg.events)
	}
	r.awaitWorkload(want)
	d, p := newUsage(only(deviations, r.system)), newUsage(only(pending, r.system))
	for _, cfg := range r.configurations {
		r.t.Run(cfg.name, func(t *testing.T) {
			c := newComparison(r.system, cfg.name, cfg.prefix, d, p)
			c.compare(want[cfg.name], r.tape.of(cfg.prefix))
			c.show(t)
		})
	}
	for i, entry := range d.entries {
		if d.used[i] == 0 {
			r.t.Errorf("nothing deviates like this: %+v", entry)
		}
	}
	for i, entry := range p.entries {
		if p.used[i] == 0 {
			r.t.Errorf("this is equal now, take it off the list of what is pending: %+v", entry)
		}
		r.t.Logf("pending, %d times: %s %s %s: %s", p.used[i], entry.configuration, entry.topic, entry.path, entry.reason)
	}
}

// only returns the entries about a system.
func only[E interface{ about() string }](entries []E, system string) []E {
	return slices.DeleteFunc(slices.Clone(entries), func(e E) bool { return e.about() != system })
}

func (e entry) about() string { return e.system }

// awaitWorkload waits for the last statement's records, and for as many as
// were recorded.
func (r *run) awaitWorkload(want map[string]topics) {
	r.t.Helper()
	for _, cfg := range r.configurations {
		r.tape.await(r.t, "the workload's last record with prefix "+cfg.prefix, patience, func(all topics) bool {
			for topic, list := range all {
				if hasPrefix(topic, cfg.prefix) && len(list) > 0 && topicName(cfg.prefix, topic) == r.last {
					return true
				}
			}
			return false
		})
	}
	// What follows it, if anything is to follow.
	r.tape.settle(r.t, 15*time.Second, func(all topics) bool {
		for _, cfg := range r.configurations {
			for topic, list := range want[cfg.name] {
				if len(all[topic]) < len(list) {
					return false
				}
			}
		}
		return true
	})
}
