package ddl

import (
	"slices"
	"strings"
)

// parser reads one statement. It steps over what it does not need; fail is for
// what it needs and cannot read.
type parser struct {
	c        *Catalogue
	sql      string
	tokens   []token
	at       int
	database string
	out      Statement
}

func (p *parser) peek() token { return p.ahead(0) }

func (p *parser) ahead(n int) token {
	if p.at+n < len(p.tokens) {
		return p.tokens[p.at+n]
	}
	return token{kind: end, from: len(p.sql), to: len(p.sql)}
}

func (p *parser) next() token {
	t := p.peek()
	if p.at < len(p.tokens) {
		p.at++
	}
	return t
}

func (t token) is(keyword string) bool { return t.kind == word && strings.EqualFold(t.text, keyword) }

func (t token) isPunct(c string) bool { return t.kind == punct && t.text == c }

// accept takes the keywords if all of them are next.
func (p *parser) accept(keywords ...string) bool {
	for i, k := range keywords {
		if !p.ahead(i).is(k) {
			return false
		}
	}
	p.at += len(keywords)
	return true
}

// acceptAny takes one of the keywords.
func (p *parser) acceptAny(keywords ...string) bool {
	for _, k := range keywords {
		if p.accept(k) {
			return true
		}
	}
	return false
}

func (p *parser) punct(c string) bool {
	if p.peek().isPunct(c) {
		p.at++
		return true
	}
	return false
}

func (p *parser) fail() error {
	t := p.peek()
	return &SyntaxError{Statement: p.sql, Near: p.sql[min(t.from, len(p.sql)):min(t.from+40, len(p.sql))]}
}

func (p *parser) done() bool {
	t := p.peek()
	return t.kind == end || t.isPunct(";")
}

// name takes an identifier.
func (p *parser) name() (string, bool) {
	switch t := p.peek(); t.kind {
	case word, quoted:
		p.at++
		return t.text, true
	case text: // a name in double quotes without ANSI_QUOTES, or an alias
		p.at++
		return t.text, true
	default:
		return "", false
	}
}

// table takes a table's name, with or without its database.
func (p *parser) table() (database, name string, ok bool) {
	if p.punct(".") { // .name is the session's database
		name, ok = p.name()
		return p.database, name, ok
	}
	if name, ok = p.name(); !ok {
		return "", "", false
	}
	if p.punct(".") {
		database = name
		name, ok = p.name()
		return database, name, ok
	}
	return p.database, name, true
}

// skipParens steps over a group in parentheses, the opening one of which is
// next.
func (p *parser) skipParens() {
	depth := 0
	for {
		switch t := p.next(); {
		case t.kind == end:
			return
		case t.isPunct("("):
			depth++
		case t.isPunct(")"):
			if depth--; depth == 0 {
				return
			}
		}
	}
}

// skipItem steps up to the comma or parenthesis that ends an item of a list.
func (p *parser) skipItem() {
	for !p.itemEnds() {
		if p.peek().isPunct("(") {
			p.skipParens()
			continue
		}
		p.at++
	}
}

func (p *parser) itemEnds() bool {
	return p.done() || p.peek().isPunct(",") || p.peek().isPunct(")")
}

func (p *parser) statement() error {
	switch {
	case p.accept("CREATE"):
		return p.create()
	case p.accept("ALTER"):
		return p.alter()
	case p.accept("DROP"):
		return p.drop()
	case p.accept("RENAME", "TABLE"), p.accept("RENAME", "TABLES"):
		p.out.Kind = TableStatement
		return p.rename()
	case p.accept("TRUNCATE"):
		p.accept("TABLE")
		database, name, ok := p.table()
		if !ok {
			return p.fail()
		}
		p.out.Kind, p.out.Database = TruncateStatement, database
		p.out.Changes = []Change{{Type: Truncate, Database: database, Name: name, Table: p.c.Table(database, name)}}
	}
	return nil
}

func (p *parser) create() error {
	p.accept("OR", "REPLACE")
	switch {
	case p.acceptAny("DATABASE", "SCHEMA"):
		p.out.Kind, p.out.Type = DatabaseStatement, Create
		p.accept("IF", "NOT", "EXISTS")
		return p.databaseOptions()
	case p.accept("TEMPORARY"):
		return nil
	case p.accept("TABLE"):
		p.out.Kind = TableStatement
		return p.createTable()
	}
	// CREATE [ONLINE|OFFLINE] [UNIQUE|FULLTEXT|SPATIAL|VECTOR] INDEX
	unique := false
	for range 3 {
		switch {
		case p.acceptAny("ONLINE", "OFFLINE", "FULLTEXT", "SPATIAL", "VECTOR"):
		case p.accept("UNIQUE"):
			unique = true
		case p.acceptAny("INDEX", "KEY"):
			return p.createIndex(unique)
		}
	}
	return nil // a view, a user, a procedure …
}

