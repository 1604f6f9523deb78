package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
)

// slot is a replication slot as the server has it.
type slot struct {
	plugin, database   string
	pid                string // of the process that uses it; empty if none
	restart, confirmed lsn
	lost               string // why it can no longer be read; empty if it can
}

// readSlot returns nil if there is no slot of the name.
func readSlot(ctx context.Context, conn *pgconn.PgConn, name string) (*slot, error) {
	rows, err := query(ctx, conn, `
SELECT plugin, database, CASE WHEN active THEN active_pid END, restart_lsn, confirmed_flush_lsn, `+invalidated(conn)+`
FROM pg_catalog.pg_replication_slots WHERE slot_name = $1`, name)
	if err != nil {
		return nil, fmt.Errorf("look up replication slot %s: %w", name, err)
	}
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // no slot is an answer
	}
	r := rows[0]
	s := &slot{plugin: string(r[0]), database: string(r[1]), pid: string(r[2]), lost: string(r[5])}
	if s.restart, err = parseLSN(r[3]); err != nil {
		return nil, err
	}
	if s.confirmed, err = parseLSN(r[4]); err != nil {
		return nil, err
	}
	return s, nil
}

// invalidated is the SQL that says why a slot can no longer be read, null if it
// can.
func invalidated(conn *pgconn.PgConn) string {
	switch v := majorVersion(conn); {
	case v >= 17:
		return "coalesce(invalidation_reason, CASE WHEN wal_status = 'lost' THEN 'wal_removed' END)"
	case v >= 16:
		return "CASE WHEN conflicting THEN 'conflict with recovery' WHEN wal_status = 'lost' THEN 'wal_removed' END"
	case v >= 13:
		return "CASE WHEN wal_status = 'lost' THEN 'wal_removed' END"
	default:
		return "NULL::text"
	}
}

// parseLSN takes null as 0.
func parseLSN(text []byte) (lsn, error) {
	if len(text) == 0 {
		return 0, nil
	}
	at, err := pglogrepl.ParseLSN(string(text))
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not an LSN", errUnexpected, text)
	}
	return at, nil
}

// usable reports why a slot cannot be streamed from by this connector.
func (c *config) usable(s *slot) error {
	switch {
	case s.plugin != plugin:
		return capture.Permanent(fmt.Errorf("replication slot %s has the output plugin %q, not %s: choose another slot.name, or drop the slot if nothing needs it: SELECT pg_drop_replication_slot(%s)",
			c.slot, s.plugin, plugin, literal(c.slot)))
	case s.database != c.dbname:
		return capture.Permanent(fmt.Errorf("replication slot %s belongs to database %s, not %s: choose another slot.name", c.slot, s.database, c.dbname))
	case s.lost != "":
		return fmt.Errorf("replication slot %s can no longer be read (%s): the server has removed log that was still needed (confirmed up to %s). Drop it with SELECT pg_drop_replication_slot(%s) and take a new snapshot (snapshot.mode=when_needed does both); raise max_slot_wal_keep_size if it was too small: %w",
			c.slot, s.lost, s.confirmed, literal(c.slot), capture.ErrPositionLost)
	case s.pid != "":
		return &SlotActiveError{Slot: c.slot, PID: s.pid}
	}
	return nil
}

// SlotActiveError says that another connection streams from the slot. It goes
// away when that one ends.
type SlotActiveError struct {
	Slot, PID string
}

// Error names slot and process.
func (e *SlotActiveError) Error() string {
	return fmt.Sprintf("replication slot %s is in use by the server's process %s: it is tried again, since a former connection of this connector may not have ended yet. If another connector uses it, give this one a slot.name of its own",
		e.Slot, e.PID)
}

// slotMissing is the loss of the whole slot.
func (c *config) slotMissing(at lsn) error {
	return fmt.Errorf("replication slot %s does not exist any more, so the changes since %s are lost. Take a new snapshot (snapshot.mode=when_needed does): %w", c.slot, at, capture.ErrPositionLost)
}

// slotPassed is a slot that has been confirmed beyond the stored position.
func (c *config) slotPassed(stored, confirmed lsn) error {
	return fmt.Errorf("replication slot %s was confirmed up to %s, which is after the stored position %s: the changes between the two are lost. Somebody else has read the slot, or the stored offset is from an older time. Take a new snapshot (snapshot.mode=when_needed does): %w",
		c.slot, confirmed, stored, capture.ErrPositionLost)
}

const plugin = "pgoutput"

