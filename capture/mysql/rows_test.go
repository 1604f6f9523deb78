package mysql

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// testConfig is a configuration that captures everything.
func testConfig(t testing.TB, pairs ...string) *config {
	t.Helper()
	raw := map[string]string{"topic.prefix": "shop", "database.hostname": "h", "database.user": "u", "database.server.id": "7", "include.schema.changes": "false"}
	for i := 0; i+1 < len(pairs); i += 2 {
		raw[pairs[i]] = pairs[i+1]
	}
	v, problems := Connector().Settings.Parse(raw)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	cfg, problems := newConfig(v, flavor{connector: "mysql", sourceInfo: "io.debezium.connector.mysql.Source"}, capture.Env{Logger: slog.New(slog.DiscardHandler)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// recorded reads the events that TestRecordEvents wrote.
func recorded(t testing.TB, name string) [][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".events"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events [][]byte
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		b, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, b)
	}
	return events
}

// testCollations are the numbers that the recorded events have.
var testCollations = map[uint64]string{
	255: "utf8mb4", 45: "utf8mb4", 46: "utf8mb4", 63: "binary", 8: "latin1", 33: "utf8mb3", 54: "utf16", 60: "utf32", 13: "sjis", 28: "gbk", 51: "cp1251", 11: "ascii",
}

// offline is a source without a server, to be given events.
func offline(t testing.TB) *source {
	t.Helper()
	cfg := testConfig(t)
	s := &source{
		dump: dump{cfg: cfg, server: &serverInfo{collations: testCollations}}, place: place{file: "binlog.000001"},
		tables: map[uint64]*tableEntry{}, versions: map[string]*tableEntry{},
		history: &history{cfg: cfg, tables: &ddl.Catalogue{}},
	}
	var err error
	if s.done, err = newGTIDSet(cfg.flavor, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// feed gives an event to a source, with its checksum, and reads its rows.
func feed(t testing.TB, s *source, b *schema.Batch, raw []byte) error {
	e, err := parseEvent(raw, raw[4] != evFormatDescription && raw[4] != evRotate)
	if err != nil {
		return err
	}
	s.reader.arena = &b.Arena
	if err := s.handle(t.Context(), b, e); err != nil {
		return err
	}
	for s.rows != nil {
		if err := s.readRows(b); err != nil {
			return err
		}
		if b.Full() {
			b.Reset()
		}
	}
	return nil
}

// benchEvents returns a source that knows the table, and its three rows events.
func benchEvents(t testing.TB) (*source, [][]byte) {
	s := offline(t)
	var b schema.Batch
	var rows [][]byte
	for _, raw := range recorded(t, "bench") {
		if raw[4] >= evWriteRows && raw[4] <= evDeleteRows {
			rows = append(rows, raw)
		}
		if err := feed(t, s, &b, raw); err != nil {
			t.Fatal(err)
		}
	}
	if len(rows) != 3 || len(b.Events) != 60 {
		t.Fatalf("%d rows events, %d events", len(rows), len(b.Events))
	}
	return s, rows
}

func TestRows_DecodeWithoutAllocating(t *testing.T) {
	s, rows := benchEvents(t)
	var b schema.Batch
	run := func() {
		b.Reset()
		s.gtidCell = schema.Value{}
		for _, raw := range rows {
			if err := feed(t, s, &b, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 5 { // until the batch has its size
		run()
	}
	if n := testing.AllocsPerRun(50, run); n > 0 {
		t.Errorf("%v allocations for %d rows", n, len(b.Events))
	}
}

func TestSnapshotRows_DecodeWithoutAllocating(t *testing.T) {
	r, packet := benchSnapshotRow(t)
	var b schema.Batch
	run := func() {
		b.Reset()
		for range 100 {
			if err := r.row(&b, packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 5 {
		run()
	}
	if n := testing.AllocsPerRun(50, run); n > 0 {
		t.Errorf("%v allocations for 100 rows", n)
	}
}

// benchSnapshotRow returns the rows of a scan of the benchmark's table, and
// one of them as the server sends it.
func benchSnapshotRow(t testing.TB) (*rows, []byte) {
	t.Helper()
	c := &ddl.Catalogue{}
	_, err := c.Apply("shop", "CREATE TABLE bench (id int PRIMARY KEY, customer_id bigint NOT NULL, email varchar(100) NOT NULL, name varchar(80), "+
		"amount decimal(12,2) NOT NULL, qty int, active tinyint(1) NOT NULL, created_at timestamp(6) NOT NULL, updated_at datetime(6), attrs json, note text)", ddl.Mode{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newScanPlan(testConfig(t), fromDDL(c.Table("shop", "bench")))
	if err != nil {
		t.Fatal(err)
	}
	var packet []byte
	for _, v := range []string{
		"12", "9000000012", "customer12@example.com", "Name Surname 12", "1012.25", "2", "1", "2024-05-06 07:08:09.001200", "2024-05-06 07:08:09.500000",
		`{"size": 12, "tags": ["a", "b"], "color": "red"}`, "lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum ",
	} {
		packet = append(append(packet, byte(len(v))), v...)
	}
	return &rows{plan: p, source: slices.Clone(p.source)}, packet
}

func BenchmarkSnapshotRows(b *testing.B) {
	r, packet := benchSnapshotRow(b)
	var batch schema.Batch
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if batch.Full() {
			batch.Reset()
		}
		if err := r.row(&batch, packet); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRows decodes events of twenty rows each.
func BenchmarkRows(b *testing.B) {
	s, rows := benchEvents(b)
	for i, name := range []string{"insert", "update", "delete"} {
		b.Run(name, func(b *testing.B) {
			var batch schema.Batch
			b.SetBytes(int64(len(rows[i])))
			b.ReportAllocs()
			for b.Loop() {
				if batch.Full() {
					batch.Reset()
					s.gtidCell = schema.Value{}
				}
				if err := feed(b, s, &batch, rows[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20, "ns/row")
		})
	}
}

// FuzzEvents feeds a source with events that are damaged behind their header.
// Whatever comes, it must neither panic nor ask for more memory than the event
// can account for.
func FuzzEvents(f *testing.F) {
	for _, name := range []string{"bench", "types", "types.mariadb"} {
		events := recorded(f, name)
		for i, raw := range events {
			if raw[4] == evTableMap && i+1 < len(events) {
				f.Add(raw[eventHeaderBytes:len(raw)-4], events[i+1][4], events[i+1][eventHeaderBytes:len(events[i+1])-4])
			}
			f.Add([]byte{}, raw[4], raw[eventHeaderBytes:len(raw)-4])
		}
	}
	f.Fuzz(func(t *testing.T, table []byte, typ byte, body []byte) {
		if len(table)*len(body) > 1<<22 {
			return // work grows with columns times rows, as it has to
		}
		s := offline(t)
		defer s.payload.close()
		var b schema.Batch
		s.reader.arena = &b.Arena
		for _, e := range []event{{typ: evTableMap, body: table}, {typ: typ, body: body}} {
			e.size = uint32(len(e.body))
			if err := s.handle(t.Context(), &b, e); err != nil {
				return
			}
			for s.payload.open {
				inner, ok, err := s.payload.next()
				if err != nil || !ok {
					return
				}
				if inner.typ == evPayload || s.handle(t.Context(), &b, inner) != nil {
					return
				}
				drain(s, &b)
			}
			drain(s, &b)
		}
	})
}

func drain(s *source, b *schema.Batch) {
	for s.rows != nil && s.readRows(b) == nil {
		if b.Full() {
			b.Reset()
		}
	}
	s.rows = nil
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte{0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 2, 0, 'a'})
	f.Add([]byte{12, 3, 'a', 'b', 'c'})
	f.Add([]byte{4, 1})
	f.Add([]byte{15, 246, 4, 4, 2, 0x80, 1, 0x50})
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, err := appendJSON(nil, doc)
		if err == nil && len(out) > 2048+200*len(doc) {
			t.Errorf("%d bytes of text from %d bytes", len(out), len(doc))
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add(`{"ts_sec":1,"file":"binlog.000001","pos":4,"gtids":"11111111-2222-3333-4444-555555555555:1-5","event":2,"row":3}`)
	f.Add(`{"file":"binlog.000001","pos":4,"penstock_xa":"[{\"xid\":\"X'61',X'',1\",\"file\":\"binlog.000001\",\"pos\":4}]"}`)
	f.Add(`{"file":"b.1","pos":5000000000,"server_id":1,"snapshot":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(schema.Position(text))
		if err != nil {
			return
		}
		again, err := parsePosition(p.encode())
		if err != nil {
			t.Fatalf("%q became %s: %v", text, p.encode(), err)
		}
		if fmt.Sprint(p) != fmt.Sprint(again) {
			t.Errorf("%+v became %+v", p, again)
		}
	})
}