func (p *parser) databaseOptions() error {
	name := p.database
	if !p.peek().is("DEFAULT") && !p.peek().is("CHARACTER") && !p.peek().is("CHARSET") && !p.peek().is("COLLATE") {
		if n, ok := p.name(); ok {
			name = n
		}
	}
	p.out.Database = name
	p.c.database(name)
	for !p.done() {
		switch {
		case p.accept("CHARACTER", "SET"), p.accept("CHARSET"):
			p.punct("=")
			if n, ok := p.name(); ok && !strings.EqualFold(n, "DEFAULT") {
				p.c.SetDatabaseCharset(name, n)
			}
		case p.accept("COLLATE"):
			p.punct("=")
			if n, ok := p.name(); ok {
				p.c.SetDatabaseCharset(name, charsetOfCollation(n))
			}
		default:
			p.at++
		}
	}
	return nil
}

func (p *parser) createTable() error {
	ifNotExists := p.accept("IF", "NOT", "EXISTS")
	database, name, ok := p.table()
	if !ok {
		return p.fail()
	}
	p.out.Database = database
	if ifNotExists && p.c.Table(database, name) != nil {
		return nil
	}
	t := &Table{Database: database, Name: name}
	parens := p.peek().isPunct("(") && p.ahead(1).is("LIKE")
	if parens {
		p.at++
	}
	if p.accept("LIKE") {
		otherDB, other, ok := p.table()
		if !ok {
			return p.fail()
		}
		from := p.c.Table(otherDB, other)
		if from == nil {
			// The other table is not known, so this one is not either.
			p.c.remove(database, name)
			p.out.Changes = []Change{{Type: Create, Database: database, Name: name}}
			return nil
		}
		t = from.clone()
		t.Database, t.Name = database, name
		p.created(t)
		return nil
	}
	if !p.peek().isPunct("(") {
		// CREATE TABLE … SELECT names no columns; row-based logs never have it.
		return p.fail()
	}
	// The table's options, which stand behind the columns, decide about them.
	t.Charset = p.c.charsetOf(database)
	here := p.at
	p.skipParens()
	if err := p.tableOptions(t); err != nil {
		return err
	}
	p.at = here + 1
	for {
		if err := p.element(t); err != nil {
			return err
		}
		if p.punct(",") {
			continue
		}
		break
	}
	if !p.punct(")") || len(t.Columns) == 0 {
		return p.fail()
	}
	p.created(t)
	return nil
}

func (p *parser) created(t *Table) {
	p.c.put(t)
	p.out.Changes = []Change{{Type: Create, Database: t.Database, Name: t.Name, Table: t}}
}

// tableOptions reads the options of CREATE TABLE up to the end or to the
// partitions.
func (p *parser) tableOptions(t *Table) error {
	for !p.done() && !p.peek().is("PARTITION") && !p.peek().is("AS") && !p.peek().is("SELECT") {
		if !p.tableOption(t) {
			if p.peek().isPunct("(") {
				p.skipParens()
			} else {
				p.at++
			}
		}
	}
	return nil
}

func (p *parser) tableOption(t *Table) bool {
	switch {
	case p.accept("CHARACTER", "SET"), p.accept("CHARSET"):
		p.punct("=")
		if n, ok := p.name(); ok && !strings.EqualFold(n, "DEFAULT") {
			t.Charset = canonicalCharset(n)
		}
	case p.accept("COLLATE"):
		p.punct("=")
		if n, ok := p.name(); ok {
			if cs := charsetOfCollation(n); cs != "" {
				t.Charset = cs
			}
		}
	case p.accept("COMMENT"):
		p.punct("=")
		if p.peek().kind == text {
			t.Comment = p.next().text
		}
	default:
		return false
	}
	return true
}

// element reads a column or a key of CREATE TABLE or ALTER TABLE … ADD.
func (p *parser) element(t *Table) error {
	if handled, err := p.constraint(t); handled || err != nil {
		return err
	}
	c, inline, err := p.columnDef(t)
	if err != nil {
		return err
	}
	t.Columns = append(t.Columns, c)
	inline.apply(t, c.Name)
	return nil
}

// constraint reads what is not a column.
func (p *parser) constraint(t *Table) (handled bool, err error) {
	start := p.at
	if p.accept("CONSTRAINT") && !p.peek().is("PRIMARY") && !p.peek().is("UNIQUE") && !p.peek().is("FOREIGN") && !p.peek().is("CHECK") {
		p.name()
	}
	switch {
	case p.accept("PRIMARY", "KEY"):
		columns, err := p.keyColumns()
		if err != nil {
			return true, err
		}
		t.setPrimary(columns)
	case p.accept("UNIQUE"):
		p.acceptAny("KEY", "INDEX")
		p.accept("IF", "NOT", "EXISTS")
		var k Key
		if !p.peek().isPunct("(") && !p.peek().is("USING") {
			k.Name, _ = p.name()
		}
		if k.Columns, err = p.keyColumns(); err != nil {
			return true, err
		}
		t.addUnique(k)
	case p.peek().is("KEY"), p.peek().is("INDEX"), p.peek().is("FULLTEXT"), p.peek().is("FOREIGN"), p.peek().is("CHECK"),
		p.peek().is("SPATIAL"),
		p.peek().is("PERIOD") && p.ahead(1).is("FOR"),
		p.peek().is("VECTOR") && (p.ahead(1).is("INDEX") || p.ahead(1).is("KEY")):
	default:
		handled = p.at > start // a constraint of a kind that is not known
		if !handled {
			return false, nil
		}
	}
	p.skipItem()
	return true, nil
}

