package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
)

// Check implements capture.Database.
func (d *database) Check(ctx context.Context) settings.Problems {
	if d.checkTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.checkTimeout)
		defer cancel()
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return settings.Problems{connectProblem(err)}
	}
	defer closeConn(ctx, conn)
	k := &checker{config: d.config, conn: conn}
	for _, step := range []func(context.Context) error{
		k.server, k.role, k.slot, k.publicationRights, k.tables, k.columns, k.keyColumns, k.published, k.identities,
	} {
		if err := step(ctx); err != nil {
			return append(k.found, connectProblem(err))
		}
	}
	return k.found
}

// connectProblem says what keeps the check from being made, under the setting
// that is probably wrong.
func connectProblem(err error) settings.Problem {
	key, message := "database.hostname", err.Error()
	var c *ConnectError
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &c):
		key = c.Key
	case errors.Is(err, context.DeadlineExceeded):
		message = "the server did not answer in time. Check that it is not overloaded, or raise connection.validation.timeout.ms"
	case errors.As(err, &pg):
		message = pg.Severity + ": " + pg.Message
	}
	return settings.Problem{Key: key, Message: "Error while validating connector config: " + message}
}

// checker gathers what is wrong; its steps return an error only if they could
// not be made.
type checker struct {
	*config
	conn     *pgconn.PgConn
	found    settings.Problems
	super    bool
	captured []sourceTable
	exists   bool // the publication
}

func (k *checker) problem(key, format string, args ...any) {
	k.found = append(k.found, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) warning(key, format string, args ...any) {
	k.found = append(k.found, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...), Warning: true})
}

func (k *checker) server(ctx context.Context) error {
	if v := majorVersion(k.conn); v < 10 {
		k.problem("database.hostname", "The server is PostgreSQL %s; logical replication with pgoutput needs version 10 or later.", k.conn.ParameterStatus("server_version"))
		return nil
	}
	row, err := queryRow(ctx, k.conn, `SELECT current_setting('wal_level')`)
	if err != nil {
		return err
	}
	if level := string(row[0]); level != "logical" {
		k.problem("database.hostname", "The server's wal_level is %s, so its log cannot be decoded. Run: ALTER SYSTEM SET wal_level = logical; and restart the server.", level)
	}
	return nil
}

func (k *checker) role(ctx context.Context) error {
	row, err := queryRow(ctx, k.conn, `
SELECT r.rolsuper, r.rolsuper OR r.rolreplication OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_roles m WHERE m.rolname IN ('rds_replication', 'azure_pg_admin') AND pg_has_role(r.oid, m.oid, 'MEMBER'))
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`)
	if err != nil {
		return err
	}
	k.super = isTrue(row[0])
	if !isTrue(row[1]) {
		k.problem("database.user", "The user %s may not read the log. Run: ALTER ROLE %s REPLICATION; (on Amazon RDS: GRANT rds_replication TO %s;)", k.user, identifier(k.user), identifier(k.user))
		return nil
	}
	repl, _, err := k.connectReplication(ctx)
	if err == nil {
		closeConn(ctx, repl)
		return nil
	}
	if hasCode(err, "53300") {
		k.problem("database.hostname", "The server has no free process for replication. Raise max_wal_senders, or end a replication that nothing needs.")
		return nil
	}
	return err
}

func (k *checker) slot(ctx context.Context) error {
	s, err := readSlot(ctx, k.conn, k.config.slot)
	if err != nil {
		return err
	}
	if s != nil {
		s.pid = "" // this connector may be running
		if k.replaceable(s) {
			k.warning("slot.name", "Replication slot %s can no longer be read (%s). snapshot.mode has it made anew and all tables copied again. Raise max_slot_wal_keep_size if it was too small.", k.config.slot, s.lost)
			return nil
		}
		if err := k.usable(s); err != nil {
			k.problem("slot.name", "%s.", strings.ToUpper(err.Error()[:1])+err.Error()[1:])
		}
		return nil
	}
	row, err := queryRow(ctx, k.conn, `
SELECT current_setting('max_replication_slots'), (SELECT count(*) FROM pg_catalog.pg_replication_slots)`)
	if err != nil {
		return err
	}
	most, _ := parseInt(row[0])
	used, _ := parseInt(row[1])
	if used >= most {
		k.problem("slot.name", "All %d replication slots of the server are in use. Run: ALTER SYSTEM SET max_replication_slots = %d; and restart the server, or drop one that nothing needs: SELECT pg_drop_replication_slot('…').", most, most+5)
	}
	return nil
}

