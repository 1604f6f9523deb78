package ddl

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Literal says how a default value was written.
type Literal uint8

// The literals.
const (
	TextLiteral   Literal = iota // 'text', or a number
	BitLiteral                   // b'0101'; Default is the digits
	HexLiteral                   // x'4D' or 0x4D; Default is the bytes
	NumberLiteral                // 12, 1e3
)

// Value returns the default value in the text form that the server shows such
// values in, which may differ from how it was written (DEFAULT 1.5 of a
// DECIMAL(5,2) is 1.50, DEFAULT 0x41 of an INT is 65). Of a BIT column it is
// the digits. ok is false if there is no default, or if it takes the server to
// tell.
func (c *Column) Value() (text string, ok bool) {
	if c.Default == nil || c.DefaultIsExpression {
		return "", false
	}
	s := *c.Default
	switch c.Type {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT":
		return decimalText(c.numeric(s), 0)
	case "DECIMAL":
		return decimalText(c.numeric(s), c.Scale)
	case "FLOAT", "DOUBLE":
		s = strings.TrimSpace(c.numeric(s))
		_, err := strconv.ParseFloat(s, 64)
		return s, err == nil
	case "BIT":
		return c.bits(s)
	case "YEAR":
		return c.year(s)
	case "DATE":
		date, _, ok := parseDatetime(s)
		return date, ok
	case "TIME":
		return parseTime(s, c.Length)
	case "DATETIME", "TIMESTAMP":
		date, clock, ok := parseDatetime(s)
		if clock, ok = fitFraction(clock, c.Length, ok); !ok {
			return "", false
		}
		return date + " " + clock, true
	}
	if c.Literal == BitLiteral {
		n, ok := new(big.Int).SetString(s, 2)
		if !ok {
			return "", false
		}
		return string(n.Bytes()), true
	}
	return s, true
}

// numeric returns a literal as a number: those of bits and of bytes are
// integers among numbers.
func (c *Column) numeric(s string) string {
	switch c.Literal {
	case BitLiteral:
		if n, ok := new(big.Int).SetString(s, 2); ok {
			return n.String()
		}
	case HexLiteral:
		return new(big.Int).SetBytes([]byte(s)).String()
	default:
	}
	return s
}

func (c *Column) bits(s string) (string, bool) {
	n := new(big.Int)
	ok := true
	switch c.Literal {
	case BitLiteral:
		n, ok = n.SetString(s, 2)
	case HexLiteral:
		n.SetBytes([]byte(s))
	case NumberLiteral:
		n, ok = n.SetString(s, 10)
	default: // text stands for its bytes
		n.SetBytes([]byte(s))
	}
	if !ok || n.Sign() < 0 || n.BitLen() > 64 {
		return "", false
	}
	return n.Text(2), true
}

// year completes a year of two digits.
func (c *Column) year(s string) (string, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	switch {
	case err != nil || n < 0 || n > 2155:
		return "", false
	case n == 0 && (c.Literal == NumberLiteral || len(s) == 4):
	case n < 70:
		n += 2000
	case n < 100:
		n += 1900
	}
	return fmt.Sprintf("%04d", n), true
}

// decimalText rounds a number to so many digits after the point.
func decimalText(s string, scale int) (string, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return "", false
	}
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		if exp, err := strconv.Atoi(s[at+1:]); err != nil || exp < -400 || exp > 400 {
			return "", false
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", false
	}
	return r.FloatString(scale), true
}

// parseDatetime reads a date, with or without a time, as loosely as the server
// does: parted by any punctuation, or not at all.
func parseDatetime(s string) (date, clock string, ok bool) {
	s = strings.TrimSpace(s)
	if s == "0" {
		return "0000-00-00", "00:00:00", true
	}
	digits, fraction, _ := strings.Cut(s, ".")
	if allDigits(digits) && digits != "" {
		switch len(digits) {
		case 6, 12:
			digits = century(digits[:2]) + digits
		case 8, 14:
		default:
			return "", "", false
		}
		date = digits[:4] + "-" + digits[4:6] + "-" + digits[6:8]
		clock = "00:00:00"
		if len(digits) == 14 {
			clock = digits[8:10] + ":" + digits[10:12] + ":" + digits[12:]
		}
		if fraction != "" {
			clock += "." + fraction
		}
		return date, clock, true
	}
	parts, fraction := numbers(s)
	if len(parts) < 3 || len(parts) > 6 || len(parts[0]) > 4 {
		return "", "", false
	}
	if len(parts[0]) == 2 {
		parts[0] = century(parts[0]) + parts[0]
	}
	for len(parts) < 6 {
		parts = append(parts, "00")
	}
	for _, p := range parts[1:] {
		if len(p) > 2 {
			return "", "", false
		}
	}
	date = fmt.Sprintf("%04s-%02s-%02s", parts[0], parts[1], parts[2])
	clock = fmt.Sprintf("%02s:%02s:%02s", parts[3], parts[4], parts[5])
	if fraction != "" {
		clock += "." + fraction
	}
	return date, clock, true
}

func century(year string) string {
	if year < "70" {
		return "20"
	}
	return "19"
}

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// numbers cuts a text at everything that is no digit; what is behind a point
// that follows the sixth number is the fraction.
func numbers(s string) (parts []string, fraction string) {
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && isDigit(s[j]) {
			j++
		}
		if j > i {
			if len(parts) == 6 {
				return parts, s[i:j]
			}
			parts = append(parts, s[i:j])
		}
		i = j + 1
	}
	return parts, ""
}

// parseTime reads a time: "-12:30", "101:02:03.5", "1 02:03:04" or 10203.
func parseTime(s string, digits int) (string, bool) {
	s = strings.TrimSpace(s)
	sign := ""
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		sign, s = "-", rest
	}
	if strings.Count(s, "-") == 2 { // a date and time
		_, clock, ok := parseDatetime(s)
		return fitFraction(clock, digits, ok)
	}
	days := 0
	if day, rest, found := strings.Cut(s, " "); found {
		var err error
		if days, err = strconv.Atoi(day); err != nil || days > 34 {
			return "", false
		}
		s = rest
		if !strings.Contains(s, ":") {
			s += ":00"
		}
	}
	whole, fraction, _ := strings.Cut(s, ".")
	parts := strings.Split(whole, ":")
	if len(parts) == 1 {
		if !allDigits(whole) || len(whole) > 7 {
			return "", false
		}
		whole = strings.Repeat("0", max(0, 6-len(whole))) + whole
		parts = []string{whole[:len(whole)-4], whole[len(whole)-4 : len(whole)-2], whole[len(whole)-2:]}
	}
	if len(parts) == 2 {
		parts = append(parts, "00")
	}
	if len(parts) != 3 {
		return "", false
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || n[i] < 0 || n[i] > 838 {
			return "", false
		}
	}
	clock := fmt.Sprintf("%02d:%02d:%02d", n[0]+24*days, n[1], n[2])
	if fraction != "" {
		clock += "." + fraction
	}
	clock, ok := fitFraction(clock, digits, true)
	return sign + clock, ok
}

// fitFraction gives a time so many digits after the second.
func fitFraction(clock string, digits int, ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	clock, fraction, _ := strings.Cut(clock, ".")
	if !allDigits(fraction) {
		return "", false
	}
	if digits <= 0 {
		return clock, true
	}
	return clock + "." + (fraction + "000000")[:min(digits, 6)], true
}
