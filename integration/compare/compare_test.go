package compare

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// table is a source in memory.
type table struct {
	cols []Column
	key  []int
	data [][]string // "NULL" is null
}

func (s table) describe(context.Context, string) ([]Column, []int, error) { return s.cols, s.key, nil }

func (s table) rows(_ context.Context, _ string, cols []Column, f func([]*string) error) error {
	for _, r := range s.data {
		var row []*string
		for _, c := range cols {
			for i := range s.cols {
				if s.cols[i].Name != c.Name {
					continue
				}
				if r[i] == "NULL" {
					row = append(row, nil)
				} else {
					row = append(row, &r[i])
				}
			}
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// store is a destination in memory: JSON objects.
type store []string

func (d store) documents(_ context.Context, _ string, f func([]byte) error) error {
	for _, doc := range d {
		if err := f([]byte(doc)); err != nil {
			return err
		}
	}
	return nil
}

func (d store) decode(raw []byte) (map[string]any, error) {
	v, err := parseJSON(string(raw))
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	return m, nil
}

func people() table {
	return table{
		cols: []Column{{Name: "id", Type: "int", Class: ClassInt}, {Name: "name", Type: "text", Class: ClassText}, {Name: "age", Type: "int", Class: ClassInt}},
		key:  []int{0},
		data: [][]string{{"1", "Ada", "36"}, {"2", "Grace", "NULL"}},
	}
}

func TestRun_FindsEveryKindOfDifference(t *testing.T) {
	t.Parallel()
	const ada, grace = `{"id":1,"name":"Ada","age":36}`, `{"id":2,"name":"Grace"}`
	cases := []struct {
		name string
		docs store
		pair Pair
		want []string // one part of each difference, in order
	}{
		{"none", store{grace, ada}, Pair{}, nil},
		{"key in the identity", store{`{"_id":{"id":1},"name":"Ada","age":36}`, `{"_id":2,"name":"Grace","age":null}`}, Pair{}, nil},
		{"a row is missing", store{ada}, Pair{}, []string{"[2]: the row is not in the destination"}},
		{"a document too many", store{ada, grace, `{"id":3,"name":"Eve"}`}, Pair{}, []string{"[3]: the destination's document has no row"}},
		{"a document twice", store{ada, grace, ada}, Pair{}, []string{"[1]: the destination has another document"}},
		{"a document without a key", store{ada, grace, `{"name":"Eve"}`}, Pair{}, []string{"has no row"}},
		{"a value differs", store{`{"id":1,"name":"ada","age":36}`, grace}, Pair{}, []string{`[1].name: source "Ada", destination "ada"`}},
		{"a type differs", store{`{"id":1,"name":"Ada","age":"36"}`, grace}, Pair{}, []string{`[1].age: source "36", destination "36"`}},
		{"a value is missing", store{`{"id":1,"name":"Ada"}`, grace}, Pair{}, []string{`[1].age: source "36", destination null`}},
		{"null where there is a value", store{ada, `{"id":2,"name":"Grace","age":0}`}, Pair{}, []string{`[2].age: source NULL, destination 0`}},
		{"a field too many", store{ada, `{"id":2,"name":"Grace","x":1}`}, Pair{}, []string{"[2].x: the destination has a field that is no column"}},
		{"a field too many that is known", store{ada, `{"id":2,"name":"Grace","x":1}`}, Pair{Extra: []string{"x"}}, nil},
		{"identity and field disagree", store{`{"_id":{"id":2},"id":1,"name":"Ada","age":36}`, grace}, Pair{}, []string{"[1]._id.id"}},
		{"some columns", store{`{"id":1,"age":36}`, `{"id":2}`}, Pair{Columns: []string{"id", "age"}}, nil},
		{"nothing arrived", nil, Pair{}, []string{"[1]: the row is not", "[2]: the row is not"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.pair.Table = "people"
			r, err := Run(t.Context(), people(), c.docs, []Pair{c.pair})
			if err != nil {
				t.Fatal(err)
			}
			if r.Equal() != (len(c.want) == 0) || r.Total != len(c.want) || r.Tables[0].Differences != len(c.want) {
				t.Fatalf("Equal = %v, Total = %d, want %d differences:\n%v", r.Equal(), r.Total, len(c.want), r)
			}
			for i, w := range c.want {
				if got := r.Differences[i].String(); !strings.Contains(got, w) {
					t.Errorf("difference %d is %q, want it to contain %q", i, got, w)
				}
				if !strings.Contains(r.String(), w) {
					t.Errorf("the report does not show %q:\n%v", w, r)
				}
			}
		})
	}
}

func TestRun_CompositeKeysDoNotCollide(t *testing.T) {
	t.Parallel()
	src := table{
		cols: []Column{{Name: "a", Type: "text", Class: ClassText}, {Name: "b", Type: "text", Class: ClassText}},
		key:  []int{1, 0},
		data: [][]string{{`x`, `y"|"z`}, {`z"|"x`, `y`}},
	}
	var docs store
	for _, row := range src.data {
		b, err := json.Marshal(map[string]string{"a": row[0], "b": row[1]})
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(b))
	}
	r, err := Run(t.Context(), src, docs, []Pair{{Table: "t"}})
	if err != nil || !r.Equal() {
		t.Fatalf("%v\n%v", err, r)
	}
}

func TestRun_NothingIsNotEqual(t *testing.T) {
	t.Parallel()
	src := people()
	src.data = nil
	r, err := Run(t.Context(), src, store{}, []Pair{{Table: "people"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Total != 0 || r.Equal() {
		t.Errorf("Total = %d, Equal = %v; an empty comparison must not pass", r.Total, r.Equal())
	}
	if (*Report)(nil).Equal() {
		t.Error("no report must not pass")
	}
}

func TestRun_RefusesWhatItCannotCompare(t *testing.T) {
	t.Parallel()
	noKey := people()
	noKey.key = nil
	for _, c := range []struct {
		name string
		src  table
		pair Pair
		want string
	}{
		{"no key", noKey, Pair{}, "no primary key"},
		{"unknown column", people(), Pair{Columns: []string{"id", "nick"}}, "not all of the columns"},
		{"key left out", people(), Pair{Columns: []string{"name"}}, "key column id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Run(t.Context(), c.src, store{}, []Pair{c.pair}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
