package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/penstock/penstock/integration/servers"
)

type mysqlServer struct {
	server *servers.MySQLServer
	conn   *client.Conn
	rows   int
	dir    string
	file   string // the binlog that queue began
	ids    int    // server ids given so far
}

func mysqlSource(ctx context.Context, s *suite) (source, error) {
	if s.mysql != nil {
		return s.mysql, nil
	}
	server, err := s.servers.StartMySQL(ctx, servers.Config("sync_binlog=0", "innodb_flush_log_at_trx_commit=0", "innodb_buffer_pool_size=512M", "max_binlog_size=1G"))
	if err != nil {
		return nil, err
	}
	if _, err := server.Fresh(ctx, "bench"); err != nil { // it goes with the server
		return nil, err
	}
	y, err := openMySQL(ctx, server, s.rows, s.dir)
	if err != nil {
		return nil, err
	}
	s.mysql, s.report.Servers["MySQL"] = y, server.Version
	return y, nil
}

// openMySQL makes the tables in a database and fills stage. dir is for what
// mysqlbinlog writes.
func openMySQL(ctx context.Context, server *servers.MySQLServer, rows int, dir string) (y *mysqlServer, err error) {
	conn, err := client.ConnectWithContext(ctx, server.Addr(), server.User, server.Password, server.Database, 10*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL: %w", err)
	}
	y = &mysqlServer{server: server, conn: conn, rows: rows, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, y.close())
		}
	}()
	for _, q := range []string{mysqlTable, "CREATE TABLE stage LIKE bench", mysqlLoad} {
		if err := y.exec(ctx, q); err != nil {
			return nil, err
		}
	}
	err = benchRows(rows, 1000, func(rows []benchRow) error { return y.exec(ctx, insertText("stage", rows)) })
	if err != nil {
		return nil, err
	}
	return y, y.exec(ctx, "INSERT INTO stage SELECT 0, customer_id, email, name, amount, qty, active, created_at, updated_at, attrs, note FROM stage WHERE id = 1")
}

func (y *mysqlServer) exec(ctx context.Context, statement string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := y.conn.Execute(statement)
	return wrap(err, statement)
}

func (y *mysqlServer) table() string { return y.server.Database + ".bench" }

func (y *mysqlServer) config(id string) map[string]string {
	y.ids++
	return map[string]string{
		"connector.class": "io.debezium.connector.mysql.MySqlConnector", "tasks.max": "1", "topic.prefix": id, "database.hostname": y.server.Host, "database.port": strconv.Itoa(y.server.Port),
		"database.user": y.server.User, "database.password": y.server.Password, "database.server.id": strconv.Itoa(70_000 + y.ids),
		"table.include.list": y.table(), "database.include.list": y.server.Database,
	}
}

func (y *mysqlServer) queue(ctx context.Context) (func(context.Context, int) error, error) {
	for _, q := range []string{"TRUNCATE TABLE bench", "FLUSH BINARY LOGS"} {
		if err := y.exec(ctx, q); err != nil {
			return nil, err
		}
	}
	var err error
	if y.file, _, err = y.position(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, per int) error {
		if err := y.exec(ctx, fmt.Sprintf("CALL load_rows(%d, %d)", y.rows, per)); err != nil {
			return err
		}
		// The statistics are the snapshot's estimate.
		return y.exec(ctx, "ANALYZE NO_WRITE_TO_BINLOG TABLE bench")
	}, nil
}

func (y *mysqlServer) position() (file string, at uint64, err error) {
	answer, err := y.conn.Execute("SHOW BINARY LOG STATUS")
	if err != nil {
		return "", 0, fmt.Errorf("ask for the end of the binlog: %w", err)
	}
	if file, err = answer.GetString(0, 0); err == nil {
		at, err = answer.GetUint(0, 1)
	}
	return file, at, err
}

func (y *mysqlServer) rawLog(ctx context.Context) (string, func() (measured, error), error) {
	last, at, err := y.position()
	if err != nil {
		return "", nil, err
	}
	port := strconv.Itoa(y.server.Port)
	tool := y.server.Tool("mysqlbinlog")
	if tool == nil {
		return "own binlog reader", func() (measured, error) {
			return raw(ctx, "binlog", y.server.Host, port, y.server.User, y.server.Password, y.file, last, strconv.FormatUint(at, 10))
		}, nil
	}
	return "mysqlbinlog --raw", func() (m measured, err error) {
		dir, err := os.MkdirTemp(y.dir, "binlog")
		if err != nil {
			return m, fmt.Errorf("make a folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		return program(ctx, append(tool[:len(tool):len(tool)], "--no-defaults", "--raw", "--read-from-remote-server", "--to-last-log", "--result-file="+dir+"/",
			"--host="+y.server.Host, "--port="+port, "--user="+y.server.User, "--password="+y.server.Password, y.file))
	}, nil
}

func (y *mysqlServer) rawTable(ctx context.Context) (string, func() (measured, error)) {
	return "SELECT, unbuffered", func() (measured, error) {
		return raw(ctx, "select", y.server.Addr(), y.server.User, y.server.Password, y.server.Database)
	}
}

func (y *mysqlServer) clean(context.Context) error { return nil } // a reader leaves nothing behind

func (y *mysqlServer) close() error { return y.conn.Close() }
