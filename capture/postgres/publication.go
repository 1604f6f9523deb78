package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
)

// ensurePublication makes the publication if it is missing, and brings the one
// of publication.autocreate.mode=filtered up to date. It must run before the
// slot is made: the server reads the log with the publications of the log's
// own time.
func (c *config) ensurePublication(ctx context.Context, conn *pgconn.PgConn) error {
	exists, err := c.publicationExists(ctx, conn)
	if err != nil {
		return err
	}
	name := identifier(c.publication)
	viaRoot := ""
	if c.viaRoot && majorVersion(conn) >= 13 {
		viaRoot = " WITH (publish_via_partition_root = true)"
	}
	switch c.autocreate {
	case "disabled":
		if !exists {
			return capture.Permanent(fmt.Errorf("publication %s does not exist and publication.autocreate.mode is disabled. Run: CREATE PUBLICATION %s FOR TABLE …", c.publication, name))
		}
		return nil
	case "no_tables":
		if exists {
			return nil
		}
		return c.createPublication(ctx, conn, "CREATE PUBLICATION "+name+viaRoot)
	case "filtered":
		return c.ensureFiltered(ctx, conn, exists, viaRoot)
	default:
		if exists {
			return nil
		}
		return c.createPublication(ctx, conn, "CREATE PUBLICATION "+name+" FOR ALL TABLES"+viaRoot)
	}
}

func (c *config) publicationExists(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	rows, err := query(ctx, conn, `SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1`, c.publication)
	if err != nil {
		return false, fmt.Errorf("look up publication %s: %w", c.publication, err)
	}
	return len(rows) > 0, nil
}

func (c *config) createPublication(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	err := exec(ctx, conn, sql)
	switch {
	case hasCode(err, "42710", "23505"): // duplicate_object, unique_violation
		return nil // another connector has made it at the same moment
	case hasCode(err, "42501"):
		return capture.Permanent(fmt.Errorf("create publication %s: %w. Let an administrator run: %s; or give the user the right (GRANT CREATE ON DATABASE %s TO %s and ownership of the tables) and set publication.autocreate.mode=filtered",
			c.publication, err, sql, identifier(c.dbname), identifier(c.user)))
	case err != nil:
		return fmt.Errorf("create publication %s: %w", c.publication, err)
	}
	return nil
}

func (c *config) ensureFiltered(ctx context.Context, conn *pgconn.PgConn, exists bool, viaRoot string) error {
	tables, err := c.listTables(ctx, conn)
	if err != nil {
		return err
	}
	var want []string
	for _, t := range tables {
		want = append(want, qualified(t.schema, t.name))
	}
	if len(want) == 0 {
		return capture.Permanent(fmt.Errorf("publication.autocreate.mode=filtered: no table of database %s passes the include and exclude lists; correct table.include.list", c.dbname))
	}
	name := identifier(c.publication)
	list := strings.Join(want, ", ")
	if !exists {
		return c.createPublication(ctx, conn, "CREATE PUBLICATION "+name+" FOR TABLE "+list+viaRoot)
	}
	rows, err := query(ctx, conn, `
SELECT n.nspname, c.relname FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = $1`, c.publication)
	if err != nil {
		return fmt.Errorf("read the tables of publication %s: %w", c.publication, err)
	}
	var have []string
	for _, r := range rows {
		have = append(have, qualified(string(r[0]), string(r[1])))
	}
	slices.Sort(have)
	slices.Sort(want)
	if slices.Equal(have, want) {
		return nil
	}
	sql := "ALTER PUBLICATION " + name + " SET TABLE " + list
	if err := exec(ctx, conn, sql); err != nil {
		if hasCode(err, "42501", "55000") {
			return capture.Permanent(fmt.Errorf("bring publication %s up to date: %w. Let its owner run: %s; or set publication.autocreate.mode=disabled", c.publication, err, sql))
		}
		return fmt.Errorf("bring publication %s up to date: %w", c.publication, err)
	}
	return nil
}

// dropPublication drops the publication unless another slot of the database
// may be read with it.
func (c *config) dropPublication(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := query(ctx, conn, `
SELECT 1 FROM pg_catalog.pg_replication_slots WHERE database = $1 AND plugin = $2 AND slot_name <> $3`, c.dbname, plugin, c.slot)
	if err != nil {
		return fmt.Errorf("look for other replication slots: %w", err)
	}
	if len(rows) > 0 {
		return nil
	}
	if err := exec(ctx, conn, "DROP PUBLICATION IF EXISTS "+identifier(c.publication)); err != nil {
		return fmt.Errorf("drop publication %s: %w", c.publication, err)
	}
	return nil
}

// sourceTable is a table that can be captured.
type sourceTable struct {
	oid          uint32
	schema, name string
	rows, bytes  int64 // estimates; rows is -1 if unknown
	identity     byte  // pg_class.relreplident
	partitioned  bool
}

func (t sourceTable) path() string { return t.schema + "." + t.name }

// listTables returns the captured tables in the order of Debezium's snapshot:
// by the expressions of table.include.list, then by name. Where partitions are
// published as their root, they are left out, otherwise they are tables like
// any other beside it.
func (c *config) listTables(ctx context.Context, conn *pgconn.PgConn) ([]sourceTable, error) {
	partitions := ""
	if c.viaRoot {
		partitions = "AND NOT c.relispartition"
	}
	rows, err := query(ctx, conn, `
SELECT c.oid, n.nspname, c.relname, c.relreplident, c.relkind,
  CASE WHEN c.relkind = 'p' THEN (
    WITH RECURSIVE p AS (SELECT c.oid UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN p ON i.inhparent = p.oid)
    SELECT sum(greatest(k.reltuples, 0))::bigint FROM p JOIN pg_catalog.pg_class k ON k.oid = p.oid)
  ELSE c.reltuples::bigint END,
  CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_catalog.pg_relation_size(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' `+partitions)
	if err != nil {
		return nil, fmt.Errorf("list the tables of database %s: %w", c.dbname, err)
	}
	var tables []sourceTable
	for _, r := range rows {
		t := sourceTable{oid: parseOID(r[0]), schema: string(r[1]), name: string(r[2]), identity: r[3][0], partitioned: r[4][0] == 'p'}
		if !c.filter.Table(c.dbname, t.schema, t.name) {
			continue
		}
		t.rows, _ = parseInt(r[5])
		t.bytes, _ = parseInt(r[6])
		if t.rows == 0 && t.bytes > 0 {
			t.rows = -1 // servers before 14 write 0 for a table that was never analysed
		}
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b sourceTable) int {
		if by := c.filter.Rank(c.dbname, a.schema, a.name) - c.filter.Rank(c.dbname, b.schema, b.name); by != 0 {
			return by
		}
		return strings.Compare(a.path(), b.path())
	})
	return tables, nil
}
