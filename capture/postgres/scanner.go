package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// Scanner implements capture.Database.
func (d *database) Scanner() capture.Scanner { return &scanner{database: d} }

// scanner implements capture.Scanner: sessions of REPEATABLE READ transactions
// that share one snapshot.
type scanner struct {
	*database
	sessions []*session
	plans    map[*schema.Table]*scanPlan // filled by Begin, then only read
}

// scanPlan is how one table is copied.
type scanPlan struct {
	*plan
	selects, from string
	keyColumn     string // quoted; empty if the table is copied whole
	keyType       string // as SQL writes it
	setting       string // of the user's own SELECT, if there is one
}

// Begin implements capture.Scanner.
func (sc *scanner) Begin(ctx context.Context, n int, from schema.Position) (*capture.View, error) {
	view, err := sc.begin(ctx, max(n, 1), from)
	if err != nil {
		return nil, errors.Join(err, sc.Close(ctx))
	}
	return view, nil
}

func (sc *scanner) begin(ctx context.Context, n int, from schema.Position) (*capture.View, error) {
	// The position first: whatever commits from now on is in the log after it.
	at, snapshot, release, err := sc.fix(ctx, from)
	if err != nil {
		return nil, err
	}
	err = sc.openSessions(ctx, n, snapshot)
	release() // all sessions have the view; the slot stays
	if err != nil {
		return nil, err
	}
	first := sc.sessions[0].conn
	row, err := queryRow(ctx, first, `
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, txid_snapshot_xmax(txid_current_snapshot()) - 1`)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot's time: %w", err)
	}
	micros, _ := parseInt(row[0])
	xid, _ := parseInt(row[1])
	view := &capture.View{Position: from}
	if from == nil {
		view.Position = plainPosition(at, uint32(xid), micros)
	}
	if view.Tables, err = sc.tables(ctx, first, at, xid, micros); err != nil {
		return nil, err
	}
	for _, s := range sc.sessions {
		view.Sessions = append(view.Sessions, s)
	}
	sc.log.Info("snapshot has a consistent view", "slot", sc.slot, "lsn", at.String(), "tables", len(view.Tables), "sessions", n)
	return view, nil
}

// fix returns the position that the stream will go on from. If it makes the
// slot for it, snapshot names the state of the database that is exactly there
// until release is called; otherwise any state from now on will do, since the
// log has all that has happened since the position.
func (sc *scanner) fix(ctx context.Context, from schema.Position) (at lsn, snapshot string, release func(), err error) {
	nothing := func() {}
	conn, err := sc.connect(ctx)
	if err != nil {
		return 0, "", nothing, err
	}
	defer closeConn(ctx, conn)
	// The server reads the log with the publications of the log's own time, so
	// the publication comes before the slot.
	if err := sc.ensurePublication(ctx, conn); err != nil {
		return 0, "", nothing, err
	}
	s, err := readSlot(ctx, conn, sc.slot)
	if err != nil {
		return 0, "", nothing, err
	}
	if from != nil {
		if at, _, err = parsePosition(from); err != nil {
			return 0, "", nothing, capture.Permanent(err)
		}
		if s == nil {
			return 0, "", nothing, sc.slotMissing(at)
		}
	}
	if s != nil && from == nil && sc.replaceable(s) {
		if err := sc.dropInvalidated(ctx, conn, s); err != nil {
			return 0, "", nothing, err
		}
		sc.log.Warn("dropped the replication slot, which could no longer be read; it is made anew", "slot", sc.slot, "reason", s.lost, "confirmed", s.confirmed.String())
		s = nil
	}
	if s != nil {
		// An earlier attempt or the user has made it.
		if err := sc.usable(s); err != nil {
			return 0, "", nothing, err
		}
		if from == nil {
			return s.confirmed, "", nothing, nil
		}
		if at < s.confirmed {
			return 0, "", nothing, sc.slotPassed(at, s.confirmed)
		}
		return at, "", nothing, nil
	}
	sc.logBlockers(ctx, conn)
	repl, _, err := sc.connectReplication(ctx)
	if err != nil {
		return 0, "", nothing, err
	}
	release = func() { closeConn(ctx, repl) }
	if at, snapshot, err = sc.createSlot(ctx, repl, true); err != nil {
		release()
		return 0, "", nothing, err
	}
	return at, snapshot, release, nil
}

