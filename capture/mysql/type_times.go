package mysql

import (
	"errors"
	"math"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// The units of days and times.
const (
	microsPerSecond = 1_000_000
	microsPerDay    = 24 * 3600 * microsPerSecond
)

var errTime = errors.New("not a date or time")

// daysOf returns the number of days since 1970-01-01 in the Gregorian calendar,
// which the server uses for all years.
func daysOf(year, month, day int) int64 {
	// Counting years from March puts the leap day last (Howard Hinnant,
	// "chrono-Compatible Low-Level Date Algorithms").
	y := int64(year)
	if month <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	m := int64(month)
	if m > 2 {
		m -= 3
	} else {
		m += 9
	}
	doy := (153*m+2)/5 + int64(day) - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// dateOf is the inverse of daysOf.
func dateOf(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	m := (5*doy + 2) / 153
	d := doy - (153*m+2)/5 + 1
	y := yoe + era*400
	if m < 10 {
		m += 3
	} else {
		m -= 9
	}
	if m <= 2 {
		y++
	}
	return int(y), int(m), int(d)
}

// temporal says how the values of one column become values of events.
type temporal struct {
	// put stores a number of days, or of microseconds since 1970-01-01 or
	// since midnight.
	put func(a *schema.Arena, n int64, v *schema.Value)
	// invalid is stored for a date that does not exist, such as 0000-00-00.
	invalid     schema.Value
	adjustYears bool
}

func (t *temporal) year(y int) int {
	switch {
	case !t.adjustYears || y > 99:
		return y
	case y < 70:
		return y + 2000
	default:
		return y + 1900
	}
}

// date stores a date, if it is one.
func (t *temporal) date(a *schema.Arena, year, month, day int, v *schema.Value) {
	if month == 0 || day == 0 {
		*v = t.invalid
		return
	}
	t.put(a, daysOf(t.year(year), month, day), v)
}

// datetime stores a date and a time of day in microseconds, if it is one.
func (t *temporal) datetime(a *schema.Arena, year, month, day int, micros int64, v *schema.Value) {
	if month == 0 || day == 0 {
		*v = t.invalid
		return
	}
	t.put(a, daysOf(t.year(year), month, day)*microsPerDay+micros, v)
}

// newTemporal prepares a column. invalid is what a date that does not exist
// becomes: null where the column may be null; otherwise the column's default,
// as far as that is a date, or the beginning of 1970.
func newTemporal(m *valueModes, c *ddl.Column, put func(*schema.Arena, int64, *schema.Value)) *temporal {
	t := &temporal{put: put, adjustYears: m.adjustYears}
	if c.Nullable {
		return t
	}
	t.invalid = m.epoch(c)
	if value, ok := c.Value(); ok {
		var v schema.Value
		var err error
		switch w := (&temporal{put: put, adjustYears: m.adjustYears}); c.Type {
		case "DATE":
			err = w.textDate(&schema.Arena{}, []byte(value), &v)
		default:
			err = w.textDatetime(&schema.Arena{}, []byte(value), &v)
		}
		if err == nil && !v.IsNull() {
			t.invalid = v.Clone()
		}
	}
	return t
}

// epoch is the beginning of 1970 as a value of the column, without digits
// after the second where it is text.
func (m *valueModes) epoch(c *ddl.Column) schema.Value {
	put := zonedPut(minimalDigits)
	switch c.Type {
	case "DATE":
		put = m.datePut()
	case "DATETIME":
		put = m.datetimePut(c)
	}
	var v schema.Value
	put(&schema.Arena{}, 0, &v)
	return v.Clone()
}

// coarser stores an integer as it is, in a coarser unit.
func coarser(per int64) func(*schema.Arena, int64, *schema.Value) {
	return func(_ *schema.Arena, n int64, v *schema.Value) {
		q := n / per
		if n%per < 0 {
			q-- // towards the past
		}
		*v = schema.Int(q)
	}
}

// within stores an integer, but null if it is beyond what the column's type in
// events can hold; in a column that may not be null, the nearest that it can.
func within(c *ddl.Column, low, high int64, put func(*schema.Arena, int64, *schema.Value)) func(*schema.Arena, int64, *schema.Value) {
	return func(a *schema.Arena, n int64, v *schema.Value) {
		switch {
		case low <= n && n <= high:
			put(a, n, v)
		case !c.Nullable:
			put(a, min(max(n, low), high), v)
		}
	}
}

// nanos stores microseconds as nanoseconds.
func nanos(_ *schema.Arena, n int64, v *schema.Value) { *v = schema.Int(n * 1000) }

func isoText(render func(dst []byte, n int64) []byte) func(*schema.Arena, int64, *schema.Value) {
	return func(a *schema.Arena, n int64, v *schema.Value) {
		const most = 40 // "838:59:59.999999Z" and "9999-12-31T23:59:59.999999Z" are shorter
		text := render(a.Make(most)[:0], n)
		a.Trim(most - len(text))
		*v = schema.String(text[:len(text):len(text)])
	}
}

var dates = &typ{
	wire: []byte{wireDate, wireNewDate},
	schema: func(m *valueModes, _ *ddl.Column) (*schema.Schema, error) {
		switch m.times {
		case "connect":
			return logical(schema.TypeInt32, schema.NameDate), nil
		case "isostring":
			return logical(schema.TypeString, "io.debezium.time.IsoDate"), nil
		default:
			return logical(schema.TypeInt32, schema.NameDebeziumDate), nil
		}
	},
	log: func(m *valueModes, c *ddl.Column, _ *binColumn) (logDecoder, error) {
		t := newTemporal(m, c, m.datePut())
		return func(r *rowReader, v *schema.Value) {
			n := r.uint24()
			t.date(r.arena, int(n>>9), int(n>>5&15), int(n&31), v)
		}, nil
	},
	text: func(m *valueModes, c *ddl.Column) textDecoder { return newTemporal(m, c, m.datePut()).textDate },
}

func (m *valueModes) datePut() func(*schema.Arena, int64, *schema.Value) {
	if m.times == "isostring" {
		return isoText(func(dst []byte, n int64) []byte { return append(appendDate(dst, n), 'Z') })
	}
	return coarser(1)
}

var times = &typ{
	wire: []byte{wireTime, wireTime2},
	schema: func(m *valueModes, c *ddl.Column) (*schema.Schema, error) {
		switch m.times {
		case "connect":
			return logical(schema.TypeInt32, schema.NameTime), nil
		case "isostring":
			return logical(schema.TypeString, "io.debezium.time.IsoTime"), nil
		case "nanoseconds":
			return logical(schema.TypeInt64, schema.NameDebeziumNanoTime), nil
		}
		return logical(schema.TypeInt64, schema.NameDebeziumMicroTime), nil
	},
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		put := m.timePut(c)
		if b.typ == wireTime {
			return func(r *rowReader, v *schema.Value) {
				n := int64(int32(r.uint24()<<8) >> 8)
				sign := int64(1)
				if n < 0 {
					sign, n = -1, -n
				}
				put(r.arena, sign*(n/10000*3600+n/100%100*60+n%100)*microsPerSecond, v)
			}, nil
		}
		fsp := int(b.meta)
		if fsp > 6 {
			return nil, errWireType
		}
		return func(r *rowReader, v *schema.Value) { put(r.arena, r.time2(fsp), v) }, nil
	},
	text: func(m *valueModes, c *ddl.Column) textDecoder {
		put := m.timePut(c)
		return func(a *schema.Arena, text []byte, v *schema.Value) error {
			n, err := parseTime(text)
			if err == nil {
				put(a, n, v)
			}
			return err
		}
	},
}

func (m *valueModes) timePut(c *ddl.Column) func(*schema.Arena, int64, *schema.Value) {
	switch m.times {
	case "connect":
		// Kafka Connect's time of day cannot be beyond a day.
		return within(c, 0, microsPerDay, coarser(1000))
	case "isostring":
		return isoText(func(dst []byte, n int64) []byte { return append(appendTime(dst, n, minimalDigits), 'Z') })
	case "nanoseconds":
		return nanos
	}
	return coarser(1)
}

var datetimes = &typ{
	wire: []byte{wireDatetime, wireDatetime2},
	schema: func(m *valueModes, c *ddl.Column) (*schema.Schema, error) {
		switch m.times {
		case "connect":
			return logical(schema.TypeInt64, schema.NameTimestamp), nil
		case "isostring":
			return logical(schema.TypeString, "io.debezium.time.IsoTimestamp"), nil
		case "nanoseconds":
			return logical(schema.TypeInt64, schema.NameDebeziumNanoTimestamp), nil
		case "microseconds":
			return logical(schema.TypeInt64, schema.NameDebeziumMicroTimestamp), nil
		}
		if c.Length <= 3 {
			return logical(schema.TypeInt64, schema.NameDebeziumTimestamp), nil
		}
		return logical(schema.TypeInt64, schema.NameDebeziumMicroTimestamp), nil
	},
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		t := newTemporal(m, c, m.datetimePut(c))
		if b.typ == wireDatetime {
			return func(r *rowReader, v *schema.Value) {
				n := r.uint64()
				d, s := int(n/1e6), int64(n%1e6)
				t.datetime(r.arena, d/10000, d/100%100, d%100, (s/10000*3600+s/100%100*60+s%100)*microsPerSecond, v)
			}, nil
		}
		fsp := int(b.meta)
		if fsp > 6 {
			return nil, errWireType
		}
		return func(r *rowReader, v *schema.Value) {
			// 1 bit sign (1 for positive), 17 bits year*13+month, 5 day,
			// 5 hour, 6 minute, 6 second
			n := uint64(r.big(5)) & (1<<39 - 1)
			micros := r.fraction(fsp)
			ym, hms := int(n>>22), int64(n&(1<<17-1))
			micros += (hms>>12*3600 + hms>>6&63*60 + hms&63) * microsPerSecond
			t.datetime(r.arena, ym/13, ym%13, int(n>>17&31), micros, v)
		}, nil
	},
	text: func(m *valueModes, c *ddl.Column) textDecoder {
		return newTemporal(m, c, m.datetimePut(c)).textDatetime
	},
}

