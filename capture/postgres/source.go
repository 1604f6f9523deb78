package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

const (
	// maxStatusEvery bounds the time between status messages; the server's
	// default wal_sender_timeout is a minute. Where it is shorter, there are
	// statusPerTimeout of them in its time.
	maxStatusEvery   = 10 * time.Second
	statusPerTimeout = 4
	// confirmEvery bounds how often a new position is confirmed: the server
	// gains nothing from more.
	confirmEvery = 100 * time.Millisecond
	// idleAfter is when Next returns without events.
	idleAfter = time.Second
	// linger is how long a batch waits for more while transactions follow each
	// other closely, so that thousands of small ones a second do not make as
	// many batches.
	linger = time.Millisecond
	// lingerInside is the same inside a transaction, the rest of which is on
	// its way.
	lingerInside = 5 * time.Millisecond
	// gather and gatherBytes are how long a busy source leaves the socket
	// alone, or until how much has come. The server sends each row on its own,
	// and to be woken for each costs several times what it takes to decode it.
	gather      = time.Millisecond
	gatherBytes = 64 << 10
	// busyEvents in a batch show that a source is busy.
	busyEvents = 16
	// clockEvery is after how many messages a busy source looks at the clock.
	clockEvery   = 1024
	writeTimeout = 10 * time.Second
)

// source implements capture.Source on a connection in COPY BOTH mode, which it
// reads without pgconn: that would set up and tear down the watching of a
// context for each message, and allocate for it.
type source struct {
	*config
	log      *slog.Logger
	conn     net.Conn
	buffered *bufio.Reader // between conn and frontend
	frontend *pgproto3.Frontend
	catalog  *pgconn.PgConn // nil until the first Relation message
	plans    map[uint32]*plan

	// The open transaction, if inside.
	inside    bool
	xid       uint32
	micros    int64 // of the commit, since 1970
	origin    []byte
	originLSN lsn

	commit       lsn // end of the last commit, for the source block; 0 if unknown
	reached      lsn // all before it has been returned, or needs not be
	reachedXID   uint32
	reachedMicro int64
	reported     lsn // reached, as of the last End

	confirmed, sent lsn // what Confirm said, and what the server was told
	sentAt          time.Time
	statusEvery     time.Duration
	returned        time.Time // when the last batch with events was
	lowWater        bool      // the socket gathers before it wakes us
	status          []byte

	// For logical messages, made when the first arrives.
	messageShape   *schema.Schema // of the whole value
	messageSource  schema.Row
	messageContent decoder
}

// stream opens the log at start; commit is the end of the transaction before
// it, 0 if that is not known.
func (d *database) stream(ctx context.Context, start, commit lsn) (_ *source, err error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeConn(ctx, conn)
		}
	}()
	slot, err := readSlot(ctx, conn, d.slot)
	if err != nil {
		return nil, err
	}
	if slot == nil {
		return nil, d.slotMissing(start)
	}
	if err := d.usable(slot); err != nil {
		return nil, err
	}
	// The server would begin at its own position without a word.
	if start < slot.confirmed {
		return nil, d.slotPassed(start, slot.confirmed)
	}
	if err := d.ensurePublication(ctx, conn); err != nil {
		return nil, err
	}
	repl, buffered, err := d.connectReplication(ctx)
	if err != nil {
		return nil, err
	}
	statusEvery := d.statusEvery
	if timeout, err := senderTimeout(ctx, repl); err != nil {
		closeConn(ctx, repl)
		return nil, err
	} else if timeout > 0 {
		statusEvery = min(statusEvery, timeout/statusPerTimeout)
	}
	args := []string{"proto_version '1'", "publication_names " + literal(identifier(d.publication))}
	if majorVersion(repl) >= 14 {
		args = append(args, "messages 'true'")
	}
	err = pglogrepl.StartReplication(ctx, repl, identifier(d.slot), start, pglogrepl.StartReplicationOptions{PluginArgs: args})
	if err != nil {
		closeConn(ctx, repl)
		return nil, d.streamError(ctx, err, start)
	}
	hijacked, err := repl.Hijack()
	if err != nil {
		closeConn(ctx, repl)
		return nil, fmt.Errorf("take over the replication connection: %w", err)
	}
	hijacked.Frontend.SetMaxBodyLen(maxMessage)
	d.log.Info("streaming the log", "slot", d.slot, "publication", d.publication, "lsn", start.String())
	return &source{
		config: d.config, log: d.log, conn: hijacked.Conn, frontend: hijacked.Frontend, buffered: buffered,
		catalog: conn, plans: map[uint32]*plan{}, statusEvery: statusEvery,
		commit: commit, reached: start, reported: start, confirmed: start, sentAt: time.Now(),
	}, nil
}

