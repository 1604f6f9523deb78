package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// A table with an integer key is cut into chunks of about rowsPerChunk rows,
// but not into more than maxChunks.
const (
	rowsPerChunk = 100_000
	maxChunks    = 128
)

// scanner copies tables. It implements capture.Scanner.
type scanner struct {
	db       *database
	main     *conn
	sessions []*session
	server   *serverInfo
	plans    map[*schema.Table]*scanPlan

	how      fixing
	refused  error // why no lock was to be had
	locked   bool
	position position
	// The tables of captured databases, and their definitions at the position.
	tables           []listed
	captured, others []listed
	rows             map[tableName]int64 // estimates, of captured tables
	catalogue        *ddl.Catalogue
	statements       []definedBy
	// ahead is how far the server's clock is before ours.
	ahead time.Duration
}

type tableName struct{ database, name string }

// listed is a table of the server.
type listed struct {
	tableName
	rows int64 // -1 if there is no estimate
}

// Begin implements capture.Scanner.
//
// With the right to lock, all tables are locked for reading for as long as it
// takes to open the sessions' views and to read the log's position and the
// tables' definitions, so that position and view are of the same moment. See
// fixing for what is done otherwise. An interrupted snapshot has its position,
// which every view from then on is after.
func (s *scanner) Begin(ctx context.Context, n int, from schema.Position) (_ *capture.View, err error) {
	defer func() {
		if err != nil {
			// At once, so that nobody waits for the lock.
			err = transient(errors.Join(err, s.Close(ctx)))
		}
	}()
	cfg := s.db.cfg
	if s.main, err = s.connect(ctx); err != nil {
		return nil, err
	}
	if s.server, err = inspect(ctx, s.main); err != nil {
		return nil, err
	}
	if err := s.server.readable(cfg); err != nil {
		return nil, err
	}
	for range n {
		c, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		s.sessions = append(s.sessions, &session{scanner: s, conn: c})
		// Text comes as it is stored, see charsetText.
		for _, sql := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET SESSION character_set_results = NULL"} {
			if err := c.exec(ctx, sql); err != nil {
				return nil, err
			}
		}
	}
	now, err := s.main.one(ctx, "SELECT UNIX_TIMESTAMP()")
	if err != nil {
		return nil, err
	}
	s.ahead = time.Until(time.Unix(number(now), 0)).Truncate(time.Second)
	view := &capture.View{Position: from}
	if from == nil {
		err = s.begin(ctx)
		view.Position = s.position.encode()
	} else {
		err = s.beginAgain(ctx, from)
	}
	if err != nil {
		return nil, err
	}
	introduction, err := s.introduce(ctx, from == nil)
	if err != nil {
		return nil, err
	}
	if cfg.schemaChanges {
		view.Preface = s.preface(introduction)
	}
	if n == 0 {
		return view, nil
	}
	if err := s.plan(ctx, view); err != nil {
		return nil, err
	}
	for _, ses := range s.sessions {
		view.Sessions = append(view.Sessions, ses)
	}
	return view, nil
}

func (s *scanner) connect(ctx context.Context) (*conn, error) {
	c, err := dial(ctx, s.db.cfg)
	if err != nil {
		return nil, err
	}
	if err := prepareSession(ctx, c, s.db.cfg); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// list returns the tables of all databases that are captured, system databases
// left out, in the order of their names.
func (s *scanner) list(ctx context.Context) ([]listed, error) {
	r, err := s.main.query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "+
		"WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')")
	if err != nil {
		return nil, err
	}
	var tables []listed
	for _, row := range r.rows {
		t := listed{tableName: tableName{row[0].text, row[1].text}, rows: -1}
		if s.db.cfg.filter.Namespace(t.database) {
			tables = append(tables, t)
		}
	}
	slices.SortFunc(tables, func(a, b listed) int {
		return cmp.Or(strings.Compare(a.database, b.database), strings.Compare(a.name, b.name))
	})
	return tables, nil
}

// estimatesAtOnce is how many tables' rows are asked for at a time.
const estimatesAtOnce = 500