func (m *valueModes) datetimePut(c *ddl.Column) func(*schema.Arena, int64, *schema.Value) {
	switch m.times {
	case "connect":
		return coarser(1000)
	case "isostring":
		return isoText(func(dst []byte, n int64) []byte { return append(appendDatetime(dst, n, minimalDigits), 'Z') })
	case "nanoseconds":
		return within(c, math.MinInt64/1000, math.MaxInt64/1000, nanos)
	case "microseconds":
		return coarser(1)
	}
	if c.Length <= 3 {
		return coarser(1000)
	}
	return coarser(1)
}

// timestamps are points in time: the log has them in UTC, and so do queries,
// since our sessions are in UTC. They show as many digits after the second as
// the column has.
var timestamps = &typ{
	wire:   []byte{wireTimestamp, wireTimestamp2},
	schema: plain(logical(schema.TypeString, schema.NameDebeziumZonedTimestamp)),
	log: func(m *valueModes, c *ddl.Column, b *binColumn) (logDecoder, error) {
		fsp := 0
		if b.typ == wireTimestamp2 {
			fsp = int(b.meta)
		}
		if fsp > 6 {
			return nil, errWireType
		}
		put := zonedPut(fsp)
		t := newTemporal(m, c, put)
		return func(r *rowReader, v *schema.Value) {
			var seconds, micros int64
			if b.typ == wireTimestamp2 {
				seconds = r.big(4)
				micros = r.fraction(fsp)
			} else {
				seconds = int64(r.uint32())
			}
			if seconds == 0 && micros == 0 {
				*v = t.invalid
				return
			}
			put(r.arena, seconds*microsPerSecond+micros, v)
		}, nil
	},
	text: func(m *valueModes, c *ddl.Column) textDecoder {
		return newTemporal(m, c, zonedPut(max(c.Length, 0))).textDatetime
	},
}

