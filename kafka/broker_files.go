package kafka

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The on-disk format of kfake, as far as recovery needs it. It is that of the
// kfake version in go.mod; TestRecover_* and the crash tests fail when another
// version changes it.
//
//	meta.json                    version and cluster id
//	topics.json                  topics with ids, partition counts and settings
//	groups.log, pids.log         framed JSON entries, the newest of a key counts
//	seq_windows.json             sequence numbers of idempotent producers
//	session_state.json           group members, after a clean stop
//	partitions/<topic>-<n>/
//	    <base offset>.dat        record batches, as on the wire
//	    <base offset>.idx        15 bytes for each of them
//	    snapshot.json            offsets of the partition, after a clean stop
const (
	fakeVersion      = 1
	filePids         = "pids.log"
	fileGroups       = "groups.log"
	fileWindows      = "seq_windows.json"
	fileSession      = "session_state.json"
	fileTopics       = "topics.json"
	fileMeta         = "meta.json"
	filePartSnapshot = "snapshot.json"
	dirPartitions    = "partitions"
	extData          = ".dat"
	extIndex         = ".idx"

	batchHeaderSize = 61
	indexEntrySize  = 15
	entryHeaderSize = 8
)

type fakeTopics struct {
	Version int         `json:"version"`
	Topics  []fakeTopic `json:"topics"`
}

type fakeTopic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

type fakeSnapshot struct {
	Version          int           `json:"version"`
	HighWatermark    int64         `json:"high_watermark"`
	LastStableOffset int64         `json:"last_stable_offset"`
	LogStartOffset   int64         `json:"log_start_offset"`
	Epoch            int32         `json:"epoch"`
	LeaderNode       int32         `json:"leader_node,omitempty"`
	MaxTimestamp     int64         `json:"max_timestamp"`
	CreatedAt        time.Time     `json:"created_at"`
	AbortedTxns      []fakeAborted `json:"aborted_txns,omitempty"`
	Segments         []fakeSegment `json:"segments"`
}

type fakeAborted struct {
	ProducerID  int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
}

type fakeSegment struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

// fakePid is an entry of pids.log.
type fakePid struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

type fakeWindows struct {
	Version int          `json:"version"`
	Windows []fakeWindow `json:"windows"`
}

// fakeWindow is what is known of a producer's last batches in a partition.
type fakeWindow struct {
	PID     int64              `json:"pid"`
	Topic   string             `json:"topic"`
	Part    int32              `json:"partition"`
	Entries [5]fakeWindowEntry `json:"entries"`
	Count   uint8              `json:"count"`
	At      uint8              `json:"at"`
	Epoch   int16              `json:"epoch"`
	Seen    bool               `json:"seen"`
	NextSeq int32              `json:"next_seq"`
}

type fakeWindowEntry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

func castagnoli(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }

// batchHeader is the fixed part of a record batch.
type batchHeader struct {
	firstOffset, maxTimestamp, producerID     int64
	epoch, lastOffsetDelta, firstSeq, records int32
	attributes, producerEpoch                 int16
}

func (h *batchHeader) end() int64          { return h.firstOffset + int64(h.lastOffsetDelta) + 1 }
func (h *batchHeader) control() bool       { return h.attributes&0x20 != 0 }
func (h *batchHeader) transactional() bool { return h.attributes&0x10 != 0 }

// codec is the compression of the records.
func (h *batchHeader) codec() kgo.CompressionCodecType {
	return kgo.CompressionCodecType(h.attributes & 0x07)
}

// parseBatch reads the batch at the beginning of raw. size is 0 if there is no
// whole and sound batch.
func parseBatch(raw []byte) (h batchHeader, size int) {
	if len(raw) < batchHeaderSize {
		return h, 0
	}
	size = batchSize(raw)
	if size < batchHeaderSize || size > len(raw) || raw[16] != 2 ||
		binary.BigEndian.Uint32(raw[17:]) != castagnoli(raw[21:size]) {
		return h, 0
	}
	return batchHeader{
		firstOffset:     int64(binary.BigEndian.Uint64(raw)),
		epoch:           int32(binary.BigEndian.Uint32(raw[12:])),
		attributes:      int16(binary.BigEndian.Uint16(raw[21:])),
		lastOffsetDelta: int32(binary.BigEndian.Uint32(raw[23:])),
		maxTimestamp:    int64(binary.BigEndian.Uint64(raw[35:])),
		producerID:      int64(binary.BigEndian.Uint64(raw[43:])),
		producerEpoch:   int16(binary.BigEndian.Uint16(raw[51:])),
		firstSeq:        int32(binary.BigEndian.Uint32(raw[53:])),
		records:         int32(binary.BigEndian.Uint32(raw[57:])),
	}, size
}

// batchSize returns how long the batch says it is; negative or too small if
// that is nonsense. raw has at least 12 bytes.
func batchSize(raw []byte) int { return 12 + int(int32(binary.BigEndian.Uint32(raw[8:]))) }

