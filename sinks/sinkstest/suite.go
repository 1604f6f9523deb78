package sinkstest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
)

// Target is a destination under test, empty at the start.
type Target struct {
	// Topic is the topic whose records go to what Contents reads.
	Topic string
	Sink  sinks.Sink
	// Contents returns the rows that are there, by id, as text: a document
	// with the fields id, name, n, body.
	Contents func(t *testing.T) map[int64]map[string]string
	// Poison returns what makes a row that the destination refuses for good.
	Poison func() Row
	// Truncates says that the sink empties the destination at a truncate.
	Truncates bool
}

// Run runs the suite. open returns a fresh target for each test; it cleans up
// after itself.
func Run(t *testing.T, open func(t *testing.T) Target) {
	t.Run("Envelopes", func(t *testing.T) { upsertsAndDeletes(t, open(t), NewTable, true) })
	t.Run("SchemalessEnvelopes", func(t *testing.T) { upsertsAndDeletes(t, open(t), Schemaless, true) })
	t.Run("Flattened", func(t *testing.T) { upsertsAndDeletes(t, open(t), NewTable, false) })
	t.Run("SchemalessFlattened", func(t *testing.T) { upsertsAndDeletes(t, open(t), Schemaless, false) })
	t.Run("OrderOfAKey", func(t *testing.T) { orderOfAKey(t, open(t)) })
	t.Run("Redelivery", func(t *testing.T) { redelivery(t, open(t)) })
	t.Run("Poison", func(t *testing.T) { poison(t, open(t)) })
	t.Run("MissingValue", func(t *testing.T) { missingValue(t, open(t)) })
	t.Run("Truncate", func(t *testing.T) { truncate(t, open(t)) })
}

func (target *Target) write(t *testing.T, records ...schema.Record) {
	t.Helper()
	if err := target.Sink.Write(t.Context(), records); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func (target *Target) expect(t *testing.T, want map[int64]Row) {
	t.Helper()
	got := target.Contents(t)
	texts := map[int64]map[string]string{}
	for id, r := range want {
		texts[id] = r.fields(id)
	}
	for id := range texts {
		if !maps.Equal(got[id], texts[id]) {
			t.Errorf("row %d is %v, want %v", id, brief(got[id]), brief(texts[id]))
		}
	}
	for id := range got {
		if texts[id] == nil {
			t.Errorf("row %d is %v, but should not be there", id, brief(got[id]))
		}
	}
}

func brief(fields map[string]string) string {
	text := fmt.Sprint(fields)
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}

func upsertsAndDeletes(t *testing.T, target Target, table func(string) *Table, envelopes bool) {
	tab := table(target.Topic)
	rec := func(op schema.Op, id int64, r *Row) schema.Record {
		if envelopes {
			return tab.Event(op, id, r)
		}
		return tab.Flat(id, r)
	}
	target.write(t,
		rec(schema.OpRead, 1, &Row{"one", 1, "a"}),
		rec(schema.OpRead, 2, &Row{"two", 2, "b"}),
		rec(schema.OpCreate, 3, &Row{"three", 3, ""}),
	)
	target.expect(t, map[int64]Row{1: {"one", 1, "a"}, 2: {"two", 2, "b"}, 3: {"three", 3, ""}})
	target.write(t,
		rec(schema.OpUpdate, 2, &Row{"zwei", -2, "ü €"}),
		rec(schema.OpDelete, 1, nil),
		tab.Flat(1, nil), // the tombstone
		rec(schema.OpDelete, 99, nil),
	)
	target.expect(t, map[int64]Row{2: {"zwei", -2, "ü €"}, 3: {"three", 3, ""}})
	target.write(t, rec(schema.OpCreate, 1, &Row{"again", 1, ""}))
	target.expect(t, map[int64]Row{1: {"again", 1, ""}, 2: {"zwei", -2, "ü €"}, 3: {"three", 3, ""}})
}

func orderOfAKey(t *testing.T, target Target) {
	tab := NewTable(target.Topic)
	var records []schema.Record
	want := map[int64]Row{}
	for i := range 200 {
		id := int64(i % 7)
		if i%11 == 3 {
			records = append(records, tab.Event(schema.OpDelete, id, nil))
			delete(want, id)
			continue
		}
		r := Row{"row", int32(i), "x"}
		records = append(records, tab.Event(schema.OpUpdate, id, &r))
		want[id] = r
	}
	target.write(t, records...)
	target.expect(t, want)
}

// redelivery applies a random history, then any suffix of it again, in any
// split into batches: the destination has to end as the history ends.
func redelivery(t *testing.T, target Target) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	tab := NewTable(target.Topic)
	var log []schema.Record
	state := map[int64]Row{}
	for i := range 120 {
		id := rng.Int64N(12)
		old, there := state[id]
		switch {
		case !there:
			r := Row{"new", int32(i), strings.Repeat("t", rng.IntN(5))}
			log = append(log, tab.Event(schema.OpCreate, id, &r))
			state[id] = r
		case rng.IntN(4) == 0:
			log = append(log, tab.Event(schema.OpDelete, id, nil), tab.Flat(id, nil))
			delete(state, id)
		case rng.IntN(3) == 0:
			// The body did not change and is not in the log.
			log = append(log, tab.Event(schema.OpUpdate, id, &Row{"partial", int32(i), Missing}))
			state[id] = Row{"partial", int32(i), old.Body}
		default:
			r := Row{"changed", int32(i), strings.Repeat("u", rng.IntN(5))}
			log = append(log, tab.Event(schema.OpUpdate, id, &r))
			state[id] = r
		}
	}
	apply := func(records []schema.Record) {
		for len(records) > 0 {
			n := 1 + rng.IntN(min(len(records), 40))
			target.write(t, records[:n]...)
			records = records[n:]
		}
	}
	apply(log)
	target.expect(t, state)
	for range 6 {
		apply(log[rng.IntN(len(log)):])
		target.expect(t, state)
	}
}

