package compare

import (
	"encoding/json"
	"testing"
	"time"
)

func TestEqual_KnowsWhatDenotesTheSame(t *testing.T) {
	t.Parallel()
	var (
		integer   = Column{Type: "bigint", Class: ClassInt}
		flag      = Column{Type: "tinyint(1)", Class: ClassInt}
		boolean   = Column{Type: "bool", Class: ClassBool}
		money     = Column{Type: "decimal", Class: ClassDecimal, Scale: 2}
		double    = Column{Type: "double", Class: ClassFloat}
		single    = Column{Type: "float", Class: ClassFloat32}
		text      = Column{Type: "varchar", Class: ClassText}
		blob      = Column{Type: "blob", Class: ClassBytes}
		document  = Column{Type: "json", Class: ClassJSON}
		date      = Column{Type: "date", Class: ClassDate}
		clock     = Column{Type: "time", Class: ClassTime}
		stamp     = Column{Type: "datetime", Class: ClassDateTime}
		instant   = Column{Type: "timestamptz", Class: ClassInstant}
		milli     = time.Date(2026, 3, 4, 5, 6, 7, 123e6, time.UTC)
		nextMilli = milli.Add(time.Millisecond)
	)
	const null = "\x00NULL"
	cases := []struct {
		name string
		col  Column
		src  string
		got  any
		want bool
	}{
		{"null and nothing", text, null, nil, true},
		{"null and empty text", text, null, "", false},
		{"empty text and nothing", text, "", nil, false},
		{"text null is not null", text, "NULL", nil, false},

		{"integer", integer, "42", int64(42), true},
		{"another integer", integer, "42", int64(43), false},
		{"integer beyond 2^53", integer, "9007199254740993", json.Number("9007199254740993"), true},
		{"integer rounded to a double", integer, "9007199254740993", float64(9007199254740992), false},
		{"integer as whole double", integer, "42", float64(42), true},
		{"unsigned", integer, "18446744073709551615", uint64(18446744073709551615), true},
		{"unsigned wrapped", integer, "18446744073709551615", int64(-1), false},
		{"integer as text", integer, "42", "42", false},
		{"integer as bool", integer, "1", true, false},
		{"flag as bool", flag, "1", true, true},
		{"flag as other bool", flag, "0", true, false},
		{"flag of two", flag, "2", true, false},
		{"boolean", boolean, "true", true, true},
		{"boolean as number", boolean, "true", int64(1), false},

		{"decimal", money, "12.30", Decimal("12.3"), true},
		{"decimal with exponent", money, "1200.00", Decimal("1.2E+3"), true},
		{"another decimal", money, "12.30", Decimal("12.31"), false},
		{"decimal text", money, "12.30", "12.30", true},
		{"decimal as number", money, "12.30", json.Number("12.3"), true},
		{"decimal as nearest double", money, "12.30", 12.3, true},
		{"decimal of 20 digits as double", money, "123456789012345678.90", 123456789012345678.90, false},
		{"decimal as bytes", money, "12.30", []byte{0x04, 0xce}, true},
		{"negative decimal as base64", money, "-0.01", "/w==", true},
		{"decimal as base64 of another", money, "0.01", "/w==", false},
		{"huge exponent", money, "1.00", json.Number("1e1000000000"), false},

		{"double", double, "0.1", 0.1, true},
		{"double a bit off", double, "0.1", 0.10000000000000002, false},
		{"double as text", double, "0.1", "0.1", false},
		{"not a number", double, "NaN", "NaN", true},
		{"single in double", single, "1.1", 1.100000023841858, true},
		{"another single", single, "1.1", 1.1000003, false},

		{"text", text, "añ", "añ", true},
		{"text with space", text, "a", "a ", false},
		{"text as number", text, "1", int64(1), false},
		{"bytes", blob, "00FF", []byte{0, 0xff}, true},
		{"bytes as base64", blob, "00ff", "AP8=", true},
		{"shorter bytes", blob, "00ff", []byte{0}, false},

		{"json as text", document, `{"a": [1, 2.0]}`, `{"a":[1.0,2]}`, true},
		{"json as document", document, `{"a": [1, null]}`, map[string]any{"a": []any{int64(1), nil}}, true},
		{"json in another order of keys", document, `{"a": 1, "b": 2}`, `{"b":2,"a":1}`, true},
		{"json in another order of elements", document, `[1, 2]`, `[2, 1]`, false},
		{"json without a key", document, `{"a": 1, "b": null}`, `{"a":1}`, false},
		{"json number as text", document, `{"a": 1}`, `{"a":"1"}`, false},
		{"json null as null", document, `null`, "null", true},
		{"json string", document, `"x"`, `"x"`, true},

		{"date as days", date, "2026-03-04", int64(20516), true},
		{"next day", date, "2026-03-04", int64(20517), false},
		{"date before 1970", date, "1969-12-31", int64(-1), true},
		{"date as text", date, "2026-03-04", "2026-03-04", true},
		{"date as instant", date, "2026-03-04", time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC), true},
		{"date at noon", date, "2026-03-04", time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), false},

		{"datetime as microseconds", stamp, "2026-03-04 05:06:07.123456", milli.UnixMicro() + 456, true},
		{"datetime a microsecond off", stamp, "2026-03-04 05:06:07.123456", milli.UnixMicro() + 457, false},
		{"datetime as milliseconds", stamp, "2026-03-04 05:06:07.123", milli.UnixMilli(), true},
		{"datetime cut to milliseconds as number", stamp, "2026-03-04 05:06:07.123456", milli.UnixMilli(), false},
		{"datetime cut as only a BSON date may", stamp, "2026-03-04 05:06:07.123456", milli, true},
		{"datetime of the next millisecond", stamp, "2026-03-04 05:06:07.123456", nextMilli, false},
		{"datetime as text", stamp, "2026-03-04 05:06:07", "2026-03-04T05:06:07Z", true},
		{"datetime as seconds", stamp, "2026-03-04 05:06:07", milli.Unix(), false},
		{"instant", instant, "2026-03-04 05:06:07.123456", "2026-03-04T05:06:07.123456Z", true},
		{"instant in another zone", instant, "2026-03-04 05:06:07", "2026-03-04T06:06:07+01:00", true},
		{"instant in the wrong zone", instant, "2026-03-04 05:06:07", "2026-03-04T05:06:07+01:00", false},
		{"instant without a zone", instant, "2026-03-04 05:06:07", "2026-03-04T05:06:07", false},
		{"infinity", instant, "infinity", "infinity", true},

		{"time", clock, "01:02:03.000004", int64(3723000004), true},
		{"time in milliseconds", clock, "01:02:03", int64(3723000), true},
		{"long negative time", clock, "-838:59:59", int64(-3020399000000), true},
		{"another time", clock, "01:02:03", int64(3723001), false},
		{"time as text", clock, "01:02:03", "01:02:03Z", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := &c.src
			if c.src == null {
				src = nil
			}
			got, err := Equal(c.col, src, c.got)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("Equal(%s, %q, %s) = %v, want %v", c.col.Type, c.src, show(c.got), got, c.want)
			}
		})
	}
}

func TestEqual_RefusesWhatItHasNoRuleFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		col Column
		src string
	}{
		{Column{Type: "geometry"}, "POINT(1 1)"},
		{Column{Type: "int", Class: ClassInt}, "one"},
		{Column{Type: "blob", Class: ClassBytes}, "xyz"},
		{Column{Type: "json", Class: ClassJSON}, "{"},
		{Column{Type: "time", Class: ClassTime}, "noon"},
		{Column{Type: "double", Class: ClassFloat}, "1,5"},
	} {
		if same, err := Equal(c.col, &c.src, "x"); err == nil || same {
			t.Errorf("Equal(%s, %q) = %v, %v; want an error", c.col.Type, c.src, same, err)
		}
	}
}
