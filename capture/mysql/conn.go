package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	perrors "github.com/pingcap/errors"

	"github.com/penstock/penstock/capture"
)

// conn is an authenticated connection. Handshake and authentication are
// go-mysql's; from then on commands and packets are ours, so that reading can
// be cancelled and results need not be held in memory. It is used by one
// goroutine at a time.
type conn struct {
	net     net.Conn
	packets *packets
	version string // as the server greets
	id      uint32
	timeout time.Duration // of a statement that is no stream; 0 for none
}

// ServerError is an error that the server answered with.
type ServerError struct {
	Code    uint16
	Message string
}

// Error returns the server's message with its number.
func (e *ServerError) Error() string { return fmt.Sprintf("%s (error %d)", e.Message, e.Code) }

// The server's error numbers that decide something here.
const (
	errAccessDenied       = 1045
	errDBAccessDenied     = 1044
	errLockWaitTimeout    = 1205
	errSpecificAccess     = 1227
	errTableAccess        = 1142
	errParse              = 1064
	errUnknownSystemVar   = 1193
	errReadLog            = 1236
	errTableDefChanged    = 1412
	errTooManyConnections = 1040
	errQueryInterrupted   = 1317
	errSecureTransport    = 3159
	errBadField           = 1054
	errDupField           = 1060
	errNoSuchTable        = 1146
)

// isServerError reports whether err is the server's, with one of the codes.
func isServerError(err error, codes ...uint16) bool {
	var s *ServerError
	if !errors.As(err, &s) {
		return false
	}
	for _, c := range codes {
		if s.Code == c {
			return true
		}
	}
	return len(codes) == 0
}

// errNoTLS is what dial returns when TLS is required and the server has none.
var errNoTLS = errors.New("the server does not offer TLS")

// dial connects and authenticates.
func dial(ctx context.Context, cfg *config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.connectTimeout)
	defer cancel()
	c, err := dialTLS(ctx, cfg, cfg.tls)
	if errors.Is(err, errNoTLS) && cfg.tlsOptional {
		c, err = dialTLS(ctx, cfg, nil)
	}
	if err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s (connect.timeout.ms)", cfg.connectTimeout)
		}
		return nil, fmt.Errorf("connect to %s: %w", cfg.addr(), err)
	}
	return c, nil
}

func dialTLS(ctx context.Context, cfg *config, tlsConfig *tls.Config) (*conn, error) {
	var raw net.Conn
	dialer := func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{KeepAlive: time.Minute}
		var err error
		raw, err = d.DialContext(ctx, network, addr)
		return raw, err
	}
	var stop func() bool
	option := func(c *client.Conn) error {
		// The library's handshake knows no context: a deadline in the past
		// ends it.
		stop = context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
		if tlsConfig != nil {
			c.SetTLSConfig(tlsConfig)
		}
		c.SetAttributes(map[string]string{"program_name": "penstock"})
		// Without these, statements and results have one plain form for all
		// servers.
		c.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
		c.UnsetCapability(mysql.CLIENT_DEPRECATE_EOF)
		return c.SetCollation("utf8mb4_general_ci")
	}
	c, err := client.ConnectWithDialer(ctx, "tcp", cfg.addr(), cfg.user, cfg.password, "", dialer, option)
	if stop != nil && !stop() && err == nil {
		_ = c.Close()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, dialError(err)
	}
	nc := c.Conn.Conn
	if err := nc.SetDeadline(time.Time{}); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return &conn{
		net: nc, packets: newPackets(nc), id: c.GetConnectionID(), timeout: cfg.queryTimeout,
		version: strings.TrimRight(c.GetServerVersion(), "\x00"),
	}, nil
}

// dialError turns the library's errors into ours, without its stack traces.
func dialError(err error) error {
	cause := perrors.Cause(err)
	var my *mysql.MyError
	if errors.As(err, &my) || errors.As(cause, &my) {
		return &ServerError{Code: my.Code, Message: my.Message}
	}
	if strings.Contains(err.Error(), "does not support TLS") {
		return errNoTLS
	}
	var op *net.OpError
	if errors.As(err, &op) || errors.As(cause, &op) {
		return op
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) || errors.As(cause, &cert) {
		return cert
	}
	return err
}

// close gives the connection back.
func (c *conn) close() error { return c.packets.close() }

// command sends one command packet.
func (c *conn) command(cmd byte, body []byte) error {
	if len(body)+1 >= maxPayload {
		return fmt.Errorf("command of %d bytes is too long", len(body))
	}
	b := make([]byte, 5, 5+len(body))
	n := len(body) + 1
	b[0], b[1], b[2], b[3], b[4] = byte(n), byte(n>>8), byte(n>>16), 0, cmd
	if err := c.net.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.net.Write(append(b, body...)); err != nil {
		return fmt.Errorf("connection to the server lost: %w", err)
	}
	return nil
}

