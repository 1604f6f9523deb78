package mysql

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

const (
	// idleFor is how long Next waits for a first event.
	idleFor = time.Second
	// heartbeatEvery is how often a server with nothing to say says so, and
	// silentFor how long it may be silent before the connection counts as dead.
	heartbeatEvery = 5 * time.Second
	silentFor      = 30 * time.Second
)

// source streams the binary log. It implements capture.Source.
//
// It speaks the replication protocol itself, over a connection that go-mysql
// has authenticated, instead of using that library's BinlogSyncer: events are
// decoded where the socket's reader put them, so that memory is bounded by a
// few buffers and one event whatever a transaction's size; checksums are
// verified; and closing it needs no second connection.
type source struct {
	dump
	history *history

	heard time.Time // when something had come, as of the last look
	came  bool      // something has come since then
	idle  *time.Timer

	// Where the log has been read to.
	place
	done     *gtidSet
	serverID uint32
	time     uint32
	last     position // what the latest End was made of

	tx   transaction
	skip skipping

	prepared preparedSet
	replay   *replay // an XA transaction that is being committed

	payload  payload
	inflater inflater
	rows     *rowsEvent // an event of which rows are left
	rowsMem  rowsEvent
	reader   rowReader

	tables   map[uint64]*tableEntry
	versions map[string]*tableEntry // by database and table

	changes *schemaChanges

	query []byte // the statement that the next rows come from, for include.query
	// Texts that are in the current batch already.
	gtidCell, queryCell, idCell schema.Value
}

// transaction is the one in progress.
type transaction struct {
	open      bool // a GTID or BEGIN has been read and no commit yet
	explicit  bool // it ends with a commit, and not with its only statement
	begin     uint64
	hasGTID   bool
	gtid      gtid
	text      []byte // the GTID as text
	id        []byte // for transaction metadata; empty without
	micros    int64  // when it was committed; 0 if not known
	thread    uint32
	hasThread bool
	events    int // done with, BEGIN included
	// An XA transaction that is being prepared: its name, and its events so
	// far unless they are large.
	xid   string
	held  []byte
	large bool
}

// placePrefix is what the id of a transaction without a GTID begins with.
const placePrefix = "file="

// skipping is what of the transaction that was in progress at the position has
// been handed out before.
type skipping struct {
	events, rows int
	transaction  string // its GTID; empty for the first that comes
}

func (s *skipping) active() bool { return s.events > 0 || s.rows > 0 }

// tableEntry is a version of a table as TABLE_MAP events describe it.
type tableEntry struct {
	raw  []byte // the event without the table's number
	plan *rowPlan
}

// rowsEvent is a rows event in progress.
type rowsEvent struct {
	plan          *rowPlan
	op            schema.Op
	before, after []byte
	rest          []byte // rows that are not read yet; not in the batch
	row           int    // how many were read
	skip          int    // how many of them are not to be handed out
}

// openSource begins to read at a position.
func openSource(ctx context.Context, d *database, from schema.Position) (_ *source, err error) {
	at, err := parsePosition(from)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, d.cfg)
	if err != nil {
		return nil, transient(err)
	}
	s := &source{dump: dump{cfg: d.cfg, conn: c}, tables: map[uint64]*tableEntry{}, versions: map[string]*tableEntry{}}
	defer func() {
		if err != nil {
			err = transient(errors.Join(err, s.history.close(), c.close()))
		}
	}()
	if s.server, err = inspect(ctx, c); err != nil {
		return nil, err
	}
	if err := s.server.readable(d.cfg); err != nil {
		return nil, err
	}
	if s.history, err = openHistory(ctx, d.cfg, d.env, &at, s.server); err != nil {
		return nil, err
	}
	if s.server.metadata != "FULL" && (!s.history.found || s.history.damaged != nil) {
		what := "has nothing for the saved position"
		if s.history.damaged != nil {
			what = "is damaged (" + s.history.damaged.Error() + ")"
		}
		return nil, capture.Permanent(fmt.Errorf("the schema history %s %s, and the server does not log definitions: "+
			"set snapshot.mode=recovery, which makes it anew if no table was altered since: %w",
			d.cfg.history.topic, what, capture.ErrPositionLost))
	}
	if err := s.startAt(ctx, at); err != nil {
		return nil, err
	}
	s.idle = time.NewTimer(idleFor)
	s.heard = time.Now()
	return s, nil
}

