package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// tableInfo is a table as the catalogue has it.
type tableInfo struct {
	columns []columnInfo
	// key is the primary key, or else the first unique index by name whose
	// columns are all NOT NULL; empty if there is neither. Where the replica
	// identity is an index that lacks columns of the primary key, it is that
	// index: the log would not have the key of a deleted row.
	key []string
}

// columnInfo is a column of a table or of a Relation message.
type columnInfo struct {
	name string
	oid  uint32
	mod  int32
	// unlogged is false for a column of the catalogue.
	unlogged bool
	// The rest comes from the catalogue alone.
	notNull  bool
	fallback string // the default's expression, empty for none and for generated columns
}

// column returns the zero columnInfo for a name, or a table, that the
// catalogue does not have.
func (t *tableInfo) column(name string) columnInfo {
	if t == nil {
		return columnInfo{}
	}
	for _, c := range t.columns {
		if c.name == name {
			return c
		}
	}
	return columnInfo{}
}

// majorVersion is the server's: 17.
func majorVersion(conn *pgconn.PgConn) int {
	digits := conn.ParameterStatus("server_version")
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 10 // the oldest that is supported
	}
	return n
}

func oidList(oids []uint32) string {
	b := []byte{'{'}
	for i, o := range oids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(o), 10)
	}
	return string(append(b, '}'))
}

func parseOID(text []byte) uint32 {
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return 0 // the server writes only oids in these columns
	}
	return uint32(n)
}

func isTrue(text []byte) bool { return len(text) == 1 && text[0] == 't' }

// readTables returns what the catalogue says of tables; those that it does not
// have are missing.
func readTables(ctx context.Context, conn *pgconn.PgConn, oids []uint32) (map[uint32]*tableInfo, error) {
	generated, keyColumns := "a.attgenerated = ''", "k.ord <= i.indnkeyatts"
	if majorVersion(conn) < 12 {
		generated = "true"
	}
	if majorVersion(conn) < 11 {
		keyColumns = "true"
	}
	tables := map[uint32]*tableInfo{}
	rows, err := query(ctx, conn, `
SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod,
       a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
       CASE WHEN `+generated+` THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`, oidList(oids))
	if err != nil {
		return nil, fmt.Errorf("read the columns of tables: %w", err)
	}
	for _, r := range rows {
		oid := parseOID(r[0])
		t := tables[oid]
		if t == nil {
			t = &tableInfo{}
			tables[oid] = t
		}
		mod, _ := parseInt(r[3])
		t.columns = append(t.columns, columnInfo{
			name: string(r[1]), oid: parseOID(r[2]), mod: int32(mod), notNull: isTrue(r[4]), fallback: string(r[5]),
		})
	}
	rows, err = query(ctx, conn, `
SELECT i.indrelid, i.indexrelid, i.indisprimary, a.attname, a.attnotnull, i.indisreplident AND t.relreplident = 'i'
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(att, ord)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.att
WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indisvalid AND `+keyColumns+`
  AND (i.indisprimary OR i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)
ORDER BY i.indrelid, i.indisprimary DESC, c.relname, i.indexrelid, k.ord`, oidList(oids))
	if err != nil {
		return nil, fmt.Errorf("read the keys of tables: %w", err)
	}
	for i := 0; i < len(rows); {
		oid, index := parseOID(rows[i][0]), string(rows[i][1])
		var names []string
		usable, identity := true, isTrue(rows[i][5])
		for ; i < len(rows) && string(rows[i][1]) == index; i++ {
			names = append(names, string(rows[i][3]))
			usable = usable && (isTrue(rows[i][2]) || isTrue(rows[i][4]))
		}
		t := tables[oid]
		switch {
		case t == nil || !usable:
		case t.key == nil, identity && !containsAll(names, t.key):
			t.key = names
		}
	}
	return tables, nil
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(list, w) })
}

// readTypes returns what the catalogue says of types and of those that they
// are made of; types that it does not have are missing.
func (c *config) readTypes(ctx context.Context, conn *pgconn.PgConn, oids []uint32) (map[uint32]*typeInfo, error) {
	rows, err := query(ctx, conn, `
WITH RECURSIVE t(oid) AS (
  SELECT unnest($1::oid[])
  UNION
  SELECT p.part
  FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid
  CROSS JOIN LATERAL (VALUES (CASE WHEN y.typinput = 'array_in'::regproc THEN y.typelem ELSE 0 END), (y.typbasetype)) AS p(part)
  WHERE p.part <> 0
)
SELECT y.oid, n.nspname, y.typname, y.typtype,
       CASE WHEN y.typinput = 'array_in'::regproc THEN y.typelem ELSE 0 END, y.typdelim,
       y.typbasetype, y.typtypmod,
       CASE WHEN y.typtype = 'e' THEN
         (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = y.oid) END
FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid
JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace`, oidList(oids))
	if err != nil {
		return nil, fmt.Errorf("read types: %w", err)
	}
	infos := make(map[uint32]*typeInfo, len(rows))
	for _, r := range rows {
		mod, _ := parseInt(r[7])
		t := &typeInfo{
			oid: parseOID(r[0]), namespace: string(r[1]), name: string(r[2]), kind: r[3][0],
			elem: parseOID(r[4]), delimiter: r[5][0], base: parseOID(r[6]), baseMod: int32(mod),
		}
		if r[8] != nil {
			if err := json.Unmarshal(r[8], &t.labels); err != nil {
				return nil, fmt.Errorf("read the labels of type %s: %w", t.name, err)
			}
		}
		if t.namespace == catalog && t.name == "money" {
			if t.digits, err = c.currencyDigits(ctx); err != nil {
				return nil, err
			}
		}
		infos[t.oid] = t
	}
	return infos, nil
}

// currencyDigits returns how many digits the server's currency has after the
// point. Money is stored as a whole number of its smallest unit, and only a
// session with the server's own lc_monetary knows what that is.
func (c *config) currencyDigits(ctx context.Context) (int, error) {
	conn, err := c.connectWith(ctx, func(cfg *pgconn.Config) { delete(cfg.RuntimeParams, "lc_monetary") })
	if err != nil {
		return 0, err
	}
	defer closeConn(ctx, conn)
	row, err := queryRow(ctx, conn, `SELECT scale('0'::money::numeric)`)
	if err != nil {
		return 0, fmt.Errorf("read the digits of the server's currency: %w", err)
	}
	digits, _ := parseInt(row[0])
	return int(digits), nil
}
