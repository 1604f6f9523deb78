package capture

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/settings"
)

func filterSettings() *settings.Set {
	var defs []settings.Def
	for _, key := range []string{
		"schema.include.list", "schema.exclude.list", "table.include.list", "table.exclude.list",
		"column.include.list", "column.exclude.list", "snapshot.include.collection.list",
	} {
		defs = append(defs, settings.Def{Key: key, Type: settings.List})
	}
	return settings.NewSet(defs, []settings.Def{{Key: "table.ignore.builtin", Type: settings.Boolean, Default: "true"}})
}

func newFilter(t *testing.T, raw map[string]string) (*Filter, settings.Problems) {
	t.Helper()
	v, problems := filterSettings().Parse(raw)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return NewFilter(v, "schema", func(name string) bool { return name == "pg_catalog" })
}

func TestFilter_Table(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw     map[string]string
		in, out []string
	}{
		"no lists": {in: []string{"public.t", "s.t"}, out: []string{"pg_catalog.pg_class"}},
		"system tables on request": {
			raw: map[string]string{"table.ignore.builtin": "false"}, in: []string{"pg_catalog.pg_class"},
		},
		"whole names only": {
			raw: map[string]string{"table.include.list": "public.order, public\\.it.*"},
			in:  []string{"public.order", "PUBLIC.Order", "public.items"},
			out: []string{"public.orders", "xpublic.order", "other.order"},
		},
		"escaped comma": {
			raw: map[string]string{"table.include.list": `public\.a{1\,2},public\.b`},
			in:  []string{"public.a", "public.aa", "public.b"},
			out: []string{"public.aaa"},
		},
		"exclude": {
			raw: map[string]string{"table.exclude.list": "public.secret.*"},
			in:  []string{"public.open"}, out: []string{"public.secrets"},
		},
		"schema": {
			raw: map[string]string{"schema.include.list": "inv.*", "table.exclude.list": "inventory.x"},
			in:  []string{"inventory.y"}, out: []string{"inventory.x", "public.y"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, problems := newFilter(t, c.raw)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, path := range c.in {
				s, table, _ := strings.Cut(path, ".")
				if !f.Table("db", s, table) {
					t.Errorf("%s is left out", path)
				}
			}
			for _, path := range c.out {
				s, table, _ := strings.Cut(path, ".")
				if f.Table("db", s, table) {
					t.Errorf("%s is captured", path)
				}
			}
		})
	}
}

func TestFilter_ColumnAndSnapshot(t *testing.T) {
	t.Parallel()
	f, _ := newFilter(t, map[string]string{
		"column.exclude.list":              `public\.users\.(ssn|phone)`,
		"snapshot.include.collection.list": "public.users,db.public.full",
	})
	if f.Column("db", "public", "users", "SSN") || !f.Column("db", "public", "users", "name") || !f.Column("db", "public", "others", "ssn") {
		t.Error("column.exclude.list is not applied to whole names of columns")
	}
	if !f.Snapshot("db", "public", "users") || !f.Snapshot("db", "public", "full") || f.Snapshot("db", "public", "orders") {
		t.Error("snapshot.include.collection.list takes names with and without the database")
	}
}

func TestFilter_RankAndUnmatched(t *testing.T) {
	t.Parallel()
	f, _ := newFilter(t, map[string]string{"table.include.list": "public.z,public.a.*,public.gone"})
	if z, a := f.Rank("db", "public", "z"), f.Rank("db", "public", "ab"); z != 0 || a != 1 {
		t.Errorf("ranks %d, %d: want 0, 1", z, a)
	}
	if got := f.Unmatched([]string{"public.z", "public.ab"}); !slices.Equal(got, []string{"public.gone"}) {
		t.Errorf("unmatched: %v", got)
	}
}

func TestNewFilter_Problems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  map[string]string
		key  string
		text string
	}{
		"both lists": {
			map[string]string{"table.include.list": "a.b", "table.exclude.list": "a.c"},
			"table.exclude.list", `The 'table.exclude.list' value is invalid: "table.include.list" is already specified`,
		},
		"bad expression": {map[string]string{"schema.include.list": "("}, "schema.include.list", "missing closing )"},
		"a bad mask":     {map[string]string{"column.mask.with.5.chars": "("}, "column.mask.with.5.chars", "missing closing )"},
		"no such mask":   {map[string]string{"column.mask.with.five.chars": "a.b.c"}, "column.mask.with.five.chars", "column.mask.with.<n>.chars"},
		"no such hash":   {map[string]string{"column.mask.hash.v2.CRC.with.salt.x": "a.b.c"}, "column.mask.hash.v2.CRC.with.salt.x", "SHA-256"},
		"a huge mask":    {map[string]string{"column.mask.with.99999999999999999999.chars": "a.b.c"}, "column.mask.with.99999999999999999999.chars", "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := newFilter(t, c.raw)
			if len(problems) != 1 || problems[0].Key != c.key || !strings.Contains(problems[0].Message, c.text) {
				t.Errorf("got %v", problems)
			}
		})
	}
}

func TestRelationalSettings_EveryDefinitionOnceAndComplete(t *testing.T) {
	t.Parallel()
	lists := [][]settings.Def{connectionSettings("G"), streamSettings(), snapshotSettings(), valueSettings(), eventSettings(), hiddenSettings()}
	set := settings.NewSet(lists...) // panics on a key given twice
	for _, d := range set.Defs() {
		if d.Doc == "" || d.Importance == "" || d.Group == "" || d.DisplayName == "" || d.Width == "" {
			t.Errorf("%s lacks something: %+v", d.Key, d)
		}
	}
	if _, problems := set.Parse(map[string]string{"topic.prefix": "p", "database.hostname": "h", "database.user": "u"}); len(problems) > 0 {
		t.Errorf("a minimal configuration has problems: %v", problems)
	}
}

func TestFilter_Select(t *testing.T) {
	t.Parallel()
	f, problems := newFilter(t, map[string]string{
		"snapshot.select.statement.overrides":          "s.a, db.s.b,,s.none",
		"snapshot.select.statement.overrides.s.a":      " SELECT 1 ;\n",
		"snapshot.select.statement.overrides.db.s.b":   "SELECT 2",
		"snapshot.select.statement.overrides.s.other":  "SELECT 3",
		"snapshot.select.statement.overrides.s.absent": "",
	})
	for _, want := range []string{"snapshot.select.statement.overrides.s.none with the SELECT", "s.other' setting has no effect unless"} {
		if !slices.ContainsFunc(problems, func(p settings.Problem) bool { return strings.Contains(p.Message, want) }) {
			t.Errorf("no problem says %q: %v", want, problems)
		}
	}
	if len(problems) != 2 {
		t.Errorf("problems: %v", problems)
	}
	for table, want := range map[string]string{"a": "SELECT 1", "b": "SELECT 2", "other": ""} {
		sql, setting := f.Select("db", "s", table)
		if sql != want || (setting == "") != (want == "") {
			t.Errorf("%s: %q of %q, want %q", table, sql, setting, want)
		}
	}
}
