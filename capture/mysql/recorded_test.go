package mysql_test

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

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// TestValues_AsDebeziumRecordedThem runs the statements whose events a real
// Debezium recorded, and compares key, schema and value of every row.
func TestValues_AsDebeziumRecordedThem(t *testing.T) {
	t.Parallel()
	// The statements name their database, so the server is this test's own.
	server := servers.MySQL(t, servers.Config("binlog_rows_query_log_events=ON"))
	server.Database = "gold"
	bare := *server
	bare.Database = ""
	bare.MustExec(t, readStatements(t, "setup.sql")...)
	variants := []*variant{
		{name: "defaults", file: "events.schemas.jsonl.gz", settings: []string{"include.schema.changes", "true"}},
		{name: "variant", file: "events.variant1.jsonl.gz", settings: []string{
			"decimal.handling.mode", "string", "time.precision.mode", "connect", "binary.handling.mode", "base64",
			"bigint.unsigned.handling.mode", "precise", "include.query", "true", "include.schema.comments", "true",
		}},
	}
	for _, v := range variants {
		v.b = setup(t, server, v.settings...)
		v.log = &rowLog{t: t, rows: map[string][]recordedRow{}, encoders: map[*schema.Table]converters.Encoder{}}
		v.from = v.b.scan(1, v.log.add)
	}
	bare.MustExec(t, append([]string{"SET NAMES utf8mb4"}, readStatements(t, "workload.sql")...)...)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			v.b.t, v.log.t = t, t
			r := v.b.stream(v.from)
			ended := false
			r.each = func(ev *schema.Event) {
				v.log.add(ev)
				ended = ended || ev.Table != nil && ev.Table.Name == "empty_t"
			}
			for !ended {
				if err := r.next(); err != nil {
					t.Fatal(err)
				}
			}
			want := recordedRows(t, v.file)
			if v.name == "variant" {
				// It was recorded with other names of fields.
				delete(want, "gold.Mixed_Case-_")
				delete(v.log.rows, "gold.Mixed_Case-_")
			}
			compareRows(t, want, v.log.rows)
			if v.name == "defaults" {
				equal(t, v.log.changes, recordedChanges(t, v.file)...)
			}
		})
	}
}

type variant struct {
	name, file string
	settings   []string
	b          *bundle
	log        *rowLog
	from       schema.Position
}

// recordedRow is an event without what varies.
type recordedRow struct {
	op            string
	key           any
	before, after map[string]any
	fields        map[string]any // schema of each column of the row, by name
	query         any
}

