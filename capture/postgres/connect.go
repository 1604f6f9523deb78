package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/penstock/penstock/capture"
)

const (
	// connectTimeout bounds one attempt to connect, so that an unreachable
	// host is an error and not a hang.
	connectTimeout = 15 * time.Second
	// readBuffer is large since the server sends each message on its own: the
	// kernel gathers them, and one read takes what has gathered.
	readBuffer = 256 << 10
	// maxMessage is PostgreSQL's own limit for a message.
	maxMessage = 1<<30 - 1
)

// sessionSettings make all sessions write values alike, whatever the server,
// the database or the user are set to.
var sessionSettings = map[string]string{
	"client_encoding":                     "UTF8",
	"DateStyle":                           "ISO, MDY",
	"IntervalStyle":                       "postgres",
	"TimeZone":                            "UTC",
	"extra_float_digits":                  "3",
	"bytea_output":                        "hex",
	"lc_monetary":                         "C",
	"standard_conforming_strings":         "on",
	"search_path":                         "pg_catalog",
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
}

// connConfig returns what pgconn needs, and nothing out of this process's
// environment or home directory.
func (c *config) connConfig() (*pgconn.Config, error) {
	var b strings.Builder
	add := func(key, value string) {
		fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	add("host", c.host)
	add("port", strconv.FormatInt(c.port, 10))
	add("user", c.user)
	add("password", c.password)
	add("dbname", c.dbname)
	add("sslmode", c.sslMode)
	add("sslcert", c.sslCert)
	add("sslkey", c.sslKey)
	add("sslrootcert", c.sslRootCert)
	add("sslpassword", c.sslPassword)
	add("passfile", "")
	add("target_session_attrs", "any")
	add("connect_timeout", strconv.Itoa(int(connectTimeout.Seconds())))
	cfg, err := pgconn.ParseConfig(b.String())
	if err != nil {
		return nil, fmt.Errorf("read the connection's settings: %w", err)
	}
	cfg.Password = c.password
	cfg.RuntimeParams = map[string]string{"application_name": "Penstock " + c.prefix}
	for k, v := range sessionSettings {
		cfg.RuntimeParams[k] = v
	}
	if !c.keepAlive {
		cfg.DialFunc = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return cfg, nil
}

// connect opens an ordinary session.
func (c *config) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return c.connectWith(ctx, func(*pgconn.Config) {})
}

// connectWith opens an ordinary session whose configuration alter has changed.
func (c *config) connectWith(ctx context.Context, alter func(*pgconn.Config)) (*pgconn.PgConn, error) {
	cfg, err := c.connConfig()
	if err != nil {
		return nil, err
	}
	alter(cfg)
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, c.connectError(err)
	}
	for _, sql := range c.initialStatements {
		if err := exec(ctx, conn, sql); err != nil {
			closeConn(ctx, conn)
			return nil, fmt.Errorf("run a statement of database.initial.statements: %w", err)
		}
	}
	return conn, nil
}

// connectReplication opens a session that takes replication commands. buffered
// is what its reads go through.
func (c *config) connectReplication(ctx context.Context) (conn *pgconn.PgConn, buffered *bufio.Reader, err error) {
	cfg, err := c.connConfig()
	if err != nil {
		return nil, nil, err
	}
	cfg.RuntimeParams["replication"] = "database"
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		buffered = bufio.NewReaderSize(r, readBuffer)
		return pgproto3.NewFrontend(buffered, w)
	}
	conn, err = pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, nil, c.connectError(err)
	}
	return conn, buffered, nil
}

// closeConn ends a session in its own short time, also when ctx has ended.
func closeConn(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing depends on a polite end
}

// ConnectError says that no session could be had.
type ConnectError struct {
	// Key is the setting that is probably wrong.
	Key     string
	message string
	err     error
}

// Error says what is wrong in one line, without the password.
func (e *ConnectError) Error() string { return e.message }

// Unwrap returns the driver's error.
func (e *ConnectError) Unwrap() error { return e.err }

// connectError turns the driver's error, which lists every attempt with its
// addresses, into one sentence. What only another configuration can mend is
// permanent.
func (c *config) connectError(err error) error {
	e, permanent := c.explain(err)
	if e == nil {
		return fmt.Errorf("connect to database %s: %w", c.dbname, err)
	}
	if permanent {
		return capture.Permanent(e)
	}
	return e
}

// explain returns nil for the end of a context.
func (c *config) explain(err error) (_ *ConnectError, permanent bool) {
	e := &ConnectError{Key: "database.hostname", err: err}
	address := net.JoinHostPort(c.host, strconv.FormatInt(c.port, 10))
	var pg *pgconn.PgError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &pg):
		e.message = pg.Severity + ": " + pg.Message
		switch pg.Code {
		case "3D000": // invalid_catalog_name
			permanent = true
		case "42501": // insufficient_privilege: a replication session
			permanent = true
			e.message += ". Run: ALTER ROLE " + identifier(c.user) + " REPLICATION"
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			e.Key, permanent = "database.user", true
			e.message += ". Check database.user and database.password, and that pg_hba.conf lets this user in from here"
		case "53300": // too_many_connections
			e.message += ". Raise max_connections of the server or the user's CONNECTION LIMIT"
		}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		e.message = fmt.Sprintf("Connection to %s timed out. Check that the hostname and port are correct and that no firewall drops the packets.", address)
	case errors.Is(err, context.Canceled):
		return nil, false
	case errors.As(err, &dns):
		e.message = fmt.Sprintf("The host name %s is not known. Check database.hostname.", c.host)
	case errors.As(err, &op):
		e.message = fmt.Sprintf("Connection to %s refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.", address)
	default:
		e.message = fmt.Sprintf("Connection to %s: %s", address, lastCause(err))
		if strings.Contains(err.Error(), "TLS") || strings.Contains(err.Error(), "x509") {
			e.Key = "database.sslmode"
		}
	}
	return e, permanent
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// lastCause is the innermost error's text; those around it repeat addresses.
func lastCause(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // it walks the chain itself
		case interface{ Unwrap() error }:
			next := e.Unwrap()
			if next == nil {
				return err.Error()
			}
			err = next
		case interface{ Unwrap() []error }:
			list := e.Unwrap()
			if len(list) == 0 {
				return err.Error()
			}
			err = list[len(list)-1]
		default:
			return err.Error()
		}
	}
}

// exec runs one statement.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	return conn.Exec(ctx, sql).Close()
}

// query returns the rows of a query as texts; a null is nil. The arguments are
// texts too.
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return result.Rows, result.Err
}

// queryRow is query for exactly one row.
func queryRow(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][]byte, error) {
	rows, err := query(ctx, conn, sql, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%w: %d rows instead of one", errUnexpected, len(rows))
	}
	return rows[0], nil
}

// errUnexpected says that the server did something its protocol does not
// allow.
var errUnexpected = errors.New("unexpected answer from the server")

// hasCode reports whether err is PostgreSQL's with one of the SQLSTATEs.
func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, c := range codes {
		if pg.Code == c {
			return true
		}
	}
	return false
}
