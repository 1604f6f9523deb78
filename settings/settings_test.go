package settings_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/settings"
)

func parse(t *testing.T, d settings.Def, raw map[string]string) (settings.Values, string) {
	t.Helper()
	v, problems := settings.NewSet([]settings.Def{d}).Parse(raw)
	if err := problems.Err(); err != nil {
		for _, p := range problems {
			if p.Key != d.Key {
				t.Errorf("the problem %q is at %s, want %s", p.Message, p.Key, d.Key)
			}
		}
		return v, err.Error()
	}
	return v, ""
}

func TestSet_ParsesEveryType(t *testing.T) {
	t.Parallel()
	const k = "some.key"
	tooSmall := errors.New("take at least 1")
	atLeastOne := func(value string) error {
		if strings.HasPrefix(value, "-") || value == "0" {
			return tooSmall
		}
		return nil
	}
	set := func(value string) map[string]string { return map[string]string{k: value} }
	tests := []struct {
		name string
		def  settings.Def
		raw  map[string]string
		err  string // of the problem; empty: none
		// want compares what the getter of the type returns.
		want func(v settings.Values) bool
	}{
		{"boolean default", settings.Def{Type: settings.Boolean, Default: "true"}, nil, "", func(v settings.Values) bool { return v.Bool(k) && !v.IsSet(k) }},
		{"boolean", settings.Def{Type: settings.Boolean, Default: "true"}, set("false"), "", func(v settings.Values) bool { return !v.Bool(k) && v.IsSet(k) }},
		{"boolean in capitals", settings.Def{Type: settings.Boolean}, set(" TRUE "), "", func(v settings.Values) bool { return v.Bool(k) }},
		{"boolean without default", settings.Def{Type: settings.Boolean}, nil, "", func(v settings.Values) bool { return !v.Bool(k) }},
		{"no boolean", settings.Def{Type: settings.Boolean}, set("yes"), "Invalid value yes for configuration some.key: Expected value to be either true or false", nil},
		{"empty boolean", settings.Def{Type: settings.Boolean, Default: "true"}, set(""), "Invalid value  for configuration some.key: Expected value to be either true or false", nil},
		{"int", settings.Def{Type: settings.Int}, set(" 2147483647 "), "", func(v settings.Values) bool { return v.Int(k) == 2147483647 }},
		{"int beyond 32 bits", settings.Def{Type: settings.Int}, set("2147483648"), "Invalid value 2147483648 for configuration some.key: Not a number of type INT", nil},
		{"no int", settings.Def{Type: settings.Int}, set("1.5"), "Invalid value 1.5 for configuration some.key: Not a number of type INT", nil},
		{"empty int", settings.Def{Type: settings.Int, Default: "5"}, set(""), "Invalid value  for configuration some.key: Not a number of type INT", nil},
		{"empty int without default", settings.Def{Type: settings.Int}, set(""), "", func(v settings.Values) bool { return v.Int(k) == 0 }},
		{"short", settings.Def{Type: settings.Short}, set("-32768"), "", func(v settings.Values) bool { return v.Int(k) == -32768 }},
		{"short beyond 16 bits", settings.Def{Type: settings.Short}, set("32768"), "Invalid value 32768 for configuration some.key: Not a number of type SHORT", nil},
		{"long", settings.Def{Type: settings.Long, Default: "-9223372036854775808"}, nil, "", func(v settings.Values) bool { return v.Int(k) == -1<<63 }},
		{"no long", settings.Def{Type: settings.Long}, set("x"), "Invalid value x for configuration some.key: Not a number of type LONG", nil},
		{"milliseconds", settings.Def{Type: settings.Long, Default: "1500"}, nil, "", func(v settings.Values) bool { return v.Millis(k) == 1500*time.Millisecond }},
		{"double", settings.Def{Type: settings.Double, Default: "0.5"}, set("2.5e1"), "", func(v settings.Values) bool { return v.Float(k) == 25 }},
		{"no double", settings.Def{Type: settings.Double}, set("x"), "Invalid value x for configuration some.key: Not a number of type DOUBLE", nil},
		{"string keeps blanks", settings.Def{Type: settings.String}, set(" a "), "", func(v settings.Values) bool { return v.String(k) == " a " }},
		{"class is trimmed", settings.Def{Type: settings.Class}, set(" a.B "), "", func(v settings.Values) bool { return v.String(k) == "a.B" }},
		{"password", settings.Def{Type: settings.Password}, set(" s "), "", func(v settings.Values) bool { return v.String(k) == " s " }},
		{"list", settings.Def{Type: settings.List}, set(" a, b ,,c"), "", func(v settings.Values) bool { return slices.Equal(v.List(k), []string{"a", "b", "c"}) }},
		{"empty list", settings.Def{Type: settings.List, Default: "a"}, set(""), "", func(v settings.Values) bool { return len(v.List(k)) == 0 }},
		{"enumeration", settings.Def{Type: settings.String, Default: "none", OneOf: []string{"none", "all"}}, set("ALL"), "", func(v settings.Values) bool { return v.String(k) == "all" }},
		{"enumeration default", settings.Def{Type: settings.String, Default: "none", OneOf: []string{"none", "all"}}, nil, "", func(v settings.Values) bool { return v.String(k) == "none" }},
		{"not in the enumeration", settings.Def{Type: settings.String, Default: "none", OneOf: []string{"none", "all"}}, set("some"), "Invalid value some for configuration some.key: Value must be one of none, all", nil},
		{"empty enumeration", settings.Def{Type: settings.String, Default: "none", OneOf: []string{"none", "all"}}, set(""), "Invalid value  for configuration some.key: Value must be one of none, all", nil},
		{"optional enumeration", settings.Def{Type: settings.String, OneOf: []string{"a"}}, nil, "", func(v settings.Values) bool { return v.String(k) == "" }},
		{"missing", settings.Def{Type: settings.String, Required: true}, nil, `Missing required configuration "some.key" which has no default value.`, nil},
		{"required and empty", settings.Def{Type: settings.String, Required: true}, set(""), "Invalid value  for configuration some.key: A value is required", nil},
		{"checked", settings.Def{Type: settings.Int, Check: atLeastOne}, set("0"), "Invalid value 0 for configuration some.key: take at least 1", nil},
		{"check passed", settings.Def{Type: settings.Int, Check: atLeastOne}, set("1"), "", func(v settings.Values) bool { return v.Int(k) == 1 }},
		{"a secret is not shown", settings.Def{Type: settings.Password, Check: func(string) error { return errors.New("too short") }}, set("s3cret"), "Invalid value [hidden] for configuration some.key: too short", nil},
		{"alias", settings.Def{Type: settings.String, Aliases: []string{"old.key"}}, map[string]string{"old.key": "x"}, "", func(v settings.Values) bool { return v.String(k) == "x" && v.IsSet(k) }},
		{"key before alias", settings.Def{Type: settings.String, Aliases: []string{"old.key"}}, map[string]string{"old.key": "x", k: "y"}, "", func(v settings.Values) bool { return v.String(k) == "y" }},
		{"unsupported", settings.Def{Type: settings.Boolean, Default: "false", Unsupported: "not there yet"}, set("true"), "Invalid value true for configuration some.key: not there yet", nil},
		{"unsupported but the default", settings.Def{Type: settings.Boolean, Default: "false", Unsupported: "not there yet"}, set("FALSE"), "", func(v settings.Values) bool { return !v.Bool(k) }},
		{"unsupported and not set", settings.Def{Type: settings.String, Unsupported: "not there yet"}, nil, "", func(v settings.Values) bool { return v.String(k) == "" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.def.Key = k
			v, err := parse(t, test.def, test.raw)
			if err != test.err {
				t.Errorf("got the problem %q, want %q", err, test.err)
			}
			if test.want != nil && !test.want(v) {
				t.Errorf("%v: not the value that was wanted", test.raw)
			}
		})
	}
}

