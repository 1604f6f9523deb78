package schema

import "slices"

// Table is one version of a source table's definition. It never changes: a
// DDL makes a new *Table, and the pointer is the key of every plan that was
// compiled for the version.
type Table struct {
	// Database is the database (catalogue); Schema is empty where the source
	// has no schemas within a database (MySQL); Name is the table's.
	Database, Schema, Name string
	// Columns are those that are captured, in the order of the table.
	Columns []Column
	// Key holds the places in Columns of the primary key, or of what stands
	// in for one, in key order; empty if there is none.
	Key []int
	// Source is the shape of the "source" block of the table's events, with
	// what is the same in all of them marked as constant.
	Source *Schema
}

// Column is one captured column.
type Column struct {
	Name string
	// Schema says how the column's values appear in events: type, logical
	// name, default, and Optional for a nullable column.
	Schema *Schema
	// Absent is written where a value is not in the log; nil means null.
	Absent *Value
	// Origin is the column's type at the source.
	Origin Origin
	// Unlogged says that an old row never has the column, since it does not
	// belong to the table's replica identity. What Event.Before has in its
	// place is no value of the row.
	Unlogged bool
	// KeyOnly says that the column is in the table's key, and that rows in
	// events are without it.
	KeyOnly bool
}

// Origin is how a source declares a column, for settings that go by types and
// for consumers that ask for it (column.propagate.source.type).
type Origin struct {
	// Type is the type's name as Debezium's connector for the source has it.
	Type string
	// Length and Scale are what the type is declared with, or stands for
	// without; -1 if there is no such thing.
	Length, Scale int
	Comment       string
}

// Path returns the table's name as the source's users write it in include
// lists: schema.name where there are schemas, database.name otherwise.
func (t *Table) Path() string {
	if t.Schema != "" {
		return t.Schema + "." + t.Name
	}
	return t.Database + "." + t.Name
}

// Index returns the place of a column by its exact name, or -1.
func (t *Table) Index(column string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == column })
}

// Equal reports whether two versions of a table make the same events.
func (t *Table) Equal(u *Table) bool {
	if t == nil || u == nil {
		return t == u
	}
	return t.Database == u.Database && t.Schema == u.Schema && t.Name == u.Name && slices.Equal(t.Key, u.Key) &&
		t.Source.Equal(u.Source) && slices.EqualFunc(t.Columns, u.Columns, func(c, d Column) bool {
		return c.Name == d.Name && c.Origin == d.Origin && c.Unlogged == d.Unlogged && c.KeyOnly == d.KeyOnly && c.Schema.Equal(d.Schema) && equalDefaults(c.Absent, d.Absent)
	})
}
