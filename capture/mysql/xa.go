package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// The rows of an XA transaction are in the log when it is prepared; whether
// they count, one event says that may come much later: XA COMMIT or XA
// ROLLBACK. So they are passed over when they come, the place where they are
// becomes part of the position, and at XA COMMIT they are read again from
// there and handed out as part of the commit. What is small stays in memory
// for that.
const (
	// heldEach and heldAll are how many bytes of events are kept in memory of
	// one prepared transaction and of all.
	heldEach = 1 << 20
	heldAll  = 8 << 20
)

// prepared is an XA transaction that is prepared, and neither committed nor
// rolled back.
type prepared struct {
	// XID is its name as the server writes it: X'6964',X'',1.
	XID string `json:"xid"`
	// File and Pos are where it begins in the log.
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
	// GTID is what it was prepared as, if reading can begin by GTIDs; After
	// are, on MariaDB, those before it.
	GTID  string `json:"gtid,omitempty"`
	After string `json:"after,omitempty"`

	events []byte // those after its beginning; nil if they are not held
}

// preparedSet are the prepared transactions, the oldest first.
type preparedSet struct {
	list  []prepared
	held  int // bytes
	text  string
	stale bool
}

func parsePrepared(text string) (s preparedSet, err error) {
	if text == "" {
		return s, nil
	}
	s.text = text
	return s, json.Unmarshal([]byte(text), &s.list)
}

// add puts a transaction into the set. Its events are given up, or those of
// older transactions, if they are more than is to be held.
func (s *preparedSet) add(p prepared) {
	s.remove(p.XID)
	s.held += len(p.events)
	s.list, s.stale = append(s.list, p), true
	for i := 0; s.held > heldAll; i++ {
		s.held -= len(s.list[i].events)
		s.list[i].events = nil
	}
}

func (s *preparedSet) find(xid string) (prepared, bool) {
	i := s.index(xid)
	if i < 0 {
		return prepared{}, false
	}
	return s.list[i], true
}

func (s *preparedSet) index(xid string) int {
	return slices.IndexFunc(s.list, func(p prepared) bool { return p.XID == xid })
}

func (s *preparedSet) remove(xid string) {
	if i := s.index(xid); i >= 0 {
		s.held -= len(s.list[i].events)
		s.list, s.stale = slices.Delete(s.list, i, i+1), true
	}
}

// String returns the set as the position has it: text, since Kafka Connect
// allows only primitive values in an offset. It is empty if nothing is
// prepared.
func (s *preparedSet) String() string {
	if !s.stale {
		return s.text
	}
	s.stale, s.text = false, ""
	if len(s.list) > 0 {
		b, err := json.Marshal(s.list)
		if err != nil {
			panic(err) // texts and numbers can always be written
		}
		s.text = string(b)
	}
	return s.text
}

// xaStatement takes apart an XA statement as the server logs it.
func xaStatement(sql []byte) (verb, xid string, ok bool) {
	rest, ok := bytes.CutPrefix(sql, []byte("XA "))
	if !ok {
		return "", "", false
	}
	v, x, _ := bytes.Cut(rest, []byte(" "))
	return string(v), string(x), true
}

// xidText renders a name as the server does.
func xidText(format int64, global, branch []byte) string {
	return fmt.Sprintf("X'%x',X'%x',%d", global, branch, format)
}

// pass takes an event of an XA transaction when it is prepared.
func (s *source) pass(ctx context.Context, b *schema.Batch, e event) error {
	if e.typ == evPayload {
		return s.payload.start(e)
	}
	s.hold(&e)
	if e.typ != evXAPrepare {
		return nil
	}
	p := prepared{XID: s.tx.xid, File: s.file, Pos: s.tx.begin, events: s.tx.held}
	if s.tx.hasGTID && !s.done.partial {
		p.GTID = string(s.tx.text)
		if s.cfg.flavor.mariaDB {
			p.After = s.done.String()
		}
	}
	const onePhase = 1
	if len(e.body) > 0 && e.body[0] == onePhase { // it is committed right away
		return s.play(ctx, p)
	}
	s.prepared.add(p)
	return s.commit(b)
}

// hold keeps an event of the transaction in progress, unless it is a large one.
func (s *source) hold(e *event) {
	if s.tx.large {
		return
	}
	if len(s.tx.held)+eventHeaderBytes+len(e.body) > heldEach {
		s.tx.held, s.tx.large = nil, true
		return
	}
	s.tx.held = appendEvent(s.tx.held, e)
}

// appendEvent appends an event in the form that parseEvent reads.
func appendEvent(dst []byte, e *event) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, e.time)
	dst = append(dst, e.typ)
	dst = binary.LittleEndian.AppendUint32(dst, e.serverID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(eventHeaderBytes+len(e.body)))
	dst = binary.LittleEndian.AppendUint32(dst, e.logPos)
	dst = binary.LittleEndian.AppendUint16(dst, e.flags)
	return append(dst, e.body...)
}

