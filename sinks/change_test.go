package sinks_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

func TestChanges_SeeEnvelopesAndRows(t *testing.T) {
	t.Parallel()
	row := &sinkstest.Row{Name: "one", N: 1, Body: "b"}
	for name, tab := range map[string]*sinkstest.Table{"Schemas": sinkstest.NewTable("t"), "Schemaless": sinkstest.Schemaless("t")} {
		for _, c := range []struct {
			what          string
			record        schema.Record
			op            schema.Op
			envelope      bool
			tombstone     bool
			before, after bool
		}{
			{"read", tab.Event(schema.OpRead, 1, row), schema.OpRead, true, false, false, true},
			{"create", tab.Event(schema.OpCreate, 1, row), schema.OpCreate, true, false, false, true},
			{"update", tab.Event(schema.OpUpdate, 1, row), schema.OpUpdate, true, false, false, true},
			{"delete", tab.Event(schema.OpDelete, 1, nil), schema.OpDelete, true, false, true, false},
			{"truncate", tab.Truncate(), schema.OpTruncate, true, false, false, false},
			{"row", tab.Flat(1, row), schema.OpUpdate, false, false, false, true},
			{"tombstone", tab.Flat(1, nil), schema.OpDelete, false, true, false, false},
		} {
			var changes sinks.Changes
			for range 2 { // the second time the plan is there
				got := changes.Read(&c.record, true)
				if got.Op != c.op || got.Envelope != c.envelope || got.Tombstone != c.tombstone || got.Before.Value.IsNull() == c.before || got.After.Value.IsNull() == c.after {
					t.Errorf("%s: %s: %+v", name, c.what, got)
				}
				if c.envelope && got.TimeMicros != 1_700_000_000_000_000 {
					t.Errorf("%s: %s: time %d", name, c.what, got.TimeMicros)
				}
			}
			if got := changes.Read(&c.record, false); got.Envelope || got.Tombstone != c.tombstone {
				t.Errorf("%s: %s: %+v, without unwrapping", name, c.what, got)
			}
		}
	}
}

// TestChanges_TakeNoRowForAnEnvelope has rows with columns of an envelope's
// names.
func TestChanges_TakeNoRowForAnEnvelope(t *testing.T) {
	t.Parallel()
	c := sinkstest.Converter(t, "json", map[string]string{"schemas.enable": "false"}, false)
	for _, text := range []string{
		`{"op":"c","after":{"a":1}}`,
		`{"op":"create","after":{"a":1},"source":{}}`,
		`{"op":"c","source":{"a":1},"id":3}`,
		`{"op":1,"after":1,"source":1}`,
		`{}`, `[1]`, `"c"`,
	} {
		var a schema.Arena
		d, err := c.Decode(t.Context(), "t", []byte(text), &a)
		if err != nil {
			t.Fatal(err)
		}
		var changes sinks.Changes
		if got := changes.Read(&schema.Record{Value: d}, true); got.Envelope || got.Op != schema.OpUpdate {
			t.Errorf("%s is taken for %+v", text, got)
		}
	}
}

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	placeholder := schema.Text(sinks.Unavailable)
	var numbers, others []schema.Value
	for i := range sinks.Unavailable {
		numbers = append(numbers, schema.Int(int64(sinks.Unavailable[i])))
		others = append(others, schema.Int(int64(i)))
	}
	for _, c := range []struct {
		what string
		v    schema.Value
		want bool
	}{
		{"absent", schema.Absent(), true},
		{"text", placeholder, true},
		{"bytes", schema.Bytes([]byte(sinks.Unavailable)), true},
		{"bytes in schemaless JSON", schema.Text("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="), true},
		{"array of text", schema.Seq(schema.KindArray, []schema.Value{placeholder}), true},
		{"array of numbers", schema.Seq(schema.KindArray, numbers), true},
		{"map", schema.Seq(schema.KindMap, []schema.Value{placeholder, placeholder}), true},
		{"null", schema.Value{}, false},
		{"other text", schema.Text("__debezium_unavailable_valuE"), false},
		{"longer text", schema.Text(sinks.Unavailable + " "), false},
		{"array of two", schema.Seq(schema.KindArray, []schema.Value{placeholder, placeholder}), false},
		{"other numbers", schema.Seq(schema.KindArray, others), false},
		{"other map", schema.Seq(schema.KindMap, []schema.Value{placeholder, schema.Text("v")}), false},
		{"empty array", schema.Seq(schema.KindArray, nil), false},
		{"number", schema.Int(1), false},
	} {
		if got := sinks.IsUnavailable(c.v); got != c.want {
			t.Errorf("%s: %t, want %t", c.what, got, c.want)
		}
	}
}

func TestLogical_AppendTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		logical sinks.Logical
		n       int64
		want    string
	}{
		{sinks.LogicalTimeMillis, 0, "00:00:00"},
		{sinks.LogicalTimeMillis, 3_723_004, "01:02:03.004"},
		{sinks.LogicalTimeMicros, 86_399_999_999, "23:59:59.999999"},
		{sinks.LogicalTimeMicros, 86_400_000_000, "24:00:00"},
		{sinks.LogicalTimeMicros, -3_020_399_000_000, "-838:59:59"},
		{sinks.LogicalTimeNanos, 1_500_000_000, "00:00:01.5"},
	} {
		if got := string(c.logical.AppendTime(nil, c.n)); got != c.want {
			t.Errorf("%d is %s, want %s", c.n, got, c.want)
		}
	}
}

// TestChanges_ReadRecordedEvents reads all that was recorded from Debezium:
// each change event is an envelope with a time, in either form.
func TestChanges_ReadRecordedEvents(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"postgres/events.schemas.jsonl.gz", "mysql/events.schemas.jsonl.gz", "mongodb/events.schemas.jsonl.gz"} {
		for _, schemas := range []bool{true, false} {
			var changes sinks.Changes
			envelopes := 0
			for _, r := range sinkstest.Recorded(t, "../integration/testdata/debezium/"+file, schemas) {
				c := changes.Read(&r, true)
				if r.Value.Value.IsNull() != c.Tombstone {
					t.Errorf("%s: %s: tombstone %t", file, r.Topic, c.Tombstone)
				}
				if !c.Envelope {
					continue
				}
				envelopes++
				// A change stream says what it says only if it is asked to.
				hasRow := !c.Row().Value.IsNull() || strings.HasPrefix(file, "mongodb")
				if c.TimeMicros < 1_700_000_000_000_000 || !hasRow && c.Op != schema.OpTruncate && c.Op != schema.OpMessage {
					t.Errorf("%s: %s: op %c at %d with row: %t", file, r.Topic, c.Op, c.TimeMicros, hasRow)
				}
			}
			if envelopes < 50 {
				t.Errorf("%s: only %d envelopes", file, envelopes)
			}
		}
	}
}
