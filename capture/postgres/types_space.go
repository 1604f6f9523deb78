package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/penstock/penstock/schema"
)

func pointType(*valueConfig, int32) valueType {
	s := &schema.Schema{
		Type: schema.TypeStruct, Name: schema.NameDebeziumPoint, Version: 1, Doc: "Geometry (POINT)",
		Fields: []schema.Field{
			{Name: "x", Schema: &schema.Schema{Type: schema.TypeFloat64}},
			{Name: "y", Schema: &schema.Schema{Type: schema.TypeFloat64}},
			{Name: "wkb", Schema: &schema.Schema{Type: schema.TypeBytes, Optional: true}},
			{Name: "srid", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
		},
	}
	return valueType{schema: s, decode: decodePoint}
}

// decodePoint reads (x,y) and adds the point's well-known binary form.
func decodePoint(a *schema.Arena, text []byte) (schema.Value, error) {
	if len(text) < 5 || text[0] != '(' || text[len(text)-1] != ')' {
		return invalid("a point", text)
	}
	left, right, _ := bytes.Cut(text[1:len(text)-1], []byte(","))
	x, err1 := strconv.ParseFloat(string(left), 64)
	y, err2 := strconv.ParseFloat(string(right), 64)
	if err1 != nil || err2 != nil {
		return invalid("a point", text)
	}
	wkb := a.Make(21)
	wkb[0] = 1 // little-endian
	binary.LittleEndian.PutUint32(wkb[1:], 1)
	binary.LittleEndian.PutUint64(wkb[5:], math.Float64bits(x))
	binary.LittleEndian.PutUint64(wkb[13:], math.Float64bits(y))
	fields := a.Row(4)
	fields[0], fields[1], fields[2] = schema.Float(x), schema.Float(y), schema.Bytes(wkb)
	return schema.Seq(schema.KindStruct, fields), nil
}

// geometryType is PostGIS's, whose text is its extended well-known binary in
// hex.
func geometryType(name string) func(*valueConfig, int32) valueType {
	return func(*valueConfig, int32) valueType {
		s := &schema.Schema{
			Type: schema.TypeStruct, Name: name, Version: 1, Doc: "Geometry",
			Fields: []schema.Field{
				{Name: "wkb", Schema: &schema.Schema{Type: schema.TypeBytes}},
				{Name: "srid", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
			},
		}
		return valueType{schema: s, decode: decodeGeometry}
	}
}

func decodeGeometry(a *schema.Arena, text []byte) (schema.Value, error) {
	wkb := a.Make(len(text) / 2)
	if _, err := hex.Decode(wkb, text); err != nil || len(wkb) < 5 {
		return invalid("a geometry", text)
	}
	var order binary.ByteOrder = binary.BigEndian
	if wkb[0] == 1 {
		order = binary.LittleEndian
	}
	fields := a.Row(2)
	fields[0] = schema.Bytes(wkb)
	const hasSRID = 0x20000000
	if order.Uint32(wkb[1:])&hasSRID != 0 && len(wkb) >= 9 {
		fields[1] = schema.Int(int64(int32(order.Uint32(wkb[5:]))))
	}
	return schema.Seq(schema.KindStruct, fields), nil
}

// vectorType is pgvector's: [1,2,3].
func vectorType(name string, elem schema.Type) func(*valueConfig, int32) valueType {
	return func(v *valueConfig, mod int32) valueType {
		number := floatType(elem)(v, mod)
		return valueType{
			schema: &schema.Schema{Type: schema.TypeArray, Name: name, Version: 1, Elem: &schema.Schema{Type: elem}},
			decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
				if len(text) < 2 || text[0] != '[' || text[len(text)-1] != ']' {
					return invalid("a vector", text)
				}
				in := text[1 : len(text)-1]
				if len(in) == 0 {
					return schema.Seq(schema.KindArray, nil), nil
				}
				cells := a.Row(bytes.Count(in, []byte(",")) + 1)
				for i := range cells {
					var word []byte
					word, in, _ = bytes.Cut(in, []byte(","))
					f, err := number.decode(a, word)
					if err != nil {
						return schema.Value{}, err
					}
					cells[i] = f
				}
				return schema.Seq(schema.KindArray, cells), nil
			},
		}
	}
}
