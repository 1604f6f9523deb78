package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The messages of pgoutput's protocol version 1 and the ones around them. They
// are read in place: what a struct or a reader returns aliases the message and
// is valid as long as that is.

// errMessage says that a message ends too early or holds what it cannot.
var errMessage = errors.New("malformed message of pgoutput")

// reader reads big-endian fields off a message. Once one is missing all
// further ones are zero; whoever has read a whole message asks err.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// text reads up to a zero byte.
func (r *reader) text() []byte {
	i := bytes.IndexByte(r.b, 0)
	if i < 0 {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:i:i]
	r.b = r.b[i+1:]
	return p
}

// err returns an error if a field was missing or something is left over.
func (r *reader) err(message string) error {
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("%w: %s", errMessage, message)
	}
	return nil
}

// postgresEpoch is 2000-01-01 in microseconds since 1970.
const postgresEpoch = 946684800 * 1_000_000

// micros reads a time and returns it in microseconds since 1970.
func (r *reader) micros() int64 { return int64(r.uint64()) + postgresEpoch }

// beginMessage is 'B'.
type beginMessage struct {
	micros int64 // of the commit
	xid    uint32
}

func readBegin(r *reader) (beginMessage, error) {
	r.uint64() // the commit's place
	m := beginMessage{micros: r.micros(), xid: r.uint32()}
	return m, r.err("Begin")
}

// commitMessage is 'C'.
type commitMessage struct {
	end    lsn // the place after the transaction
	micros int64
}

func readCommit(r *reader) (commitMessage, error) {
	r.byte()   // flags
	r.uint64() // the commit's place
	m := commitMessage{end: lsn(r.uint64()), micros: r.micros()}
	return m, r.err("Commit")
}

// originMessage is 'O': the transaction came from another server.
type originMessage struct {
	at   lsn
	name []byte
}

func readOrigin(r *reader) (originMessage, error) {
	m := originMessage{at: lsn(r.uint64()), name: r.text()}
	return m, r.err("Origin")
}

// relationMessage is 'R': the definition of a table from here on.
type relationMessage struct {
	oid             uint32
	namespace, name string
	identity        byte // as pg_class.relreplident: d, n, f or i
	columns         []relationColumn
}

type relationColumn struct {
	name     string
	identity bool // part of the replica identity
	oid      uint32
	mod      int32
}

func readRelation(r *reader) (relationMessage, error) {
	m := relationMessage{oid: r.uint32(), namespace: string(r.text()), name: string(r.text()), identity: r.byte()}
	n := int(r.uint16())
	const smallest = 1 + 1 + 4 + 4
	if n > len(r.b)/smallest {
		r.bad = true
		n = 0
	}
	m.columns = make([]relationColumn, n)
	for i := range m.columns {
		c := &m.columns[i]
		c.identity = r.byte()&1 != 0
		c.name = string(r.text())
		c.oid = r.uint32()
		c.mod = int32(r.uint32())
	}
	return m, r.err("Relation")
}

// changeMessage is 'I', 'U' or 'D'. A tuple that the message does not have is
// empty.
type changeMessage struct {
	oid uint32
	// oldKind is 'K' if old has the key alone, 'O' if it is the whole row, and
	// 0 if there is none.
	oldKind  byte
	old, new tuple
}

// tuple is a row: its number of columns and what follows.
type tuple struct {
	n    int
	data []byte
}

func readChange(kind byte, r *reader) (changeMessage, error) {
	m := changeMessage{oid: r.uint32()}
	part := r.byte()
	if part == 'K' || part == 'O' {
		if kind == 'I' {
			return m, fmt.Errorf("%w: an Insert with an old row", errMessage)
		}
		m.oldKind = part
		m.old = r.tuple()
		if kind == 'D' {
			return m, r.err("Delete")
		}
		part = r.byte()
	}
	if part != 'N' || kind == 'D' {
		return m, fmt.Errorf("%w: a change without the row it must have", errMessage)
	}
	m.new = r.tuple()
	return m, r.err("change of a row")
}

// tuple passes over a row, checking that its parts are there.
func (r *reader) tuple() tuple {
	t := tuple{n: int(r.uint16()), data: r.b}
	for range t.n {
		switch r.byte() {
		case 'n', 'u':
		case 't', 'b':
			r.take(int(int32(r.uint32())))
		default:
			r.bad = true
		}
		if r.bad {
			return tuple{}
		}
	}
	t.data = t.data[:len(t.data)-len(r.b)]
	return t
}

// next returns the next column of a row that has one left: its kind (n null, u
// unchanged and not sent, t text, b binary) and its value.
func (t *tuple) next() (kind byte, value []byte) {
	kind = t.data[0]
	if kind == 'n' || kind == 'u' {
		t.data = t.data[1:]
		return kind, nil
	}
	end := 5 + int(binary.BigEndian.Uint32(t.data[1:]))
	value = t.data[5:end:end]
	t.data = t.data[end:]
	return kind, value
}

// truncateMessage is 'T'. The oids follow in the reader, n of them.
type truncateMessage struct{ n int }

func readTruncate(r *reader) (truncateMessage, error) {
	m := truncateMessage{n: int(int32(r.uint32()))}
	r.byte() // CASCADE and RESTART IDENTITY
	if r.bad || m.n < 0 || m.n*4 != len(r.b) {
		return m, fmt.Errorf("%w: Truncate", errMessage)
	}
	return m, nil
}

// logicalMessage is 'M', from pg_logical_emit_message.
type logicalMessage struct {
	transactional   bool
	at              lsn
	prefix, content []byte
}

func readLogicalMessage(r *reader) (logicalMessage, error) {
	m := logicalMessage{transactional: r.byte()&1 != 0, at: lsn(r.uint64()), prefix: r.text()}
	m.content = r.take(int(int32(r.uint32())))
	return m, r.err("Message")
}

// The messages of the replication protocol that wrap those of pgoutput.

// walData is 'w'.
type walData struct {
	at   lsn
	data []byte
}

func readWALData(r *reader) (walData, error) {
	m := walData{at: lsn(r.uint64())}
	r.uint64() // the end of the log
	r.uint64() // the server's clock
	if r.bad {
		return m, fmt.Errorf("%w: XLogData", errMessage)
	}
	m.data = r.b
	return m, nil
}

// keepalive is 'k'.
type keepalive struct {
	end   lsn // what the server has decoded and sent up to
	reply bool
}

func readKeepalive(r *reader) (keepalive, error) {
	m := keepalive{end: lsn(r.uint64())}
	r.uint64() // the server's clock
	m.reply = r.byte() != 0
	return m, r.err("keepalive")
}

// appendStatus writes a standby status update that confirms a position in all
// three of its fields.
func appendStatus(dst []byte, confirmed lsn, micros int64) []byte {
	dst = append(dst, 'r')
	for range 3 { // written, flushed, applied
		dst = binary.BigEndian.AppendUint64(dst, uint64(confirmed))
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(micros-postgresEpoch))
	return append(dst, 0) // no reply wanted
}
