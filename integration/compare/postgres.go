package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL database as a source.
type Postgres struct{ url string }

// NewPostgres takes a postgres:// URL.
func NewPostgres(url string) *Postgres { return &Postgres{url: url} }

// PostgresToElasticsearch compares tables of a PostgreSQL database with
// indices of an Elasticsearch cluster.
func PostgresToElasticsearch(ctx context.Context, url, elasticsearch string, pairs []Pair) (*Report, error) {
	return Run(ctx, NewPostgres(url), NewElasticsearch(elasticsearch), pairs)
}

func (p *Postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(p.url)
	if err != nil {
		return nil, fmt.Errorf("read the address of Postgres: %w", err)
	}
	for k, v := range map[string]string{"timezone": "UTC", "datestyle": "ISO", "extra_float_digits": "1", "bytea_output": "hex", "intervalstyle": "postgres"} {
		config.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	return conn, nil
}

func postgresName(table string) string {
	schema, name, ok := strings.Cut(table, ".")
	if !ok {
		schema, name = "public", table
	}
	return pgx.Identifier{schema, name}.Sanitize()
}

func (p *Postgres) describe(ctx context.Context, table string) (cols []Column, key []int, err error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The type of a domain is that which it is over.
	rows, err := conn.Query(ctx, `
		SELECT a.attname, t.typname, t.typtype::text, t.typcategory::text,
		       CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (((a.atttypmod - 4) & 2047) # 1024) - 1024 ELSE 0 END,
		       COALESCE(array_position(i.indkey::int2[], a.attnum), -1)
		FROM pg_attribute a
		JOIN pg_type d ON d.oid = a.atttypid
		JOIN pg_type t ON t.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
		LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attnum`, postgresName(table))
	if err != nil {
		return nil, nil, fmt.Errorf("read the columns: %w", err)
	}
	defer rows.Close()
	at := map[int]int{} // place in the key to place in cols
	for rows.Next() {
		var (
			c              Column
			kind, category string
			place          int
		)
		if err := rows.Scan(&c.Name, &c.Type, &kind, &category, &c.Scale, &place); err != nil {
			return nil, nil, fmt.Errorf("read the columns: %w", err)
		}
		switch {
		case category == "A":
			c.Class = ClassJSON
		case kind == "e":
			c.Class = ClassText
		default:
			c.Class = postgresClasses[c.Type]
		}
		if c.Class == 0 {
			return nil, nil, fmt.Errorf("there is no rule yet to compare the type %s of column %s by", c.Type, c.Name)
		}
		if place >= 0 {
			at[place] = len(cols)
		}
		cols = append(cols, c)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the columns: %w", err)
	}
	if len(cols) == 0 {
		return nil, nil, errors.New("there is no such table")
	}
	for i := range len(at) {
		key = append(key, at[i])
	}
	return cols, key, nil
}

var postgresClasses = map[string]Class{
	"int2": ClassInt, "int4": ClassInt, "int8": ClassInt, "oid": ClassInt,
	"numeric": ClassDecimal, "float4": ClassFloat32, "float8": ClassFloat, "bool": ClassBool,
	"text": ClassText, "varchar": ClassText, "bpchar": ClassText, "name": ClassText, "citext": ClassText, "uuid": ClassText,
	"inet": ClassText, "cidr": ClassText, "macaddr": ClassText, "xml": ClassText,
	"bytea": ClassBytes, "json": ClassJSON, "jsonb": ClassJSON,
	"date": ClassDate, "time": ClassTime, "timestamp": ClassDateTime, "timestamptz": ClassInstant,
}

// postgresExpression selects a column as the text that its class wants.
func postgresExpression(c Column) string {
	name := pgx.Identifier{c.Name}.Sanitize()
	switch {
	case strings.HasPrefix(c.Type, "_"):
		return "array_to_json(" + name + ")::text"
	case c.Class == ClassBytes:
		return "encode(" + name + ", 'hex')"
	case c.Class == ClassBool:
		return "CASE " + name + " WHEN true THEN 'true' WHEN false THEN 'false' END"
	case c.Class == ClassInstant:
		return "(" + name + " AT TIME ZONE 'UTC')::text"
	case c.Type == "bpchar":
		// A cast would take the padding away.
		return "CASE WHEN " + name + " IS NOT NULL THEN format('%s', " + name + ") END"
	default:
		return name + "::text"
	}
}

func (p *Postgres) rows(ctx context.Context, table string, cols []Column, f func([]*string) error) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	expressions := make([]string, len(cols))
	row, into := make([]*string, len(cols)), make([]any, len(cols))
	for i, c := range cols {
		expressions[i] = postgresExpression(c)
		into[i] = &row[i]
	}
	rows, err := conn.Query(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM "+postgresName(table))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}
