package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
	"github.com/penstock/penstock/integration/servers"
)

// source is a database with the table bench.
type source interface {
	name() string
	// prepare makes the tables and fills stage.
	prepare(ctx context.Context, rows int) error
	// empty empties bench; fill makes it hold the first rows of stage at once.
	empty(ctx context.Context) error
	fill(ctx context.Context, rows int) error
	// change inserts or updates rows in transactions of per rows.
	change(ctx context.Context, procedure string, rows, per int) error
	// insert commits one row; the session serves one goroutine.
	session(ctx context.Context) (insert func(ctx context.Context, id int) error, done func(), err error)
	// config is a connector's, without the snapshot's mode.
	config(prefix string) map[string]string
	topic(prefix string) string
	// forget drops what a connector left in the database.
	forget(ctx context.Context, prefix string) error

	// copyName and copyRaw are the baseline of a snapshot.
	copyName() string
	copyRaw(ctx context.Context) (measured, error)
	// mark is called before the changes that drainRaw then reads from the log
	// and drops.
	mark(ctx context.Context) error
	drainName() string
	drainRaw(ctx context.Context) (measured, error)
}

const (
	loadRows   = "load_rows"
	updateRows = "update_rows"
)

// latencyRow is a row of the latency case, but for its id.
const latencyRow = "1, 'lorem.ipsum.1@example.com', 'lorem ipsum', 12.34, 5, true, '2024-01-02 03:04:05.678901', '2024-01-02 03:04:05.678901', '{\"tier\": \"gold\", \"tags\": [\"a\", \"b\"]}', 'lorem ipsum dolor sit amet consectetur adipiscing elit sed do'"

// postgres

type postgres struct {
	server *servers.PostgresServer
	end    string // where the changes end
}

const rawSlot = "bench_raw"

func (p *postgres) name() string { return "postgres" }

func (p *postgres) prepare(ctx context.Context, rows int) error {
	if err := p.server.Exec(ctx, postgresSchema); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, p.server.URL())
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	var text []byte
	return benchRows(rows, 10_000, func(rows []benchRow) error {
		text = copyText(text[:0], rows)
		_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(text), "COPY stage FROM STDIN")
		return err
	})
}

func (p *postgres) empty(ctx context.Context) error { return p.server.Exec(ctx, "TRUNCATE bench") }

func (p *postgres) fill(ctx context.Context, rows int) error {
	return p.server.Exec(ctx, "TRUNCATE bench", fmt.Sprintf("INSERT INTO bench SELECT * FROM stage WHERE id <= %d", rows), "VACUUM ANALYZE bench", "CHECKPOINT")
}

func (p *postgres) change(ctx context.Context, procedure string, rows, per int) error {
	err := p.server.Exec(ctx, "SET synchronous_commit = off", fmt.Sprintf("CALL %s(%d, %d)", procedure, rows, per), "CHECKPOINT")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, p.server.URL())
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&p.end)
}

func (p *postgres) session(ctx context.Context) (func(context.Context, int) error, func(), error) {
	conn, err := pgx.Connect(ctx, p.server.URL())
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	insert := func(ctx context.Context, id int) error {
		_, err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO bench VALUES (%d, %s)", id, latencyRow))
		return err
	}
	return insert, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil // nothing is under way
}

func (p *postgres) config(prefix string) map[string]string {
	s := p.server
	return map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
		"database.hostname": s.Host, "database.port": strconv.Itoa(s.Port), "database.user": s.User, "database.password": s.Password, "database.dbname": s.Database,
		"slot.name": prefix, "publication.name": "bench_pub", "publication.autocreate.mode": "disabled",
		"topic.prefix": prefix, "table.include.list": "public.bench",
	}
}

func (p *postgres) topic(prefix string) string { return prefix + ".public.bench" }

func (p *postgres) forget(ctx context.Context, prefix string) error {
	// The slot is in use until its connection is closed.
	return poll(ctx, 30*time.Second, 200*time.Millisecond, func() (bool, error) {
		err := p.server.Exec(ctx, fmt.Sprintf("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '%s'", prefix))
		if err != nil && strings.Contains(err.Error(), "is active") {
			return false, nil
		}
		return true, err
	})
}

func (p *postgres) copyName() string { return "COPY TO STDOUT" }

func (p *postgres) copyRaw(ctx context.Context) (measured, error) {
	return raw(ctx, "copy", p.server.URL())
}

