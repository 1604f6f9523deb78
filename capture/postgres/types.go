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
	// schema is not optional; it must not be changed.
	schema *schema.Schema
	decode decoder
	// absent stands for a value that the log left out since it has not
	// changed; nil means null.
	absent *schema.Value
	// zero stands where Debezium puts a type's neutral value: for a default
	// that only the server can compute. nil means that there is none.
	zero *schema.Value
	// requiredElem says that the elements' schema in arrays is not optional;
	// only that of enumerations is not.
	requiredElem bool
	// scale is how many digits after the point a decimal has; -1 if that
	// varies. It serves defaults, which are written with fewer.
	scale int
}

// typeInfo is a type as the catalogue has it.
type typeInfo struct {
	oid             uint32
	namespace, name string
	kind            byte   // pg_type.typtype
	elem            uint32 // of an array, otherwise 0
	base            uint32 // of a domain, otherwise 0
	baseMod         int32
	labels          []string // of an enumeration, in its order
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
	{name: "oid", make: intType(schema.TypeInt64)},
	{name: "float4", make: floatType(schema.TypeFloat32)},
	{name: "float8", make: floatType(schema.TypeFloat64)},
	{name: "numeric", make: numericType},
	{name: "money", make: moneyType},

	{name: "text", make: textType("")},
	{name: "varchar", make: textType("")},
	{name: "bpchar", make: textType("")},
	{name: "char", make: textType("")},
	{name: "name", make: textType("")},
	{name: "uuid", make: uuidType},
	{name: "json", make: textType(schema.NameDebeziumJSON)},
	{name: "jsonb", make: textType(schema.NameDebeziumJSON)},
	{name: "xml", make: textType(schema.NameDebeziumXML)},
	{name: "tsvector", make: textType("io.debezium.data.Tsvector")},
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
	{name: "isbn", extension: true, make: textType("")},
	{name: "hstore", extension: true, make: hstoreType},

	{name: "bytea", make: byteaType},
	{name: "bit", make: bitType},
	{name: "varbit", make: bitType},

	{name: "date", make: dateType},
	{name: "time", make: timeType},
	{name: "timetz", make: timetzType},
	{name: "timestamp", make: timestampType},
	{name: "timestamptz", make: timestamptzType},
	{name: "interval", make: intervalType},

	{name: "point", make: pointType},
	{name: "geometry", extension: true, make: geometryType(schema.NameDebeziumGeometry)},
	{name: "geography", extension: true, make: geometryType("io.debezium.data.geometry.Geography")},
	{name: "vector", extension: true, make: vectorType("io.debezium.data.DoubleVector", schema.TypeFloat64)},
	{name: "halfvec", extension: true, make: vectorType("io.debezium.data.FloatVector", schema.TypeFloat32)},
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

// resolve returns how a type appears in events, and false for a column that is
// to be left out. infos are the types of the catalogue by oid, those that the
// type refers to included.
func (v *valueConfig) resolve(infos map[uint32]*typeInfo, oid uint32, mod int32) (valueType, bool, error) {
	return v.resolveAt(infos, oid, mod, 0)
}

func (v *valueConfig) resolveAt(infos map[uint32]*typeInfo, oid uint32, mod int32, depth int) (valueType, bool, error) {
	if depth > 32 {
		return valueType{}, false, fmt.Errorf("type %d: %w", oid, errCycle)
	}
	t, ok := infos[oid]
	switch {
	case !ok:
		// The type has been dropped since; its values are text like any other.
		return textType("")(v, -1), true, nil
	case t.base != 0:
		// A domain's own modifier, if it has one, is the base type's.
		return v.resolveAt(infos, t.base, t.baseMod, depth+1)
	case t.elem != 0:
		elem, ok, err := v.resolveAt(infos, t.elem, mod, depth+1)
		if err != nil || !ok || elem.schema.Type == schema.TypeArray {
			return valueType{}, false, err
		}
		return v.arrayOf(elem, infos[t.elem]), true, nil
	case t.kind == 'e':
		return v.enumType(t.labels), true, nil
	}
	if r, ok := lookupType(t.namespace, t.name); ok {
		return r.make(v, mod), true, nil
	}
	if !v.unknown {
		return valueType{}, false, nil
	}
	return v.unknownType(), true, nil
}

// constant returns a pointer to a value, for the fields of schemas.
func constant(v schema.Value) *schema.Value { return &v }

// A value that cannot be read ends the source: it is never passed over.
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
