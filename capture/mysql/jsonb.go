package mysql

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"

	"github.com/penstock/penstock/schema"
)

// The types of values in MySQL's binary JSON (sql-common/json_binary.h).
const (
	jsonSmallObject = 0
	jsonLargeObject = 1
	jsonSmallArray  = 2
	jsonLargeArray  = 3
	jsonLiteral     = 4
	jsonInt16       = 5
	jsonUint16      = 6
	jsonInt32       = 7
	jsonUint32      = 8
	jsonInt64       = 9
	jsonUint64      = 10
	jsonDouble      = 11
	jsonString      = 12
	jsonOpaque      = 15
)

// maxJSONDepth is the deepest that the server nests values.
const maxJSONDepth = 100

var errJSON = errors.New("malformed binary JSON")

// appendJSON renders a binary JSON document as compact text, as Debezium does:
// keys in the order of the document, numbers with the digits that Java prints.
func appendJSON(dst, doc []byte) ([]byte, error) {
	if len(doc) == 0 {
		// What INSERT IGNORE leaves in a NOT NULL column.
		return append(dst, "null"...), nil
	}
	j := jsonWriter{dst: dst, limit: 64*len(doc) + 1024}
	j.value(doc[0], doc[1:], 0)
	if j.bad {
		return nil, errJSON
	}
	return j.dst, nil
}

type jsonWriter struct {
	dst   []byte
	bad   bool
	limit int // entries may share memory, so the text is bounded by itself
}

func (j *jsonWriter) value(kind byte, b []byte, depth int) {
	if depth > maxJSONDepth || len(j.dst) > j.limit {
		j.bad = true
	}
	if j.bad {
		return
	}
	w := wire{p: b}
	switch kind {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		j.container(b, kind == jsonLargeObject || kind == jsonLargeArray, kind <= jsonLargeObject, depth)
		return
	case jsonLiteral:
		switch w.uint8() {
		case 0:
			j.dst = append(j.dst, "null"...)
		case 1:
			j.dst = append(j.dst, "true"...)
		case 2:
			j.dst = append(j.dst, "false"...)
		default:
			j.bad = true
		}
	case jsonInt16:
		j.dst = strconv.AppendInt(j.dst, int64(int16(w.uint16())), 10)
	case jsonUint16:
		j.dst = strconv.AppendUint(j.dst, uint64(w.uint16()), 10)
	case jsonInt32:
		j.dst = strconv.AppendInt(j.dst, int64(int32(w.uint32())), 10)
	case jsonUint32:
		j.dst = strconv.AppendUint(j.dst, uint64(w.uint32()), 10)
	case jsonInt64:
		j.dst = strconv.AppendInt(j.dst, int64(w.uint64()), 10)
	case jsonUint64:
		j.dst = strconv.AppendUint(j.dst, w.uint64(), 10)
	case jsonDouble:
		j.double(w.float64())
	case jsonString:
		j.string(w.take(variable(&w)))
	case jsonOpaque:
		j.opaque(&w)
	default:
		j.bad = true
	}
	j.bad = j.bad || w.bad
}

// variable reads a length of seven bits a byte, the lowest first.
func variable(w *wire) int {
	n := 0
	for i := range 5 {
		b := w.uint8()
		n |= int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return n
		}
	}
	w.bad = true
	return 0
}

// container renders an object or an array: number of entries, size, then the
// entries of keys (place, length) and of values (type, place or the value
// itself), all with numbers of two or of four bytes; places count from b's
// beginning.
func (j *jsonWriter) container(b []byte, large, object bool, depth int) {
	size := 2
	if large {
		size = 4
	}
	w := wire{p: b}
	count, total := int(w.little(size)), int(w.little(size))
	keyEntry, valueEntry := size+2, size+1
	head := 2*size + count*valueEntry
	if object {
		head += count * keyEntry
	}
	if w.bad || total > len(b) || head > total {
		j.bad = true
		return
	}
	b = b[:total]
	keys := wire{p: b[2*size:]}
	values := wire{p: b[head-count*valueEntry : head]}
	open, end := byte('['), byte(']')
	if object {
		open, end = '{', '}'
	}
	j.dst = append(j.dst, open)
	for i := range count {
		if i > 0 {
			j.dst = append(j.dst, ',')
		}
		if object {
			at, n := int(keys.little(size)), int(keys.uint16())
			if at > len(b) || n > len(b)-at {
				j.bad = true
				return
			}
			j.string(b[at : at+n])
			j.dst = append(j.dst, ':')
		}
		kind := values.uint8()
		entry := values.take(size)
		if inlined(kind, large) {
			j.value(kind, entry, depth+1)
		} else {
			e := wire{p: entry}
			at := int(e.little(size))
			if at > len(b) {
				j.bad = true
				return
			}
			j.value(kind, b[at:], depth+1)
		}
		if j.bad {
			return
		}
	}
	j.dst = append(j.dst, end)
}

// inlined tells the types whose value fits in the entry.
func inlined(kind byte, large bool) bool {
	switch kind {
	case jsonLiteral, jsonInt16, jsonUint16:
		return true
	case jsonInt32, jsonUint32:
		return large
	}
	return false
}

// double renders a number as Debezium does, without an exponent, and with
// ".0" where Java's Double.toString has no exponent; but with no more digits
// than it takes to tell it from other numbers.
func (j *jsonWriter) double(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		j.dst = append(j.dst, "null"...) // which the server does not store
		return
	}
	at := len(j.dst)
	j.dst = strconv.AppendFloat(j.dst, f, 'f', -1, 64)
	if abs := math.Abs(f); (abs == 0 || abs >= 1e-3 && abs < 1e7) && bytes.IndexByte(j.dst[at:], '.') < 0 {
		j.dst = append(j.dst, '.', '0')
	}
}