func (p *postgres) mark(ctx context.Context) error {
	return p.server.Exec(ctx, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", rawSlot))
}

func (p *postgres) drainName() string { return "pg_recvlogical" }

func (p *postgres) drainRaw(ctx context.Context) (measured, error) {
	m, err := program(ctx, []string{
		"pg_recvlogical", "-d", p.server.URL(), "-S", rawSlot, "--start", "--endpos", p.end,
		"-o", "proto_version=1", "-o", "publication_names=bench_pub", "-f", "/dev/null", "--fsync-interval=0", "--no-loop",
	})
	return m, errors.Join(err, p.forget(ctx, rawSlot))
}

// mysql

type mysqlServer struct {
	server *servers.MySQLServer
	file   string // the binlog that the changes begin in
}

func (m *mysqlServer) name() string { return "mysql" }

func (m *mysqlServer) connect(ctx context.Context) (*client.Conn, error) {
	s := m.server
	conn, err := client.ConnectWithContext(ctx, s.Addr(), s.User, s.Password, s.Database, 10*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL: %w", err)
	}
	return conn, nil
}

func (m *mysqlServer) prepare(ctx context.Context, rows int) error {
	conn, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range []string{mysqlTable, "CREATE TABLE stage LIKE bench", mysqlLoad, mysqlUpdate, "SET sql_log_bin = 0, time_zone = '+00:00'", "BEGIN"} {
		if _, err := conn.Execute(q); err != nil {
			return fmt.Errorf("run %.60q: %w", q, err)
		}
	}
	err = benchRows(rows, 1000, func(rows []benchRow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := conn.Execute(insertText("stage", rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("fill stage: %w", err)
	}
	_, err = conn.Execute("COMMIT")
	return err
}

func (m *mysqlServer) empty(ctx context.Context) error { return m.server.Exec(ctx, "TRUNCATE bench") }

func (m *mysqlServer) fill(ctx context.Context, rows int) error {
	return m.server.Exec(ctx, "SET sql_log_bin = 0", "TRUNCATE bench", fmt.Sprintf("INSERT INTO bench SELECT * FROM stage WHERE id <= %d", rows), "ANALYZE TABLE bench")
}

func (m *mysqlServer) change(ctx context.Context, procedure string, rows, per int) error {
	return m.server.Exec(ctx, fmt.Sprintf("CALL %s(%d, %d)", procedure, rows, per), "FLUSH BINARY LOGS")
}

func (m *mysqlServer) session(ctx context.Context) (func(context.Context, int) error, func(), error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	insert := func(_ context.Context, id int) error {
		_, err := conn.Execute(fmt.Sprintf("INSERT INTO bench VALUES (%d, %s)", id, latencyRow))
		return err
	}
	return insert, func() { _ = conn.Close() }, nil // nothing is under way
}

func (m *mysqlServer) config(prefix string) map[string]string {
	s := m.server
	// Debezium keeps every connector's id apart; so does the server.
	id := 6000
	for _, c := range prefix {
		id = (id*31 + int(c)) % 1_000_000
	}
	return map[string]string{
		"connector.class":   "io.debezium.connector.mysql.MySqlConnector",
		"database.hostname": s.Host, "database.port": strconv.Itoa(s.Port), "database.user": s.User, "database.password": s.Password,
		"database.server.id": strconv.Itoa(10_000 + id), "database.include.list": s.Database, "table.include.list": s.Database + ".bench", "topic.prefix": prefix,
		"schema.history.internal.kafka.topic": "history." + prefix,
	}
}

func (m *mysqlServer) topic(prefix string) string {
	return prefix + "." + m.server.Database + ".bench"
}

func (m *mysqlServer) forget(context.Context, string) error { return nil }

func (m *mysqlServer) copyName() string { return "SELECT, packets dropped" }

func (m *mysqlServer) copyRaw(ctx context.Context) (measured, error) {
	s := m.server
	return raw(ctx, "select", s.Addr(), s.User, s.Password, s.Database)
}

func (m *mysqlServer) mark(ctx context.Context) error {
	conn, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Execute("FLUSH BINARY LOGS"); err != nil {
		return fmt.Errorf("begin a new binlog file: %w", err)
	}
	r, err := conn.Execute("SHOW BINARY LOG STATUS")
	if err != nil {
		return fmt.Errorf("ask for the binlog file: %w", err)
	}
	m.file, err = r.GetString(0, 0)
	return err
}

func (m *mysqlServer) drainName() string { return "mysqlbinlog --raw" }

func (m *mysqlServer) drainRaw(ctx context.Context) (measured, error) {
	tool := m.server.Tool("mysqlbinlog")
	if tool == nil {
		return measured{}, errors.New("there is no mysqlbinlog beside the server")
	}
	dir, err := os.MkdirTemp("/dev/shm", "penstock-bench-")
	if err != nil {
		return measured{}, fmt.Errorf("make a folder in memory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // scratch
	s := m.server
	return program(ctx, append(tool, "--no-defaults", "-h"+s.Host, "-P"+strconv.Itoa(s.Port), "-u"+s.User, "-p"+s.Password,
		"--read-from-remote-server", "--raw", "--to-last-log", "--result-file="+dir+"/", m.file))
}
