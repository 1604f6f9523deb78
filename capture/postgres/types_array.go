package postgres

import (
	"bytes"

	"github.com/penstock/penstock/schema"
)

// arrayOf makes the type of arrays of elem.
func (v *valueConfig) arrayOf(elem valueType, delimiter byte) valueType {
	t := valueType{
		schema:  &schema.Schema{Type: schema.TypeArray, Elem: elem.schema.AsOptional()},
		absent:  v.absentArray(elem),
		neutral: schema.Seq(schema.KindArray, nil),
		inArray: elementsNone, // the text of an array has all dimensions
		decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
			return decodeArray(a, text, delimiter, elem.decode)
		},
	}
	if elem.inArray == elementsRequired && !elem.schema.Optional {
		t.wide = t.schema
		t.schema = &schema.Schema{Type: schema.TypeArray, Elem: elem.schema}
	}
	return t
}

// absentArray is Debezium's placeholder in the shape of an array: its bytes as
// numbers, or one element that is the placeholder.
func (v *valueConfig) absentArray(elem valueType) *schema.Value {
	one := elem.absent
	switch elem.schema.Type {
	case schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		return v.absentNumbers(schema.Int)
	case schema.TypeFloat32, schema.TypeFloat64:
		return v.absentNumbers(func(n int64) schema.Value { return schema.Float(float64(n)) })
	case schema.TypeString:
		if one == nil {
			one = constant(schema.String(v.placeholder)) // times and intervals, which alone are never that large
		}
	default:
	}
	if one == nil {
		return nil // booleans, and arrays whose elements are
	}
	return constant(schema.Seq(schema.KindArray, []schema.Value{*one}))
}

// absentNumbers is the placeholder's bytes.
func (v *valueConfig) absentNumbers(of func(int64) schema.Value) *schema.Value {
	numbers := make([]schema.Value, len(v.placeholder))
	for i, b := range v.placeholder {
		numbers[i] = of(int64(int8(b)))
	}
	return constant(schema.Seq(schema.KindArray, numbers))
}

// hasNull reports whether an array has an element that is null.
func hasNull(v schema.Value) bool {
	for _, e := range v.Elems() {
		if e.IsNull() {
			return true
		}
	}
	return false
}

// decodeArray reads an array's text. Arrays of several dimensions have their
// elements in one list, in the order in which they are stored: Kafka Connect's
// schema of the column cannot say how deep a value is.
func decodeArray(a *schema.Arena, text []byte, delimiter byte, elem decoder) (schema.Value, error) {
	in := text
	// Bounds other than from 1: [0:2]={…}
	if len(in) > 0 && in[0] == '[' {
		i := bytes.IndexByte(in, '=')
		if i < 0 {
			return invalid("an array", text)
		}
		in = in[i+1:]
	}
	if len(in) < 2 || in[0] != '{' {
		return invalid("an array", text)
	}
	n, ok := countElements(in, delimiter)
	if !ok {
		return invalid("an array", text)
	}
	elems := a.Row(n)
	k := 0
	for i := 0; i < len(in); {
		switch in[i] {
		case '{', '}', delimiter:
			i++
		case '"':
			text, next, _ := quoted(in, i) // countElements has seen its end
			v, err := elem(a, unescaped(a, text))
			if err != nil {
				return schema.Value{}, err
			}
			elems[k] = v
			k++
			i = next
		default:
			end := i
			for end < len(in) && in[end] != delimiter && in[end] != '}' {
				end++
			}
			if word := in[i:end]; !isNullWord(word) {
				v, err := elem(a, word)
				if err != nil {
					return schema.Value{}, err
				}
				elems[k] = v
			}
			k++
			i = end
		}
	}
	return schema.Seq(schema.KindArray, elems), nil
}

func isNullWord(word []byte) bool { return len(word) == 4 && bytes.EqualFold(word, []byte("NULL")) }

// countElements returns the number of elements of an array's text and whether
// its braces and quotes are closed, with nothing after them.
func countElements(in []byte, delimiter byte) (n int, ok bool) {
	depth := 0
	for i := 0; i < len(in); {
		switch in[i] {
		case '{':
			depth++
			i++
		case '}':
			depth--
			i++
			if depth == 0 {
				return n, i == len(in)
			}
			if depth < 0 {
				return 0, false
			}
		case delimiter:
			i++
		case '"':
			n++
			for i++; i < len(in) && in[i] != '"'; i++ {
				if in[i] == '\\' {
					i++
				}
			}
			i++
		default:
			n++
			for i < len(in) && in[i] != delimiter && in[i] != '}' {
				if in[i] == '{' || in[i] == '"' || in[i] == '\\' {
					return 0, false // the server quotes them
				}
				i++
			}
		}
	}
	return 0, false
}

// quoted returns what is in the quotes that begin at in[i], not nil, and the
// place after them.
func quoted(in []byte, i int) (text []byte, next int, ok bool) {
	if i >= len(in) || in[i] != '"' {
		return nil, i, false
	}
	i++
	for end := i; end < len(in); end++ {
		switch in[end] {
		case '\\':
			end++
		case '"':
			return in[i:end:end], end + 1, true
		}
	}
	return nil, i, false
}

// unescaped removes the backslashes of a quoted text.
func unescaped(a *schema.Arena, text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	plain := a.Make(len(text))[:0]
	for k := 0; k < len(text); k++ {
		if text[k] == '\\' && k+1 < len(text) {
			k++
		}
		plain = append(plain, text[k])
	}
	return plain
}