// logBlockers names the transactions that the making of a slot waits for.
func (sc *scanner) logBlockers(ctx context.Context, conn *pgconn.PgConn) {
	rows, err := query(ctx, conn, `
SELECT pid, usename, date_trunc('second', now() - xact_start) FROM pg_catalog.pg_stat_activity
WHERE backend_xid IS NOT NULL AND xact_start < now() - interval '5 seconds' ORDER BY xact_start LIMIT 5`)
	if err != nil {
		return // it is only for the log
	}
	for _, r := range rows {
		sc.log.Warn("the replication slot can only be made when a transaction that is open has ended",
			"slot", sc.slot, "pid", string(r[0]), "user", string(r[1]), "open_for", string(r[2]))
	}
}

// openSessions opens n sessions that see one state: the named one, or else the
// first session's own.
func (sc *scanner) openSessions(ctx context.Context, n int, snapshot string) error {
	for i := range n {
		var buffered *bufio.Reader
		conn, err := sc.connectWith(ctx, func(cfg *pgconn.Config) {
			cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
				buffered = bufio.NewReaderSize(r, readBuffer)
				return pgproto3.NewFrontend(buffered, w)
			}
		})
		if err != nil {
			return err
		}
		sc.sessions = append(sc.sessions, &session{scanner: sc, conn: conn})
		if err := exec(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
			return fmt.Errorf("begin a snapshot's transaction: %w", err)
		}
		if snapshot == "" {
			row, err := queryRow(ctx, conn, `SELECT pg_catalog.pg_export_snapshot()`)
			if err != nil {
				return fmt.Errorf("export a snapshot: %w", err)
			}
			snapshot = string(row[0])
			continue
		}
		if err := exec(ctx, conn, "SET TRANSACTION SNAPSHOT "+literal(snapshot)); err != nil {
			return fmt.Errorf("import snapshot %s into session %d: %w", snapshot, i, err)
		}
	}
	return nil
}

// tables plans the copying of all tables, as the view has them.
func (sc *scanner) tables(ctx context.Context, conn *pgconn.PgConn, at lsn, xid, micros int64) ([]capture.TableScan, error) {
	listed, err := sc.listTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	listed = slices.DeleteFunc(listed, func(t sourceTable) bool { return !sc.filter.Snapshot(sc.dbname, t.schema, t.name) })
	switch sc.orderByRows {
	case "ascending":
		slices.SortStableFunc(listed, func(a, b sourceTable) int { return int(max(-1, min(1, a.rows-b.rows))) })
	case "descending":
		slices.SortStableFunc(listed, func(a, b sourceTable) int { return int(max(-1, min(1, b.rows-a.rows))) })
	}
	oids := make([]uint32, len(listed))
	for i, t := range listed {
		oids[i] = t.oid
	}
	infos, err := readTables(ctx, conn, oids)
	if err != nil {
		return nil, err
	}
	var typeOIDs []uint32
	for _, info := range infos {
		for _, c := range info.columns {
			typeOIDs = append(typeOIDs, c.oid)
		}
	}
	slices.Sort(typeOIDs)
	types, err := sc.readTypes(ctx, conn, slices.Compact(typeOIDs))
	if err != nil {
		return nil, err
	}
	sc.plans = make(map[*schema.Table]*scanPlan, len(listed))
	var scans []capture.TableScan
	for _, t := range listed {
		info := infos[t.oid]
		if info == nil {
			info = &tableInfo{} // a table without columns
		}
		p, err := sc.planScan(t, info, types)
		if err != nil {
			return nil, capture.Permanent(err)
		}
		fillSnapshotSource(p.source, at, xid, micros)
		scan := capture.TableScan{Table: p.table, Rows: estimate(t)}
		if scan.Bounds, err = sc.bounds(ctx, conn, t, p, scan.Rows, info, types); err != nil {
			return nil, err
		}
		sc.plans[p.table] = p
		scans = append(scans, scan)
	}
	return scans, nil
}

