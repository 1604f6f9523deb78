package mongodb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// errDecimal says that a number has no exact Decimal128. It is the record's
// fault: rounding it would make source and destination differ in silence.
var errDecimal = errors.New("number does not fit Decimal128, which has 34 digits and exponents from -6176 to 6111")

const (
	decimalDigits   = 34
	decimalBias     = 6176
	decimalMaxScale = 6176
)

// appendDecimal appends a decimal number, as schema.KindDecimal has it, as a
// Decimal128: the same number with the same digits after the point.
func appendDecimal(dst, text []byte) ([]byte, error) {
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	// Zeros at the end are given up only if the number does not fit with them.
	hi, lo, count, scale, zeros := uint64(0), uint64(0), 0, 0, 0
	point := false
	if len(digits) == 0 || len(digits) == 1 && digits[0] == '.' {
		return dst, fmt.Errorf("%q is not a decimal number", text)
	}
	for _, c := range digits {
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return dst, fmt.Errorf("%q is not a decimal number", text)
		}
		if point {
			scale++
		}
		if c == '0' {
			if count > 0 {
				zeros++
			}
			continue
		}
		// The zeros before this digit count after all.
		if count+zeros+1 > decimalDigits {
			return dst, fmt.Errorf("%w: %s", errDecimal, text)
		}
		for ; zeros > 0; zeros-- {
			hi, lo = times10(hi, lo, 0)
			count++
		}
		hi, lo = times10(hi, lo, uint64(c-'0'))
		count++
	}
	for ; zeros > 0 && count < decimalDigits; zeros-- {
		hi, lo = times10(hi, lo, 0)
		count++
	}
	exponent := zeros - scale
	if exponent < -decimalMaxScale || exponent+decimalBias > 12287 {
		return dst, fmt.Errorf("%w: %s", errDecimal, text)
	}
	hi |= uint64(exponent+decimalBias) << 49
	if negative {
		hi |= 1 << 63
	}
	dst = binary.LittleEndian.AppendUint64(dst, lo)
	return binary.LittleEndian.AppendUint64(dst, hi), nil
}

func times10(hi, lo, digit uint64) (uint64, uint64) {
	carry, low := bits.Mul64(lo, 10)
	low, c := bits.Add64(low, digit, 0)
	return hi*10 + carry + c, low
}
