package mongodb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
)

// errName says that a name cannot be one of a document's fields.
var errName = errors.New("name of a field holds a zero character, which MongoDB's documents cannot have")

// valuePlan says how the values of a schema are written. It is made once per
// schema.
type valuePlan struct {
	schema  *schema.Schema // nil is schemaless
	logical sinks.Logical
	fields  []fieldPlan // of a struct
	elem    *valuePlan  // of an array or map
	key     *valuePlan  // of a map
	// scale and value are the fields of a LogicalVariableDecimal.
	scale, value int
}

type fieldPlan struct {
	name  string
	index int
	plan  *valuePlan
}

// schemaless is the plan of data without a schema.
var schemaless = &valuePlan{}

// encoder writes Values as BSON.
type encoder struct {
	// typed asks for MongoDB's own types where the topic has Debezium's
	// numbers and texts.
	typed bool
	plans map[*schema.Schema]*valuePlan
	last  *schema.Schema
	plan  *valuePlan
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
		p = e.compile(s)
		e.plans[s] = p
	}
	e.last, e.plan = s, p
	return p
}

func (e *encoder) compile(s *schema.Schema) *valuePlan {
	p := &valuePlan{schema: s, logical: sinks.LogicalOf(s), scale: -1, value: -1}
	switch s.Type {
	case schema.TypeStruct:
		for i, f := range s.Fields {
			p.fields = append(p.fields, fieldPlan{name: f.Name, index: i, plan: e.compile(f.Schema)})
		}
		p.scale, p.value = s.Index("scale"), s.Index("value")
	case schema.TypeArray:
		p.elem = e.compile(s.Elem)
	case schema.TypeMap:
		p.elem, p.key = e.compile(s.Elem), e.compile(s.Key)
	default:
	}
	return p
}

// eachField calls f for the fields of a struct or of a schemaless object.
func (e *encoder) eachField(d schema.Data, f func(name string, p *valuePlan, v schema.Value) error) error {
	switch d.Value.Kind() {
	case schema.KindStruct:
		elems := d.Value.Elems()
		for i := range e.planOf(d.Schema).fields {
			field := &e.planOf(d.Schema).fields[i]
			if err := f(field.name, field.plan, elems[field.index]); err != nil {
				return err
			}
		}
		return nil
	case schema.KindMap:
		elems := d.Value.Elems()
		elem := schemaless
		if d.Schema != nil {
			elem = e.planOf(d.Schema).elem
		}
		for i := 0; i+1 < len(elems); i += 2 {
			if elems[i].Kind() != schema.KindString {
				return fmt.Errorf("a document's field has a name of kind %s, which has to be a string", elems[i].Kind())
			}
			if err := f(string(elems[i].Bytes()), elem, elems[i+1]); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("a value of kind %s cannot be a document; only structs and objects can", d.Value.Kind())
	}
}

// element appends a whole element of a document.
func (e *encoder) element(dst []byte, name string, p *valuePlan, v schema.Value) ([]byte, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return dst, errName
	}
	at := len(dst)
	dst = appendName(dst, 0, name)
	dst, kind, err := e.value(dst, p, v)
	if err != nil {
		return dst, fmt.Errorf("field %s: %w", name, err)
	}
	dst[at] = kind
	return dst, nil
}

// value appends a value and returns its BSON type.
func (e *encoder) value(dst []byte, p *valuePlan, v schema.Value) ([]byte, byte, error) {
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return dst, typeNull, nil
	case schema.KindBool:
		return appendBool(dst, v.Bool()), typeBool, nil
	case schema.KindInt:
		return e.integer(dst, p, v.Int())
	case schema.KindFloat:
		return appendDouble(dst, v.Float()), typeDouble, nil
	case schema.KindString:
		if e.typed && p.logical == sinks.LogicalZonedTimestamp {
			if t, err := parseZoned(v.Bytes()); err == nil {
				return appendInt64(dst, t.UnixMilli()), typeDateTime, nil
			}
		}
		return appendString(dst, v.Bytes()), typeString, nil
	case schema.KindBytes:
		return appendBinary(dst, v.Bytes()), typeBinary, nil
	case schema.KindDecimal:
		dst, err := appendDecimal(dst, v.Bytes())
		return dst, typeDecimal, err
	case schema.KindArray:
		return e.array(dst, p, v.Elems())
	case schema.KindMap:
		return e.mapping(dst, p, v.Elems())
	case schema.KindStruct:
		return e.structure(dst, p, v.Elems())
	default:
		return dst, 0, fmt.Errorf("a value of kind %s cannot be written", v.Kind())
	}
}