// senderTimeout is how long the server waits for a status message; 0 for ever.
// It may be set for a database or a user, and a replication session takes no
// other queries than such simple ones.
func senderTimeout(ctx context.Context, repl *pgconn.PgConn) (time.Duration, error) {
	results, err := repl.Exec(ctx, `SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'`).ReadAll()
	if err != nil {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", errUnexpected)
	}
	ms, _ := parseInt(results[0].Rows[0][0])
	return time.Duration(ms) * time.Millisecond, nil
}

// Next implements capture.Source.
func (s *source) Next(ctx context.Context, b *schema.Batch) error {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // ends the wait below
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired
		}
	}()
	idle := time.Now().Add(idleAfter)
	var first time.Time // when the batch's first event was seen
	gathered := false   // the socket has been left alone for long enough
	for n := 1; !b.Full(); n++ {
		if !s.pending() {
			now := time.Now()
			until := idle
			if len(b.Events) > 0 {
				if first.IsZero() {
					first = now
				}
				if until = s.lingerUntil(first); !now.Before(until) && !gathered {
					break
				}
			}
			s.gathering(!gathered && (len(b.Events) >= busyEvents || now.Sub(s.returned) < 2*linger))
			switch {
			case s.lowWater:
				until = earlier(until, now.Add(gather))
			case gathered && len(b.Events) > 0:
				until = now.Add(gather / 8) // for what is there already
			}
			if err := s.keepAlive(now); err != nil {
				return err
			}
			if err := s.waitUntil(ctx, until); err != nil {
				return err
			}
		} else if n%clockEvery == 0 {
			now := time.Now()
			if err := s.keepAlive(now); err != nil {
				return err
			}
			if now.After(idle) {
				break
			}
		}
		message, err := s.frontend.Receive()
		switch {
		case err == nil:
			gathered = false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read from replication slot %s: %w", s.slot, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case s.lowWater && !gathered:
			gathered = true
			continue
		case len(b.Events) > 0 || time.Now().After(idle):
			return s.finish(b)
		default:
			// A message had come in part, under an older deadline.
			s.gathering(false)
			if err := s.waitUntil(ctx, idle); err != nil {
				return err
			}
			continue
		}
		if err := s.message(ctx, b, message); err != nil {
			return err
		}
	}
	return s.finish(b)
}

// finish completes a batch.
func (s *source) finish(b *schema.Batch) error {
	if len(b.Events) > 0 {
		s.returned = time.Now()
	}
	if s.reached > s.reported {
		b.End = commitPosition(s.reached, s.reachedXID, s.reachedMicro)
		s.reported = s.reached
	}
	return nil
}

