package postgres

import (
	"bytes"
	"crypto/md5" //nolint:gosec // a name-based UUID is made of it
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/schema"
)

// textType keeps the text as it is; name is the semantic type's, if any.
func textType(name string) func(*valueConfig, int32) valueType {
	s := &schema.Schema{Type: schema.TypeString, Name: name}
	if name != "" {
		s.Version = 1
	}
	return func(v *valueConfig, _ int32) valueType {
		return valueType{schema: s, decode: decodeText, absent: constant(schema.String(v.placeholder)), neutral: schema.Text("")}
	}
}

func decodeText(a *schema.Arena, text []byte) (schema.Value, error) {
	return schema.String(a.Copy(text)), nil
}

// defaultedText is a textType whose columns have defaults in the schema.
func defaultedText(name string) func(*valueConfig, int32) valueType {
	of := textType(name)
	return func(v *valueConfig, mod int32) valueType {
		t := of(v, mod)
		t.literals, t.computed = true, constant(schema.Text(""))
		return t
	}
}

func jsonType(v *valueConfig, mod int32) valueType {
	t := defaultedText(schema.NameDebeziumJSON)(v, mod)
	t.computed = constant(schema.Text("{}"))
	return t
}

// uuidType has in arrays the name-based UUID of the placeholder for what has
// not changed, as Debezium has. A UUID alone is never that large.
func uuidType(v *valueConfig, mod int32) valueType {
	t := defaultedText(schema.NameDebeziumUUID)(v, mod)
	t.computed = constant(schema.Text("00000000-0000-0000-0000-000000000000"))
	sum := md5.Sum(v.placeholder)
	sum[6], sum[8] = sum[6]&0x0f|0x30, sum[8]&0x3f|0x80
	t.absent = constant(schema.Text(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:])))
	return t
}

// enumType takes any label: ALTER TYPE … ADD VALUE adds some without the log
// describing the table anew, so that the schema lacks them for a while, as
// Debezium's does.
func (v *valueConfig) enumType(labels []string) valueType {
	t := textType("")(v, -1)
	t.schema = &schema.Schema{
		Type: schema.TypeString, Name: schema.NameDebeziumEnum, Version: 1,
		Parameters: []schema.Parameter{{Name: "allowed", Value: strings.Join(labels, ",")}},
	}
	t.inArray, t.literals = elementsRequired, true
	return t
}

// byteaType has its form from binary.handling.mode.
func byteaType(v *valueConfig, _ int32) valueType { return v.binaryType(unhex) }

// unknownType takes the text of a type that has no form of its own as bytes.
// Debezium has geometric types as Java writes them.
func (v *valueConfig) unknownType(t *typeInfo) valueType {
	vt := v.rawBytes()
	if t.namespace == catalog && slices.Contains([]string{"line", "lseg", "box", "path", "polygon", "circle"}, t.name) {
		vt = v.binaryType(javaNumbers)
	}
	vt.inArray = elementsRequired
	return vt
}

// rawBytes takes bytes as they are.
func (v *valueConfig) rawBytes() valueType {
	return v.binaryType(func(_ *schema.Arena, text []byte) ([]byte, bool) { return text, true })
}

// binaryType makes bytes of a text by raw, whose result may alias the text.
func (v *valueConfig) binaryType(raw func(a *schema.Arena, text []byte) ([]byte, bool)) valueType {
	form := func(a *schema.Arena, b []byte) schema.Value { return schema.Bytes(a.Copy(b)) }
	s, neutral := &schema.Schema{Type: schema.TypeBytes}, schema.Bytes(nil)
	if v.binary != "bytes" {
		s, neutral = &schema.Schema{Type: schema.TypeString}, schema.Text("")
		encoding := base64.StdEncoding
		switch v.binary {
		case "hex":
			form = func(a *schema.Arena, b []byte) schema.Value {
				out := a.Make(hex.EncodedLen(len(b)))
				hex.Encode(out, b)
				return schema.String(out)
			}
		case "base64-url-safe":
			encoding = base64.URLEncoding
			fallthrough
		default:
			form = func(a *schema.Arena, b []byte) schema.Value {
				out := a.Make(encoding.EncodedLen(len(b)))
				encoding.Encode(out, b)
				return schema.String(out)
			}
		}
	}
	var owned schema.Arena
	absent := form(&owned, v.placeholder)
	if v.binary == "hex" {
		absent = schema.String(v.placeholder) // as Debezium has it
	}
	return valueType{
		schema: s, absent: &absent, neutral: neutral,
		decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
			b, ok := raw(a, text)
			if !ok {
				return invalid("bytea", text)
			}
			return form(a, b), nil
		},
	}
}

// unhex reads bytea's hex format, and its older escape format, in which only
// the server of another version could still write.
func unhex(a *schema.Arena, text []byte) ([]byte, bool) {
	if digits, isHex := bytes.CutPrefix(text, []byte(`\x`)); isHex {
		b := a.Make(len(digits) / 2)
		n, err := hex.Decode(b, digits)
		return b[:n], err == nil
	}
	b := a.Make(len(text))[:0]
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			b = append(b, text[i])
		case i+1 < len(text) && text[i+1] == '\\':
			b = append(b, '\\')
			i++
		case i+3 < len(text):
			octal, err := strconv.ParseUint(string(text[i+1:i+4]), 8, 8)
			if err != nil {
				return nil, false
			}
			b = append(b, byte(octal))
			i += 3
		default:
			return nil, false
		}
	}
	return b, true
}

// bitType makes a boolean of bit(1) and varbit(1), and little-endian bytes of
// the others.
func bitType(v *valueConfig, mod int32) valueType {
	if mod == 1 {
		return valueType{
			schema:  &schema.Schema{Type: schema.TypeBoolean},
			neutral: schema.Bool(false), literals: true, computed: constant(schema.Bool(false)),
			decode: func(_ *schema.Arena, text []byte) (schema.Value, error) {
				switch string(text) {
				case "0", "1":
					return schema.Bool(text[0] == '1'), nil
				case "":
					return schema.Value{}, errNoBit
				default:
					return invalid("a bit", text)
				}
			},
		}
	}
	length := "2147483647"
	if mod >= 0 {
		length = strconv.Itoa(int(mod))
	}
	return valueType{
		schema: &schema.Schema{
			Type: schema.TypeBytes, Name: schema.NameDebeziumBits, Version: 1,
			Parameters: []schema.Parameter{{Name: "length", Value: length}},
		},
		decode: decodeBits, absent: constant(schema.Bytes(v.placeholder)),
		neutral: schema.Bytes(nil), literals: true, computed: constant(schema.Bytes(nil)),
	}
}

// decodeBits drops zero bytes at the end, as Debezium does.
func decodeBits(a *schema.Arena, text []byte) (schema.Value, error) {
	b := a.Make((len(text) + 7) / 8)
	clear(b)
	for i, c := range text {
		bit := len(text) - 1 - i
		switch c {
		case '1':
			b[bit/8] |= 1 << (bit % 8)
		case '0':
		default:
			return invalid("a bit string", text)
		}
	}
	return schema.Bytes(bytes.TrimRight(b, "\x00")), nil
}
