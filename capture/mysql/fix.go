package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// fixing is how the position is made to fit the views: whatever the log has
// before the position must be visible in them.
//
// That is less than obvious because a server writes a transaction to its log
// first and makes it visible afterwards. Where the log ends, as the server
// tells it, may thus be behind transactions that a view opened later does not
// have yet; with semi-synchronous replication that lasts as long as a replica
// takes to answer.
type fixing uint8

const (
	// byGlobalLock: FLUSH TABLES WITH READ LOCK waits until all transactions
	// that are being committed are visible, and lets no other begin.
	byGlobalLock fixing = iota + 1
	// byGTIDs: MySQL counts a transaction as executed when it is visible, so
	// that views opened after the set was read have all of it. Reading must
	// begin by the set then.
	byGTIDs
	// byView: MariaDB tells a session which place in the log its view is of.
	byView
	// byTableLocks: LOCK TABLES … READ does for the captured tables what the
	// global lock does for all.
	byTableLocks
	// byFile: the position is the beginning of the log's current file. A server
	// closes a file only when all that is in it is visible, so nothing is
	// missed; what the file has already is repeated.
	byFile
	// notAtAll: nothing is copied, so nothing has to fit.
	notAtAll
)

const (
	// fixTries is how often a position is tried to be fixed while tables are
	// altered.
	fixTries = 5
	// fewTables is how many definitions beside those of the captured tables may
	// be read while all tables are locked.
	fewTables = 100
)

// begin fixes the position, opens the views and reads the definitions.
func (s *scanner) begin(ctx context.Context) error {
	for try := 1; ; try++ {
		why, err := s.fix(ctx, try == fixTries)
		if err != nil {
			return err
		}
		if why == "" {
			return nil
		}
		if try == fixTries {
			return fmt.Errorf("a snapshot cannot begin, since each time that it fixes a position %s", why)
		}
		s.db.cfg.logger.Info("the snapshot's position is fixed anew", "reason", why)
	}
}

// beginAgain opens views for an interrupted snapshot. Its position is fixed,
// and so are the definitions in the schema history.
func (s *scanner) beginAgain(ctx context.Context, from schema.Position) (err error) {
	if s.position, err = parsePosition(from); err != nil {
		return err
	}
	if err := s.openViews(ctx); err != nil {
		return err
	}
	if err := s.listTables(ctx); err != nil {
		return err
	}
	if s.db.cfg.schemaChanges {
		return errors.Join(s.define(ctx, s.captured), s.define(ctx, s.others))
	}
	return s.define(ctx, s.captured)
}

// part parts the tables into captured ones and others that the schema history
// or the schema changes are to know.
func (s *scanner) part() {
	s.captured, s.others, s.statements = nil, nil, nil
	for _, t := range s.tables {
		if s.db.cfg.filter.Table(t.database, "", t.name) {
			s.captured = append(s.captured, t)
		} else if !s.db.cfg.onlyTables && (s.db.cfg.schemaChanges || s.db.env.Journal != nil) {
			s.others = append(s.others, t)
		}
	}
	s.catalogue = &ddl.Catalogue{FoldCase: s.server.foldCase, MariaDB: s.server.mariaDB, Charset: s.server.charset}
}

// listTables brings the tables up to date. Estimates, which take their time,
// stay as they were the first time.
func (s *scanner) listTables(ctx context.Context) (err error) {
	if s.tables, err = s.list(ctx); err != nil {
		return err
	}
	s.part()
	if s.rows == nil {
		if s.rows, err = s.estimate(ctx, s.captured); err != nil {
			return err
		}
	}
	for i := range s.captured {
		if n, ok := s.rows[s.captured[i].tableName]; ok {
			s.captured[i].rows = n
		}
	}
	return nil
}

// fix tries to fix the position. It returns why that has to be done anew,
// because of what happened meanwhile; the last try goes to some length to
// succeed.
func (s *scanner) fix(ctx context.Context, last bool) (why string, err error) {
	before, err := s.logBefore(ctx)
	if err != nil {
		return "", err
	}
	if err := s.listTables(ctx); err != nil {
		return "", err
	}
	if err := s.awaitPrepared(ctx); err != nil {
		return "", err
	}
	locked := s.captured
	if err := s.fixViews(ctx); err != nil {
		return "", err
	}
	// Tables may have been made or dropped before the position.
	if err := s.listTables(ctx); err != nil {
		return "", err
	}
	if s.how == byTableLocks && !slices.EqualFunc(locked, s.captured, func(a, b listed) bool { return a.tableName == b.tableName }) {
		return "tables are created or dropped", s.unlock(ctx)
	}
	if err := s.define(ctx, s.captured); err != nil {
		return "", err
	}
	if s.how == byGlobalLock && (last || len(s.others) <= fewTables) {
		xids, complete, err := recoverable(ctx, s.main)
		if err := errors.Join(err, s.define(ctx, s.others), s.unlock(ctx)); err != nil {
			return "", err
		}
		if complete && len(xids) == 0 {
			return "", nil // there is nothing that the log could tell
		}
	} else if err := errors.Join(s.unlock(ctx), s.define(ctx, s.others)); err != nil {
		return "", err
	}
	return s.verify(ctx, before)
}

// fixViews fixes the position and opens the views. Locks are held until
// unlock.
func (s *scanner) fixViews(ctx context.Context) (err error) {
	if s.how, err = s.choose(ctx); err != nil {
		return err
	}
	if s.how == byView {
		// The view knows its position.
		if err := s.openViews(ctx); err != nil {
			return err
		}
		return s.readPosition(ctx)
	}
	if err := s.readPosition(ctx); err != nil {
		return err
	}
	return s.openViews(ctx)
}

