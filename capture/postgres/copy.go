package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// rows implements capture.Rows on a COPY … TO STDOUT, of which it reads no
// more than fits into a batch: the rest waits at the server.
type rows struct {
	*session
	plan     *scanPlan
	frontend *pgproto3.Frontend
	done     bool // the server is ready for the next query
}

// Next implements capture.Rows.
func (r *rows) Next(ctx context.Context, b *schema.Batch) (done bool, err error) {
	conn := r.conn.Conn()
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends the wait below
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired
		}
	}()
	for !r.done && !b.Full() {
		message, err := r.frontend.Receive()
		if err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return false, fmt.Errorf("copy table %s: %w", r.plan.table.Path(), err)
		}
		switch m := message.(type) {
		case *pgproto3.CopyData:
			if err := r.plan.event(b, m.Data); err != nil {
				return false, capture.Permanent(err)
			}
		case *pgproto3.ErrorResponse:
			err := pgconn.ErrorResponseToPgError(m)
			if r.plan.setting != "" && strings.HasPrefix(err.Code, "42") { // syntax, and names that are none
				return false, capture.Permanent(fmt.Errorf("copy table %s by %s, whose SELECT has to have the captured columns by their names and the tables with their schemas: %w", r.plan.table.Path(), r.plan.setting, err))
			}
			return false, copyError(err, r.plan.table.Path(), r.user)
		case *pgproto3.ReadyForQuery:
			r.done = true
		case *pgproto3.CopyOutResponse, *pgproto3.CopyDone, *pgproto3.CommandComplete,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return false, fmt.Errorf("copy table %s: %w: %T", r.plan.table.Path(), errUnexpected, m)
		}
	}
	return r.done, nil
}

// Close implements capture.Rows. A COPY that is left in the middle takes its
// session with it: the server would first send all the rest.
func (r *rows) Close() error {
	if r.done {
		return nil
	}
	r.done = true
	return r.conn.Conn().Close()
}

// event appends one row of the snapshot.
func (p *scanPlan) event(b *schema.Batch, line []byte) error {
	row, err := p.copyRow(b, line)
	if err != nil {
		return err
	}
	source := b.Row(len(p.source))
	copy(source, p.source)
	ev := b.Append()
	ev.Op, ev.Table, ev.After, ev.Source = schema.OpRead, p.tableOf(nil, row), row, source
	return nil
}

var errCopy = errors.New("malformed row of COPY")

// copyRow decodes a row in COPY's text format. It overwrites the line.
func (p *plan) copyRow(b *schema.Batch, line []byte) (schema.Row, error) {
	n := len(line) - 1
	if n < 0 || line[n] != '\n' {
		return nil, fmt.Errorf("%w of %s: no line", errCopy, p.table.Path())
	}
	line = line[:n]
	row := b.Row(len(p.table.Columns))
	for i := range p.columns {
		field := line
		if i < len(p.columns)-1 {
			tab := bytes.IndexByte(line, '\t')
			if tab < 0 {
				return nil, fmt.Errorf("%w of %s: %d columns instead of %d", errCopy, p.table.Path(), i+1, len(p.columns))
			}
			field, line = line[:tab], line[tab+1:]
		}
		if len(field) == 2 && field[0] == '\\' && field[1] == 'N' {
			continue
		}
		c := &p.columns[i]
		v, err := c.decode(&b.Arena, unescape(field))
		if err != nil {
			if err := p.mend(c, err); err != nil {
				return nil, err
			}
			continue // null
		}
		row[c.to] = v
	}
	return row, nil
}

// unescape removes COPY's backslashes in place.
func unescape(field []byte) []byte {
	i := bytes.IndexByte(field, '\\')
	if i < 0 {
		return field
	}
	out := field[:i]
	for ; i < len(field); i++ {
		c := field[i]
		if c != '\\' || i+1 == len(field) {
			out = append(out, c)
			continue
		}
		i++
		switch c = field[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		}
		out = append(out, c)
	}
	return out
}

// copyError adds the remedy to the errors that have one.
func copyError(err error, table, user string) error {
	if hasCode(err, "42501") {
		return capture.Permanent(fmt.Errorf("copy table %s: %w. Run: GRANT USAGE ON SCHEMA … TO %s; GRANT SELECT ON %s TO %s", table, err, identifier(user), table, identifier(user)))
	}
	return fmt.Errorf("copy table %s: %w", table, err)
}
