package converters

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/penstock/penstock/schema"
)

// maxJSONDepth bounds how deep arrays and objects may nest, as Jackson does.
const maxJSONDepth = 1000

// jsonScanner reads JSON text from front to back. Text it returns aliases data
// or lives in the arena. Its methods leave at on the first byte that they did
// not read; they skip white space before what they read, never after.
type jsonScanner struct {
	data  []byte
	at    int
	depth int
	arena *schema.Arena
	// raw allows control characters in strings, which are not JSON.
	raw bool
	// stack holds elements of arrays and maps until their number is known.
	stack []schema.Value
}

// syntaxError says what is wrong with JSON text.
type syntaxError struct {
	what string
	at   int // offset in the text
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d of the JSON text", e.what, e.at)
}

// JavaClass is the class in whose place it stands in a trace.
func (*syntaxError) JavaClass() string {
	return "org.apache.kafka.common.errors.SerializationException"
}

const messageUnreadable = "Converting byte[] to Kafka Connect data failed due to serialization error: "

func (s *jsonScanner) fail(what string) error {
	return &DataError{Message: messageUnreadable, Cause: &syntaxError{what: what, at: s.at}}
}

// unexpected says what was wanted instead of what is there.
func (s *jsonScanner) unexpected(wanted string) error {
	if s.at >= len(s.data) {
		return s.fail("the text ends where " + wanted + " should be")
	}
	r, _ := utf8.DecodeRune(s.data[s.at:])
	return s.fail("unexpected " + strconv.QuoteRune(r) + ", " + wanted + " should be here")
}

// peek returns the next byte that is not white space without reading it, or 0
// at the end.
func (s *jsonScanner) peek() byte {
	for s.at < len(s.data) {
		c := s.data[s.at]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
		s.at++
	}
	return 0
}

// end checks that nothing but white space follows.
func (s *jsonScanner) end() error {
	if s.peek(); s.at < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}

func (s *jsonScanner) enter() error {
	if s.depth++; s.depth > maxJSONDepth {
		return s.fail("arrays and objects nest deeper than " + strconv.Itoa(maxJSONDepth))
	}
	return nil
}

// literal reads word, whose first byte is known to be next.
func (s *jsonScanner) literal(word string) error {
	rest := s.data[s.at:]
	if len(rest) >= len(word) && string(rest[:len(word)]) == word {
		s.at += len(word)
		return nil
	}
	return s.unexpected(`"` + word + `"`)
}

// open reads the opening bracket of an object or array and reports whether it
// is empty, in which case it has read the closing one, too.
func (s *jsonScanner) open(closing byte) (empty bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	s.at++
	if s.peek() == closing {
		s.at++
		s.depth--
		return true, nil
	}
	return false, nil
}

// more reads a comma, and then returns true, or the closing bracket.
func (s *jsonScanner) more(closing byte) (bool, error) {
	switch s.peek() {
	case ',':
		s.at++
		return true, nil
	case closing:
		s.at++
		s.depth--
		return false, nil
	}
	return false, s.unexpected("',' or '" + string(closing) + "'")
}

// name reads an object's key and the colon.
func (s *jsonScanner) name() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.unexpected("a field name in quotes")
	}
	name, err := s.text()
	if err != nil {
		return nil, err
	}
	if s.peek() != ':' {
		return nil, s.unexpected("':'")
	}
	s.at++
	return name, nil
}

// text reads a string, whose opening quote is next.
func (s *jsonScanner) text() ([]byte, error) {
	start := s.at + 1
	i, ascii, escaped := start, true, false
	for {
		if ascii {
			i = plainASCII(s.data, i)
		} else {
			i = plainText(s.data, i)
		}
		if i >= len(s.data) {
			s.at = len(s.data)
			return nil, s.fail("the text ends within a string")
		}
		switch c := s.data[i]; {
		case c == '"':
			raw := s.data[start:i:i]
			if !ascii && !utf8.Valid(raw) {
				s.at = start
				return nil, s.fail("a string is not UTF-8")
			}
			if escaped {
				var err error
				if raw, err = s.unescape(raw, start); err != nil {
					return nil, err
				}
			}
			s.at = i + 1
			return raw, nil
		case c == '\\':
			escaped = true
			i += 2 // what follows is checked by unescape
			if i > len(s.data) {
				i = len(s.data)
			}
		case c >= utf8.RuneSelf:
			ascii = false
		case s.raw:
			i++
		default:
			s.at = i
			return nil, s.fail("a control character within a string")
		}
	}
}