// estimate returns about how many rows tables have. The server opens each of
// them for that, so it is not asked for those that are not copied.
func (s *scanner) estimate(ctx context.Context, tables []listed) (map[tableName]int64, error) {
	// Fresh ones; the variable is not there before 8.0.
	if err := s.main.exec(ctx, "SET SESSION information_schema_stats_expiry = 0"); err != nil && !isServerError(err) {
		return nil, err
	}
	rows := make(map[tableName]int64, len(tables))
	for part := range slices.Chunk(tables, estimatesAtOnce) {
		// A comparison for each database, so that the server finds the tables by
		// their names.
		var where strings.Builder
		for i, t := range part {
			switch {
			case i == 0:
				where.WriteString("TABLE_SCHEMA = " + quote(t.database) + " AND TABLE_NAME IN (")
			case part[i-1].database != t.database:
				where.WriteString(") OR TABLE_SCHEMA = " + quote(t.database) + " AND TABLE_NAME IN (")
			default:
				where.WriteByte(',')
			}
			where.WriteString(quote(t.name))
		}
		r, err := s.main.query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE "+where.String()+")")
		if err != nil {
			return nil, err
		}
		for _, row := range r.rows {
			if !row[2].null {
				rows[tableName{row[0].text, row[1].text}] = number(row[2].text)
			}
		}
	}
	return rows, nil
}

// scanPlan reads the rows of one table.
type scanPlan struct {
	table    *schema.Table
	sql      string // without WHERE
	decoders []textDecoder
	key      string // the column that chunks go by, quoted; empty if there is none
	setting  string // of the user's own SELECT, if there is one
	source   schema.Row
}

// plan prepares the scans of the view's tables, in the order in which Debezium
// copies them.
func (s *scanner) plan(ctx context.Context, view *capture.View) error {
	cfg := s.db.cfg
	slices.SortStableFunc(s.captured, func(a, b listed) int {
		switch cfg.orderByRows {
		case "ascending":
			return cmp.Compare(a.rows, b.rows)
		case "descending":
			return cmp.Compare(b.rows, a.rows)
		default:
			return cmp.Compare(cfg.filter.Rank(a.database, "", a.name), cfg.filter.Rank(b.database, "", b.name))
		}
	})
	s.plans = map[*schema.Table]*scanPlan{}
	for _, t := range s.captured {
		def := s.catalogue.Table(t.database, t.name)
		if def == nil || !cfg.filter.Snapshot(t.database, "", t.name) {
			continue
		}
		p, err := newScanPlan(cfg, fromDDL(def))
		if err != nil {
			return capture.Permanent(fmt.Errorf("table %s.%s: %w", t.database, t.name, err))
		}
		s.plans[p.table] = p
		bounds, err := s.bounds(ctx, p, t.rows)
		if err != nil {
			return err
		}
		view.Tables = append(view.Tables, capture.TableScan{Table: p.table, Rows: t.rows, Bounds: bounds})
	}
	return nil
}

func newScanPlan(cfg *config, d *definition) (*scanPlan, error) {
	sh, err := d.shape(cfg)
	if err != nil {
		return nil, err
	}
	p := &scanPlan{table: sh.table, source: make(schema.Row, sourceFields), decoders: make([]textDecoder, len(sh.table.Columns))}
	constants(p.source, sh.table.Source)
	p.source[srcSnapshot] = schema.Text("true")
	var list strings.Builder
	for i := range d.columns {
		cell := sh.cells[i]
		if cell < 0 {
			continue
		}
		c := &d.columns[i]
		t := types[c.Type] // shape has looked it up already
		p.decoders[cell] = t.text(&cfg.values, c)
		if list.Len() > 0 {
			list.WriteString(", ")
		}
		if t.query != nil {
			list.WriteString(t.query(ident(c.Name)))
		} else {
			list.WriteString(ident(c.Name))
		}
	}
	if list.Len() == 0 {
		return nil, errors.New("no column is captured")
	}
	from := ident(d.database) + "." + ident(d.name)
	if sql, setting := cfg.filter.Select(d.database, "", d.name); sql != "" {
		from, p.setting = "("+sql+"\n) AS penstock_rows", setting // a comment may end the statement
	}
	p.sql = "SELECT " + list.String() + " FROM " + from
	if len(d.key) == 1 {
		if c := &d.columns[d.key[0]]; types[c.Type] == integers {
			p.key = ident(c.Name)
		}
	}
	return p, nil
}

