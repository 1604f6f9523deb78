package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/penstock/penstock/capture"
)

// The types of events in the binary log (Log_event_type).
const (
	evQuery             = 2
	evStop              = 3
	evRotate            = 4
	evIntvar            = 5
	evAppendBlock       = 9
	evDeleteFile        = 11
	evRand              = 13
	evUserVar           = 14
	evFormatDescription = 15
	evXID               = 16
	evBeginLoadQuery    = 17
	evExecuteLoadQuery  = 18
	evTableMap          = 19
	evWriteRowsV1       = 23
	evUpdateRowsV1      = 24
	evDeleteRowsV1      = 25
	evIncident          = 26
	evHeartbeat         = 27
	evIgnorable         = 28
	evRowsQuery         = 29
	evWriteRows         = 30
	evUpdateRows        = 31
	evDeleteRows        = 32
	evGTID              = 33
	evAnonymousGTID     = 34
	evPreviousGTIDs     = 35
	evTransactionCtx    = 36
	evViewChange        = 37
	evXAPrepare         = 38
	evPartialUpdateRows = 39
	evPayload           = 40
	evHeartbeatV2       = 41
	evTaggedGTID        = 42

	evMariaAnnotate        = 160
	evMariaCheckpoint      = 161
	evMariaGTID            = 162
	evMariaGTIDList        = 163
	evMariaStartEncryption = 164
	evMariaQueryCompressed = 165
	evMariaWriteCompressed = 166
	evMariaUpdateCompress  = 167
	evMariaDeleteCompress  = 168
)

const (
	eventHeaderBytes = 19
	flagArtificial   = 0x20
	flagIgnorable    = 0x80
)

// event is one event of the binary log. Its body is valid until the next is
// read.
type event struct {
	typ      byte
	flags    uint16
	time     uint32 // seconds since 1970
	serverID uint32
	size     uint32 // in the log
	logPos   uint32 // the low bits of where it ends; 0 if not told
	body     []byte
	inner    bool // it comes out of a compressed transaction
}

var errChecksum = errors.New("an event of the binary log is damaged: its checksum does not match")

// parseEvent reads the header of an event and checks and cuts off the
// checksum, if there is one.
func parseEvent(b []byte, checksum bool) (event, error) {
	if len(b) < eventHeaderBytes {
		return event{}, fmt.Errorf("event: %w", errShort)
	}
	e := event{
		time: binary.LittleEndian.Uint32(b), typ: b[4], serverID: binary.LittleEndian.Uint32(b[5:]),
		size: binary.LittleEndian.Uint32(b[9:]), logPos: binary.LittleEndian.Uint32(b[13:]), flags: binary.LittleEndian.Uint16(b[17:]),
	}
	if int64(e.size) != int64(len(b)) {
		return event{}, fmt.Errorf("event of %d bytes says that it has %d: %w", len(b), e.size, errShort)
	}
	if checksum {
		if len(b) < eventHeaderBytes+4 {
			return event{}, fmt.Errorf("event: %w", errShort)
		}
		sum := b[len(b)-4:]
		b = b[:len(b)-4]
		if crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(sum) {
			return event{}, errChecksum
		}
	}
	e.body = b[eventHeaderBytes:]
	return e, nil
}

// hasChecksums reads from a format description, whole with its header, whether
// the events of its file carry checksums. The description itself always has
// room for one.
func hasChecksums(b []byte) bool {
	const algorithmOff, algorithmCRC32 = 0, 1
	return len(b) > eventHeaderBytes+5 && b[len(b)-5] == algorithmCRC32
}

// gtidEvent is what a GTID event says.
type gtidEvent struct {
	gtid   gtid
	known  bool  // there is a GTID
	micros int64 // when the transaction was committed, by its first server; 0 if not told
	// What MariaDB says besides: that a commit ends the transaction, and the
	// name of an XA transaction that is prepared.
	begins     bool
	preparedXA string
}

func parseGTIDEvent(e *event) (gtidEvent, error) {
	switch e.typ {
	case evMariaGTID:
		return parseMariaGTID(e)
	case evTaggedGTID:
		return parseTaggedGTID(e.body)
	default:
		return parseGTID(e)
	}
}

// parseGTID reads a GTID or anonymous GTID event.
func parseGTID(e *event) (g gtidEvent, err error) {
	w := wire{p: e.body}
	w.skip(1) // flags
	copy(g.gtid.sid[:], w.take(16))
	g.gtid.number = int64(w.uint64())
	if w.bad {
		return g, fmt.Errorf("GTID event: %w", errShort)
	}
	g.known = e.typ == evGTID && g.gtid.number > 0
	const logicalClock = 2
	if len(w.p) < 17+7 || w.uint8() != logicalClock {
		return g, nil
	}
	w.skip(16)
	immediate := w.little(7)
	if immediate&(1<<55) != 0 {
		immediate = w.little(7) // that of the original server
	}
	g.micros = int64(immediate)
	return g, w.err()
}

