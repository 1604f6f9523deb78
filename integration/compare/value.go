package compare

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Class is how the text of a column is to be understood.
type Class int

// The classes, with the form that a Source gives the text in.
const (
	_             Class = iota
	ClassInt            // decimal digits
	ClassBool           // "true" or "false"
	ClassDecimal        // decimal digits with a point
	ClassFloat          // as strconv.ParseFloat reads it
	ClassFloat32        // the same, for single precision
	ClassText           // as it is
	ClassBytes          // hexadecimal digits
	ClassJSON           // a JSON text; arrays as well
	ClassDate           // 2006-01-02
	ClassTime           // [-]15:04:05.999999, hours may exceed 24
	ClassDateTime       // 2006-01-02 15:04:05.999999, without a zone
	ClassInstant        // the same, in UTC
)

// Column is one column as its source describes it.
type Column struct {
	Name string
	// Type is the database's own name for the type.
	Type  string
	Class Class
	// Scale is the number of digits after the point of a ClassDecimal.
	Scale int
}

// Decimal is a decimal number of a document, as text.
type Decimal string

// Equal reports whether a document's value denotes exactly the column's: an
// encoding is free, a value is not. Numbers are compared as numbers of any
// size, never as their texts; times as points in time, whatever their unit is,
// but to the last microsecond; JSON as what it denotes; text byte by byte. A
// number where the source has text, or text where it has an integer, differs.
//
// got is nil, bool, int64, uint64, float64, json.Number, Decimal, string,
// []byte, time.Time, map[string]any or []any. A column that is NULL equals a
// field that is null or not there. The only loss that is forgiven is that of a
// time.Time, whose stores (BSON) hold milliseconds: it must equal the source
// cut to milliseconds.
func Equal(c Column, src *string, got any) (bool, error) {
	if src == nil {
		return got == nil, nil
	}
	if got == nil {
		return false, nil
	}
	switch c.Class {
	case ClassInt:
		want, ok := new(big.Int).SetString(*src, 10)
		if !ok {
			return false, malformed(c, *src)
		}
		if v, ok := got.(bool); ok { // tinyint(1) and bit(1)
			return (c.Type == "tinyint(1)" || c.Type == "bit(1)") && want.IsInt64() && want.Int64() == btoi(v), nil
		}
		if _, ok := got.(string); ok {
			return false, nil
		}
		n, ok := number(got)
		return ok && n.Cmp(new(big.Rat).SetInt(want)) == 0, nil
	case ClassBool:
		v, ok := got.(bool)
		return ok && strconv.FormatBool(v) == *src, nil
	case ClassDecimal:
		return equalDecimal(c, *src, got)
	case ClassFloat, ClassFloat32:
		return equalFloat(c, *src, got)
	case ClassText:
		v, ok := got.(string)
		return ok && v == *src, nil
	case ClassBytes:
		want, err := hex.DecodeString(*src)
		if err != nil {
			return false, malformed(c, *src)
		}
		switch v := got.(type) {
		case []byte:
			return bytes.Equal(v, want), nil
		case string: // JSON has no bytes
			b, err := base64.StdEncoding.DecodeString(v)
			return err == nil && bytes.Equal(b, want), nil
		}
		return false, nil
	case ClassJSON:
		return equalJSON(c, *src, got)
	case ClassDate, ClassDateTime, ClassInstant:
		return equalPoint(c, *src, got)
	case ClassTime:
		return equalTime(c, *src, got)
	default:
		return false, fmt.Errorf("no rule to compare the type %s by", c.Type)
	}
}

func malformed(c Column, src string) error {
	return fmt.Errorf("the source's text %q is not as a %s should be", clip(src), c.Type)
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// maxExponent bounds the digits that a number may be written out to.
const maxExponent = 400

// number returns the exact value of a number.
func number(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v), true
	case uint64:
		return new(big.Rat).SetUint64(v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		return new(big.Rat).SetFloat64(v), true
	case json.Number:
		return rational(string(v))
	case Decimal:
		return rational(string(v))
	case string:
		return rational(v)
	default:
		return nil, false
	}
}

