// Package offsetstest is what every offsets.Store has to pass.
package offsetstest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/schema"
)

// A Factory makes an empty store for one test and returns how to open it: each
// call of open gives a handle on the same store. It cleans up after the test.
type Factory func(t *testing.T) (open func() offsets.Store)

// Run runs the suite.
func Run(t *testing.T, factory Factory) {
	tests := []struct {
		name string
		run  func(t *testing.T, open func() offsets.Store)
	}{
		{"LoadsNothingFromEmptyStore", loadsNothing},
		{"LoadsWhatWasSavedLast", loadsLast},
		{"KeepsConnectorsAndPartitionsApart", keepsApart},
		{"ComparesPartitionsAsJSON", comparesAsJSON},
		{"ListsInOrder", lists},
		{"AltersSeveralAtOnce", alters},
		{"DeletesOneConnector", deletes},
		{"RefusesWhatIsNoObject", refuses},
		{"SharesNoMemory", sharesNothing},
		{"IsSeenByAnotherHandle", seenByOthers},
		{"TakesConcurrentCalls", concurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, factory(t))
		})
	}
}

const server = `{"server":"inventory"}`

func load(t *testing.T, s offsets.Store, connector, partition string) string {
	t.Helper()
	p, err := s.Load(t.Context(), connector, []byte(partition))
	if err != nil {
		t.Fatalf("Load(%s, %s): %v", connector, partition, err)
	}
	return string(p)
}

func save(t *testing.T, s offsets.Store, connector, partition, position string) {
	t.Helper()
	if err := s.Save(t.Context(), connector, []byte(partition), schema.Position(position)); err != nil {
		t.Fatalf("Save(%s, %s, %s): %v", connector, partition, position, err)
	}
}

func list(t *testing.T, s offsets.Store, connector string) string {
	t.Helper()
	entries, err := s.List(t.Context(), connector)
	if err != nil {
		t.Fatalf("List(%s): %v", connector, err)
	}
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%s=%s ", e.Partition, e.Position)
	}
	return b.String()
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func loadsNothing(t *testing.T, open func() offsets.Store) {
	s := open()
	p, err := s.Load(t.Context(), "a", []byte(server))
	if err != nil || p != nil {
		t.Errorf("Load = %q, %v, want nil, nil", p, err)
	}
	expect(t, "List", list(t, s, "a"), "")
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
}

func loadsLast(t *testing.T, open func() offsets.Store) {
	s := open()
	for i := range 5 {
		save(t, s, "a", server, fmt.Sprintf(`{"lsn":%d,"snapshot":"INITIAL"}`, i))
		expect(t, "Load", load(t, s, "a", server), fmt.Sprintf(`{"lsn":%d,"snapshot":"INITIAL"}`, i))
	}
}

func keepsApart(t *testing.T, open func() offsets.Store) {
	s := open()
	save(t, s, "a", server, `{"pos":1}`)
	save(t, s, "b", server, `{"pos":2}`)
	save(t, s, "a", `{"server":"other"}`, `{"pos":3}`)
	expect(t, "Load(a)", load(t, s, "a", server), `{"pos":1}`)
	expect(t, "Load(b)", load(t, s, "b", server), `{"pos":2}`)
	expect(t, "Load(a, other)", load(t, s, "a", `{"server":"other"}`), `{"pos":3}`)
	expect(t, "Load(b, other)", load(t, s, "b", `{"server":"other"}`), "")
}

func comparesAsJSON(t *testing.T, open func() offsets.Store) {
	s := open()
	save(t, s, "a", `{"server":"s","database":"d\u00e9","n":9007199254740993}`, `{"pos":1}`)
	expect(t, "Load", load(t, s, "a", ` { "n" : 9007199254740993, "database":"dé", "server":"s" } `), `{"pos":1}`)
	expect(t, "Load of a near number", load(t, s, "a", `{"server":"s","database":"dé","n":9007199254740992}`), "")
	save(t, s, "a", `{"database":"dé","server":"s","n":9007199254740993}`, `{"pos":2}`)
	expect(t, "List", list(t, s, "a"), list(t, s, "a"))
	if entries, err := s.List(t.Context(), "a"); err != nil || len(entries) != 1 {
		t.Errorf("List = %d entries, %v, want 1", len(entries), err)
	}
	save(t, s, "a", `null`, `{"pos":3}`)
	expect(t, "Load of the null partition", load(t, s, "a", `null`), `{"pos":3}`)
}

func lists(t *testing.T, open func() offsets.Store) {
	s := open()
	save(t, s, "a", `{"server":"z"}`, `{"pos":1}`)
	save(t, s, "a", `{"server":"m"}`, `{"pos":2}`)
	save(t, s, "a", `{"server":"a<&>"}`, `{"pos":"<&>"}`)
	save(t, s, "b", `{"server":"x"}`, `{"pos":4}`)
	expect(t, "List", list(t, s, "a"), `{"server":"a<&>"}={"pos":"<&>"} {"server":"m"}={"pos":2} {"server":"z"}={"pos":1} `)
}