// replay is a prepared transaction that is read again since it is committed.
// Its events count within the transaction that commits it, so that reading can
// go on in the middle of it as in any other.
type replay struct {
	of    prepared
	rest  []byte // its events, if they are held
	dump  *dump  // where they come from otherwise
	found bool   // its beginning has come
	rows  int    // in the events that are done with
}

// play begins to read a transaction again.
func (s *source) play(ctx context.Context, p prepared) error {
	s.tx.explicit, s.tx.events = true, 1
	s.replay = &replay{of: p, rest: p.events, found: p.events != nil}
	if p.events != nil {
		return nil
	}
	at, byGTID := position{File: p.File, Pos: p.Pos}, p.GTID != "" && !s.done.partial && s.server.gtid && !s.cfg.ignoreGTID
	if byGTID {
		at.GTIDs = p.After
		if !s.cfg.flavor.mariaDB {
			var err error
			if at.GTIDs, err = s.done.without(p.GTID); err != nil {
				return err
			}
		}
	}
	c, err := dial(ctx, s.cfg)
	if err != nil {
		return err
	}
	s.replay.dump = &dump{cfg: s.cfg, conn: c, server: s.server}
	return s.replay.explain(s.replay.dump.open(ctx, &at, byGTID, false))
}

// explain says what was being done when an error occurred.
func (r *replay) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLogEnd):
		err = r.missing()
	}
	return fmt.Errorf("read the rows of the XA transaction %s, from where it was prepared (%s, %d): %w", r.of.XID, r.of.File, r.of.Pos, err)
}

func (r *replay) missing() error { return lost("the transaction is not in the log any more") }

// next returns the next of the events that are held.
func (r *replay) next() (event, error) {
	if len(r.rest) < eventHeaderBytes {
		return event{}, errShort
	}
	size := min(int(binary.LittleEndian.Uint32(r.rest[9:])), len(r.rest))
	e, err := parseEvent(r.rest[:size], false)
	e.inner = true
	r.rest = r.rest[size:]
	return e, err
}

// begins looks at the beginning of a transaction in the log, whether it is the
// one that is looked for.
func (s *source) begins(e *event) (bool, error) {
	g, err := parseGTIDEvent(e)
	if err != nil {
		return false, err
	}
	of := &s.replay.of
	if e.typ == evMariaGTID && g.preparedXA != of.XID {
		return false, nil
	}
	return of.GTID == "" || g.known && of.GTID == string(g.gtid.append(nil, s.cfg.flavor)), nil
}

// again takes an event of a transaction that is read again.
func (s *source) again(ctx context.Context, b *schema.Batch, e event) (err error) {
	r := s.replay
	switch e.typ {
	case evRotate, evHeartbeat, evHeartbeatV2, evPreviousGTIDs, evMariaGTIDList, evFormatDescription, evStop, evMariaCheckpoint, evMariaStartEncryption:
		return nil
	case evGTID, evAnonymousGTID, evTaggedGTID, evMariaGTID:
		r.found, err = s.begins(&e)
		if err == nil && !r.found && r.of.GTID == "" { // the place is another one's
			err = r.missing()
		}
		return err
	case evQuery:
		if !r.found {
			return nil
		}
		q, err := parseQuery(e.body, false)
		if err != nil {
			return err
		}
		if verb, xid, ok := xaStatement(q.sql); ok && verb == "START" {
			if xid != r.of.XID {
				return r.missing()
			}
			return nil
		}
	case evXAPrepare:
		if r.found {
			return s.played(b)
		}
	}
	if !r.found {
		return nil
	}
	return s.body(ctx, b, e)
}

// played ends a transaction that was read again, and the one that commits it.
func (s *source) played(b *schema.Batch) error {
	s.prepared.remove(s.replay.of.XID)
	err := s.replay.close()
	s.replay = nil
	s.heard = time.Now() // nobody has listened meanwhile
	return errors.Join(err, s.commit(b))
}

func (r *replay) close() error {
	if r == nil || r.dump == nil {
		return nil
	}
	return r.dump.conn.close()
}

// endXA takes the end of a prepared transaction.
func (s *source) endXA(ctx context.Context, b *schema.Batch, q *queryEvent, verb, xid string) error {
	if !s.tx.open {
		s.start(&gtidEvent{})
	}
	if verb == "ROLLBACK" {
		s.prepared.remove(xid)
		return s.commit(b)
	}
	p, ok := s.prepared.find(xid)
	if !ok {
		return capture.Permanent(fmt.Errorf("the XA transaction %s is committed and was prepared before the position that reading began at, so its rows are missing. "+
			"To copy the tables again, set snapshot.mode=when_needed or reset the connector's offsets; snapshots wait for prepared transactions if they may see them "+
			"(MySQL: GRANT XA_RECOVER_ADMIN ON *.* TO %s): %w", xid, account(s.cfg), capture.ErrPositionLost))
	}
	s.tx.thread, s.tx.hasThread = q.thread, true
	return s.play(ctx, p)
}