func (e *encoder) integer(dst []byte, p *valuePlan, n int64) ([]byte, byte, error) {
	if p.schema == nil {
		return appendInt64(dst, n), typeInt64, nil
	}
	switch l := p.logical; l {
	case sinks.LogicalDate, sinks.LogicalTimestampMillis, sinks.LogicalTimestampMicros, sinks.LogicalTimestampNanos:
		// Kafka Connect's own types are dates for MongoDB's connector too.
		if e.typed || p.schema.Name == schema.NameDate || p.schema.Name == schema.NameTimestamp {
			return appendInt64(dst, millisOf(l, n)), typeDateTime, nil
		}
	case sinks.LogicalTimeMillis, sinks.LogicalTimeMicros, sinks.LogicalTimeNanos:
		if e.typed {
			var buf [24]byte
			return appendString(dst, l.AppendTime(buf[:0], n)), typeString, nil
		}
		if p.schema.Name == schema.NameTime {
			return appendInt64(dst, n), typeDateTime, nil
		}
	default:
	}
	switch p.schema.Type {
	case schema.TypeInt8, schema.TypeInt16, schema.TypeInt32:
		return appendInt32(dst, int32(n)), typeInt32, nil
	case schema.TypeFloat32, schema.TypeFloat64:
		return appendDouble(dst, float64(n)), typeDouble, nil
	default:
		return appendInt64(dst, n), typeInt64, nil
	}
}

// millisOf converts to what a BSON date counts in, downwards, so that a time
// before 1970 does not move up.
func millisOf(l sinks.Logical, n int64) int64 {
	switch l {
	case sinks.LogicalDate:
		return n * 86_400_000
	case sinks.LogicalTimestampMicros:
		return floorDiv(n, 1000)
	case sinks.LogicalTimestampNanos:
		return floorDiv(n, 1_000_000)
	default:
		return n
	}
}

func floorDiv(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

func (e *encoder) array(dst []byte, p *valuePlan, elems []schema.Value) ([]byte, byte, error) {
	elem := p.elem
	if elem == nil {
		elem = schemaless
	}
	dst, from := begin(dst)
	for i, v := range elems {
		at := len(dst)
		dst = appendIndex(dst, 0, i)
		var kind byte
		var err error
		if dst, kind, err = e.value(dst, elem, v); err != nil {
			return dst, 0, fmt.Errorf("element %d: %w", i, err)
		}
		dst[at] = kind
	}
	return end(dst, from), typeArray, nil
}

func (e *encoder) mapping(dst []byte, p *valuePlan, elems []schema.Value) ([]byte, byte, error) {
	elem := p.elem
	if elem == nil {
		elem = schemaless
	}
	dst, from := begin(dst)
	for i := 0; i+1 < len(elems); i += 2 {
		at := len(dst)
		dst = append(dst, 0)
		switch k := elems[i]; k.Kind() {
		case schema.KindString:
			if strings.IndexByte(string(k.Bytes()), 0) >= 0 {
				return dst, 0, errName
			}
			dst = append(dst, k.Bytes()...)
		case schema.KindInt:
			dst = strconv.AppendInt(dst, k.Int(), 10)
		case schema.KindBool:
			dst = strconv.AppendBool(dst, k.Bool())
		default:
			return dst, 0, fmt.Errorf("a map's key of kind %s cannot be the name of a field", k.Kind())
		}
		dst = append(dst, 0)
		var kind byte
		var err error
		if dst, kind, err = e.value(dst, elem, elems[i+1]); err != nil {
			return dst, 0, err
		}
		dst[at] = kind
	}
	return end(dst, from), typeDocument, nil
}

func (e *encoder) structure(dst []byte, p *valuePlan, elems []schema.Value) ([]byte, byte, error) {
	if e.typed && p.logical == sinks.LogicalVariableDecimal && p.scale >= 0 && p.value >= 0 && elems[p.value].Kind() == schema.KindBytes {
		var buf [64]byte
		text, err := schema.AppendDecimal(buf[:0], elems[p.value].Bytes(), int(elems[p.scale].Int()))
		if err != nil {
			return dst, 0, err
		}
		dst, err := appendDecimal(dst, text)
		return dst, typeDecimal, err
	}
	dst, from := begin(dst)
	for i := range p.fields {
		f := &p.fields[i]
		var err error
		if dst, err = e.element(dst, f.name, f.plan, elems[f.index]); err != nil {
			return dst, 0, err
		}
	}
	return end(dst, from), typeDocument, nil
}