func rational(s string) (*big.Rat, bool) {
	if strings.ContainsAny(s, "/_xXpP") { // big.Rat reads more than numbers
		return nil, false
	}
	if _, exp, ok := strings.Cut(strings.ToLower(s), "e"); ok {
		if n, err := strconv.Atoi(exp); err != nil || n > maxExponent || n < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}

func equalDecimal(c Column, src string, got any) (bool, error) {
	want, ok := rational(src)
	if !ok { // NaN and the infinities of Postgres
		s, isText := got.(string)
		return isText && s == src, nil
	}
	if n, ok := number(got); ok {
		if n.Cmp(want) == 0 {
			return true, nil
		}
		// A double is the decimal if no other double is nearer, and the decimal
		// has no more digits than every double can tell apart.
		if f, isFloat := got.(float64); isFloat && digits(src) <= 15 {
			nearest, err := strconv.ParseFloat(src, 64)
			return err == nil && f == nearest, nil
		}
	}
	var unscaled []byte
	switch v := got.(type) {
	case []byte:
		unscaled = v
	case string: // Kafka Connect's decimal in JSON without its schema
		unscaled = unbase64(v)
	default:
		return false, nil
	}
	if len(unscaled) == 0 {
		return false, nil
	}
	n := new(big.Int).SetBytes(unscaled)
	if unscaled[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	denominator := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Scale)), nil)
	return new(big.Rat).SetFrac(n, denominator).Cmp(want) == 0, nil
}

func digits(s string) int {
	s = strings.TrimLeft(strings.TrimLeft(s, "-"), "0.")
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}

func equalFloat(c Column, src string, got any) (bool, error) {
	want, ok := parseFloat(src)
	if !ok {
		return false, malformed(c, src)
	}
	var have float64
	switch v := got.(type) {
	default:
		ok = false
	case float64:
		have = v
	case int64:
		have = float64(v)
		ok = int64(have) == v
	case json.Number:
		have, ok = parseFloat(string(v))
	case string: // JSON has no numbers for these
		have, ok = parseFloat(v)
		ok = ok && (math.IsNaN(have) || math.IsInf(have, 0))
	}
	if !ok {
		return false, nil
	}
	if math.IsNaN(want) || math.IsNaN(have) {
		return math.IsNaN(want) && math.IsNaN(have), nil
	}
	if c.Class == ClassFloat32 {
		return float32(want) == float32(have), nil
	}
	return want == have, nil
}

