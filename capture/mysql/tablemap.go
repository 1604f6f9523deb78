package mysql

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
)

// The forms of values in the binary log (enum_field_types).
const (
	wireTiny       = 1
	wireShort      = 2
	wireLong       = 3
	wireFloat      = 4
	wireDouble     = 5
	wireTimestamp  = 7
	wireLongLong   = 8
	wireInt24      = 9
	wireDate       = 10
	wireTime       = 11
	wireDatetime   = 12
	wireYear       = 13
	wireNewDate    = 14
	wireVarchar    = 15
	wireBit        = 16
	wireTimestamp2 = 17
	wireDatetime2  = 18
	wireTime2      = 19
	wireVector     = 242
	wireJSON       = 245
	wireNewDecimal = 246
	wireEnum       = 247
	wireSet        = 248
	wireBlob       = 252
	wireVarString  = 253
	wireString     = 254
	wireGeometry   = 255
)

var errWireType = errors.New("the log has the column in another form")

// binColumn is how a column is written in rows.
type binColumn struct {
	typ  byte
	meta uint16
}

// lengthBytes returns how many bytes of length are before the bytes of a value.
func (b *binColumn) lengthBytes() int {
	switch b.typ {
	case wireVarchar, wireVarString, wireString:
		if b.meta > 255 {
			return 2
		}
		return 1
	default:
		return int(b.meta)
	}
}

// tableMap is what a TABLE_MAP event says of a table.
type tableMap struct {
	database, name string
	columns        []binColumn
	nullable       []bool
	// columnDefs are the definitions as far as the log has them; named says
	// that it has all there is to know, names included
	// (binlog_row_metadata=FULL). key holds the places of the primary key's
	// columns then.
	columnDefs []ddl.Column
	named      bool
	hasSigns   bool // columnDefs tells unsigned columns
	hasCharset bool // columnDefs tells character sets
	key        []int
}

// maxColumns is the most that a table can have.
const maxColumns = 4096

// parseTableMap reads the event's body after the table's number and the flags.
// charsets gives the character set of a collation's number.
func parseTableMap(body []byte, charsets func(id uint64) string) (*tableMap, error) {
	w := wire{p: body}
	m := &tableMap{}
	m.database = string(w.take(int(w.uint8())))
	w.skip(1)
	m.name = string(w.take(int(w.uint8())))
	w.skip(1)
	n := w.length() // each column has at least a byte
	if w.bad || n > maxColumns {
		return nil, fmt.Errorf("table map: %w", errShort)
	}
	forms := w.take(n)
	meta := wire{p: w.text()}
	nulls := w.take((n + 7) / 8)
	if w.bad || len(nulls) < (n+7)/8 {
		return nil, fmt.Errorf("table map of %s.%s: %w", m.database, m.name, errShort)
	}
	m.columns, m.nullable = make([]binColumn, n), make([]bool, n)
	for i, form := range forms {
		m.nullable[i] = nulls[i/8]&(1<<(i%8)) != 0
		c := binColumn{typ: form}
		switch form {
		case wireString:
			// The first byte is the real type, with two bits of the length
			// mixed in.
			real, length := meta.uint8(), uint16(meta.uint8())
			switch {
			case real == wireEnum || real == wireSet:
				c.typ, c.meta = real, length
			case real&0x30 != 0x30:
				c.typ, c.meta = real|0x30, length|uint16(real&0x30^0x30)<<4
			default:
				c.typ, c.meta = real, length
			}
		case wireNewDecimal:
			c.meta = uint16(meta.uint8())<<8 | uint16(meta.uint8())
		case wireVarchar, wireVarString, wireBit:
			c.meta = meta.uint16()
			if form == wireBit {
				c.meta = c.meta&0xff | c.meta&0xff00
			}
		case wireBlob, wireDouble, wireFloat, wireGeometry, wireVector, wireJSON, wireTime2, wireDatetime2, wireTimestamp2:
			c.meta = uint16(meta.uint8())
		}
		m.columns[i] = c
	}
	if meta.bad {
		return nil, fmt.Errorf("table map of %s.%s: %w", m.database, m.name, errShort)
	}
	if err := m.optional(&w, charsets); err != nil {
		return nil, fmt.Errorf("table map of %s.%s: %w", m.database, m.name, err)
	}
	return m, nil
}

// The kinds of optional metadata (Table_map_event::Optional_metadata_field_type).
const (
	metaSignedness         = 1
	metaDefaultCharset     = 2
	metaColumnCharset      = 3
	metaColumnName         = 4
	metaSetValues          = 5
	metaEnumValues         = 6
	metaGeometryType       = 7
	metaSimpleKey          = 8
	metaKeyWithPrefix      = 9
	metaMemberCharset      = 10 // default of enum and set columns
	metaMemberColumnChrset = 11
)

// metadata collects the optional metadata before it is put together.
type metadata struct {
	unsigned                 []byte
	names                    [][]byte
	collations, memberColls  func(i int) uint64 // of the i-th character column
	sets, enums              [][][]byte
	geometries               []uint64
	hasSignedness, hasNames  bool
	charCount, memberCount   int // columns that were met so far, of each kind
	setCount, enumCount, geo int
}

