package mysql

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
)

// definedBy is a table and the statement that creates it.
type definedBy struct{ database, name, sql string }

// define reads the definitions of tables. A table that has been dropped since
// it was listed is left out.
func (s *scanner) define(ctx context.Context, tables []listed) error {
	for _, t := range tables {
		r, err := s.main.query(ctx, "SHOW CREATE TABLE "+ident(t.database)+"."+ident(t.name))
		if isServerError(err, errNoSuchTable) {
			continue
		}
		if err != nil {
			if isServerError(err, errTableAccess) {
				err = capture.Permanent(fmt.Errorf("the user %s may not read table %s.%s: run GRANT SELECT ON %s.%s TO %s: %w",
					s.db.cfg.user, t.database, t.name, ident(t.database), ident(t.name), account(s.db.cfg), err))
			}
			return err
		}
		sql, ok := r.get(r.rows[0], "Create Table")
		if !ok {
			return fmt.Errorf("SHOW CREATE TABLE %s.%s has no statement", t.database, t.name)
		}
		if _, err := s.catalogue.Apply(t.database, sql, ddl.Mode{}); err != nil {
			if !s.db.cfg.filter.Table(t.database, "", t.name) {
				continue
			}
			return capture.Permanent(fmt.Errorf("definition of table %s.%s: %w", t.database, t.name, err))
		}
		s.statements = append(s.statements, definedBy{t.database, t.name, sql})
	}
	return nil
}