// startAt asks the server for the log from a position on.
func (s *source) startAt(ctx context.Context, at position) (err error) {
	byGTID := at.GTIDs != "" && s.server.gtid && !s.cfg.ignoreGTID
	if s.done, err = newGTIDSet(s.cfg.flavor, at.GTIDs); err != nil {
		return capture.Permanent(fmt.Errorf("the saved position: %w; reset the connector's offsets", err))
	}
	if at.GTIDs == "" || !s.server.gtid {
		// Reading begins by file and position. The transactions before it are
		// none only if the server has none.
		s.done, _ = newGTIDSet(s.cfg.flavor, "")
		there, err := executed(ctx, s.conn, s.server)
		if err != nil {
			return err
		}
		s.done.partial = there != "" || !s.server.gtid
	}
	if err := checkReach(ctx, s.conn, s.server, &at, byGTID, s.cfg); err != nil {
		return err
	}
	if s.prepared, err = parsePrepared(at.Prepared); err != nil {
		return capture.Permanent(fmt.Errorf("the saved position: prepared XA transactions %s: %w; reset the connector's offsets", at.Prepared, err))
	}
	s.skip = skipping{events: at.Event, rows: at.Row, transaction: at.Transaction}
	if strings.HasPrefix(at.Transaction, placePrefix) {
		s.skip.transaction = "" // it is the one at the place
	}
	s.place, s.last = place{file: at.File, end: at.Pos}, at
	return s.dump.open(ctx, &at, byGTID, true)
}

// Next implements capture.Source.
func (s *source) Next(ctx context.Context, b *schema.Batch) error {
	s.reader.arena = &b.Arena
	s.gtidCell, s.queryCell, s.idCell = schema.Value{}, schema.Value{}, schema.Value{}
	s.idle.Reset(idleFor)
	err := s.fill(ctx, b)
	s.reader.arena = nil
	if err != nil {
		return transient(err)
	}
	b.End, b.Inside = s.resume()
	return nil
}

// fill reads until the batch is full, nothing more is there, or the time is
// up.
func (s *source) fill(ctx context.Context, b *schema.Batch) error {
	for n := 1; !b.Full(); n++ {
		if s.rows != nil {
			if err := s.readRows(b); err != nil {
				return err
			}
			continue
		}
		e, ok, err := s.event(ctx, len(b.Events) == 0)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		if err := s.handle(ctx, b, e); err != nil {
			return err
		}
		if n%512 == 0 { // busy with events that nobody wants
			select {
			case <-s.idle.C:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			default:
			}
		}
	}
	return nil
}

// event returns the next event. ok is false if none is there, or none has come
// in time.
func (s *source) event(ctx context.Context, wait bool) (e event, ok bool, err error) {
	if s.payload.open {
		e, ok, err = s.payload.next()
		if err != nil {
			return e, false, capture.Permanent(s.at(err))
		}
		if ok {
			return e, true, nil
		}
	}
	from := &s.dump
	if s.replay != nil {
		if from = s.replay.dump; from == nil {
			e, err = s.replay.next()
			return e, err == nil, err
		}
	}
	packet, ok, err := from.conn.packets.poll()
	if err == nil && !ok && wait {
		packet, ok, err = from.conn.packets.next(ctx, s.idle.C)
	}
	if err != nil {
		return e, false, err
	}
	if !ok {
		switch {
		case !wait:
		case s.came:
			s.heard, s.came = time.Now(), false
		case time.Since(s.heard) > silentFor:
			return e, false, fmt.Errorf("the server %s has been silent for %s, though it should send a heartbeat every %s", s.cfg.addr(), silentFor, heartbeatEvery)
		}
		return e, false, nil
	}
	s.came = true
	e, err = from.parse(packet)
	switch {
	case s.replay != nil:
		e.inner = true // in the event that commits it
		err = s.replay.explain(err)
	case errors.Is(err, errChecksum), errors.Is(err, errShort):
		err = s.at(err)
	}
	return e, err == nil, err
}

// advance brings the place up to an event.
func (s *source) advance(e *event) {
	if !e.inner { // otherwise it is within the event that holds it
		s.time, s.serverID = e.time, e.serverID
	}
	s.place.advance(e)
}

