package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/integration/servers"
)

const rawSlotName = "bench_raw"

type postgres struct {
	server *servers.PostgresServer
	conn   *pgx.Conn
	rows   int
}

func postgresSource(ctx context.Context, s *suite) (source, error) {
	if s.postgres != nil {
		return s.postgres, nil
	}
	server, err := s.servers.StartPostgres(ctx, servers.Config("max_wal_size=16GB", "shared_buffers=512MB"))
	if err != nil {
		return nil, err
	}
	if _, err := server.Fresh(ctx, "bench"); err != nil { // it goes with the server
		return nil, err
	}
	p, err := openPostgres(ctx, server, s.rows)
	if err != nil {
		return nil, err
	}
	s.postgres, s.report.Servers["PostgreSQL"] = p, server.Version
	return p, nil
}

// openPostgres makes the tables in a database and fills stage.
func openPostgres(ctx context.Context, server *servers.PostgresServer, rows int) (p *postgres, err error) {
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	p = &postgres{server: server, conn: conn, rows: rows}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := p.exec(ctx, postgresSchema); err != nil {
		return nil, err
	}
	var text []byte
	err = benchRows(rows, 10_000, func(rows []benchRow) error {
		text = copyText(text[:0], rows)
		_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(text), "COPY stage FROM STDIN")
		return wrap(err, "COPY stage")
	})
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"INSERT INTO stage SELECT 0, customer_id, email, name, amount, qty, active, created_at, updated_at, attrs, note FROM stage WHERE id = 1", "ANALYZE stage"} {
		if err := p.exec(ctx, q); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *postgres) exec(ctx context.Context, statement string) error {
	_, err := p.conn.PgConn().Exec(ctx, statement).ReadAll()
	return wrap(err, statement)
}

func (p *postgres) table() string { return "public.bench" }

func (p *postgres) config(id string) map[string]string {
	return map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "tasks.max": "1", "topic.prefix": id, "database.hostname": p.server.Host, "database.port": strconv.Itoa(p.server.Port),
		"database.user": p.server.User, "database.password": p.server.Password, "database.dbname": p.server.Database,
		"table.include.list": "public.bench", "publication.name": "bench_pub", "publication.autocreate.mode": "disabled", "slot.name": id,
	}
}

func (p *postgres) queue(ctx context.Context) (func(context.Context, int) error, error) {
	for _, q := range []string{"TRUNCATE bench", "SELECT pg_create_logical_replication_slot('" + rawSlotName + "', 'pgoutput')"} {
		if err := p.exec(ctx, q); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, per int) error {
		// Not off beyond the loading: the log of such commits is written only
		// now and then, and no reader has it before.
		for _, q := range []string{
			"SET synchronous_commit = off", fmt.Sprintf("CALL load_rows(%d, %d)", p.rows, per), "SET synchronous_commit = on",
			"VACUUM ANALYZE bench", // that no reader has to set hint bits
		} {
			if err := p.exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (p *postgres) rawLog(ctx context.Context) (string, func() (measured, error), error) {
	var end string
	if err := p.conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return "", nil, fmt.Errorf("ask for the end of the log: %w", err)
	}
	path := installed("pg_recvlogical")
	if path == "" {
		return "own slot reader", func() (measured, error) {
			return raw(ctx, "slot", p.server.ReplicationURL(), rawSlotName, "bench_pub", end)
		}, nil
	}
	return "pg_recvlogical", func() (measured, error) {
		return program(ctx, []string{
			path, "-d", p.server.URL(), "--slot", rawSlotName, "--start", "--no-loop", "--endpos", end, "-f", "/dev/null",
			"-o", "proto_version=1", "-o", "publication_names=bench_pub",
		})
	}, nil
}

// installed returns the path of a program, or nothing.
func installed(program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}

func (p *postgres) rawTable(ctx context.Context) (string, func() (measured, error)) {
	return "COPY TO STDOUT", func() (measured, error) { return raw(ctx, "copy", p.server.URL()) }
}

func (p *postgres) clean(ctx context.Context) error {
	return p.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = current_database()")
}

func (p *postgres) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return p.conn.Close(ctx)
}
