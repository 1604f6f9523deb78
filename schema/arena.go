package schema

// An arena's first block and the largest that it keeps over a Reset. A batch
// that grew for one huge row gives the memory back.
const (
	arenaBlock     = 64 << 10
	arenaKeepBytes = 4 << 20
	arenaCells     = 4096
	arenaKeepCells = 1 << 17
)

// Arena hands out memory for values and text and takes all of it back at once.
// What it has handed out never moves. The zero Arena is ready for use. It is
// not safe for concurrent use.
type Arena struct {
	text  []byte  // the current block; its length is what is used
	cells []Value // likewise
	size  int     // bytes handed out since Reset
	// The sum of the blocks given out since Reset, so that the next Reset can
	// replace many small blocks by one that fits.
	textSum, cellSum int
}

// Row returns n null values.
func (a *Arena) Row(n int) Row {
	if cap(a.cells)-len(a.cells) < n {
		a.cellSum += len(a.cells)
		a.cells = make([]Value, 0, max(arenaCells, n, 2*cap(a.cells)))
	}
	at := len(a.cells)
	a.cells = a.cells[:at+n]
	a.size += n * valueSize
	return Row(a.cells[at : at+n : at+n]) // null: new memory is zero, and Reset clears
}

// Copy returns a copy of p.
func (a *Arena) Copy(p []byte) []byte {
	b := a.Make(len(p))
	copy(b, p)
	return b
}

// Make returns n bytes of unspecified content. A caller that needs fewer may
// give the rest back with Trim.
func (a *Arena) Make(n int) []byte {
	if cap(a.text)-len(a.text) < n {
		a.textSum += len(a.text)
		a.text = make([]byte, 0, max(arenaBlock, n, min(2*cap(a.text), arenaKeepBytes)))
	}
	at := len(a.text)
	a.text = a.text[:at+n]
	a.size += n
	return a.text[at : at+n : at+n]
}

// Trim gives back the last n bytes of the latest Make.
func (a *Arena) Trim(n int) {
	a.text = a.text[:len(a.text)-n]
	a.size -= n
}

// Size returns how many bytes have been handed out since the last Reset.
func (a *Arena) Size() int { return a.size }

// Reset takes back everything that was handed out. The caller promises that
// nobody holds any of it; builds with the tag "invariants" overwrite it, so
// that who does is found out.
func (a *Arena) Reset() {
	mangle(a.text)
	sumText, sumCells := a.textSum+len(a.text), a.cellSum+len(a.cells)
	switch {
	case cap(a.text) > arenaKeepBytes:
		a.text = nil
	case a.textSum > 0:
		a.text = make([]byte, 0, min(sumText+sumText/4, arenaKeepBytes))
	default:
		a.text = a.text[:0]
	}
	switch {
	case cap(a.cells) > arenaKeepCells:
		a.cells = nil
	case a.cellSum > 0:
		a.cells = make([]Value, 0, min(sumCells+sumCells/4, arenaKeepCells))
	default:
		// Stale cells would keep the text they point to alive.
		clear(a.cells)
		a.cells = a.cells[:0]
	}
	a.textSum, a.cellSum, a.size = 0, 0, 0
}