// optional reads the metadata behind the null bits. Only if it has the columns'
// names is the table known without other help.
func (m *tableMap) optional(w *wire, charsets func(uint64) string) error {
	var md metadata
	for w.more() {
		kind := w.uint8()
		v := wire{p: w.text()}
		if w.bad {
			return errShort
		}
		switch kind {
		case metaSignedness:
			md.unsigned, md.hasSignedness = v.rest(), true
		case metaDefaultCharset:
			md.collations = defaultCollations(&v)
		case metaColumnCharset:
			md.collations = listedCollations(&v)
		case metaMemberCharset:
			md.memberColls = defaultCollations(&v)
		case metaMemberColumnChrset:
			md.memberColls = listedCollations(&v)
		case metaColumnName:
			md.hasNames = true
			for v.more() {
				md.names = append(md.names, v.text())
			}
		case metaSetValues:
			md.sets = memberLists(&v)
		case metaEnumValues:
			md.enums = memberLists(&v)
		case metaGeometryType:
			for v.more() {
				n, _ := v.lenenc()
				md.geometries = append(md.geometries, n)
			}
		case metaSimpleKey, metaKeyWithPrefix:
			m.key = nil
			for v.more() {
				n, _ := v.lenenc()
				if kind == metaKeyWithPrefix {
					v.lenenc()
				}
				if n >= uint64(len(m.columns)) {
					return errShort
				}
				m.key = append(m.key, int(n))
			}
		}
		if v.bad {
			return errShort
		}
	}
	m.named, m.hasSigns, m.hasCharset = md.hasNames, md.hasSignedness, md.collations != nil
	if md.hasNames && len(md.names) != len(m.columns) {
		return fmt.Errorf("%d names for %d columns", len(md.names), len(m.columns))
	}
	if !md.hasNames {
		m.key = nil
	}
	return m.define(&md, charsets)
}

// defaultCollations reads a default and, as pairs of place and collation, what
// differs from it.
func defaultCollations(v *wire) func(int) uint64 {
	byDefault, _ := v.lenenc()
	other := map[int]uint64{}
	for v.more() {
		i, _ := v.lenenc()
		n, _ := v.lenenc()
		other[int(i)] = n
	}
	return func(i int) uint64 {
		if n, ok := other[i]; ok {
			return n
		}
		return byDefault
	}
}

func listedCollations(v *wire) func(int) uint64 {
	var list []uint64
	for v.more() {
		n, _ := v.lenenc()
		list = append(list, n)
	}
	return func(i int) uint64 {
		if i < len(list) {
			return list[i]
		}
		return 0
	}
}

func memberLists(v *wire) [][][]byte {
	var lists [][][]byte
	for v.more() {
		var members [][]byte
		for range v.length() {
			members = append(members, v.text())
			if v.bad {
				return nil
			}
		}
		lists = append(lists, members)
	}
	return lists
}

// numeric tells the columns that the signedness bits are about.
func (b *binColumn) numeric() bool {
	switch b.typ {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong, wireNewDecimal, wireFloat, wireDouble, wireYear:
		return true
	}
	return false
}

// character tells the columns that have a character set.
func (b *binColumn) character() bool {
	switch b.typ {
	case wireString, wireVarString, wireVarchar, wireBlob:
		return true
	}
	return false
}

