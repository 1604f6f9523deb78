package postgres_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

var seedFlag = flag.Uint64("seed", 0, "seed of TestTypes_SnapshotAndStreamAgree; 0 takes one of its own")

// TestTypes_SnapshotAndStreamAgree inserts random rows over all types. The
// snapshot and the log must give the same schema and value, byte for byte, and
// what the JSON converter reads back must be what the database says it is.
func TestTypes_SnapshotAndStreamAgree(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i, c := range []struct {
		version  string
		settings []string
	}{
		{version: "15"},
		{version: "18", settings: []string{
			"time.precision.mode", "isostring", "decimal.handling.mode", "string", "binary.handling.mode", "hex",
			"hstore.handling.mode", "map", "interval.handling.mode", "string", "include.unknown.datatypes", "true",
		}},
		{version: "17", settings: []string{
			"time.precision.mode", "connect", "decimal.handling.mode", "double", "binary.handling.mode", "base64-url-safe", "include.unknown.datatypes", "true",
		}},
		{version: "18", settings: []string{"time.precision.mode", "nanoseconds", "binary.handling.mode", "base64"}},
	} {
		t.Run(fmt.Sprintf("%d on %s", i, c.version), func(t *testing.T) {
			t.Parallel()
			t.Logf("-seed %d repeats this run", seed)
			agree(t, setup(t, servers.Postgres(t, servers.Version(c.version)), c.settings...), rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
}

// randomRows is the number of rows of each run.
const randomRows = 40

func agree(t *testing.T, b *bundle, rnd *rand.Rand) {
	t.Helper()
	types := randomTypes()
	var columns, norms []string
	for i, rt := range types {
		columns = append(columns, fmt.Sprintf("c%d %s", i, rt.typ))
		norms = append(norms, rt.normal(fmt.Sprintf("c%d", i)))
	}
	b.exec(typeObjects, "CREATE TABLE t (id int PRIMARY KEY, "+strings.Join(columns, ", ")+")")
	r := b.stream(nil)
	var insert []string
	for id := range randomRows {
		values := []string{strconv.Itoa(id)}
		for _, rt := range types {
			values = append(values, rt.value(rnd))
		}
		insert = append(insert, "INSERT INTO t VALUES ("+strings.Join(values, ", ")+")")
	}
	b.exec(insert...)
	stream := &encodedRows{t: t, rows: map[int64]string{}, encoders: map[*schema.Table]converters.Encoder{}}
	r.each = stream.add
	r.take(randomRows)
	r.close()
	snapshot := &encodedRows{t: t, rows: map[int64]string{}, encoders: map[*schema.Table]converters.Encoder{}}
	copyAll(t, b, snapshot.add)

	conv := converters.NewJSON(converters.JSONConfig{Schemas: true})
	database := b.asText("SELECT id, " + strings.Join(norms, ", ") + " FROM t ORDER BY id")
	wrong := 0
	for id := range int64(randomRows) {
		if snapshot.rows[id] != stream.rows[id] {
			t.Errorf("row %d:\nsnapshot %s\n  stream %s", id, difference(snapshot.rows[id], stream.rows[id]), difference(stream.rows[id], snapshot.rows[id]))
			continue
		}
		var a schema.Arena
		data, err := conv.Decode(t.Context(), "topic", []byte(stream.rows[id]), &a)
		if err != nil {
			t.Fatalf("row %d: %v", id, err)
		}
		for i, rt := range types {
			at := data.Schema.Index(fmt.Sprintf("c%d", i))
			if at < 0 {
				continue // left out
			}
			if problem := rt.compare(data.Schema.Fields[at].Schema, data.Value.Elems()[at], database[id][i+1]); problem != "" {
				if wrong++; wrong > 20 {
					t.FailNow()
				}
				t.Errorf("row %d, %s: the database has %s: %s", id, rt.typ, shown(database[id][i+1]), problem)
			}
		}
	}
}

func shown(text []byte) string {
	if text == nil {
		return "null"
	}
	return fmt.Sprintf("%.300q", text)
}

// difference is a from shortly before its first byte that b does not have.
func difference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return a[max(i-60, 0):min(i+120, len(a))]
}

// encodedRows holds the rows as the JSON converter writes them, by id.
type encodedRows struct {
	t        *testing.T
	rows     map[int64]string
	encoders map[*schema.Table]converters.Encoder
}

func (e *encodedRows) add(ev *schema.Event) {
	e.t.Helper()
	enc, ok := e.encoders[ev.Table]
	if !ok {
		s := &schema.Schema{Type: schema.TypeStruct}
		for _, c := range ev.Table.Columns {
			s.Fields = append(s.Fields, schema.Field{Name: c.Name, Schema: c.Schema})
		}
		var err error
		if enc, err = converters.NewJSON(converters.JSONConfig{Schemas: true}).Encoder(e.t.Context(), "topic", s); err != nil {
			e.t.Fatal(err)
		}
		e.encoders[ev.Table] = enc
	}
	text, err := enc.Append(nil, schema.Seq(schema.KindStruct, ev.After))
	if err != nil {
		e.t.Fatal(err)
	}
	e.rows[ev.After[0].Int()] = string(text)
}

// asText returns a query's rows as the source's sessions would have them.
func (b *bundle) asText(sql string) [][][]byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	conn, err := pgconn.Connect(ctx, b.server.URL())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.Exec(ctx, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'").Close()
	if err != nil {
		b.t.Fatal(err)
	}
	result := conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if result.Err != nil {
		b.t.Fatal(result.Err)
	}
	return result.Rows
}

// randomType is a type whose values are made at random.
type randomType struct {
	typ   string
	value func(*rand.Rand) string // as SQL
	// norm is SQL that writes a value @ of the type as text; empty: the type's
	// own output. It is what compare is given.
	norm string
	// same compares a value that is not null with the database's text; nil:
	// by the schema's type.
	same  func(s *schema.Schema, v schema.Value, text string) string
	array bool // the column is an array of the type
	alone bool // there is no column of arrays: unnest takes them apart
}

func (rt *randomType) normal(column string) string {
	of := func(value string) string {
		norm := cmp.Or(rt.norm, "format('%s', @)")
		return strings.ReplaceAll("CASE WHEN @ IS NOT NULL THEN "+norm+" END", "@", value)
	}
	if !rt.array {
		return of(column)
	}
	// Elements in the order in which they are stored, whatever the dimensions.
	return "CASE WHEN " + column + " IS NOT NULL THEN (SELECT coalesce(json_agg(" + of("e") + " ORDER BY o), '[]') FROM unnest(" + column + ") WITH ORDINALITY u(e, o))::text END"
}

// compare returns what differs, or nothing.
func (rt *randomType) compare(s *schema.Schema, v schema.Value, text []byte) string {
	switch {
	case text == nil && v.IsNull():
		return ""
	case text == nil:
		return fmt.Sprintf("there is %#v", v)
	case rt.array:
	case v.IsNull() && !hasNoForm(s, string(text)):
		return "it is null"
	case v.IsNull():
		return ""
	default:
		return rt.compareOne(s, v, string(text))
	}
	var elements []*string
	if err := json.Unmarshal(text, &elements); err != nil {
		return err.Error()
	}
	if v.IsNull() {
		// One of them may have no form, and then the whole has none.
		if slices.ContainsFunc(elements, func(e *string) bool { return e != nil && hasNoForm(s.Elem, *e) }) {
			return ""
		}
		return "it is null"
	}
	if len(elements) != len(v.Elems()) {
		return fmt.Sprintf("there are %d elements", len(v.Elems()))
	}
	for i, e := range v.Elems() {
		if (elements[i] == nil) != e.IsNull() {
			return fmt.Sprintf("element %d is %#v", i, e)
		}
		if elements[i] == nil {
			continue
		}
		if problem := rt.compareOne(s.Elem, e, *elements[i]); problem != "" {
			return fmt.Sprintf("element %d: %s", i, problem)
		}
	}
	return ""
}

// hasNoForm reports whether a value has no form and is null.
func hasNoForm(s *schema.Schema, text string) bool {
	switch s.Name {
	case schema.NameDecimal, schema.NameDebeziumVariableScale:
		return strings.HasSuffix(text, "NaN") || strings.HasSuffix(text, "Infinity")
	case schema.NameDebeziumNanoTimestamp:
		digits, _, dated := strings.Cut(text, "-")
		year, _ := strconv.Atoi(digits)
		return dated && year > 0 && (year <= 1677 || year >= 2262 || strings.HasSuffix(text, " BC"))
	}
	return false
}

func (rt *randomType) compareOne(s *schema.Schema, v schema.Value, text string) string {
	if rt.same != nil {
		return rt.same(s, v, text)
	}
	var got string
	switch s.Type {
	case schema.TypeBoolean:
		got, text = strconv.FormatBool(v.Bool()), map[string]string{"t": "true", "f": "false", "1": "true", "0": "false"}[text]
	case schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		got = strconv.FormatInt(v.Int(), 10)
	default:
		got = string(v.Bytes())
	}
	return unequal(got, text)
}

func unequal(got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("it is %.300q, want %.300q", got, want)
}

// literal writes text as SQL.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// pick returns one of several values.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// often returns one of the special values in one of four cases.
func often(of func(*rand.Rand) string, special ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		if len(special) > 0 && r.IntN(4) == 0 {
			return pick(r, special...)
		}
		return of(r)
	}
}

// letters hold what is special in any of the formats on the way.
var letters = []string{
	"a", "B", "7", " ", "'", `"`, `\`, ",", "{", "}", "(", ")", "[", "]", "<", ">", "&", "=", "=>", "%", "\t", "\n", "\r", "\b", "\f", "\x01", "\x7f",
	"é", "€", "😀", "\u2028", "NULL", `\N`, `\.`, ";", ":", "/", "--", "$$",
}

func randomText(r *rand.Rand, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(pick(r, letters...))
	}
	return b.String()
}

// shortText has at most so many characters.
func shortText(r *rand.Rand, most int) string {
	runes := []rune(randomText(r, most))
	return string(runes[:min(len(runes), most)])
}

func randomDigits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

func sign(r *rand.Rand) string { return pick(r, "", "-") }

func randomFloat(r *rand.Rand, size int) string {
	f := math.Float64frombits(r.Uint64())
	if size == 32 {
		f = float64(math.Float32frombits(r.Uint32()))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 1.5
	}
	return literal(strconv.FormatFloat(f, 'g', -1, size))
}

// randomMicros is a time that PostgreSQL has, in microseconds since 1970, most
// often of our days.
func randomMicros(r *rand.Rand) time.Time {
	const first, last = -210_863_520_000, 9_224_318_015_999 // seconds
	seconds := r.Int64N(4_000_000_000)
	if r.IntN(3) == 0 {
		seconds = first + r.Int64N(last-first)
	}
	return time.Unix(seconds, pick(r, 0, 500_000_000, r.Int64N(1_000_000)*1000)).UTC()
}

// pgTime writes a time as PostgreSQL does: layout is for what follows the year.
func pgTime(t time.Time, layout string) string {
	year, era := t.Year(), ""
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	return fmt.Sprintf("%04d", year) + t.Format(layout) + era
}

const (
	afterYear     = "-01-02"
	afterYearTime = "-01-02 15:04:05.999999"
)

// pgFromISO turns 2019-07-09T02:28:57.123450Z into PostgreSQL's text.
func pgFromISO(iso, zone string) string {
	if strings.HasSuffix(iso, "infinity") {
		return iso
	}
	iso = strings.TrimSuffix(iso, "Z")
	negative := strings.HasPrefix(iso, "-")
	digits, rest, _ := strings.Cut(strings.TrimLeft(iso, "+-"), "-")
	year, _ := strconv.Atoi(digits)
	era := ""
	if negative || year == 0 {
		year, era = year+1, " BC"
	}
	day, clock, timed := strings.Cut(rest, "T")
	text := fmt.Sprintf("%04d-%s", year, day)
	if timed {
		if strings.Contains(clock, ".") {
			clock = strings.TrimRight(strings.TrimRight(clock, "0"), ".")
		}
		text += " " + clock + zone
	}
	return text + era
}

func sameFloat(size int) func(*schema.Schema, schema.Value, string) string {
	return func(_ *schema.Schema, v schema.Value, text string) string {
		want, err := strconv.ParseFloat(text, size)
		if err != nil && !math.IsInf(want, 0) {
			return err.Error()
		}
		if got := v.Float(); math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
			return fmt.Sprintf("it is %v", got)
		}
		return ""
	}
}

// sameNumber is for numeric: trailing zeros are dropped where the scale varies.
func sameNumber(s *schema.Schema, v schema.Value, text string) string {
	special := map[string]string{"NaN": "NAN", "Infinity": "POSITIVE_INFINITY", "-Infinity": "NEGATIVE_INFINITY"}[text]
	switch {
	case s.Type == schema.TypeFloat64:
		return sameFloat(64)(s, v, text)
	case s.Type == schema.TypeString:
		return unequal(string(v.Bytes()), cmp.Or(special, text))
	case s.Name == schema.NameDecimal:
		return unequal(string(v.Bytes()), text)
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		text = "0"
	}
	fields := v.Elems()
	got, err := schema.AppendDecimal(nil, fields[1].Bytes(), int(fields[0].Int()))
	if err != nil {
		return err.Error()
	}
	return unequal(string(got), text)
}

// sameBytes is for values that are bytes whatever the form that
// binary.handling.mode gives them; raw makes them of the database's text.
func sameBytes(raw func(text string) []byte) func(*schema.Schema, schema.Value, string) string {
	return func(s *schema.Schema, v schema.Value, text string) string {
		want := raw(text)
		if s.Type == schema.TypeBytes {
			return unequal(string(v.Bytes()), string(want))
		}
		got := string(v.Bytes())
		if got == hex.EncodeToString(want) || got == trimQuotes(b64Std(want)) || got == strings.NewReplacer("+", "-", "/", "_").Replace(trimQuotes(b64Std(want))) {
			return ""
		}
		return unequal(got, hex.EncodeToString(want))
	}
}

func b64Std(b []byte) string         { return string(mustJSON(b)) }
func trimQuotes(s string) string     { return strings.Trim(s, `"`) }
func mustJSON(v any) []byte          { b, _ := json.Marshal(v); return b } //nolint:errchkjson // only bytes
func bytesOfText(text string) []byte { return []byte(text) }
func bytesOfBytea(text string) []byte {
	b, _ := hex.DecodeString(strings.TrimPrefix(text, `\x`))
	return b
}

// sameBits loses length and leading zeros, as Debezium does.
func sameBits(s *schema.Schema, v schema.Value, text string) string {
	if s.Type == schema.TypeBoolean {
		return unequal(map[bool]string{true: "1", false: "0"}[v.Bool()], text)
	}
	b := slices.Clone(v.Bytes())
	slices.Reverse(b)
	want, _ := new(big.Int).SetString("0"+text, 2)
	return unequal(new(big.Int).SetBytes(b).String(), want.String())
}

func sameDate(s *schema.Schema, v schema.Value, text string) string {
	if s.Type == schema.TypeString {
		return unequal(pgFromISO(string(v.Bytes()), ""), text)
	}
	switch v.Int() {
	case math.MaxInt32:
		return unequal("infinity", text)
	case math.MinInt32:
		return unequal("-infinity", text)
	}
	return unequal(pgTime(time.Unix(v.Int()*86400, 0).UTC(), afterYear), text)
}

// inNanoseconds is how many a unit of a time or timestamp has.
var inNanoseconds = map[string]int64{
	schema.NameDebeziumTime: 1e6, schema.NameDebeziumMicroTime: 1e3, schema.NameDebeziumNanoTime: 1, schema.NameTime: 1e6,
	schema.NameDebeziumTimestamp: 1e6, schema.NameDebeziumMicroTimestamp: 1e3, schema.NameDebeziumNanoTimestamp: 1, schema.NameTimestamp: 1e6,
}

// cut leaves as much of a time's text as its schema has: connect has milliseconds.
func cut(text, name string) string {
	point := strings.LastIndexByte(text, '.')
	if point < 0 || inNanoseconds[name] != 1e6 {
		return text
	}
	fraction, era := strings.CutSuffix(text[point+1:], " BC")
	fraction = strings.TrimRight(fraction[:min(3, len(fraction))], "0")
	text = strings.TrimSuffix(text[:point]+"."+fraction, ".")
	if era {
		text += " BC"
	}
	return text
}

func sameTime(s *schema.Schema, v schema.Value, text string) string {
	if s.Type == schema.TypeString {
		return unequal(strings.TrimSuffix(string(v.Bytes()), "Z"), text)
	}
	day := time.Duration(v.Int() * inNanoseconds[s.Name])
	got := time.Unix(0, 0).UTC().Add(day).Format("15:04:05.999999")
	if day == 24*time.Hour {
		got = "24:00:00"
	}
	return unequal(got, cut(text, s.Name))
}

func sameTimestamp(s *schema.Schema, v schema.Value, text string) string {
	unit := inNanoseconds[s.Name]
	switch {
	case s.Type == schema.TypeString:
		return unequal(pgFromISO(string(v.Bytes()), ""), text)
	case unit != 1 && v.Int() == 9223372036825200*(1e6/unit), unit == 1 && v.Int() == math.MaxInt64:
		return unequal("infinity", text)
	case unit != 1 && v.Int() == -9223372036832400*(1e6/unit), unit == 1 && v.Int() == math.MinInt64:
		return unequal("-infinity", text)
	case unit == 1e3 && v.Int() == math.MaxInt64: // they end in 294247
		if text < "294247" || len(text) < len("294247-01-10 04:00:54") {
			return "it is the largest number"
		}
		return ""
	}
	perSecond := int64(1e9) / unit
	seconds, part := v.Int()/perSecond, v.Int()%perSecond
	return unequal(pgTime(time.Unix(seconds, part*unit).UTC(), afterYearTime), cut(text, s.Name))
}

func sameZoned(_ *schema.Schema, v schema.Value, text string) string {
	return unequal(pgFromISO(string(v.Bytes()), "+00"), text)
}

// sameTimetz compares in UTC, where a day ends at midnight.
func sameTimetz(_ *schema.Schema, v schema.Value, text string) string {
	return unequal(strings.TrimSuffix(string(v.Bytes()), "Z")+"+00", text)
}

// sameInterval is given PostgreSQL's text, its parts, and its length with months
// of 30.4375 days.
func sameInterval(s *schema.Schema, v schema.Value, text string) string {
	parts := strings.Split(text, "|")
	if s.Type == schema.TypeString {
		return unequal(string(v.Bytes()), parts[1])
	}
	want, _ := new(big.Int).SetString(parts[2], 10)
	if !want.IsInt64() {
		want = big.NewInt(math.MaxInt64)
		if strings.HasPrefix(parts[2], "-") {
			want = big.NewInt(math.MinInt64)
		}
	}
	return unequal(strconv.FormatInt(v.Int(), 10), want.String())
}

const intervalNorm = `concat_ws('|', format('%s', @),
 format('P%sY%sM%sDT%sH%sM%sS', extract(year from @), extract(month from @), extract(day from @), extract(hour from @), extract(minute from @), trim_scale(extract(second from @))),
 trunc((extract(year from @) * 12 + extract(month from @)) * 2629800000000 + extract(day from @) * 86400000000 + extract(hour from @) * 3600000000 + extract(minute from @) * 60000000 + extract(second from @) * 1000000)::text)`

// sameHstore compares objects, whatever their order.
func sameHstore(s *schema.Schema, v schema.Value, text string) string {
	want := map[string]*string{}
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		return err.Error()
	}
	got := map[string]*string{}
	if s.Type == schema.TypeString {
		if err := json.Unmarshal(v.Bytes(), &got); err != nil {
			return err.Error()
		}
	} else {
		for e := v.Elems(); len(e) > 0; e = e[2:] {
			got[string(e[0].Bytes())] = nil
			if !e[1].IsNull() {
				value := string(e[1].Bytes())
				got[string(e[0].Bytes())] = &value
			}
		}
	}
	return unequal(string(mustJSON(got)), string(mustJSON(want)))
}

func samePoint(_ *schema.Schema, v schema.Value, text string) string {
	x, y, _ := strings.Cut(strings.Trim(text, "()"), ",")
	fields := v.Elems()
	wkb := fields[2].Bytes()
	for i, text := range []string{x, y} {
		if problem := sameFloat(64)(nil, fields[i], text); problem != "" {
			return problem
		}
		inside := math.Float64frombits(binary.LittleEndian.Uint64(wkb[5+8*i:]))
		if problem := sameFloat(64)(nil, schema.Float(inside), text); problem != "" {
			return "in wkb " + problem
		}
	}
	return ""
}

func randomTypes() []randomType {
	integer := func(size int) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			n := int64(r.Uint64()) >> (64 - size)
			return literal(strconv.FormatInt(n>>r.IntN(size), 10))
		}
	}
	texts := func(most int) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return literal(shortText(r, most)) }
	}
	numeric := func(whole, fraction int) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			return literal(sign(r) + randomDigits(r, 1+r.IntN(whole)) + "." + randomDigits(r, 1+r.IntN(fraction)))
		}
	}
	bits := func(least, most int) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			var b strings.Builder
			for range least + r.IntN(most-least+1) {
				b.WriteByte(byte('0' + r.IntN(2)))
			}
			return "B'" + b.String() + "'"
		}
	}
	date := func(r *rand.Rand) string { return literal(pgTime(randomMicros(r), afterYear)) }
	clock := func(r *rand.Rand) string {
		return literal(time.Unix(0, r.Int64N(86400e6)*1000).UTC().Format("15:04:05.999999"))
	}
	timestamp := func(r *rand.Rand) string { return literal(pgTime(randomMicros(r), afterYearTime)) }
	timestamptz := func(r *rand.Rand) string {
		text := pgTime(randomMicros(r), afterYearTime)
		era := ""
		if text, bc := strings.CutSuffix(text, " BC"); bc {
			return literal(text + "+00 BC")
		}
		return literal(text + pick(r, "+00", "+00", "+05:45", "-01:02:03") + era)
	}
	interval := func(r *rand.Rand) string {
		return fmt.Sprintf("make_interval(months => %d, days => %d) + %d * interval '1 microsecond'", r.IntN(6000)-3000, r.IntN(6000)-3000, r.Int64N(1e13)-5e12)
	}
	lower := func(of func(*rand.Rand) string, typ string) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			bounds := literal(pick(r, "[)", "(]", "[]", "()"))
			sub := map[string]string{"int4range": "int4", "int8range": "int8", "numrange": "numeric", "tsrange": "timestamp", "tstzrange": "timestamptz", "daterange": "date"}[typ]
			if r.IntN(3) == 0 {
				return fmt.Sprintf("%s((%s)::%s, NULL, %s)", typ, of(r), sub, bounds)
			}
			x, y := of(r), of(r)
			return fmt.Sprintf("%[1]s(least((%[2]s)::%[5]s, (%[3]s)::%[5]s), greatest((%[2]s)::%[5]s, (%[3]s)::%[5]s), %[4]s)", typ, x, y, bounds, sub)
		}
	}
	small := func(r *rand.Rand) string { return strconv.Itoa(r.IntN(2000) - 1000) }
	inet := func(r *rand.Rand) string {
		if r.IntN(2) == 0 {
			return literal(fmt.Sprintf("%d.%d.%d.%d/%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(33)))
		}
		return literal(fmt.Sprintf("%x:%x::%x/%d", r.IntN(65536), r.IntN(65536), r.IntN(65536), r.IntN(129)))
	}
	bytea := func(r *rand.Rand) string {
		b := make([]byte, r.IntN(20))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return literal(`\x` + hex.EncodeToString(b))
	}
	jsonText := func(r *rand.Rand) string {
		comma, colon := pick(r, ",", " ,  ", ",\n"), pick(r, ":", " : ")
		member := func(v any) string { return string(mustJSON("k"+shortText(r, 3))) + colon + string(mustJSON(v)) }
		return literal(" {" + strings.Join([]string{member(r.Float64()), member(shortText(r, 5)), member([]any{nil, true, -1})}, comma) + "}")
	}
	hstore := func(r *rand.Rand) string {
		var keys, values []string
		for range r.IntN(20) {
			keys, values = append(keys, literal(shortText(r, 4))), append(values, pick(r, "NULL", literal(shortText(r, 6))))
		}
		return "hstore(ARRAY[" + strings.Join(keys, ",") + "]::text[], ARRAY[" + strings.Join(values, ",") + "]::text[])"
	}
	label := func(r *rand.Rand) string {
		return literal(pick(r, "sad", "happy, very", "it's", `say "hi"`, `back\slash`, ""))
	}
	// Whatever the others do not say is compared as text.
	list := []randomType{
		{typ: "bool", value: often(func(r *rand.Rand) string { return pick(r, "true", "false") })},
		{typ: "int2", value: often(integer(16), "-32768", "32767")},
		{typ: "int4", value: often(integer(32), "-2147483648", "2147483647")},
		{typ: "int8", value: often(integer(64), "-9223372036854775808", "9223372036854775807")},
		{typ: "oid", value: func(r *rand.Rand) string { return strconv.FormatUint(uint64(r.Uint32()), 10) }},
		{typ: "float4", value: often(func(r *rand.Rand) string { return randomFloat(r, 32) }, "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45"), same: sameFloat(32)},
		{typ: "float8", value: often(func(r *rand.Rand) string { return randomFloat(r, 64) }, "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324"), same: sameFloat(64)},
		{typ: "numeric(12,4)", value: often(numeric(8, 6), "'NaN'", "0", "-0.0001"), same: sameNumber},
		{typ: "numeric(40)", value: often(numeric(40, 3), "'NaN'"), same: sameNumber},
		{typ: "numeric(5,-3)", value: numeric(8, 1), same: sameNumber},
		{typ: "numeric", value: often(numeric(1000, 500), "'NaN'", "'Infinity'", "'-Infinity'", "0", "-0.10", "1e1000", "1e-1000"), same: sameNumber},
		{typ: "money", value: often(func(r *rand.Rand) string { return numeric(15, 2)(r) + "::numeric" }, "'-92233720368547758.08'", "'0.05'"), norm: "(@::numeric)::text", same: sameNumber},
		{typ: "text", value: func(r *rand.Rand) string { return literal(randomText(r, 30)) }},
		{typ: "varchar(10)", value: texts(10)},
		{typ: "char(5)", value: texts(5)},
		{typ: "bpchar", value: texts(9)},
		{typ: `"char"`, value: func(r *rand.Rand) string { return literal(pick(r, "a", "'", "\t", `\`, ",", "")) }},
		{typ: "name", value: texts(12)},
		{typ: "citext", value: texts(12)},
		{typ: "uuid", value: func(r *rand.Rand) string { return literal(fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())) }},
		{typ: "json", value: jsonText},
		{typ: "jsonb", value: jsonText},
		{typ: "xml", value: func(r *rand.Rand) string {
			return literal("<a b=\"" + strconv.Itoa(r.IntN(9)) + "\">" + strings.NewReplacer("&", "", "<", "", "\x01", "", "\b", "", "\f", "", "]", "").Replace(randomText(r, 9)) + "</a>")
		}},
		{typ: "ltree", value: func(r *rand.Rand) string { return literal(pick(r, "", "a", "Top.x_1.B")) }},
		{typ: "tsvector", value: func(r *rand.Rand) string {
			return "array_to_tsvector(ARRAY[" + literal("x"+randomText(r, 5)) + ", 'b'])"
		}},
		{typ: "hstore", value: hstore, norm: "hstore_to_json(@)::text", same: sameHstore},
		{typ: "bytea", value: bytea, same: sameBytes(bytesOfBytea)},
		{typ: "bit(1)", value: bits(1, 1), same: sameBits},
		{typ: "bit(8)", value: bits(8, 8), same: sameBits},
		{typ: "bit(65)", value: bits(65, 65), same: sameBits},
		{typ: "varbit(1)", value: bits(1, 1), same: sameBits},
		{typ: "varbit", value: bits(0, 80), same: sameBits},
		{typ: "date", value: often(date, "'infinity'", "'-infinity'", "'4714-11-24 BC'", "'5874897-12-31'"), same: sameDate},
		{typ: "time(0)", value: clock, same: sameTime},
		{typ: "time(3)", value: clock, same: sameTime},
		{typ: "time", value: often(clock, "'24:00'", "'0:00'"), same: sameTime},
		{typ: "timetz", value: func(r *rand.Rand) string {
			return clock(r) + " || " + literal(pick(r, "+00", "-08", "+14", "+05:45", "-01:02:03"))
		}, norm: "timezone('UTC', @)::text", same: sameTimetz},
		{typ: "timestamp(0)", value: timestamp, same: sameTimestamp},
		{typ: "timestamp(3)", value: timestamp, same: sameTimestamp},
		{typ: "timestamp", value: often(timestamp, "'infinity'", "'-infinity'", "'294276-12-31 23:59:59.999999'", "'4714-11-24 00:00:00 BC'"), same: sameTimestamp},
		{typ: "timestamptz(2)", value: timestamptz, same: sameZoned},
		{typ: "timestamptz", value: often(timestamptz, "'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'"), same: sameZoned},
		{typ: "interval", value: often(interval, "'0'", "'178000000 years'", "'-178000000 years'", "'1 us'", "'-1 us'"), norm: intervalNorm, same: sameInterval},
		{typ: "inet", value: inet},
		{typ: "cidr", value: func(r *rand.Rand) string { return "network(" + inet(r) + ")" }},
		{typ: "macaddr", value: func(r *rand.Rand) string { return literal(fmt.Sprintf("%012x", r.Uint64()>>16)) }},
		{typ: "macaddr8", value: func(r *rand.Rand) string { return literal(fmt.Sprintf("%016x", r.Uint64())) }},
		{typ: "int4range", value: often(lower(small, "int4range"), "'empty'", "'(,)'")},
		{typ: "int8range", value: lower(small, "int8range")},
		{typ: "numrange", value: lower(numeric(9, 3), "numrange")},
		{typ: "tsrange", value: lower(timestamp, "tsrange")},
		{typ: "tstzrange", value: lower(timestamp, "tstzrange")},
		{typ: "daterange", value: lower(func(r *rand.Rand) string { return "date '2000-01-01' + " + small(r) }, "daterange")},
		{typ: "point", value: func(r *rand.Rand) string { return "point(" + randomFloat(r, 64) + ", " + randomFloat(r, 64) + ")" }, same: samePoint},
		{typ: `odd."My Mood"`, value: label},
		{typ: "mood", value: label},
		{typ: "evenmore", value: func(r *rand.Rand) string { return strconv.Itoa(1 + r.IntN(1000)) }},
		{typ: "nestedprice", value: numeric(4, 5), same: sameNumber},
		{typ: "short", value: texts(5)},
		{typ: "millis", value: timestamp, same: sameTimestamp},
		{typ: "flags", value: bits(9, 9), same: sameBits},
		// Left out without include.unknown.datatypes.
		{typ: "pg_lsn", value: func(r *rand.Rand) string { return literal(fmt.Sprintf("%X/%X", r.Uint32(), r.Uint32())) }, same: sameBytes(bytesOfText)},
		{typ: "int4multirange", value: func(r *rand.Rand) string { return "int4multirange(" + lower(small, "int4range")(r) + ")" }, same: sameBytes(bytesOfText)},
		{typ: "pair", value: func(r *rand.Rand) string { return "ROW(" + small(r) + ", " + literal(randomText(r, 9)) + ")::pair" }, same: sameBytes(bytesOfText), alone: true},
		{typ: "tsquery", value: func(r *rand.Rand) string { return "plainto_tsquery('simple', " + literal("x "+randomText(r, 5)) + ")" }, same: sameBytes(bytesOfText)},
		{typ: "cube", value: func(r *rand.Rand) string { return "cube(" + small(r) + ")" }, same: sameBytes(bytesOfText)},
	}
	all := make([]randomType, 0, 2*len(list))
	for _, rt := range list {
		one := rt
		one.value = func(r *rand.Rand) string {
			if r.IntN(8) == 0 {
				return "NULL"
			}
			return "(" + rt.value(r) + ")::" + rt.typ
		}
		if all = append(all, one); rt.alone {
			continue
		}
		array := rt
		array.typ, array.array = rt.typ+"[]", true
		array.value = func(r *rand.Rand) string { return randomArray(r, rt.typ, rt.value) }
		if slices.Contains([]string{"mood", "evenmore", "nestedprice", "short", "millis", "flags"}, rt.typ) {
			array.same = sameBytes(bytesOfText) // an array of a domain
		}
		all = append(all, array)
	}
	return all
}

// randomArray has up to two dimensions, bounds of its own, and nulls.
func randomArray(r *rand.Rand, typ string, value func(*rand.Rand) string) string {
	element := func() string {
		if r.IntN(6) == 0 {
			return "NULL"
		}
		return "(" + value(r) + ")::" + typ
	}
	row := func(n int) string {
		var list []string
		for range n {
			list = append(list, element())
		}
		return "ARRAY[" + strings.Join(list, ", ") + "]::" + typ + "[]"
	}
	switch r.IntN(8) {
	case 0:
		return "NULL"
	case 1:
		return "'{}'"
	case 2:
		return fmt.Sprintf("array_fill(%s, ARRAY[%d], ARRAY[%d])", "("+value(r)+")::"+typ, 1+r.IntN(3), r.IntN(9)-4)
	case 3:
		n := 1 + r.IntN(3)
		return "ARRAY[" + row(n) + ", " + row(n) + "]"
	default:
		return row(r.IntN(4))
	}
}
