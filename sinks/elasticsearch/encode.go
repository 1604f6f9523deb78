package elasticsearch

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
)

// valuePlan says how the values of a schema are written. It is made once per
// schema.
type valuePlan struct {
	schema  *schema.Schema // nil is schemaless
	logical sinks.Logical
	bits    int // of a float
	fields  []fieldPlan
	elem    *valuePlan // of an array or map
	// scale and value are the fields of a LogicalVariableDecimal.
	scale, value int
}

type fieldPlan struct {
	name  string
	label []byte // the name as JSON with the colon
	plan  *valuePlan
}

// schemaless is the plan of data without a schema.
var schemaless = &valuePlan{bits: 64}

// encoder writes Values as JSON documents.
type encoder struct {
	typed       bool
	compactMaps bool
	plans       map[*schema.Schema]*valuePlan
	last        *schema.Schema
	plan        *valuePlan
}

// maxPlans bounds the plans kept. Schemas are few; a converter that makes a
// new one for every record must not eat the memory.
const maxPlans = 4096

func (e *encoder) planOf(s *schema.Schema) *valuePlan {
	if s == nil {
		return schemaless
	}
	if s == e.last {
		return e.plan
	}
	p := e.plans[s]
	if p == nil {
		if e.plans == nil || len(e.plans) >= maxPlans {
			e.plans = map[*schema.Schema]*valuePlan{}
		}
		p = compile(s)
		e.plans[s] = p
	}
	e.last, e.plan = s, p
	return p
}

func compile(s *schema.Schema) *valuePlan {
	p := &valuePlan{schema: s, logical: sinks.LogicalOf(s), bits: 64, scale: -1, value: -1}
	switch s.Type {
	case schema.TypeFloat32:
		p.bits = 32
	case schema.TypeStruct:
		for _, f := range s.Fields {
			label := append(appendString(nil, f.Name), ':')
			p.fields = append(p.fields, fieldPlan{name: f.Name, label: label, plan: compile(f.Schema)})
		}
		p.scale, p.value = s.Index("scale"), s.Index("value")
	case schema.TypeArray, schema.TypeMap:
		p.elem = compile(s.Elem)
	default:
	}
	return p
}

// value appends a value.
func (e *encoder) value(dst []byte, p *valuePlan, v schema.Value) ([]byte, error) {
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return append(dst, "null"...), nil
	case schema.KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case schema.KindInt:
		return e.integer(dst, p, v.Int()), nil
	case schema.KindFloat:
		return appendFloat(dst, v.Float(), p.bits), nil
	case schema.KindString:
		return appendString(dst, v.Bytes()), nil
	case schema.KindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
		return append(dst, '"'), nil
	case schema.KindDecimal:
		return appendDecimal(dst, v.Bytes()), nil
	case schema.KindArray:
		return e.array(dst, p, v.Elems())
	case schema.KindMap:
		return e.mapping(dst, p, v.Elems())
	case schema.KindStruct:
		return e.structure(dst, p, v.Elems())
	default:
		return dst, fmt.Errorf("a value of kind %s cannot be written", v.Kind())
	}
}

// maxNumber is how long a number Elasticsearch reads at all (Jackson's
// StreamReadConstraints). A double is out of range long before.
const maxNumber = 1000

// appendDecimal appends a number with all its digits; one that Elasticsearch
// would not read becomes text, so that at least the document has it.
func appendDecimal(dst, text []byte) []byte {
	if len(text) > maxNumber {
		return appendString(dst, text)
	}
	return append(dst, text...)
}

// Years that ISO-8601 has four digits for. Elasticsearch would take more only
// with a sign; what databases have there is their infinity, which is left as a
// number and not indexed.
const (
	firstYear = 0
	lastYear  = 9999
)

func (e *encoder) integer(dst []byte, p *valuePlan, n int64) []byte {
	switch l := p.logical; l {
	case sinks.LogicalDate, sinks.LogicalTimestampMillis, sinks.LogicalTimestampMicros, sinks.LogicalTimestampNanos:
		if !e.typed {
			if p.schema.Name == schema.NameDate {
				n *= 86_400_000 // as Confluent's connector has it: milliseconds
			}
			break
		}
		t := l.Timestamp(n)
		if y := t.Year(); y < firstYear || y > lastYear {
			break
		}
		layout := `"2006-01-02T15:04:05.999999999Z"`
		if l == sinks.LogicalDate {
			layout = `"2006-01-02"`
		}
		return t.AppendFormat(dst, layout)
	case sinks.LogicalTimeMillis, sinks.LogicalTimeMicros, sinks.LogicalTimeNanos:
		if e.typed {
			dst = append(dst, '"')
			dst = l.AppendTime(dst, n)
			return append(dst, '"')
		}
	default:
	}
	return strconv.AppendInt(dst, n, 10)
}

func (e *encoder) array(dst []byte, p *valuePlan, elems []schema.Value) (_ []byte, err error) {
	elem := p.elem
	if elem == nil {
		elem = schemaless
	}
	dst = append(dst, '[')
	for i, v := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = e.value(dst, elem, v); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// mapping appends a map as an object, or as a list of keys and values.
func (e *encoder) mapping(dst []byte, p *valuePlan, elems []schema.Value) (_ []byte, err error) {
	elem := p.elem
	if elem == nil {
		elem = schemaless
	}
	object := e.compactMaps || p.schema == nil
	open, end := byte('['), byte(']')
	if object {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i := 0; i+1 < len(elems); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !object {
			dst = append(dst, `{"key":`...)
		}
		if dst, err = appendMapKey(dst, elems[i]); err != nil {
			return dst, err
		}
		if object {
			dst = append(dst, ':')
		} else {
			dst = append(dst, `,"value":`...)
		}
		if dst, err = e.value(dst, elem, elems[i+1]); err != nil {
			return dst, err
		}
		if !object {
			dst = append(dst, '}')
		}
	}
	return append(dst, end), nil
}

func appendMapKey(dst []byte, k schema.Value) ([]byte, error) {
	switch k.Kind() {
	case schema.KindString:
		return appendString(dst, k.Bytes()), nil
	case schema.KindInt:
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, k.Int(), 10)
		return append(dst, '"'), nil
	case schema.KindBool:
		dst = append(dst, '"')
		dst = strconv.AppendBool(dst, k.Bool())
		return append(dst, '"'), nil
	default:
		return dst, fmt.Errorf("a map's key of kind %s cannot be the name of a field", k.Kind())
	}
}

