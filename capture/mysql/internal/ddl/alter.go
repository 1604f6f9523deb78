package ddl

import (
	"slices"
	"strings"
)

func (p *parser) alter() error {
	if p.acceptAny("DATABASE", "SCHEMA") {
		p.out.Kind, p.out.Type = DatabaseStatement, Alter
		return p.databaseOptions()
	}
	p.acceptAny("ONLINE", "OFFLINE")
	p.accept("IGNORE")
	if !p.accept("TABLE") {
		return nil // a view, a user …
	}
	p.out.Kind = TableStatement
	p.accept("IF", "EXISTS")
	database, name, ok := p.table()
	if !ok {
		return p.fail()
	}
	p.out.Database = database
	if p.acceptAny("WAIT", "NOWAIT") && p.peek().kind == number {
		p.at++
	}
	t := p.c.Table(database, name)
	known := t != nil
	if known {
		t = t.clone()
	} else {
		// The specifications are read nevertheless: one may rename the table.
		t = &Table{Database: database, Name: name, Charset: p.c.charsetOf(database)}
	}
	a := alteration{parser: p, t: t, before: p.c.Table(database, name)}
	for !p.done() {
		if err := a.spec(); err != nil {
			if !known {
				return nil
			}
			return err
		}
		p.skipItem()
		if !p.punct(",") {
			break
		}
	}
	if a.toName != "" {
		if known {
			p.c.put(t)
		}
		p.renameTable(database, name, a.toDatabase, a.toName)
		return nil
	}
	if known {
		p.altered(t)
	}
	return nil
}

// alteration is an ALTER TABLE in progress.
type alteration struct {
	*parser
	t                  *Table
	before             *Table
	toDatabase, toName string
}

// spec reads one of the changes; what is left of it is stepped over by the
// caller.
func (a *alteration) spec() error {
	switch {
	case a.accept("ADD"):
		return a.add()
	case a.accept("CHANGE"):
		a.accept("COLUMN")
		a.accept("IF", "EXISTS")
		old, ok := a.name()
		if !ok {
			return a.fail()
		}
		return a.redefine(old)
	case a.accept("MODIFY"):
		a.accept("COLUMN")
		a.accept("IF", "EXISTS")
		switch t := a.peek(); t.kind {
		case word, quoted, text:
			return a.redefine(t.text)
		default:
			return a.fail()
		}
	case a.accept("DROP"):
		return a.dropPart()
	case a.accept("ALTER"):
		return a.alterColumn()
	case a.accept("RENAME"):
		return a.renamePart()
	case a.accept("CONVERT", "TO"):
		if a.acceptAny("CHARSET") || a.accept("CHARACTER", "SET") {
			a.convert()
		}
	case a.accept("DEFAULT"):
		a.options()
	case a.peek().is("ORDER"), a.peek().is("PARTITION"), a.peek().is("REMOVE"):
	default:
		a.options()
	}
	return nil
}

func (a *alteration) options() {
	for !a.itemEnds() {
		if !a.tableOption(a.t) {
			if a.peek().isPunct("(") {
				a.skipParens()
			} else {
				a.at++
			}
		}
	}
}

// convert reads CONVERT TO CHARACTER SET, which alters all character columns.
func (a *alteration) convert() {
	n, ok := a.name()
	if !ok {
		return
	}
	charset := canonicalCharset(n)
	if strings.EqualFold(n, "DEFAULT") {
		charset = a.c.charsetOf(a.t.Database)
	}
	a.t.Charset = charset
	for i := range a.t.Columns {
		c := &a.t.Columns[i]
		if c.Charset == "" || c.Charset == "binary" || c.Type == "JSON" {
			continue
		}
		// A text grows to the next type if its characters may need more bytes.
		if MaxBytes(charset) > MaxBytes(c.Charset) {
			switch c.Type {
			case "TINYTEXT":
				c.Type = "TEXT"
			case "TEXT":
				c.Type = "MEDIUMTEXT"
			case "MEDIUMTEXT":
				c.Type = "LONGTEXT"
			}
		}
		c.Charset = charset
	}
}

func (a *alteration) add() error {
	if a.acceptAny("PARTITION", "SYSTEM") {
		return nil
	}
	if handled, err := a.constraint(a.t); handled || err != nil {
		return err
	}
	a.accept("COLUMN")
	a.accept("IF", "NOT", "EXISTS")
	if a.punct("(") {
		for {
			if err := a.element(a.t); err != nil {
				return err
			}
			if !a.punct(",") {
				break
			}
		}
		a.punct(")")
		return nil
	}
	c, inline, err := a.columnDef(a.t)
	if err != nil {
		return err
	}
	// A column of this name can only be there if the statement is applied a
	// second time, or if there is an IF NOT EXISTS.
	a.t.dropColumnOnly(c.Name)
	a.place(c, len(a.t.Columns))
	inline.apply(a.t, c.Name)
	return nil
}

