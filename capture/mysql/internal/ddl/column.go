package ddl

import (
	"strconv"
	"strings"
)

// synonyms maps the names that a type may be written with to the server's own.
var synonyms = map[string]string{
	"INTEGER": "INT", "INT1": "TINYINT", "INT2": "SMALLINT", "INT3": "MEDIUMINT", "MIDDLEINT": "MEDIUMINT", "INT4": "INT", "INT8": "BIGINT",
	"DEC": "DECIMAL", "NUMERIC": "DECIMAL", "FIXED": "DECIMAL", "NUMBER": "DECIMAL",
	"FLOAT4": "FLOAT", "FLOAT8": "DOUBLE", "REAL": "DOUBLE",
	"CHARACTER": "CHAR", "VARCHARACTER": "VARCHAR", "VARCHAR2": "VARCHAR", "NCHAR": "CHAR", "NVARCHAR": "VARCHAR", "RAW": "VARBINARY",
	"CLOB": "LONGTEXT", "SQL_TSI_YEAR": "YEAR", "GEOMETRYCOLLECTION": "GEOMCOLLECTION",
}

// inlineKeys are the keys that a column's definition asks for.
type inlineKeys struct{ primary, unique bool }

func (k inlineKeys) apply(t *Table, column string) {
	if k.primary {
		t.setPrimary([]string{column})
	}
	if k.unique {
		t.addUnique(Key{Columns: []string{column}})
	}
}

// columnDef reads a column: name, type, attributes.
func (p *parser) columnDef(t *Table) (Column, inlineKeys, error) {
	c := Column{Nullable: true, Length: -1, Scale: -1}
	var ok bool
	if c.Name, ok = p.name(); !ok {
		return c, inlineKeys{}, p.fail()
	}
	keys, err := p.columnType(&c)
	if err != nil {
		return c, keys, err
	}
	p.resolve(&c, t, p.attributes(&c, &keys))
	return c, keys, nil
}

// columnType reads the type's name and what is in parentheses.
func (p *parser) columnType(c *Column) (keys inlineKeys, err error) {
	n := p.next()
	if n.kind != word {
		p.at--
		return keys, p.fail()
	}
	c.Type = strings.ToUpper(n.text)
	switch c.Type {
	case "NATIONAL":
		c.Charset = "utf8mb3"
		n = p.next()
		c.Type = strings.ToUpper(n.text)
	case "NCHAR", "NVARCHAR":
		c.Charset = "utf8mb3"
	case "LONG":
		c.Type = "MEDIUMTEXT"
		switch {
		case p.accept("VARBINARY"):
			c.Type = "MEDIUMBLOB"
		case p.acceptAny("VARCHAR", "VARCHARACTER"), p.acceptAny("CHAR", "CHARACTER") && p.accept("VARYING"):
		}
	case "BOOL", "BOOLEAN":
		c.Type, c.Length = "TINYINT", 1
	case "SERIAL":
		c.Type, c.Unsigned, c.Nullable, c.AutoIncrement = "BIGINT", true, false, true
		keys.unique = true
	}
	if s, ok := synonyms[c.Type]; ok {
		c.Type = s
	}
	if c.Type == "CHAR" && p.accept("VARYING") {
		c.Type = "VARCHAR"
	}
	if c.Type == "CHAR" && p.accept("BYTE") {
		c.Type = "BINARY"
	}
	if c.Type == "DOUBLE" {
		p.accept("PRECISION")
	}
	if p.punct("(") {
		switch c.Type {
		case "ENUM", "SET":
			for p.peek().kind == text || p.peek().kind == hexText || p.peek().kind == bitText {
				// The server drops spaces at the end of members.
				c.Members = append(c.Members, strings.TrimRight(p.next().text, " "))
				if !p.punct(",") {
					break
				}
			}
		default:
			c.Length = p.integer()
			if p.punct(",") {
				c.Scale = p.integer()
			}
		}
		for !p.done() && !p.punct(")") {
			p.at++
		}
	}
	return keys, nil
}

func (p *parser) integer() int {
	if p.peek().kind != number {
		return -1
	}
	n, err := strconv.Atoi(p.next().text)
	if err != nil {
		return -1
	}
	return n
}

