package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// converter appends the UTF-8 form of a text to dst. ok is false if the text
// has bytes that are no character of its character set. It keeps no state, and
// the result is at most three times as long as the text.
type converter func(dst, text []byte) (out []byte, ok bool)

// charset is how text in one of the server's character sets becomes UTF-8.
type charset struct {
	// convert is nil if the text is UTF-8 as it is.
	convert converter
	// valid reports whether bytes are text, if there is nothing to convert.
	valid func([]byte) bool
	// ascii says that bytes below 0x80 are ASCII, as in most.
	ascii bool
}

var utf8Text = &charset{valid: utf8.Valid, ascii: true}

// charsetOf finds a character set by the name that the server has for it.
func charsetOf(name string) (*charset, error) {
	switch name {
	case "utf8mb4", "utf8mb3", "utf8", "":
		return utf8Text, nil
	case "ascii", "binary":
		return &charset{valid: isASCII, ascii: true}, nil
	case "utf16", "ucs2":
		return &charset{convert: utf16Converter(binary.BigEndian)}, nil
	case "utf16le":
		return &charset{convert: utf16Converter(binary.LittleEndian)}, nil
	case "utf32":
		return &charset{convert: convertUTF32}, nil
	case "swe7":
		return &charset{convert: convertSwe7}, nil
	}
	if t, ok := oneByte[name]; ok {
		return &charset{convert: t().convert, ascii: true}, nil
	}
	if t, ok := manyBytes[name]; ok {
		return &charset{convert: t().convert, ascii: true}, nil
	}
	return nil, fmt.Errorf("text in the character set %s cannot be read", name)
}

// decode returns text as UTF-8: in place if that is what it is, otherwise in
// the arena. ok is false if it has bytes that are no characters; those are in
// the result as Unicode's replacement character.
func (cs *charset) decode(a *schema.Arena, text []byte) (out []byte, ok bool) {
	if cs.ascii && isASCII(text) {
		return text, true
	}
	if cs.convert == nil {
		return text, cs.valid(text)
	}
	buf := a.Make(3 * len(text))
	out, ok = cs.convert(buf[:0], text)
	a.Trim(len(buf) - len(out))
	return out[:len(out):len(out)], ok
}

// textReader returns what turns a column's bytes into text. Bytes that are no
// text in the column's character set would be lost in text, so the whole value
// comes in base64 then.
func (m *valueModes) textReader(c *ddl.Column) (func(a *schema.Arena, b []byte) schema.Value, error) {
	cs, err := charsetOf(c.Charset)
	if err != nil {
		return nil, err
	}
	name, set := c.Name, c.Charset
	var warn sync.Once
	return func(a *schema.Arena, b []byte) schema.Value {
		text, ok := cs.decode(a, b)
		if ok {
			return schema.String(text)
		}
		warn.Do(func() {
			m.logger.Warn("text has bytes that are no characters, and comes in base64", "column", name, "charset", set)
		})
		out := a.Make(base64.StdEncoding.EncodedLen(len(b)))
		base64.StdEncoding.Encode(out, b)
		return schema.String(out)
	}, nil
}

// name converts a text that is a name, such as the member of an ENUM.
func (cs *charset) name(text []byte) string {
	out, _ := cs.decode(&schema.Arena{}, text)
	return string(out)
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func utf16Converter(order binary.ByteOrder) converter {
	return func(dst, text []byte) ([]byte, bool) {
		ok := len(text)%2 == 0
		for ; len(text) >= 2; text = text[2:] {
			r := rune(order.Uint16(text))
			if utf16.IsSurrogate(r) {
				var second rune
				if len(text) >= 4 {
					second = rune(order.Uint16(text[2:]))
				}
				if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
					ok = false
				} else {
					text = text[2:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
		return dst, ok
	}
}

func convertUTF32(dst, text []byte) ([]byte, bool) {
	ok := len(text)%4 == 0
	for ; len(text) >= 4; text = text[4:] {
		r := rune(binary.BigEndian.Uint32(text))
		ok = ok && utf8.ValidRune(r)
		dst = utf8.AppendRune(dst, r)
	}
	return dst, ok
}

// convertSwe7 reads Swedish in seven bits, which has letters in the place of
// ASCII's brackets.
func convertSwe7(dst, text []byte) ([]byte, bool) {
	ok := true
	for _, b := range text {
		r := rune(b)
		switch b {
		case '@':
			r = 'É'
		case '[':
			r = 'Ä'
		case '\\':
			r = 'Ö'
		case ']':
			r = 'Å'
		case '^':
			r = 'Ü'
		case '`':
			r = 'é'
		case '{':
			r = 'ä'
		case '|':
			r = 'ö'
		case '}':
			r = 'å'
		case '~':
			r = 'ü'
		default:
			if b >= 0x7f {
				r, ok = utf8.RuneError, false
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, ok
}
