package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
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
	zero := constant(schema.Text(""))
	if name == schema.NameDebeziumJSON {
		zero = constant(schema.Text("{}"))
	}
	return func(v *valueConfig, _ int32) valueType {
		return valueType{schema: s, decode: decodeText, absent: constant(schema.String(v.placeholder)), zero: zero}
	}
}

func decodeText(a *schema.Arena, text []byte) (schema.Value, error) {
	return schema.String(a.Copy(text)), nil
}

func uuidType(v *valueConfig, mod int32) valueType {
	t := textType(schema.NameDebeziumUUID)(v, mod)
	t.zero = constant(schema.Text("00000000-0000-0000-0000-000000000000"))
	return t
}

func (v *valueConfig) enumType(labels []string) valueType {
	t := textType("")(v, -1)
	t.schema = &schema.Schema{
		Type: schema.TypeString, Name: schema.NameDebeziumEnum, Version: 1,
		Parameters: []schema.Parameter{{Name: "allowed", Value: strings.Join(labels, ",")}},
	}
	t.requiredElem = true
	return t
}

// byteaType has its form from binary.handling.mode.
func byteaType(v *valueConfig, _ int32) valueType { return v.binaryType(unhex) }

// unknownType takes the text of a type that has no form of its own as bytes.
func (v *valueConfig) unknownType() valueType {
	return v.binaryType(func(_ *schema.Arena, text []byte) ([]byte, bool) { return text, true })
}

// binaryType makes bytes of a text by raw, whose result may alias the text.
func (v *valueConfig) binaryType(raw func(a *schema.Arena, text []byte) ([]byte, bool)) valueType {
	form := func(a *schema.Arena, b []byte) schema.Value { return schema.Bytes(a.Copy(b)) }
	s := &schema.Schema{Type: schema.TypeBytes}
	if v.binary != "bytes" {
		s = &schema.Schema{Type: schema.TypeString}
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
	return valueType{
		schema: s,
		decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
			b, ok := raw(a, text)
			if !ok {
				return invalid("bytea", text)
			}
			return form(a, b), nil
		},
		absent: constant(form(&owned, v.placeholder)),
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

// bitType makes a boolean of bit(1) and little-endian bytes of the others.
func bitType(_ *valueConfig, mod int32) valueType {
	if mod == 1 {
		return valueType{
			schema: &schema.Schema{Type: schema.TypeBoolean},
			decode: func(_ *schema.Arena, text []byte) (schema.Value, error) {
				if len(text) != 1 || text[0] != '0' && text[0] != '1' {
					return invalid("a bit", text)
				}
				return schema.Bool(text[0] == '1'), nil
			},
			zero: constant(schema.Bool(false)),
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
		decode: decodeBits,
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