// plainText is plainASCII that also passes over what is not ASCII.
func plainText(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if m := marks(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// unescape returns raw, which begins at the offset start, without its escapes.
// It never gets longer.
func (s *jsonScanner) unescape(raw []byte, start int) ([]byte, error) {
	room := s.arena.Make(len(raw))
	out := room[:0]
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			out = append(out, c)
			i++
			continue
		}
		if i+1 == len(raw) { // cannot be: a backslash takes the quote with it
			return nil, s.fail("an unfinished escape")
		}
		i += 2
		switch c := raw[i-1]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(raw[i:])
			if !ok {
				s.at = start + i
				return nil, s.fail("an escape \\u without four hexadecimal digits")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(0)
				if len(raw) >= i+6 && raw[i] == '\\' && raw[i+1] == 'u' {
					second, _ = hex4(raw[i+2:])
				}
				// Half a pair has no UTF-8; Java writes such text with a
				// replacement, too, once it leaves for anywhere.
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			s.at = start + i - 1
			return nil, s.fail("an unknown escape")
		}
	}
	s.arena.Trim(len(room) - len(out))
	return out[:len(out):len(out)], nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// jsonNumber is a number as it was found.
type jsonNumber struct {
	text    []byte
	integer bool  // neither point nor exponent
	small   bool  // an integer that fits n
	n       int64 // its value then
}

// number reads a number, whose first byte is next.
func (s *jsonScanner) number() (jsonNumber, error) {
	b, start := s.data, s.at
	i := start
	negative := i < len(b) && b[i] == '-'
	if negative {
		i++
	}
	first := i
	var n uint64
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0') // read again below if it overflowed
		i++
	}
	digits := i - first
	if digits == 0 {
		s.at = i
		return jsonNumber{}, s.unexpected("a value")
	}
	// Leading zeros are not JSON, but Connect allows them.
	for digits > 1 && b[i-digits] == '0' {
		digits--
	}
	if i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return s.fraction(start, i)
	}
	s.at = i
	num := jsonNumber{text: b[start:i:i], integer: true, small: digits < 19, n: int64(n)}
	if negative {
		num.n = -num.n
	}
	if digits >= 19 {
		var err error
		num.n, err = strconv.ParseInt(aliasString(num.text), 10, 64)
		num.small = err == nil
	}
	return num, nil
}

// fraction reads the rest of a number that begins at start, from its point or
// exponent at i on.
func (s *jsonScanner) fraction(start, i int) (jsonNumber, error) {
	b := s.data
	run := func() bool {
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if b[i] == '.' {
		i++
		if !run() {
			s.at = i
			return jsonNumber{}, s.unexpected("a digit after the point")
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !run() {
			s.at = i
			return jsonNumber{}, s.unexpected("a digit of the exponent")
		}
	}
	s.at = i
	return jsonNumber{text: b[start:i:i]}, nil
}

// float returns the number as a float of so many bits.
func (s *jsonScanner) float(num jsonNumber, size int) (float64, error) {
	if num.small && num.n > -1<<24 && num.n < 1<<24 && (num.n != 0 || num.text[0] != '-') {
		return float64(num.n), nil
	}
	f, err := strconv.ParseFloat(aliasString(num.text), size)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) && math.IsInf(f, 0) {
			return 0, s.fail("a number beyond the largest floating point number")
		}
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return 0, s.fail("a malformed number")
		}
	}
	return f, nil
}

// aliasString lends b to a function that takes a string and does not keep it.
func aliasString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// skip reads a value of any kind and forgets it.
func (s *jsonScanner) skip() error {
	switch c := s.peek(); c {
	case '"':
		return s.skipText()
	case '{', '[':
		closing := c + 2 // in ASCII
		if empty, err := s.open(closing); empty || err != nil {
			return err
		}
		for {
			if c == '{' {
				if s.peek() != '"' {
					return s.unexpected("a field name in quotes")
				}
				if err := s.skipText(); err != nil {
					return err
				}
				if s.peek() != ':' {
					return s.unexpected("':'")
				}
				s.at++
			}
			if err := s.skip(); err != nil {
				return err
			}
			if more, err := s.more(closing); !more {
				return err
			}
		}
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		_, err := s.number()
		return err
	}
}