func (k *checker) publicationRights(ctx context.Context) (err error) {
	if k.exists, err = k.publicationExists(ctx, k.conn); err != nil || k.exists {
		return err
	}
	name := identifier(k.publication)
	switch k.autocreate {
	case "disabled":
		k.problem("publication.name", "Publication %s does not exist and publication.autocreate.mode is disabled. Run: CREATE PUBLICATION %s FOR TABLE …;", k.publication, name)
		return nil
	case "all_tables":
		if !k.super {
			k.problem("publication.autocreate.mode", "Only a superuser may make a publication for all tables, and %s is none. Let an administrator run: CREATE PUBLICATION %s FOR ALL TABLES; or set publication.autocreate.mode=filtered.", k.user, name)
		}
		return nil
	}
	row, err := queryRow(ctx, k.conn, `SELECT has_database_privilege(current_user, $1, 'CREATE')`, k.dbname)
	if err != nil {
		return err
	}
	if !isTrue(row[0]) {
		k.problem("publication.autocreate.mode", "The user %s may not make a publication. Run: GRANT CREATE ON DATABASE %s TO %s;", k.user, identifier(k.dbname), identifier(k.user))
	}
	return nil
}

// tables checks the include lists and the right to read.
func (k *checker) tables(ctx context.Context) (err error) {
	if k.captured, err = k.listTables(ctx, k.conn); err != nil {
		return err
	}
	paths := make([]string, len(k.captured))
	oids := make([]uint32, len(k.captured))
	for i, t := range k.captured {
		paths[i], oids[i] = t.path(), t.oid
	}
	if none := k.filter.Unmatched(paths); len(none) > 0 {
		if len(paths) == 0 {
			k.problem("table.include.list", "No table of database %s is captured: nothing matches %s. Names are written as schema.table, each expression must match the whole name.", k.dbname, strings.Join(none, ", "))
		} else {
			k.warning("table.include.list", "No table of database %s matches %s; tables that are made later are captured then. Names are written as schema.table, each expression must match the whole name.", k.dbname, strings.Join(none, ", "))
		}
	} else if len(paths) == 0 {
		k.warning("table.include.list", "No table of database %s is captured so far; tables that are made later are captured then.", k.dbname)
	}
	rows, err := query(ctx, k.conn, `
SELECT c.oid, has_table_privilege(c.oid, 'SELECT'), has_schema_privilege(c.relnamespace, 'USAGE'), pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class c WHERE c.oid = ANY($1::oid[])`, oidList(oids))
	if err != nil {
		return err
	}
	var unreadable, notOwned, schemas []string
	for _, r := range rows {
		i := slices.Index(oids, parseOID(r[0]))
		t := k.captured[i]
		if !isTrue(r[1]) || !isTrue(r[2]) {
			unreadable = append(unreadable, qualified(t.schema, t.name))
			if s := identifier(t.schema); !slices.Contains(schemas, s) {
				schemas = append(schemas, s)
			}
		}
		if !isTrue(r[3]) {
			notOwned = append(notOwned, qualified(t.schema, t.name))
		}
	}
	slices.Sort(unreadable)
	slices.Sort(notOwned)
	if len(unreadable) > 0 {
		user := identifier(k.user)
		k.problem("database.user", "The user %s may not read %s. Run: GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s;",
			k.user, some(unreadable), strings.Join(schemas, ", "), user, strings.Join(unreadable, ", "), user)
	}
	if k.autocreate == "filtered" && !k.exists && len(notOwned) > 0 {
		k.problem("publication.autocreate.mode", "Only its owner may add a table to a publication, and %s does not own %s. Let the owner run: CREATE PUBLICATION %s FOR TABLE %s;",
			k.user, some(notOwned), identifier(k.publication), strings.Join(notOwned, ", "))
	}
	return nil
}

// keyColumns checks message.key.columns: the tables must have the columns, and
// the log must have them of a deleted row.
func (k *checker) keyColumns(ctx context.Context) error {
	keys := map[uint32][]string{}
	var oids []uint32
	for _, t := range k.captured {
		if columns := capture.KeyColumnsOf(k.keys, k.dbname, t.path()); columns != nil {
			keys[t.oid] = columns
			oids = append(oids, t.oid)
		}
	}
	if len(oids) == 0 {
		return nil
	}
	keyColumns := "i.indnkeyatts"
	if majorVersion(k.conn) < 11 {
		keyColumns = "i.indnatts"
	}
	rows, err := query(ctx, k.conn, `
SELECT a.attrelid, a.attname, c.relreplident = 'f' OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND `+isIdentity+` AND a.attnum = ANY ((i.indkey::int2[])[0:`+keyColumns+` - 1]))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = ANY($1::oid[])`, oidList(oids))
	if err != nil {
		return err
	}
	var missing, unlogged, alter []string
	for _, t := range k.captured {
		lacks := false
		for _, column := range keys[t.oid] {
			i := slices.IndexFunc(rows, func(r [][]byte) bool { return parseOID(r[0]) == t.oid && strings.EqualFold(string(r[1]), column) })
			switch name := t.path() + "." + column; {
			case i < 0:
				missing = append(missing, name)
			case !isTrue(rows[i][2]):
				unlogged = append(unlogged, name)
				lacks = true
			}
		}
		if lacks {
			alter = append(alter, "ALTER TABLE "+qualified(t.schema, t.name)+" REPLICA IDENTITY FULL;")
		}
	}
	if len(missing) > 0 {
		k.problem("message.key.columns", "There is no column %s.", some(missing))
	}
	if len(unlogged) > 0 {
		k.warning("message.key.columns", "The log does not have %s of a deleted row. A DELETE would stop the connector, and an UPDATE of such a column would leave the record under the former key as it is. Run: %s",
			some(unlogged), strings.Join(alter, " "))
	}
	return nil
}