// handle takes one event.
func (s *source) handle(ctx context.Context, b *schema.Batch, e event) error {
	if r := s.replay; r != nil {
		return s.damaged(r.explain(s.again(ctx, b, e)))
	}
	switch e.typ {
	case evRotate:
		s.rotate(&e)
		return nil
	case evHeartbeat, evHeartbeatV2:
		return nil
	case evPreviousGTIDs, evMariaGTIDList:
		s.advance(&e)
		return s.previous(&e)
	case evFormatDescription, evStop, evMariaCheckpoint, evMariaStartEncryption:
		s.advance(&e)
		return nil
	}
	s.advance(&e)
	return s.damaged(s.body(ctx, b, e))
}

// damaged adds the place to an error, which nothing mends if it is an event's.
func (s *source) damaged(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errShort):
		err = capture.Permanent(err)
	}
	return s.at(err)
}

// previous takes the GTIDs of all files before the one that begins, by which a
// set that was partial is complete from now on.
func (s *source) previous(e *event) error {
	if !s.done.partial || e.flags&flagArtificial != 0 || s.tx.open {
		return nil
	}
	text, err := parsePrevious(e)
	if err != nil {
		return s.at(err)
	}
	if text != "" {
		s.done, err = newGTIDSet(s.cfg.flavor, text)
	}
	return err
}

// body takes an event of a transaction.
func (s *source) body(ctx context.Context, b *schema.Batch, e event) (err error) {
	if s.tx.xid != "" && s.replay == nil {
		return s.pass(ctx, b, e)
	}
	switch e.typ {
	case evGTID, evAnonymousGTID, evTaggedGTID, evMariaGTID:
		g, err := parseGTIDEvent(&e)
		s.start(&g)
		if e.typ == evMariaGTID && g.preparedXA == "" {
			s.beginTransaction(b)
		}
		return err
	case evQuery, evMariaQueryCompressed, evExecuteLoadQuery:
		return s.statement(ctx, b, &e)
	case evXID:
		return s.commit(b)
	case evPayload:
		return s.payload.start(e)
	case evTableMap:
		err = s.tableMap(e.body)
	case evWriteRows, evWriteRowsV1, evMariaWriteCompressed:
		return s.startRows(&e, schema.OpCreate)
	case evUpdateRows, evUpdateRowsV1, evMariaUpdateCompress:
		return s.startRows(&e, schema.OpUpdate)
	case evDeleteRows, evDeleteRowsV1, evMariaDeleteCompress:
		return s.startRows(&e, schema.OpDelete)
	case evPartialUpdateRows:
		return s.partial(&e)
	case evRowsQuery:
		if s.cfg.includeQuery && len(e.body) > 0 {
			s.setQuery(e.body[1:])
		}
	case evMariaAnnotate:
		if s.cfg.includeQuery {
			s.setQuery(e.body)
		}
	case evIncident:
		return capture.Permanent(fmt.Errorf("the server has lost events of its binary log (INCIDENT event), so changes may be missing; "+
			"copy the tables again with snapshot.mode=when_needed: %w", capture.ErrPositionLost))
	case evIntvar, evRand, evUserVar, evAppendBlock, evDeleteFile, evBeginLoadQuery, evIgnorable, evTransactionCtx, evViewChange:
	default:
		if e.flags&flagIgnorable == 0 {
			return capture.Permanent(fmt.Errorf("event of type %d, which is not known; it is not passed over, since it may change data", e.typ))
		}
	}
	s.tx.events++
	return err
}

func (s *source) setQuery(sql []byte) {
	s.query = append(s.query[:0], sql...)
	s.queryCell = schema.Value{}
}

// start begins a transaction, or a statement that is one of its own.
func (s *source) start(g *gtidEvent) {
	text := s.tx.text[:0]
	if g.known {
		text = g.gtid.append(text, s.cfg.flavor)
	}
	s.tx = transaction{open: true, begin: s.begin, hasGTID: g.known, gtid: g.gtid, text: text, id: s.tx.id[:0], micros: g.micros, xid: g.preparedXA}
	if g.begins {
		s.tx.explicit, s.tx.events = true, 1
	}
	s.query = s.query[:0]
	s.gtidCell, s.queryCell, s.idCell = schema.Value{}, schema.Value{}, schema.Value{}
}

// beginTransaction hands out the begin of the transaction in progress, if that
// is asked for and was not done before a restart.
func (s *source) beginTransaction(b *schema.Batch) {
	if !s.cfg.transactions {
		return
	}
	if s.tx.id = append(s.tx.id[:0], s.tx.text...); !s.tx.hasGTID {
		s.tx.id = fmt.Appendf(s.tx.id[:0], "%s%s,pos=%d", placePrefix, s.file, s.begin)
	}
	if s.skipsThis() && s.skip.events > 0 {
		return
	}
	ev := b.Append()
	ev.Op, ev.TimeMicros, ev.Transaction = schema.OpBegin, s.micros(), s.transactionBlock(b)
}

