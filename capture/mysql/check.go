package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Check implements capture.Database. It stops at the first thing without which
// the rest cannot be looked at, and otherwise lists everything it finds.
func (d *database) Check(ctx context.Context) settings.Problems {
	k := &checker{db: d}
	c, err := dial(ctx, d.cfg)
	if err != nil {
		k.unreachable(ctx, err)
		return k.problems
	}
	defer func() { _ = c.close() }() // nothing was written
	k.conn = c
	if err := k.run(ctx); err != nil {
		k.problem("database.hostname", "Unable to check the server %s: %v", d.cfg.addr(), err)
	}
	return k.problems
}

type checker struct {
	db       *database
	conn     *conn
	server   *serverInfo
	problems settings.Problems
}

func (k *checker) problem(key, format string, args ...any) {
	k.problems = append(k.problems, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) warn(key, format string, args ...any) {
	k.problems = append(k.problems, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...), Warning: true})
}

// unreachable explains why there is no connection.
func (k *checker) unreachable(ctx context.Context, err error) {
	cfg := k.db.cfg
	var s *ServerError
	switch {
	case ctx.Err() != nil:
		k.problem("database.hostname", "Unable to connect: no answer from %s in time; check database.hostname, database.port and firewalls", cfg.addr())
	case errors.Is(err, errNoTLS):
		k.problem("database.ssl.mode", "Unable to connect: the server %s does not offer TLS; set up TLS there, or use database.ssl.mode=preferred", cfg.addr())
	case errors.As(err, &s) && s.Code == errAccessDenied:
		// Not at the user: Debezium shows all that is wrong with a connection there.
		k.problem("database.hostname", "Unable to connect: %s. Check database.user and database.password; the user is made by CREATE USER %s IDENTIFIED BY '...'",
			s.Message, account(cfg))
	case errors.As(err, &s) && s.Code == errTooManyConnections:
		k.problem("database.hostname", "Unable to connect: %s; raise max_connections on the server", s.Message)
	case errors.As(err, &s) && s.Code == errSecureTransport:
		k.problem("database.ssl.mode", "Unable to connect: the server requires TLS; use database.ssl.mode=required")
	case errors.As(err, &s):
		k.problem("database.hostname", "Unable to connect: %s", s.Message)
	default:
		k.problem("database.hostname", "Unable to connect: %v; check database.hostname and database.port, and that the server runs", errors.Unwrap(err))
	}
}

func (k *checker) run(ctx context.Context) (err error) {
	if k.server, err = inspect(ctx, k.conn); err != nil {
		return err
	}
	cfg, s := k.db.cfg, k.server
	if s.mariaDB != cfg.flavor.mariaDB {
		k.problem("connector.class", "%v", s.readable(cfg))
		return nil
	}
	k.log()
	if err := k.privileges(ctx); err != nil {
		return err
	}
	if err := k.replicas(ctx); err != nil {
		return err
	}
	return k.tables(ctx)
}

// log looks at how the binary log is written.
func (k *checker) log() {
	s := k.server
	if !s.logBin {
		k.problem("database.hostname", "The server writes no binary log: set log_bin (and server_id) in its configuration and restart it")
		return
	}
	if s.format != "ROW" {
		k.problem("database.hostname", "The server has binlog_format=%s, so that its log holds statements and not rows: SET GLOBAL binlog_format = ROW; sessions that are open keep the old format until they reconnect", s.format)
	}
	if s.image != "" && s.image != "FULL" {
		k.warn("database.hostname", "The server has binlog_row_image=%s: events lack the columns that a change does not need; to have all of them, SET GLOBAL binlog_row_image = FULL", s.image)
	}
	if s.partialJSON {
		k.problem("database.hostname", "The server logs only what changed within JSON documents, which is not supported yet: SET GLOBAL binlog_row_value_options = ''")
	}
	if s.metadata != "" && s.metadata != "FULL" {
		k.warn("database.hostname", "The server has binlog_row_metadata=%s: table definitions are followed through the statements that alter tables, kept in the topic %s. "+
			"To have them in the log itself, SET GLOBAL binlog_row_metadata = FULL", s.metadata, k.db.cfg.history.topic)
	}
	if !s.gtid {
		k.warn("database.hostname", "The server has gtid_mode off: the position is a log file and a place in it, which means nothing to another server after a failover")
	}
	if s.expireDays > 0 && s.expireDays < 1 {
		k.warn("database.hostname", "The server deletes binary logs after %.1f hours: a connector that is down for longer has to copy the tables again. SET GLOBAL binlog_expire_logs_seconds = 604800", s.expireDays*24)
	}
}

