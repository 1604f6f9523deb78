package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/penstock/penstock/converters"
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
	var owned schema.Arena
	return valueType{schema: s, decode: decodePoint, neutral: pointValue(&owned, 0, 0)}
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
	return pointValue(a, x, y), nil
}

func pointValue(a *schema.Arena, x, y float64) schema.Value {
	wkb := a.Make(21)
	wkb[0] = 1 // little-endian
	binary.LittleEndian.PutUint32(wkb[1:], 1)
	binary.LittleEndian.PutUint64(wkb[5:], math.Float64bits(x))
	binary.LittleEndian.PutUint64(wkb[13:], math.Float64bits(y))
	fields := a.Row(4)
	fields[0], fields[1], fields[2] = schema.Float(x), schema.Float(y), schema.Bytes(wkb)
	return schema.Seq(schema.KindStruct, fields)
}

// geometryType is PostGIS's, whose text is its extended well-known binary in
// hex. Debezium's schema allows null whatever the column says.
func geometryType(v *valueConfig, _ int32) valueType {
	t := v.spatialType(schema.NameDebeziumGeometry, "Geometry")
	t.schema = t.schema.AsOptional()
	return t
}

func geographyType(v *valueConfig, _ int32) valueType {
	return v.spatialType("io.debezium.data.geometry.Geography", "Geography")
}

func (v *valueConfig) spatialType(name, doc string) valueType {
	s := &schema.Schema{
		Type: schema.TypeStruct, Name: name, Version: 1, Doc: doc,
		Fields: []schema.Field{
			{Name: "wkb", Schema: &schema.Schema{Type: schema.TypeBytes}},
			{Name: "srid", Schema: &schema.Schema{Type: schema.TypeInt32, Optional: true}},
		},
	}
	of := func(wkb []byte) schema.Value {
		return schema.Seq(schema.KindStruct, []schema.Value{schema.Bytes(wkb), {}})
	}
	emptyCollection := []byte{1, 7, 0, 0, 0, 0, 0, 0, 0}
	return valueType{schema: s, decode: decodeGeometry, absent: constant(of(v.placeholder)), neutral: of(emptyCollection)}
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
			schema:  &schema.Schema{Type: schema.TypeArray, Name: name, Version: 1, Elem: &schema.Schema{Type: elem}},
			absent:  v.absentNumbers(func(n int64) schema.Value { return schema.Float(float64(n)) }),
			neutral: schema.Seq(schema.KindArray, nil),
			inArray: elementsRequired,
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

// sparseVectorType is pgvector's {index:value,…}/dimensions.
func sparseVectorType(v *valueConfig, _ int32) valueType {
	short := &schema.Schema{Type: schema.TypeInt16}
	s := &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.data.SparseDoubleVector", Version: 1, Doc: "Sparse double vector",
		Fields: []schema.Field{
			{Name: "dimensions", Schema: short},
			{Name: "vector", Schema: &schema.Schema{Type: schema.TypeMap, Key: short, Elem: &schema.Schema{Type: schema.TypeFloat64}}},
		},
	}
	of := func(cells []schema.Value) schema.Value {
		return schema.Seq(schema.KindStruct, []schema.Value{schema.Int(0), schema.Seq(schema.KindMap, cells)})
	}
	var absent []schema.Value
	for i, b := range v.placeholder {
		absent = append(absent, schema.Int(int64(i+1)), schema.Float(float64(int8(b))))
	}
	return valueType{schema: s, decode: decodeSparseVector, absent: constant(of(absent)), neutral: of(nil), inArray: elementsRequired}
}

func decodeSparseVector(a *schema.Arena, text []byte) (schema.Value, error) {
	const what = "a sparse vector"
	slash := bytes.LastIndexByte(text, '/')
	if slash < 2 || text[0] != '{' || text[slash-1] != '}' {
		return invalid(what, text)
	}
	dimensions, ok := parseInt(text[slash+1:])
	if !ok {
		return invalid(what, text)
	}
	if dimensions > math.MaxInt16 {
		return schema.Value{}, errDimensions
	}
	var cells schema.Row
	if in := text[1 : slash-1]; len(in) > 0 {
		read := a.Row(2 * (bytes.Count(in, []byte(",")) + 1))
		for i := 0; i < len(read); i += 2 {
			var pair []byte
			pair, in, _ = bytes.Cut(in, []byte(","))
			index, number, _ := bytes.Cut(pair, []byte(":"))
			n, ok := parseInt(index)
			f, err := strconv.ParseFloat(string(number), 64)
			if !ok || err != nil {
				return invalid(what, text)
			}
			read[i], read[i+1] = schema.Int(n), schema.Float(f)
		}
		cells = a.Row(len(read))
		for i, place := range javaOrder(a, len(read)/2, 1, func(i int) uint32 { return uint32(read[2*i].Int()) }) {
			cells[2*i], cells[2*i+1] = read[2*place.Int()], read[2*place.Int()+1]
		}
	}
	fields := a.Row(2)
	fields[0], fields[1] = schema.Int(dimensions), schema.Seq(schema.KindMap, cells)
	return schema.Seq(schema.KindStruct, fields), nil
}

// javaNumbers writes the numbers in a geometric value's text as Java does.
func javaNumbers(a *schema.Arena, text []byte) ([]byte, bool) {
	whole := a.Make(4*len(text) + 16)
	out := whole[:0]
	for i := 0; i < len(text); {
		if bytes.IndexByte([]byte("()[]{}<>,"), text[i]) >= 0 {
			out = append(out, text[i])
			i++
			continue
		}
		end := i
		for end < len(text) && bytes.IndexByte([]byte("()[]{}<>,"), text[end]) < 0 {
			end++
		}
		f, err := strconv.ParseFloat(string(text[i:end]), 64)
		if err != nil {
			return nil, false
		}
		out = converters.AppendJavaFloat(out, f, 64)
		i = end
	}
	a.Trim(len(whole) - len(out))
	return out, true
}
