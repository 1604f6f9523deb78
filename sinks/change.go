package sinks

import (
	"bytes"
	"strings"

	"github.com/penstock/penstock/schema"
)

// Unavailable is the text that Debezium writes in place of a value that is not
// in the log (an unchanged TOASTed column). Sinks leave such a field as it is
// at the destination.
const Unavailable = "__debezium_unavailable_value"

// unavailableBase64 is how schemaless JSON shows it in a bytes column.
const unavailableBase64 = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="

// Change is a record seen as a change of one row.
type Change struct {
	// Op is what happened. Of a record that is no envelope only two things
	// are known: OpUpdate stands for "this is the row now", OpDelete for a
	// null value.
	Op schema.Op
	// Envelope says whether the record's value is Debezium's envelope.
	Envelope bool
	// Tombstone says that the value is null: in a topic with envelopes it
	// repeats a delete for the log compaction, in others it is the delete.
	Tombstone bool
	// Before and After are the rows; the value is null where there is none.
	Before, After schema.Data
	// Source is the envelope's source block; null without one.
	Source schema.Data
	// TimeMicros is when the change was committed at the source, in
	// microseconds since 1970; 0 if the record does not say.
	TimeMicros int64
}

// Row returns the row after the change, or the one before a delete.
func (c *Change) Row() schema.Data {
	if c.Op == schema.OpDelete {
		return c.Before
	}
	return c.After
}

// envelopePlan says where an envelope's fields are; -1 where there is none.
type envelopePlan struct {
	envelope                  bool
	before, after, source, op int
	tsMillis, tsMicros        int // in the source block
}

// maxPlans bounds what a Changes keeps about schemas. Schemas are few; a
// converter that makes a new one for every record must not eat the memory.
const maxPlans = 4096

// Changes reads records as changes. It plans once per schema. The zero Changes
// is ready for use; it is not safe for concurrent use.
type Changes struct {
	plans map[*schema.Schema]*envelopePlan
	last  *schema.Schema
	plan  *envelopePlan
}

// Read sees a record as a change. With unwrap unset an envelope is taken for
// a row like any other.
func (cs *Changes) Read(r *schema.Record, unwrap bool) Change {
	switch {
	case r.Value.Value.IsNull():
		return Change{Op: schema.OpDelete, Tombstone: true}
	case !unwrap:
	case r.Value.Schema == nil:
		if c, ok := readMap(r.Value.Value); ok {
			return c
		}
	case r.Value.Value.Kind() == schema.KindStruct:
		if p := cs.planOf(r.Value.Schema); p.envelope {
			return p.read(r.Value)
		}
	default:
	}
	return Change{Op: schema.OpUpdate, After: r.Value}
}

func (cs *Changes) planOf(s *schema.Schema) *envelopePlan {
	if s == cs.last && cs.plan != nil {
		return cs.plan
	}
	p := cs.plans[s]
	if p == nil {
		if cs.plans == nil || len(cs.plans) >= maxPlans {
			cs.plans = map[*schema.Schema]*envelopePlan{}
		}
		p = planEnvelope(s)
		cs.plans[s] = p
	}
	cs.last, cs.plan = s, p
	return p
}

// planEnvelope recognises an envelope by its name, or, since a transform may
// have renamed the schema, by the fields that no row has together by chance.
func planEnvelope(s *schema.Schema) *envelopePlan {
	p := &envelopePlan{
		before: s.Index("before"), after: s.Index("after"), source: s.Index("source"), op: s.Index("op"),
		tsMillis: -1, tsMicros: -1,
	}
	named := strings.HasSuffix(s.Name, ".Envelope")
	p.envelope = s.Type == schema.TypeStruct && p.op >= 0 && p.after >= 0 &&
		(named || p.source >= 0 && s.Fields[p.source].Schema.Type == schema.TypeStruct) &&
		s.Fields[p.op].Schema.Type == schema.TypeString
	if p.source >= 0 {
		src := s.Fields[p.source].Schema
		p.tsMillis, p.tsMicros = src.Index("ts_ms"), src.Index("ts_us")
	}
	return p
}

func (p *envelopePlan) read(d schema.Data) Change {
	fields := d.Value.Elems()
	at := func(i int) schema.Data {
		if i < 0 {
			return schema.Data{}
		}
		return schema.Data{Schema: d.Schema.Fields[i].Schema, Value: fields[i]}
	}
	c := Change{Envelope: true, Before: at(p.before), After: at(p.after), Source: at(p.source), Op: schema.OpUpdate}
	if op := fields[p.op].Bytes(); len(op) == 1 {
		c.Op = schema.Op(op[0])
	}
	if src := c.Source.Value.Elems(); src != nil {
		switch {
		case p.tsMicros >= 0 && src[p.tsMicros].Kind() == schema.KindInt:
			c.TimeMicros = src[p.tsMicros].Int()
		case p.tsMillis >= 0:
			c.TimeMicros = src[p.tsMillis].Int() * 1000
		}
	}
	return c
}

// readMap recognises a schemaless envelope.
func readMap(v schema.Value) (Change, bool) {
	var op, after, before, source schema.Value
	var hasRow, hasSource bool
	fields := v.Elems()
	for i := 0; i+1 < len(fields); i += 2 {
		switch string(fields[i].Bytes()) {
		case "op":
			op = fields[i+1]
		case "before":
			before, hasRow = fields[i+1], true
		case "after":
			after, hasRow = fields[i+1], true
		case "source":
			source, hasSource = fields[i+1], true
		}
	}
	letter := op.Bytes()
	if !hasRow || !hasSource || op.Kind() != schema.KindString || len(letter) != 1 || !strings.Contains("rcudtm", string(letter)) {
		return Change{}, false
	}
	c := Change{
		Op: schema.Op(letter[0]), Envelope: true,
		Before: schema.Data{Value: before}, After: schema.Data{Value: after}, Source: schema.Data{Value: source},
	}
	fields = source.Elems()
	for i := 0; i+1 < len(fields); i += 2 {
		switch string(fields[i].Bytes()) {
		case "ts_us":
			c.TimeMicros = fields[i+1].Int()
		case "ts_ms":
			if c.TimeMicros == 0 {
				c.TimeMicros = fields[i+1].Int() * 1000
			}
		}
	}
	return c, true
}

// IsUnavailable reports whether a field's value stands for one that is not in
// the log: absent in our own batches, Debezium's placeholder in the shape of
// the column's type in what was read from a topic.
func IsUnavailable(v schema.Value) bool {
	switch v.Kind() {
	case schema.KindAbsent:
		return true
	case schema.KindString, schema.KindBytes:
		b := v.Bytes()
		return len(b) == len(Unavailable) && string(b) == Unavailable ||
			len(b) == len(unavailableBase64) && string(b) == unavailableBase64
	case schema.KindArray:
		elems := v.Elems()
		switch {
		case len(elems) == 1:
			return elems[0].Kind() != schema.KindArray && IsUnavailable(elems[0])
		case len(elems) == len(Unavailable) && elems[0].Kind() == schema.KindInt:
			// An array of numbers holds the text's bytes.
			for i, e := range elems {
				if e.Int() != int64(Unavailable[i]) {
					return false
				}
			}
			return true
		}
	case schema.KindMap:
		elems := v.Elems()
		return len(elems) == 2 && bytes.Equal(elems[0].Bytes(), []byte(Unavailable)) && IsUnavailable(elems[1])
	default:
	}
	return false
}
