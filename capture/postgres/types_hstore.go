package postgres

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstock/penstock/schema"
)

func hstoreType(v *valueConfig, _ int32) valueType {
	if v.hstore == "map" {
		placeholder := schema.String(v.placeholder)
		return valueType{
			schema: &schema.Schema{
				Type: schema.TypeMap, Key: &schema.Schema{Type: schema.TypeString},
				Elem: &schema.Schema{Type: schema.TypeString, Optional: true},
			},
			absent:  constant(schema.Seq(schema.KindMap, []schema.Value{placeholder, placeholder})),
			neutral: schema.Seq(schema.KindMap, nil),
			decode:  hstoreMap,
		}
	}
	quoted := appendJSONText(nil, v.placeholder)
	absent := append(append(append([]byte{'{'}, quoted...), ':'), append(quoted, '}')...)
	return valueType{
		schema: semantic(schema.TypeString, schema.NameDebeziumJSON), decode: hstoreJSON,
		absent: constant(schema.String(absent)), neutral: schema.Text("{}"),
	}
}

// nextPair reads one pair of hstore's text, "key"=>"value" or "key"=>NULL, at
// in[i] and returns the place of the next one. Key and value still have their
// backslashes; a null value is nil.
func nextPair(in []byte, i int) (key, value []byte, next int, ok bool) {
	if key, i, ok = quoted(in, i); !ok || !bytes.HasPrefix(in[i:], []byte("=>")) {
		return nil, nil, 0, false
	}
	i += 2
	if bytes.HasPrefix(in[i:], []byte("NULL")) {
		i += 4
	} else if value, i, ok = quoted(in, i); !ok {
		return nil, nil, 0, false
	}
	switch {
	case i == len(in):
		return key, value, i, true
	case bytes.HasPrefix(in[i:], []byte(", ")):
		return key, value, i + 2, true
	default:
		return nil, nil, 0, false
	}
}

// hstorePairs reads an hstore's text as key, value, key, value …
func hstorePairs(a *schema.Arena, text []byte) ([]schema.Value, bool) {
	n := 0
	for i := 0; i < len(text); n++ {
		_, _, next, ok := nextPair(text, i)
		if !ok {
			return nil, false
		}
		i = next
	}
	pairs := a.Row(2 * n)
	for i, k := 0, 0; i < len(text); k += 2 {
		key, value, next, _ := nextPair(text, i)
		pairs[k] = schema.String(unescaped(a, key))
		if value != nil {
			pairs[k+1] = schema.String(unescaped(a, value))
		}
		i = next
	}
	return pairs, true
}

// javaOrder returns the places of n entries in the order in which Debezium has
// them, which is that of a Java HashMap: by the bucket of the key's hash, those
// of one bucket as they came. buckets is what the map begins with.
func javaOrder(a *schema.Arena, n, buckets int, hashOf func(i int) uint32) []schema.Value {
	for 4*n > 3*buckets {
		buckets *= 2
	}
	order := a.Row(n)
	for i := range order {
		hash := hashOf(i)
		bucket := (hash ^ hash>>16) & uint32(buckets-1)
		order[i] = schema.Int(int64(bucket)<<32 | int64(i))
	}
	slices.SortFunc(order, func(x, y schema.Value) int { return cmp.Compare(x.Int(), y.Int()) })
	for i := range order {
		order[i] = schema.Int(order[i].Int() & (1<<32 - 1))
	}
	return order
}

// hstoreOrder is that of the pairs of an hstore.
func hstoreOrder(a *schema.Arena, pairs []schema.Value) []schema.Value {
	const buckets = 16
	return javaOrder(a, len(pairs)/2, buckets, func(i int) uint32 { return javaHash(pairs[2*i].Bytes()) })
}

// javaHash is Java's hash of a string, which goes over its UTF-16.
func javaHash(text []byte) uint32 {
	var hash uint32
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			hash = 31*hash + uint32(high)
			r = low
		}
		hash = 31*hash + uint32(r)
	}
	return hash
}

func hstoreMap(a *schema.Arena, text []byte) (schema.Value, error) {
	pairs, ok := hstorePairs(a, text)
	if !ok {
		return invalid("an hstore", text)
	}
	cells := a.Row(len(pairs))
	for i, place := range hstoreOrder(a, pairs) {
		key, value := pairs[2*place.Int()], pairs[2*place.Int()+1]
		cells[2*i] = schema.String(a.Copy(key.Bytes()))
		if !value.IsNull() {
			cells[2*i+1] = schema.String(a.Copy(value.Bytes()))
		}
	}
	return schema.Seq(schema.KindMap, cells), nil
}

func hstoreJSON(a *schema.Arena, text []byte) (schema.Value, error) {
	pairs, ok := hstorePairs(a, text)
	if !ok {
		return invalid("an hstore", text)
	}
	order := hstoreOrder(a, pairs)
	// Escaped for JSON a byte takes six at most; pairs lose more than they gain.
	out := a.Make(6*len(text) + 2)
	j := append(out[:0], '{')
	for i, place := range order {
		key, value := pairs[2*place.Int()], pairs[2*place.Int()+1]
		if i > 0 {
			j = append(j, ',')
		}
		j = appendJSONText(j, key.Bytes())
		j = append(j, ':')
		if value.IsNull() {
			j = append(j, "null"...)
		} else {
			j = appendJSONText(j, value.Bytes())
		}
	}
	j = append(j, '}')
	a.Trim(len(out) - len(j))
	return schema.String(j), nil
}

// appendJSONText writes UTF-8 text as a JSON string, as Jackson does.
func appendJSONText(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, '"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