// skipText reads a string and forgets it.
func (s *jsonScanner) skipText() error {
	before := s.arena.Size()
	_, err := s.text()
	s.arena.Trim(s.arena.Size() - before)
	return err
}

// any reads a value of any kind into v, as schemaless data.
func (s *jsonScanner) any(v *schema.Value) error {
	switch s.peek() {
	case '"':
		text, err := s.text()
		*v = schema.String(text)
		return err
	case '{':
		return s.object(v, nil)
	case '[':
		return s.array(v, nil)
	case 't':
		*v = schema.Bool(true)
		return s.literal("true")
	case 'f':
		*v = schema.Bool(false)
		return s.literal("false")
	case 'n':
		*v = schema.Value{}
		return s.literal("null")
	}
	num, err := s.number()
	switch {
	case err != nil:
		return err
	case num.small:
		*v = schema.Int(num.n)
	case num.integer:
		*v = schema.Decimal(num.text)
	default:
		f, err := s.float(num, 64)
		if err != nil {
			return err
		}
		*v = schema.Float(f)
	}
	return nil
}

// value reads a value by its schema's reader, or as schemaless data.
func (s *jsonScanner) value(v *schema.Value, r *jsonReader) error {
	if r == nil {
		return s.any(v)
	}
	return r.read(s, v)
}

// object reads an object as a map with string keys. Of a key given twice the
// last value counts.
func (s *jsonScanner) object(v *schema.Value, elem *jsonReader) error {
	*v = schema.Seq(schema.KindMap, nil)
	if empty, err := s.open('}'); empty || err != nil {
		return err
	}
	base := len(s.stack)
	var seen keySet
	var e schema.Value // outside of the loop, or it would be on the heap
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		if err := s.value(&e, elem); err != nil {
			return inField(err, name)
		}
		if at := seen.add(name, s.stack[base:]); at >= 0 {
			s.stack[base+at+1] = e
		} else {
			s.stack = append(s.stack, schema.String(name), e)
		}
		more, err := s.more('}')
		if err != nil {
			return err
		}
		if !more {
			*v = s.collect(schema.KindMap, base)
			return nil
		}
	}
}

// keySet finds keys given twice. Nearly always there are none and few keys, so
// a word of hash bits has to say so without looking at any key again.
type keySet struct {
	bits  uint64
	count int
	index map[string]int // of objects too large for bits
}

// add adds a key to those in pairs and returns the key's place there if it is
// one of them, otherwise -1.
func (k *keySet) add(key []byte, pairs []schema.Value) int {
	const large = 32
	k.count++
	if k.index == nil && k.count > large {
		k.index = make(map[string]int, 2*large)
		for i := 0; i < len(pairs); i += 2 {
			k.index[string(pairs[i].Bytes())] = i
		}
	}
	if k.index != nil {
		if at, twice := k.index[string(key)]; twice {
			return at
		}
		k.index[string(key)] = len(pairs)
		return -1
	}
	hash := uint(len(key))
	if len(key) > 0 {
		hash = hash*31 + uint(key[0])
		hash = hash*31 + uint(key[len(key)/2])
		hash = hash*31 + uint(key[len(key)-1])
	}
	bit := uint64(1) << (hash % 64)
	if k.bits&bit == 0 {
		k.bits |= bit
		return -1
	}
	for i := 0; i < len(pairs); i += 2 {
		if string(pairs[i].Bytes()) == string(key) {
			return i
		}
	}
	return -1
}

// array reads an array.
func (s *jsonScanner) array(v *schema.Value, elem *jsonReader) error {
	*v = schema.Seq(schema.KindArray, nil)
	if empty, err := s.open(']'); empty || err != nil {
		return err
	}
	base := len(s.stack)
	var e schema.Value // outside of the loop, or it would be on the heap
	for {
		if err := s.value(&e, elem); err != nil {
			return err
		}
		s.stack = append(s.stack, e)
		more, err := s.more(']')
		if err != nil {
			return err
		}
		if !more {
			*v = s.collect(schema.KindArray, base)
			return nil
		}
	}
}

// collect moves the elements above base from the stack into the arena.
func (s *jsonScanner) collect(kind schema.Kind, base int) schema.Value {
	row := s.arena.Row(len(s.stack) - base)
	copy(row, s.stack[base:])
	clear(s.stack[base:]) // the stack outlives what it points to
	s.stack = s.stack[:base]
	return schema.Seq(kind, row)
}
