package postgres

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/schema"
)

// decoder reads a value's text, which is valid only during the call; what the
// Value keeps of it is copied into the arena. It must not allocate otherwise.
type decoder func(a *schema.Arena, text []byte) (schema.Value, error)

// valueType is how a type of the database appears in events.
type valueType struct {
	// schema is not optional, with a few exceptions; it must not be changed.
	schema *schema.Schema
	decode decoder
	// absent stands for a value that the log left out since it has not
	// changed; nil means null.
	absent *schema.Value
	// neutral stands for the null of a column whose schema allows none: in
	// old rows of which the log has only the key.
	neutral schema.Value
	// literals says that defaults that are literals are in the schema, and
	// computed is the one for those that a function computes; nil is none.
	literals bool
	computed *schema.Value
	// scaled says that values are decimals with scale digits after the point,
	// which defaults need not be written with.
	scaled bool
	scale  int
	// inArray is how the elements of arrays of the type are described.
	inArray elements
	// wide is the schema of values that hold nulls where schema has none; nil
	// if there can be none.
	wide *schema.Schema
}

// elements is how an array's schema describes its elements.
type elements byte

const (
	elementsOptional elements = iota
	elementsRequired
	// elementsNone: there are no such arrays in events.
	elementsNone
)

// lack says why events do not have a column.
type lack byte

const (
	lackNothing lack = iota
	// lackUnknown: the type has no form of its own; with
	// include.unknown.datatypes it would be bytes.
	lackUnknown
	// lackForm: the type is not in events whatever the settings.
	lackForm
)

// typeInfo is a type as the catalogue has it.
type typeInfo struct {
	oid             uint32
	namespace, name string
	kind            byte   // pg_type.typtype
	elem            uint32 // of an array, otherwise 0
	delimiter       byte   // between elements in the text of arrays of the type
	base            uint32 // of a domain, otherwise 0
	baseMod         int32
	labels          []string // of an enumeration, in its order
	// digits is how many of the digits of a money value are behind the point
	// in the server's currency.
	digits int
}

// typeRow says how one type appears. Types of the server itself are told by
// their name in pg_catalog, those of extensions by their name alone, since
// they may be in any schema.
type typeRow struct {
	name      string
	extension bool
	make      func(v *valueConfig, mod int32) valueType
}

// types has one row for each type that has a form of its own.
var types = [...]typeRow{
	{name: "bool", make: boolType},
	{name: "int2", make: intType(schema.TypeInt16)},
	{name: "int4", make: intType(schema.TypeInt32)},
	{name: "int8", make: intType(schema.TypeInt64)},
	{name: "oid", make: oidType},
	{name: "int2vector", make: numbersType(schema.TypeInt16)},
	{name: "oidvector", make: numbersType(schema.TypeInt64)},
	{name: "float4", make: floatType(schema.TypeFloat32)},
	{name: "float8", make: floatType(schema.TypeFloat64)},
	{name: "numeric", make: numericType},

	{name: "text", make: defaultedText("")},
	{name: "varchar", make: defaultedText("")},
	{name: "bpchar", make: defaultedText("")},
	{name: "char", make: textType("")},
	{name: "name", make: notInArrays(textType(""))},
	{name: "uuid", make: uuidType},
	{name: "json", make: jsonType},
	{name: "jsonb", make: jsonType},
	{name: "xml", make: notInArrays(defaultedText(schema.NameDebeziumXML))},
	{name: "tsvector", make: requiredInArrays(textType("io.debezium.data.Tsvector"))},
	{name: "inet", make: textType("")},
	{name: "cidr", make: textType("")},
	{name: "macaddr", make: textType("")},
	{name: "macaddr8", make: textType("")},
	{name: "int4range", make: textType("")},
	{name: "int8range", make: textType("")},
	{name: "numrange", make: textType("")},
	{name: "tsrange", make: textType("")},
	{name: "tstzrange", make: textType("")},
	{name: "daterange", make: textType("")},
	{name: "citext", extension: true, make: textType("")},
	{name: "ltree", extension: true, make: textType("io.debezium.data.Ltree")},
	{name: "isbn", extension: true, make: requiredInArrays(textType(""))},
	{name: "hstore", extension: true, make: hstoreType},

	{name: "bytea", make: byteaType},
	{name: "bit", make: bitType},
	{name: "varbit", make: notInArrays(bitType)},

	{name: "date", make: dateType},
	{name: "time", make: timeType},
	{name: "timetz", make: timetzType},
	{name: "timestamp", make: timestampType},
	{name: "timestamptz", make: timestamptzType},
	{name: "interval", make: notInArrays(intervalType)},

	{name: "point", make: notInArrays(pointType)},
	{name: "geometry", extension: true, make: geometryType},
	{name: "geography", extension: true, make: geographyType},
	{name: "vector", extension: true, make: vectorType("io.debezium.data.DoubleVector", schema.TypeFloat64)},
	{name: "halfvec", extension: true, make: vectorType("io.debezium.data.FloatVector", schema.TypeFloat32)},
	{name: "sparsevec", extension: true, make: sparseVectorType},
}

