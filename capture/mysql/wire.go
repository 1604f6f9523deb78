package mysql

import (
	"encoding/binary"
	"errors"
	"math"
)

// errShort says that a structure from the server ends before what it
// announces.
var errShort = errors.New("truncated data from the server")

// wire reads a structure of the protocol or the binary log in place. After a
// read beyond the end, bad is set and everything reads as zero, so that a whole
// structure is read before asking once.
type wire struct {
	p   []byte
	bad bool
}

// zeros is what a read beyond the end returns, if it is not longer.
var zeros [16]byte

func (w *wire) err() error {
	if w.bad {
		return errShort
	}
	return nil
}

// take returns the next n bytes.
func (w *wire) take(n int) []byte {
	if uint(n) > uint(len(w.p)) {
		w.bad = true
		w.p = nil
		if uint(n) <= uint(len(zeros)) {
			return zeros[:n]
		}
		return nil
	}
	b := w.p[:n:n]
	w.p = w.p[n:]
	return b
}

func (w *wire) uint8() byte    { return w.take(1)[0] }
func (w *wire) uint16() uint16 { return binary.LittleEndian.Uint16(w.take(2)) }
func (w *wire) uint24() uint32 {
	b := w.take(3)
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
}
func (w *wire) uint32() uint32  { return binary.LittleEndian.Uint32(w.take(4)) }
func (w *wire) uint64() uint64  { return binary.LittleEndian.Uint64(w.take(8)) }
func (w *wire) skip(n int)      { w.take(n) }
func (w *wire) more() bool      { return len(w.p) > 0 && !w.bad }
func (w *wire) uint48() uint64  { return w.little(6) }
func (w *wire) rest() []byte    { b := w.p; w.p = nil; return b }
func (w *wire) big(n int) int64 { return int64(bigEndian(w.take(n))) }

// little reads an n-byte integer, least significant byte first.
func (w *wire) little(n int) uint64 {
	var v uint64
	for i, b := range w.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func bigEndian(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// lenenc reads an integer in the protocol's length encoding; null reports the
// marker of a NULL value.
func (w *wire) lenenc() (n uint64, null bool) {
	switch b := w.uint8(); b {
	case 0xfb:
		return 0, true
	case 0xfc:
		return uint64(w.uint16()), false
	case 0xfd:
		return uint64(w.uint24()), false
	case 0xfe:
		return w.uint64(), false
	case 0xff:
		w.bad = true
		return 0, false
	default:
		return uint64(b), false
	}
}

// length reads a length-encoded length and checks it against what is left.
func (w *wire) length() int {
	n, _ := w.lenenc()
	if n > uint64(len(w.p)) {
		w.bad = true
		w.p = nil
		return 0
	}
	return int(n)
}

// text reads a length-encoded string in place.
func (w *wire) text() []byte { return w.take(w.length()) }

func (w *wire) float64() float64 { return math.Float64frombits(w.uint64()) }
