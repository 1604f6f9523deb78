package ddl

// Name is a table's name.
type Name struct{ Database, Name string }

// Targets returns the tables that a statement changes the rows of; none if it
// is another kind of statement. It is for recognising changes that were logged
// as statements, so it rather names a table too many.
func Targets(defaultDatabase, sql string, mode Mode) []Name {
	p := parser{sql: sql, tokens: lex(sql, mode), database: defaultDatabase}
	switch {
	case p.accept("INSERT"), p.accept("REPLACE"):
		for p.acceptAny("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE") {
		}
		p.accept("INTO")
		return p.oneName()
	case p.accept("LOAD"):
		for !p.done() && !p.accept("TABLE") {
			p.at++
		}
		return p.oneName()
	case p.accept("UPDATE"):
		for p.acceptAny("LOW_PRIORITY", "IGNORE") {
		}
		return p.namesUntil("SET")
	case p.accept("DELETE"):
		for p.acceptAny("LOW_PRIORITY", "QUICK", "IGNORE") {
		}
		p.accept("FROM")
		return p.namesUntil("WHERE", "ORDER", "LIMIT", "RETURNING")
	}
	return nil
}

func (p *parser) oneName() []Name {
	database, name, ok := p.table()
	if !ok {
		return nil
	}
	return []Name{{database, name}}
}

// namesUntil returns the names that begin an item of a list of tables.
func (p *parser) namesUntil(keywords ...string) []Name {
	var names []Name
	begins := true
	for !p.done() {
		t := p.peek()
		for _, k := range keywords {
			if t.is(k) {
				return names
			}
		}
		switch {
		case t.isPunct("("):
			if p.ahead(1).is("SELECT") {
				p.skipParens()
				begins = false
				continue
			}
			p.at++
		case t.isPunct(","), t.is("JOIN"), t.is("FROM"), t.is("USING"), t.is("STRAIGHT_JOIN"):
			p.at++
			begins = true
		case begins && (t.kind == word || t.kind == quoted):
			names = append(names, p.oneName()...)
			begins = false
		default:
			p.at++
		}
	}
	return names
}