// keyColumns reads the columns of a key, after [USING method].
func (p *parser) keyColumns() ([]string, error) {
	if p.acceptAny("USING", "TYPE") {
		p.at++
	}
	if !p.punct("(") {
		return nil, p.fail()
	}
	var columns []string
	for {
		if p.peek().isPunct("(") { // an expression
			columns = append(columns, "")
		} else {
			n, ok := p.name()
			if !ok {
				return nil, p.fail()
			}
			columns = append(columns, n)
		}
		p.skipItem() // prefix length, ASC, DESC
		if p.punct(",") {
			continue
		}
		if !p.punct(")") {
			return nil, p.fail()
		}
		return columns, nil
	}
}

func (p *parser) createIndex(unique bool) error {
	p.out.Kind = TableStatement
	p.accept("IF", "NOT", "EXISTS")
	var k Key
	if !p.peek().is("ON") && !p.peek().is("USING") {
		k.Name, _ = p.name()
	}
	for !p.done() && !p.accept("ON") {
		p.at++
	}
	database, name, ok := p.table()
	if !ok {
		return p.fail()
	}
	p.out.Database = database
	t := p.c.Table(database, name)
	if !unique || t == nil {
		return nil
	}
	var err error
	if k.Columns, err = p.keyColumns(); err != nil {
		return err
	}
	t = t.clone()
	t.addUnique(k)
	p.altered(t)
	return nil
}

func (p *parser) altered(t *Table) {
	p.c.put(t)
	p.out.Changes = append(p.out.Changes, Change{Type: Alter, Database: t.Database, Name: t.Name, Table: t})
}

func (p *parser) drop() error {
	switch {
	case p.acceptAny("DATABASE", "SCHEMA"):
		p.accept("IF", "EXISTS")
		name, ok := p.name()
		if !ok {
			return p.fail()
		}
		p.out.Kind, p.out.Type, p.out.Database = DatabaseStatement, Drop, name
		if db := p.c.databases[p.c.fold(name)]; db != nil {
			for _, t := range db.tables {
				p.out.Changes = append(p.out.Changes, Change{Type: Drop, Database: t.Database, Name: t.Name})
			}
			slices.SortFunc(p.out.Changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
		}
		delete(p.c.databases, p.c.fold(name))
	case p.accept("TEMPORARY"):
	case p.accept("TABLE"), p.accept("TABLES"):
		p.out.Kind = TableStatement
		p.accept("IF", "EXISTS")
		for {
			database, name, ok := p.table()
			if !ok {
				return p.fail()
			}
			p.out.Database = database
			p.c.remove(database, name)
			p.out.Changes = append(p.out.Changes, Change{Type: Drop, Database: database, Name: name})
			if !p.punct(",") {
				return nil
			}
		}
	case p.acceptAny("INDEX", "KEY"):
		p.out.Kind = TableStatement
		p.accept("IF", "EXISTS")
		index, ok := p.name()
		if !ok || !p.accept("ON") {
			return p.fail()
		}
		database, name, ok := p.table()
		if !ok {
			return p.fail()
		}
		p.out.Database = database
		if t := p.c.Table(database, name); t != nil && (t.hasUnique(index) || strings.EqualFold(index, "PRIMARY")) {
			t = t.clone()
			t.dropKey(index)
			p.altered(t)
		}
	}
	return nil
}

func (p *parser) rename() error {
	p.accept("IF", "EXISTS")
	for {
		fromDB, from, ok := p.table()
		if !ok {
			return p.fail()
		}
		if p.acceptAny("WAIT", "NOWAIT") && p.peek().kind == number {
			p.at++
		}
		if !p.accept("TO") {
			return p.fail()
		}
		toDB, to, ok := p.table()
		if !ok {
			return p.fail()
		}
		p.out.Database = fromDB
		p.renameTable(fromDB, from, toDB, to)
		if !p.punct(",") {
			return nil
		}
	}
}

func (p *parser) renameTable(fromDB, from, toDB, to string) {
	t := p.c.remove(fromDB, from)
	if t != nil {
		t = t.clone()
		t.Database, t.Name = toDB, to
		p.c.put(t)
	} else {
		p.c.remove(toDB, to)
	}
	p.out.Changes = append(p.out.Changes, Change{
		Type: Alter, Database: toDB, Name: to, PreviousDatabase: fromDB, PreviousName: from, Table: t,
	})
}