func recordedRows(t *testing.T, file string) map[string][]recordedRow {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "integration", "testdata", "debezium", "mysql", file))
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
			Key   struct {
				Payload any `json:"payload"`
			} `json:"key"`
			Value struct {
				Schema struct {
					Fields []map[string]any `json:"fields"`
				} `json:"schema"`
				Payload struct {
					Op     string         `json:"op"`
					Before map[string]any `json:"before"`
					After  map[string]any `json:"after"`
					Source struct {
						Query any `json:"query"`
					} `json:"source"`
				} `json:"payload"`
			} `json:"value"`
		}
		if err := decodeNumbers(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(r.Topic, ".")
		if !strings.HasPrefix(table, "gold.") || r.Value.Payload.Op == "" { // a tombstone has no op
			continue
		}
		p := r.Value.Payload
		row := recordedRow{op: p.Op, key: r.Key.Payload, before: p.Before, after: p.After, fields: map[string]any{}, query: p.Source.Query}
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

// addFields collects the schemas of fields, without what repeats the source's
// types and comments, which the variant was recorded with.
func addFields(to map[string]any, list any) {
	for _, f := range list.([]any) {
		m := f.(map[string]any)
		if p, ok := m["parameters"].(map[string]any); ok {
			for k := range p {
				if strings.HasPrefix(k, "__debezium.source.column.") {
					delete(p, k)
				}
			}
			if len(p) == 0 {
				delete(m, "parameters")
			}
		}
		to[m["field"].(string)] = m
	}
}

// rowLog turns events into recordedRows by the JSON converter.
type rowLog struct {
	t        *testing.T
	rows     map[string][]recordedRow
	changes  []string // records of the schema change topic
	encoders map[*schema.Table]converters.Encoder
}

var notInTopics = regexp.MustCompile(`[^A-Za-z0-9._\-]`)

func (l *rowLog) add(ev *schema.Event) {
	if ev.Op == schema.OpRecord {
		l.changes = append(l.changes, l.record(ev.Record))
		return
	}
	name := notInTopics.ReplaceAllString(ev.Table.Path(), "_")
	row := recordedRow{op: string(rune(ev.Op))}
	if q := ev.Source[len(ev.Source)-1]; !q.IsNull() {
		row.query = string(q.Bytes())
	}
	if ev.Before != nil {
		row.before, row.fields = l.encode(ev.Table, ev.Before)
		row.key = key(ev.Table, row.before)
	}
	if ev.After != nil {
		row.after, row.fields = l.encode(ev.Table, ev.After)
		row.key = key(ev.Table, row.after)
	}
	if ev.Op == schema.OpUpdate && keyChanged(ev) {
		l.rows[name] = append(l.rows[name],
			recordedRow{op: "d", key: key(ev.Table, row.before), before: row.before, fields: row.fields, query: row.query},
			recordedRow{op: "c", key: row.key, after: row.after, fields: row.fields, query: row.query})
		return
	}
	l.rows[name] = append(l.rows[name], row)
}

func key(table *schema.Table, row map[string]any) any {
	if len(table.Key) == 0 {
		return nil
	}
	k := map[string]any{}
	for _, i := range table.Key {
		k[table.Columns[i].Name] = row[table.Columns[i].Name]
	}
	return k
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

// record shows a schema change as JSON, without what varies.
func (l *rowLog) record(r *schema.Record) string {
	l.t.Helper()
	if r.Topic != "shop" {
		l.t.Errorf("a record for topic %s", r.Topic)
	}
	text := []byte(`{"key":`)
	for _, part := range []schema.Data{r.Key, r.Value} {
		e, err := converters.NewJSON(converters.JSONConfig{Schemas: true}).Encoder(l.t.Context(), r.Topic, part.Schema)
		if err != nil {
			l.t.Fatal(err)
		}
		if text, err = e.Append(text, part.Value); err != nil {
			l.t.Fatal(err)
		}
		if part.Schema == r.Key.Schema {
			text = append(text, `,"value":`...)
		}
	}
	return invariant(l.t, append(text, '}'))
}

// recordedChanges returns the schema changes that were streamed.
func recordedChanges(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "integration", "testdata", "debezium", "mysql", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte(`{"topic":"mys","`)) && bytes.Contains(lines.Bytes(), []byte(`"snapshot":"false"`)) {
			list = append(list, invariant(t, lines.Bytes()))
		}
	}
	return list
}

// invariant leaves out of a schema change's record what varies.
func invariant(t *testing.T, record []byte) string {
	t.Helper()
	var r struct {
		Key   map[string]any `json:"key"`
		Value struct {
			Schema  map[string]any `json:"schema"`
			Payload map[string]any `json:"payload"`
		} `json:"value"`
	}
	if err := decodeNumbers(record, &r); err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	delete(r.Value.Payload, "ts_ms")
	source := r.Value.Payload["source"].(map[string]any)
	for _, k := range []string{"name", "ts_ms", "ts_us", "ts_ns", "gtid", "file", "pos", "server_id"} {
		delete(source, k)
	}
	source["thread"] = source["thread"] != nil
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// differs names the columns that are meant to differ, and why.
var differs = map[string]string{
	"gold.t_str.c_enum":     "Debezium's stream escapes the comma in a member",
	"gold.t_zero.y":         "Debezium takes the year 0 for 2000 or 1900",
	"gold.t_time.c_year":    "Debezium takes the year 0 for 2000 or 1900",
	"gold.t_time.c_dt4":     "Debezium's snapshot counts old dates by the Julian calendar",
	"gold.t_dec.c_double_p": "Debezium's snapshot has rounded numbers",
	"gold.t_dec.c_float24":  "Debezium's snapshot has rounded numbers",
	"gold.t_dec.c_float":    "Debezium's snapshot has rounded numbers",
	"gold.t_def.d_big":      "Debezium's default has lost its last digit",
	"gold.t_def.d_bigu":     "Debezium's default is not what its value would be",
	"gold.t_def.d_vc":       "Debezium's default has the quote doubled",
	"gold.t_def.d_ts":       "it is the time of the run",
	"gold.t_def.d_ts3":      "it is the time of the run",
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
			if !reflect.DeepEqual(g.key, w.key) {
				t.Errorf("%s: key %v, want %v", at, g.key, w.key)
			}
			if !reflect.DeepEqual(g.query, w.query) {
				t.Errorf("%s: query %v, want %v", at, g.query, w.query)
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
// statements.
func readStatements(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "integration", "testdata", "debezium", "mysql", file))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	from, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == '\\' && quote == '\'' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '`':
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
