package mysql

import (
	"context"
	"fmt"
	"strings"
)

// serverInfo is what one has to know of a server before reading from it.
type serverInfo struct {
	version     string
	mariaDB     bool
	logBin      bool
	format      string // binlog_format
	image       string // binlog_row_image
	metadata    string // binlog_row_metadata; empty where the server has no such thing
	partialJSON bool   // binlog_row_value_options
	checksum    string
	gtid        bool
	foldCase    bool
	charset     string // character_set_server
	expireDays  float64
	collations  map[uint64]string
}

// inspect reads the server's variables and collations.
func inspect(ctx context.Context, c *conn) (*serverInfo, error) {
	v, err := c.variables(ctx, "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "binlog_row_value_options",
		"binlog_checksum", "gtid_mode", "lower_case_table_names", "character_set_server", "binlog_expire_logs_seconds", "expire_logs_days")
	if err != nil {
		return nil, err
	}
	s := &serverInfo{
		version: c.version, mariaDB: strings.Contains(strings.ToLower(c.version), "mariadb"),
		logBin: v["log_bin"] == "ON", format: v["binlog_format"], image: v["binlog_row_image"], metadata: v["binlog_row_metadata"],
		partialJSON: strings.Contains(v["binlog_row_value_options"], "PARTIAL_JSON"), checksum: v["binlog_checksum"],
		foldCase: v["lower_case_table_names"] != "0", charset: v["character_set_server"],
	}
	if s.format == "" {
		s.format = "ROW" // the only one, once the variable is gone
	}
	s.gtid = s.mariaDB || v["gtid_mode"] == "ON"
	s.expireDays = float64(number(v["binlog_expire_logs_seconds"])) / 86400
	if s.expireDays == 0 {
		s.expireDays = float64(number(v["expire_logs_days"]))
	}
	if s.collations, err = collations(ctx, c, s.mariaDB); err != nil {
		return nil, err
	}
	return s, nil
}

// collations reads the character sets of the collations' numbers, by which the
// log names them.
func collations(ctx context.Context, c *conn, mariaDB bool) (map[uint64]string, error) {
	r, err := c.query(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return nil, err
	}
	if mariaDB {
		// The uca1400 collations have a number for each character set.
		if more, err := c.query(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"); err == nil {
			r.rows = append(r.rows, more.rows...)
		}
	}
	m := make(map[uint64]string, len(r.rows))
	for _, row := range r.rows {
		if row[0].null || row[1].null {
			continue
		}
		name := strings.ToLower(row[1].text)
		if name == "utf8" {
			name = "utf8mb3"
		}
		m[uint64(number(row[0].text))] = name
	}
	return m, nil
}

// status is the log's current end.
type status struct {
	file string
	pos  uint64
}

// logStatus reads the log's current end.
func logStatus(ctx context.Context, c *conn) (status, error) {
	r, err := c.query(ctx, "SHOW BINARY LOG STATUS") // MySQL from 8.2 on
	if isServerError(err, errParse) {
		r, err = c.query(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return status{}, err
	}
	if len(r.rows) == 0 {
		return status{}, errNoBinlog
	}
	file, _ := r.get(r.rows[0], "File")
	pos, _ := r.get(r.rows[0], "Position")
	return status{file: file, pos: uint64(number(pos))}, nil
}

// executed reads the set of completed transactions.
func executed(ctx context.Context, c *conn, s *serverInfo) (string, error) {
	if !s.gtid {
		return "", nil
	}
	sql := "SELECT @@GLOBAL.gtid_executed"
	if s.mariaDB {
		sql = "SELECT @@GLOBAL.gtid_binlog_pos"
	}
	text, err := c.one(ctx, sql)
	return strings.Join(strings.Fields(text), ""), err
}

// prepareSession makes a connection fit for reading data and definitions.
func prepareSession(ctx context.Context, c *conn, cfg *config) error {
	for _, sql := range []string{
		"SET NAMES utf8mb4",
		"SET SESSION time_zone = '+00:00', SESSION net_write_timeout = 3600, SESSION wait_timeout = 86400",
	} {
		if err := c.exec(ctx, sql); err != nil {
			return err
		}
	}
	for i, sql := range cfg.statements {
		if err := c.exec(ctx, sql); err != nil {
			return fmt.Errorf("statement %d of database.initial.statements: %w", i+1, err)
		}
	}
	return nil
}
