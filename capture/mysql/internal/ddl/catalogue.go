package ddl

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Catalogue holds the definitions of tables at one place in the log.
type Catalogue struct {
	// FoldCase says that names of databases and tables do not depend on case
	// (lower_case_table_names is not 0).
	FoldCase bool
	// MariaDB says that the server is one: JSON is a LONGTEXT there.
	MariaDB bool
	// Charset is the default of databases whose own is not known.
	Charset string

	databases map[string]*database
}

type database struct {
	charset string
	tables  map[string]*Table
}

// ChangeType says what a statement did to a table.
type ChangeType uint8

// The changes.
const (
	Create ChangeType = iota + 1
	Alter
	Drop
	Truncate
)

var changeNames = [...]string{Create: "CREATE", Alter: "ALTER", Drop: "DROP", Truncate: "TRUNCATE"}

// String returns the change as the schema history has it ("CREATE").
func (t ChangeType) String() string {
	if int(t) < len(changeNames) {
		return changeNames[t]
	}
	return "UNKNOWN"
}

// Change is what a statement did to one table.
type Change struct {
	Type           ChangeType
	Database, Name string
	// PreviousDatabase and PreviousName are set for a table that was renamed.
	PreviousDatabase, PreviousName string
	// Table is the definition after the change; nil for one that was dropped
	// or whose definition is not known.
	Table *Table
}

// SyntaxError says that a statement about tables could not be read.
type SyntaxError struct {
	Statement string
	Near      string
}

// Error names the place and the beginning of the statement.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("near %q in %q", e.Near, brief(e.Statement))
}

func brief(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if len(sql) > 200 {
		sql = sql[:197] + "..."
	}
	return sql
}

func (c *Catalogue) fold(name string) string {
	if c.FoldCase {
		return strings.ToLower(name)
	}
	return name
}

// Table returns a table's definition, nil if it is not known.
func (c *Catalogue) Table(database, name string) *Table {
	db := c.databases[c.fold(database)]
	if db == nil {
		return nil
	}
	return db.tables[c.fold(name)]
}

// Clone returns a catalogue that goes on from this one by itself.
func (c *Catalogue) Clone() *Catalogue {
	clone := *c
	clone.databases = make(map[string]*database, len(c.databases))
	for name, db := range c.databases {
		clone.databases[name] = &database{charset: db.charset, tables: maps.Clone(db.tables)}
	}
	return &clone
}

// Tables returns all tables, in the order of their names.
func (c *Catalogue) Tables() []*Table {
	var all []*Table
	for _, name := range slices.Sorted(maps.Keys(c.databases)) {
		db := c.databases[name]
		for _, table := range slices.Sorted(maps.Keys(db.tables)) {
			all = append(all, db.tables[table])
		}
	}
	return all
}

func (c *Catalogue) database(name string) *database {
	if c.databases == nil {
		c.databases = map[string]*database{}
	}
	db := c.databases[c.fold(name)]
	if db == nil {
		db = &database{charset: c.Charset, tables: map[string]*Table{}}
		c.databases[c.fold(name)] = db
	}
	return db
}

// SetDatabaseCharset says what the default character set of a database is.
func (c *Catalogue) SetDatabaseCharset(name, charset string) {
	if charset = canonicalCharset(charset); charset != "" {
		c.database(name).charset = charset
	}
}

func (c *Catalogue) charsetOf(databaseName string) string {
	if db := c.databases[c.fold(databaseName)]; db != nil && db.charset != "" {
		return db.charset
	}
	if c.Charset != "" {
		return c.Charset
	}
	return "utf8mb4"
}

func (c *Catalogue) put(t *Table) { c.database(t.Database).tables[c.fold(t.Name)] = t }

func (c *Catalogue) remove(databaseName, name string) *Table {
	db := c.databases[c.fold(databaseName)]
	if db == nil {
		return nil
	}
	t := db.tables[c.fold(name)]
	delete(db.tables, c.fold(name))
	return t
}

// Kind says what a statement is about.
type Kind uint8

// The kinds of statements.
const (
	OtherStatement    Kind = iota // neither databases nor tables
	DatabaseStatement             // creates, alters or drops a database
	TableStatement                // creates, alters, renames or drops tables or indexes
	TruncateStatement
)

// Statement is what a statement is about, as far as can be told without
// knowing tables.
type Statement struct {
	Kind Kind
	// Database is the one that the statement names or, if it names none, the
	// session's.
	Database string
	// Type is what was done to the database, in a DatabaseStatement.
	Type    ChangeType
	Changes []Change
}

// Apply reads one statement that a session with the given default database has
// executed and brings the catalogue up to date. It returns a *SyntaxError for
// a statement about tables that it cannot read; the catalogue has not changed
// then.
func (c *Catalogue) Apply(defaultDatabase, sql string, mode Mode) (Statement, error) {
	p := parser{c: c, sql: sql, tokens: lex(sql, mode), database: defaultDatabase}
	p.out.Database = defaultDatabase
	err := p.statement()
	return p.out, err
}

// canonicalCharset returns a character set's name as the server shows it.
func canonicalCharset(name string) string {
	name = strings.ToLower(name)
	if name == "utf8" {
		return "utf8mb3"
	}
	return name
}

// charsetOfCollation returns the character set that a collation's name begins
// with; empty if it names none (MariaDB's uca1400 collations).
func charsetOfCollation(collation string) string {
	collation = strings.ToLower(collation)
	name, _, _ := strings.Cut(collation, "_")
	if name == "uca1400" || name == "default" {
		return ""
	}
	return canonicalCharset(name)
}