// columns names those that events do not have for their type.
func (k *checker) columns(ctx context.Context) error {
	tables := make(map[uint32]sourceTable, len(k.captured))
	oids := make([]uint32, len(k.captured))
	for i, t := range k.captured {
		tables[t.oid], oids[i] = t, t.oid
	}
	rows, err := query(ctx, k.conn, `
SELECT DISTINCT atttypid FROM pg_catalog.pg_attribute
WHERE attrelid = ANY($1::oid[]) AND attnum > 0 AND NOT attisdropped`, oidList(oids))
	if err != nil {
		return err
	}
	types := make([]uint32, len(rows))
	for i, r := range rows {
		types[i] = parseOID(r[0])
	}
	infos, err := k.readTypes(ctx, k.conn, types)
	if err != nil {
		return err
	}
	lacks := map[uint32]lack{}
	var lacking []uint32
	for _, oid := range types {
		_, why, err := k.values.resolve(infos, oid, -1)
		if err != nil {
			return err
		}
		if why != lackNothing {
			lacks[oid], lacking = why, append(lacking, oid)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	rows, err = query(ctx, k.conn, `
SELECT attrelid, attname, atttypid, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
WHERE attrelid = ANY($1::oid[]) AND atttypid = ANY($2::oid[]) AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid, attnum`, oidList(oids), oidList(lacking))
	if err != nil {
		return err
	}
	names := map[lack][]string{}
	for _, r := range rows {
		t, name := tables[parseOID(r[0])], string(r[1])
		if k.filter.Column(k.dbname, t.schema, t.name, name) {
			why := lacks[parseOID(r[2])]
			names[why] = append(names[why], fmt.Sprintf("%s.%s (%s)", t.path(), name, r[3]))
		}
	}
	for _, why := range []lack{lackUnknown, lackForm} {
		if len(names[why]) == 0 {
			continue
		}
		// An answer over HTTP has to hold them.
		const most = 100
		text := omission(names[why], most, why == lackUnknown)
		if k.omitted == "fail" {
			k.problem("include.unknown.datatypes", "%s. Or set penstock.unsupported.columns.handling.mode=warn to do without them.", text)
		} else {
			k.warning("include.unknown.datatypes", "%s. With penstock.unsupported.columns.handling.mode=fail this is an error.", text)
		}
	}
	return nil
}

// isIdentity is the condition for index i of table c to be its replica
// identity, but for one that needs no index.
const isIdentity = `i.indisvalid AND i.indisunique AND i.indimmediate AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)`

// published checks that an existing publication has the captured tables.
func (k *checker) published(ctx context.Context) error {
	if !k.exists || k.autocreate == "filtered" || len(k.captured) == 0 {
		return nil
	}
	rows, err := query(ctx, k.conn, `SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = $1`, k.publication)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, r := range rows {
		has[qualified(string(r[0]), string(r[1]))] = true
	}
	var missing []string
	for _, t := range k.captured {
		// A partitioned table shows there only if it stands for its partitions.
		if name := qualified(t.schema, t.name); !t.partitioned && !has[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		k.warning("publication.name", "Publication %s lacks %s, whose changes will not arrive. Run: ALTER PUBLICATION %s ADD TABLE %s;",
			k.publication, some(missing), identifier(k.publication), strings.Join(missing, ", "))
	}
	return nil
}

// identities looks for tables whose updates the server refuses once they are
// published.
func (k *checker) identities(ctx context.Context) error {
	published := "p.puballtables OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)"
	if v := majorVersion(k.conn); v >= 12 { // a partition is published with the table that it is a part of
		published += " OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_partition_ancestors(c.oid) a ON a.relid = r.prrelid WHERE r.prpubid = p.oid)"
		if v >= 15 {
			published += " OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)"
		}
	}
	rows, err := query(ctx, k.conn, `
SELECT n.nspname, c.relname, p.oid IS NOT NULL
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_publication p ON p.pubname = $1 AND (p.pubupdate OR p.pubdelete) AND (`+published+`)
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND c.relreplident <> 'f' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND `+isIdentity+`)
ORDER BY 1, 2`, k.publication)
	if err != nil {
		return err
	}
	var refused []string
	for _, r := range rows {
		namespace, name := string(r[0]), string(r[1])
		willBe := !k.exists && k.autocreate == "all_tables" || k.autocreate == "filtered" && k.filter.Table(k.dbname, namespace, name)
		if isTrue(r[2]) || willBe {
			refused = append(refused, qualified(namespace, name))
		}
	}
	if len(refused) > 0 {
		k.warning("publication.name", "Without a primary key or another replica identity the server refuses UPDATE and DELETE on a published table, also to your applications: %s. Run for each: ALTER TABLE %s REPLICA IDENTITY FULL;",
			some(refused), refused[0])
	}
	return nil
}

// some lists a few names and says how many more there are.
func some(names []string) string {
	const few = 8
	return atMost(few, names)
}

func atMost(most int, names []string) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
