package schema

import (
	"fmt"
	"math"
	"unsafe"
)

// Kind says how a [Value] is held. It is the physical side; what the value
// means is said by its [Schema].
type Kind uint8

// The kinds. The zero Value is null.
const (
	// KindNull is the null of any type.
	KindNull Kind = iota
	// KindAbsent is a value that exists at the source but is not in the log:
	// an unchanged TOASTed column, a column left out of a partial row image.
	KindAbsent
	// KindBool is held in Int as 0 or 1.
	KindBool
	// KindInt serves all integer types and the logical types on them.
	KindInt
	// KindFloat serves both float types, as a float64.
	KindFloat
	// KindString is UTF-8 text.
	KindString
	// KindBytes is anything else.
	KindBytes
	// KindDecimal is a decimal number as text: an optional minus sign, digits,
	// and optionally a point followed by digits. Its schema is a bytes schema
	// named [NameDecimal].
	KindDecimal
	// KindArray holds its elements.
	KindArray
	// KindMap holds key, value, key, value …
	KindMap
	// KindStruct holds one element for each field of its schema.
	KindStruct
)

var kindNames = [...]string{"null", "absent", "bool", "int", "float", "string", "bytes", "decimal", "array", "map", "struct"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Value is one typed value: a scalar, or a container of Values. It is 40 bytes
// and is copied freely; text and elements belong to whoever made it, usually
// the [Arena] of a batch.
type Value struct {
	// b is text or bytes; for containers it is the memory of the elements,
	// see Seq.
	b    []byte
	n    uint64
	kind Kind
}

// Row is a table's row: one Value for each of its columns, valid until its
// batch is Reset.
type Row []Value

const valueSize = int(unsafe.Sizeof(Value{}))

// Absent returns the value of kind [KindAbsent].
func Absent() Value { return Value{kind: KindAbsent} }

// Bool returns a boolean.
func Bool(v bool) Value {
	if v {
		return Value{n: 1, kind: KindBool}
	}
	return Value{kind: KindBool}
}

// Int returns an integer.
func Int(v int64) Value { return Value{n: uint64(v), kind: KindInt} }

// Float returns a floating point number.
func Float(v float64) Value { return Value{n: math.Float64bits(v), kind: KindFloat} }

// String returns text that keeps referring to b.
func String(b []byte) Value { return Value{b: b, kind: KindString} }

// Text returns text held in a Go string.
func Text(s string) Value {
	return Value{b: unsafe.Slice(unsafe.StringData(s), len(s)), kind: KindString}
}

// Bytes returns bytes that keep referring to b.
func Bytes(b []byte) Value { return Value{b: b, kind: KindBytes} }

// Decimal returns a decimal number; b is its text as [KindDecimal] says.
func Decimal(b []byte) Value { return Value{b: b, kind: KindDecimal} }

// Seq returns a container of kind KindArray, KindMap or KindStruct that keeps
// referring to elems.
//
// The elements are reached through the same pointer that text is, which keeps
// a Value at 40 bytes with one pointer for the garbage collector to follow
// instead of two (an extra slice would make every cell of every row 64 bytes).
// That is what unsafe is used for here, and nowhere else: a *Value becomes a
// *byte and goes back to the *Value it was, within the same allocation.
func Seq(kind Kind, elems []Value) Value {
	if len(elems) == 0 {
		return Value{kind: kind}
	}
	return Value{b: unsafe.Slice((*byte)(unsafe.Pointer(&elems[0])), len(elems)*valueSize), kind: kind}
}

// Kind returns the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// Bool returns a KindBool value.
func (v Value) Bool() bool { return v.n != 0 }

// Int returns a KindInt value.
func (v Value) Int() int64 { return int64(v.n) }

// Float returns a KindFloat value.
func (v Value) Float() float64 { return math.Float64frombits(v.n) }

// Bytes returns the text or bytes of a KindString, KindBytes or KindDecimal
// value, and nil for any other kind. It aliases the value's memory and must
// not be written to.
func (v Value) Bytes() []byte {
	switch v.kind {
	case KindString, KindBytes, KindDecimal:
		return v.b[:len(v.b):len(v.b)]
	default:
		return nil
	}
}

// Elems returns the elements of a KindArray, KindMap or KindStruct value, and
// nil for any other kind. It aliases the value's memory.
func (v Value) Elems() []Value {
	switch v.kind {
	case KindArray, KindMap, KindStruct:
		if len(v.b) == 0 {
			return nil
		}
		return unsafe.Slice((*Value)(unsafe.Pointer(&v.b[0])), len(v.b)/valueSize)
	default:
		return nil
	}
}

// Equal reports whether two values are of one kind and hold the same, element
// by element. NaN equals NaN; 0 and -0 differ.
func (v Value) Equal(w Value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case KindString, KindBytes, KindDecimal:
		return string(v.b) == string(w.b)
	case KindArray, KindMap, KindStruct:
		a, b := v.Elems(), w.Elems()
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if !a[i].Equal(b[i]) {
				return false
			}
		}
		return true
	case KindFloat:
		return v.n == w.n || math.IsNaN(v.Float()) && math.IsNaN(w.Float())
	default:
		return v.n == w.n
	}
}

// Clone returns a copy of the value that owns its memory, for the few that
// must outlive their batch.
func (v Value) Clone() Value {
	switch v.kind {
	case KindString, KindBytes, KindDecimal:
		v.b = append([]byte(nil), v.b...)
	case KindArray, KindMap, KindStruct:
		from := v.Elems()
		to := make([]Value, len(from))
		for i := range from {
			to[i] = from[i].Clone()
		}
		return Seq(v.kind, to)
	default:
	}
	return v
}

// GoString renders the value for test failures and debugging.
func (v Value) GoString() string {
	switch v.kind {
	case KindBool:
		return fmt.Sprint(v.Bool())
	case KindInt:
		return fmt.Sprint(v.Int())
	case KindFloat:
		return fmt.Sprint(v.Float())
	case KindString, KindDecimal:
		return fmt.Sprintf("%q", v.b)
	case KindBytes:
		return fmt.Sprintf("0x%x", v.b)
	case KindArray, KindMap, KindStruct:
		return fmt.Sprintf("%s%#v", v.kind, v.Elems())
	default:
		return v.kind.String()
	}
}
