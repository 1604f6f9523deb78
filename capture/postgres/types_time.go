package postgres

import (
	"bytes"
	"math"
	"strconv"

	"github.com/penstock/penstock/schema"
)

const (
	secondsPerDay = 24 * 60 * 60
	// averageMonth is 30.4375 days in microseconds: a twelfth of 365.25 days.
	averageMonth = int64(secondsPerDay) * 304375 * 100
	// The infinities in milliseconds, as the Java driver has them.
	infinityMillis, minusInfinityMillis = 9223372036825200, -9223372036832400
)

func semantic(t schema.Type, name string) *schema.Schema {
	return &schema.Schema{Type: t, Name: name, Version: 1}
}

// neutralIs completes a type whose neutral value is its computed default, too.
func neutralIs(v schema.Value, t valueType) valueType {
	t.neutral, t.literals, t.computed = v, true, &v
	return t
}

// precision is that of a time or timestamp column.
func precision(mod int32) int {
	if mod < 0 || mod > 6 {
		return 6
	}
	return int(mod)
}

func dateType(v *valueConfig, _ int32) valueType {
	switch v.times {
	case "connect":
		return neutralIs(schema.Int(0), valueType{schema: semantic(schema.TypeInt32, schema.NameDate), decode: decodeDate})
	case "isostring":
		return neutralIs(schema.Text("1970-01-01Z"), valueType{schema: semantic(schema.TypeString, "io.debezium.time.IsoDate"), decode: isoDate})
	default:
		return neutralIs(schema.Int(0), valueType{schema: semantic(schema.TypeInt32, schema.NameDebeziumDate), decode: decodeDate})
	}
}

// decodeDate returns the days since 1970; infinity becomes the largest and
// smallest number, since Debezium's own are arbitrary.
func decodeDate(_ *schema.Arena, text []byte) (schema.Value, error) {
	switch string(text) {
	case "infinity":
		return schema.Int(math.MaxInt32), nil
	case "-infinity":
		return schema.Int(math.MinInt32), nil
	}
	text, bc := bytes.CutSuffix(text, []byte(" BC"))
	days, rest, ok := parseDate(text, bc)
	if !ok || len(rest) > 0 {
		return invalid("a date", text)
	}
	return schema.Int(days), nil
}

// parseDate reads YYYY-MM-DD, with as many digits for the year as there are,
// and returns the days since 1970 in the proleptic Gregorian calendar and what
// follows.
func parseDate(text []byte, bc bool) (days int64, rest []byte, ok bool) {
	i := bytes.IndexByte(text, '-')
	if i < 1 || len(text) < i+6 || text[i+3] != '-' {
		return 0, nil, false
	}
	year, ok1 := parseInt(text[:i])
	month, ok2 := parseInt(text[i+1 : i+3])
	day, ok3 := parseInt(text[i+4 : i+6])
	if !ok1 || !ok2 || !ok3 || year > 6_000_000 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, nil, false
	}
	if bc {
		year = 1 - year
	}
	// Years begin in March, so that the leap day is the last.
	if month <= 2 {
		year--
		month += 12
	}
	era := floorDiv(year, 400)
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468, text[i+6:], true
}

// parseTime reads HH:MM:SS with an optional fraction of up to six digits and
// returns microseconds and what follows.
func parseTime(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) < 8 || text[2] != ':' || text[5] != ':' {
		return 0, nil, false
	}
	h, ok1 := parseInt(text[:2])
	m, ok2 := parseInt(text[3:5])
	s, ok3 := parseInt(text[6:8])
	if !ok1 || !ok2 || !ok3 || h < 0 || m < 0 || s < 0 {
		return 0, nil, false
	}
	micros = ((h*60+m)*60 + s) * 1_000_000
	rest = text[8:]
	if len(rest) == 0 || rest[0] != '.' {
		return micros, rest, true
	}
	rest = rest[1:]
	unit := int64(100_000)
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		micros += int64(rest[0]-'0') * unit
		unit /= 10
		rest = rest[1:]
	}
	return micros, rest, true
}

// parseTimestamp reads a timestamp without its zone as whole seconds since
// 1970 and microseconds.
func parseTimestamp(text []byte) (seconds, micros int64, ok bool) {
	text, bc := bytes.CutSuffix(text, []byte(" BC"))
	days, rest, ok := parseDate(text, bc)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return 0, 0, false
	}
	micros, rest, ok = parseTime(rest[1:])
	if !ok || len(rest) > 0 {
		return 0, 0, false
	}
	return days*secondsPerDay + micros/1_000_000, micros % 1_000_000, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// multiply saturates.