func (s *scanner) openViews(ctx context.Context) error {
	for _, ses := range s.sessions {
		if err := ses.conn.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
			return err
		}
	}
	return nil
}

// choose finds the first way that is wanted and can be had, and takes its
// lock.
func (s *scanner) choose(ctx context.Context) (fixing, error) {
	cfg := s.db.cfg
	var refused error // why there is no lock on all tables
	if cfg.lock {
		seconds := max(1, int(math.Ceil(cfg.lockTimeout.Seconds())))
		if err := s.main.exec(ctx, "SET SESSION lock_wait_timeout = "+strconv.Itoa(seconds)); err != nil {
			return 0, err
		}
		if refused = s.main.exec(ctx, "FLUSH TABLES WITH READ LOCK"); refused == nil {
			s.locked = true
			return byGlobalLock, nil
		}
		if !isServerError(refused) {
			return 0, refused
		}
	}
	switch {
	case len(s.sessions) == 0:
		return notAtAll, nil
	case s.server.mariaDB:
		return byView, nil
	case s.server.gtid && !cfg.ignoreGTID:
		return byGTIDs, nil
	}
	if cfg.lock && len(s.captured) > 0 {
		err := s.main.exec(ctx, lockTables(s.captured))
		switch {
		case err == nil:
			s.locked = true
			return byTableLocks, nil
		case isServerError(err, errNoSuchTable):
			return 0, fmt.Errorf("tables were dropped while the snapshot began, which has to begin anew: %w", err)
		case !isServerError(err):
			return 0, err
		case isServerError(err, errLockWaitTimeout):
			refused = err
		}
	}
	s.refused = refused
	cfg.logger.Warn("the snapshot begins without a lock, and the server has no GTIDs: changes since the beginning of the log's current file are published again",
		"remedy", "GRANT RELOAD ON *.* TO "+account(cfg), "err", refused)
	return byFile, nil
}

func lockTables(tables []listed) string {
	var sql strings.Builder
	sql.WriteString("LOCK TABLES ")
	for i, t := range tables {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteString(ident(t.database) + "." + ident(t.name) + " READ")
	}
	return sql.String()
}

// noFixing is the error where not even the beginning of the log's current file
// does, since definitions have changed within it.
func (s *scanner) noFixing(altered string) error {
	cfg := s.db.cfg
	what := fmt.Sprintf("without a lock, a snapshot of this server has to begin with the current file of its log, within which %s was altered", altered)
	const others = "turn on GTIDs (gtid_mode) or SET GLOBAL binlog_row_metadata = FULL"
	switch {
	case s.refused == nil:
		return capture.Permanent(fmt.Errorf("%s: set snapshot.locking.mode=minimal, %s", what, others))
	case isServerError(s.refused, errLockWaitTimeout):
		return fmt.Errorf("%s; there was no lock within %s (snapshot.lock.timeout.ms), because of a long statement, an open transaction or another lock: "+
			"end what holds the tables, %s: %w", what, cfg.lockTimeout, others, s.refused)
	default:
		return capture.Permanent(fmt.Errorf("%s, and the user %s may not lock tables: run GRANT RELOAD ON *.* TO %s or GRANT LOCK TABLES ON *.* TO %[3]s, %[4]s: %[5]w",
			what, cfg.user, account(cfg), others, s.refused))
	}
}

func (s *scanner) unlock(ctx context.Context) error {
	if !s.locked {
		return nil
	}
	s.locked = false
	return s.main.exec(ctx, "UNLOCK TABLES")
}

// readPosition reads the position that the views are, or will be, at or after.
func (s *scanner) readPosition(ctx context.Context) error {
	st, err := s.place(ctx)
	if err != nil {
		return err
	}
	gtids, err := s.gtids(ctx, st)
	if err != nil {
		return err
	}
	s.position = position{File: st.file, Pos: st.pos, GTIDs: gtids, TimeSeconds: time.Now().Add(s.ahead).Unix()}
	return nil
}

// place reads the place in the log.
func (s *scanner) place(ctx context.Context) (status, error) {
	if s.how == byView {
		r, err := s.sessions[0].conn.query(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
		if err != nil {
			return status{}, err
		}
		var st status
		for _, row := range r.rows {
			switch strings.ToLower(row[0].text) {
			case "binlog_snapshot_file":
				st.file = row[1].text
			case "binlog_snapshot_position":
				st.pos = uint64(number(row[1].text))
			}
		}
		if st.file == "" {
			return st, capture.Permanent(fmt.Errorf("the server %s does not tell the place of a view in its log (binlog_snapshot_file): run GRANT RELOAD ON *.* TO %s",
				s.db.cfg.addr(), account(s.db.cfg)))
		}
		return st, nil
	}
	st, err := s.logStatus(ctx)
	if s.how == byGTIDs || s.how == byFile {
		// The only place in the file that all before it is visible at. With
		// GTIDs it serves a reader who goes by it nevertheless.
		st.pos = 4
	}
	return st, err
}

// logStatus reads where the log ends.
func (s *scanner) logStatus(ctx context.Context) (status, error) {
	st, err := logStatus(ctx, s.main)
	if isServerError(err, errSpecificAccess, errAccessDenied) {
		err = fmt.Errorf("the user %s may not read the log's position: run GRANT REPLICATION CLIENT ON *.* TO %s: %w",
			s.db.cfg.user, account(s.db.cfg), err)
	}
	return st, err
}

// gtids reads the set of transactions before a place, which was read before.
func (s *scanner) gtids(ctx context.Context, at status) (string, error) {
	switch s.how {
	case byView:
		text, err := s.main.one(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", quote(at.file), at.pos))
		return strings.Join(strings.Fields(text), ""), err
	case byFile:
		return "", nil // the set that is known is that of the log's end
	default:
		return executed(ctx, s.main, s.server)
	}
}
