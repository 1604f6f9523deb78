package capture

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// TestColumnRules has what a Java 17 says of the hashes.
func TestColumnRules(t *testing.T) {
	t.Parallel()
	const long = 70000
	for name, c := range map[string]struct {
		key  string
		typ  schema.Type
		len  int // of the column, 0 for 50
		in   schema.Value
		want string // as GoString
	}{
		"asterisks":          {"column.mask.with.3.chars", schema.TypeString, 0, schema.Text("Ada"), `"***"`},
		"no asterisks":       {"column.mask.with.0.chars", schema.TypeString, 0, schema.Text("Ada"), `""`},
		"asterisks for null": {"column.mask.with.3.chars", schema.TypeString, 0, schema.Value{}, `"***"`},
		"a number":           {"column.mask.with.3.chars", schema.TypeInt32, 0, schema.Int(7), `7`},
		"hash": {
			"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 64, schema.Text("Ada"),
			`"841b7949776bedeba7c014d61e12c726f205ea6a7526f73fe7b1b8dda460a1e8"`,
		},
		"hash, cut to the column":  {"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 5, schema.Text("Ada"), `"841b7"`},
		"hash of nothing":          {"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Text(""), `"5b3d6ca0"`},
		"hash beyond Latin":        {"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Text("é😀\x00z"), `"9aa8209d"`},
		"hash of a long text":      {"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Text(strings.Repeat("x", long)), `"7fab0c04"`},
		"hash of null":             {"column.mask.hash.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Value{}, `null`},
		"hash 2":                   {"column.mask.hash.v2.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Text("é😀\x00z"), `"eee47764"`},
		"hash 2 of nothing":        {"column.mask.hash.v2.sha-256.with.salt.salt", schema.TypeString, 8, schema.Text(""), `"63479ad6"`},
		"a placeholder is hashed":  {"column.mask.hash.v2.SHA-256.with.salt.salt", schema.TypeString, 8, schema.Absent(), `"dea92600"`},
		"cut":                      {"column.truncate.to.2.chars", schema.TypeString, 0, schema.Text("Ada"), `"Ad"`},
		"cut, short enough":        {"column.truncate.to.3.chars", schema.TypeString, 0, schema.Text("Ada"), `"Ada"`},
		"cut, in UTF-16":           {"column.truncate.to.3.chars", schema.TypeString, 0, schema.Text("é😀z"), `"é😀"`},
		"cut, no half a character": {"column.truncate.to.2.chars", schema.TypeString, 0, schema.Text("é😀z"), `"é"`},
		"cut, not by the column":   {"column.truncate.to.2.chars", schema.TypeString, 2, schema.Text("Ada"), `"Ada"`},
		"cut bytes":                {"column.truncate.to.2.chars", schema.TypeBytes, 0, schema.Bytes([]byte{1, 2, 3}), `0x0102`},
		"cut null":                 {"column.truncate.to.2.chars", schema.TypeString, 0, schema.Value{}, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, problems := ParseColumnRules(map[string]string{c.key: `s\.t\.V`})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			placeholder := schema.Text("Ada")
			column := schema.Column{Name: "v", Schema: &schema.Schema{Type: c.typ}, Absent: &placeholder, Origin: schema.Origin{Length: c.len, Scale: -1}}
			if c.len == 0 {
				column.Origin.Length = 50
			}
			rule := ruleFor(rules, &schema.Table{Schema: "s", Name: "t"}, &column)
			if rule == nil {
				t.Fatal("no rule")
			}
			got := c.in
			var text []byte
			if change, any := rule.changeOf(&column, 0); any {
				got = change.apply(&text, c.in)
			}
			if got.GoString() != c.want {
				t.Errorf("got %#v, want %s", got, c.want)
			}
		})
	}
}

func TestHashing_Algorithms(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"MD5": "0cc175b9c0f1b6a831c399e269772661", "SHA-1": "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
		"SHA-224":     "abd37534c7d9a2efb9465de931cd7055ffdb8879563ae98078d6d6d5",
		"SHA-384":     "54a59b9f22b0b80880d8427e548b7c23abd873486e1f035dce9cd697e85175033caa88e6d57bc35efae0b5afd3145f31",
		"SHA-512/256": "455e518824bc0601f9fb858ff5c37d417d67c2f8e0df2babe4808858aea830f8",
		"SHA3-256":    "80084bf2fba02475726feb2cab2d8215eab14bc6bdd8bfb2c8151257032ecd8b",
	} {
		h, err := newHashing(name, "", func(dst, text []byte) []byte { return append(dst, text...) })
		if err != nil {
			t.Fatal(err)
		}
		var text []byte
		if got := string(h.of(&text, []byte("a")).Bytes()); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestColumnRules_Schema shows what consumers see of the rules, and that keys
// show nothing of them.
func TestColumnRules_Schema(t *testing.T) {
	t.Parallel()
	rules, problems := ParseColumnRules(map[string]string{
		"column.mask.with.2.chars":       `s.t.masked,s.t.id,s.t.number`,
		"column.truncate.to.3.chars":     `.*\.cut,.*\.narrow,s.t.masked2`,
		"column.propagate.source.type":   `.*\.masked,.*\.shown`,
		"datatype.propagate.source.type": `s\.t\.numeric`,
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	text := &schema.Schema{Type: schema.TypeString}
	column := func(name string, s *schema.Schema, o schema.Origin) schema.Column {
		return schema.Column{Name: name, Schema: s, Origin: o}
	}
	table := &schema.Table{Schema: "s", Name: "t", Key: []int{0}, Source: &schema.Schema{Type: schema.TypeStruct}, Columns: []schema.Column{
		column("id", text, schema.Origin{Type: "varchar", Length: 9, Scale: 0}),
		column("masked", text, schema.Origin{Type: "text", Length: -1, Scale: -1}),
		column("number", requiredInt64, schema.Origin{Type: "int8", Length: -1, Scale: -1}),
		column("cut", text, schema.Origin{Type: "text", Length: -1, Scale: -1}),
		column("narrow", text, schema.Origin{Type: "varchar", Length: 3, Scale: -1}),
		column("shown", text, schema.Origin{Type: "varchar", Length: 4, Scale: 0, Comment: "why"}),
		column("n", &schema.Schema{Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1, Parameters: []schema.Parameter{{Name: "scale", Value: "2"}}}, schema.Origin{Type: "numeric", Length: 5, Scale: 2}),
		column("plain", text, schema.Origin{Type: "text", Length: -1, Scale: -1}),
	}}
	sh := newShaper(Shape{Columns: rules})
	r, err := sh.rules(table)
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "__debezium.source.column."
	for i, want := range []string{
		"masked=true", "masked=true", "masked=true", "truncateLength=3", "",
		prefix + "type=VARCHAR " + prefix + "length=4 " + prefix + "scale=0 " + prefix + "comment=why " + prefix + "name=shown",
		"scale=2 " + prefix + "type=NUMERIC " + prefix + "length=5 " + prefix + "scale=2 " + prefix + "name=n",
		"",
	} {
		var got []string
		for _, p := range r.row.Fields[i].Schema.Parameters {
			got = append(got, p.Name+"="+p.Value)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", r.row.Fields[i].Name, text, want)
		}
	}
	if len(sh.field(&table.Columns[0]).Schema.Parameters) > 0 || len(table.Columns[6].Schema.Parameters) != 1 {
		t.Error("a key, or the table itself, shows the rules")
	}
}

// TestColumnRules_Events masks both images of a row and leaves its key alone.
func TestColumnRules_Events(t *testing.T) {
	t.Parallel()
	rules, _ := ParseColumnRules(map[string]string{"column.mask.with.2.chars": "s.t.id,s.t.name"})
	text := &schema.Schema{Type: schema.TypeString, Optional: true}
	table := &schema.Table{
		Schema: "s", Name: "t", Key: []int{0}, Source: &schema.Schema{Type: schema.TypeStruct},
		Columns: []schema.Column{{Name: "id", Schema: text}, {Name: "name", Schema: text}},
	}
	for name, c := range map[string]struct {
		skip    bool
		op      schema.Op
		before  schema.Row
		after   schema.Row
		wantKey string
		want    string
	}{
		"create": {
			op: schema.OpCreate, after: schema.Row{schema.Text("a"), schema.Text("Ada")},
			wantKey: `{"id":"a"}`, want: `{"before":null,"after":{"id":"**","name":"**"}`,
		},
		"update": {
			op: schema.OpUpdate, before: schema.Row{schema.Text("a"), schema.Text("Ada")}, after: schema.Row{schema.Text("a"), schema.Text("Eve")},
			wantKey: `{"id":"a"}`, want: `{"before":{"id":"**","name":"**"},"after":{"id":"**","name":"**"}`,
		},
		"delete": {
			op: schema.OpDelete, before: schema.Row{schema.Text("a"), {}},
			wantKey: `{"id":"a"}`, want: `{"before":{"id":"**","name":"**"},"after":null`,
		},
		"an update that does not show": {
			skip: true,
			op:   schema.OpUpdate, before: schema.Row{schema.Text("a"), schema.Text("Ada")}, after: schema.Row{schema.Text("a"), schema.Text("Eve")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			json := converters.NewJSON(converters.JSONConfig{})
			e := &encoder{shaper: newShaper(Shape{Naming: Naming{Prefix: "p", Delimiter: "."}, Key: json, Value: json, KeyHeader: json, Columns: rules, SkipUnchanged: c.skip})}
			b := newBatch(func(error) {})
			ev := b.Append()
			ev.Op, ev.Table, ev.Before, ev.After, ev.Source = c.op, table, c.before, c.after, schema.Row{}
			if err := e.encode(context.Background(), b, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			b.finish()
			if c.want == "" {
				if len(b.recs) > 0 {
					t.Errorf("got %s", b.recs[0].Value)
				}
				return
			}
			if len(b.recs) == 0 || string(b.recs[0].Key) != c.wantKey || !strings.HasPrefix(string(b.recs[0].Value), c.want) {
				t.Errorf("got %s %s", b.recs[0].Key, b.recs[0].Value)
			}
		})
	}
}

// TestEncoder_LeavesKeyColumnsOutOfRows publishes a column that is excluded in
// the key alone, whether an update changes it or not.
func TestEncoder_LeavesKeyColumnsOutOfRows(t *testing.T) {
	t.Parallel()
	rules, _ := ParseColumnRules(map[string]string{"column.mask.with.1.chars": "s.t.name"})
	text := &schema.Schema{Type: schema.TypeString, Optional: true}
	table := &schema.Table{
		Schema: "s", Name: "t", Key: []int{1}, Source: &schema.Schema{Type: schema.TypeStruct},
		Columns: []schema.Column{{Name: "a", Schema: text}, {Name: "id", Schema: text, KeyOnly: true}, {Name: "name", Schema: text}},
	}
	row := func(a, id, name string) schema.Row {
		return schema.Row{schema.Text(a), schema.Text(id), schema.Text(name)}
	}
	json := converters.NewJSON(converters.JSONConfig{})
	e := &encoder{shaper: newShaper(Shape{Naming: Naming{Prefix: "p", Delimiter: "."}, Key: json, Value: json, KeyHeader: json, Columns: rules, SkipUnchanged: true})}
	b := newBatch(func(error) {})
	for _, rows := range [][2]schema.Row{
		{row("a", "1", "x"), row("b", "1", "x")},
		{row("a", "1", "x"), row("b", "2", "x")},
		{row("a", "1", "x"), row("a", "2", "y")}, // nothing of it shows
	} {
		ev := b.Append()
		ev.Op, ev.Table, ev.Before, ev.After, ev.Source = schema.OpUpdate, table, rows[0], rows[1], schema.Row{}
	}
	if err := e.encode(context.Background(), b, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	b.finish()
	var got []string
	for _, r := range b.recs {
		value, _, _ := strings.Cut(string(r.Value), `,"source"`)
		got = append(got, string(r.Key)+" "+value)
	}
	want := []string{
		`{"id":"1"} {"before":{"a":"a","name":"*"},"after":{"a":"b","name":"*"}`,
		`{"id":"1"} {"before":{"a":"a","name":"*"},"after":null`,
		`{"id":"2"} {"before":null,"after":{"a":"b","name":"*"}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// TestEncoder_MasksWithoutAllocation holds for rows after the first.
func TestEncoder_MasksWithoutAllocation(t *testing.T) {
	rules, _ := ParseColumnRules(map[string]string{
		"column.mask.with.2.chars": ".*.status", "column.mask.hash.SHA-256.with.salt.x": ".*.name", "column.truncate.to.4.chars": ".*.note",
	})
	_, fill := wide()
	json := converters.NewJSON(converters.JSONConfig{})
	e := &encoder{shaper: newShaper(Shape{Naming: Naming{Prefix: "p", Delimiter: "."}, Key: json, Value: json, KeyHeader: json, Columns: rules})}
	b := newBatch(func(error) {})
	fill(&b.Batch)
	once := func() {
		b.pending, b.out = b.pending[:0], b.out[:0]
		if err := e.encode(context.Background(), b, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations an event", n)
	}
}
