package schema_test

import (
	"bytes"
	"math"
	"runtime"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/schema"
)

func TestValue_IsFortyBytes(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(schema.Value{}); n != 40 {
		t.Errorf("a value is %d bytes", n)
	}
}

func TestValue_HoldsWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	var zero schema.Value
	if !zero.IsNull() || zero.Kind() != schema.KindNull || zero.Bytes() != nil || zero.Elems() != nil {
		t.Errorf("the zero value is %#v", zero)
	}
	if v := schema.Absent(); v.Kind() != schema.KindAbsent || v.IsNull() {
		t.Errorf("absent is %#v", v)
	}
	for _, b := range []bool{true, false} {
		if v := schema.Bool(b); v.Kind() != schema.KindBool || v.Bool() != b {
			t.Errorf("%t is %#v", b, v)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "int")
		if v := schema.Int(n); v.Kind() != schema.KindInt || v.Int() != n {
			t.Fatalf("%d is %#v", n, v)
		}
		f := rapid.Float64().Draw(t, "float")
		if v := schema.Float(f); v.Kind() != schema.KindFloat || math.Float64bits(v.Float()) != math.Float64bits(f) {
			t.Fatalf("%g is %#v", f, v)
		}
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		for kind, v := range map[schema.Kind]schema.Value{
			schema.KindString: schema.String(b), schema.KindBytes: schema.Bytes(b), schema.KindDecimal: schema.Decimal(b),
		} {
			if v.Kind() != kind || !bytes.Equal(v.Bytes(), b) || cap(v.Bytes()) != len(b) || v.Elems() != nil {
				t.Fatalf("%x as %s is %#v", b, kind, v)
			}
		}
		if v := schema.Text(string(b)); v.Kind() != schema.KindString || !v.Equal(schema.String(b)) {
			t.Fatalf("text %x is %#v", b, v)
		}
	})
}

// values makes nested values of every kind.
func values(depth int) *rapid.Generator[schema.Value] {
	scalars := rapid.Custom(func(t *rapid.T) schema.Value {
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0:
			return schema.Value{}
		case 1:
			return schema.Absent()
		case 2:
			return schema.Bool(rapid.Bool().Draw(t, "bool"))
		case 3:
			return schema.Int(rapid.Int64().Draw(t, "int"))
		case 4:
			return schema.Float(rapid.Float64().Draw(t, "float"))
		case 5:
			return schema.Text(rapid.String().Draw(t, "text"))
		case 6:
			return schema.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		default:
			return schema.Decimal([]byte("-12.50"))
		}
	})
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(scalars, rapid.Custom(func(t *rapid.T) schema.Value {
		kind := rapid.SampledFrom([]schema.Kind{schema.KindArray, schema.KindMap, schema.KindStruct}).Draw(t, "container")
		return schema.Seq(kind, rapid.SliceOfN(values(depth-1), 0, 5).Draw(t, "elements"))
	}))
}

func TestSeq_GivesTheSameElementsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		elems := rapid.SliceOfN(values(2), 0, 8).Draw(t, "elements")
		v := schema.Seq(schema.KindStruct, elems)
		runtime.GC() // what the elements point to is reached through the value
		got := v.Elems()
		if len(got) != len(elems) || v.Bytes() != nil {
			t.Fatalf("%d elements, want %d", len(got), len(elems))
		}
		for i := range got {
			if !got[i].Equal(elems[i]) || &got[i] != &elems[i] {
				t.Fatalf("element %d is %#v, want %#v", i, got[i], elems[i])
			}
		}
	})
}

// TestSeq_KeepsItsElementsAlive holds nested values by nothing but the outer
// Value while the garbage collector runs.
func TestSeq_KeepsItsElementsAlive(t *testing.T) {
	t.Parallel()
	build := func(n int) schema.Value {
		inner := make([]schema.Value, n)
		for i := range inner {
			inner[i] = schema.Seq(schema.KindArray, []schema.Value{schema.String(bytes.Repeat([]byte{byte(i)}, 100))})
		}
		return schema.Seq(schema.KindArray, inner)
	}
	v := build(500)
	for range 3 {
		runtime.GC()
		build(500)
	}
	for i, e := range v.Elems() {
		if text := e.Elems()[0].Bytes(); len(text) != 100 || text[0] != byte(i) || text[99] != byte(i) {
			t.Fatalf("element %d is %x", i, text)
		}
	}
}

func TestValue_CloneOwnsItsMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "value")
		c := v.Clone()
		if !c.Equal(v) || !v.Equal(c) {
			t.Fatalf("the clone of %#v is %#v", v, c)
		}
	})
	text := []byte("before")
	v := schema.Seq(schema.KindArray, []schema.Value{schema.String(text)})
	c := v.Clone()
	copy(text, "after!")
	if got := string(c.Elems()[0].Bytes()); got != "before" {
		t.Errorf("the clone became %q", got)
	}
}

func TestValue_EqualTellsApart(t *testing.T) {
	t.Parallel()
	nan := math.Float64frombits(0x7FF8000000000001)
	different := []schema.Value{
		{},
		schema.Absent(), schema.Bool(false), schema.Bool(true), schema.Int(0), schema.Int(1), schema.Float(0), schema.Float(math.Copysign(0, -1)), schema.Float(nan),
		schema.Text(""), schema.Text("a"), schema.Bytes([]byte("a")), schema.Decimal([]byte("1")), schema.Text("1"),
		schema.Seq(schema.KindArray, nil), schema.Seq(schema.KindMap, nil), schema.Seq(schema.KindStruct, nil),
		schema.Seq(schema.KindArray, []schema.Value{{}}), schema.Seq(schema.KindArray, []schema.Value{schema.Int(1)}),
		schema.Seq(schema.KindArray, []schema.Value{schema.Int(1), schema.Int(1)}),
	}
	for i, a := range different {
		for j, b := range different {
			if a.Equal(b) != (i == j) {
				t.Errorf("%#v equals %#v: %t", a, b, a.Equal(b))
			}
		}
	}
	if !schema.Float(nan).Equal(schema.Float(math.NaN())) {
		t.Error("NaN does not equal NaN")
	}
}

func TestValue_ShowsItselfInTests(t *testing.T) {
	t.Parallel()
	v := schema.Seq(schema.KindStruct, []schema.Value{
		{}, schema.Absent(), schema.Bool(true), schema.Int(-1), schema.Float(1.5), schema.Text("a"), schema.Bytes([]byte{1, 0xFF}), schema.Decimal([]byte("1.0")),
	})
	const want = `struct[]schema.Value{null, absent, true, -1, 1.5, "a", 0x01ff, "1.0"}`
	if got := v.GoString(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := schema.Kind(200).String(); got != "kind(200)" {
		t.Errorf("an unknown kind is %s", got)
	}
}
