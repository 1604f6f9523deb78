package snapshot

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/schema"
)

// The offset's keys. The first three are Debezium's; ours holds the ledger as
// text, since Kafka Connect allows only primitive values in an offset.
const (
	keySnapshot   = "snapshot"
	keyCompleted  = "snapshot_completed"
	keyLastRecord = "last_snapshot_record"
	keyLedger     = "penstock_snapshot"
)

// ledger says which chunks of which tables are copied.
type ledger struct {
	Tables map[string]*tableLedger `json:"tables"`
}

type tableLedger struct {
	// Done says that the whole table is copied; the rest is dropped then.
	Done bool `json:"done,omitempty"`
	// Bounds are the table's, as they were when its copying began.
	Bounds []string `json:"bounds,omitempty"`
	// Chunks are the places of the copied chunks, as ranges: "0-3,7".
	Chunks string `json:"chunks,omitempty"`

	chunks []bool
}

func newLedger() *ledger { return &ledger{Tables: map[string]*tableLedger{}} }

// any reports whether a chunk of any table is copied.
func (l *ledger) any() bool {
	for _, t := range l.Tables {
		if t.Done || t.Chunks != "" || slices.Contains(t.chunks, true) {
			return true
		}
	}
	return false
}

// begin adds a table; if it is there already, its bounds and copied chunks
// stay as they are.
func (l *ledger) begin(table string, bounds []string) *tableLedger {
	t, ok := l.Tables[table]
	if !ok {
		t = &tableLedger{Bounds: bounds}
		l.Tables[table] = t
	}
	if t.chunks == nil {
		t.chunks = make([]bool, len(t.Bounds)+1)
	}
	return t
}

// complete marks one chunk and reports whether it was the table's last.
func (t *tableLedger) complete(chunk int) bool {
	t.chunks[chunk] = true
	if slices.Contains(t.chunks, false) {
		return false
	}
	t.Done, t.Bounds = true, nil
	return true
}

// A ledger of more than packBeyond bytes is packed: ten thousand tables come near
// to what a broker takes as a record. maxLedger bounds what one unpacks to.
const (
	packBeyond   = 64 << 10
	maxLedger    = 256 << 20
	packedLedger = "deflate:" // and base64
)

// text leaves out the tables of which nothing is copied yet: those are begun
// again like new ones.
func (l *ledger) text() string {
	some := newLedger()
	for name, t := range l.Tables {
		t.Chunks = ""
		if !t.Done {
			if t.Chunks = formatRanges(t.chunks); t.Chunks == "" {
				continue
			}
		}
		some.Tables[name] = t
	}
	text, err := json.Marshal(some)
	if err != nil {
		panic("snapshot: a ledger of texts does not marshal: " + err.Error())
	}
	if len(text) <= packBeyond {
		return string(text)
	}
	var b strings.Builder
	b.WriteString(packedLedger)
	encoder := base64.NewEncoder(base64.StdEncoding, &b)
	z, err := flate.NewWriter(encoder, flate.BestSpeed)
	if err == nil {
		_, err = z.Write(text)
	}
	if err = errors.Join(err, z.Close(), encoder.Close()); err != nil {
		panic("snapshot: a ledger is not packed into memory: " + err.Error())
	}
	return b.String()
}

func unpackLedger(text string) ([]byte, error) {
	packed, ok := strings.CutPrefix(text, packedLedger)
	if !ok {
		return []byte(text), nil
	}
	z := flate.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	out, err := io.ReadAll(io.LimitReader(z, maxLedger+1))
	if err == nil && len(out) > maxLedger {
		err = fmt.Errorf("it unpacks to more than %d bytes", maxLedger)
	}
	return out, err
}

func parseLedger(text string) (*ledger, error) {
	l := newLedger()
	plain, err := unpackLedger(text)
	if err != nil {
		return nil, fmt.Errorf("offset's %s: %w", keyLedger, err)
	}
	if err := json.Unmarshal(plain, l); err != nil {
		return nil, fmt.Errorf("offset's %s: %w", keyLedger, err)
	}
	for name, t := range l.Tables {
		if t == nil {
			return nil, fmt.Errorf("offset's %s: table %s is null", keyLedger, name)
		}
		t.chunks = make([]bool, len(t.Bounds)+1)
		if err := parseRanges(t.Chunks, t.chunks); err != nil {
			return nil, fmt.Errorf("offset's %s: table %s: %w", keyLedger, name, err)
		}
	}
	return l, nil
}

