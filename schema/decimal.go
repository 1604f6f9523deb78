package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// MaxScale bounds the scale of a decimal, either way. It is beyond what any
// database has and keeps a hostile schema from turning a few bytes of a record
// into gigabytes of zeros.
const MaxScale = 1 << 15

// ErrDecimal says that a text is not a decimal number as [KindDecimal] has it,
// or that it does not fit a scale without losing digits.
var ErrDecimal = errors.New("invalid decimal")

// AppendUnscaled appends text × 10^scale as a big-endian two's complement
// integer of the least possible length (at least one byte), which is how
// [NameDecimal] and VariableScaleDecimal hold a number. text is a number as
// [KindDecimal] has it. It allocates nothing up to 38 digits. An error wraps
// [ErrDecimal]: text is no number, or has more digits after the point than
// scale.
func AppendUnscaled(dst, text []byte, scale int) ([]byte, error) {
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	// One pass: the value of all digits as 128 bits, and where the point is.
	point := -1
	count := 0
	var hi, lo uint64
	for i, c := range digits {
		if c == '.' && point < 0 {
			point = i
			continue
		}
		if c < '0' || c > '9' {
			return dst, fmt.Errorf("%w %q", ErrDecimal, text)
		}
		if count++; count <= 18 {
			lo = lo*10 + uint64(c-'0')
		} else {
			hi, lo = mul10(hi, lo, uint64(c-'0'))
		}
	}
	if count == 0 {
		return dst, fmt.Errorf("%w %q", ErrDecimal, text)
	}
	fraction := 0
	if point >= 0 {
		fraction = len(digits) - point - 1
	}
	if scale < -MaxScale || scale > MaxScale {
		return dst, fmt.Errorf("%w: scale %d is beyond %d", ErrDecimal, scale, MaxScale)
	}
	shift := scale - fraction
	if shift < 0 {
		// Digits behind the scale must be zeros; a shorter text has them not.
		kept, dropped := dropZeros(digits, -shift)
		if dropped < -shift && !allZero(kept) {
			return dst, fmt.Errorf("%w: %q has more than %d digits after the point", ErrDecimal, text, scale)
		}
		if negative {
			kept = append([]byte{'-'}, kept...)
		}
		if allZero(kept) {
			return append(dst, 0), nil
		}
		return AppendUnscaled(dst, without(kept, '.'), 0)
	}
	if count+shift > 38 {
		return appendBig(dst, digits, shift, negative)
	}
	for range shift {
		hi, lo = mul10(hi, lo, 0)
	}
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return append(dst, shortest(b[:])...), nil
}

// mul10 returns hi:lo × 10 + digit. It overflows only beyond 38 digits, which
// the callers leave to big.Int.
func mul10(hi, lo, digit uint64) (uint64, uint64) {
	over, low := bits.Mul64(lo, 10)
	low, carry := bits.Add64(low, digit, 0)
	return hi*10 + over + carry, low
}

// dropZeros cuts up to n zeros off the end of digits, not counting the point.
func dropZeros(digits []byte, n int) ([]byte, int) {
	dropped := 0
	for dropped < n && len(digits) > 0 {
		switch digits[len(digits)-1] {
		case '0':
			dropped++
		case '.':
		default:
			return digits, dropped
		}
		digits = digits[:len(digits)-1]
	}
	return digits, dropped
}

func allZero(digits []byte) bool {
	for _, c := range digits {
		if c >= '1' && c <= '9' {
			return false
		}
	}
	return true
}

func without(digits []byte, c byte) []byte {
	out := make([]byte, 0, len(digits))
	for _, d := range digits {
		if d != c {
			out = append(out, d)
		}
	}
	return out
}

// shortest drops the leading bytes that only repeat the sign.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xFF && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

func appendBig(dst, digits []byte, shift int, negative bool) ([]byte, error) {
	text := without(digits, '.')
	for range shift {
		text = append(text, '0')
	}
	n, ok := new(big.Int).SetString(string(text), 10)
	if !ok {
		return dst, fmt.Errorf("%w %q", ErrDecimal, digits)
	}
	negative = negative && n.Sign() != 0 // there is no -0
	if negative {
		// Two's complement: the bits of |n|-1, inverted.
		n.Sub(n, big.NewInt(1))
	}
	b := make([]byte, n.BitLen()/8+1)
	n.FillBytes(b)
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	return append(dst, shortest(b)...), nil
}

// AppendDecimal appends unscaled × 10^-scale as a number the way [KindDecimal]
// has it: exactly scale digits after the point, none and no point if scale is
// not positive. unscaled is a big-endian two's complement integer; an empty one
// is 0. It allocates nothing up to 16 bytes. An error wraps [ErrDecimal]: the
// scale is beyond [MaxScale].
func AppendDecimal(dst, unscaled []byte, scale int) ([]byte, error) {
	if scale < -MaxScale || scale > MaxScale {
		return dst, fmt.Errorf("%w: scale %d is beyond %d", ErrDecimal, scale, MaxScale)
	}
	negative := len(unscaled) > 0 && unscaled[0] >= 0x80
	if negative {
		dst = append(dst, '-')
	}
	start := len(dst)
	unscaled = shortest(unscaled)
	if len(unscaled) <= 16 {
		var hi, lo uint64
		if negative {
			hi, lo = math.MaxUint64, math.MaxUint64
		}
		for _, c := range unscaled {
			hi = hi<<8 | lo>>56
			lo = lo<<8 | uint64(c)
		}
		if negative {
			var borrow uint64
			lo, borrow = bits.Sub64(0, lo, 0)
			hi, _ = bits.Sub64(0, hi, borrow)
		}
		dst = appendUint128(dst, hi, lo)
	} else {
		n := new(big.Int).SetBytes(unscaled)
		if negative {
			n.Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))), n)
		}
		dst = n.Append(dst, 10)
	}
	return placePoint(dst, start, scale), nil
}

// appendUint128 appends at most 2^127 in digits.
func appendUint128(dst []byte, hi, lo uint64) []byte {
	if hi == 0 {
		return strconv.AppendUint(dst, lo, 10)
	}
	const e19 = 10_000_000_000_000_000_000
	// hi < 2^63 < e19, so the quotient fits.
	q, r := bits.Div64(hi, lo, e19)
	dst = strconv.AppendUint(dst, q, 10)
	var low [19]byte
	for i := len(low) - 1; i >= 0; i-- {
		low[i] = byte('0' + r%10)
		r /= 10
	}
	return append(dst, low[:]...)
}

// placePoint makes of the digits at dst[start:] a number with scale digits
// after the point.
func placePoint(dst []byte, start, scale int) []byte {
	if scale <= 0 {
		if len(dst) == start+1 && dst[start] == '0' {
			return dst
		}
		for range -scale {
			dst = append(dst, '0')
		}
		return dst
	}
	missing := scale + 1 - (len(dst) - start) // a digit before the point, too
	if missing < 0 {
		missing = 0
	}
	end := len(dst)
	for range missing + 1 {
		dst = append(dst, '0')
	}
	copy(dst[start+missing:], dst[start:end])
	for i := range missing {
		dst[start+i] = '0'
	}
	at := len(dst) - 1 - scale
	copy(dst[at+1:], dst[at:len(dst)-1])
	dst[at] = '.'
	return dst
}
