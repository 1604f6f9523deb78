package chaos

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// The tables of both databases. One has a key of one column and enough rows
// that a closed gate cannot let all through, one a key of two, one is small.
const (
	ordersRows = 30_000
	itemsRows  = 5_000
	shopsRows  = 200
)

// table is what the checks have to know of one.
type table struct {
	name string
	key  []string
	// text is a column that is another at random in each version of a row.
	text string
}

var tables = []table{
	{"orders", []string{"id"}, "customer"},
	{"items", []string{"order_id", "line"}, "sku"},
	{"shops", []string{"id"}, "name"},
}

// load changes the tables without end, in transactions of one to twenty
// statements: inserts, updates, deletes, changes of the key. Each row has a
// version that every update counts up, so that the topics can be checked for
// changes that are missing.
type load struct {
	db      *sql.DB
	dialect dialect
	commits atomic.Int64
	// lost are transactions that met a server that was down or went down:
	// nobody knows whether they were committed.
	lost atomic.Int64
	// failures are all others that ended with an error, of which there have to
	// be none.
	failures atomic.Int64
	first    atomic.Pointer[error]
}

// dialect is what differs between the two databases.
type dialect struct {
	name, driver string
	create       []string
	placeholder  func(n int) string
}

var mysqlDialect = dialect{
	name: "MySQL", driver: "mysql",
	create: []string{
		`CREATE TABLE orders (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, customer VARCHAR(40) NOT NULL, amount DECIMAL(10,2) NOT NULL, note TEXT, placed DATETIME(6) NOT NULL, paid TINYINT(1) NOT NULL)`,
		`CREATE TABLE items (order_id BIGINT, line INT, version BIGINT NOT NULL, sku VARCHAR(30) NOT NULL, qty INT NOT NULL, price DOUBLE, PRIMARY KEY (order_id, line))`,
		`CREATE TABLE shops (id INT PRIMARY KEY, version BIGINT NOT NULL, name VARCHAR(40) NOT NULL)`,
	},
	placeholder: func(int) string { return "?" },
}

var postgresDialect = dialect{
	name: "Postgres", driver: "pgx",
	create: []string{
		`CREATE TABLE orders (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, customer VARCHAR(40) NOT NULL, amount NUMERIC(10,2) NOT NULL, note TEXT, placed TIMESTAMP(6) NOT NULL, paid BOOLEAN NOT NULL)`,
		`CREATE TABLE items (order_id BIGINT, line INT, version BIGINT NOT NULL, sku VARCHAR(30) NOT NULL, qty INT NOT NULL, price DOUBLE PRECISION, PRIMARY KEY (order_id, line))`,
		`CREATE TABLE shops (id INT PRIMARY KEY, version BIGINT NOT NULL, name VARCHAR(40) NOT NULL)`,
	},
	placeholder: func(n int) string { return fmt.Sprintf("$%d", n) },
}

// sql writes a statement with the dialect's placeholders for each "?".
func (d dialect) sql(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteString(d.placeholder(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

const (
	insertOrder = "INSERT INTO orders (id, version, customer, amount, note, placed, paid) VALUES "
	insertItem  = "INSERT INTO items (order_id, line, version, sku, qty, price) VALUES "
	insertShop  = "INSERT INTO shops (id, version, name) VALUES "
)

func newLoad(t *testing.T, d dialect, dsn string) *load {
	t.Helper()
	db, err := sql.Open(d.driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &load{db: db, dialect: d}
	ctx := t.Context()
	for _, s := range d.create {
		if _, err := db.ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	l.fill(ctx, t, insertOrder, ordersRows, func(id int) []any { return order(rnd, int64(id)) })
	l.fill(ctx, t, insertItem, itemsRows, func(n int) []any { return item(rnd, int64(n/5), n%5) })
	l.fill(ctx, t, insertShop, shopsRows, func(id int) []any { return []any{id, 1, shop(rnd)} })
	return l
}

func order(rnd *rand.Rand, id int64) []any {
	var note any
	if rnd.IntN(5) > 0 {
		note = strings.Repeat("ä note ", rnd.IntN(12)) + fmt.Sprint(rnd.IntN(1000))
	}
	return []any{
		id, 1, fmt.Sprintf("customer %d", rnd.IntN(5000)), fmt.Sprintf("%d.%02d", rnd.IntN(100000), rnd.IntN(100)), note,
		time.Unix(1_700_000_000+rnd.Int64N(40_000_000), 1000*rnd.Int64N(1_000_000)).UTC().Format("2006-01-02 15:04:05.000000"), rnd.IntN(2) == 0,
	}
}

func item(rnd *rand.Rand, order int64, line int) []any {
	return []any{order, line, 1, fmt.Sprintf("sku-%d", rnd.IntN(900)), rnd.IntN(50), float64(rnd.IntN(100000)) / 8}
}

func shop(rnd *rand.Rand) string { return fmt.Sprintf("shop %d", rnd.IntN(5000)) }

// values are the placeholders of a row.
func values(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?,", n), ",") + ")" }

func (l *load) fill(ctx context.Context, t *testing.T, insert string, n int, row func(int) []any) {
	t.Helper()
	const per = 500
	for from := 0; from < n; from += per {
		var rows []string
		var args []any
		for i := from; i < min(n, from+per); i++ {
			r := row(i)
			rows = append(rows, values(len(r)))
			args = append(args, r...)
		}
		if _, err := l.db.ExecContext(ctx, l.dialect.sql(insert+strings.Join(rows, ",")), args...); err != nil {
			t.Fatalf("%s: %v", l.dialect.name, err)
		}
	}
}

// rows returns what the topics have to end with: the key as in Kafka, the
// version and the text.
func (l *load) rows(ctx context.Context, of table) (out map[string]string, err error) {
	out = map[string]string{}
	rows, err := l.db.QueryContext(ctx, fmt.Sprintf("SELECT %s, version, %s FROM %s", strings.Join(of.key, ", "), of.text, of.name))
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", l.dialect.name, of.name, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		key := make([]int64, len(of.key))
		var v int64
		var text string
		into := []any{}
		for i := range key {
			into = append(into, &key[i])
		}
		if err := rows.Scan(append(into, &v, &text)...); err != nil {
			return nil, fmt.Errorf("%s: read %s: %w", l.dialect.name, of.name, err)
		}
		var parts []string
		for i, k := range of.key {
			parts = append(parts, fmt.Sprintf("%q:%d", k, key[i]))
		}
		out["{"+strings.Join(parts, ",")+"}"] = fmt.Sprintf("%d %s", v, text)
	}
	return out, rows.Err()
}

// run writes until ctx ends, about rate transactions a second. A transaction
// that fails since the server is being restarted is given up and another one
// begun.
func (l *load) run(ctx context.Context, seed uint64, rate int) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch err := l.transaction(ctx, rnd); {
		case ctx.Err() != nil:
			return
		case err == nil:
			l.commits.Add(1)
		case serverGone(err):
			l.lost.Add(1)
		default:
			l.failures.Add(1)
			l.first.CompareAndSwap(nil, &err)
		}
	}
}

// serverGone reports whether a transaction failed because its server was down
// or being stopped or started.
func serverGone(err error) bool {
	var my *mysql.MySQLError
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &my):
		return slices.Contains([]uint16{1053, 1077, 1079, 3169, 4031}, my.Number) // shutdown in progress, session killed
	case errors.As(err, &pg):
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
	}
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed)
}