// define puts the metadata together to column definitions.
func (m *tableMap) define(md *metadata, charsets func(uint64) string) error {
	m.columnDefs = make([]ddl.Column, len(m.columns))
	numeric := 0
	for i := range m.columns {
		b := &m.columns[i]
		c := ddl.Column{Nullable: m.nullable[i], Length: -1, Scale: -1}
		if md.hasNames {
			c.Name = string(md.names[i])
		}
		if b.numeric() {
			if byteAt := numeric / 8; byteAt < len(md.unsigned) {
				c.Unsigned = md.unsigned[byteAt]&(0x80>>(numeric%8)) != 0 && b.typ != wireYear
			}
			numeric++
		}
		charset := "binary"
		if b.character() && md.collations != nil {
			charset = charsets(md.collations(md.charCount))
			md.charCount++
		}
		switch b.typ {
		case wireEnum, wireSet:
			if md.memberColls != nil {
				charset = charsets(md.memberColls(md.memberCount))
			}
			md.memberCount++
			var members [][]byte
			switch {
			case b.typ == wireEnum && md.enumCount < len(md.enums):
				members = md.enums[md.enumCount]
				md.enumCount++
			case b.typ == wireSet && md.setCount < len(md.sets):
				members = md.sets[md.setCount]
				md.setCount++
			case md.hasNames:
				return fmt.Errorf("no values for column %s", c.Name)
			}
			cs, err := charsetOf(charset)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
			for _, t := range members {
				c.Members = append(c.Members, cs.name(t))
			}
		case wireGeometry:
			c.Type = "GEOMETRY"
			if md.geo < len(md.geometries) && md.geometries[md.geo] == 1 {
				c.Type = "POINT"
			}
			md.geo++
		}
		if charset == "" {
			return fmt.Errorf("the server does not know the collation of column %s", c.Name)
		}
		c.Charset = charset
		if err := b.describe(&c); err != nil && md.hasNames {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		m.columnDefs[i] = c
	}
	return nil
}

// describe fills in the type that a form stands for.
func (b *binColumn) describe(c *ddl.Column) error {
	isText := c.Charset != "binary"
	either := func(text, binary string) string {
		if isText {
			return text
		}
		return binary
	}
	maxLen := func() int {
		if isText {
			return int(b.meta) / ddl.MaxBytes(c.Charset)
		}
		return int(b.meta)
	}
	switch b.typ {
	case wireTiny:
		c.Type = "TINYINT"
	case wireShort:
		c.Type = "SMALLINT"
	case wireInt24:
		c.Type = "MEDIUMINT"
	case wireLong:
		c.Type = "INT"
	case wireLongLong:
		c.Type = "BIGINT"
	case wireNewDecimal:
		c.Type, c.Length, c.Scale = "DECIMAL", int(b.meta>>8), int(b.meta&0xff)
	case wireFloat:
		c.Type = "FLOAT"
	case wireDouble:
		c.Type = "DOUBLE"
	case wireBit:
		c.Type, c.Length = "BIT", int(b.meta>>8)*8+int(b.meta&0xff)
	case wireDate, wireNewDate:
		c.Type = "DATE"
	case wireTime, wireTime2:
		c.Type, c.Length = "TIME", int(b.meta)
	case wireDatetime, wireDatetime2:
		c.Type, c.Length = "DATETIME", int(b.meta)
	case wireTimestamp, wireTimestamp2:
		c.Type, c.Length = "TIMESTAMP", int(b.meta)
	case wireYear:
		c.Type = "YEAR"
	case wireVarchar, wireVarString:
		c.Type, c.Length = either("VARCHAR", "VARBINARY"), maxLen()
	case wireString:
		c.Type, c.Length = either("CHAR", "BINARY"), maxLen()
	case wireBlob:
		if b.meta < 1 || b.meta > 4 {
			return errWireType
		}
		c.Type = either(
			[]string{"TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"}[b.meta-1],
			[]string{"TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"}[b.meta-1])
	case wireEnum:
		c.Type = "ENUM"
	case wireSet:
		c.Type = "SET"
	case wireJSON:
		c.Type = "JSON"
	case wireGeometry:
	case wireVector:
		c.Type = "VECTOR"
	default:
		return fmt.Errorf("the log has values of type %d, which is not supported", b.typ)
	}
	return nil
}

// compatible reports whether a column can have been logged in a form.
func compatible(c *ddl.Column, b *binColumn) bool {
	t, ok := types[c.Type]
	if !ok || !slices.Contains(t.wire, b.typ) {
		return false
	}
	switch b.typ {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong:
		return c.Type == map[byte]string{
			wireTiny: "TINYINT", wireShort: "SMALLINT", wireInt24: "MEDIUMINT", wireLong: "INT", wireLongLong: "BIGINT",
		}[b.typ]
	case wireNewDecimal:
		return c.Length == int(b.meta>>8) && c.Scale == int(b.meta&0xff)
	case wireTime2, wireDatetime2, wireTimestamp2:
		return max(c.Length, 0) == int(b.meta)
	case wireBit:
		return max(c.Length, 1) == int(b.meta>>8)*8+int(b.meta&0xff)
	}
	return true
}

// merge completes a definition that fits by what the log knows better.
func (m *tableMap) merge(d *definition) *definition {
	out := *d
	out.columns = slices.Clone(d.columns)
	for i := range out.columns {
		c, logged, b := &out.columns[i], &m.columnDefs[i], &m.columns[i]
		c.Nullable = m.nullable[i]
		if m.hasSigns && b.numeric() && b.typ != wireYear {
			c.Unsigned = logged.Unsigned
		}
		if m.hasCharset && b.character() && (c.Charset == "binary") == (logged.Charset == "binary") {
			c.Charset = logged.Charset
		}
		if m.named && (b.typ == wireEnum || b.typ == wireSet) {
			c.Members, c.Charset = logged.Members, logged.Charset
		}
	}
	if m.named && len(m.key) > 0 {
		out.key = m.key
	}
	return &out
}

// fits reports whether a definition's columns can have been logged in these
// forms; why says what does not.
func (m *tableMap) fits(d *definition) (why string, ok bool) {
	if len(d.columns) != len(m.columns) {
		return fmt.Sprintf("it has %d columns in the log and %d by its definition", len(m.columns), len(d.columns)), false
	}
	for i := range d.columns {
		if !compatible(&d.columns[i], &m.columns[i]) {
			return fmt.Sprintf("column %s is %s by its definition, but not in the log", d.columns[i].Name, d.columns[i].Type), false
		}
	}
	return "", true
}
