package mysql

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// version is the Debezium release whose events are matched.
const version = "3.6.1.Final"

// Connector returns the connector for MySQL.
func Connector() capture.Connector {
	return connector("mysql", "io.debezium.connector.mysql.MySqlConnector", flavor{
		connector: "mysql", sourceInfo: "io.debezium.connector.mysql.Source",
	}, "io.debezium.connector.mysql.MySqlSourceInfoStructMaker")
}

// MariaDB returns the connector for MariaDB.
func MariaDB() capture.Connector {
	return connector("mariadb", "io.debezium.connector.mariadb.MariaDbConnector", flavor{
		connector: "mariadb", sourceInfo: "io.debezium.connector.mariadb.Source", mariaDB: true,
	}, "io.debezium.connector.mariadb.MariaDbSourceInfoStructMaker")
}

func connector(name, class string, f flavor, structMaker string) capture.Connector {
	return capture.Connector{
		Name: name, Classes: []string{class}, Version: version, Settings: newSettings(structMaker),
		New: func(v settings.Values, env capture.Env) (capture.Database, settings.Problems) {
			cfg, problems := newConfig(v, f, env)
			return &database{cfg: cfg, env: env}, problems
		},
	}
}

// database is one configured server. It implements capture.Database.
type database struct {
	cfg *config
	env capture.Env
}

// Partition implements capture.Database.
func (d *database) Partition() string {
	b, err := json.Marshal(map[string]string{"server": d.cfg.prefix})
	if err != nil {
		panic(err) // a map of strings can always be written
	}
	return string(b)
}

// Open implements capture.Database.
func (d *database) Open(ctx context.Context, from schema.Position) (capture.Source, error) {
	s, err := openSource(ctx, d, from)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Now implements capture.Database. The log is kept for as long as the server is
// configured to; there is nothing to reserve.
func (d *database) Now(ctx context.Context) (schema.Position, error) {
	view, err := d.Introduce(ctx)
	if err != nil {
		return nil, err
	}
	return view.Position, nil
}

// Introduce implements capture.Introducer.
func (d *database) Introduce(ctx context.Context) (*capture.View, error) {
	s := &scanner{db: d}
	view, err := s.Begin(ctx, 0, nil)
	if err = errors.Join(err, s.Close(ctx)); err != nil {
		return nil, err
	}
	return view, nil
}

// Scanner implements capture.Database.
func (d *database) Scanner() capture.Scanner { return &scanner{db: d} }

// Execute implements capture.Executor.
func (d *database) Execute(ctx context.Context, sql string) error {
	c, err := dial(ctx, d.cfg)
	if err != nil {
		return transient(err)
	}
	err = prepareSession(ctx, c, d.cfg)
	if err == nil {
		err = c.exec(ctx, sql)
	}
	return transient(errors.Join(err, c.close()))
}

// Forget implements capture.Database. A reader leaves nothing behind at the
// server.
func (d *database) Forget(context.Context) error { return nil }
