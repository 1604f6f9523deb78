package postgres_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// BenchmarkSource drains queued inserts of eleven columns and about 250 bytes,
// and copies the same table. One iteration is one drain; run it with
// -benchtime 1x. It reports the rate and this process's CPU time.
func BenchmarkSource(b *testing.B) {
	const rows = 200_000
	for _, perTransaction := range []int{1000, 1} {
		b.Run(fmt.Sprintf("transactions=%d", perTransaction), func(b *testing.B) {
			server := servers.Postgres(b)
			db := benchDatabase(b, server)
			n := rows
			if perTransaction == 1 {
				n = rows / 5
			}
			for b.Loop() {
				b.StopTimer()
				run(b, server, benchTable)
				from, err := db.Now(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				run(b, server, fmt.Sprintf(`
DO $$ BEGIN FOR i IN 0..%d LOOP
  INSERT INTO bench SELECT g, g %% 1000, repeat('text ', 20), 'somebody'||g||'@example.com', g * 1.25, g / 7.0, g %% 2 = 0, now(), now(), gen_random_uuid(), '{"a": [1, 2, 3], "b": "text"}'
  FROM generate_series(i * %d + 1, (i + 1) * %d) g; COMMIT;
END LOOP; END $$`, n/perTransaction-1, perTransaction, perTransaction))
				b.StartTimer()
				drain(b, db, from, n)
			}
		})
	}
	b.Run("copy", func(b *testing.B) {
		server := servers.Postgres(b)
		db := benchDatabase(b, server)
		run(b, server, benchTable, fmt.Sprintf(`
INSERT INTO bench SELECT g, g %% 1000, repeat('text ', 20), 'somebody'||g||'@example.com', g * 1.25, g / 7.0, g %% 2 = 0, now(), now(), gen_random_uuid(), '{"a": [1, 2, 3], "b": "text"}'
FROM generate_series(1, %d) g`, rows))
		for b.Loop() {
			sc := db.Scanner()
			view, err := sc.Begin(b.Context(), 1, nil)
			if err != nil {
				b.Fatal(err)
			}
			begun, cpu := time.Now(), cpuTime()
			r, err := view.Sessions[0].Scan(b.Context(), view.Tables[0].Table, "", "")
			if err != nil {
				b.Fatal(err)
			}
			var batch schema.Batch
			n, batches := 0, 0
			for done := false; !done; batches++ {
				batch.Reset()
				if done, err = r.Next(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
				n += len(batch.Events)
			}
			report(b, n, batches, begun, cpu)
			if err := sc.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

const benchTable = `DROP TABLE IF EXISTS bench; CREATE TABLE bench (id bigint PRIMARY KEY, n int, t text, mail varchar, price numeric(12,2), f double precision,
  ok boolean, made timestamptz, local timestamp, u uuid, doc jsonb)`

func benchDatabase(b *testing.B, server *servers.PostgresServer) capture.Database {
	b.Helper()
	connector := postgres.Connector()
	v, problems := connector.Settings.Parse(map[string]string{
		"topic.prefix": "bench", "database.hostname": server.Host, "database.port": fmt.Sprint(server.Port), "database.user": server.User,
		"database.password": server.Password, "database.dbname": server.Database, "slot.name": "bench_" + fmt.Sprint(time.Now().UnixNano()),
	})
	if err := problems.Err(); err != nil {
		b.Fatal(err)
	}
	db, problems := connector.New(v, capture.Env{})
	if err := problems.Err(); err != nil {
		b.Fatal(err)
	}
	return db
}

func run(b *testing.B, server *servers.PostgresServer, sql ...string) {
	b.Helper()
	conn, err := pgconn.Connect(b.Context(), server.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.Context())) }()
	for _, q := range sql {
		if err := conn.Exec(b.Context(), q).Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func drain(b *testing.B, db capture.Database, from schema.Position, n int) {
	b.Helper()
	src, err := db.Open(b.Context(), from)
	if err != nil {
		b.Fatal(err)
	}
	begun, cpu := time.Now(), cpuTime()
	var batch schema.Batch
	got, batches := 0, 0
	for ; got < n; batches++ {
		batch.Reset()
		if err := src.Next(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
		got += len(batch.Events)
	}
	report(b, got, batches, begun, cpu)
	if err := src.Confirm(b.Context(), from); err != nil {
		b.Fatal(err)
	}
	if err := src.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func report(b *testing.B, n, batches int, begun time.Time, cpu time.Duration) {
	b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "rows/s")
	b.ReportMetric((cpuTime()-cpu).Seconds()*1e6/float64(n), "CPU-s/million")
	b.ReportMetric(float64(n)/float64(batches), "rows/batch")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
