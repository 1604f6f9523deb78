package ddl

import (
	"slices"
	"strings"
)

// Column is one column of a table.
type Column struct {
	Name string
	// Type is the type's name as SHOW CREATE TABLE has it, in upper case and
	// without attributes: INT, VARCHAR, DATETIME …
	Type               string
	Unsigned, Zerofill bool
	// Length is what stands in parentheses behind the type: characters of a
	// CHAR, digits of a DECIMAL, bits of a BIT, digits after the second of a
	// TIME. -1 if there is none. Scale is the second number, or -1.
	Length, Scale int
	// Charset is the character set of a character column, an ENUM or a SET;
	// "binary" or empty for any other.
	Charset string
	// Members are the values of an ENUM or SET.
	Members                                       []string
	Nullable, AutoIncrement, Generated, Invisible bool
	// Default is the default value as text, nil if there is none or it is
	// NULL; DefaultIsExpression says that the text is an expression for the
	// server to compute, such as CURRENT_TIMESTAMP.
	Default             *string
	DefaultIsExpression bool
	// Literal says how the default is written.
	Literal Literal
	// OnUpdateNow says ON UPDATE CURRENT_TIMESTAMP.
	OnUpdateNow bool
	Comment     string
}

// WideCharset reports whether the column's characters take at least two bytes
// each, so that ASCII looks different in it.
func (c *Column) WideCharset() bool {
	switch c.Charset {
	case "ucs2", "utf16", "utf16le", "utf32":
		return true
	}
	return false
}

// MaxBytes returns how many bytes a character of a character set can take.
func MaxBytes(charset string) int {
	switch charset {
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		return 4
	case "utf8mb3", "utf8", "ujis", "eucjpms":
		return 3
	case "ucs2", "gbk", "gb2312", "big5", "sjis", "cp932", "euckr":
		return 2
	default:
		return 1
	}
}

// Key is a primary or unique key.
type Key struct {
	Name    string
	Columns []string // an empty name stands for an expression
}

// Table is the definition of a table. It never changes.
type Table struct {
	Database, Name string
	Columns        []Column
	// Primary is nil if there is no primary key.
	Primary *Key
	Unique  []Key
	Charset string // the default of new character columns
	Comment string
}

// Column returns a column by its name, which does not depend on case, or nil.
func (t *Table) Column(name string) *Column {
	if i := t.index(name); i >= 0 {
		return &t.Columns[i]
	}
	return nil
}

func (t *Table) index(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
}

// RowKey returns the columns that tell rows apart: those of the primary key,
// or else of the first unique key none of whose columns may be null. It is
// empty if there is no such key.
func (t *Table) RowKey() []string {
	if t.Primary != nil {
		return t.names(t.Primary.Columns)
	}
	for _, k := range t.Unique {
		if !slices.ContainsFunc(k.Columns, func(name string) bool {
			c := t.Column(name)
			return c == nil || c.Nullable
		}) {
			return t.names(k.Columns)
		}
	}
	return nil
}

// names returns the columns' names in the spelling of the table.
func (t *Table) names(columns []string) []string {
	var out []string
	for _, name := range columns {
		if c := t.Column(name); c != nil {
			out = append(out, c.Name)
		}
	}
	return out
}

// clone returns a copy to be altered.
func (t *Table) clone() *Table {
	c := *t
	c.Columns = slices.Clone(t.Columns)
	if t.Primary != nil {
		k := *t.Primary
		k.Columns = slices.Clone(k.Columns)
		c.Primary = &k
	}
	c.Unique = make([]Key, len(t.Unique))
	for i, k := range t.Unique {
		c.Unique[i] = Key{Name: k.Name, Columns: slices.Clone(k.Columns)}
	}
	return &c
}

// addUnique adds a unique key; one without a name is called after its first
// column, as the server does.
func (t *Table) addUnique(k Key) {
	if k.Name == "" && len(k.Columns) > 0 {
		base := k.Columns[0]
		k.Name = base
		for n := 2; t.hasUnique(k.Name); n++ {
			k.Name = base + "_" + itoa(n)
		}
	}
	t.Unique = append(t.Unique, k)
}

func (t *Table) hasUnique(name string) bool {
	return slices.ContainsFunc(t.Unique, func(k Key) bool { return strings.EqualFold(k.Name, name) })
}

func (t *Table) dropKey(name string) {
	if strings.EqualFold(name, "PRIMARY") {
		t.Primary = nil
	}
	t.Unique = slices.DeleteFunc(t.Unique, func(k Key) bool { return strings.EqualFold(k.Name, name) })
}

// setPrimary makes the columns the primary key, which makes them NOT NULL.
func (t *Table) setPrimary(columns []string) {
	t.Primary = &Key{Name: "PRIMARY", Columns: columns}
	for _, name := range columns {
		if c := t.Column(name); c != nil {
			c.Nullable = false
		}
	}
}

// dropColumn removes a column, also from the keys.
func (t *Table) dropColumn(name string) {
	i := t.index(name)
	if i < 0 {
		return
	}
	t.Columns = slices.Delete(t.Columns, i, i+1)
	without := func(columns []string) []string {
		return slices.DeleteFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
	}
	if t.Primary != nil {
		if t.Primary.Columns = without(t.Primary.Columns); len(t.Primary.Columns) == 0 {
			t.Primary = nil
		}
	}
	for i := range t.Unique {
		t.Unique[i].Columns = without(t.Unique[i].Columns)
	}
	t.Unique = slices.DeleteFunc(t.Unique, func(k Key) bool { return len(k.Columns) == 0 })
}

func (t *Table) renameColumn(from, to string) {
	rename := func(columns []string) {
		for i := range columns {
			if strings.EqualFold(columns[i], from) {
				columns[i] = to
			}
		}
	}
	if c := t.Column(from); c != nil {
		c.Name = to
	}
	if t.Primary != nil {
		rename(t.Primary.Columns)
	}
	for i := range t.Unique {
		rename(t.Unique[i].Columns)
	}
}