// wholeDigits is from how many digits on a whole number has no ".0".
const wholeDigits = 8

// trimWhole drops ".0" from a number as large as those that double shows
// without. Text does not tell a DECIMAL from a DOUBLE there.
func trimWhole(number []byte) []byte {
	whole, ok := bytes.CutSuffix(number, []byte(".0"))
	if !ok || len(bytes.TrimPrefix(whole, []byte("-"))) < wholeDigits {
		return number
	}
	return whole
}

func (j *jsonWriter) string(s []byte) {
	const hex = "0123456789ABCDEF"
	j.dst = append(j.dst, '"')
	for _, c := range s {
		switch {
		case c >= 0x20 && c != '"' && c != '\\':
			j.dst = append(j.dst, c)
		case c == '"' || c == '\\':
			j.dst = append(j.dst, '\\', c)
		case c == '\n':
			j.dst = append(j.dst, '\\', 'n')
		case c == '\r':
			j.dst = append(j.dst, '\\', 'r')
		case c == '\t':
			j.dst = append(j.dst, '\\', 't')
		case c == '\b':
			j.dst = append(j.dst, '\\', 'b')
		case c == '\f':
			j.dst = append(j.dst, '\\', 'f')
		default:
			j.dst = append(j.dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	j.dst = append(j.dst, '"')
}

// opaque renders a value of one of the server's own types: decimals as
// numbers, dates and times as text, anything else in base64.
func (j *jsonWriter) opaque(w *wire) {
	kind := w.uint8()
	b := w.take(variable(w))
	if w.bad {
		return
	}
	v := wire{p: b}
	switch kind {
	case wireNewDecimal:
		precision, scale := int(v.uint8()), int(v.uint8())
		if v.bad || precision < 1 || precision > 65 || scale > 30 || scale > precision {
			j.bad = true
			return
		}
		r := rowReader{wire: v, arena: &schema.Arena{}}
		j.dst = append(j.dst, trimWhole(packedDecimal{whole: precision - scale, fraction: scale}.read(&r))...)
		v = r.wire
	case wireDate, wireDatetime, wireTimestamp:
		n := v.uint64()
		ymd, hms, micros := n>>41, int64(n>>24&(1<<17-1)), int64(n&(1<<24-1))
		ym := int(ymd >> 5)
		j.dst = append(j.dst, '"')
		j.dst = appendYMD(j.dst, ym/13, ym%13, int(ymd&31))
		if kind != wireDate {
			j.dst = append(j.dst, ' ')
			j.dst = appendTime(j.dst, (hms>>12*3600+hms>>6&63*60+hms&63)*microsPerSecond+micros, minimalDigits)
		}
		j.dst = append(j.dst, '"')
	case wireTime:
		n := int64(v.uint64())
		sign := int64(1)
		if n < 0 {
			sign, n = -1, -n
		}
		hms, micros := n>>24, n&(1<<24-1)
		j.dst = append(j.dst, '"')
		j.dst = appendTime(j.dst, sign*((hms>>12&1023*3600+hms>>6&63*60+hms&63)*microsPerSecond+micros), minimalDigits)
		j.dst = append(j.dst, '"')
	default:
		j.dst = append(j.dst, '"')
		j.dst = base64.StdEncoding.AppendEncode(j.dst, b)
		j.dst = append(j.dst, '"')
	}
	j.bad = j.bad || v.bad
}

func appendYMD(dst []byte, y, m, d int) []byte {
	return append(dst, byte('0'+y/1000%10), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10),
		'-', byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
}

// compactJSON makes text that the server has rendered look as appendJSON does:
// without spaces, and with numbers in the same form. Dates, times and bytes
// that SQL functions have put into a document are text already, and stay as the
// server shows them. It may write to text.
func compactJSON(a *schema.Arena, text []byte) []byte {
	out := text[:0] // what is written is never longer than what was read, until a number grows
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := jsonStringEnd(text, i)
			out = append(out, text[i:end]...)
			upperEscapes(out[len(out)-(end-i):])
			i = end
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(text) && isNumberByte(text[end]) {
				end++
			}
			number := text[i:end]
			if bytes.IndexByte(number, 'e') < 0 {
				out = append(out, trimWhole(number)...)
				i = end
				break
			}
			f, err := strconv.ParseFloat(string(number), 64)
			if err != nil {
				out = append(out, number...)
				i = end
				break
			}
			j := jsonWriter{dst: a.Make(400)[:0]}
			j.double(f)
			if len(out)+len(j.dst) > end && cap(out) == cap(text) {
				// It would overwrite what is not read yet.
				out = append(make([]byte, 0, 2*len(text)), out...)
			}
			out = append(out, j.dst...)
			i = end
		default:
			out = append(out, c)
			i++
		}
	}
	if len(out) > len(text) || cap(out) != cap(text) {
		return a.Copy(out)
	}
	return out
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// jsonStringEnd returns the place behind the string that begins at a place.
func jsonStringEnd(text []byte, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// upperEscapes writes the digits of \u001f in capitals.
func upperEscapes(text []byte) {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 || at+1 >= len(text) {
			return
		}
		if text[at+1] == 'u' && at+6 <= len(text) {
			for i := at + 2; i < at+6; i++ {
				if c := text[i]; c >= 'a' && c <= 'f' {
					text[i] = c - 'a' + 'A'
				}
			}
		}
		text = text[at+2:]
	}
}
