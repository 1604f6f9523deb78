package mysql

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// position is a place in the log where reading can begin: before a
// transaction, of which some events and rows may have been handed out already.
// Its form as JSON is Debezium's offset.
type position struct {
	File string `json:"file"`
	Pos  uint64 `json:"pos"`
	// GTIDs are the transactions that are completed, in the server's notation;
	// empty where the server has none.
	GTIDs string `json:"gtids,omitempty"`
	// Event is how many events of the transaction that begins at Pos are done
	// with, its BEGIN included; Row is how many rows of the event after them.
	Event int `json:"event,omitempty"`
	Row   int `json:"row,omitempty"`
	// Transaction is the GTID of the transaction that Event and Row count in.
	Transaction string `json:"transaction_id,omitempty"`
	// Prepared are the XA transactions that are prepared; see preparedSet.
	Prepared    string `json:"penstock_xa,omitempty"`
	ServerID    uint32 `json:"server_id,omitempty"`
	TimeSeconds int64  `json:"ts_sec,omitempty"`
}

// parsePosition reads a position that we or Debezium saved. Keys that are not
// ours are passed over: package snapshot and Debezium add some.
func parsePosition(p schema.Position) (position, error) {
	var raw struct {
		position
		Snapshot any `json:"snapshot"`
	}
	if err := json.Unmarshal(p, &raw); err != nil {
		return position{}, capture.Permanent(fmt.Errorf("the saved position %s cannot be read: %w; reset the connector's offsets", p, err))
	}
	pos := raw.position
	if pos.File == "" && pos.GTIDs == "" {
		return position{}, capture.Permanent(fmt.Errorf("the saved position %s names neither a log file nor GTIDs; reset the connector's offsets", p))
	}
	if pos.Event < 0 || pos.Row < 0 {
		return position{}, capture.Permanent(fmt.Errorf("the saved position %s has negative counts; reset the connector's offsets", p))
	}
	pos.GTIDs = strings.Join(strings.Fields(pos.GTIDs), "")
	return pos, nil
}

// encode returns the position's JSON. It is written by hand since every batch
// has one.
func (p *position) encode() schema.Position {
	b := make([]byte, 0, 96+len(p.File)+len(p.GTIDs)+len(p.Transaction)+2*len(p.Prepared))
	b = append(b, '{')
	if p.Transaction != "" {
		b = append(appendText(append(b, `"transaction_id":`...), p.Transaction), ',')
	}
	if p.TimeSeconds != 0 {
		b = append(b, `"ts_sec":`...)
		b = append(strconv.AppendInt(b, p.TimeSeconds, 10), ',')
	}
	b = append(b, `"file":`...)
	b = appendText(b, p.File)
	b = append(b, `,"pos":`...)
	b = strconv.AppendUint(b, p.Pos, 10)
	if p.GTIDs != "" {
		b = appendText(append(b, `,"gtids":`...), p.GTIDs)
	}
	if p.ServerID != 0 {
		b = append(b, `,"server_id":`...)
		b = strconv.AppendUint(b, uint64(p.ServerID), 10)
	}
	if p.Event != 0 {
		b = append(b, `,"event":`...)
		b = strconv.AppendInt(b, int64(p.Event), 10)
	}
	if p.Row != 0 {
		b = append(b, `,"row":`...)
		b = strconv.AppendInt(b, int64(p.Row), 10)
	}
	if p.Prepared != "" {
		b = appendText(append(b, `,"penstock_xa":`...), p.Prepared)
	}
	return append(b, '}')
}

// appendText appends a JSON string.
func appendText(dst []byte, s string) []byte {
	w := jsonWriter{dst: dst}
	w.string([]byte(strings.ToValidUTF8(s, "\uFFFD")))
	return w.dst
}

// fileNumber returns the number at the end of a log file's name.
func fileNumber(name string) (int64, bool) {
	_, digits, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
	if !ok {
		return 0, false
	}
	digits = digits[strings.LastIndexByte(digits, '.')+1:]
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// compareFiles orders places by file and position.
func compareFiles(aFile string, aPos uint64, bFile string, bPos uint64) int {
	if aFile != bFile {
		a, okA := fileNumber(aFile)
		b, okB := fileNumber(bFile)
		switch {
		case okA && okB && a != b:
			if a < b {
				return -1
			}
			return 1
		default:
			return strings.Compare(aFile, bFile)
		}
	}
	switch {
	case aPos < bPos:
		return -1
	case aPos > bPos:
		return 1
	}
	return 0
}

// before reports whether a statement that was logged at p comes before q, so
// that its effect is there at q. As the schema history has it, p's GTIDs are
// those before the statement, and its place is the end of the statement, or,
// inside a transaction, the transaction's beginning.
func (p *position) before(q *position, f flavor) bool {
	if p.GTIDs != "" && q.GTIDs != "" {
		a, errA := parseGTIDs(f, p.GTIDs)
		b, errB := parseGTIDs(f, q.GTIDs)
		if errA == nil && errB == nil {
			if !b.Contain(a) {
				return false
			}
			if !a.Contain(b) {
				return true // q has a transaction more: that of the statement
			}
			return p.Event < q.Event
		}
	}
	switch n := compareFiles(p.File, p.Pos, q.File, q.Pos); {
	case n != 0:
		return n < 0
	case p.Event == 0:
		return true // p is the statement's end
	default:
		return p.Event < q.Event
	}
}

// atOrBefore is before for the definitions that a snapshot writes at its own
// position.
func (p *position) atOrBefore(q *position, f flavor) bool {
	if p.GTIDs != "" && q.GTIDs != "" {
		a, errA := parseGTIDs(f, p.GTIDs)
		b, errB := parseGTIDs(f, q.GTIDs)
		if errA == nil && errB == nil {
			return b.Contain(a)
		}
	}
	return compareFiles(p.File, p.Pos, q.File, q.Pos) <= 0
}

// parseGTIDs reads a set of GTIDs in the server's notation.
func parseGTIDs(f flavor, text string) (mysql.GTIDSet, error) {
	var set mysql.GTIDSet
	var err error
	if f.mariaDB {
		set, err = mysql.ParseMariadbGTIDSet(text)
	} else {
		set, err = mysql.ParseMysqlGTIDSet(text)
	}
	if err != nil {
		return nil, fmt.Errorf("GTIDs %q: %w", text, err)
	}
	return set, nil
}
