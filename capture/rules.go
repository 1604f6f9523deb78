package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/schema"
)

// tableRules are what the configuration says about the events of a version of
// a table, compiled once. Unlike the plan they need neither topic nor
// converters, so that whoever reads the log can count what an event becomes.
type tableRules struct {
	table *schema.Table
	key   []int          // places in the columns
	row   *schema.Schema // of the rows in events
	cells []cellChange   // to the rows' values, in the order of columns
	// places are those of the columns that rows in events have; nil if they
	// have all.
	places []int
}

// rules returns a table's rules.
func (s *shaper) rules(t *schema.Table) (*tableRules, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rulesOf(t)
}

// rulesOf is rules with the lock held.
func (s *shaper) rulesOf(t *schema.Table) (*tableRules, error) {
	if r, ok := s.ruled[t]; ok {
		return r, nil
	}
	key, err := s.keyPlaces(t)
	if err != nil {
		return nil, err
	}
	r := &tableRules{table: t, key: key}
	if err := s.rowRules(r); err != nil {
		return nil, err
	}
	s.ruled[t] = r
	return r, nil
}

// rowRules compiles the schema of a table's rows, and what happens to their
// values.
func (s *shaper) rowRules(r *tableRules) error {
	t := r.table
	r.row = &schema.Schema{Type: schema.TypeStruct, Optional: true, Name: adjustName(s.Naming.Schemas, s.Naming.Table(t)+".Value")}
	names := map[string]string{}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.KeyOnly {
			continue
		}
		f := s.field(c)
		if other, taken := names[f.Name]; taken {
			return Permanent(fmt.Errorf("columns %q and %q are both called %q by field.name.adjustment.mode=%s: exclude one of them", other, c.Name, f.Name, s.Naming.Fields))
		}
		names[f.Name] = c.Name
		if rule := ruleFor(s.Columns, t, c); rule != nil {
			f.Schema = rule.schemaOf(c)
			if change, any := rule.changeOf(c, i); any {
				r.cells = append(r.cells, change)
			} else if (rule.mask != nil || rule.hash != nil) && s.log != nil {
				s.log.Warn("a column that is to be masked is published as it is, since its values are no text; exclude it (column.exclude.list)", "table", t.Path(), "column", c.Name)
			}
		}
		r.row.Fields = append(r.row.Fields, f)
		r.places = append(r.places, i)
	}
	if len(r.places) == len(t.Columns) {
		r.places = nil
	}
	return nil
}

// field is a column as keys have it: nothing is masked in them.
func (s *shaper) field(c *schema.Column) schema.Field {
	return schema.Field{Name: adjustField(s.Naming.Fields, c.Name), Schema: c.Schema, Absent: c.Absent}
}

// keyPlaces returns the places of a table's key columns.
func (s *shaper) keyPlaces(t *schema.Table) ([]int, error) {
	columns := KeyColumnsOf(s.Keys, t.Database, t.Path())
	if columns == nil {
		return t.Key, nil
	}
	var places []int
	for _, c := range columns {
		at := slices.IndexFunc(t.Columns, func(col schema.Column) bool { return strings.EqualFold(col.Name, c) })
		if at < 0 {
			return nil, Permanent(fmt.Errorf("message.key.columns names column %q, which the table does not have", c))
		}
		places = append(places, at)
	}
	return places, nil
}

// effect is what an event becomes.
type effect uint8

const (
	effectNone  effect = iota // nothing: the configuration leaves it out
	effectPlain               // one event, and its tombstone
	effectRekey               // a deletion under the old key and a creation under the new one
)

// effect tells what an event becomes.
func (s *shaper) effect(r *tableRules, ev *schema.Event) effect {
	switch {
	case s.SkipUnchanged && ev.Op == schema.OpUpdate && ev.Before != nil && r.unchanged(ev.Before, ev.After):
		return effectNone
	case ev.Op == schema.OpUpdate && ev.Before != nil && r.keyChanged(ev.Before, ev.After):
		return effectRekey
	case s.skip[ev.Op]:
		return effectNone
	default:
		return effectPlain
	}
}

// records counts the events that an effect has.
func (s *shaper) records(e effect) (n int64) {
	switch e {
	case effectPlain:
		return 1
	case effectRekey:
		for _, op := range []schema.Op{schema.OpDelete, schema.OpCreate} {
			if !s.skip[op] {
				n++
			}
		}
	case effectNone:
	}
	return n
}

// keyChanged compares as much of the keys as both images have.
func (r *tableRules) keyChanged(before, after schema.Row) bool {
	for _, at := range r.key {
		old := r.old(before, at)
		if after[at].Kind() != schema.KindAbsent && old.Kind() != schema.KindAbsent && !old.Equal(after[at]) {
			return true
		}
	}
	return false
}

// unchanged reports whether two images of a row are published alike.
func (r *tableRules) unchanged(before, after schema.Row) bool {
	cells := r.cells
	for at := range after {
		if r.table.Columns[at].KeyOnly {
			continue
		}
		if len(cells) > 0 && cells[0].at == at {
			if !cells[0].equal(before[at], after[at]) {
				return false
			}
			cells = cells[1:]
		} else if !before[at].Equal(after[at]) {
			return false
		}
	}
	return true
}

// old returns a column of an old row, absent if the log does not have it.
func (r *tableRules) old(row schema.Row, at int) schema.Value {
	if row == nil || r.table.Columns[at].Unlogged {
		return schema.Absent()
	}
	return row[at]
}
