package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// MaxDifferences is how many differences a Report holds in full. All are
// counted.
const MaxDifferences = 100

// Pair is one table and where it was written to.
type Pair struct {
	// Table is the source table, for MySQL with or without its database
	// ("orders", "shop.orders"), for Postgres with or without its schema.
	Table string
	// Target is the collection or index.
	Target string
	// Columns are those that were captured; empty means all.
	Columns []string
	// Extra are fields of the documents that are not columns.
	Extra []string
}

// Source is a database to compare from.
type Source interface {
	// describe returns the columns of a table and the places in them of its
	// primary key.
	describe(ctx context.Context, table string) (cols []Column, key []int, err error)
	// rows calls f with every row: a text for each column in the form that the
	// column's Class wants, nil for NULL. It is valid during the call.
	rows(ctx context.Context, table string, cols []Column, f func(row []*string) error) error
}

// Destination is a store to compare with.
type Destination interface {
	// documents calls f with every document's encoded form, which f may keep.
	documents(ctx context.Context, target string, f func(raw []byte) error) error
	// decode returns the fields of a document as Equal takes them, with the
	// document's identity under the name "_id".
	decode(raw []byte) (map[string]any, error)
}

// Kind says in which way two sides differ.
type Kind string

// The kinds of difference.
const (
	Missing   Kind = "missing"   // the row has no document
	Surplus   Kind = "surplus"   // the document has no row
	Duplicate Kind = "duplicate" // another document of the same key
	Unequal   Kind = "unequal"   // the field's value differs
	Unknown   Kind = "unknown"   // the document's field is no column
)

// Difference is one thing in which the destination differs.
type Difference struct {
	Table string
	Key   string
	Kind  Kind
	// Field is empty where the whole row or document is missing.
	Field string
	// Source and Destination are the values as text.
	Source, Destination string
}

// String renders the difference in one line.
func (d Difference) String() string {
	where := fmt.Sprintf("%s [%s]", d.Table, d.Key)
	switch d.Kind {
	case Missing:
		return where + ": the row is not in the destination"
	case Surplus:
		return where + ": the destination's document has no row: " + clip(d.Destination)
	case Duplicate:
		return where + ": the destination has another document of this key: " + clip(d.Destination)
	case Unknown:
		return fmt.Sprintf("%s.%s: the destination has a field that is no column: %s", where, d.Field, clip(d.Destination))
	default:
		return fmt.Sprintf("%s.%s: source %s, destination %s", where, d.Field, clip(d.Source), clip(d.Destination))
	}
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:most], ""), len(s))
	}
	return s
}

// TableReport counts one table.
type TableReport struct {
	Table, Target   string
	Rows, Documents int
	Fields          int // values compared
	Differences     int
}

// Report is the outcome of a comparison.
type Report struct {
	Tables []TableReport
	// Differences are the first MaxDifferences of Total.
	Differences []Difference
	Total       int
}

// Equal reports whether both sides hold the same, and hold anything at all: a
// comparison of nothing proves nothing.
func (r *Report) Equal() bool {
	if r == nil || r.Total > 0 || len(r.Tables) == 0 {
		return false
	}
	rows := 0
	for _, t := range r.Tables {
		rows += t.Rows
	}
	return rows > 0
}