// zonedPut renders a point in time with so many digits after the second.
func zonedPut(digits int) func(*schema.Arena, int64, *schema.Value) {
	return isoText(func(dst []byte, n int64) []byte { return append(appendDatetime(dst, n, digits), 'Z') })
}

var years = &typ{
	wire:   []byte{wireYear},
	schema: plain(logical(schema.TypeInt32, schema.NameDebeziumYear)),
	log: func(*valueModes, *ddl.Column, *binColumn) (logDecoder, error) {
		return func(r *rowReader, v *schema.Value) {
			n := int64(r.uint8())
			if n > 0 {
				n += 1900
			}
			*v = schema.Int(n)
		}, nil
	},
	text: func(*valueModes, *ddl.Column) textDecoder { return textSigned },
}

// fraction reads the digits after the second, in microseconds.
func (w *wire) fraction(fsp int) int64 {
	switch (fsp + 1) / 2 {
	case 1:
		return w.big(1) * 10000
	case 2:
		return w.big(2) * 100
	case 3:
		return w.big(3)
	default:
		return 0
	}
}

// time2 reads a TIME as the server has written it since 5.6, in microseconds:
// sign (1 for positive), a spare bit, 10 bits hour, 6 minute, 6 second, and the
// fraction. A negative one is the two's complement of all of it.
func (w *wire) time2(fsp int) int64 {
	bytes := (fsp + 1) / 2
	n := w.big(3+bytes) - 1<<(23+8*bytes)
	sign := int64(1)
	if n < 0 {
		sign, n = -1, -n
	}
	hms, frac := n>>(8*bytes), n&(1<<(8*bytes)-1)
	for range 3 - bytes {
		frac *= 100
	}
	return sign * ((hms>>12&1023*3600+hms>>6&63*60+hms&63)*microsPerSecond + frac)
}

