package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
	"github.com/penstock/penstock/integration/servers"
)

// database is a source as the shop uses it.
type database interface {
	dialect() dialect
	// connect opens a connection that serves one goroutine.
	connect(ctx context.Context) (session, error)
	// load creates the tables and fills them; loaded is told after each batch
	// how many rows there are so far.
	load(ctx context.Context, tables []shopTable, loaded func(rows int)) error
}

// session is a connection to a database.
type session interface {
	// transact runs statements in one transaction.
	transact(ctx context.Context, statements ...string) error
	// exec runs one statement by itself.
	exec(ctx context.Context, statement string) error
	close()
}

// seed makes the same shop in every run.
const seed = 20250106

// rowsOf calls f with every row of a table, in batches.
func rowsOf(t shopTable, batch int, f func(rows [][]any) error) error {
	var name uint64
	for _, c := range t.name {
		name = name*31 + uint64(c)
	}
	r := rand.New(rand.NewPCG(seed, name))
	rows := make([][]any, 0, batch)
	for n := 1; n <= t.rows; n++ {
		rows = append(rows, t.row(r, n))
		if len(rows) == batch || n == t.rows {
			if err := f(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// mysqlShop is the shop on MySQL.
type mysqlShop struct{ server *servers.MySQLServer }

func (m mysqlShop) dialect() dialect { return mysqlDialect }

type mysqlSession struct{ conn *client.Conn }

func (m mysqlShop) connect(ctx context.Context) (session, error) {
	s := m.server
	conn, err := client.ConnectWithContext(ctx, s.Addr(), s.User, s.Password, s.Database, 10*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL: %w", err)
	}
	if _, err := conn.Execute("SET NAMES utf8mb4, time_zone = '+00:00'"); err != nil {
		_ = conn.Close() // it is of no use any more
		return nil, fmt.Errorf("set up the connection to MySQL: %w", err)
	}
	return mysqlSession{conn}, nil
}

func (s mysqlSession) exec(_ context.Context, statement string) error {
	if _, err := s.conn.Execute(statement); err != nil {
		return fmt.Errorf("run %.120q on MySQL: %w", statement, err)
	}
	return nil
}

func (s mysqlSession) transact(ctx context.Context, statements ...string) error {
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	for _, q := range statements {
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	return s.exec(ctx, "COMMIT")
}

func (s mysqlSession) close() { _ = s.conn.Close() } // nothing is under way

func (m mysqlShop) load(ctx context.Context, tables []shopTable, loaded func(int)) error {
	s, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	total := 0
	for _, t := range tables {
		if err := s.exec(ctx, createTable(t, t.mysql)); err != nil {
			return err
		}
		// Many statements a commit: the server syncs its log once for them.
		if err := s.exec(ctx, "BEGIN"); err != nil {
			return err
		}
		err := rowsOf(t, 1000, func(rows [][]any) error {
			total += len(rows)
			loaded(total)
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.exec(ctx, mysqlDialect.insert(t, rows))
		})
		if err != nil {
			return err
		}
		if err := s.exec(ctx, "COMMIT"); err != nil {
			return err
		}
	}
	return nil
}

// postgresShop is the shop on Postgres.
type postgresShop struct{ server *servers.PostgresServer }

func (p postgresShop) dialect() dialect { return postgresDialect }

type postgresSession struct{ conn *pgx.Conn }

func (p postgresShop) connect(ctx context.Context) (session, error) {
	config, err := pgx.ParseConfig(p.server.URL())
	if err != nil {
		return nil, fmt.Errorf("read the address of Postgres: %w", err)
	}
	config.RuntimeParams["timezone"] = "UTC"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	return postgresSession{conn}, nil
}

func (s postgresSession) exec(ctx context.Context, statement string) error {
	if _, err := s.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("run %.120q on Postgres: %w", statement, err)
	}
	return nil
}

func (s postgresSession) transact(ctx context.Context, statements ...string) error {
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		for _, q := range statements {
			if _, err := tx.Exec(ctx, q); err != nil {
				return fmt.Errorf("run %.120q on Postgres: %w", q, err)
			}
		}
		return nil
	})
}

func (s postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // nothing is under way
}

func (p postgresShop) load(ctx context.Context, tables []shopTable, loaded func(int)) error {
	opened, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer opened.close()
	s, ok := opened.(postgresSession)
	if !ok {
		return fmt.Errorf("a session of Postgres is a %T", opened)
	}
	if err := s.exec(ctx, "CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped', 'returned')"); err != nil {
		return err
	}
	total := 0
	for _, t := range tables {
		if err := s.exec(ctx, createTable(t, t.postgres)); err != nil {
			return err
		}
		var text []byte
		err := rowsOf(t, 10_000, func(rows [][]any) error {
			text = text[:0]
			for _, row := range rows {
				text = copyLine(text, row)
			}
			if _, err := s.conn.PgConn().CopyFrom(ctx, bytes.NewReader(text), "COPY "+t.name+" FROM STDIN"); err != nil {
				return fmt.Errorf("copy into %s of Postgres: %w", t.name, err)
			}
			total += len(rows)
			loaded(total)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.exec(ctx, "ANALYZE")
}

func createTable(t shopTable, definitions []string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "CREATE TABLE %s (", t.name)
	for i, d := range definitions {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d)
	}
	b.WriteByte(')')
	return b.String()
}