// transactionBlock returns the block of transaction metadata of an event, nil
// if that is not asked for, or outside of what Debezium takes for one: XA
// transactions, and on MySQL statements that are logged as text.
func (s *source) transactionBlock(b *schema.Batch) schema.Row {
	if len(s.tx.id) == 0 {
		return nil
	}
	if s.idCell.IsNull() {
		s.idCell = schema.String(b.Copy(s.tx.id))
	}
	return capture.NewTransactionBlock(&b.Arena, s.idCell.Bytes())
}

// commit ends the transaction: from now on, reading can begin after it.
func (s *source) commit(b *schema.Batch) error {
	if s.tx.explicit && len(s.tx.id) > 0 {
		ev := b.Append()
		ev.Op, ev.TimeMicros, ev.Transaction = schema.OpEnd, s.micros(), s.transactionBlock(b)
	}
	if s.tx.hasGTID {
		if err := s.done.add(s.tx.gtid); err != nil {
			return err
		}
	}
	if s.skipsThis() {
		s.skip = skipping{}
	}
	s.tx = transaction{text: s.tx.text[:0], id: s.tx.id[:0]}
	s.query = s.query[:0]
	return nil
}

// skipsThis reports whether the transaction in progress is the one of which
// some has been handed out before.
func (s *source) skipsThis() bool {
	return s.skip.active() && (s.skip.transaction == "" || s.skip.transaction == string(s.tx.text))
}

// resume returns where to begin again, nil if that is where it was, and whether
// that is inside a transaction.
func (s *source) resume() (end schema.Position, inside bool) {
	p := position{
		File: s.file, Pos: s.end, GTIDs: s.done.String(), ServerID: s.serverID, TimeSeconds: int64(s.time), Prepared: s.prepared.String(),
	}
	if s.tx.open {
		p.Pos = s.tx.begin
		if s.tx.explicit {
			p.Event = s.tx.events
			p.Transaction = cmp.Or(string(s.tx.text), string(s.tx.id))
		}
		if s.rows != nil {
			p.Row = s.rows.row
		}
	}
	if s.skipsThis() && (p.Event < s.skip.events || p.Event == s.skip.events && p.Row < s.skip.rows) {
		// Not yet as far as before.
		p.Event, p.Row = s.skip.events, s.skip.rows
	}
	if s.skip.active() && !s.skipsThis() && !s.tx.open {
		// The transaction has not come yet: the counts still hold for it.
		p.Event, p.Row, p.Transaction = s.skip.events, s.skip.rows, s.skip.transaction
	}
	if p.File == s.last.File && p.Pos == s.last.Pos && p.Event == s.last.Event && p.Row == s.last.Row && p.GTIDs == s.last.GTIDs {
		return nil, false
	}
	s.last = p
	return p.encode(), p.Event > 0 || p.Row > 0
}

// tableMap takes the description of a table that rows are about to come of.
func (s *source) tableMap(body []byte) error {
	w := wire{p: body}
	id := w.uint48()
	w.skip(2)
	raw := w.rest()
	if w.bad {
		return fmt.Errorf("table map: %w", errShort)
	}
	if e := s.tables[id]; e != nil && bytes.Equal(e.raw, raw) {
		return nil
	}
	if len(s.tables) > 4096 { // numbers are never used again
		clear(s.tables)
	}
	// The server numbers tables anew when it opens them; what was planned for
	// the same version under another number still holds.
	head := wire{p: raw}
	database := head.take(int(head.uint8()))
	head.skip(1)
	name := head.take(int(head.uint8()))
	if head.bad {
		return fmt.Errorf("table map: %w", errShort)
	}
	key := string(database) + "\x00" + string(name)
	if v := s.versions[key]; v != nil && bytes.Equal(v.raw, raw) {
		s.tables[id] = v
		return nil
	}
	e := &tableEntry{raw: bytes.Clone(raw)}
	var err error
	if !s.cfg.filter.Table(string(database), "", string(name)) {
		e.plan = &rowPlan{skip: true}
	} else if e.plan, err = s.plan(raw); err != nil {
		return err
	}
	s.tables[id], s.versions[key] = e, e
	return nil
}