// minimalDigits asks for as many digits after the second as are needed.
const minimalDigits = -1

func appendDate(dst []byte, days int64) []byte {
	y, m, d := dateOf(days)
	dst = append(dst, byte('0'+y/1000%10), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10))
	return append(dst, '-', byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
}

// appendTime renders microseconds since midnight. Hours beyond a day and times
// below zero, which only TIME has, come as they are.
func appendTime(dst []byte, micros int64, digits int) []byte {
	if micros < 0 {
		dst = append(dst, '-')
		micros = -micros
	}
	s, frac := micros/microsPerSecond, micros%microsPerSecond
	if h := s / 3600; h > 99 {
		dst = append(dst, byte('0'+h/100%10))
	}
	h, m := s/3600%100, s/60%60
	s %= 60
	dst = append(dst, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', byte('0'+s/10), byte('0'+s%10))
	if digits == minimalDigits {
		for digits = 6; digits > 0 && frac%10 == 0; digits-- {
			frac /= 10
		}
	} else {
		for range 6 - digits {
			frac /= 10
		}
	}
	if digits == 0 {
		return dst
	}
	var b [7]byte
	b[0] = '.'
	for i := digits; i > 0; i-- {
		b[i] = byte('0' + frac%10)
		frac /= 10
	}
	return append(dst, b[:digits+1]...)
}

func appendDatetime(dst []byte, micros int64, digits int) []byte {
	days := micros / microsPerDay
	rest := micros % microsPerDay
	if rest < 0 {
		days--
		rest += microsPerDay
	}
	return appendTime(append(appendDate(dst, days), 'T'), rest, digits)
}

// digits reads exactly len(b) digits.
func digits(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

// textDate reads "2006-01-02".
func (t *temporal) textDate(a *schema.Arena, text []byte, v *schema.Value) error {
	y, m, d, ok := parseDate(text)
	if !ok || len(text) != 10 {
		return errTime
	}
	t.date(a, y, m, d, v)
	return nil
}

// textDatetime reads "2006-01-02 15:04:05.999999"; the time may be missing.
func (t *temporal) textDatetime(a *schema.Arena, text []byte, v *schema.Value) error {
	y, m, d, ok := parseDate(text)
	if !ok {
		return errTime
	}
	var micros int64
	if len(text) > 10 {
		var err error
		if text[10] != ' ' {
			return errTime
		}
		if micros, err = parseTime(text[11:]); err != nil {
			return err
		}
	}
	t.datetime(a, y, m, d, micros, v)
	return nil
}

func parseDate(b []byte) (year, month, day int, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, 0, 0, false
	}
	y, ok1 := digits(b[:4])
	m, ok2 := digits(b[5:7])
	d, ok3 := digits(b[8:10])
	return int(y), int(m), int(d), ok1 && ok2 && ok3 && m <= 12
}

// parseTime reads "-838:59:59.999999", in microseconds.
func parseTime(b []byte) (int64, error) {
	sign := int64(1)
	if len(b) > 0 && b[0] == '-' {
		sign, b = -1, b[1:]
	}
	colon := 0
	for colon < len(b) && b[colon] != ':' {
		colon++
	}
	if colon == 0 || colon > 3 || len(b) < colon+6 || b[colon+3] != ':' {
		return 0, errTime
	}
	h, ok1 := digits(b[:colon])
	m, ok2 := digits(b[colon+1 : colon+3])
	s, ok3 := digits(b[colon+4 : colon+6])
	micros := ((h*60+m)*60 + s) * microsPerSecond
	if rest := b[colon+6:]; len(rest) > 0 {
		if rest[0] != '.' || len(rest) > 7 {
			return 0, errTime
		}
		f, ok := digits(rest[1:])
		if !ok {
			return 0, errTime
		}
		for range 7 - len(rest) {
			f *= 10
		}
		micros += f
	}
	if !ok1 || !ok2 || !ok3 {
		return 0, errTime
	}
	return sign * micros, nil
}
