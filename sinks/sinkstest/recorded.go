package sinkstest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
)

// Recorded returns a recording of events as a sink gets them, in order, each
// topic as one partition. With schemas they have those that they were recorded
// with; without, they are read as topics without schemas have them.
func Recorded(t testing.TB, path string, schemas bool) []schema.Record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	c := converters.NewJSON(converters.JSONConfig{Schemas: schemas})
	decode := func(topic string, text json.RawMessage) schema.Data {
		if string(text) == "null" {
			return schema.Data{}
		}
		if !schemas {
			var e struct {
				Payload json.RawMessage `json:"payload"`
			}
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			text = e.Payload
		}
		d, err := c.Decode(t.Context(), topic, text, new(schema.Arena))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	var records []schema.Record
	next := map[string]int64{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r struct {
			Topic      string
			Key, Value json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, schema.Record{
			Topic: r.Topic, Offset: next[r.Topic],
			Key: decode(r.Topic, r.Key), Value: decode(r.Topic, r.Value),
		})
		next[r.Topic]++
	}
	if lines.Err() != nil || len(records) == 0 {
		t.Fatalf("%s: %d records: %v", path, len(records), lines.Err())
	}
	return records
}

// Fold returns the keys of the rows that are left of a log, by topic, when the
// records for which refused is true are left out. A record without a key is a
// row by itself.
func Fold(records []schema.Record, refused func(i int) bool) map[string]map[string]bool {
	rows := map[string]map[string]bool{}
	var changes sinks.Changes
	for i := range records {
		r := &records[i]
		of := rows[r.Topic]
		if of == nil {
			of = map[string]bool{}
			rows[r.Topic] = of
		}
		key := r.Key.Value.GoString()
		if r.Key.Value.IsNull() {
			key = fmt.Sprint(r.Offset)
		}
		switch c := changes.Read(r, true); {
		case refused(i), c.Op == schema.OpMessage:
		case c.Op == schema.OpTruncate:
			clear(of)
		case c.Op == schema.OpDelete:
			delete(of, key)
		default:
			of[key] = true
		}
	}
	return rows
}
