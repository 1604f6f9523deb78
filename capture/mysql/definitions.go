package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
)

// definers is how many connections read definitions where there are many. The
// server opens each table for that, which takes it a millisecond.
const definers = 4

// definedBy is a table and the statement that creates it.
type definedBy struct{ database, name, sql string }

// define reads the definitions of tables. A table that has been dropped since
// it was listed is left out.
func (s *scanner) define(ctx context.Context, tables []listed) error {
	statements, err := s.createdBy(ctx, tables)
	if err != nil {
		return err
	}
	for i, t := range tables {
		if statements[i] == "" {
			continue
		}
		if _, err := s.catalogue.Apply(t.database, statements[i], ddl.Mode{}); err != nil {
			if !s.db.cfg.filter.Table(t.database, "", t.name) {
				continue
			}
			return capture.Permanent(fmt.Errorf("definition of table %s.%s: %w", t.database, t.name, err))
		}
		s.statements = append(s.statements, definedBy{t.database, t.name, statements[i]})
	}
	return nil
}

// createdBy returns the statement that creates each of the tables, empty for
// one that is not there.
func (s *scanner) createdBy(ctx context.Context, tables []listed) ([]string, error) {
	statements := make([]string, len(tables))
	var next atomic.Int64
	read := func(ctx context.Context, c *conn) (err error) {
		for err == nil {
			i := int(next.Add(1)) - 1
			if i >= len(tables) {
				break
			}
			statements[i], err = s.showCreate(ctx, c, tables[i])
		}
		return err
	}
	if len(tables) <= fewTables {
		return statements, read(ctx, s.main)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range definers {
		g.Go(func() (err error) {
			c, err := s.connect(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			return read(ctx, c)
		})
	}
	return statements, g.Wait()
}

func (s *scanner) showCreate(ctx context.Context, c *conn, t listed) (string, error) {
	r, err := c.query(ctx, "SHOW CREATE TABLE "+ident(t.database)+"."+ident(t.name))
	if isServerError(err, errNoSuchTable) {
		return "", nil
	}
	if err != nil {
		if isServerError(err, errTableAccess) {
			err = capture.Permanent(fmt.Errorf("the user %s may not read table %s.%s: run GRANT SELECT ON %s.%s TO %s: %w",
				s.db.cfg.user, t.database, t.name, ident(t.database), ident(t.name), account(s.db.cfg), err))
		}
		return "", err
	}
	sql, ok := r.get(r.rows[0], "Create Table")
	if !ok {
		return "", fmt.Errorf("SHOW CREATE TABLE %s.%s has no statement", t.database, t.name)
	}
	return sql, nil
}
