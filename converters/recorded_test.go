package converters_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// recorded is one line of a recording: a record as Debezium on Kafka Connect
// wrote it with the JSON converter. Key and value are the bytes as they were.
type recorded struct {
	Topic   string          `json:"topic"`
	Headers [][2]string     `json:"headers"`
	Key     json.RawMessage `json:"key"`
	Value   json.RawMessage `json:"value"`
}

const recordings = "../integration/testdata/debezium"

func readRecording(t testing.TB, path string) []recorded {
	t.Helper()
	f, err := os.Open(filepath.Join(recordings, path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var records []recorded
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	if lines.Err() != nil || len(records) == 0 {
		t.Fatalf("%d records: %v", len(records), lines.Err())
	}
	return records
}

// TestJSON_WritesRecordedEventsAgain reads every recorded key and value and
// writes it with the schema that came with it: the bytes must be the same.
func TestJSON_WritesRecordedEventsAgain(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"postgres/events.schemas.jsonl.gz", "postgres/events.variant1.jsonl.gz",
		"mysql/events.schemas.jsonl.gz", "mysql/events.variant1.jsonl.gz",
		"mongodb/events.schemas.jsonl.gz", "mongodb/events.changestreams.jsonl.gz",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			withSchemas := converters.NewJSON(converters.JSONConfig{Schemas: true})
			plain := converters.NewJSON(converters.JSONConfig{})
			var a schema.Arena
			compared := 0
			for i, r := range readRecording(t, file) {
				for _, text := range [][]byte{r.Key, r.Value} {
					if string(text) == "null" {
						continue // a tombstone, or no key
					}
					a.Reset()
					compared++
					writesAgain(t, withSchemas, i+1, r.Topic, text, &a)
					writesAgain(t, plain, i+1, r.Topic, payload(t, text), &a)
				}
			}
			if compared < 100 {
				t.Errorf("only %d keys and values compared", compared)
			}
		})
	}
}

// payload cuts the payload out of a recorded key or value.
func payload(t *testing.T, text []byte) []byte {
	t.Helper()
	var e struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e.Payload
}

func writesAgain(t *testing.T, c *converters.JSON, line int, topic string, text []byte, a *schema.Arena) {
	t.Helper()
	d, err := c.Decode(t.Context(), topic, text, a)
	if err != nil {
		t.Errorf("line %d, %s: %v", line, topic, err)
		return
	}
	e, err := c.Encoder(t.Context(), topic, d.Schema)
	if err != nil {
		t.Errorf("line %d, %s: %v", line, topic, err)
		return
	}
	got, err := e.Append(nil, d.Value)
	if err != nil {
		t.Errorf("line %d, %s: %v", line, topic, err)
		return
	}
	if !bytes.Equal(got, text) {
		at := 0
		for at < min(len(got), len(text)) && got[at] == text[at] {
			at++
		}
		t.Errorf("line %d, %s: from byte %d on\ngot  %.150s\nwant %.150s", line, topic, at, got[max(at-40, 0):], text[max(at-40, 0):])
	}
}

// TestSimpleHeaders_WritesRecordedKeys compares the header with the new key,
// which a change of the key carries, with the key of the record that follows.
func TestSimpleHeaders_WritesRecordedKeys(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, file := range []string{"postgres/events.schemas.jsonl.gz", "mysql/events.schemas.jsonl.gz"} {
		c := converters.NewJSON(converters.JSONConfig{Schemas: true})
		announced := map[string]string{} // by topic
		for i, r := range readRecording(t, file) {
			if len(r.Headers) > 0 && r.Headers[0][0] == "__debezium.newkey" {
				announced[r.Topic] = r.Headers[0][1]
				continue
			}
			want, ok := announced[r.Topic]
			if !ok {
				continue
			}
			delete(announced, r.Topic)
			var a schema.Arena
			d, err := c.Decode(t.Context(), r.Topic, r.Key, &a)
			if err != nil {
				t.Fatal(err)
			}
			got, null, err := converters.SimpleHeaders{}.AppendHeader(nil, r.Topic, "__debezium.newkey", d)
			if err != nil || null || string(got) != want {
				t.Errorf("%s line %d: got %s (null %t, %v), want %s", file, i+1, got, null, err, want)
			}
			back, err := converters.SimpleHeaders{}.DecodeHeader(r.Topic, "__debezium.newkey", got, &a)
			if err != nil || back.Value.Kind() != schema.KindMap || !strings.HasPrefix(want, "{") {
				t.Errorf("%s line %d: read as %#v, %v", file, i+1, back.Value, err)
			}
			compared++
		}
	}
	if compared < 5 {
		t.Errorf("only %d keys compared", compared)
	}
}