func multiply(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	c := a * b
	if c/b != a {
		if (a < 0) != (b < 0) {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return c
}

// add saturates.
func add(a, b int64) int64 {
	c := a + b
	switch {
	case a > 0 && b > 0 && c < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && c >= 0:
		return math.MinInt64
	}
	return c
}

func timeType(v *valueConfig, mod int32) valueType {
	of := func(t schema.Type, name string, unit func(micros int64) int64) valueType {
		return neutralIs(schema.Int(0), valueType{
			schema: semantic(t, name),
			decode: func(_ *schema.Arena, text []byte) (schema.Value, error) {
				micros, rest, ok := parseTime(text)
				if !ok || len(rest) > 0 {
					return invalid("a time", text)
				}
				return schema.Int(unit(micros)), nil
			},
		})
	}
	millis := func(micros int64) int64 { return micros / 1000 }
	switch {
	case v.times == "connect":
		return of(schema.TypeInt32, schema.NameTime, millis)
	case v.times == "isostring":
		return neutralIs(schema.Text("00:00:00Z"), valueType{
			schema: semantic(schema.TypeString, "io.debezium.time.IsoTime"),
			decode: func(a *schema.Arena, text []byte) (schema.Value, error) {
				if _, rest, ok := parseTime(text); !ok || len(rest) > 0 {
					return invalid("a time", text)
				}
				out := a.Make(len(text) + 1)
				out[copy(out, text)] = 'Z'
				return schema.String(out), nil
			},
		})
	case v.times == "nanoseconds":
		return of(schema.TypeInt64, schema.NameDebeziumNanoTime, func(micros int64) int64 { return micros * 1000 })
	case v.times == "adaptive" && precision(mod) <= 3:
		return of(schema.TypeInt32, schema.NameDebeziumTime, millis)
	default:
		return of(schema.TypeInt64, schema.NameDebeziumMicroTime, func(micros int64) int64 { return micros })
	}
}

func timestampType(v *valueConfig, mod int32) valueType {
	const milli, micro, nano = 1_000, 1_000_000, 1_000_000_000
	of := func(name string, perSecond int64) valueType {
		return neutralIs(schema.Int(0), valueType{
			schema: semantic(schema.TypeInt64, name),
			decode: func(_ *schema.Arena, text []byte) (schema.Value, error) {
				switch string(text) {
				case "infinity":
					return schema.Int(multiply(infinityMillis, perSecond/1000)), nil
				case "-infinity":
					return schema.Int(multiply(minusInfinityMillis, perSecond/1000)), nil
				}
				seconds, micros, ok := parseTimestamp(text)
				if !ok {
					return invalid("a timestamp", text)
				}
				if perSecond == nano && (seconds <= math.MinInt64/nano || seconds >= math.MaxInt64/nano) {
					return schema.Value{}, errNanoseconds // the outermost numbers are the infinities
				}
				return schema.Int(add(multiply(seconds, perSecond), micros*(perSecond/1000)/1000)), nil
			},
		})
	}
	switch {
	case v.times == "connect":
		return of(schema.NameTimestamp, milli)
	case v.times == "isostring":
		return neutralIs(schema.Text("1970-01-01T00:00:00Z"), valueType{
			schema: semantic(schema.TypeString, "io.debezium.time.IsoTimestamp"),
			decode: func(a *schema.Arena, text []byte) (schema.Value, error) { return isoTimestamp(a, text, -1) },
		})
	case v.times == "nanoseconds":
		return of(schema.NameDebeziumNanoTimestamp, nano)
	case v.times != "microseconds" && precision(mod) <= 3:
		return of(schema.NameDebeziumTimestamp, milli)
	default:
		return of(schema.NameDebeziumMicroTimestamp, micro)
	}
}

// timestamptzType is ISO 8601 in UTC with as many digits after the second as
// the column has.
func timestamptzType(_ *valueConfig, mod int32) valueType {
	digits := precision(mod)
	zero := "1970-01-01T00:00:00"
	if digits > 0 {
		zero += "." + string(bytes.Repeat([]byte{'0'}, digits))
	}
	return valueType{
		schema:   semantic(schema.TypeString, schema.NameDebeziumZonedTimestamp),
		decode:   func(a *schema.Arena, text []byte) (schema.Value, error) { return isoTimestamp(a, text, digits) },
		neutral:  schema.Text("1970-01-01T00:00:00Z"),
		literals: true, computed: constant(schema.Text(zero + "Z")),
	}
}

// isoTimestamp rewrites a timestamp whose zone, if it has one, is +00. digits
// is the number of digits after the second; -1 keeps those that are there.
func isoTimestamp(a *schema.Arena, text []byte, digits int) (schema.Value, error) {
	if n := len(text); n == 8 && string(text) == "infinity" || n == 9 && string(text) == "-infinity" {
		return schema.String(a.Copy(text)), nil
	}
	in, bc := bytes.CutSuffix(text, []byte(" BC"))
	in, _ = bytes.CutSuffix(in, []byte("+00"))
	space := bytes.IndexByte(in, ' ')
	if space < 8 || len(in) < space+9 {
		return invalid("a timestamp in UTC", text)
	}
	clock := in[space+1:]
	if _, rest, ok := parseTime(clock); !ok || len(rest) > 0 {
		return invalid("a timestamp in UTC", text)
	}
	const room = 16
	out := a.Make(len(in) + room)[:0]
	out, ok := appendISODate(out, in[:space], bc)
	if !ok {
		return invalid("a timestamp in UTC", text)
	}
	out = append(out, 'T')
	out = append(out, clock[:8]...)
	fraction := clock[8:]
	if digits < 0 {
		out = append(out, fraction...)
	} else if digits > 0 {
		if len(fraction) == 0 {
			fraction = []byte{'.'}
		}
		out = append(out, fraction[:min(len(fraction), digits+1)]...)
		for i := len(fraction); i < digits+1; i++ {
			out = append(out, '0')
		}
	}
	out = append(out, 'Z')
	return schema.String(out), nil
}

// appendISODate writes the year as ISO 8601 wants it: with a sign if it has
// more than four digits, and 1 BC as 0.
func appendISODate(out, date []byte, bc bool) ([]byte, bool) {
	i := bytes.IndexByte(date, '-')
	if i < 1 {
		return out, false
	}
	if !bc && i == 4 {
		return append(out, date...), true
	}
	year, ok := parseInt(date[:i])
	if !ok {
		return out, false
	}
	if bc {
		year = 1 - year
	}
	switch {
	case year < 0:
		out = append(out, '-')
		year = -year
	case year > 9999:
		out = append(out, '+')
	}
	for limit := int64(1000); limit > year && limit > 1; limit /= 10 {
		out = append(out, '0')
	}
	out = strconv.AppendInt(out, year, 10)
	return append(out, date[i:]...), true
}

func isoDate(a *schema.Arena, text []byte) (schema.Value, error) {
	if n := len(text); n == 8 && string(text) == "infinity" || n == 9 && string(text) == "-infinity" {
		return schema.String(a.Copy(text)), nil
	}
	in, bc := bytes.CutSuffix(text, []byte(" BC"))
	out, ok := appendISODate(a.Make(len(in) + 8)[:0], in, bc)
	if !ok {
		return invalid("a date", text)
	}
	return schema.String(append(out, 'Z')), nil
}

// timetzType is moved to UTC, with as many digits as are needed.
func timetzType(*valueConfig, int32) valueType {
	return valueType{schema: semantic(schema.TypeString, schema.NameDebeziumZonedTime), decode: decodeTimetz, neutral: schema.Text("00:00:00Z")}
}

func decodeTimetz(a *schema.Arena, text []byte) (schema.Value, error) {
	micros, zone, ok := parseTime(text)
	if !ok || len(zone) < 3 || zone[0] != '+' && zone[0] != '-' {
		return invalid("a time with a zone", text)
	}
	var offset int64
	unit := int64(3600)
	for part := zone[1:]; len(part) >= 2; {
		n, ok := parseInt(part[:2])
		if !ok || unit == 0 {
			return invalid("a time with a zone", text)
		}
		offset += n * unit
		unit /= 60
		if part = part[2:]; len(part) > 0 {
			part = part[1:] // the colon
		}
	}
	if zone[0] == '-' {
		offset = -offset
	}
	const day = secondsPerDay * 1_000_000
	micros = ((micros-offset*1_000_000)%day + day) % day
	out := a.Make(16)[:0]
	out = appendClock(out, micros)
	out = append(out, 'Z')
	return schema.String(out), nil
}

// appendClock writes HH:MM:SS and the digits of a second that are not zero.
func appendClock(out []byte, micros int64) []byte {
	seconds := micros / 1_000_000
	for i, n := range [...]int64{seconds / 3600, seconds / 60 % 60, seconds % 60} {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, byte('0'+n/10), byte('0'+n%10))
	}
	return appendFraction(out, micros%1_000_000)
}

// appendFraction writes a point and the digits of a number of millionths
// without zeros at the end; nothing if it is zero.
func appendFraction(out []byte, micros int64) []byte {
	if micros == 0 {
		return out
	}
	out = append(out, '.')
	for unit := int64(100_000); micros > 0; unit /= 10 {
		out = append(out, byte('0'+micros/unit))
		micros %= unit
	}
	return out
}

func intervalType(v *valueConfig, _ int32) valueType {
	if v.intervals == "string" {
		return neutralIs(schema.Text("P0Y0M0DT0H0M0S"), valueType{schema: semantic(schema.TypeString, schema.NameDebeziumInterval), decode: intervalText})
	}
	return neutralIs(schema.Int(0), valueType{schema: semantic(schema.TypeInt64, schema.NameDebeziumMicroDuration), decode: intervalMicros})
}

type interval struct{ months, days, micros int64 }

// parseInterval reads IntervalStyle postgres: "1 year 2 mons -3 days
// 04:05:06.789", each part of which may be missing.
func parseInterval(text []byte) (iv interval, ok bool) {
	for len(text) > 0 {
		word, rest, _ := bytes.Cut(text, []byte(" "))
		if bytes.IndexByte(word, ':') >= 0 {
			negative := word[0] == '-'
			word = bytes.TrimLeft(word, "+-")
			// Hours may have more than two digits.
			colon := bytes.IndexByte(word, ':')
			hours, ok := parseInt(word[:colon])
			if !ok || colon+6 > len(word) {
				return iv, false
			}
			var clock [24]byte
			short := append(append(clock[:0], '0', '0'), word[colon:min(len(word), colon+20)]...)
			micros, after, ok := parseTime(short)
			if !ok || len(after) > 0 {
				return iv, false
			}
			iv.micros = add(multiply(hours, 3600*1_000_000), micros)
			if negative {
				iv.micros = -iv.micros
			}
			return iv, len(rest) == 0
		}
		n, ok := parseInt(bytes.TrimPrefix(word, []byte("+")))
		if !ok {
			return iv, false
		}
		unit, after, _ := bytes.Cut(rest, []byte(" "))
		switch string(unit) {
		case "year", "years":
			iv.months = add(iv.months, multiply(n, 12))
		case "mon", "mons":
			iv.months = add(iv.months, n)
		case "day", "days":
			iv.days = n
		default:
			return iv, false
		}
		text = after
	}
	return iv, true
}

// intervalMicros saturates where Debezium does.
func intervalMicros(_ *schema.Arena, text []byte) (schema.Value, error) {
	switch string(text) {
	case "infinity":
		return schema.Int(math.MaxInt64), nil
	case "-infinity":
		return schema.Int(math.MinInt64), nil
	}
	iv, ok := parseInterval(text)
	if !ok {
		return invalid("an interval", text)
	}
	return schema.Int(add(add(multiply(iv.months, averageMonth), multiply(iv.days, secondsPerDay*1_000_000)), iv.micros)), nil
}

func intervalText(a *schema.Arena, text []byte) (schema.Value, error) {
	if string(text) == "infinity" || string(text) == "-infinity" {
		return schema.String(a.Copy(text)), nil
	}
	iv, ok := parseInterval(text)
	if !ok {
		return invalid("an interval", text)
	}
	out := a.Make(96)[:0]
	out = append(out, 'P')
	part := func(n int64, unit byte) {
		out = strconv.AppendInt(out, n, 10)
		out = append(out, unit)
	}
	part(iv.months/12, 'Y')
	part(iv.months%12, 'M')
	part(iv.days, 'D')
	out = append(out, 'T')
	part(iv.micros/3_600_000_000, 'H')
	part(iv.micros/60_000_000%60, 'M')
	rest := iv.micros % 60_000_000
	if rest < 0 {
		out = append(out, '-')
		rest = -rest
	}
	out = strconv.AppendInt(out, rest/1_000_000, 10)
	out = appendFraction(out, rest%1_000_000)
	out = append(out, 'S')
	return schema.String(out), nil
}
