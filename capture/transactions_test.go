package capture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/schema"
)

// transactionTable has a key and one more column.
func transactionTable(name string) *schema.Table {
	return &schema.Table{
		Schema: "s", Name: name, Key: []int{0}, Source: &schema.Schema{Type: schema.TypeStruct},
		Columns: []schema.Column{{Name: "id", Schema: requiredInt64}, {Name: "v", Schema: optionalInt64}},
	}
}

// script appends events as text says, a word for each: ( and ) are the bounds
// of a transaction, otherwise an operation and a table; k is an update that
// changes the key.
func script(b *schema.Batch, tables map[string]*schema.Table, text string) {
	for _, word := range strings.Fields(text) {
		ev := b.Append()
		ev.Op, ev.Transaction = schema.Op(word[0]), NewTransactionBlock(&b.Arena, []byte("tx"))
		if len(word) == 1 {
			continue
		}
		ev.Table = tables[word[1:]]
		before, after := b.Row(2), b.Row(2)
		after[1] = schema.Int(1)
		switch word[0] {
		case 'k':
			ev.Op = schema.OpUpdate
			before[0], after[0] = schema.Int(1), schema.Int(2)
			ev.Before, ev.After = before, after
		case 'u':
			ev.Before, ev.After = before, after
		case 'd':
			ev.Before = before
		case 'c':
			ev.After = after
		}
	}
}

// numbers shows what the counter has made of the events.
func numbers(b *schema.Batch) string {
	var out []string
	for i := range b.Events {
		ev := &b.Events[i]
		switch {
		case ev.Record == nil && ev.Transaction[blockTotal].IsNull():
			out = append(out, "-")
		case ev.Record == nil:
			out = append(out, fmt.Sprintf("%d/%d", ev.Transaction[blockTotal].Int(), ev.Transaction[blockOrder].Int()))
		default:
			v := ev.Record.Value.Value.Elems()
			text := string(v[0].Bytes())
			if !v[2].IsNull() {
				text += fmt.Sprint(" ", v[2].Int())
			}
			for _, c := range v[3].Elems() {
				text += fmt.Sprintf(" %s=%d", c.Elems()[0].Bytes(), c.Elems()[1].Int())
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

func TestCounter_Numbers(t *testing.T) {
	t.Parallel()
	tables := map[string]*schema.Table{}
	for _, name := range []string{"orders", "items", "a", "b"} {
		tables[name] = transactionTable(name)
	}
	for name, c := range map[string]struct {
		skip []schema.Op
		in   string
		want string
	}{
		"per transaction and table": {nil, "( corders citems citems uorders ) ( corders )", "BEGIN, 1/1, 2/1, 3/2, 4/2, END 4 s.orders=2 s.items=2, BEGIN, 1/1, END 1 s.orders=1"},
		"a changed key is two":      {nil, "( korders corders )", "BEGIN, 1/1, 3/3, END 3 s.orders=3"},
		"what is skipped is none":   {[]schema.Op{schema.OpUpdate}, "( uitems corders )", "BEGIN, -, 1/1, END 1 s.orders=1"},
		"a changed key, deletes skipped": {
			[]schema.Op{schema.OpDelete, schema.OpUpdate}, "( korders corders )", "BEGIN, 1/1, 2/2, END 2 s.orders=2",
		},
		"nothing": {nil, "( )", "BEGIN, END 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counter, err := newCounter(newShaper(Shape{Skip: c.skip}), "topic", nil)
			if err != nil {
				t.Fatal(err)
			}
			var b schema.Batch
			script(&b, tables, c.in)
			if err := counter.number(&b); err != nil {
				t.Fatal(err)
			}
			if got := numbers(&b); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestCounter_GoesOnAfterARestart stops a transaction after each of its
// events, and has another counter go on from the position.
func TestCounter_GoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	tables := map[string]*schema.Table{"a": transactionTable("a"), "b": transactionTable(`b "x"`)}
	words := strings.Fields("( ca cb ka ub db ca )")
	const want = `BEGIN, 1/1, 2/1, 3/2, 5/2, 6/3, 7/4, END 7 s.a=4 s.b "x"=3`
	for stop := 1; stop < len(words); stop++ {
		shaper := newShaper(Shape{})
		var b schema.Batch
		var got []string
		from := schema.Position(`{"at":1}`)
		for _, part := range [][]string{words[:stop], words[stop:]} {
			counter, err := newCounter(shaper, "topic", from)
			if err != nil {
				t.Fatal(err)
			}
			b.Reset()
			script(&b, tables, strings.Join(part, " "))
			b.End, b.Inside = schema.Position(`{"at":2}`), true
			if err := counter.number(&b); err != nil {
				t.Fatal(err)
			}
			got = append(got, numbers(&b))
			from = b.End
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("stopped after %d:\ngot  %s\nwant %s", stop, text, want)
		}
	}
}

func TestCounter_RefusesACountThatIsNone(t *testing.T) {
	t.Parallel()
	for _, from := range []string{`{"transaction_data_collection_order_s.t":"x"}`, `{`} {
		if _, err := newCounter(newShaper(Shape{}), "topic", schema.Position(from)); !IsPermanent(err) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

// TestJavaBucket has what String.hashCode and HashMap of a Java 17 say.
func TestJavaBucket(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"é😀": 948242, "g.items": 931431} {
		if got := javaBucket(name, 1<<20); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
