package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a PostgreSQL server with logical decoding switched on. The
// account is a superuser and its password is checked.
type PostgresServer struct {
	Address
	Database string
	*Process
}

// Postgres finds or starts the shared server of a version. Database is
// "postgres" until [PostgresServer.Fresh] is called.
func (r *Run) Postgres(ctx context.Context, opts ...Option) (*PostgresServer, error) {
	a, u, ok, err := given(kindPostgres, "5432")
	if err != nil {
		return nil, err
	}
	if ok {
		s := &PostgresServer{Address: a, Database: "postgres", Process: &Process{}}
		if len(u.Path) > 1 {
			s.Database = u.Path[1:]
		}
		return s, nil
	}
	return r.postgres(ctx, false, opts)
}

// StartPostgres starts a server for the caller alone.
func (r *Run) StartPostgres(ctx context.Context, opts ...Option) (*PostgresServer, error) {
	return r.postgres(ctx, true, opts)
}

func (r *Run) postgres(ctx context.Context, own bool, opts []Option) (*PostgresServer, error) {
	a, p, _, err := r.obtain(ctx, newSpec(kindPostgres, opts), own)
	if err != nil {
		return nil, err
	}
	return &PostgresServer{Address: a, Database: "postgres", Process: p}, nil
}

// URL is the connection string of Database.
func (s *PostgresServer) URL() string { return s.url("").String() }

// ReplicationURL is a connection string for the replication protocol.
func (s *PostgresServer) ReplicationURL() string { return s.url("&replication=database").String() }

func (s *PostgresServer) url(query string) *url.URL {
	return &url.URL{
		Scheme: "postgres", User: s.userinfo(), Host: s.Addr(), Path: "/" + s.Database,
		RawQuery: "sslmode=disable" + query,
	}
}

// Exec runs statements one after the other, each on its own.
func (s *PostgresServer) Exec(ctx context.Context, statements ...string) error {
	c, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	for _, q := range statements {
		if _, err := c.Exec(ctx, q, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("run %.200q: %w", q, err)
		}
	}
	return nil
}

// Fresh creates an empty database, makes it Database and returns the function
// that drops it with all its replication slots.
func (s *PostgresServer) Fresh(ctx context.Context, hint string) (drop func(context.Context) error, err error) {
	name := fresh(hint)
	admin := *s
	if err := admin.Exec(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		return nil, fmt.Errorf("create a database for the test: %w", err)
	}
	s.Database = name
	return func(ctx context.Context) error { return admin.drop(ctx, name) }, nil
}

// drop drops a database. Slots hold it and walsenders hold slots, and a
// walsender that was told to end takes a moment: hence the loop.
func (s *PostgresServer) drop(ctx context.Context, name string) error {
	c, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, slots := c.Exec(ctx, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active`, name)
		if slots == nil {
			_, slots = c.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active`, name)
		}
		_, err := c.Exec(ctx, `DROP DATABASE IF EXISTS "`+name+`" WITH (FORCE)`)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("drop database %s: %w", name, errors.Join(err, slots))
		}
	}
}