// notInArrays makes a type whose arrays events do not have.
func notInArrays(of func(*valueConfig, int32) valueType) func(*valueConfig, int32) valueType {
	return func(v *valueConfig, mod int32) valueType {
		t := of(v, mod)
		t.inArray = elementsNone
		return t
	}
}

// requiredInArrays makes a type whose arrays have a schema without nulls.
func requiredInArrays(of func(*valueConfig, int32) valueType) func(*valueConfig, int32) valueType {
	return func(v *valueConfig, mod int32) valueType {
		t := of(v, mod)
		t.inArray = elementsRequired
		return t
	}
}

const catalog = "pg_catalog"

// lookupType finds a type's row.
func lookupType(namespace, name string) (typeRow, bool) {
	for _, r := range &types {
		if r.name == name && r.extension == (namespace != catalog) {
			return r, true
		}
	}
	return typeRow{}, false
}

// errCycle says that the catalogue names a type as part of itself.
var errCycle = errors.New("the type is made of itself")

// resolve returns how a type appears in events, or why it does not. infos are
// the types of the catalogue by oid, those that the type refers to included.
func (v *valueConfig) resolve(infos map[uint32]*typeInfo, oid uint32, mod int32) (valueType, lack, error) {
	return v.resolveAt(infos, oid, mod, 0)
}

func (v *valueConfig) resolveAt(infos map[uint32]*typeInfo, oid uint32, mod int32, depth int) (valueType, lack, error) {
	if depth > 32 {
		return valueType{}, lackForm, fmt.Errorf("type %d: %w", oid, errCycle)
	}
	t, ok := infos[oid]
	switch {
	case !ok:
		// The type has been dropped since; its values are text like any other.
		return textType("")(v, -1), lackNothing, nil
	case t.base != 0:
		// A domain's own modifier, if it has one, is the base type's.
		vt, why, err := v.resolveAt(infos, t.base, t.baseMod, depth+1)
		vt.literals, vt.computed = false, nil
		return vt, why, err
	case t.elem != 0:
		return v.resolveArray(infos, t.elem, mod, depth)
	case t.kind == 'e':
		return v.enumType(t.labels), lackNothing, nil
	case t.namespace == catalog && t.name == "money":
		return v.moneyType(t.digits), lackNothing, nil
	}
	if r, ok := lookupType(t.namespace, t.name); ok && (t.kind == 'b' || !r.extension) {
		return r.make(v, mod), lackNothing, nil
	}
	if !v.unknown {
		return valueType{}, lackUnknown, nil
	}
	return v.unknownType(t), lackNothing, nil
}

// resolveArray returns how arrays of a type appear.
func (v *valueConfig) resolveArray(infos map[uint32]*typeInfo, oid uint32, mod int32, depth int) (valueType, lack, error) {
	t := infos[oid]
	if t == nil {
		t = &typeInfo{kind: 'b', delimiter: ','} // dropped since
	}
	if t.base != 0 {
		// Debezium does not see through domains here.
		if !v.unknown {
			return valueType{}, lackUnknown, nil
		}
		return v.arrayOf(v.unknownType(t), t.delimiter), lackNothing, nil
	}
	elem, why, err := v.resolveAt(infos, oid, mod, depth+1)
	if t.namespace == catalog && t.name == "refcursor" || why == lackNothing && elem.inArray == elementsNone {
		why = lackForm
	}
	if err != nil || why != lackNothing {
		return valueType{}, why, err
	}
	return v.arrayOf(elem, t.delimiter), lackNothing, nil
}

// constant returns a pointer to a value, for the fields of schemas.
func constant(v schema.Value) *schema.Value { return &v }

// valueError is a text that is not a value of its type. It ends the source: a
// value that cannot be read is never passed over.
type valueError struct {
	what string
	text string
}

// Error quotes at most a few bytes: the rest may be long, or secret.
func (e *valueError) Error() string {
	text := e.text
	if len(text) > 24 {
		text = text[:24] + "…"
	}
	return fmt.Sprintf("%q is not %s", text, e.what)
}

func invalid(what string, text []byte) (schema.Value, error) {
	return schema.Value{}, &valueError{what: what, text: string(text[:min(len(text), 25)])}
}

// formError is a value that the database has and its schema in events has not.
// event.converting.failure.handling.mode says what becomes of it.
type formError struct{ problem string }

func (e *formError) Error() string { return e.problem }

// The values without a form, each with the way to have them.
var (
	errNotFinite   = &formError{"NaN and Infinity have no form with decimal.handling.mode=precise; use double or string"}
	errNanoseconds = &formError{"a timestamp before 1677 or after 2262 has no form with time.precision.mode=nanoseconds; use microseconds or isostring"}
	errNoBit       = &formError{"an empty varbit(1) has no form as a boolean; make the column longer"}
	errDimensions  = &formError{"a sparse vector of more than 32767 dimensions has no form"}
)