func formatRanges(set []bool) string {
	var b strings.Builder
	for i := 0; i < len(set); i++ {
		if !set[i] {
			continue
		}
		from := i
		for i+1 < len(set) && set[i+1] {
			i++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(from))
		if i > from {
			b.WriteString("-" + strconv.Itoa(i))
		}
	}
	return b.String()
}

func parseRanges(text string, set []bool) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return fmt.Errorf("chunks %q: %w", text, err)
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return fmt.Errorf("chunks %q: %w", text, err)
		}
		if from < 0 || to < from || to >= len(set) {
			return fmt.Errorf("chunks %q: there are only %d", text, len(set))
		}
		for i := from; i <= to; i++ {
			set[i] = true
		}
	}
	return nil
}

// offset is a Position taken apart.
type offset struct {
	// log is the position without any mark of a snapshot.
	log schema.Position
	// began says that a snapshot had begun, completed that it had ended.
	began, completed bool
	// ledger is nil if the snapshot is not one of ours.
	ledger *ledger
}

func parseOffset(p schema.Position) (offset, error) {
	fields, err := decodeObject(p)
	if err != nil {
		return offset{}, fmt.Errorf("the saved offset is not a JSON object: %w", err)
	}
	var o offset
	if _, ok := fields[keySnapshot]; ok {
		o.began = true
		// Debezium writes snapshot_completed since 2.x, before that only the
		// last record's mark.
		o.completed = string(fields[keyCompleted]) == "true"
		if _, says := fields[keyCompleted]; !says {
			o.completed = string(fields[keyLastRecord]) == "true"
		}
	}
	if text, ok := fields[keyLedger]; ok {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return offset{}, fmt.Errorf("offset's %s: %w", keyLedger, err)
		}
		if o.ledger, err = parseLedger(s); err != nil {
			return offset{}, err
		}
	}
	for _, k := range []string{keySnapshot, keyCompleted, keyLastRecord, keyLedger} {
		delete(fields, k)
	}
	o.log = encodeObject(fields)
	return o, nil
}

// during returns the position to save while the snapshot goes on.
func during(log schema.Position, l *ledger) (schema.Position, error) {
	return mark(log, false, l)
}

// again returns the position to save when the log is lost and the tables have
// to be copied again: that of a snapshot which cannot be resumed. Debezium
// understands it likewise.
func again(at schema.Position) (schema.Position, error) {
	if at == nil {
		return nil, nil // nothing was saved, so the next start is the first
	}
	o, err := parseOffset(at)
	if err != nil {
		return nil, err
	}
	return mark(o.log, false, nil)
}

// after returns the position to save when the snapshot is complete.
func after(log schema.Position) (schema.Position, error) { return mark(log, true, nil) }

func mark(log schema.Position, completed bool, l *ledger) (schema.Position, error) {
	fields, err := decodeObject(log)
	if err != nil {
		return nil, fmt.Errorf("the source's position is not a JSON object: %w", err)
	}
	fields[keySnapshot] = json.RawMessage(`"INITIAL"`)
	fields[keyCompleted] = json.RawMessage(strconv.FormatBool(completed))
	fields[keyLastRecord] = fields[keyCompleted]
	if l != nil {
		text, err := json.Marshal(l.text())
		if err != nil {
			return nil, fmt.Errorf("write the ledger: %w", err)
		}
		fields[keyLedger] = text
	}
	return encodeObject(fields), nil
}

func decodeObject(p schema.Position) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(p, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// encodeObject writes the fields in the order of their names.
func encodeObject(fields map[string]json.RawMessage) schema.Position {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(k)
		if err != nil {
			panic("snapshot: a string does not marshal: " + err.Error())
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(fields[k])
	}
	b.WriteByte('}')
	return b.Bytes()
}