// serverError reads an error packet.
func serverError(packet []byte) error {
	w := wire{p: packet}
	w.skip(1)
	e := &ServerError{Code: w.uint16()}
	m := w.rest()
	if len(m) >= 6 && m[0] == '#' {
		m = m[6:]
	}
	e.Message = string(m)
	return e
}

// isEOF tells the packet that ends columns or rows from a row whose first
// value is very long.
func isEOF(packet []byte) bool { return packet[0] == 0xfe && len(packet) < 9 }

// receive waits for a packet that is not empty and not an error.
func (c *conn) receive(ctx context.Context) ([]byte, error) {
	p, _, err := c.packets.next(ctx, nil)
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, errShort
	}
	if p[0] == 0xff {
		return nil, serverError(p)
	}
	return p, nil
}

// start sends a query and reads the head of its result; columns is nil if it
// has no rows.
func (c *conn) start(ctx context.Context, sql string) (columns []string, err error) {
	if err := c.command(mysql.COM_QUERY, []byte(sql)); err != nil {
		return nil, err
	}
	p, err := c.receive(ctx)
	if err != nil {
		return nil, err
	}
	switch p[0] {
	case 0x00:
		return nil, nil
	case 0xfb:
		// Nobody asked to load a file: a server that wants one is not ours.
		return nil, errors.New("the server asked for a local file")
	}
	w := wire{p: p}
	n, _ := w.lenenc()
	for range n {
		if p, err = c.receive(ctx); err != nil {
			return nil, err
		}
		w := wire{p: p}
		for range 4 { // catalogue, schema, table, original table
			w.text()
		}
		columns = append(columns, string(w.text()))
		if w.bad {
			return nil, errShort
		}
	}
	if p, err = c.receive(ctx); err != nil {
		return nil, err
	}
	if !isEOF(p) {
		return nil, errors.New("unexpected packet in a result")
	}
	return columns, nil
}

// result is a small result, held in memory.
type result struct {
	columns []string
	rows    [][]cell
}

// cell is a value of a small result.
type cell struct {
	text string
	null bool
}

// query runs a statement and returns its rows. It is for small results.
func (c *conn) query(ctx context.Context, sql string) (result, error) {
	r, err := c.tryQuery(ctx, sql)
	if err != nil {
		return r, fmt.Errorf("%s: %w", brief(sql), err)
	}
	return r, nil
}

func (c *conn) tryQuery(ctx context.Context, sql string) (r result, err error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.timeout,
			fmt.Errorf("no answer within %s (database.query.timeout.ms)", c.timeout))
		defer cancel()
	}
	if r.columns, err = c.start(ctx, sql); err != nil || r.columns == nil {
		return r, err
	}
	for {
		p, err := c.receive(ctx)
		if err != nil {
			return r, err
		}
		if isEOF(p) {
			return r, nil
		}
		w := wire{p: p}
		row := make([]cell, len(r.columns))
		for i := range row {
			if len(w.p) > 0 && w.p[0] == 0xfb {
				w.skip(1)
				row[i].null = true
				continue
			}
			row[i].text = string(w.text())
		}
		if w.bad {
			return r, errShort
		}
		r.rows = append(r.rows, row)
	}
}

// exec runs a statement whose rows, if any, do not matter.
func (c *conn) exec(ctx context.Context, sql string) error {
	_, err := c.query(ctx, sql)
	return err
}

// one returns the first value of a statement's first row, empty if there is
// none or it is NULL.
func (c *conn) one(ctx context.Context, sql string) (string, error) {
	r, err := c.query(ctx, sql)
	if err != nil || len(r.rows) == 0 || len(r.rows[0]) == 0 {
		return "", err
	}
	return r.rows[0][0].text, nil
}

// get returns a column of a row by its name, regardless of case.
func (r result) get(row []cell, column string) (string, bool) {
	for i, name := range r.columns {
		if strings.EqualFold(name, column) {
			return row[i].text, !row[i].null
		}
	}
	return "", false
}

// variables returns the server's global variables of these names; one that it
// does not have is left out.
func (c *conn) variables(ctx context.Context, names ...string) (map[string]string, error) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	r, err := c.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ("+strings.Join(quoted, ", ")+")")
	if err != nil {
		return nil, err
	}
	v := make(map[string]string, len(r.rows))
	for _, row := range r.rows {
		v[strings.ToLower(row[0].text)] = row[1].text
	}
	return v, nil
}

// brief is a statement as an error names it.
func brief(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if len(sql) > 120 {
		sql = sql[:117] + "..."
	}
	return sql
}

// quote returns a string literal.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// ident returns a quoted identifier.
func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// number parses the decimal integers of results; anything else is 0.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// transient decides whether opening again can mend an error: one of the
// network can; of the server's answers only those that say so.
func transient(err error) error {
	var s *ServerError
	if err == nil || !errors.As(err, &s) || capture.IsPermanent(err) {
		return err
	}
	switch s.Code {
	case errAccessDenied, errDBAccessDenied, errSpecificAccess, errTableAccess, errSecureTransport, errParse, errUnknownSystemVar, errNoSuchTable:
		return capture.Permanent(err)
	default:
		return err
	}
}