// poison mixes records that are refused for good with others: exactly those
// are named, and all others are applied.
func poison(t *testing.T, target Target) {
	tab := NewTable(target.Topic)
	bad := target.Poison()
	target.write(t, tab.Event(schema.OpCreate, 1, &Row{"one", 1, ""}))
	records := []schema.Record{
		tab.Event(schema.OpCreate, 2, &Row{"two", 2, ""}),
		tab.Event(schema.OpCreate, 3, &bad), // the first of its key
		tab.Event(schema.OpUpdate, 1, &Row{"uno", 10, ""}),
		tab.Event(schema.OpUpdate, 1, &bad), // the last of its key
		tab.Event(schema.OpUpdate, 2, &bad), // in the middle
		tab.Event(schema.OpUpdate, 2, &Row{"dos", 20, ""}),
		tab.Event(schema.OpCreate, 4, &Row{"four", 4, ""}),
	}
	err := target.Sink.Write(t.Context(), records)
	var failed *sinks.WriteError
	if !errors.As(err, &failed) {
		t.Fatalf("Write: %v, want a *sinks.WriteError", err)
	}
	var at []int
	for _, f := range failed.Failed {
		at = append(at, f.Index)
		if f.Retriable || f.Err == nil {
			t.Errorf("record %d: retriable %t, error %v; it is refused for good", f.Index, f.Retriable, f.Err)
		}
	}
	// The one in the middle need not have been sent: what follows it replaces
	// the whole row.
	if !slices.Equal(at, []int{1, 3}) && !slices.Equal(at, []int{1, 3, 4}) {
		t.Errorf("failed records %v, want 1, 3 and perhaps 4", at)
	}
	target.expect(t, map[int64]Row{1: {"uno", 10, ""}, 2: {"dos", 20, ""}, 4: {"four", 4, ""}})
}

// missingValue updates a row without a value that is not in the log: the
// destination keeps its own.
func missingValue(t *testing.T, target Target) {
	tab := NewTable(target.Topic)
	target.write(t, tab.Event(schema.OpCreate, 1, &Row{"one", 1, "large"}))
	target.write(t, tab.Event(schema.OpUpdate, 1, &Row{"uno", 2, Missing}))
	target.expect(t, map[int64]Row{1: {"uno", 2, "large"}})
	// In one batch: after a row that is complete, and before one.
	target.write(t,
		tab.Event(schema.OpCreate, 2, &Row{"two", 2, "body"}),
		tab.Event(schema.OpUpdate, 2, &Row{"dos", 3, Missing}),
		tab.Event(schema.OpUpdate, 1, &Row{"un", 3, Missing}),
		tab.Event(schema.OpUpdate, 1, &Row{"eins", 4, "small"}),
		tab.Event(schema.OpUpdate, 2, &Row{"zwei", 4, Missing}),
		tab.Event(schema.OpUpdate, 1, &Row{"ein", 5, Missing}),
	)
	target.expect(t, map[int64]Row{1: {"ein", 5, "small"}, 2: {"zwei", 4, "body"}})
	// A row of that key again does not inherit what the deleted one had.
	target.write(t,
		tab.Event(schema.OpDelete, 1, nil),
		tab.Event(schema.OpCreate, 1, &Row{"new", 6, "b"}),
		tab.Event(schema.OpUpdate, 1, &Row{"newer", 7, Missing}),
	)
	target.expect(t, map[int64]Row{1: {"newer", 7, "b"}, 2: {"zwei", 4, "body"}})
}

func truncate(t *testing.T, target Target) {
	if !target.Truncates {
		return // it says so in its documentation; nothing to hold it to
	}
	tab := NewTable(target.Topic)
	target.write(t,
		tab.Event(schema.OpCreate, 1, &Row{"one", 1, ""}),
		tab.Event(schema.OpCreate, 2, &Row{"two", 2, ""}),
		tab.Truncate(),
		tab.Event(schema.OpCreate, 3, &Row{"three", 3, ""}),
	)
	target.expect(t, map[int64]Row{3: {"three", 3, ""}})
}