func TestSet_ReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	s := settings.NewSet(
		[]settings.Def{{Key: "a", Type: settings.Int}, {Key: "b", Type: settings.String, Required: true}},
		[]settings.Def{{Key: "c", Type: settings.Int, Default: "7"}},
	)
	v, problems := s.Parse(map[string]string{"a": "x", "d": "left to others"})
	if len(problems) != 2 || problems[0].Key != "a" || problems[1].Key != "b" {
		t.Errorf("got %v, want one problem with a and one with b", problems)
	}
	var invalid *settings.InvalidError
	if err := problems.Err(); !errors.As(err, &invalid) || len(invalid.Lines) != 2 || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got the error %v, want two lines", err)
	}
	if v.Int("c") != 7 || v.Raw()["d"] == "" {
		t.Error("a problem with one setting hides another")
	}
}

func TestProblems_WarningsAreNoError(t *testing.T) {
	t.Parallel()
	if err := (settings.Problems{{Key: "a", Message: "m", Warning: true}}).Err(); err != nil {
		t.Errorf("a warning is the error %v", err)
	}
	if err := settings.Problems(nil).Err(); err != nil {
		t.Errorf("no problem is the error %v", err)
	}
}

func TestSet_LookupByKeyAndAlias(t *testing.T) {
	t.Parallel()
	s := settings.NewSet([]settings.Def{{Key: "a", Aliases: []string{"b"}, Type: settings.String}})
	for key, want := range map[string]bool{"a": true, "b": true, "c": false} {
		d, ok := s.Lookup(key)
		if ok != want || ok && d.Key != "a" {
			t.Errorf("%s: found %t %v, want %t", key, ok, d, want)
		}
	}
	if len(s.Defs()) != 1 {
		t.Errorf("%d definitions, want 1", len(s.Defs()))
	}
}

