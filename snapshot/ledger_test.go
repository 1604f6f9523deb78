package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/schema"
)

func TestRanges_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "set")
		got := make([]bool, len(set))
		text := formatRanges(set)
		if err := parseRanges(text, got); err != nil {
			t.Fatalf("parse %q: %v", text, err)
		}
		for i := range set {
			if got[i] != set[i] {
				t.Fatalf("%q: chunk %d is %v, want %v", text, i, got[i], set[i])
			}
		}
	})
}

func TestParseRanges_RefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"3", "0-3", "-1", "2-1", "a", "0,", "1-", "0-99999999999999999999"} {
		if err := parseRanges(text, make([]bool, 3)); err == nil {
			t.Errorf("%q was taken for chunks of three", text)
		}
	}
}

func TestOffset_RoundTripsWithTheLedger(t *testing.T) {
	t.Parallel()
	l := newLedger()
	tl := l.begin("public.orders", []string{"100", "a\"b", "300"})
	tl.complete(0)
	tl.complete(2)
	done := l.begin("public.items", nil)
	done.complete(0)
	p, err := during(schema.Position(`{"lsn":42,"txId":7}`), l)
	if err != nil {
		t.Fatal(err)
	}
	// Kafka Connect allows only primitive values in an offset.
	var flat map[string]any
	if err := json.Unmarshal(p, &flat); err != nil {
		t.Fatal(err)
	}
	for k, v := range flat {
		switch v.(type) {
		case map[string]any, []any:
			t.Errorf("%s is %T", k, v)
		}
	}
	o, err := parseOffset(p)
	if err != nil {
		t.Fatal(err)
	}
	if string(o.log) != `{"lsn":42,"txId":7}` || !o.began || o.completed {
		t.Fatalf("got %+v", o)
	}
	got := o.ledger.begin("public.orders", []string{"other", "bounds"})
	if strings.Join(got.Bounds, "|") != "100|a\"b|300" || formatRanges(got.chunks) != "0,2" {
		t.Errorf("bounds %q chunks %q", got.Bounds, formatRanges(got.chunks))
	}
	if !o.ledger.begin("public.items", nil).Done {
		t.Error("a copied table is to be copied again")
	}
}

// A broker takes a record of a megabyte.
func TestLedger_ManyTables(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for i := range 20_000 {
		table := l.begin(fmt.Sprintf("a_department.an_invoice_of_the_year_%d", i), []string{"100", "200"})
		for chunk := range i % 4 {
			table.complete(chunk)
		}
	}
	p, err := during(schema.Position(`{"lsn":42}`), l)
	if err != nil {
		t.Fatal(err)
	}
	if len(p) > 400_000 {
		t.Errorf("the position has %d bytes", len(p))
	}
	o, err := parseOffset(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.ledger.Tables) != 15_000 {
		t.Errorf("%d tables, want those with a copied chunk", len(o.ledger.Tables))
	}
	for name, want := range l.Tables {
		if got := o.ledger.begin(name, []string{"100", "200"}); got.Done != want.Done || !got.Done && !slices.Equal(got.chunks, want.chunks) {
			t.Fatalf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for _, bad := range []string{"deflate:", "deflate:AAAA", "deflate:!"} {
		if _, err := parseLedger(bad); err == nil {
			t.Errorf("%q was taken for a ledger", bad)
		}
	}
}

func TestParseOffset(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in         string
		began, completed bool
		log              string
	}{
		{"streaming", `{"lsn":1}`, false, false, `{"lsn":1}`},
		{"Debezium, complete", `{"last_snapshot_record":true,"lsn":52791672,"txId":772,"ts_usec":1795415297427799,"snapshot":"INITIAL","snapshot_completed":true}`, true, true, `{"lsn":52791672,"ts_usec":1795415297427799,"txId":772}`},
		{"Debezium, interrupted", `{"last_snapshot_record":false,"lsn":5,"snapshot":"INITIAL","snapshot_completed":false}`, true, false, `{"lsn":5}`},
		{"older Debezium, complete", `{"last_snapshot_record":true,"lsn":5,"snapshot":true}`, true, true, `{"lsn":5}`},
	} {
		o, err := parseOffset(schema.Position(tc.in))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if o.began != tc.began || o.completed != tc.completed || string(o.log) != tc.log {
			t.Errorf("%s: got began %v completed %v log %s", tc.name, o.began, o.completed, o.log)
		}
	}
	for _, bad := range []string{``, `[]`, `{"penstock_snapshot":1}`, `{"penstock_snapshot":"{\"tables\":{\"a\":null}}"}`, `{"penstock_snapshot":"{\"tables\":{\"a\":{\"chunks\":\"4\"}}}"}`} {
		if _, err := parseOffset(schema.Position(bad)); err == nil {
			t.Errorf("%s was taken for an offset", bad)
		}
	}
}

func FuzzParseOffset(f *testing.F) {
	f.Add(`{"lsn":1,"snapshot":"INITIAL","penstock_snapshot":"{\"tables\":{\"a\":{\"bounds\":[\"1\"],\"chunks\":\"0-1\"}}}"}`)
	f.Fuzz(func(t *testing.T, in string) {
		o, err := parseOffset(schema.Position(in))
		if err != nil {
			return
		}
		if !json.Valid(o.log) {
			t.Errorf("log position %q is not JSON", o.log)
		}
	})
}
