package postgres

import (
	"math"
	"testing"

	"github.com/penstock/penstock/schema"
)

func TestOriginOf(t *testing.T) {
	t.Parallel()
	infos := map[uint32]*typeInfo{}
	oid := map[string]uint32{}
	add := func(i typeInfo) {
		i.oid = uint32(len(infos) + 1)
		infos[i.oid], oid[i.name] = &i, i.oid
	}
	for _, name := range []string{"int4", "text", "varchar", "numeric", "timestamp", "interval", "float8", "bit"} {
		add(typeInfo{namespace: catalog, name: name})
	}
	add(typeInfo{namespace: "public", name: "citext"})
	add(typeInfo{namespace: "public", name: "price", base: oid["numeric"], baseMod: 8<<16 + 3 + 4})
	add(typeInfo{namespace: catalog, name: "_varchar", elem: oid["varchar"]})
	for _, c := range []struct {
		name string
		mod  int32
		want schema.Origin
	}{
		{"int4", -1, schema.Origin{Type: "int4", Length: 10}},
		{"text", -1, schema.Origin{Type: "text", Length: math.MaxInt32}},
		{"citext", -1, schema.Origin{Type: "citext", Length: math.MaxInt32}},
		{"varchar", 24, schema.Origin{Type: "varchar", Length: 20}},
		{"varchar", -1, schema.Origin{Type: "varchar", Length: math.MaxInt32}},
		{"_varchar", 24, schema.Origin{Type: "_varchar", Length: 20}},
		{"numeric", 10<<16 + 2 + 4, schema.Origin{Type: "numeric", Length: 10, Scale: 2}},
		{"numeric", -1, schema.Origin{Type: "numeric", Length: 131089}},
		{"price", -1, schema.Origin{Type: "price", Length: 8, Scale: 3}},
		{"timestamp", -1, schema.Origin{Type: "timestamp", Length: 29, Scale: 6}},
		{"timestamp", 3, schema.Origin{Type: "timestamp", Length: 26, Scale: 3}},
		{"interval", -1, schema.Origin{Type: "interval", Length: 49, Scale: 6}},
		{"float8", -1, schema.Origin{Type: "float8", Length: 17, Scale: 17}},
		{"bit", 12, schema.Origin{Type: "bit", Length: 12}},
	} {
		if got := originOf(infos, oid[c.name], c.mod); got != c.want {
			t.Errorf("%s with modifier %d: %+v, want %+v", c.name, c.mod, got, c.want)
		}
	}
	if got := originOf(infos, 99, -1); got != (schema.Origin{Length: -1, Scale: -1}) {
		t.Errorf("a dropped type: %+v", got)
	}
}