// TestMistakesInTheCodePanic covers what no configuration can bring about.
func TestMistakesInTheCodePanic(t *testing.T) {
	t.Parallel()
	v, _ := settings.NewSet([]settings.Def{{Key: "a", Type: settings.Int}}).Parse(nil)
	for name, f := range map[string]func(){
		"a key defined twice": func() { settings.NewSet([]settings.Def{{Key: "a"}, {Key: "a"}}) },
		"an alias of another": func() {
			settings.NewSet([]settings.Def{{Key: "a"}}, []settings.Def{{Key: "b", Aliases: []string{"a"}}})
		},
		"an unknown key":           func() { v.Int("b") },
		"a getter of another type": func() { _ = v.String("a") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("does not panic")
				}
			}()
			f()
		})
	}
}

func TestWithPrefix_CutsThePrefix(t *testing.T) {
	t.Parallel()
	got := settings.WithPrefix(map[string]string{"p.a": "1", "p.": "2", "a": "3", "p.p.b": "4"}, "p.")
	if len(got) != 2 || got["a"] != "1" || got["p.b"] != "4" {
		t.Errorf("got %v", got)
	}
}

func TestUnknown_SuggestsWhatWasMeant(t *testing.T) {
	t.Parallel()
	s := settings.NewSet([]settings.Def{
		{Key: "table.include.list", Type: settings.List},
		{Key: "table.exclude.list", Type: settings.List},
		{Key: "database.hostname", Type: settings.String, Aliases: []string{"database.host"}},
		{Key: "name", Type: settings.String},
	})
	tests := []struct{ key, message string }{
		{"tabel.include.list", `Unknown configuration "tabel.include.list": did you mean "table.include.list"?`},
		{"table.includ.list", `Unknown configuration "table.includ.list": did you mean "table.include.list"?`},
		{"database.hostnme", `Unknown configuration "database.hostnme": did you mean "database.hostname"?`},
		{"database.hots", `Unknown configuration "database.hots": did you mean "database.host"?`},
		{"quite.another.thing.altogether", `Unknown configuration "quite.another.thing.altogether".`},
		{"zzzz", `Unknown configuration "zzzz".`},
		{"table.include.list", ""},
		{"database.host", ""},
		{"transforms.x.typo", ""},
	}
	raw := map[string]string{}
	want := map[string]string{}
	for _, test := range tests {
		raw[test.key] = "v"
		if test.message != "" {
			want[test.key] = test.message
		}
	}
	problems := settings.Unknown(raw, []string{"transforms."}, s)
	if !slices.IsSortedFunc(problems, func(a, b settings.Problem) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("the problems are not in order of their keys")
	}
	for _, p := range problems {
		if p.Message != want[p.Key] || !p.Warning {
			t.Errorf("%s: got %q (warning %t), want %q", p.Key, p.Message, p.Warning, want[p.Key])
		}
		delete(want, p.Key)
	}
	for key := range want {
		t.Errorf("nothing about %s", key)
	}
}

func TestSplitList_LeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{"": nil, " , ,": nil, "a": {"a"}, " a b ,c\n": {"a b", "c"}} {
		if got := settings.SplitList(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