// waitUntil bounds the next read.
func (s *source) waitUntil(ctx context.Context, until time.Time) error {
	if err := s.conn.SetReadDeadline(until); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return ctx.Err() // whose deadline may have been overwritten
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// pending reports whether something has been received that is not yet read.
func (s *source) pending() bool {
	return s.frontend.ReadBufferLen() > 0 || s.buffered.Buffered() > 0
}

// lingerUntil returns how long a batch whose first event was seen at first is
// kept open when all that has been received is in it.
func (s *source) lingerUntil(first time.Time) time.Time {
	switch {
	case s.inside:
		return first.Add(lingerInside)
	case first.Sub(s.returned) < 2*linger:
		return first.Add(linger)
	default:
		return first
	}
}

// gathering switches between being woken for each row and for many.
func (s *source) gathering(on bool) {
	if on == s.lowWater {
		return
	}
	s.lowWater = on
	if on {
		setLowWater(s.conn, gatherBytes)
	} else {
		setLowWater(s.conn, 1)
	}
}

func (s *source) message(ctx context.Context, b *schema.Batch, message pgproto3.BackendMessage) error {
	switch m := message.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return fmt.Errorf("%w: empty", errMessage)
		}
		r := reader{b: m.Data[1:]}
		switch m.Data[0] {
		case 'w':
			w, err := readWALData(&r)
			if err != nil {
				return capture.Permanent(err)
			}
			return s.decode(ctx, b, w)
		case 'k':
			k, err := readKeepalive(&r)
			if err != nil {
				return capture.Permanent(err)
			}
			// Nothing is in flight and the server has passed a part of its log
			// that had nothing for us. The position is confirmed only after it
			// has been saved like any other (I1).
			if !s.inside && k.end > s.reached {
				s.reached, s.reachedMicro = k.end, time.Now().UnixMicro()
			}
			if k.reply {
				return s.sendStatus(time.Now())
			}
			return nil
		}
		return capture.Permanent(fmt.Errorf("%w: type %q", errMessage, m.Data[0]))
	case *pgproto3.ErrorResponse:
		return s.streamError(ctx, pgconn.ErrorResponseToPgError(m), s.reached)
	case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		return nil
	default:
		return fmt.Errorf("replication slot %s: the server ended the stream", s.slot)
	}
}

// decode takes one message of pgoutput.
func (s *source) decode(ctx context.Context, b *schema.Batch, w walData) error {
	if len(w.data) == 0 {
		return capture.Permanent(fmt.Errorf("%w: empty", errMessage))
	}
	kind := w.data[0]
	r := reader{b: w.data[1:]}
	var err error
	switch kind {
	case 'I', 'U', 'D':
		err = s.change(b, kind, w.at, &r)
	case 'B':
		var m beginMessage
		m, err = readBegin(&r)
		s.inside, s.xid, s.micros, s.origin, s.originLSN = true, m.xid, m.micros, nil, 0
		s.bound(b, schema.OpBegin, w.at)
	case 'C':
		var m commitMessage
		m, err = readCommit(&r)
		s.inside, s.commit = false, m.end
		s.reached, s.reachedXID, s.reachedMicro = max(s.reached, m.end), s.xid, m.micros
		s.bound(b, schema.OpEnd, w.at)
	case 'R':
		var m relationMessage
		if m, err = readRelation(&r); err == nil {
			return s.relation(ctx, m)
		}
	case 'T':
		err = s.truncate(b, w.at, &r)
	case 'O':
		var m originMessage
		m, err = readOrigin(&r)
		s.origin, s.originLSN = append([]byte(nil), m.name...), m.at
	case 'M':
		var m logicalMessage
		if m, err = readLogicalMessage(&r); err == nil {
			if !m.transactional {
				// No commit follows; like one, it has been dealt with at its end.
				s.commit, s.reached = w.at, max(s.reached, w.at)
			}
			err = s.logicalMessage(b, w.at, m)
		}
	case 'Y':
		// The names of types are read from the catalogue.
	case 'A':
		// Some servers announce an abort although nothing was streamed ahead
		// of its commit; then there is nothing to undo.
	default:
		err = fmt.Errorf("%w: type %q", errMessage, kind)
	}
	if err != nil {
		return capture.Permanent(fmt.Errorf("at %s: %w", w.at, err))
	}
	return nil
}

var errNoRelation = errors.New("a change of a table that was not described before")

