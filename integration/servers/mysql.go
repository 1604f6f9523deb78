package servers

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// MySQLServer is a MySQL or MariaDB server with its row log on. The account
// has all privileges and its password is checked.
type MySQLServer struct {
	Address
	// Database is empty for servers whose Fresh was not called.
	Database string
	*Process
	tools []string
}

// MySQL finds or starts the shared MySQL server.
func (r *Run) MySQL(ctx context.Context, opts ...Option) (*MySQLServer, error) {
	return r.mysqlShared(ctx, kindMySQL, opts)
}

// StartMySQL starts a server for the caller alone.
func (r *Run) StartMySQL(ctx context.Context, opts ...Option) (*MySQLServer, error) {
	return r.mysql(ctx, kindMySQL, true, opts)
}

func (r *Run) mysqlShared(ctx context.Context, k kind, opts []Option) (*MySQLServer, error) {
	a, u, ok, err := given(k, "3306")
	if err != nil {
		return nil, err
	}
	if ok {
		s := &MySQLServer{Address: a, Process: &Process{}}
		if len(u.Path) > 1 {
			s.Database = u.Path[1:]
		}
		return s, nil
	}
	return r.mysql(ctx, k, false, opts)
}

func (r *Run) mysql(ctx context.Context, k kind, own bool, opts []Option) (*MySQLServer, error) {
	a, p, info, err := r.obtain(ctx, newSpec(k, opts), own)
	if err != nil {
		return nil, err
	}
	return &MySQLServer{Address: a, Process: p, tools: info.Program}, nil
}

// DSN is a data source name as database/sql drivers write it:
// user:password@tcp(host:port)/database.
func (s *MySQLServer) DSN() string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", s.User, s.Password, s.Addr(), s.Database)
}

// URL is mysql://user:password@host:port/database.
func (s *MySQLServer) URL() string {
	u := url.URL{Scheme: "mysql", User: s.userinfo(), Host: s.Addr(), Path: "/" + s.Database}
	return u.String()
}

// Tool is the command line of a program that came with the server, such as
// "mysqlbinlog"; nil when the server is not one of ours.
func (s *MySQLServer) Tool(name string) []string {
	if len(s.tools) == 0 {
		return nil
	}
	last := len(s.tools) - 1
	return append(append([]string(nil), s.tools[:last]...), s.tools[last]+name)
}

// Exec runs statements one after the other in one session.
func (s *MySQLServer) Exec(ctx context.Context, statements ...string) error {
	c, err := client.ConnectWithContext(ctx, s.Addr(), s.User, s.Password, s.Database, 10*time.Second)
	if err != nil {
		return fmt.Errorf("connect to MySQL: %w", err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.Close() }) // ends the query below
	defer stop()
	for _, q := range statements {
		r, err := c.Execute(q)
		if err != nil {
			return fmt.Errorf("run %.200q: %w", q, err)
		}
		r.Close()
	}
	return nil
}

// Fresh creates an empty database, makes it Database and returns the function
// that drops it.
func (s *MySQLServer) Fresh(ctx context.Context, hint string) (drop func(context.Context) error, err error) {
	name := fresh(hint)
	admin := *s
	if err := admin.Exec(ctx, "CREATE DATABASE `"+name+"`"); err != nil {
		return nil, fmt.Errorf("create a database for the test: %w", err)
	}
	s.Database = name
	return func(ctx context.Context) error {
		return admin.Exec(ctx, "DROP DATABASE IF EXISTS `"+name+"`")
	}, nil
}
