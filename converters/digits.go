package converters

import (
	"encoding/binary"
	"math/bits"
)

// appendInt is strconv.AppendInt in base 10, eight digits at a time: a change
// event has a dozen timestamps and positions of 13 to 19 digits, and they were
// a third of the time it took to write one.
func appendInt(dst []byte, n int64) []byte {
	u := uint64(n)
	if n < 0 {
		dst = append(dst, '-')
		u = -u
	}
	const e8 = 100_000_000
	switch {
	case u < 10:
		return append(dst, byte('0'+u))
	case u < e8:
		return appendLeading(dst, uint32(u))
	case u < e8*e8:
		dst = appendLeading(dst, uint32(u/e8))
		return binary.LittleEndian.AppendUint64(dst, digits8(uint32(u%e8))+zeros8)
	default:
		high, low := u/(e8*e8), u%(e8*e8)
		dst = appendLeading(dst, uint32(high))
		dst = binary.LittleEndian.AppendUint64(dst, digits8(uint32(low/e8))+zeros8)
		return binary.LittleEndian.AppendUint64(dst, digits8(uint32(low%e8))+zeros8)
	}
}

// zeros8 is the text "00000000".
const zeros8 = 0x3030303030303030

// appendLeading appends n, which is neither 0 nor above 99,999,999, without
// leading zeros.
func appendLeading(dst []byte, n uint32) []byte {
	d := digits8(n)
	skip := bits.TrailingZeros64(d) / 8
	dst = binary.LittleEndian.AppendUint64(dst, (d+zeros8)>>(8*skip))
	return dst[:len(dst)-skip]
}

// digits8 returns the eight decimal digits of n, at most 99,999,999, one in
// each byte and the first in the lowest: n is split into halves of four digits
// in the halves of a word, those into pairs, and those into digits, each by one
// multiplication with the inverse for all parts at once.
func digits8(n uint32) uint64 {
	x := uint64(n/10_000) | uint64(n%10_000)<<32
	pairs := x * 10486 >> 20 & (0x7F<<32 | 0x7F) // x/100 in each half
	x = pairs | (x-100*pairs)<<16
	tens := x * 103 >> 10 & (0xF<<48 | 0xF<<32 | 0xF<<16 | 0xF) // x/10 in each pair
	return tens | (x-10*tens)<<8
}