// bounds cuts a large table by equal ranges of its key.
func (s *scanner) bounds(ctx context.Context, p *scanPlan, rows int64) ([]string, error) {
	chunks := min(rows/rowsPerChunk, maxChunks)
	if p.key == "" || p.setting != "" || chunks < 2 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := s.sessions[0].conn.query(ctx, fmt.Sprintf("SELECT MIN(%[1]s), MAX(%[1]s) FROM %s.%s", p.key, ident(p.table.Database), ident(p.table.Name)))
	if err != nil {
		return nil, s.scanError(p.table, err)
	}
	if len(r.rows) == 0 || r.rows[0][0].null {
		return nil, nil
	}
	return cutRange(r.rows[0][0].text, r.rows[0][1].text, chunks), nil
}

// cutRange returns the bounds of equal parts of a range of integers, signed or
// unsigned.
func cutRange(low, high string, parts int64) []string {
	a, negative, errA := parseDigits([]byte(low))
	if negative {
		a = -a
	}
	b, negativeB, errB := parseDigits([]byte(high))
	if negativeB {
		b = -b
	}
	if errA != nil || errB != nil {
		return nil
	}
	// Differences are right in 64 bits even between negative and unsigned.
	width := b - a
	if width < uint64(parts) {
		return nil
	}
	var bounds []string
	for i := int64(1); i < parts; i++ {
		at := a + width/uint64(parts)*uint64(i)
		if negative && int64(at) < 0 || negative && !negativeB && at >= a {
			bounds = append(bounds, strconv.FormatInt(int64(at), 10))
			continue
		}
		bounds = append(bounds, strconv.FormatUint(at, 10))
	}
	return bounds
}

// scanError explains why rows cannot be read.
func (s *scanner) scanError(t *schema.Table, err error) error {
	if p := s.plans[t]; p != nil && p.setting != "" && isServerError(err, errParse, errBadField, errDupField, errNoSuchTable) {
		return capture.Permanent(fmt.Errorf("read table %s by %s, whose SELECT has to have the captured columns by their names: %w", t.Path(), p.setting, err))
	}
	switch {
	case isServerError(err, errTableDefChanged):
		return fmt.Errorf("table %s was altered while the snapshot began, which has to begin anew: %w", t.Path(), err)
	case isServerError(err, errTableAccess):
		return capture.Permanent(fmt.Errorf("the user %s may not read table %s: run GRANT SELECT ON %s.%s TO %s: %w",
			s.db.cfg.user, t.Path(), ident(t.Database), ident(t.Name), account(s.db.cfg), err))
	default:
		return fmt.Errorf("read table %s: %w", t.Path(), transient(err))
	}
}

// Close implements capture.Scanner. Ending the connections gives up locks and
// views. It may be called again.
func (s *scanner) Close(context.Context) error {
	var err error
	for _, ses := range s.sessions {
		err = errors.Join(err, ses.conn.close())
	}
	if s.main != nil {
		err = errors.Join(err, s.main.close())
	}
	return err
}

// session implements capture.Session over a connection with an open view.
type session struct {
	scanner *scanner
	conn    *conn
	broken  bool // a scan was given up in the middle of its rows
}

