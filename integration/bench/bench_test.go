package main

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/servers"
)

// A clock that runs while the harness does not see a topic yet measures the
// harness.
func TestSuite_CountsANewTopicAtOnce(t *testing.T) {
	t.Parallel()
	kafka := servers.Kafka(t)
	s := &suite{}
	if err := s.connect(kafka.Brokers()); err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	topic := kafka.Topic("new")
	if _, err := s.records(t.Context(), topic); err == nil {
		t.Error("a topic that is not there was counted without an error") // and is remembered as missing
	}
	if err := s.topic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		if got, err := s.records(t.Context(), topic); err != nil || got != want {
			t.Fatalf("the topic has %d records (%v), want %d", got, err, want)
		}
		if err := s.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBaselines_ReadEveryRow(t *testing.T) {
	t.Parallel()
	const rows = 500
	ctx := t.Context()
	y, err := openMySQL(ctx, servers.MySQL(t), rows, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = y.close() }()
	p, err := openPostgres(ctx, servers.Postgres(t), rows)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	for _, src := range []source{y, p} {
		load, err := src.queue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := load(ctx, 100); err != nil {
			t.Fatal(err)
		}
	}
	// The log of commits that are not waited for comes when the server likes.
	var commit string
	if err := p.conn.QueryRow(ctx, "SHOW synchronous_commit").Scan(&commit); err != nil || commit != "on" {
		t.Errorf("synchronous_commit is %q (%v) after the loading, want on", commit, err)
	}
	last, at, err := y.position()
	if err != nil {
		t.Fatal(err)
	}
	var end string
	if err := p.conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	m := y.server
	for name, args := range map[string][]string{
		"select": {m.Addr(), m.User, m.Password, m.Database},
		"binlog": {m.Host, strconv.Itoa(m.Port), m.User, m.Password, y.file, last, strconv.FormatUint(at, 10)},
		"copy":   {p.server.URL()},
		"slot":   {p.server.ReplicationURL(), rawSlotName, "bench_pub", end},
	} {
		want := rows
		if name == "binlog" {
			want = 0 // events, not rows
		}
		if got, _, err := baselines[name](ctx, args); err != nil || got != want {
			t.Errorf("the baseline %s read %d rows (%v), want %d", name, got, err, want)
		}
	}
	if err := p.clean(ctx); err != nil {
		t.Error(err)
	}
}