// grants are the privileges that the user has everywhere.
type grants struct {
	all  bool
	list []string
}

func (g *grants) any(names ...string) bool {
	return g.all || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(g.list, n) })
}

var grantOnAll = regexp.MustCompile(`(?i)^GRANT (.*) ON \*\.\* TO `)

func parseGrants(r result) grants {
	var g grants
	for _, row := range r.rows {
		m := grantOnAll.FindStringSubmatch(row[0].text)
		if m == nil {
			continue
		}
		for p := range strings.SplitSeq(m[1], ",") {
			p = strings.ToUpper(strings.TrimSpace(p))
			g.all = g.all || p == "ALL PRIVILEGES" || p == "SUPER"
			g.list = append(g.list, p)
		}
	}
	return g
}

// privileges looks at what the user may do with the log and with locks.
func (k *checker) privileges(ctx context.Context) error {
	r, err := k.conn.query(ctx, "SHOW GRANTS FOR CURRENT_USER()")
	if err != nil {
		return err
	}
	g, cfg := parseGrants(r), k.db.cfg
	// Roles may grant what is not listed.
	roles := len(g.roles(r)) > 0
	if !g.any("REPLICATION SLAVE", "REPLICATION REPLICA") && !roles {
		k.problem("database.user", "The user %s may not read the binary log: GRANT REPLICATION SLAVE ON *.* TO %s", cfg.user, account(cfg))
	}
	if _, err := logStatus(ctx, k.conn); isServerError(err) {
		k.problem("database.user", "The user %s may not read the log's position: GRANT REPLICATION CLIENT ON *.* TO %s", cfg.user, account(cfg))
	} else if err != nil && !errors.Is(err, errNoBinlog) {
		return err
	}
	if !(cfg.lock && g.any("RELOAD", "FLUSH_TABLES")) && !roles {
		k.locks(&g)
	}
	return k.prepared(ctx)
}

// prepared looks whether a snapshot can see the XA transactions that are
// prepared when it begins, where there are such transactions.
func (k *checker) prepared(ctx context.Context) error {
	_, complete, err := recoverable(ctx, k.conn)
	if err != nil || complete {
		return err
	}
	uses, err := usesXA(ctx, k.conn)
	if err == nil && uses {
		cfg := k.db.cfg
		k.warn("database.user", "The user %s may not see prepared XA transactions, which this server has: a snapshot cannot wait for those that are prepared before it, and the connector stops when one of them is committed. "+
			"GRANT XA_RECOVER_ADMIN ON *.* TO %s", cfg.user, account(cfg))
	}
	return err
}

// locks says what snapshots do without a lock on all tables.
func (k *checker) locks(g *grants) {
	cfg, s := k.db.cfg, k.server
	remedy := "set snapshot.locking.mode=minimal"
	if cfg.lock {
		remedy = "GRANT RELOAD ON *.* TO " + account(cfg)
	}
	switch {
	case s.mariaDB, s.gtid && !cfg.ignoreGTID:
		if cfg.lock { // otherwise it is as it is wanted
			k.warn("database.user", "The user %s may not lock all tables, so that changes of the moment when a snapshot begins may be published twice: %s", cfg.user, remedy)
		}
	case cfg.lock && g.any("LOCK TABLES"):
	case s.metadata == "FULL":
		k.warn("snapshot.locking.mode", "A snapshot begins without a lock, and the server has no GTIDs, so that changes since the beginning of the log's current file may be published again: %s", remedy)
	default:
		k.warn("snapshot.locking.mode", "Without a lock, and with neither GTIDs nor binlog_row_metadata=FULL, a snapshot is refused if tables were altered in the current file of the log: %s", remedy)
	}
}

