package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// Connector returns the PostgreSQL source for the worker's catalogue.
func Connector() capture.Connector {
	return capture.Connector{
		Name:     "postgres",
		Classes:  []string{"io.debezium.connector.postgresql.PostgresConnector"},
		Version:  version,
		Settings: definitions(),
		New: func(v settings.Values, env capture.Env) (capture.Database, settings.Problems) {
			c, problems := newConfig(v)
			log := env.Logger
			if log == nil {
				log = slog.New(slog.DiscardHandler)
			}
			return &database{config: c, log: log}, problems
		},
	}
}

// database implements capture.Database.
type database struct {
	*config
	log *slog.Logger
}

// Partition implements capture.Database.
func (d *database) Partition() string {
	name, err := json.Marshal(d.prefix)
	if err != nil {
		panic("postgres: a string does not marshal: " + err.Error())
	}
	return `{"server":` + string(name) + `}`
}

// Open implements capture.Database.
func (d *database) Open(ctx context.Context, from schema.Position) (capture.Source, error) {
	start, commit, err := parsePosition(from)
	if err != nil {
		return nil, capture.Permanent(err)
	}
	return d.stream(ctx, start, commit)
}

// Now implements capture.Database. An existing slot's position is taken as the
// current one: whoever made the slot wants to miss nothing since.
func (d *database) Now(ctx context.Context) (schema.Position, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	if err := d.ensurePublication(ctx, conn); err != nil {
		return nil, err
	}
	s, err := readSlot(ctx, conn, d.slot)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := d.usable(s); err != nil {
			return nil, err
		}
		return plainPosition(s.confirmed, 0, time.Now().UnixMicro()), nil
	}
	repl, _, err := d.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, repl)
	at, _, err := d.createSlot(ctx, repl, false)
	if err != nil {
		return nil, err
	}
	return plainPosition(at, 0, time.Now().UnixMicro()), nil
}

// Execute implements capture.Executor, with the settings that the user's
// sessions have.
func (d *database) Execute(ctx context.Context, sql string) error {
	conn, err := d.connectWith(ctx, func(cfg *pgconn.Config) { clear(cfg.RuntimeParams) })
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	return exec(ctx, conn, sql)
}

// Forget implements capture.Database.
func (d *database) Forget(ctx context.Context) error {
	if !d.dropSlot {
		return nil
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if err := dropSlot(ctx, conn, d.slot); err != nil {
		return err
	}
	if d.autocreate == "disabled" {
		return nil // it is not ours
	}
	if err := d.dropPublication(ctx, conn); err != nil {
		return fmt.Errorf("the slot is dropped, but: %w", err)
	}
	return nil
}