// estimate is the number of rows, from the table's size if it was never
// analysed.
func estimate(t sourceTable) int64 {
	if t.rows >= 0 {
		return t.rows
	}
	const typicalRow = 128
	return t.bytes / typicalRow
}

// fillSnapshotSource completes the values that are the same in the whole
// snapshot.
func fillSnapshotSource(row schema.Row, at lsn, xid, micros int64) {
	var owned schema.Arena
	row[sourceMillis] = schema.Int(floorDiv(micros, 1000))
	row[sourceMicros] = schema.Int(micros)
	row[sourceNanos] = schema.Int(multiply(micros, 1000))
	row[sourceSnapshot] = schema.Text("true")
	row[sourceSequence] = schema.String(sequence(&owned, 0, at))
	row[sourceXID] = schema.Int(xid)
	row[sourceLSN] = schema.Int(int64(at))
}

func (sc *scanner) planScan(t sourceTable, info *tableInfo, types map[uint32]*typeInfo) (*scanPlan, error) {
	p, err := sc.newPlan(sc.log, t.schema, t.name, info.columns, info, types)
	if err != nil {
		return nil, err
	}
	p.warnOmitted()
	// Only what events have is read.
	p.columns = slices.DeleteFunc(p.columns, func(c planColumn) bool { return c.to < 0 })
	names := make([]string, len(p.columns))
	for i, c := range p.columns {
		names[i] = identifier(c.name)
	}
	plan := &scanPlan{plan: p, selects: strings.Join(names, ", "), from: qualified(t.schema, t.name)}
	if sql, setting := sc.filter.Select(sc.dbname, t.schema, t.name); sql != "" {
		plan.from, plan.setting = "("+sql+"\n) AS penstock_rows", setting // a comment may end the statement
	}
	return plan, nil
}

// Close implements capture.Scanner.
func (sc *scanner) Close(ctx context.Context) error {
	for _, s := range sc.sessions {
		closeConn(ctx, s.conn)
	}
	sc.sessions = nil
	return nil
}

// session implements capture.Session.
type session struct {
	*scanner
	conn *pgconn.PgConn
}

var errNotInView = errors.New("it is not a table of this snapshot")

