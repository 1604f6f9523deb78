package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
)

var errNoBinlog = errors.New("the server writes no binary log: set log_bin in its configuration and restart it")

// readable refuses a server whose log has nothing that can be read.
func (s *serverInfo) readable(cfg *config) error {
	switch {
	case s.mariaDB && !cfg.flavor.mariaDB:
		return capture.Permanent(fmt.Errorf("the server %s is a MariaDB (%s): use connector.class=io.debezium.connector.mariadb.MariaDbConnector", cfg.addr(), s.version))
	case !s.mariaDB && cfg.flavor.mariaDB:
		return capture.Permanent(fmt.Errorf("the server %s is not a MariaDB (%s): use connector.class=io.debezium.connector.mysql.MySqlConnector", cfg.addr(), s.version))
	case !s.logBin:
		return capture.Permanent(errNoBinlog)
	case s.format != "ROW":
		return capture.Permanent(fmt.Errorf("the server has binlog_format=%s, so that its log holds statements and not rows: run SET GLOBAL binlog_format = ROW and restart the sessions that write", s.format))
	}
	return nil
}

// checkReach makes sure that the log still reaches back to a position, before
// the server is asked for it: what it answers then does not tell all cases
// apart.
func checkReach(ctx context.Context, c *conn, s *serverInfo, at *position, byGTID bool, cfg *config) error {
	if byGTID && !s.mariaDB {
		return checkGTIDs(ctx, c, at, cfg)
	}
	if byGTID { // MariaDB tells itself
		return nil
	}
	if at.File == "" {
		return capture.Permanent(fmt.Errorf("the saved position has GTIDs only, and the server has none (gtid_mode): %w", capture.ErrPositionLost))
	}
	r, err := c.query(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	for _, row := range r.rows {
		if row[0].text != at.File {
			continue
		}
		if size := uint64(number(row[1].text)); size < at.Pos {
			return lost(fmt.Sprintf("the binary log %s ends at %d, before the saved position %d: the server was restored, or is another one", at.File, size, at.Pos))
		}
		return nil
	}
	oldest := "none"
	if len(r.rows) > 0 {
		oldest = r.rows[0][0].text
	}
	return lost(fmt.Sprintf("the binary log %s of the saved position is gone (the oldest there is: %s)", at.File, oldest))
}

// lost is the error of a position that the log does not reach back to.
func lost(what string) error {
	return capture.Permanent(fmt.Errorf("%s, so changes since then cannot be read. To copy the tables again, set snapshot.mode=when_needed or reset the connector's offsets; "+
		"to prevent it, raise binlog_expire_logs_seconds: %w", what, capture.ErrPositionLost))
}

// checkGTIDs compares the position with what the server has and has no longer.
func checkGTIDs(ctx context.Context, c *conn, at *position, cfg *config) error {
	ours, err := parseGTIDs(cfg.flavor, at.GTIDs)
	if err != nil {
		return capture.Permanent(fmt.Errorf("the saved position: %w; reset the connector's offsets", err))
	}
	text, err := c.one(ctx, "SELECT @@GLOBAL.gtid_purged")
	if err != nil {
		return err
	}
	purged, err := parseGTIDs(cfg.flavor, strings.Join(strings.Fields(text), ""))
	if err != nil {
		return err
	}
	if !ours.Contain(purged) {
		return lost(fmt.Sprintf("the server has purged transactions that were not read yet (purged: %s; read: %s)", purged, at.GTIDs))
	}
	// A transaction can be sent to readers a moment before it counts as
	// executed.
	for try := 0; ; try++ {
		text, err := c.one(ctx, "SELECT @@GLOBAL.gtid_executed")
		if err != nil {
			return err
		}
		there, err := parseGTIDs(cfg.flavor, strings.Join(strings.Fields(text), ""))
		if err != nil {
			return err
		}
		if there.Contain(ours) {
			return nil
		}
		if try == 5 {
			return lost(fmt.Sprintf("the server does not have all transactions that were read already (it has: %s; read: %s): it was restored, reset, or lost them in a failover", text, at.GTIDs))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// readError turns the server's answer to the request for its log into one that
// says what to do.
func readError(err error, cfg *config) error {
	var s *ServerError
	if !errors.As(err, &s) {
		return err
	}
	m := strings.ToLower(s.Message)
	switch {
	case strings.Contains(m, "same server_uuid") || strings.Contains(m, "same server_id") || strings.Contains(m, "server_uuid/server_id"):
		return fmt.Errorf("another reader has connected to the server with database.server.id=%d; give each reader its own: %w", cfg.serverID, err)
	case s.Code != errReadLog:
		return fmt.Errorf("read the binary log: %w", err)
	case strings.Contains(m, "max_allowed_packet"):
		return capture.Permanent(fmt.Errorf("an event of the binary log is larger than the server may send: raise max_allowed_packet on the server: %w", err))
	case strings.Contains(m, "misconfigured master"), strings.Contains(m, "server id was not set"):
		return capture.Permanent(fmt.Errorf("read the binary log: %w", err))
	default:
		return lost("the server cannot read its binary log from the saved position on: " + s.Message)
	}
}