func (s *source) change(b *schema.Batch, kind byte, at lsn, r *reader) error {
	m, err := readChange(kind, r)
	if err != nil {
		return err
	}
	p, ok := s.plans[m.oid]
	if !ok {
		return fmt.Errorf("%w: oid %d", errNoRelation, m.oid)
	}
	if p.table == nil {
		return nil
	}
	var before, after schema.Row
	if m.oldKind != 0 {
		if before, err = p.row(b, m.old, nil, m.oldKind == 'K'); err != nil {
			return err
		}
	}
	if kind != 'D' {
		var old schema.Row
		if m.oldKind == 'O' {
			old = before
		}
		if after, err = p.row(b, m.new, old, false); err != nil {
			return err
		}
	}
	ev := b.Append()
	switch kind {
	case 'I':
		ev.Op = schema.OpCreate
	case 'U':
		ev.Op = schema.OpUpdate
	default:
		ev.Op = schema.OpDelete
	}
	ev.Table, ev.Before, ev.After = p.tableOf(before, after), before, after
	ev.Source, ev.TimeMicros = s.sourceRow(&b.Arena, p.source, at), s.micros
	ev.Transaction = s.transaction(&b.Arena, at)
	return nil
}

// bound hands out the begin or end of a transaction, if that is asked for.
func (s *source) bound(b *schema.Batch, op schema.Op, at lsn) {
	if !s.transactions {
		return
	}
	ev := b.Append()
	ev.Op, ev.TimeMicros, ev.Transaction = op, s.micros, s.transaction(&b.Arena, at)
}

// transaction returns the block of transaction metadata of what is at a place,
// nil if that is not asked for. The id holds that place and not the
// transaction's, as in Debezium.
func (s *source) transaction(a *schema.Arena, at lsn) schema.Row {
	if !s.transactions {
		return nil
	}
	const longest = 10 + 1 + 20
	whole := a.Make(longest)
	id := strconv.AppendUint(whole[:0], uint64(s.xid), 10)
	id = strconv.AppendUint(append(id, ':'), uint64(at), 10)
	a.Trim(longest - len(id))
	return capture.NewTransactionBlock(a, id[:len(id):len(id)])
}

var errColumns = errors.New("a row that does not fit the table's description")

// row decodes a row. old is the whole row before the change, if the log has
// it; keyOnly says that only the columns of the replica identity are there.
func (p *plan) row(b *schema.Batch, t tuple, old schema.Row, keyOnly bool) (schema.Row, error) {
	if t.n != len(p.columns) {
		return nil, fmt.Errorf("%w: %d columns instead of %d in %s", errColumns, t.n, len(p.columns), p.table.Path())
	}
	row := b.Row(len(p.table.Columns))
	for i := range p.columns {
		c := &p.columns[i]
		kind, text := t.next()
		if c.to < 0 {
			continue
		}
		switch kind {
		case 't':
			v, err := c.decode(&b.Arena, text)
			if err != nil {
				if err := p.mend(c, err); err != nil {
					return nil, err
				}
				continue // null
			}
			row[c.to] = v
		case 'n':
			if keyOnly {
				row[c.to] = p.unknown[c.to]
			}
		case 'u':
			if old != nil {
				row[c.to] = old[c.to]
			} else {
				row[c.to] = schema.Absent()
			}
		default:
			return nil, p.columnError(c, errMessage)
		}
	}
	return row, nil
}

// sourceRow fills a source block in.
func (s *source) sourceRow(a *schema.Arena, fixed schema.Row, at lsn) schema.Row {
	row := a.Row(len(fixed))
	copy(row, fixed)
	row[sourceMillis] = schema.Int(floorDiv(s.micros, 1000))
	row[sourceMicros] = schema.Int(s.micros)
	row[sourceNanos] = schema.Int(multiply(s.micros, 1000))
	row[sourceSequence] = schema.String(sequence(a, s.commit, at))
	row[sourceLSN] = schema.Int(int64(at))
	if s.xid != 0 {
		row[sourceXID] = schema.Int(int64(s.xid))
	}
	if s.origin != nil {
		row[sourceOrigin] = schema.String(a.Copy(s.origin))
		row[sourceOriginLSN] = schema.Int(int64(s.originLSN))
	}
	return row
}