// plan prepares reading the rows of a version of a table.
func (s *source) plan(raw []byte) (*rowPlan, error) {
	m, err := parseTableMap(raw, func(id uint64) string { return s.server.collations[id] })
	if err != nil {
		return nil, capture.Permanent(err)
	}
	d, err := s.define(m)
	if err != nil {
		return nil, capture.Permanent(err)
	}
	sh, err := d.shape(s.cfg)
	if err != nil {
		return nil, capture.Permanent(fmt.Errorf("table %s.%s: %w", m.database, m.name, err))
	}
	p, err := newRowPlan(s.cfg, d, sh, m)
	if err != nil {
		return nil, capture.Permanent(fmt.Errorf("table %s.%s: %w", m.database, m.name, err))
	}
	return p, nil
}

// define finds the definition of a table. What the log says is right at this
// place; the schema history adds what the log does not say.
func (s *source) define(m *tableMap) (*definition, error) {
	tracked := s.history.tables.Table(m.database, m.name)
	if tracked == nil {
		if !m.named {
			return nil, fmt.Errorf("table %s.%s: its definition is not in the schema history, and the server does not log it: "+
				"run SET GLOBAL binlog_row_metadata = FULL, and copy the tables again (snapshot.mode=when_needed, after a reset of the offsets)", m.database, m.name)
		}
		return &definition{database: m.database, name: m.name, columns: m.columnDefs, key: m.key}, nil
	}
	d := fromDDL(tracked)
	d.database, d.name = m.database, m.name
	why, fits := m.fits(d)
	if fits && m.named {
		for i := range d.columns {
			if d.columns[i].Name != m.columnDefs[i].Name {
				why, fits = fmt.Sprintf("column %s is %s in the log", d.columns[i].Name, m.columnDefs[i].Name), false
				break
			}
		}
	}
	switch {
	case fits:
		return m.merge(d), nil
	case m.named:
		s.cfg.logger.Warn("the schema history does not have the definition that the log has, which is used",
			"table", m.database+"."+m.name, "difference", why)
		return &definition{database: m.database, name: m.name, columns: m.columnDefs, key: m.key}, nil
	default:
		return nil, fmt.Errorf("table %s.%s: its definition in the schema history does not fit the log: %s. It may have been altered without being logged (SQL_LOG_BIN=0). "+
			"Run SET GLOBAL binlog_row_metadata = FULL, so that the log holds definitions, and copy the tables again (snapshot.mode=when_needed, after a reset of the offsets)",
			m.database, m.name, why)
	}
}

// startRows takes the head of a rows event.
func (s *source) startRows(e *event, op schema.Op) error {
	withExtra := e.typ >= evWriteRows && e.typ <= evDeleteRows
	h, err := parseRowsHeader(e.body, withExtra, op == schema.OpUpdate)
	if err != nil {
		return err
	}
	t := s.tables[h.table]
	switch {
	case t == nil && h.table == noTable:
		s.tx.events++
		return nil
	case t == nil:
		return capture.Permanent(fmt.Errorf("rows of a table (number %d) that the log has not described", h.table))
	}
	skip := 0
	if s.skipsThis() {
		switch {
		case s.tx.events == s.skip.events:
			skip = s.skip.rows
		case s.tx.events > s.skip.events:
		case s.replay != nil:
			skip = math.MaxInt // they count
		default:
			s.tx.events++
			return nil
		}
	}
	if t.plan.skip {
		s.tx.events++
		return nil
	}
	if (len(t.plan.columns)+7)/8 != len(h.before) {
		return capture.Permanent(fmt.Errorf("rows of %s with another number of columns than the log has described", t.plan.table.Path()))
	}
	if e.typ >= evMariaWriteCompressed && e.typ <= evMariaDeleteCompress {
		if h.rows, err = s.inflater.inflate(h.rows); err != nil {
			return capture.Permanent(err)
		}
	}
	s.rowsMem = rowsEvent{plan: t.plan, op: op, before: h.before, after: h.after, rest: h.rows, skip: skip}
	s.rows = &s.rowsMem
	return nil
}

// copyAtOnce is how much of a rows event is copied into a batch before its rows
// are looked at: more than most events have, and little enough to be wasted
// when the batch is full before the end of it.
const copyAtOnce = 256 << 10