// Scan implements capture.Session.
func (s *session) Scan(ctx context.Context, t *schema.Table, lower, upper string) (capture.Rows, error) {
	p, ok := s.plans[t]
	if !ok {
		return nil, fmt.Errorf("copy table %s: %w", t.Path(), errNotInView)
	}
	var where []string
	bound := func(operator, value string) {
		if value != "" {
			where = append(where, p.keyColumn+" "+operator+" "+literal(value)+"::"+p.keyType)
		}
	}
	if lower != "" || upper != "" {
		if p.keyColumn == "" {
			// An earlier view had cut the table by a key that it has no more.
			return nil, capture.Permanent(fmt.Errorf("copy table %s from %q to %q: its key has changed since the snapshot began. Reset the connector's offsets, so that the snapshot begins anew: %w", t.Path(), lower, upper, errNotInView))
		}
		bound(">=", lower)
		bound("<", upper)
	}
	sql := "COPY (SELECT " + p.selects + " FROM " + p.from
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	sql += ") TO STDOUT"
	f := s.conn.Frontend()
	if err := s.conn.Conn().SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("copy table %s: %w", t.Path(), err)
	}
	f.SendQuery(&pgproto3.Query{String: sql})
	if err := f.Flush(); err != nil {
		return nil, fmt.Errorf("copy table %s: %w", t.Path(), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &rows{session: s, plan: p, frontend: f}, nil
}

// Bounds for planning.
const (
	rowsPerChunk = 100_000
	maxChunks    = 128
)

// bounds cuts a large table by its key's first column.
func (sc *scanner) bounds(ctx context.Context, conn *pgconn.PgConn, t sourceTable, p *scanPlan, rows int64, info *tableInfo, types map[uint32]*typeInfo) ([]string, error) {
	if len(p.table.Key) == 0 || len(info.key) == 0 {
		return nil, nil
	}
	key := info.column(info.key[0])
	keyType, isInt, ok := orderedType(types[key.oid])
	if !ok {
		return nil, nil
	}
	// Also for small tables: they may have been cut by an earlier view.
	p.keyColumn, p.keyType = identifier(key.name), keyType
	chunks := min(rows/rowsPerChunk, maxChunks)
	if chunks < 2 || p.setting != "" {
		return nil, nil
	}
	if isInt && len(info.key) == 1 {
		bounds, err := sc.evenBounds(ctx, conn, p, rows, chunks)
		if err != nil || bounds != nil {
			return bounds, err
		}
	}
	return sc.histogramBounds(ctx, conn, t, key.name, keyType, chunks)
}

// orderedType returns the SQL name of a type whose values are ordered by
// PostgreSQL's usual operators and whose text can be read back as the same
// value.
func orderedType(t *typeInfo) (name string, isInt, ok bool) {
	if t == nil || t.namespace != catalog {
		return "", false, false
	}
	switch t.name {
	case "int2", "int4", "int8":
		return t.name, true, true
	case "numeric", "text", "varchar", "bpchar", "uuid", "date", "timestamp", "timestamptz":
		return t.name, false, true
	default:
		return "", false, false
	}
}

// evenBounds cuts the range of an integer key into equal parts; nil if the
// numbers are so sparse that the parts would not be equal in rows.
func (sc *scanner) evenBounds(ctx context.Context, conn *pgconn.PgConn, p *scanPlan, rows, chunks int64) ([]string, error) {
	row, err := queryRow(ctx, conn, "SELECT min("+p.keyColumn+"), max("+p.keyColumn+") FROM "+p.from)
	if err != nil {
		return nil, fmt.Errorf("read the range of the key of %s: %w", p.table.Path(), copyError(err, p.table.Path(), sc.user))
	}
	least, ok1 := parseInt(row[0])
	most, ok2 := parseInt(row[1])
	if !ok1 || !ok2 {
		return nil, nil // no rows
	}
	width := uint64(most) - uint64(least)
	const sparse = 4
	if width < uint64(chunks) || width/sparse > uint64(rows) {
		return nil, nil
	}
	var bounds []string
	step := width / uint64(chunks)
	for i := uint64(1); i < uint64(chunks); i++ {
		bounds = append(bounds, strconv.FormatInt(int64(uint64(least)+i*step), 10))
	}
	return bounds, nil
}

// histogramBounds takes bounds from the planner's statistics.
func (sc *scanner) histogramBounds(ctx context.Context, conn *pgconn.PgConn, t sourceTable, column, keyType string, chunks int64) ([]string, error) {
	rows, err := query(ctx, conn, `
SELECT DISTINCT ON (h.place) h.bound
FROM (SELECT histogram_bounds::text::`+keyType+`[] AS list FROM pg_catalog.pg_stats
      WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND histogram_bounds IS NOT NULL
      ORDER BY inherited LIMIT 1) s
CROSS JOIN LATERAL unnest(s.list) WITH ORDINALITY AS h(bound, place) ORDER BY h.place`, t.schema, t.name, column)
	if err != nil {
		return nil, fmt.Errorf("read the statistics of %s: %w", t.path(), err)
	}
	var bounds []string
	for i := int64(1); i < chunks; i++ {
		at := i * int64(len(rows)) / chunks
		if at <= 0 || at >= int64(len(rows)) {
			continue
		}
		bound := string(rows[at][0])
		if bound != "" && (len(bounds) == 0 || bounds[len(bounds)-1] != bound) {
			bounds = append(bounds, bound)
		}
	}
	return bounds, nil
}
