package schema_test

import (
	"testing"

	"github.com/penstock/penstock/schema"
)

func TestType_HasConnectsName(t *testing.T) {
	t.Parallel()
	for typ, want := range map[schema.Type]string{
		schema.TypeInt8: "int8", schema.TypeInt16: "int16", schema.TypeInt32: "int32", schema.TypeInt64: "int64",
		schema.TypeFloat32: "float32", schema.TypeFloat64: "float64", schema.TypeBoolean: "boolean", schema.TypeString: "string",
		schema.TypeBytes: "bytes", schema.TypeArray: "array", schema.TypeMap: "map", schema.TypeStruct: "struct",
		0: "type(0)", 99: "type(99)",
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSchema_FindsParametersAndFields(t *testing.T) {
	t.Parallel()
	s := &schema.Schema{
		Type: schema.TypeStruct, Parameters: []schema.Parameter{{Name: "a", Value: "1"}, {Name: "b", Value: ""}},
		Fields: []schema.Field{{Name: "x"}, {Name: "X"}},
	}
	for name, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if _, ok := s.Parameter(name); ok != want {
			t.Errorf("the parameter %s is there: %t", name, ok)
		}
	}
	for name, want := range map[string]int{"x": 0, "X": 1, "y": -1} {
		if got := s.Index(name); got != want {
			t.Errorf("the field %s is at %d, want %d", name, got, want)
		}
	}
}

func TestSchema_AsOptionalCopies(t *testing.T) {
	t.Parallel()
	s := &schema.Schema{Type: schema.TypeString, Name: "n"}
	o := s.AsOptional()
	if !o.Optional || s.Optional || o.Name != "n" || o == s {
		t.Errorf("got %+v of %+v", o, s)
	}
	if o.AsOptional() != o {
		t.Error("an optional schema is copied")
	}
}

func TestTable_PathAndIndex(t *testing.T) {
	t.Parallel()
	pg := schema.Table{Database: "shop", Schema: "public", Name: "orders", Columns: []schema.Column{{Name: "id"}, {Name: "Id"}}}
	my := schema.Table{Database: "shop", Name: "orders"}
	if pg.Path() != "public.orders" || my.Path() != "shop.orders" {
		t.Errorf("got %s and %s", pg.Path(), my.Path())
	}
	if pg.Index("Id") != 1 || pg.Index("ID") != -1 {
		t.Error("columns are found by another name than their own")
	}
}

func TestTable_EqualIsWhatEventsShow(t *testing.T) {
	t.Parallel()
	with := func(change func(*schema.Table)) *schema.Table {
		u := &schema.Table{
			Database: "shop", Schema: "public", Name: "orders", Key: []int{0}, Source: &schema.Schema{Type: schema.TypeStruct},
			Columns: []schema.Column{{Name: "id", Schema: &schema.Schema{Type: schema.TypeInt32}, Origin: schema.Origin{Type: "int4", Length: 10}}},
		}
		change(u)
		return u
	}
	same := with(func(*schema.Table) {})
	if !same.Equal(with(func(*schema.Table) {})) {
		t.Error("two alike are not equal")
	}
	for name, change := range map[string]func(*schema.Table){
		"name":     func(u *schema.Table) { u.Name = "Orders" },
		"key":      func(u *schema.Table) { u.Key = nil },
		"columns":  func(u *schema.Table) { u.Columns = nil },
		"type":     func(u *schema.Table) { u.Columns[0].Schema = &schema.Schema{Type: schema.TypeInt64} },
		"origin":   func(u *schema.Table) { u.Columns[0].Origin.Length = 11 },
		"unlogged": func(u *schema.Table) { u.Columns[0].Unlogged = true },
		"absent":   func(u *schema.Table) { v := schema.Int(0); u.Columns[0].Absent = &v },
	} {
		if same.Equal(with(change)) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}
