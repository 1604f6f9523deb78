package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
)

// survey is what a stretch of the log says about a snapshot's position: from
// shortly before it, to shortly after the tables' definitions were read.
type survey struct {
	scanner *scanner
	place
	done  *gtidSet // before the current transaction, if the log has told all of it
	set   mysql.MysqlGTIDSet
	query inflater
	inner payload

	// The transaction in progress.
	gtid   gtidEvent
	start  uint64
	before bool // it is before the position
	xid    string

	catalogue *ddl.Catalogue // at the current place, as far as it is known

	// prepared are the XA transactions that are prepared before the position,
	// and not ended before it; seen are those that are prepared after it.
	prepared preparedSet
	seen     map[string]bool
	// fresh are tables whose first change after the position makes or drops
	// them: at the position there was none, or none that rows will come of.
	fresh map[tableName]bool
	// anew is why the position does not do; altered is a table that was altered
	// after it, so that its definition at the position is not known.
	anew, altered string
	// capturedOnly leaves out a table that is altered and not captured.
	capturedOnly bool
}

// logBefore returns where to look for what concerns the position that is about
// to be fixed.
func (s *scanner) logBefore(ctx context.Context) (position, error) {
	st, err := s.logStatus(ctx)
	if err != nil {
		return position{}, err
	}
	uses, err := usesXA(ctx, s.main)
	if err != nil {
		return position{}, err
	}
	if uses || st.pos > math.MaxUint32 {
		// A transaction may be in the log and not be listed yet as prepared. One
		// in an earlier file is, since a server waits for it to close the file.
		return position{File: st.file, Pos: 4}, nil
	}
	gtids, err := executed(ctx, s.main, s.server)
	return position{File: st.file, Pos: st.pos, GTIDs: gtids}, err
}

// usesXA reports whether clients have prepared XA transactions since the server
// was started.
func usesXA(ctx context.Context, c *conn) (bool, error) {
	r, err := c.query(ctx, "SHOW GLOBAL STATUS LIKE 'Com_xa_prepare'")
	return err == nil && len(r.rows) > 0 && number(r.rows[0][1].text) > 0, err
}

