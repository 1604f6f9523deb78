package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/integration/servers"
)

// TestChaos_BigSnapshotInBoundedMemory copies one table of five million rows
// into a real Kafka and holds the daemon's peak resident set under 200 MB.
func TestChaos_BigSnapshotInBoundedMemory(t *testing.T) {
	ctx := t.Context()
	const bound = 200_000_000
	// The bound holds however many there are.
	rows := int(number(t, "CHAOS_ROWS", 1_000_000, 5_000_000, "fewer rows fit into the bound whatever is done with them"))
	pg, kafka := servers.Postgres(t), servers.Kafka(t)
	pg.MustExec(t,
		`CREATE UNLOGGED TABLE big (id BIGINT PRIMARY KEY, name TEXT NOT NULL, amount NUMERIC(12,2), at TIMESTAMP NOT NULL, note TEXT)`,
		fmt.Sprintf(`INSERT INTO big SELECT i, 'name ' || i, i / 100.0, TIMESTAMP '2024-01-01' + i * INTERVAL '1 second', repeat('x', (i %% 90)::int) FROM generate_series(1, %d) i`, rows),
		`ALTER TABLE big SET LOGGED`, `ANALYZE big`)
	prefix := kafka.Topic("big")
	began := time.Now()
	d := alone(t, kafka, prefix, map[string]string{
		"connector.class": "postgres", "database.hostname": pg.Host, "database.port": strconv.Itoa(pg.Port),
		"database.user": pg.User, "database.password": pg.Password, "database.dbname": pg.Database, "table.include.list": "public.big",
		"publication.autocreate.mode": "filtered", "slot.name": "big_" + strconv.FormatInt(time.Now().UnixNano(), 36),
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	var records int64
	for records < int64(rows) {
		select {
		case <-deadline:
			t.Fatalf("%d of %d rows after five minutes\n%s", records, rows, d.Tail())
		case <-d.Done():
			t.Fatalf("the daemon ended by itself:\n%s", d.Tail())
		case <-tick.C:
		}
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, prefix+".public.big")
		if err != nil {
			continue // the topic is not there yet
		}
		records = 0
		ends.Each(func(o kadm.ListedOffset) { records += max(0, o.Offset) })
	}
	took := time.Since(began)
	usage, err := d.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %v (%.0f rows/s), %.2f CPU-seconds per million, peak resident set %.1f MB",
		rows, took.Round(time.Millisecond), float64(rows)/took.Seconds(), usage.CPU.Seconds()/float64(rows)*1e6, float64(usage.PeakRSS)/1e6)
	if usage.PeakRSS >= bound {
		t.Errorf("the daemon's peak resident set is %.1f MB, the bound %.1f MB", float64(usage.PeakRSS)/1e6, float64(bound)/1e6)
	}
	if records != int64(rows) {
		t.Errorf("%d records for %d rows", records, rows)
	}
	stopCtx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := d.Stop(stopCtx); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, d.Tail())
	}
}

// alone starts a daemon with one source, whose topics begin with prefix.
func alone(t *testing.T, kafka *servers.KafkaServer, prefix string, connector map[string]string) *daemon.Daemon {
	t.Helper()
	dir := t.TempDir()
	rest := fmt.Sprintf("127.0.0.1:%d", servers.FreePort(t))
	env := []string{
		"PENSTOCK_DATA_DIR=" + filepath.Join(dir, "data"),
		"PENSTOCK_LISTENERS=http://" + rest,
		"PENSTOCK_BOOTSTRAP_SERVERS=" + strings.Join(kafka.Brokers(), ","),
		"PENSTOCK_GROUP_ID=" + prefix,
		"PENSTOCK_CONFIG_STORAGE_TOPIC=" + prefix + "-configs", "PENSTOCK_OFFSET_STORAGE_TOPIC=" + prefix + "-offsets", "PENSTOCK_STATUS_STORAGE_TOPIC=" + prefix + "-status",
		"PENSTOCK_CONFIG_STORAGE_REPLICATION_FACTOR=1", "PENSTOCK_OFFSET_STORAGE_REPLICATION_FACTOR=1", "PENSTOCK_STATUS_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_KEY_CONVERTER_SCHEMAS_ENABLE=false", "PENSTOCK_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
		"PENSTOCK_CONNECTOR_ALONE__TOPIC_PREFIX=" + prefix,
	}
	for k, v := range connector {
		env = append(env, "PENSTOCK_CONNECTOR_ALONE__"+strings.ToUpper(strings.ReplaceAll(k, ".", "_"))+"="+v)
	}
	d := &daemon.Daemon{Path: program(t), Dir: dir, REST: rest, Env: env}
	t.Cleanup(func() {
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return d
}