func parseFloat(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// unbase64 returns nothing for what is no base64.
func unbase64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func equalJSON(c Column, src string, got any) (bool, error) {
	want, err := parseJSON(src)
	if err != nil {
		return false, malformed(c, src)
	}
	if s, ok := got.(string); ok { // the JSON text itself, as Debezium has it
		if have, err := parseJSON(s); err == nil && sameJSON(want, have) {
			return true, nil
		}
	}
	return sameJSON(want, got), nil
}

func parseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// sameJSON compares a parsed JSON value with what a document holds.
func sameJSON(want, got any) bool {
	switch w := want.(type) {
	case nil:
		return got == nil
	case bool:
		g, ok := got.(bool)
		return ok && g == w
	case string:
		g, ok := got.(string)
		return ok && g == w
	case json.Number:
		if _, isText := got.(string); isText {
			return false
		}
		a, ok := number(w)
		b, ok2 := number(got)
		if ok && ok2 && a.Cmp(b) == 0 {
			return true
		}
		f, isFloat := got.(float64)
		nearest, err := strconv.ParseFloat(string(w), 64)
		return isFloat && err == nil && f == nearest && digits(string(w)) <= 17
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !sameJSON(w[i], g[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			v, there := g[k]
			if !there || !sameJSON(w[k], v) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// equalPoint compares dates and points in time. A number may count days (of a
// date), or milli-, micro- or nanoseconds since 1970: only one unit can make it
// the source's value, so no unit has to be told, except for 1970 itself, where
// all are zero.
func equalPoint(c Column, src string, got any) (bool, error) {
	layout := "2006-01-02 15:04:05.999999999"
	if c.Class == ClassDate {
		layout = time.DateOnly
	}
	want, err := time.Parse(layout, strings.TrimSuffix(strings.Replace(src, "T", " ", 1), "Z"))
	if err != nil { // infinity, years before Christ, zero dates
		s, ok := got.(string)
		return ok && s == src, nil
	}
	switch v := got.(type) {
	case time.Time:
		return v.Equal(want.Truncate(time.Millisecond)), nil
	case string:
		have, ok := parsePoint(v, c.Class)
		return ok && have.Equal(want), nil
	}
	if _, ok := got.(bool); ok {
		return false, nil
	}
	n, ok := number(got)
	if !ok || !n.IsInt() || !n.Num().IsInt64() {
		return false, nil
	}
	have := n.Num().Int64()
	if c.Class == ClassDate && have == want.Unix()/86400 {
		return true, nil
	}
	return have == want.UnixMilli() && want.Nanosecond()%1e6 == 0 ||
		have == want.UnixMicro() && want.Nanosecond()%1e3 == 0 ||
		have == want.UnixNano(), nil
}

func parsePoint(s string, class Class) (time.Time, bool) {
	layouts := []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"}
	switch class {
	case ClassInstant:
		layouts = layouts[:1] // without its zone it is no instant
	case ClassDate:
		layouts = append(layouts, time.DateOnly)
	default:
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func equalTime(c Column, src string, got any) (bool, error) {
	want, ok := micros(src)
	if !ok {
		return false, malformed(c, src)
	}
	if s, isText := got.(string); isText {
		have, ok := micros(strings.TrimSuffix(s, "Z"))
		return ok && have == want, nil
	}
	n, ok := number(got)
	if !ok || !n.IsInt() || !n.Num().IsInt64() {
		return false, nil
	}
	have := n.Num().Int64()
	return have == want || have*1000 == want || have == want*1000, nil
}

// micros reads [-]h:m:s[.f] as microseconds.
func micros(s string) (int64, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	parts := strings.Split(digits, ":")
	if len(parts) != 3 {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(parts[2], ".")
	if len(fraction) > 6 {
		if strings.Trim(fraction[6:], "0") != "" {
			return 0, false
		}
		fraction = fraction[:6]
	}
	var total int64
	for _, p := range []string{parts[0], parts[1], whole} {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return 0, false
		}
		total = total*60 + int64(n)
	}
	n, err := strconv.ParseUint(fraction+strings.Repeat("0", 6-len(fraction)), 10, 32)
	if err != nil {
		return 0, false
	}
	total = total*1e6 + int64(n)
	if negative {
		total = -total
	}
	return total, true
}

// canonical returns the one text that a key column's value has on both sides.
func canonical(c Column, v any) (string, bool) {
	switch c.Class {
	case ClassInt, ClassDecimal:
		if _, isText := v.(string); isText && c.Class == ClassInt {
			return "", false
		}
		n, ok := number(v)
		if !ok {
			return "", false
		}
		return n.RatString(), true
	case ClassText:
		s, ok := v.(string)
		return strconv.Quote(s), ok
	case ClassBool:
		b, ok := v.(bool)
		return strconv.FormatBool(b), ok
	case ClassBytes:
		switch v := v.(type) {
		case []byte:
			return hex.EncodeToString(v), true
		case string:
			b, err := base64.StdEncoding.DecodeString(v)
			return hex.EncodeToString(b), err == nil
		}
		return "", false
	default:
		return "", false
	}
}

func canonicalText(c Column, s string) (string, bool) {
	switch c.Class {
	case ClassInt, ClassDecimal:
		n, ok := rational(s)
		if !ok {
			return "", false
		}
		return n.RatString(), true
	case ClassText:
		return strconv.Quote(s), true
	case ClassBool:
		return s, true
	case ClassBytes:
		return strings.ToLower(s), true
	default:
		return "", false
	}
}

func showText(s *string) string {
	if s == nil {
		return "NULL"
	}
	return strconv.Quote(*s)
}

// show renders a document's value with its type, since 1 and "1" differ.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case []byte:
		return "0x" + hex.EncodeToString(v)
	case Decimal:
		return "decimal " + string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case map[string]any, []any:
		b, err := json.Marshal(v)
		if err != nil || !utf8.Valid(b) {
			return fmt.Sprint(v)
		}
		return string(b)
	default:
		return fmt.Sprint(v)
	}
}
