package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pglogrepl"

	"github.com/penstock/penstock/schema"
)

// lsn is a place in the write-ahead log.
type lsn = pglogrepl.LSN

// offset are the fields of Debezium's offset that say where to go on.
type offset struct {
	Lsn       *int64 `json:"lsn"`
	LsnProc   *int64 `json:"lsn_proc"`
	LsnCommit *int64 `json:"lsn_commit"`
}

// parsePosition returns the place to start streaming at, and the end of the
// last transaction before it, 0 if there was none.
func parsePosition(p schema.Position) (start, commit lsn, err error) {
	var o offset
	if err := json.Unmarshal(p, &o); err != nil {
		return 0, 0, fmt.Errorf("read the stored offset %s: %w", p, err)
	}
	switch {
	case o.LsnCommit != nil:
		// Debezium may have stopped inside a transaction; it begins anew at
		// the end of the one before, and so do we.
		return lsn(*o.LsnCommit), lsn(*o.LsnCommit), nil
	case o.LsnProc != nil:
		return lsn(*o.LsnProc), 0, nil
	case o.Lsn != nil:
		return lsn(*o.Lsn), 0, nil
	default:
		return 0, 0, fmt.Errorf("read the stored offset %s: %w", p, errNoLSN)
	}
}

var errNoLSN = errors.New("it has none of lsn, lsn_proc and lsn_commit")

// commitPosition is the position after a transaction: at is the end of its
// commit in the log.
func commitPosition(at lsn, xid uint32, micros int64) schema.Position {
	p := make([]byte, 0, 160)
	p = append(p, `{"lsn_proc":`...)
	p = strconv.AppendUint(p, uint64(at), 10)
	p = append(p, `,"messageType":"COMMIT","lsn_commit":`...)
	p = strconv.AppendUint(p, uint64(at), 10)
	p = append(p, `,"lsn":`...)
	p = strconv.AppendUint(p, uint64(at), 10)
	if xid != 0 {
		p = append(p, `,"txId":`...)
		p = strconv.AppendUint(p, uint64(xid), 10)
	}
	p = append(p, `,"ts_usec":`...)
	p = strconv.AppendInt(p, micros, 10)
	return append(p, '}')
}

// plainPosition is a position that no transaction ended at: where a slot
// begins, or an idle log has got to.
func plainPosition(at lsn, xid uint32, micros int64) schema.Position {
	p := make([]byte, 0, 80)
	p = append(p, `{"lsn":`...)
	p = strconv.AppendUint(p, uint64(at), 10)
	if xid != 0 {
		p = append(p, `,"txId":`...)
		p = strconv.AppendUint(p, uint64(xid), 10)
	}
	p = append(p, `,"ts_usec":`...)
	p = strconv.AppendInt(p, micros, 10)
	return append(p, '}')
}