// sequence is ["<end of the last commit>","<lsn>"], the former null if it is
// not known.
func sequence(a *schema.Arena, commit, at lsn) []byte {
	const longest = 2*20 + len(`["",""]`)
	whole := a.Make(longest)
	text := whole[:0]
	if commit == 0 {
		text = append(text, `[null,"`...)
	} else {
		text = append(text, `["`...)
		text = strconv.AppendUint(text, uint64(commit), 10)
		text = append(text, `","`...)
	}
	text = strconv.AppendUint(text, uint64(at), 10)
	text = append(text, `"]`...)
	a.Trim(longest - len(text))
	return text[:len(text):len(text)]
}

func (s *source) truncate(b *schema.Batch, at lsn, r *reader) error {
	m, err := readTruncate(r)
	if err != nil {
		return err
	}
	for range m.n {
		oid := r.uint32()
		p, ok := s.plans[oid]
		if !ok {
			return fmt.Errorf("%w: oid %d", errNoRelation, oid)
		}
		if p.table == nil {
			continue
		}
		ev := b.Append()
		ev.Op, ev.Table, ev.TimeMicros = schema.OpTruncate, p.table, s.micros
		ev.Source = s.sourceRow(&b.Arena, p.source, at)
		ev.Transaction = s.transaction(&b.Arena, at)
	}
	return nil
}

// relation takes a table's new description.
func (s *source) relation(ctx context.Context, m relationMessage) error {
	if !s.filter.Table(s.dbname, m.namespace, m.name) {
		s.plans[m.oid] = &plan{}
		return nil
	}
	p, err := s.describe(ctx, m)
	if err != nil {
		return err
	}
	// Often only statistics, an index or the like have changed.
	former := s.plans[m.oid]
	p.adopt(former)
	if former == nil || !slices.Equal(former.omitted, p.omitted) {
		p.warnOmitted()
	}
	s.plans[m.oid] = p
	return nil
}

func (s *source) describe(ctx context.Context, m relationMessage) (*plan, error) {
	info, infos, err := s.lookup(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("look up table %s.%s: %w", m.namespace, m.name, err)
	}
	columns := make([]columnInfo, len(m.columns))
	var identity []string
	for i, c := range m.columns {
		known := info.column(c.name)
		columns[i] = columnInfo{name: c.name, oid: c.oid, mod: c.mod, unlogged: !c.identity, notNull: known.notNull, fallback: known.fallback}
		if c.identity {
			identity = append(identity, c.name)
		}
	}
	if m.identity == 'd' || m.identity == 'i' {
		switch {
		case info == nil:
			// The table is gone. Its replica identity was its primary key, or
			// serves as one.
			info = &tableInfo{key: identity}
			for i := range columns {
				columns[i].notNull = m.columns[i].identity
			}
		case len(identity) > 0 && (len(info.key) == 0 || !containsAll(identity, info.key)):
			// The catalogue's key is a later one. What identified the rows then
			// is all that the log has of a deleted one.
			info.key = identity
		}
	}
	p, err := s.newPlan(s.log, m.namespace, m.name, columns, info, infos)
	return p, capture.Permanent(err)
}

