package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// MySQL is a MySQL or MariaDB server as a source.
type MySQL struct {
	addr, user, password, database string
}

// NewMySQL takes an address of the form user:password@tcp(host:port)/database.
func NewMySQL(dsn string) (*MySQL, error) {
	login, rest, ok := cutLast(dsn, "@tcp(")
	addr, database, ok2 := strings.Cut(rest, ")/")
	user, password, _ := strings.Cut(login, ":")
	if !ok || !ok2 || user == "" || addr == "" {
		return nil, errors.New("the address of MySQL is not of the form user:password@tcp(host:port)/database")
	}
	database, _, _ = strings.Cut(database, "?")
	return &MySQL{addr: addr, user: user, password: password, database: database}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// MySQLToMongo compares tables of a MySQL or MariaDB server with collections
// of a database of a MongoDB server.
func MySQLToMongo(ctx context.Context, dsn, uri, database string, pairs []Pair) (*Report, error) {
	src, err := NewMySQL(dsn)
	if err != nil {
		return nil, err
	}
	return Run(ctx, src, NewMongo(uri, database), pairs)
}

// connect opens a connection that is closed when ctx ends; the caller calls
// done when it needs the connection no longer.
func (m *MySQL) connect(ctx context.Context) (conn *client.Conn, done func(), err error) {
	conn, err = client.ConnectWithContext(ctx, m.addr, m.user, m.password, m.database, 10*time.Second)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to MySQL at %s: %w", m.addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn.Close() }) // to end a read; its error says so
	done = func() {
		if stop() {
			_ = conn.Close() // everything was read
		}
	}
	// Text in one character set, points in time in one zone, and quotes that
	// do not depend on the server's mode.
	if _, err := conn.Execute("SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = ''"); err != nil {
		done()
		return nil, nil, fmt.Errorf("set up the connection: %w", err)
	}
	return conn, done, nil
}

func (m *MySQL) name(table string) (database, name string, err error) {
	database, name, ok := strings.Cut(table, ".")
	if !ok {
		database, name = m.database, table
	}
	if database == "" {
		return "", "", fmt.Errorf("the table %s is named without its database, and the address has none", table)
	}
	return database, name, nil
}

func (m *MySQL) describe(ctx context.Context, table string) ([]Column, []int, error) {
	database, name, err := m.name(table)
	if err != nil {
		return nil, nil, err
	}
	conn, done, err := m.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	where := fmt.Sprintf("table_schema = %s AND table_name = %s", mysqlText(database), mysqlText(name))
	r, err := conn.Execute("SELECT column_name, data_type, column_type, COALESCE(numeric_scale, 0) FROM information_schema.columns WHERE " + where + " ORDER BY ordinal_position")
	if err != nil {
		return nil, nil, fmt.Errorf("read the columns: %w", err)
	}
	var cols []Column
	for i := range r.RowNumber() {
		var text [3]string
		for j := range text {
			if text[j], err = r.GetString(i, j); err != nil {
				return nil, nil, fmt.Errorf("read the columns: %w", err)
			}
		}
		scale, err := r.GetInt(i, 3)
		if err != nil {
			return nil, nil, fmt.Errorf("read the columns: %w", err)
		}
		c := Column{Name: text[0], Type: strings.ToLower(text[1]), Scale: int(scale)}
		c.Class = mysqlClasses[c.Type]
		if full := strings.ToLower(text[2]); full == "tinyint(1)" || full == "bit(1)" {
			c.Type = full
		}
		if c.Class == 0 {
			return nil, nil, fmt.Errorf("there is no rule yet to compare the type %s of column %s by", text[2], c.Name)
		}
		cols = append(cols, c)
	}
	if len(cols) == 0 {
		return nil, nil, errors.New("there is no such table")
	}
	r, err = conn.Execute("SELECT column_name FROM information_schema.statistics WHERE index_name = 'PRIMARY' AND " + where + " ORDER BY seq_in_index")
	if err != nil {
		return nil, nil, fmt.Errorf("read the primary key: %w", err)
	}
	var key []int
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, nil, fmt.Errorf("read the primary key: %w", err)
		}
		key = append(key, slices.IndexFunc(cols, func(c Column) bool { return c.Name == name }))
	}
	return cols, key, nil
}

var mysqlClasses = map[string]Class{
	"tinyint": ClassInt, "smallint": ClassInt, "mediumint": ClassInt, "int": ClassInt, "bigint": ClassInt, "year": ClassInt, "bit": ClassInt,
	"decimal": ClassDecimal, "float": ClassFloat32, "double": ClassFloat,
	"char": ClassText, "varchar": ClassText, "tinytext": ClassText, "text": ClassText, "mediumtext": ClassText, "longtext": ClassText, "enum": ClassText, "set": ClassText,
	"binary": ClassBytes, "varbinary": ClassBytes, "tinyblob": ClassBytes, "blob": ClassBytes, "mediumblob": ClassBytes, "longblob": ClassBytes,
	"json": ClassJSON,
	"date": ClassDate, "time": ClassTime, "datetime": ClassDateTime, "timestamp": ClassInstant,
}

// mysqlExpression selects a column as the text that its class wants.
func mysqlExpression(c Column) string {
	name := mysqlName(c.Name)
	switch {
	case c.Class == ClassBytes:
		return "HEX(" + name + ")"
	case c.Class == ClassFloat32:
		// As a FLOAT it would come with six digits.
		return "CAST(CAST(" + name + " AS DOUBLE) AS CHAR)"
	case strings.HasPrefix(c.Type, "bit"):
		return "CAST(" + name + " + 0 AS CHAR)"
	default:
		return "CAST(" + name + " AS CHAR)"
	}
}

func (m *MySQL) rows(ctx context.Context, table string, cols []Column, f func([]*string) error) error {
	database, name, err := m.name(table)
	if err != nil {
		return err
	}
	conn, done, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	expressions := make([]string, len(cols))
	for i, c := range cols {
		expressions[i] = mysqlExpression(c)
	}
	var (
		result mysql.Result
		row    = make([]*string, len(cols))
	)
	query := "SELECT " + strings.Join(expressions, ", ") + " FROM " + mysqlName(database) + "." + mysqlName(name)
	err = conn.ExecuteSelectStreaming(query, &result, func(values []mysql.FieldValue) error {
		for i := range values {
			row[i] = nil
			switch v := values[i].Value().(type) {
			case nil:
			case []byte:
				s := string(v)
				row[i] = &s
			case int64:
				s := strconv.FormatInt(v, 10)
				row[i] = &s
			default:
				return fmt.Errorf("column %s came as a %T", cols[i].Name, v)
			}
		}
		return f(row)
	}, nil)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func mysqlName(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func mysqlText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