// Rows returns the number of source rows in all tables.
func (r *Report) Rows() int {
	n := 0
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// String renders a table of counts and the first ten differences.
func (r *Report) String() string {
	if r == nil {
		return "no report"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "table\trows\tdocuments\tvalues compared\tdifferences\t")
	for _, t := range r.Tables {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", t.Table, t.Rows, t.Documents, t.Fields, t.Differences)
	}
	_ = w.Flush() // into memory
	for i, d := range r.Differences {
		if i == 10 {
			fmt.Fprintf(&b, "… and %d more\n", r.Total-i)
			break
		}
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

func (r *Report) add(t *TableReport, d Difference) {
	d.Table = t.Table
	t.Differences++
	r.Total++
	if len(r.Differences) < MaxDifferences {
		r.Differences = append(r.Differences, d)
	}
}

// Run compares each pair. An error says that the comparison could not be made;
// differences are in the report.
func Run(ctx context.Context, src Source, dst Destination, pairs []Pair) (*Report, error) {
	r := &Report{}
	for _, p := range pairs {
		if err := r.compare(ctx, src, dst, p); err != nil {
			return r, fmt.Errorf("compare %s with %s: %w", p.Table, p.Target, err)
		}
	}
	return r, nil
}

func (r *Report) compare(ctx context.Context, src Source, dst Destination, p Pair) error {
	cols, key, err := src.describe(ctx, p.Table)
	if err != nil {
		return err
	}
	if cols, key, err = choose(cols, key, p.Columns); err != nil {
		return err
	}
	r.Tables = append(r.Tables, TableReport{Table: p.Table, Target: p.Target})
	t := &r.Tables[len(r.Tables)-1]

	// The destination is held in memory in its encoded form, so that neither
	// side has to sort as the other does.
	docs := map[string][]byte{}
	err = dst.documents(ctx, p.Target, func(raw []byte) error {
		t.Documents++
		fields, err := dst.decode(raw)
		if err != nil {
			return err
		}
		k, ok := documentKey(cols, key, fields)
		if !ok {
			r.add(t, Difference{Key: fmt.Sprint(fields["_id"]), Kind: Surplus, Destination: show(fields)})
			return nil
		}
		if _, twice := docs[k]; twice {
			r.add(t, Difference{Key: k, Kind: Duplicate, Destination: show(fields)})
			return nil
		}
		docs[k] = raw
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the destination: %w", err)
	}

	known := map[string]bool{"_id": true}
	for _, c := range cols {
		known[c.Name] = true
	}
	for _, f := range p.Extra {
		known[f] = true
	}
	err = src.rows(ctx, p.Table, cols, func(row []*string) error {
		t.Rows++
		k, err := rowKey(cols, key, row)
		if err != nil {
			return err
		}
		raw, ok := docs[k]
		if !ok {
			r.add(t, Difference{Key: k, Kind: Missing})
			return nil
		}
		delete(docs, k)
		fields, err := dst.decode(raw)
		if err != nil {
			return err
		}
		for i, c := range cols {
			t.Fields++
			got := field(cols, key, fields, c.Name)
			same, err := Equal(c, row[i], got)
			if err != nil {
				return fmt.Errorf("column %s of row %s: %w", c.Name, k, err)
			}
			if !same {
				r.add(t, Difference{Key: k, Kind: Unequal, Field: c.Name, Source: showText(row[i]), Destination: show(got)})
			}
		}
		// A key that stands in the identity and in a field must agree.
		if id, ok := fields["_id"].(map[string]any); ok {
			for _, i := range key {
				v, there := id[cols[i].Name]
				if same, err := Equal(cols[i], row[i], v); there && (err != nil || !same) {
					r.add(t, Difference{Key: k, Kind: Unequal, Field: "_id." + cols[i].Name, Source: showText(row[i]), Destination: show(v)})
				}
			}
		}
		for name, v := range fields {
			if !known[name] {
				r.add(t, Difference{Key: k, Kind: Unknown, Field: name, Destination: show(v)})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}

	left := make([]string, 0, len(docs))
	for k := range docs {
		left = append(left, k)
	}
	slices.Sort(left)
	for _, k := range left {
		fields, err := dst.decode(docs[k])
		if err != nil {
			return err
		}
		r.add(t, Difference{Key: k, Kind: Surplus, Destination: show(fields)})
	}
	return nil
}

// choose restricts the columns to the named ones.
func choose(cols []Column, key []int, names []string) ([]Column, []int, error) {
	if len(key) == 0 {
		return nil, nil, errors.New("the table has no primary key to compare by")
	}
	if len(names) == 0 {
		return cols, key, nil
	}
	var (
		chosen []Column
		at     = map[int]int{}
	)
	for i, c := range cols {
		if slices.Contains(names, c.Name) {
			at[i] = len(chosen)
			chosen = append(chosen, c)
		}
	}
	if len(chosen) != len(names) {
		return nil, nil, fmt.Errorf("not all of the columns %q exist", names)
	}
	places := make([]int, 0, len(key))
	for _, i := range key {
		place, ok := at[i]
		if !ok {
			return nil, nil, fmt.Errorf("the key column %s is not among those to compare", cols[i].Name)
		}
		places = append(places, place)
	}
	return chosen, places, nil
}

// field returns the value of a column in a document. Key columns may be in the
// document's identity only: as its fields, or, if there is one, as itself.
func field(cols []Column, key []int, fields map[string]any, name string) any {
	if v, ok := fields[name]; ok {
		return v
	}
	for _, i := range key {
		if cols[i].Name != name {
			continue
		}
		if id, ok := fields["_id"].(map[string]any); ok {
			return id[name]
		}
		if len(key) == 1 {
			return fields["_id"]
		}
	}
	return nil
}

func documentKey(cols []Column, key []int, fields map[string]any) (string, bool) {
	var parts []string
	for _, i := range key {
		s, ok := canonical(cols[i], field(cols, key, fields, cols[i].Name))
		if !ok {
			return "", false
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "|"), true
}

func rowKey(cols []Column, key []int, row []*string) (string, error) {
	var parts []string
	for _, i := range key {
		if row[i] == nil {
			return "", fmt.Errorf("the key column %s is NULL", cols[i].Name)
		}
		s, ok := canonicalText(cols[i], *row[i])
		if !ok {
			return "", fmt.Errorf("no rule to compare the key column %s, a %s, by", cols[i].Name, cols[i].Type)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "|"), nil
}
