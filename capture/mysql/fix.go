package mysql

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
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

// fix fixes the position and opens the views. Locks are held until unlock.
func (s *scanner) fix(ctx context.Context, captured []listed) (err error) {
	if s.how, err = s.choose(ctx, captured); err != nil {
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
func (s *scanner) choose(ctx context.Context, captured []listed) (fixing, error) {
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
	if cfg.lock && len(captured) > 0 {
		err := s.main.exec(ctx, lockTables(captured))
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
	if s.server.metadata != "FULL" {
		return 0, s.noFixing(refused)
	}
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

// noFixing is the error where no way is open.
func (s *scanner) noFixing(refused error) error {
	cfg := s.db.cfg
	const others = "turn on GTIDs (gtid_mode) or SET GLOBAL binlog_row_metadata = FULL"
	switch {
	case refused == nil:
		return capture.Permanent(fmt.Errorf("without a lock, a snapshot of this server might miss changes of the moment when it begins: set snapshot.locking.mode=minimal, %s", others))
	case isServerError(refused, errLockWaitTimeout):
		return fmt.Errorf("no lock on the tables within %s (snapshot.lock.timeout.ms), because of a long statement, an open transaction or another lock, "+
			"and without a lock a snapshot of this server might miss changes of the moment when it begins: end what holds the tables, %s: %w", cfg.lockTimeout, others, refused)
	default:
		return capture.Permanent(fmt.Errorf("the user %s may not lock tables, and without a lock a snapshot of this server might miss changes of the moment when it begins: "+
			"run GRANT RELOAD ON *.* TO %s or GRANT LOCK TABLES ON *.* TO %[2]s, %[3]s: %[4]w", cfg.user, account(cfg), others, refused))
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
	st, err := logStatus(ctx, s.main)
	if err != nil {
		if isServerError(err, errSpecificAccess, errAccessDenied) {
			return st, fmt.Errorf("the user %s may not read the log's position: run GRANT REPLICATION CLIENT ON *.* TO %s: %w",
				s.db.cfg.user, account(s.db.cfg), err)
		}
		return st, err
	}
	if s.how == byGTIDs || s.how == byFile {
		// The only place in the file that all before it is visible at. With
		// GTIDs it serves a reader who goes by it nevertheless.
		st.pos = 4
	}
	return st, nil
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
