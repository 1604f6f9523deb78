package schema_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/schema"
)

// TestArena_NothingMovesOrOverlaps hands out rows and text in random sizes,
// fills each with a pattern of its own, and finds all of them untouched in the
// end; over several rounds of Reset.
func TestArena_NothingMovesOrOverlaps(t *testing.T) {
	t.Parallel()
	sizes := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3000), rapid.SampledFrom([]int{64 << 10, 64<<10 + 1, 300_000}))
	rapid.Check(t, func(t *rapid.T) {
		var a schema.Arena
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			type piece struct {
				text []byte
				row  schema.Row
				mark int
			}
			var pieces []piece
			size := 0
			for i := range rapid.IntRange(0, 25).Draw(t, "pieces") {
				mark := i%250 + 1
				n := sizes.Draw(t, "size")
				switch rapid.SampledFrom([]string{"row", "make", "copy", "trim"}).Draw(t, "kind") {
				case "row":
					row := a.Row(n % 5000)
					for j := range row {
						if !row[j].IsNull() {
							t.Fatalf("a new row holds %#v", row[j])
						}
						row[j] = schema.Int(int64(mark))
					}
					if cap(row) != len(row) {
						t.Fatalf("a row of %d has room for %d", len(row), cap(row))
					}
					pieces = append(pieces, piece{row: row, mark: mark})
					size += len(row) * 40
				case "make":
					text := fill(a.Make(n), mark)
					pieces = append(pieces, piece{text: text, mark: mark})
					size += n
				case "copy":
					text := a.Copy(fill(make([]byte, n), mark))
					pieces = append(pieces, piece{text: text, mark: mark})
					size += n
				case "trim":
					text := a.Make(n)
					unused := rapid.IntRange(0, n).Draw(t, "unused")
					a.Trim(unused)
					pieces = append(pieces, piece{text: fill(text[:n-unused], mark), mark: mark})
					size += n - unused
				}
			}
			if a.Size() != size {
				t.Fatalf("handed out %d bytes, want %d", a.Size(), size)
			}
			for i, p := range pieces {
				for _, v := range p.row {
					if v.Int() != int64(p.mark) {
						t.Fatalf("row %d holds %#v instead of %d", i, v, p.mark)
					}
				}
				if !filled(p.text, p.mark) {
					t.Fatalf("text %d of %d bytes is not all %d", i, len(p.text), p.mark)
				}
			}
			a.Reset()
			if a.Size() != 0 {
				t.Fatalf("%d bytes are handed out after Reset", a.Size())
			}
		}
	})
}

func fill(b []byte, mark int) []byte {
	if len(b) > 0 {
		b[0] = byte(mark)
		for n := 1; n < len(b); n *= 2 {
			copy(b[n:], b[:n])
		}
	}
	return b
}

func filled(b []byte, mark int) bool { return bytes.Count(b, []byte{byte(mark)}) == len(b) }

// TestArena_SettlesWithoutAllocating repeats a batch that does not fit the
// first blocks: after a few rounds the blocks have the right size.
func TestArena_SettlesWithoutAllocating(t *testing.T) {
	var a schema.Arena
	text := make([]byte, 100)
	round := func() {
		a.Reset()
		for range 5000 {
			a.Row(12)
			a.Copy(text)
		}
	}
	for range 3 {
		round()
	}
	if n := testing.AllocsPerRun(5, round); n != 0 {
		t.Errorf("%v allocations in a round like the ones before", n)
	}
}

// TestArena_GivesBackAHugeRow sees to it that one huge value does not keep its
// memory for ever.
func TestArena_GivesBackAHugeRow(t *testing.T) {
	t.Parallel()
	var a schema.Arena
	huge := a.Make(64 << 20)
	a.Reset()
	small := a.Make(10)
	if cap(small) > 10 || &huge[0] == &small[0] {
		t.Error("the memory of a huge value is kept")
	}
}

func TestBatch_FullByEventsOrBytes(t *testing.T) {
	t.Parallel()
	b := schema.Batch{MaxEvents: 3, MaxBytes: 1000}
	for range 3 {
		if b.Full() {
			t.Fatal("full too early")
		}
		b.Append().Op = schema.OpCreate
	}
	if !b.Full() {
		t.Error("not full with all its events")
	}
	b.End = schema.Position("x")
	b.Reset()
	if b.Full() || len(b.Events) != 0 || b.End != nil {
		t.Errorf("not empty after Reset: %+v", b)
	}
	if e := b.Append(); e.Op != schema.OpRecord || e.After != nil {
		t.Errorf("a new event holds %+v", e)
	}
	b.Make(4000)
	if !b.Full() {
		t.Error("not full with all its bytes")
	}
}