// roles returns the lines of SHOW GRANTS that grant roles.
func (*grants) roles(r result) []string {
	var roles []string
	for _, row := range r.rows {
		if !strings.Contains(row[0].text, " ON ") {
			roles = append(roles, row[0].text)
		}
	}
	return roles
}

// replicas looks for another reader with the same number.
func (k *checker) replicas(ctx context.Context) error {
	id := fmt.Sprint(k.db.cfg.serverID)
	own, err := k.conn.one(ctx, "SELECT @@GLOBAL.server_id")
	if err != nil {
		return err
	}
	if own == id {
		k.problem("database.server.id", "The server itself has the number %s; give this connector another database.server.id", id)
		return nil
	}
	r, err := k.conn.query(ctx, "SHOW REPLICAS")
	if isServerError(err, errParse) {
		r, err = k.conn.query(ctx, "SHOW SLAVE HOSTS")
	}
	if isServerError(err) {
		return nil // not allowed to look
	}
	if err != nil {
		return err
	}
	for _, row := range r.rows {
		if row[0].text != id {
			continue
		}
		if host, _ := r.get(row, "Host"); host != "penstock" {
			k.problem("database.server.id", "A replica or reader with the number %s is connected to the server (host %q); give this connector another database.server.id", id, host)
		}
	}
	return nil
}

// tables looks for the tables that are to be captured.
func (k *checker) tables(ctx context.Context) error {
	s := &scanner{db: k.db, main: k.conn}
	all, err := s.list(ctx)
	if err != nil {
		return err
	}
	cfg := k.db.cfg
	var captured []listed
	paths := make([]string, 0, len(all))
	for _, t := range all {
		paths = append(paths, t.database+"."+t.name)
		if cfg.filter.Table(t.database, "", t.name) {
			captured = append(captured, t)
		}
	}
	for _, pattern := range cfg.filter.Unmatched(paths) {
		k.warn("table.include.list", "No table matches %q of table.include.list, or the user %s may not see it: GRANT SELECT ON <database>.<table> TO %s", pattern, cfg.user, account(cfg))
	}
	if len(captured) == 0 {
		k.warn("table.include.list", "No table is captured: check database.include.list and table.include.list, and that the user %s may see the tables (GRANT SELECT ON <database>.* TO %s)", cfg.user, account(cfg))
		return nil
	}
	return k.readable(ctx, captured)
}

// readable looks whether the captured tables may be read; it names the first
// few that may not.
func (k *checker) readable(ctx context.Context, captured []listed) error {
	const most = 50
	for _, t := range captured[:min(len(captured), most)] {
		table := ident(t.database) + "." + ident(t.name)
		err := k.conn.exec(ctx, "SELECT 1 FROM "+table+" LIMIT 0")
		if isServerError(err, errTableAccess) {
			k.problem("database.user", "The user %s may not read table %s.%s: GRANT SELECT ON %s TO %s", k.db.cfg.user, t.database, t.name, table, account(k.db.cfg))
			continue
		}
		if err != nil && !isServerError(err) {
			return err
		}
	}
	return k.cascades(ctx, captured)
}

// cascades warns of foreign keys whose cascades the log does not have: InnoDB
// carries them out below the level that logs rows, up to MySQL 9.5.
func (k *checker) cascades(ctx context.Context, captured []listed) error {
	if !k.server.mariaDB && !olderThan(k.server.version, 9, 6) {
		return nil
	}
	r, err := k.conn.query(ctx, "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS "+
		"WHERE DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')")
	if err != nil {
		return err
	}
	var names []string
	for _, row := range r.rows {
		if slices.ContainsFunc(captured, func(t listed) bool { return t.database == row[0].text && t.name == row[1].text }) {
			names = append(names, row[0].text+"."+row[1].text)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		k.warn("table.include.list", "Changes that foreign keys cascade are not in this server's binary log, so changes of these tables may be missed: %s", strings.Join(slices.Compact(names), ", "))
	}
	return nil
}

// olderThan compares the first two numbers of a version.
func olderThan(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, b := int(number(parts[0])), int(number(parts[1]))
	return a < major || a == major && b < minor
}
