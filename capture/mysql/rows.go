package mysql

import (
	"fmt"
	mathbits "math/bits"

	"github.com/penstock/penstock/schema"
)

// rowReader reads the values of rows from the body of a rows event, which is
// in the arena of the batch that the rows go to. It does not allocate.
type rowReader struct {
	wire
	arena   *schema.Arena
	scratch []byte       // for values that need rendering
	unused  schema.Value // takes the values of columns that are not captured
}

// prefixed returns a value behind its length, which takes n bytes.
func (r *rowReader) prefixed(n int) []byte {
	length := r.little(n)
	if length > uint64(len(r.p)) {
		r.bad = true
		r.p = nil
		return nil
	}
	return r.take(int(length))
}

// rowPlan reads the rows of one version of a table. It is made once and used
// for every row.
type rowPlan struct {
	table   *schema.Table
	columns []plannedColumn
	source  schema.Row // the source block's constants
	// skip says that the table is not captured.
	skip bool
}

type plannedColumn struct {
	decode logDecoder
	cell   int // place in the row, -1 to drop
	name   string
}

// newRowPlan prepares reading rows that are logged in the given forms.
func newRowPlan(cfg *config, d *definition, s *shape, m *tableMap) (*rowPlan, error) {
	p := &rowPlan{table: s.table, columns: make([]plannedColumn, len(m.columns)), source: make(schema.Row, sourceFields)}
	constants(p.source, s.table.Source)
	for i := range m.columns {
		c := &d.columns[i]
		t, err := typeOf(c)
		if err != nil {
			return nil, err
		}
		decode, err := t.log(&cfg.values, c, &m.columns[i])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		p.columns[i] = plannedColumn{decode: decode, cell: s.cells[i], name: c.Name}
	}
	return p, nil
}

// image reads one row image: present says which columns it has. Columns that
// it does not have become absent.
func (p *rowPlan) image(r *rowReader, present []byte) (schema.Row, error) {
	row := r.arena.Row(len(p.table.Columns))
	nulls := r.take((ones(present, len(p.columns)) + 7) / 8)
	if r.bad {
		return nil, fmt.Errorf("row of %s: %w", p.table.Path(), errShort)
	}
	at := 0
	for i := range p.columns {
		c := &p.columns[i]
		v := &r.unused
		if c.cell >= 0 {
			v = &row[c.cell]
		}
		if present[i/8]&(1<<(i%8)) == 0 {
			*v = schema.Absent()
			continue
		}
		if nulls[at/8]&(1<<(at%8)) != 0 {
			at++
			continue // cells are null from the start
		}
		at++
		c.decode(r, v)
		if r.bad {
			return nil, fmt.Errorf("value of %s.%s: %w", p.table.Path(), c.name, errShort)
		}
	}
	return row, nil
}

// ones counts the bits that are set among the first n.
func ones(bitmap []byte, n int) int {
	count := 0
	for i := range n / 8 {
		count += mathbits.OnesCount8(bitmap[i])
	}
	if n%8 > 0 {
		count += mathbits.OnesCount8(bitmap[n/8] & (1<<(n%8) - 1))
	}
	return count
}
