package postgres_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// TestValues_AsDebeziumRecordedThem runs the statements whose events a real
// Debezium recorded, and compares schema and value of every row.
func TestValues_AsDebeziumRecordedThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file     string
		settings []string
	}{
		"defaults": {file: "events.schemas.jsonl.gz"},
		"variant": {
			file: "events.variant1.jsonl.gz",
			settings: []string{
				"decimal.handling.mode", "string", "time.precision.mode", "connect", "hstore.handling.mode", "map",
				"interval.handling.mode", "string", "binary.handling.mode", "base64", "include.unknown.datatypes", "true",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := recordedRows(t, c.file)
			b := setup(t, servers.Postgres(t), append(c.settings, "schema.include.list", "g")...)
			b.exec(readStatements(t, "setup.sql")...)
			got := &rowLog{t: t, rows: map[string][]recordedRow{}, encoders: map[*schema.Table]converters.Encoder{}}
			end := copyAll(t, b, got.add)
			r := b.stream(end)
			r.each = got.add
			var open []string // the statements of a transaction
			for _, sql := range readStatements(t, "workload.sql") {
				open = append(open, sql)
				if open[0] == "BEGIN" && sql != "COMMIT" && sql != "ROLLBACK" {
					continue
				}
				// One after the other, as the catalogue is asked about the present.
				b.exec(append(open, `SELECT pg_logical_emit_message(true, 'read', '')`)...)
				open = nil
				for got.read = false; !got.read; {
					if err := r.next(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if name == "variant" {
				delete(want, "g.Mixed_Case-_") // it was recorded with other names of fields
				delete(got.rows, "g.Mixed_Case-_")
			}
			compareRows(t, want, got.rows)
		})
	}
}

// copyAll takes a snapshot with one session and returns its position.
func copyAll(t *testing.T, b *bundle, each func(*schema.Event)) schema.Position {
	t.Helper()
	sc := b.db.Scanner()
	view, err := sc.Begin(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, scan := range view.Tables {
		scanChunk(t, view.Sessions[0], scan.Table, "", "", each)
	}
	if err := sc.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return view.Position
}

// scanChunk reads one chunk.
func scanChunk(t *testing.T, s capture.Session, table *schema.Table, lower, upper string, each func(*schema.Event)) {
	t.Helper()
	rows, err := s.Scan(t.Context(), table, lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	var batch schema.Batch
	for done := false; !done; {
		batch.Reset()
		if done, err = rows.Next(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		for i := range batch.Events {
			each(&batch.Events[i])
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
}

// recordedRow is an event without what varies.
type recordedRow struct {
	op            string
	before, after map[string]any
	fields        map[string]any // schema of each column of the row, by name
}

func recordedRows(t *testing.T, file string) map[string][]recordedRow {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "integration", "testdata", "debezium", "postgres", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]recordedRow{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r struct {
			Topic string `json:"topic"`
			Value struct {
				Schema struct {
					Fields []map[string]any `json:"fields"`
				} `json:"schema"`
				Payload struct {
					Op     string         `json:"op"`
					Before map[string]any `json:"before"`
					After  map[string]any `json:"after"`
				} `json:"payload"`
			} `json:"value"`
		}
		if err := decodeNumbers(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(r.Topic, ".")
		if !strings.HasPrefix(table, "g.") {
			continue
		}
		if r.Value.Payload.Op == "" {
			continue // a tombstone
		}
		row := recordedRow{op: r.Value.Payload.Op, before: r.Value.Payload.Before, after: r.Value.Payload.After, fields: map[string]any{}}
		for _, part := range r.Value.Schema.Fields {
			if part["field"] == "after" {
				addFields(row.fields, part["fields"])
			}
		}
		rows[table] = append(rows[table], row)
	}
	if lines.Err() != nil || len(rows) == 0 {
		t.Fatalf("%d tables: %v", len(rows), lines.Err())
	}
	return rows
}

// decodeNumbers keeps numbers as they are written.
func decodeNumbers(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}

func addFields(to map[string]any, list any) {
	for _, f := range list.([]any) {
		m := f.(map[string]any)
		to[m["field"].(string)] = m
	}
}

// rowLog turns events into recordedRows by the JSON converter.
type rowLog struct {
	t        *testing.T
	rows     map[string][]recordedRow
	encoders map[*schema.Table]converters.Encoder
	read     bool // a logical message has come
}

var notInTopics = regexp.MustCompile(`[^A-Za-z0-9._\-]`)

func (l *rowLog) add(ev *schema.Event) {
	if ev.Op == schema.OpRecord {
		l.read = true
		return
	}
	name := notInTopics.ReplaceAllString(ev.Table.Path(), "_")
	row := recordedRow{op: string(rune(ev.Op))}
	if ev.After != nil {
		row.after, row.fields = l.encode(ev.Table, ev.After)
	}
	if ev.Before != nil {
		row.before, row.fields = l.encode(ev.Table, ev.Before)
	}
	if ev.Op == schema.OpUpdate && ev.Before != nil && keyChanged(ev) {
		l.rows[name] = append(l.rows[name], recordedRow{op: "d", before: row.before, fields: row.fields},
			recordedRow{op: "c", after: row.after, fields: row.fields})
		return
	}
	l.rows[name] = append(l.rows[name], row)
}

func keyChanged(ev *schema.Event) bool {
	for _, k := range ev.Table.Key {
		if !ev.Before[k].Equal(ev.After[k]) {
			return true
		}
	}
	return false
}

func (l *rowLog) encode(table *schema.Table, row schema.Row) (payload, fields map[string]any) {
	l.t.Helper()
	e, ok := l.encoders[table]
	if !ok {
		s := &schema.Schema{Type: schema.TypeStruct, Optional: true}
		for _, c := range table.Columns {
			s.Fields = append(s.Fields, schema.Field{Name: c.Name, Schema: c.Schema, Absent: c.Absent})
		}
		var err error
		if e, err = converters.NewJSON(converters.JSONConfig{Schemas: true}).Encoder(l.t.Context(), "topic", s); err != nil {
			l.t.Fatal(err)
		}
		l.encoders[table] = e
	}
	text, err := e.Append(nil, schema.Seq(schema.KindStruct, row))
	if err != nil {
		l.t.Fatalf("%s: %v", table.Path(), err)
	}
	// The server may describe the table anew at any time, and then the label
	// that the workload adds is known.
	text = bytes.ReplaceAll(text, []byte(`,new-mood"`), []byte(`"`))
	var out struct {
		Schema  map[string]any `json:"schema"`
		Payload map[string]any `json:"payload"`
	}
	if err := decodeNumbers(text, &out); err != nil {
		l.t.Fatalf("%s: %v", table.Path(), err)
	}
	fields = map[string]any{}
	addFields(fields, out.Schema["fields"])
	return out.Payload, fields
}

// differs names the columns that are meant to differ, and why.
var differs = map[string]string{
	"g.t_num.c_decimal_neg": "Debezium takes the negative scale for a huge one",
	"g.t_text.c_name":       "Debezium's stream loses values of type name",
	"g.t_time.c_date":       "Debezium's numbers for infinite dates are arbitrary",
	"g.t_arr.c_int2d":       "Debezium loses arrays of two dimensions",
	"g.t_def.d_varchar":     "Debezium cuts a default at its quote",
	"g.t_def.d_now":         "it is the time of the run",
	"g.t_def.d_uuid":        "it is random",
	"g.toast.c_bytea":       "with binary.handling.mode=base64 Debezium's placeholder is null",
}

func compareRows(t *testing.T, want, got map[string][]recordedRow) {
	t.Helper()
	for table, rows := range want {
		if len(rows) != len(got[table]) {
			t.Errorf("%s: %d events, want %d\n got %s\nwant %s", table, len(got[table]), len(rows), ops(got[table]), ops(rows))
			continue
		}
		for i, w := range rows {
			g := got[table][i]
			at := fmt.Sprintf("%s, event %d (%s)", table, i, w.op)
			if g.op != w.op {
				t.Errorf("%s: op %s", at, g.op)
				continue
			}
			compareColumns(t, table, at+" before", w.before, g.before)
			compareColumns(t, table, at+" after", w.after, g.after)
			if len(g.fields) > 0 {
				compareColumns(t, table, at+" schema", w.fields, g.fields)
			}
		}
	}
	for table := range got {
		if want[table] == nil {
			t.Errorf("%s was not recorded", table)
		}
	}
}

func ops(rows []recordedRow) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r.op)
	}
	return b.String()
}

func compareColumns(t *testing.T, table, at string, want, got map[string]any) {
	t.Helper()
	if (want == nil) != (got == nil) {
		t.Errorf("%s: got %v, want %v", at, got, want)
		return
	}
	for name, w := range want {
		g, ok := got[name]
		if _, meant := differs[table+"."+name]; meant {
			continue
		}
		if !ok || !reflect.DeepEqual(g, w) {
			t.Errorf("%s: %s\n got %v\nwant %v", at, name, short(g), short(w))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok && differs[table+"."+name] == "" {
			t.Errorf("%s: %s is not recorded", at, name)
		}
	}
}

func short(v any) string {
	b, _ := json.Marshal(v)
	return string(b[:min(len(b), 300)])
}

// readStatements splits one of the recording's files at the semicolons that end
// statements, so that each is a transaction of its own as with psql.
func readStatements(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "integration", "testdata", "debezium", "postgres", file))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	from, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '-' && i+1 < len(text) && text[i+1] == '-':
			end := bytes.IndexByte(text[i:], '\n')
			for k := i; k < i+end; k++ {
				text[k] = ' '
			}
		case c == ';':
			if s := strings.TrimSpace(string(text[from:i])); s != "" {
				list = append(list, s)
			}
			from = i + 1
		}
	}
	return list
}