// createSlot makes the slot and returns the position from which on it keeps
// the log. With export, snapshot names a state of the database that is exactly
// there; it lives as long as the connection is idle.
func (c *config) createSlot(ctx context.Context, repl *pgconn.PgConn, export bool) (at lsn, snapshot string, err error) {
	sql := "CREATE_REPLICATION_SLOT " + identifier(c.slot) + " LOGICAL " + plugin
	failover := c.failover && majorVersion(repl) >= 17
	switch {
	case failover && export:
		sql += " (SNAPSHOT 'export', FAILOVER true)"
	case failover:
		sql += " (SNAPSHOT 'nothing', FAILOVER true)"
	case export:
		sql += " EXPORT_SNAPSHOT"
	default:
		sql += " NOEXPORT_SNAPSHOT"
	}
	results, err := repl.Exec(ctx, sql).ReadAll()
	if err != nil {
		return 0, "", c.slotError(err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 3 {
		return 0, "", fmt.Errorf("create replication slot %s: %w", c.slot, errUnexpected)
	}
	row := results[0].Rows[0]
	if at, err = parseLSN(row[1]); err != nil {
		return 0, "", fmt.Errorf("create replication slot %s: %w", c.slot, err)
	}
	return at, string(row[2]), nil
}

// slotError adds the remedy to the errors that have one.
func (c *config) slotError(err error) error {
	what := fmt.Errorf("create replication slot %s: %w", c.slot, err)
	switch {
	case hasCode(err, "53400"):
		return capture.Permanent(fmt.Errorf("%w. Raise max_replication_slots of the server, or drop a slot that nothing needs", what))
	case hasCode(err, "42501"):
		return capture.Permanent(fmt.Errorf("%w. Run: ALTER ROLE %s REPLICATION", what, identifier(c.user)))
	case hasCode(err, "55000"):
		return capture.Permanent(fmt.Errorf("%w. Run: ALTER SYSTEM SET wal_level = logical, and restart the server", what))
	}
	return what
}

// replaceable reports whether a slot is one of this connector's that holds
// nothing any more, so that a new snapshot may replace it.
func (c *config) replaceable(s *slot) bool {
	return c.copiesAgain && s.lost != "" && s.plugin == plugin && s.database == c.dbname
}

// dropInvalidated drops the slot if it cannot be read any more; not one that
// somebody has made in its place in the meantime.
func (c *config) dropInvalidated(ctx context.Context, conn *pgconn.PgConn, s *slot) error {
	if s.pid != "" { // the server is about to end it
		return &SlotActiveError{Slot: c.slot, PID: s.pid}
	}
	_, err := query(ctx, conn, `
SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1 AND NOT active AND `+invalidated(conn)+` IS NOT NULL`, c.slot)
	if err != nil {
		return fmt.Errorf("drop replication slot %s, which can no longer be read (%s): %w", c.slot, s.lost, err)
	}
	return nil
}

// dropSlot drops the slot if it is there.
func dropSlot(ctx context.Context, conn *pgconn.PgConn, name string) error {
	_, err := query(ctx, conn, `SELECT pg_catalog.pg_drop_replication_slot($1)`, name)
	if hasCode(err, "42704") { // undefined_object
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop replication slot %s: %w", name, err)
	}
	return nil
}

// streamError gives the server's errors while streaming their meaning.
func (c *config) streamError(ctx context.Context, err error, at lsn) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "55006": // object_in_use
		return fmt.Errorf("stream from replication slot %s: %w", c.slot, err)
	case "58P01", "55000": // a removed segment, an invalidated slot
		return c.unreadable(ctx, pg, at)
	case "42704": // undefined_object
		return capture.Permanent(fmt.Errorf("stream from replication slot %s at %s: %s. The log is read with the publications of its own time: one that was dropped or made since does not help. Take a new snapshot with a new slot, or skip the gap by dropping the slot: %w", c.slot, at, pg.Message, err))
	case "42501":
		return capture.Permanent(fmt.Errorf("stream from replication slot %s: %s. Run: ALTER ROLE %s REPLICATION: %w", c.slot, pg.Message, identifier(c.user), err))
	}
	return fmt.Errorf("stream from replication slot %s: %w", c.slot, err)
}

// unreadable asks the server whether the slot is why it does not send its log.
func (c *config) unreadable(ctx context.Context, pg *pgconn.PgError, at lsn) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err // it will show when the source is opened again
	}
	defer closeConn(ctx, conn)
	s, err := readSlot(ctx, conn, c.slot)
	switch {
	case err != nil:
		return err
	case s == nil:
		return c.slotMissing(at)
	case s.lost != "":
		return c.usable(s)
	}
	what := fmt.Errorf("stream from replication slot %s at %s: %s: %w", c.slot, at, pg.Message, pg)
	if pg.Code == "58P01" { // undefined_file
		// A new snapshot would go on with this slot, and meet the same.
		return capture.Permanent(fmt.Errorf("%w. The server has not invalidated the slot, so its log is damaged. Drop the slot: SELECT pg_drop_replication_slot(%s), and let snapshot.mode=when_needed copy the tables again", what, literal(c.slot)))
	}
	return what
}