// readRows hands out rows of the event in progress until the batch is full,
// but at least one.
func (s *source) readRows(b *schema.Batch) error {
	ev, r := s.rows, &s.reader
	some := false
	for part := copyAtOnce; len(ev.rest) > 0 && !(some && b.Full()); {
		n := min(part, len(ev.rest))
		r.p, r.bad = b.Copy(ev.rest[:n]), false
		used := 0
		for r.more() && !(some && b.Full()) {
			if err := s.readRow(b); err != nil {
				if n < len(ev.rest) && errors.Is(err, errShort) {
					break // the row goes on behind the part
				}
				return capture.Permanent(s.at(err))
			}
			if n-len(r.p) == used { // images without any column, of which there is no end
				return capture.Permanent(s.at(fmt.Errorf("rows of %s: %w", ev.plan.table.Path(), errShort)))
			}
			used, some = n-len(r.p), true
		}
		if used == 0 {
			part *= 4
		}
		ev.rest = ev.rest[used:]
	}
	if len(ev.rest) == 0 {
		s.rows = nil
		s.tx.events++
		if s.replay != nil {
			s.replay.rows += ev.row
		}
	}
	return nil
}

// readRow hands out one row, unless it was handed out before.
func (s *source) readRow(b *schema.Batch) error {
	ev, r := s.rows, &s.reader
	row, err := ev.plan.image(r, ev.before)
	if err != nil {
		return err
	}
	var after schema.Row
	if ev.op == schema.OpUpdate {
		if after, err = ev.plan.image(r, ev.after); err != nil {
			return err
		}
	}
	ev.row++
	if ev.row <= ev.skip {
		return nil
	}
	out := b.Append()
	out.Op, out.Table, out.TimeMicros = ev.op, ev.plan.table, s.micros()
	switch ev.op {
	case schema.OpCreate:
		out.After = row
	case schema.OpDelete:
		out.Before = row
	default:
		out.Before, out.After = row, after
	}
	index := ev.row - 1
	if s.replay != nil {
		index += s.replay.rows // all are at one place, and still told apart
	}
	out.Source = s.sourceRow(b, ev.plan.source, index)
	out.Transaction = s.transactionBlock(b)
	return nil
}

// micros is when the transaction in progress was committed.
func (s *source) micros() int64 {
	if s.tx.micros != 0 {
		return s.tx.micros
	}
	return int64(s.time) * microsPerSecond
}

// sourceRow fills in the source block.
func (s *source) sourceRow(b *schema.Batch, constants schema.Row, index int) schema.Row {
	row := b.Row(sourceFields)
	copy(row, constants)
	micros := s.micros()
	row[srcTsMs] = schema.Int(micros / 1000)
	row[srcTsUs] = schema.Int(micros)
	row[srcTsNs] = schema.Int(micros * 1000)
	row[srcSnapshot] = notSnapshot
	row[srcServerID] = schema.Int(int64(s.serverID))
	if len(s.tx.text) > 0 {
		if s.gtidCell.IsNull() {
			s.gtidCell = schema.String(b.Copy(s.tx.text))
		}
		row[srcGTID] = s.gtidCell
	}
	row[srcFile] = schema.Text(s.file)
	row[srcPos] = schema.Int(int64(s.begin))
	row[srcRow] = schema.Int(int64(index))
	if s.tx.hasThread {
		row[srcThread] = schema.Int(int64(s.tx.thread))
	}
	if len(s.query) > 0 {
		if s.queryCell.IsNull() {
			s.queryCell = schema.String(b.Copy(s.query))
		}
		row[srcQuery] = s.queryCell
	}
	return row
}

// partial refuses updates that hold changes to JSON documents instead of the
// documents, unless nobody wants them.
func (s *source) partial(e *event) error {
	h, err := parseRowsHeader(e.body, true, true)
	if err != nil {
		return err
	}
	if t := s.tables[h.table]; t == nil || !t.plan.skip {
		return capture.Permanent(errors.New("the server logs only what changed within JSON documents, which is not supported yet: " +
			"run SET GLOBAL binlog_row_value_options = '' and copy the tables again"))
	}
	s.tx.events++
	return nil
}

// Confirm implements capture.Source. The server keeps its log regardless of
// readers, so there is nothing to tell it.
func (s *source) Confirm(context.Context, schema.Position) error { return nil }

// Close implements capture.Source.
func (s *source) Close(context.Context) error {
	s.idle.Stop()
	s.payload.close()
	return errors.Join(s.replay.close(), s.history.close(), s.conn.close())
}

// account is the user as GRANT statements name it.
func account(cfg *config) string { return quote(cfg.user) + "@'%'" }
