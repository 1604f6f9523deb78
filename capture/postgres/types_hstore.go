package postgres

import (
	"bytes"
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
			absent: constant(schema.Seq(schema.KindMap, []schema.Value{placeholder, placeholder})),
			decode: hstoreMap,
		}
	}
	quoted := appendJSONText(nil, v.placeholder)
	absent := append(append(append([]byte{'{'}, quoted...), ':'), append(quoted, '}')...)
	return valueType{
		schema: semantic(schema.TypeString, schema.NameDebeziumJSON), decode: hstoreJSON,
		absent: constant(schema.String(absent)), zero: constant(schema.Text("{}")),
	}
}

// nextPair reads one pair of hstore's text, "key"=>"value" or "key"=>NULL, at
// in[i] and returns the place of the next one. A null value is nil.
func nextPair(a *schema.Arena, in []byte, i int) (key, value []byte, next int, ok bool) {
	closed := func(i int) bool {
		if i >= len(in) || in[i] != '"' {
			return false
		}
		for i++; i < len(in); i++ {
			switch in[i] {
			case '\\':
				i++
			case '"':
				return true
			}
		}
		return false
	}
	if !closed(i) {
		return nil, nil, 0, false
	}
	key, i = quotedText(a, in, i)
	if !bytes.HasPrefix(in[i:], []byte("=>")) {
		return nil, nil, 0, false
	}
	i += 2
	switch {
	case bytes.HasPrefix(in[i:], []byte("NULL")):
		i += 4
	case closed(i):
		if value, i = quotedText(a, in, i); value == nil {
			value = []byte{}
		}
	default:
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

func hstoreMap(a *schema.Arena, text []byte) (schema.Value, error) {
	n := 0
	var count schema.Arena // what it unescapes is not kept
	for i := 0; i < len(text); n++ {
		_, _, next, ok := nextPair(&count, text, i)
		if !ok {
			return invalid("an hstore", text)
		}
		i = next
	}
	cells := a.Row(2 * n)
	for i, k := 0, 0; i < len(text); k += 2 {
		key, value, next, ok := nextPair(a, text, i)
		if !ok {
			return invalid("an hstore", text)
		}
		cells[k] = schema.String(a.Copy(key))
		if value != nil {
			cells[k+1] = schema.String(a.Copy(value))
		}
		i = next
	}
	return schema.Seq(schema.KindMap, cells), nil
}

func hstoreJSON(a *schema.Arena, text []byte) (schema.Value, error) {
	// Escaped for JSON a byte takes six at most; pairs lose more than they gain.
	out := a.Make(6*len(text) + 2)
	j := append(out[:0], '{')
	for i := 0; i < len(text); {
		key, value, next, ok := nextPair(a, text, i)
		if !ok {
			return invalid("an hstore", text)
		}
		if i > 0 {
			j = append(j, ',')
		}
		j = appendJSONText(j, key)
		j = append(j, ':')
		if value == nil {
			j = append(j, "null"...)
		} else {
			j = appendJSONText(j, value)
		}
		i = next
	}
	j = append(j, '}')
	return schema.String(j), nil
}

// appendJSONText writes UTF-8 text as a JSON string.
func appendJSONText(dst, text []byte) []byte {
	const digits = "0123456789abcdef"
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
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