// lookup asks the catalogue about a table and its types.
func (s *source) lookup(ctx context.Context, m relationMessage) (*tableInfo, map[uint32]*typeInfo, error) {
	if s.queryTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.queryTimeout)
		defer cancel()
	}
	oids := make([]uint32, len(m.columns))
	for i, c := range m.columns {
		oids[i] = c.oid
	}
	if s.catalog == nil || s.catalog.IsClosed() {
		conn, err := s.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		s.catalog = conn
	}
	err := s.awaitVisible(ctx)
	var tables map[uint32]*tableInfo
	if err == nil {
		tables, err = readTables(ctx, s.catalog, []uint32{m.oid})
	}
	if err == nil {
		var infos map[uint32]*typeInfo
		if infos, err = s.readTypes(ctx, s.catalog, oids); err == nil {
			return tables[m.oid], infos, nil
		}
	}
	return nil, nil, err
}

// awaitVisible waits until the catalogue shows what the open transaction has
// done: the server sends a transaction as soon as its commit is in the log,
// which is a moment before other sessions see it.
func (s *source) awaitVisible(ctx context.Context) error {
	const every = 2 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for s.inside {
		// The log has the low half of a transaction's number.
		row, err := queryRow(ctx, s.catalog, `
SELECT txid_visible_in_snapshot(CASE WHEN x < next THEN x ELSE x - (1::bigint << 32) END, now)
FROM (SELECT now, next, next >> 32 << 32 | $1::bigint AS x
  FROM (SELECT now, txid_snapshot_xmax(now) AS next FROM txid_current_snapshot() AS now) AS a) AS b`, strconv.FormatUint(uint64(s.xid), 10))
		if err != nil {
			return fmt.Errorf("wait for transaction %d to become visible: %w", s.xid, err)
		}
		if isTrue(row[0]) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for transaction %d to become visible: %w", s.xid, ctx.Err())
		}
	}
	return nil
}

// Confirm implements capture.Source.
func (s *source) Confirm(_ context.Context, p schema.Position) error {
	if p != nil {
		at, _, err := parsePosition(p)
		if err != nil {
			return capture.Permanent(err)
		}
		s.confirmed = max(s.confirmed, at)
	}
	return s.keepAlive(time.Now())
}

// keepAlive tells the server what is confirmed when that is due.
func (s *source) keepAlive(now time.Time) error {
	since := now.Sub(s.sentAt)
	if since < confirmEvery || s.sent == s.confirmed && since < s.statusEvery {
		return nil
	}
	return s.sendStatus(now)
}

func (s *source) sendStatus(now time.Time) error {
	s.status = append(s.status[:0], 'd', 0, 0, 0, 0)
	s.status = appendStatus(s.status, s.confirmed, now.UnixMicro())
	binary.BigEndian.PutUint32(s.status[1:], uint32(len(s.status)-1))
	if err := s.write(now, s.status); err != nil {
		return fmt.Errorf("confirm a position to replication slot %s: %w", s.slot, err)
	}
	s.sent, s.sentAt = s.confirmed, now
	return nil
}

func (s *source) write(now time.Time, p []byte) error {
	if err := s.conn.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(p)
	return err
}

// Close implements capture.Source. The server's goodbye shows that it has
// read the last confirmation.
func (s *source) Close(ctx context.Context) error {
	if s.catalog != nil {
		closeConn(ctx, s.catalog)
	}
	const goodbye = 2 * time.Second
	until := time.Now().Add(goodbye)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	defer s.conn.Close()
	s.gathering(false)
	if err := s.sendStatus(time.Now()); err != nil {
		return err
	}
	if err := s.write(time.Now(), []byte{'c', 0, 0, 0, 4}); err != nil { // CopyDone
		return fmt.Errorf("end the stream of replication slot %s: %w", s.slot, err)
	}
	if err := s.conn.SetReadDeadline(until); err != nil {
		return fmt.Errorf("end the stream of replication slot %s: %w", s.slot, err)
	}
	for time.Now().Before(until) {
		message, err := s.frontend.Receive()
		if err != nil {
			break // a server in the middle of a large transaction does not answer
		}
		if _, done := message.(*pgproto3.ReadyForQuery); done {
			break
		}
	}
	_ = s.write(time.Now(), []byte{'X', 0, 0, 0, 4}) // Terminate; the server notices the end anyway
	return nil
}
