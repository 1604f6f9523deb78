package conformance

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A record of a topic, as Debezium or Penstock wrote it.
type record struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Headers   [][2]*string    `json:"headers"`
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
}

// topics are records in the order of their topic.
type topics map[string][]record

func recordingPath(elem ...string) string {
	return filepath.Join(append([]string{"..", "testdata", "debezium"}, elem...)...)
}

// readRecording reads the records that Debezium wrote.
func readRecording(t *testing.T, elem ...string) topics {
	t.Helper()
	f, err := os.Open(recordingPath(elem...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := topics{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v: %.200s", err, lines.Bytes())
		}
		all[r.Topic] = append(all[r.Topic], r)
	}
	if lines.Err() != nil || len(all) == 0 {
		t.Fatalf("%d topics: %v", len(all), lines.Err())
	}
	return all
}

// readStatements splits a file of SQL at the semicolons that end statements.
// backslashes says that they escape in texts, as in MySQL.
func readStatements(t *testing.T, backslashes bool, elem ...string) []string {
	t.Helper()
	text, err := os.ReadFile(recordingPath(elem...))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	var statement strings.Builder
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' && backslashes && quote == '\'' {
				statement.WriteByte(c)
				i++
				c = text[i]
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '-' && i+1 < len(text) && text[i+1] == '-':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == ';':
			list = append(list, strings.TrimSpace(statement.String()))
			statement.Reset()
			continue
		}
		statement.WriteByte(c)
	}
	if rest := strings.TrimSpace(statement.String()); rest != "" {
		t.Fatalf("%s: %q does not end", elem, rest)
	}
	return list
}