// report says what became of the transactions, and fails the test if one
// failed for another reason than its server.
func (l *load) report(t *testing.T) {
	t.Helper()
	t.Logf("%s: %d commits, %d transactions lost to a server that was down", l.dialect.name, l.commits.Load(), l.lost.Load())
	if n := l.failures.Load(); n > 0 {
		t.Errorf("%s: %d transactions failed, the first with: %v", l.dialect.name, n, *l.first.Load())
	}
	if l.commits.Load() == 0 {
		t.Errorf("%s: nothing was changed", l.dialect.name)
	}
}

func (l *load) transaction(ctx context.Context, rnd *rand.Rand) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for range 1 + rnd.IntN(1+rnd.IntN(20)) {
		if err := l.statement(ctx, tx, rnd); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	if rnd.IntN(20) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (l *load) statement(ctx context.Context, tx *sql.Tx, rnd *rand.Rand) error {
	id := rnd.Int64N(ordersRows * 11 / 10)
	if rnd.IntN(3) == 0 {
		id = rnd.Int64N(50) // some rows change often
	}
	exec := func(text string, args ...any) error {
		_, err := tx.ExecContext(ctx, l.dialect.sql(text), args...)
		return err
	}
	switch rnd.IntN(9) {
	case 0, 1, 2:
		o := order(rnd, id)
		return exec("UPDATE orders SET version=version+1, customer=?, amount=?, note=?, placed=?, paid=? WHERE id=?", append(o[2:], o[0])...)
	case 3:
		return exec("DELETE FROM orders WHERE id=?", id)
	case 4:
		// Deleted first, so that the insert cannot meet a row of the key.
		if err := exec("DELETE FROM orders WHERE id=?", id); err != nil {
			return err
		}
		o := order(rnd, id)
		return exec(insertOrder+values(len(o)), o...)
	case 5: // a change of the key
		to := rnd.Int64N(ordersRows * 11 / 10)
		if err := exec("DELETE FROM orders WHERE id=?", to); err != nil || to == id {
			return err
		}
		return exec("UPDATE orders SET id=?, version=version+1 WHERE id=?", to, id)
	case 6:
		return exec("UPDATE items SET version=version+1, qty=qty+1, price=NULL WHERE order_id=?", rnd.Int64N(itemsRows/5))
	case 7:
		return exec("UPDATE shops SET version=version+1, name=? WHERE id=?", shop(rnd), rnd.IntN(shopsRows))
	default:
		n := rnd.IntN(itemsRows)
		if err := exec("DELETE FROM items WHERE order_id=? AND line=?", n/5, n%5); err != nil {
			return err
		}
		i := item(rnd, int64(n/5), n%5)
		return exec(insertItem+values(len(i)), i...)
	}
}

// under runs f while the loads write, and returns when they have stopped.
func under(ctx context.Context, rate int, seed uint64, loads []*load, f func()) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i, l := range loads {
		wg.Go(func() { l.run(ctx, seed+uint64(i), rate) })
	}
	// f may end the test.
	defer func() {
		stop()
		wg.Wait()
	}()
	f()
}