// isCommit reports whether a control batch commits its transaction.
func isCommit(raw []byte) bool {
	var r kmsg.Record
	if err := r.ReadFrom(raw[batchHeaderSize:]); err != nil || len(r.Key) < 4 {
		return false
	}
	return binary.BigEndian.Uint16(r.Key[2:]) == 1
}

// marker returns the control batch that ends a transaction.
func marker(h batchHeader, offset int64, commit bool, now time.Time) []byte {
	kind := kmsg.ControlRecordKeyTypeAbort
	if commit {
		kind = kmsg.ControlRecordKeyTypeCommit
	}
	key := kmsg.ControlRecordKey{Type: kind}
	end := kmsg.EndTxnMarker{}
	r := kmsg.Record{Key: key.AppendTo(nil), Value: end.AppendTo(nil)}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length of so short a record has one byte
	b := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: h.epoch, Magic: 2, Attributes: 0x30,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: h.producerID, ProducerEpoch: h.producerEpoch, FirstSequence: -1,
		NumRecords: 1, Records: r.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], castagnoli(raw[21:]))
	return raw
}

// indexEntry returns what belongs into an index for a batch.
func indexEntry(h batchHeader, maxTimestamp int64) []byte {
	var e [indexEntrySize]byte
	e[0] = fakeVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(h.epoch))
	binary.LittleEndian.PutUint64(e[6:], uint64(maxTimestamp))
	if h.transactional() && !h.control() {
		e[14] = 1
	}
	e[1] = byte(castagnoli(e[2:]))
	return e[:]
}

// partitionDir is where a partition's files are, below the fake's directory.
func partitionDir(dir, topic string, p int32) string {
	return filepath.Join(dir, dirPartitions, fmt.Sprintf("%s-%d", url.PathEscape(topic), p))
}

// segments returns the base offsets of a partition's segments, in order.
func segments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), extData); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func segmentPath(dir string, base int64, ext string) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+ext)
}

// readEntries passes the entries of a framed log to each and returns how many
// bytes of it are sound.
func readEntries(raw []byte, each func(data []byte)) (sound int) {
	for sound+entryHeaderSize <= len(raw) {
		length := int64(binary.LittleEndian.Uint32(raw[sound:]))
		if length < 2 || int64(sound)+entryHeaderSize+length > int64(len(raw)) {
			return sound
		}
		body := raw[sound+entryHeaderSize:][:length]
		if binary.LittleEndian.Uint32(raw[sound+4:]) != castagnoli(body) {
			return sound
		}
		each(body[2:])
		sound += entryHeaderSize + int(length)
	}
	return sound
}

// appendEntry appends an entry of a framed log.
func appendEntry(dst, data []byte) []byte {
	body := binary.LittleEndian.AppendUint16(nil, fakeVersion)
	body = append(body, data...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, castagnoli(body))
	return append(dst, body...)
}

// readJSON reads a file into v; found is false if there is no such file.
func readJSON(path string, v any) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}

// writeJSON replaces a file so that it has all of v or is as it was.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

func replaceFile(path string, data []byte) error {
	tmp := path + ".tmp" // the fake removes what is left of these
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeIfThere is os.Remove without an error for a file that is not there.
func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// batchReader reads a segment batch by batch in bounded memory.
type batchReader struct {
	r    io.ReaderAt
	size int64
	pos  int64
	buf  []byte
	from int64 // file offset of buf[0]
}

// peek returns the batch at pos, or size 0 if there is no sound one. raw is
// valid until the next call.
func (b *batchReader) peek() (h batchHeader, raw []byte, size int, err error) {
	if b.pos >= b.size {
		return h, nil, 0, nil
	}
	head, err := b.window(batchHeaderSize)
	if err != nil || len(head) < batchHeaderSize {
		return h, nil, 0, err
	}
	want := batchSize(head)
	if want < batchHeaderSize || int64(want) > b.size-b.pos {
		return h, nil, 0, nil
	}
	raw, err = b.window(want)
	if err != nil {
		return h, nil, 0, err
	}
	h, size = parseBatch(raw)
	return h, raw, size, nil
}

const batchReadAhead = 1 << 20

// window returns up to n bytes at pos.
func (b *batchReader) window(n int) ([]byte, error) {
	n = int(min(int64(n), b.size-b.pos))
	if at := b.pos - b.from; b.buf != nil && at >= 0 && at+int64(n) <= int64(len(b.buf)) {
		return b.buf[at:][:n], nil
	}
	ahead := int(min(int64(max(n, batchReadAhead)), b.size-b.pos))
	if cap(b.buf) < ahead {
		b.buf = make([]byte, ahead)
	}
	b.buf, b.from = b.buf[:ahead], b.pos
	if _, err := b.r.ReadAt(b.buf, b.pos); err != nil {
		b.buf = nil
		return nil, err
	}
	return b.buf[:n], nil
}