func alters(t *testing.T, open func() offsets.Store) {
	s := open()
	save(t, s, "a", `{"p":1}`, `{"pos":1}`)
	save(t, s, "a", `{"p":2}`, `{"pos":2}`)
	err := s.Alter(t.Context(), "a", []offsets.Entry{
		{Partition: []byte(`{"p":1}`)},
		{Partition: []byte(`{"p":2}`), Position: schema.Position(`{"pos":20}`)},
		{Partition: []byte(`{"p":3}`), Position: schema.Position(`{"pos":3}`)},
		{Partition: []byte(`{"p": 3}`), Position: schema.Position(`{"pos":30}`)},
		{Partition: []byte(`{"p":4}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for partition, want := range map[string]string{`{"p":1}`: "", `{"p":2}`: `{"pos":20}`, `{"p":3}`: `{"pos":30}`, `{"p":4}`: ""} {
		expect(t, "Load("+partition+")", load(t, s, "a", partition), want)
	}
}

func deletes(t *testing.T, open func() offsets.Store) {
	s := open()
	save(t, s, "a", `{"p":1}`, `{"pos":1}`)
	save(t, s, "a", `{"p":2}`, `{"pos":2}`)
	save(t, s, "b", `{"p":1}`, `{"pos":3}`)
	for range 2 { // again is no error
		if err := s.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "List(a)", list(t, s, "a"), "")
	expect(t, "Load(a)", load(t, s, "a", `{"p":1}`), "")
	expect(t, "List(b)", list(t, s, "b"), `{"p":1}={"pos":3} `)
	save(t, s, "a", `{"p":1}`, `{"pos":4}`)
	expect(t, "Load after a new Save", load(t, s, "a", `{"p":1}`), `{"pos":4}`)
}

func refuses(t *testing.T, open func() offsets.Store) {
	s := open()
	for _, partition := range []string{``, `[1]`, `"x"`, `{"a":1`, `{"a":1}{"b":2}`, `1`} {
		if err := s.Save(t.Context(), "a", []byte(partition), schema.Position(`{"pos":1}`)); !errors.Is(err, offsets.ErrPartition) {
			t.Errorf("Save of partition %q: %v, want ErrPartition", partition, err)
		}
		if _, err := s.Load(t.Context(), "a", []byte(partition)); !errors.Is(err, offsets.ErrPartition) {
			t.Errorf("Load of partition %q: %v, want ErrPartition", partition, err)
		}
	}
	for _, position := range []string{``, `[1]`, `null`, `{"pos":`, `{"pos":1} x`} {
		if err := s.Save(t.Context(), "a", []byte(server), schema.Position(position)); !errors.Is(err, offsets.ErrPosition) {
			t.Errorf("Save of position %q: %v, want ErrPosition", position, err)
		}
	}
	if err := s.Save(t.Context(), "a", []byte(server), nil); !errors.Is(err, offsets.ErrPosition) {
		t.Errorf("Save of no position: %v, want ErrPosition", err)
	}
	// One bad entry keeps the others out too.
	err := s.Alter(t.Context(), "a", []offsets.Entry{
		{Partition: []byte(server), Position: schema.Position(`{"pos":1}`)},
		{Partition: []byte(`{}`), Position: schema.Position(`1`)},
	})
	if !errors.Is(err, offsets.ErrPosition) {
		t.Errorf("Alter with a bad position: %v, want ErrPosition", err)
	}
	expect(t, "List", list(t, s, "a"), "")
}

func sharesNothing(t *testing.T, open func() offsets.Store) {
	s := open()
	partition, position := []byte(server), schema.Position(`{"pos":1}`)
	if err := s.Save(t.Context(), "a", partition, position); err != nil {
		t.Fatal(err)
	}
	clear(partition)
	clear(position)
	got, err := s.Load(t.Context(), "a", []byte(server))
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	entries, err := s.List(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		clear(e.Partition)
		clear(e.Position)
	}
	expect(t, "Load", load(t, s, "a", server), `{"pos":1}`)
	expect(t, "List", list(t, s, "a"), server+`={"pos":1} `)
}

func seenByOthers(t *testing.T, open func() offsets.Store) {
	save(t, open(), "a", server, `{"pos":1}`)
	second := open()
	expect(t, "Load by a second handle", load(t, second, "a", server), `{"pos":1}`)
	expect(t, "List by a second handle", list(t, second, "a"), server+`={"pos":1} `)
}

func concurrent(t *testing.T, open func() offsets.Store) {
	s := open()
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			name := fmt.Sprint("c", c)
			for i := range 5 {
				save(t, s, name, server, fmt.Sprintf(`{"pos":%d}`, i))
				expect(t, "Load", load(t, s, name, server), fmt.Sprintf(`{"pos":%d}`, i))
			}
		})
	}
	wg.Wait()
}