// parseTaggedGTID reads the event that servers from 8.3 on write for a GTID
// with a tag. Its self-describing form is left to the library.
func parseTaggedGTID(body []byte) (g gtidEvent, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("tagged GTID event: %w", errShort)
		}
	}()
	var e replication.GtidTaggedLogEvent
	if err := e.Decode(body); err != nil {
		return g, fmt.Errorf("tagged GTID event: %w", err)
	}
	copy(g.gtid.sid[:], e.SID)
	g.gtid.tag, g.gtid.number = e.Tag.String(), e.GNO
	g.known = g.gtid.number > 0
	g.micros = int64(e.ImmediateCommitTimestamp)
	if e.OriginalCommitTimestamp != 0 {
		g.micros = int64(e.OriginalCommitTimestamp)
	}
	return g, nil
}

// parseMariaGTID reads MariaDB's.
func parseMariaGTID(e *event) (g gtidEvent, err error) {
	const flagStandalone, flagGroupCommit, flagPreparedXA = 1, 2, 64
	w := wire{p: e.body}
	g.known = true
	g.gtid.number = int64(w.uint64())
	g.gtid.domain, g.gtid.server = w.uint32(), e.serverID
	flags := w.uint8()
	g.begins = flags&flagStandalone == 0
	if flags&flagPreparedXA != 0 {
		if flags&flagGroupCommit != 0 {
			w.skip(8) // the group's number
		}
		format := int32(w.uint32())
		global, branch := int(w.uint8()), int(w.uint8())
		g.preparedXA = xidText(int64(format), w.take(global), w.take(branch))
	}
	if w.bad {
		err = fmt.Errorf("GTID event: %w", errShort)
	}
	return g, err
}

// parsePrevious reads the set of GTIDs that a file begins with.
func parsePrevious(e *event) (text string, err error) {
	if e.typ == evMariaGTIDList {
		text, err = parseMariaGTIDList(e.body)
	} else {
		text, err = parsePreviousGTIDs(e.body)
	}
	return text, capture.Permanent(err)
}

// parsePreviousGTIDs reads the set that a file begins with, in the server's
// notation.
func parsePreviousGTIDs(body []byte) (text string, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("previous GTIDs: %w", errShort)
		}
	}()
	set, err := mysql.DecodeMysqlGTIDSet(body)
	if err != nil {
		return "", fmt.Errorf("previous GTIDs: %w", err)
	}
	return set.String(), nil
}

// parseMariaGTIDList reads MariaDB's.
func parseMariaGTIDList(body []byte) (string, error) {
	w := wire{p: body}
	n := w.uint32() & (1<<28 - 1) // the upper bits are flags
	var text []byte
	for range n {
		g := gtid{domain: w.uint32(), server: w.uint32(), number: int64(w.uint64())}
		if w.bad {
			return "", fmt.Errorf("GTID list: %w", errShort)
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = g.append(text, flavor{mariaDB: true})
	}
	return string(text), w.err()
}

// queryEvent is a statement in the log.
type queryEvent struct {
	thread   uint32
	database []byte
	status   []byte
	sql      []byte
}

func parseQuery(body []byte, loadFile bool) (q queryEvent, err error) {
	w := wire{p: body}
	q.thread = w.uint32()
	w.skip(4)
	dbLen := int(w.uint8())
	w.skip(2)
	statusLen := int(w.uint16())
	if loadFile {
		w.skip(4 + 4 + 4 + 1)
	}
	q.status = w.take(statusLen)
	q.database = w.take(dbLen)
	w.skip(1)
	q.sql = w.rest()
	if w.bad {
		err = fmt.Errorf("query event: %w", errShort)
	}
	return q, err
}

// sqlMode returns the session's sql_mode, if the event has it.
func (q *queryEvent) sqlMode() uint64 {
	const flags2, mode = 0, 1
	w := wire{p: q.status}
	for w.more() {
		switch w.uint8() {
		case flags2:
			w.skip(4)
		case mode:
			return w.uint64()
		default: // the two above come first
			return 0
		}
	}
	return 0
}

// rowsHeader is the head of a rows event.
type rowsHeader struct {
	table         uint64
	before, after []byte // which columns the images have; after only in updates
	rows          []byte
}

// noTable is the number that a rows event has which only ends a statement.
const noTable = 0xffffff

func parseRowsHeader(body []byte, withExtra, update bool) (h rowsHeader, err error) {
	w := wire{p: body}
	h.table = w.uint48()
	w.skip(2)
	if withExtra {
		n := int(w.uint16())
		w.skip(n - 2)
	}
	n, _ := w.lenenc()
	if n > maxColumns {
		w.bad = true
		n = 0
	}
	h.before = w.take((int(n) + 7) / 8)
	if update {
		h.after = w.take((int(n) + 7) / 8)
	}
	if w.bad {
		return h, fmt.Errorf("rows event: %w", errShort)
	}
	h.rows = w.rest()
	return h, nil
}