func (e *encoder) structure(dst []byte, p *valuePlan, elems []schema.Value) (_ []byte, err error) {
	if e.typed && p.logical == sinks.LogicalVariableDecimal && p.scale >= 0 && p.value >= 0 && elems[p.value].Kind() == schema.KindBytes {
		var room [64]byte
		text, err := schema.AppendDecimal(room[:0], elems[p.value].Bytes(), int(elems[p.scale].Int()))
		if err != nil {
			return dst, err
		}
		return appendDecimal(dst, text), nil
	}
	dst = append(dst, '{')
	for i := range p.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		f := &p.fields[i]
		dst = append(dst, f.label...)
		if dst, err = e.value(dst, f.plan, elems[i]); err != nil {
			return dst, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	return append(dst, '}'), nil
}

// row appends a row as a document and names the fields whose values are not in
// the log; the document does not have them.
func (e *encoder) row(dst []byte, d schema.Data) (_ []byte, missing []string, err error) {
	dst = append(dst, '{')
	empty := true
	field := func(label []byte, p *valuePlan, v schema.Value) {
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(dst, label...)
		dst, err = e.value(dst, p, v)
	}
	elems := d.Value.Elems()
	switch d.Value.Kind() {
	case schema.KindStruct:
		p := e.planOf(d.Schema)
		for i := range p.fields {
			f := &p.fields[i]
			if sinks.IsUnavailable(elems[i]) {
				missing = append(missing, f.name)
				continue
			}
			if field(f.label, f.plan, elems[i]); err != nil {
				return dst, missing, fmt.Errorf("field %s: %w", f.name, err)
			}
		}
	case schema.KindMap:
		elem := e.planOf(d.Schema).elem
		if elem == nil {
			elem = schemaless
		}
		var label []byte
		for i := 0; i+1 < len(elems); i += 2 {
			if sinks.IsUnavailable(elems[i+1]) {
				missing = append(missing, string(elems[i].Bytes()))
				continue
			}
			if label, err = appendMapKey(label[:0], elems[i]); err != nil {
				return dst, missing, err
			}
			if field(append(label, ':'), elem, elems[i+1]); err != nil {
				return dst, missing, err
			}
		}
	default:
		return dst, nil, fmt.Errorf("a value of kind %s cannot be a document; only structs and objects can", d.Value.Kind())
	}
	return append(dst, '}'), missing, nil
}

// mappingOf appends the types of a row's fields, one property each.
func (e *encoder) property(dst []byte, p *valuePlan) []byte {
	const (
		text    = `{"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":256}}}`
		keyword = `{"type":"keyword"}`
		// A date or number that is out of the type's range is kept in the
		// document and not indexed: it is no reason to refuse the row.
		date    = `{"type":"date","ignore_malformed":true}`
		decimal = `{"type":"double","ignore_malformed":true}`
	)
	switch p.logical {
	case sinks.LogicalDate, sinks.LogicalTimestampMillis, sinks.LogicalTimestampMicros, sinks.LogicalTimestampNanos:
		if e.typed || p.schema.Name == schema.NameDate || p.schema.Name == schema.NameTimestamp {
			return append(dst, date...)
		}
	case sinks.LogicalTimeMillis, sinks.LogicalTimeMicros, sinks.LogicalTimeNanos:
		if e.typed {
			return append(dst, keyword...)
		}
		if p.schema.Name == schema.NameTime {
			return append(dst, date...)
		}
	case sinks.LogicalZonedTimestamp:
		return append(dst, date...)
	case sinks.LogicalDecimal:
		return append(dst, decimal...)
	case sinks.LogicalVariableDecimal:
		if e.typed {
			return append(dst, decimal...)
		}
	case sinks.LogicalUUID, sinks.LogicalEnum:
		return append(dst, keyword...)
	default:
	}
	switch p.schema.Type {
	// One type for all integers and one for all floats, since columns are
	// widened and Elasticsearch cannot change a field's type.
	case schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		return append(dst, `{"type":"long"}`...)
	case schema.TypeFloat32, schema.TypeFloat64:
		return append(dst, `{"type":"double"}`...)
	case schema.TypeBoolean:
		return append(dst, `{"type":"boolean"}`...)
	case schema.TypeBytes:
		return append(dst, `{"type":"binary"}`...)
	case schema.TypeArray:
		return e.property(dst, p.elem)
	case schema.TypeStruct:
		dst = append(dst, `{"properties":`...)
		dst = e.properties(dst, p, nil)
		return append(dst, '}')
	case schema.TypeMap:
		return append(dst, `{"type":"object"}`...)
	default:
		return append(dst, text...)
	}
}

// properties appends the types of a struct's fields, but for those known.
func (e *encoder) properties(dst []byte, p *valuePlan, known map[string]bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		if known[f.name] || f.name == "" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.label...)
		dst = e.property(dst, f.plan)
	}
	return append(dst, '}')
}