// dropColumnOnly removes a column and leaves the keys.
func (t *Table) dropColumnOnly(name string) {
	if i := t.index(name); i >= 0 {
		t.Columns = slices.Delete(t.Columns, i, i+1)
	}
}

// place puts a column where FIRST or AFTER says, otherwise at the given place.
func (a *alteration) place(c Column, at int) {
	switch {
	case a.accept("FIRST"):
		at = 0
	case a.accept("AFTER"):
		if n, ok := a.name(); ok {
			if i := a.t.index(n); i >= 0 {
				at = i + 1
			}
		}
	}
	a.t.Columns = slices.Insert(a.t.Columns, min(at, len(a.t.Columns)), c)
}

// redefine reads the new definition of a column, by MODIFY or CHANGE.
func (a *alteration) redefine(old string) error {
	c, inline, err := a.columnDef(a.t)
	if err != nil {
		return err
	}
	at := a.t.index(old)
	if at < 0 {
		at = a.t.index(c.Name)
	}
	if at < 0 {
		at = len(a.t.Columns)
	} else {
		a.t.Columns = slices.Delete(a.t.Columns, at, at+1)
	}
	a.place(c, at)
	if !strings.EqualFold(old, c.Name) {
		a.t.renameColumn(old, c.Name)
	}
	if k := a.t.Primary; k != nil && slices.ContainsFunc(k.Columns, func(n string) bool { return strings.EqualFold(n, c.Name) }) {
		a.t.Column(c.Name).Nullable = false
	}
	inline.apply(a.t, c.Name)
	return nil
}

func (a *alteration) dropPart() error {
	switch {
	case a.accept("PRIMARY", "KEY"):
		a.t.Primary = nil
	case a.acceptAny("INDEX", "KEY"):
		a.accept("IF", "EXISTS")
		if n, ok := a.name(); ok {
			a.t.dropKey(n)
		}
	case a.accept("CONSTRAINT"):
		a.accept("IF", "EXISTS")
		if n, ok := a.name(); ok {
			a.t.dropKey(n)
		}
	case a.accept("FOREIGN", "KEY"), a.accept("CHECK"), a.accept("PARTITION"), a.accept("SYSTEM", "VERSIONING"), a.accept("PERIOD"):
	default:
		a.accept("COLUMN")
		a.accept("IF", "EXISTS")
		n, ok := a.name()
		if !ok {
			return a.fail()
		}
		a.t.dropColumn(n)
	}
	return nil
}

func (a *alteration) alterColumn() error {
	if a.acceptAny("INDEX", "KEY", "CHECK", "CONSTRAINT") {
		return nil
	}
	a.accept("COLUMN")
	a.accept("IF", "EXISTS")
	n, ok := a.name()
	if !ok {
		return a.fail()
	}
	c := a.t.Column(n)
	if c == nil {
		return nil
	}
	switch {
	case a.accept("SET", "DEFAULT"):
		a.defaultValue(c)
	case a.accept("DROP", "DEFAULT"):
		c.Default, c.DefaultIsExpression = nil, false
	case a.accept("SET", "INVISIBLE"):
		c.Invisible = true
	case a.accept("SET", "VISIBLE"):
		c.Invisible = false
	}
	return nil
}

func (a *alteration) renamePart() error {
	switch {
	case a.accept("COLUMN"):
		a.accept("IF", "EXISTS")
		from, ok := a.name()
		if !ok || !a.accept("TO") {
			return a.fail()
		}
		to, ok := a.name()
		if !ok {
			return a.fail()
		}
		// Names are those before the statement, so that two columns can change
		// places.
		i := a.t.index(from)
		if a.before != nil {
			if at := a.before.index(from); at >= 0 && len(a.before.Columns) == len(a.t.Columns) {
				i = at
			}
		}
		if i >= 0 {
			a.t.renameKeys(a.t.Columns[i].Name, to)
			a.t.Columns[i].Name = to
		}
	case a.acceptAny("INDEX", "KEY"):
		from, ok := a.name()
		if !ok || !a.accept("TO") {
			return a.fail()
		}
		to, _ := a.name()
		for i := range a.t.Unique {
			if strings.EqualFold(a.t.Unique[i].Name, from) {
				a.t.Unique[i].Name = to
			}
		}
	default:
		a.acceptAny("TO", "AS")
		a.punct("=")
		database, name, ok := a.table()
		if !ok {
			return a.fail()
		}
		a.toDatabase, a.toName = database, name
	}
	return nil
}

func (t *Table) renameKeys(from, to string) {
	rename := func(columns []string) {
		for i := range columns {
			if strings.EqualFold(columns[i], from) {
				columns[i] = to
			}
		}
	}
	if t.Primary != nil {
		rename(t.Primary.Columns)
	}
	for i := range t.Unique {
		rename(t.Unique[i].Columns)
	}
}
