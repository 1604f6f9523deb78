package converters

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"
)

// Eight bytes at a time: lows has 0x01 in each byte and highs 0x80. For a byte
// b of w, (w - lows·n) &^ w & highs marks b < n, and the lowest mark is exact.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// marks returns a word whose lowest set bit is the top bit of the first byte
// of w that is a control character, a quote or a backslash.
func marks(w uint64) uint64 {
	quote := w ^ lows*'"'
	slash := w ^ lows*'\\'
	return ((w-lows*0x20)&^w | (quote-lows)&^quote | (slash-lows)&^slash) & highs
}

// plainASCII returns how many bytes of s from i on need no escape and are
// ASCII, as the index of the first that is not.
func plainASCII(s []byte, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		if m := marks(w) | w&highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

const upperHex = "0123456789ABCDEF"

// appendJSONString appends s as a JSON string in the text that Jackson writes
// to bytes: control characters in their short form or as \u00XX, characters
// beyond U+FFFF as two escapes, everything else as it is. What is not UTF-8
// becomes U+FFFD, as it does when Java decodes it.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; ; {
		i = plainASCII(s, i)
		if i == len(s) {
			break
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				i += malformed(s[i:])
				start = i
			case size == 4:
				dst = appendSurrogates(append(dst, s[start:i]...), r)
				i += size
				start = i
			default:
				i += size
			}
			continue
		}
		dst = appendEscape(append(dst, s[start:i]...), c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	default:
		return append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
	}
}

func appendSurrogates(dst []byte, r rune) []byte {
	r -= 0x10000
	for _, u := range [2]rune{0xD800 + r>>10, 0xDC00 + r&0x3FF} {
		dst = append(dst, '\\', 'u', upperHex[u>>12], upperHex[u>>8&15], upperHex[u>>4&15], upperHex[u&15])
	}
	return dst
}

// malformed returns how many bytes at the start of s Java's decoder replaces
// by one U+FFFD: as far as they are the beginning of a character, at least one.
func malformed(s []byte) int {
	lead := s[0]
	low, high, rest := byte(0x80), byte(0xBF), 0
	switch {
	case lead >= 0xC2 && lead <= 0xDF:
		rest = 1
	case lead >= 0xE0 && lead <= 0xEF:
		rest = 2
		if lead == 0xE0 {
			low = 0xA0
		}
	case lead >= 0xF0 && lead <= 0xF4:
		rest = 3
		if lead == 0xF0 {
			low = 0x90
		}
		if lead == 0xF4 {
			high = 0x8F
		}
	}
	n := 1
	for ; n <= rest && n < len(s) && s[n] >= low && s[n] <= high; n++ {
		low, high = 0x80, 0xBF
	}
	return n
}

// appendJSONFloat appends f as Jackson does: what is not finite in quotes.
func appendJSONFloat(dst []byte, f float64, size int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(AppendJavaFloat(append(dst, '"'), f, size), '"')
	}
	return AppendJavaFloat(dst, f, size)
}