// attributes reads what is behind the type. It returns the character set that
// is given for the column, if any.
func (p *parser) attributes(c *Column, keys *inlineKeys) string {
	charset := c.Charset
	for !p.itemEnds() {
		switch {
		case p.accept("UNSIGNED"):
			c.Unsigned = true
		case p.accept("ZEROFILL"):
			c.Unsigned, c.Zerofill = true, true
		case p.accept("CHARACTER", "SET"), p.accept("CHAR", "SET"), p.accept("CHARSET"):
			p.punct("=")
			if n, ok := p.name(); ok {
				charset = canonicalCharset(n)
			}
		case p.accept("COLLATE"):
			p.punct("=")
			if n, ok := p.name(); ok && charset == "" {
				charset = charsetOfCollation(n)
			}
		case p.accept("ASCII"):
			charset = "latin1"
		case p.accept("UNICODE"):
			charset = "ucs2"
		case p.accept("BYTE"):
			charset = "binary"
		case p.accept("BINARY"): // a collation, which decides nothing here
		case p.accept("NOT", "NULL"):
			c.Nullable = false
		case p.accept("NULL"):
			c.Nullable = true
		case p.accept("DEFAULT"):
			p.defaultValue(c)
		case p.accept("ON", "UPDATE"), p.accept("ON", "DELETE"):
			if p.accept("SET", "NULL") || p.accept("SET", "DEFAULT") {
				break
			}
			if p.acceptAny("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP") {
				c.OnUpdateNow = true
			} else { // of a foreign key
				p.at++
			}
			if p.peek().isPunct("(") {
				p.skipParens()
			}
		case p.accept("AUTO_INCREMENT"):
			c.AutoIncrement, c.Nullable = true, false
		case p.accept("SERIAL", "DEFAULT", "VALUE"):
			c.AutoIncrement, c.Nullable = true, false
			keys.unique = true
		case p.accept("UNIQUE"):
			p.accept("KEY")
			keys.unique = true
		case p.accept("PRIMARY"):
			p.accept("KEY")
			keys.primary, c.Nullable = true, false
		case p.accept("KEY"):
			keys.primary, c.Nullable = true, false
		case p.accept("COMMENT"):
			if p.peek().kind == text {
				c.Comment = p.next().text
			}
		case p.accept("INVISIBLE"):
			c.Invisible = true
		case p.accept("GENERATED", "ALWAYS"):
		case p.peek().is("AS") && p.ahead(1).isPunct("("):
			p.at++
			p.skipParens()
			c.Generated = true
		case p.peek().is("FIRST"), p.peek().is("AFTER"):
			return charset
		case p.peek().isPunct("("):
			p.skipParens()
		default:
			p.at++
		}
	}
	return charset
}

// defaultValue reads what is behind DEFAULT.
func (p *parser) defaultValue(c *Column) {
	c.Default, c.DefaultIsExpression, c.Literal = nil, false, TextLiteral
	set := func(s string, literal Literal) { c.Default, c.Literal = &s, literal }
	expression := func(from token) {
		s := p.sql[from.from:p.tokens[p.at-1].to]
		c.Default, c.DefaultIsExpression = &s, true
	}
	switch t := p.peek(); {
	case t.is("NULL"):
		p.at++
	case t.is("TRUE"):
		p.at++
		set("1", NumberLiteral)
	case t.is("FALSE"):
		p.at++
		set("0", NumberLiteral)
	case t.kind == text:
		p.at++
		set(t.text, TextLiteral)
	case t.kind == number:
		p.at++
		set(t.text, NumberLiteral)
	case t.kind == hexText:
		p.at++
		set(t.text, HexLiteral)
	case t.kind == bitText:
		p.at++
		set(t.text, BitLiteral)
	case (t.is("DATE") || t.is("TIME") || t.is("TIMESTAMP")) && p.ahead(1).kind == text:
		p.at++
		set(p.next().text, TextLiteral)
	case t.isPunct("-") || t.isPunct("+"):
		p.at++
		set(strings.TrimPrefix(t.text, "+")+p.next().text, NumberLiteral)
	case t.isPunct("("):
		p.skipParens()
		expression(t)
	case t.kind == word: // CURRENT_TIMESTAMP(3), NOW(), UUID(), NEXT VALUE FOR s …
		p.at++
		if p.peek().isPunct("(") {
			p.skipParens()
		}
		expression(t)
	}
}

// resolve completes a column's type: default lengths, and the character set.
func (p *parser) resolve(c *Column, t *Table, charset string) {
	if charset == "" {
		charset = t.Charset
	}
	if c.Type == "JSON" && p.c.MariaDB {
		c.Type, charset = "LONGTEXT", "utf8mb4"
	}
	switch c.Type {
	case "DECIMAL":
		if c.Length < 1 {
			c.Length = 10
		}
		if c.Scale < 0 {
			c.Scale = 0
		}
	case "FLOAT":
		// FLOAT(p) chooses between the two types and is forgotten.
		if c.Scale < 0 {
			if c.Length > 24 {
				c.Type = "DOUBLE"
			}
			c.Length = -1
		}
	case "BIT", "CHAR", "BINARY":
		if c.Length < 0 {
			c.Length = 1
		}
	case "TEXT", "BLOB":
		if c.Length >= 0 {
			c.Type = sized(c.Type, c.Length*max(1, textFactor(c.Type, charset)))
			c.Length = -1
		}
	case "YEAR":
		c.Length = -1
	case "JSON":
		c.Charset = "utf8mb4"
		return
	case "GEOMETRYCOLLECTION":
		c.Type = "GEOMCOLLECTION"
	}
	switch c.Type {
	case "CHAR", "VARCHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT":
		if charset == "binary" {
			c.Type = map[string]string{
				"CHAR": "BINARY", "VARCHAR": "VARBINARY", "TINYTEXT": "TINYBLOB", "TEXT": "BLOB", "MEDIUMTEXT": "MEDIUMBLOB", "LONGTEXT": "LONGBLOB",
			}[c.Type]
		}
		c.Charset = charset
	case "ENUM", "SET":
		c.Charset = charset
	default:
		c.Charset = "binary"
	}
}

func textFactor(typ, charset string) int {
	if typ == "BLOB" {
		return 1
	}
	return MaxBytes(charset)
}

// sized returns the smallest TEXT or BLOB type that holds so many bytes.
func sized(typ string, bytes int) string {
	switch {
	case bytes < 1<<8:
		return "TINY" + typ
	case bytes < 1<<16:
		return typ
	case bytes < 1<<24:
		return "MEDIUM" + typ
	default:
		return "LONG" + typ
	}
}
