package converters

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/penstock/penstock/schema"
)

// AppendJavaFloat appends f in the text of Java's Double.toString (size 64) or
// Float.toString (size 32) of JDK 19 and later, which are the shortest digits
// that read as f again; earlier ones sometimes write one digit more.
func AppendJavaFloat(dst []byte, f float64, size int) []byte {
	if size == 32 {
		f = float64(float32(f))
	}
	abs := math.Abs(f)
	switch {
	case abs < 1e7 && f == math.Trunc(f):
		if f == 0 && math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(appendInt(dst, int64(f)), '.', '0')
	case abs >= 1e-3 && abs < 1e7:
		return strconv.AppendFloat(dst, f, 'f', -1, size)
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, size)
	e := len(dst) - 1
	for dst[e] != 'e' {
		e--
	}
	if digits := e - start; digits == 1 || digits == 2 && dst[start] == '-' {
		// Java wants a digit after the point and takes the nearest one, which
		// is not 0 for the smallest numbers (4.9E-324).
		dst = strconv.AppendFloat(dst[:start], f, 'e', 1, size)
		e = len(dst) - 1
		for dst[e] != 'e' {
			e--
		}
	}
	// e+10 → E10, e-05 → E-5
	exponent := dst[e+1:]
	dst = append(dst[:e], 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	exponent = exponent[1:]
	if exponent[0] == '0' {
		exponent = exponent[1:]
	}
	return append(dst, exponent...)
}

// appendJavaDecimal appends a decimal number as Java's BigDecimal.toString has
// it, with zeros up to scale digits after the point.
func appendJavaDecimal(dst, text []byte, scale int) ([]byte, error) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	point := bytes.IndexByte(digits, '.')
	whole, fraction := digits, []byte(nil)
	if point >= 0 {
		whole, fraction = digits[:point], digits[point+1:]
	}
	if len(digits) == 0 || !allDigits(whole) || !allDigits(fraction) || scale > schema.MaxScale {
		return dst, decimalMismatch(scale, fmt.Errorf("%w %q", schema.ErrDecimal, text))
	}
	if text[0] == '-' && bytes.ContainsAny(digits, "123456789") { // there is no -0
		dst = append(dst, '-')
	}
	whole = bytes.TrimLeft(whole, "0")
	zeros := max(scale-len(fraction), 0)
	if len(whole) > 0 || len(fraction)+zeros <= 6 {
		// Not so small that Java would write an exponent.
		if len(whole) == 0 {
			dst = append(dst, '0')
		}
		dst = append(dst, whole...)
		if len(fraction)+zeros > 0 {
			dst = append(append(dst, '.'), fraction...)
		}
		return appendZeros(dst, zeros), nil
	}
	scale = len(fraction) + zeros
	significant := bytes.TrimLeft(fraction, "0")
	n := len(significant) + zeros // digits of the unscaled value
	if len(significant) == 0 {
		n = 1 // zero, whatever its scale
		significant, zeros = []byte("0"), 0
	}
	exponent := n - 1 - scale
	if exponent >= -6 {
		dst = append(append(dst, '0', '.'), fraction...)
		return appendZeros(dst, scale-len(fraction)), nil
	}
	dst = append(dst, significant[0])
	if n > 1 {
		dst = append(append(dst, '.'), significant[1:]...)
		dst = appendZeros(dst, zeros)
	}
	return strconv.AppendInt(append(dst, 'E'), int64(exponent), 10), nil
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