// Scan implements capture.Session.
func (s *session) Scan(ctx context.Context, t *schema.Table, lower, upper string) (capture.Rows, error) {
	p := s.scanner.plans[t]
	if p == nil {
		return nil, fmt.Errorf("table %s is not part of the view", t.Path())
	}
	if s.broken {
		return nil, errors.New("the session's last scan was not read to its end")
	}
	sql, err := p.where(lower, upper)
	if err != nil {
		return nil, err
	}
	columns, err := s.conn.start(ctx, sql)
	if err == nil && len(columns) != len(p.decoders) {
		err = fmt.Errorf("%d columns instead of %d", len(columns), len(p.decoders))
	}
	if err != nil {
		s.broken = !isServerError(err)
		return nil, s.scanner.scanError(t, err)
	}
	r := &rows{session: s, plan: p, micros: time.Now().Add(s.scanner.ahead).Unix() * microsPerSecond}
	r.source = slices.Clone(p.source)
	r.source[srcTsMs] = schema.Int(r.micros / 1000)
	r.source[srcTsUs] = schema.Int(r.micros)
	r.source[srcTsNs] = schema.Int(r.micros * 1000)
	r.source[srcServerID], r.source[srcRow] = schema.Int(0), schema.Int(0)
	r.source[srcFile] = schema.Text(s.scanner.position.File)
	r.source[srcPos] = schema.Int(int64(s.scanner.position.Pos))
	return r, nil
}

// where completes the query of a chunk.
func (p *scanPlan) where(lower, upper string) (string, error) {
	var conditions []string
	for _, b := range []struct{ bound, operator string }{{lower, " >= "}, {upper, " < "}} {
		if b.bound == "" {
			continue
		}
		if _, _, err := parseDigits([]byte(b.bound)); err != nil || p.key == "" {
			return "", fmt.Errorf("table %s cannot be cut at %q", p.table.Path(), b.bound)
		}
		conditions = append(conditions, p.key+b.operator+b.bound)
	}
	if len(conditions) == 0 {
		return p.sql, nil
	}
	return p.sql + " WHERE " + strings.Join(conditions, " AND "), nil
}

// rows are the rows of one chunk, as they come from the server.
type rows struct {
	session *session
	plan    *scanPlan
	source  schema.Row
	micros  int64
	done    bool
}

// Next implements capture.Rows.
func (r *rows) Next(ctx context.Context, b *schema.Batch) (done bool, err error) {
	for !r.done && !b.Full() {
		packet, _, err := r.session.conn.packets.next(ctx, nil)
		if err != nil {
			return false, fmt.Errorf("read table %s: %w", r.plan.table.Path(), err)
		}
		switch {
		case len(packet) == 0:
			return false, fmt.Errorf("read table %s: %w", r.plan.table.Path(), errShort)
		case isEOF(packet):
			r.done = true
			return true, nil
		case packet[0] == 0xff:
			r.done = true
			return false, r.session.scanner.scanError(r.plan.table, serverError(packet))
		}
		if err := r.row(b, packet); err != nil {
			return false, err
		}
	}
	return r.done, nil
}

// row decodes one row.
func (r *rows) row(b *schema.Batch, packet []byte) error {
	w := wire{p: b.Copy(packet)}
	row := b.Row(len(r.plan.decoders))
	for i, decode := range r.plan.decoders {
		n, null := w.lenenc()
		if null {
			continue
		}
		if n > uint64(len(w.p)) {
			return fmt.Errorf("read table %s: %w", r.plan.table.Path(), errShort)
		}
		if err := decode(&b.Arena, w.take(int(n)), &row[i]); err != nil {
			return capture.Permanent(fmt.Errorf("value of %s.%s: %w", r.plan.table.Path(), r.plan.table.Columns[i].Name, err))
		}
	}
	if w.bad {
		return fmt.Errorf("read table %s: %w", r.plan.table.Path(), errShort)
	}
	e := b.Append()
	e.Op, e.Table, e.After, e.TimeMicros = schema.OpRead, r.plan.table, row, r.micros
	e.Source = b.Row(sourceFields)
	copy(e.Source, r.source)
	return nil
}

// Close implements capture.Rows. A chunk that was not read to its end costs
// the connection, which has no other way to stop the server.
func (r *rows) Close() error {
	if r.done {
		return nil
	}
	r.session.broken = true
	return r.session.conn.close()
}