// awaitPrepared waits until the XA transactions have ended that are prepared
// now. A snapshot sees nothing of them, and their commit in the log has no rows;
// those that are prepared later are found by reading the log from shortly
// before.
func (s *scanner) awaitPrepared(ctx context.Context) error {
	left, _, err := recoverable(ctx, s.main)
	deadline := time.Now().Add(s.db.cfg.lockTimeout)
	for err == nil && len(left) > 0 {
		if time.Now().After(deadline) {
			return fmt.Errorf("XA transactions stay prepared for longer than %s (snapshot.lock.timeout.ms), and a snapshot now would miss their rows if they are committed later: "+
				"end them with XA COMMIT or XA ROLLBACK: %s", s.db.cfg.lockTimeout, strings.Join(left, "; "))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
		var now []string
		now, _, err = recoverable(ctx, s.main)
		left = slices.DeleteFunc(left, func(xid string) bool { return !slices.Contains(now, xid) })
	}
	return err
}

// recoverable lists the XA transactions that are prepared; complete says that
// the user may know of them.
func recoverable(ctx context.Context, c *conn) (xids []string, complete bool, err error) {
	r, err := c.query(ctx, "XA RECOVER")
	if isServerError(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, row := range r.rows {
		global, data := int(number(row[1].text)), []byte(row[3].text)
		if global > len(data) {
			return nil, false, fmt.Errorf("XA RECOVER: %w", errShort)
		}
		xids = append(xids, xidText(number(row[0].text), data[:global], data[global:]))
	}
	return xids, true, nil
}

// verify reads the log around the position. It completes the position by the
// XA transactions that are prepared there, and leaves out what the stream has
// from its beginning: tables that are made after the position, and their
// definitions. Or it says why the position does not do.
func (s *scanner) verify(ctx context.Context, from position) (why string, err error) {
	// What is prepared now, and was not seen in the views, comes from the log.
	// This is late, since a transaction may be in the log before it is listed.
	xids, _, err := recoverable(ctx, s.main)
	if err != nil {
		return "", err
	}
	if s.how == byFile { // the position is before
		from = s.position
	}
	v := survey{scanner: s, catalogue: s.catalogue.Clone(), seen: map[string]bool{}, fresh: map[tableName]bool{}}
	defer v.inner.close()
	if err := v.read(ctx, &from); err != nil {
		return "", fmt.Errorf("read the log around the snapshot's position: %w", err)
	}
	for _, xid := range xids {
		if _, ok := v.prepared.find(xid); !ok && !v.seen[xid] {
			v.anew = "the XA transaction " + xid + " is being ended"
		}
	}
	switch {
	case v.anew != "":
		return v.anew, nil
	case v.altered != "" && s.how == byFile && s.server.metadata == "FULL": // the log has all definitions
	case v.altered != "" && s.how == byFile:
		return "", s.noFixing(v.altered)
	case v.altered != "":
		return v.altered + " is altered", nil
	}
	s.position.Prepared = v.prepared.String()
	if s.how != byFile { // where the position is from long before the snapshot
		s.captured = slices.DeleteFunc(s.captured, func(t listed) bool { return v.fresh[v.fold(t.database, t.name)] })
	}
	s.statements = slices.DeleteFunc(s.statements, func(d definedBy) bool { return v.fresh[v.fold(d.database, d.name)] })
	return "", nil
}

func (v *survey) fold(database, name string) tableName {
	if v.scanner.server.foldCase {
		database, name = strings.ToLower(database), strings.ToLower(name)
	}
	return tableName{database, name}
}

// read reads from a position up to the end of the log.
func (v *survey) read(ctx context.Context, from *position) (err error) {
	cfg, server := v.scanner.db.cfg, v.scanner.server
	byGTID := from.GTIDs != "" && server.gtid && !cfg.ignoreGTID
	v.place = place{file: from.File, end: from.Pos}
	if byGTID {
		if v.done, err = newGTIDSet(cfg.flavor, from.GTIDs); err != nil {
			return err
		}
	}
	if !server.mariaDB && v.scanner.position.GTIDs != "" {
		set, err := mysql.ParseMysqlGTIDSet(v.scanner.position.GTIDs)
		if err != nil {
			return fmt.Errorf("GTIDs: %w", err)
		}
		v.set = *set.(*mysql.MysqlGTIDSet)
	}
	c, err := dial(ctx, cfg)
	if err != nil {
		return err
	}
	d := dump{cfg: cfg, conn: c, server: server}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := d.open(ctx, from, byGTID, false); err != nil {
		return err
	}
	silent := time.NewTimer(silentFor)
	defer silent.Stop()
	for {
		silent.Reset(silentFor)
		packet, ok, err := c.packets.next(ctx, silent.C)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("the server %s has been silent for %s", cfg.addr(), silentFor)
		}
		e, err := d.parse(packet)
		if errors.Is(err, errLogEnd) {
			// A server that shuts down says the same, but no more to another.
			return v.scanner.main.exec(ctx, "SELECT 1")
		}
		if err == nil {
			err = v.event(&e)
		}
		if err != nil {
			return v.at(err)
		}
	}
}

func (v *survey) event(e *event) error {
	if e.typ == evRotate {
		v.rotate(e)
		return nil
	}
	v.advance(e)
	switch e.typ {
	case evPreviousGTIDs, evMariaGTIDList:
		return v.previous(e)
	case evGTID, evAnonymousGTID, evTaggedGTID, evMariaGTID:
		if err := v.end(); err != nil {
			return err
		}
		g, err := parseGTIDEvent(e)
		v.gtid, v.start, v.before, v.xid = g, v.begin, v.isBefore(&g), g.preparedXA
		return err
	case evQuery, evMariaQueryCompressed:
		q, err := parseQuery(e.body, false)
		if err == nil && e.typ == evMariaQueryCompressed {
			q.sql, err = v.query.inflate(q.sql)
		}
		if err != nil {
			return capture.Permanent(err)
		}
		v.statement(&q)
	case evXAPrepare:
		v.prepare(e)
	case evPayload:
		return v.payload(e)
	}
	return nil
}

// previous takes the GTIDs that are before the file that begins.
func (v *survey) previous(e *event) error {
	if v.done != nil || e.flags&flagArtificial != 0 {
		return nil
	}
	text, err := parsePrevious(e)
	if err == nil {
		v.done, err = newGTIDSet(v.scanner.db.cfg.flavor, text)
	}
	return err
}

// end counts the transaction in progress.
func (v *survey) end() error {
	if v.done == nil || !v.gtid.known {
		return nil
	}
	return v.done.add(v.gtid.gtid)
}

// isBefore reports whether the transaction that begins is before the position.
func (v *survey) isBefore(g *gtidEvent) bool {
	p := &v.scanner.position
	if v.set != nil && g.known {
		return slices.ContainsFunc(v.set[g.gtid.sid][mysql.NewTag(g.gtid.tag)], func(i mysql.Interval) bool {
			return i.Start <= g.gtid.number && g.gtid.number < i.Stop
		})
	}
	return compareFiles(v.file, v.begin, p.File, p.Pos) < 0
}

// payload reads a compressed transaction.
func (v *survey) payload(e *event) error {
	if err := v.inner.start(*e); err != nil {
		return capture.Permanent(err)
	}
	for {
		e, ok, err := v.inner.next()
		if err != nil {
			return capture.Permanent(err)
		}
		if !ok {
			return nil
		}
		if err := v.event(&e); err != nil {
			return err
		}
	}
}

// prepare takes the end of an XA transaction that is prepared.
func (v *survey) prepare(e *event) {
	const onePhase = 1
	switch {
	case len(e.body) > 0 && e.body[0] == onePhase:
	case !v.before:
		v.seen[v.xid] = true
	default:
		p := prepared{XID: v.xid, File: v.file, Pos: v.start}
		if v.done != nil && v.gtid.known {
			p.GTID = string(v.gtid.gtid.append(nil, v.scanner.db.cfg.flavor))
			if v.scanner.server.mariaDB {
				p.After = v.done.String()
			}
		}
		v.prepared.add(p)
	}
}

func (v *survey) statement(q *queryEvent) {
	verb, xid, isXA := xaStatement(q.sql)
	switch {
	case isXA && verb == "START":
		v.xid = xid
	case isXA && verb != "COMMIT" && verb != "ROLLBACK":
	case isXA && v.before:
		v.prepared.remove(xid)
	case isXA:
		if _, ok := v.prepared.find(xid); !ok && !v.seen[xid] && verb == "COMMIT" {
			v.anew = "the XA transaction " + xid + " is committed, which was prepared long before"
		}
	case !v.before:
		v.definition(q)
	}
}

// definition takes a statement after the position that may be about tables.
func (v *survey) definition(q *queryEvent) {
	s := v.scanner
	// The definitions may have been read after the statement. That is no matter,
	// since what counts is which tables it names.
	st, err := v.catalogue.Apply(string(q.database), string(q.sql), q.mode())
	switch {
	case err != nil && s.db.cfg.filter.Namespace(st.Database):
		v.altered = "a table of the database " + st.Database
		return
	case st.Kind == ddl.DatabaseStatement && st.Type == ddl.Alter && s.db.cfg.filter.Namespace(st.Database):
		v.altered = "the database " + st.Database
		return
	}
	for _, c := range st.Changes {
		switch {
		case c.Type == ddl.Truncate:
		case c.PreviousName != "":
			v.change(c.PreviousDatabase, c.PreviousName, false)
			v.change(c.Database, c.Name, true)
		default:
			v.change(c.Database, c.Name, c.Type != ddl.Alter)
		}
	}
}

// change takes what happened to a table's name.
func (v *survey) change(database, name string, fresh bool) {
	t := v.fold(database, name)
	switch {
	case v.fresh[t] || !v.scanner.db.cfg.filter.Namespace(database):
	case fresh, v.capturedOnly && !v.scanner.db.cfg.filter.Table(database, "", name):
		v.fresh[t] = true
	default:
		v.altered = "the table " + database + "." + name
	}
}
