package postgres

import (
	"math"

	"github.com/penstock/penstock/schema"
)

// originOf is a column's type as Debezium shows it: the length and scale that
// the PostgreSQL JDBC driver finds in the type's modifier, or has for types
// without (org.postgresql.jdbc.TypeInfoCache).
func originOf(infos map[uint32]*typeInfo, oid uint32, mod int32) schema.Origin {
	o := schema.Origin{Length: -1, Scale: -1}
	t, ok := infos[oid]
	if !ok {
		return o
	}
	o.Type = t.name
	for depth := 0; t.base != 0 && depth < 32; depth++ { // a domain has its base type's
		if mod == -1 {
			mod = t.baseMod
		}
		if t, ok = infos[t.base]; !ok {
			return o
		}
	}
	if elem, ok := infos[t.elem]; ok && elem.namespace == catalog {
		t = elem
	}
	name := t.name
	if t.namespace != catalog {
		name = ""
	}
	if o.Length, o.Scale = originPrecision(name, int(mod)), originScale(name, int(mod)); o.Length == 0 {
		o.Length = originDisplay(name, int(mod))
	}
	return o
}

// originPrecision is how many characters or digits a type's values have, 0 if that
// is not limited.
func originPrecision(name string, mod int) int {
	switch name {
	case "int2":
		return 5
	case "int4", "oid":
		return 10
	case "int8":
		return 19
	case "float4":
		return 8
	case "float8":
		return 17
	case "char", "bool":
		return 1
	case "numeric":
		if mod == -1 {
			return 0
		}
		return (mod - 4) >> 16 & 0xffff
	case "bpchar", "varchar":
		if mod == -1 {
			return 0
		}
		return mod - 4
	case "date", "time", "timetz", "interval", "timestamp", "timestamptz":
		return originDisplay(name, mod)
	case "bit":
		return mod
	case "varbit":
		return max(mod, 0)
	default:
		return 0
	}
}

// originDisplay is how many characters the longest value of a type has.
func originDisplay(name string, mod int) int {
	const unlimited = math.MaxInt32
	second := mod + 1
	switch mod {
	case -1:
		second = 6 + 1
	case 0:
		second = 0
	case 1:
		second = 2 + 1
	}
	const date, clock, zone = 13, 8, 6
	switch name {
	case "date":
		return date
	case "time":
		return clock + second
	case "timetz":
		return clock + second + zone
	case "timestamp":
		return date + 1 + clock + second
	case "timestamptz":
		return date + 1 + clock + second + zone
	case "interval":
		return 49
	case "numeric":
		if mod == -1 {
			return 131089
		}
		return originPrecision(name, mod)
	default:
		return unlimited
	}
}

// originScale is how many digits after the point a type's values have.
func originScale(name string, mod int) int {
	switch name {
	case "float4":
		return 8
	case "float8":
		return 17
	case "numeric":
		if mod == -1 {
			return 0
		}
		return (mod - 4) & 0xffff
	case "time", "timetz", "timestamp", "timestamptz":
		if mod == -1 {
			return 6
		}
		return mod
	case "interval":
		if mod == -1 {
			return 6
		}
		return mod & 0xffff
	default:
		return 0
	}
}
