package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Files of our own in the data directory, beside the fake's.
const (
	fileClean      = "clean"          // exists only while no broker runs and the last one stopped cleanly
	fileMarks      = "offsets.json"   // where partitions without records go on
	fileIntent     = "commit"         // the transaction that was committed last, written before it is
	dirCompacting  = "compacting"     // links to all files of the partitions that are being compacted
	dirUnfinished  = "compacting.new" // the same, not complete yet
	suffixRestored = ".restored"
	suffixReplaced = ".replaced"
)

// recovery mends the files of a broker before it is started. DESIGN.md says
// what for. Every step may be interrupted and done again.
type recovery struct {
	dir   string // data directory
	fake  string // the fake's, inside
	log   *slog.Logger
	clean bool // the last broker stopped cleanly

	topics  []fakeTopic
	marks   marks
	pids    map[int64]fakePid
	intent  txn // whose commit has been decided
	windows []fakeWindow
	ended   map[txn]bool // transactions that recovery ended; whether by a commit
}

// txn is one transaction: with transactions of version 2, each has an epoch of
// its own.
type txn struct {
	pid   int64
	epoch int16
}

// recover prepares the directory for a start.
func (r *recovery) run(ctx context.Context) error {
	if err := r.readState(); err != nil {
		return err
	}
	if err := removeIfThere(filepath.Join(r.dir, fileClean)); err != nil {
		return err
	}
	if r.topics == nil {
		return nil // a new directory
	}
	if err := r.restoreCompacted(); err != nil {
		return fmt.Errorf("take back an unfinished compaction: %w", err)
	}
	if r.clean {
		return r.reviveEmpty()
	}
	began := time.Now()
	if err := r.mend(ctx); err != nil {
		return err
	}
	r.log.Info("embedded broker: mended its files after a crash", "topics", len(r.topics), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func (r *recovery) readState() error {
	var meta struct {
		Version int `json:"version"`
	}
	found, err := readJSON(filepath.Join(r.fake, fileMeta), &meta)
	if err != nil {
		return err
	}
	if found && meta.Version != fakeVersion {
		return fmt.Errorf("the files in %s have format %d, this program knows %d; use the program that wrote them", r.fake, meta.Version, fakeVersion)
	}
	var topics fakeTopics
	has, err := readJSON(filepath.Join(r.fake, fileTopics), &topics)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(r.fake, dirPartitions)); !has && err == nil {
		return fmt.Errorf("%s has partitions but no %s; restore it from a backup, or move the directory away to begin anew", r.fake, fileTopics)
	}
	if has {
		r.topics = topics.Topics
		if r.topics == nil {
			r.topics = []fakeTopic{}
		}
	}
	if r.marks, err = readMarks(filepath.Join(r.dir, fileMarks)); err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(r.dir, fileClean))
	r.clean = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mend repairs everything that a kill at any moment may leave behind.
func (r *recovery) mend(ctx context.Context) error {
	if err := r.readLogs(); err != nil {
		return err
	}
	if err := r.removeOrphans(); err != nil {
		return err
	}
	r.ended = map[txn]bool{}
	for _, t := range r.topics {
		for p := range t.Partitions {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.mendPartition(t, p); err != nil {
				return fmt.Errorf("partition %d of topic %s: %w", p, t.Name, err)
			}
		}
	}
	if err := r.endTransactions(); err != nil {
		return err
	}
	// Sequence numbers and group members of the last clean stop are too old.
	if err := removeIfThere(filepath.Join(r.fake, fileSession)); err != nil {
		return err
	}
	return writeJSON(filepath.Join(r.fake, fileWindows), fakeWindows{Version: fakeVersion, Windows: r.windows})
}

// readLogs reads the logs of producers and decided commits, and cuts off what
// a kill left half written at the end of a log: what came after it would
// never be read.
func (r *recovery) readLogs() error {
	r.pids = map[int64]fakePid{}
	if err := cutLog(filepath.Join(r.fake, fileGroups), func([]byte) {}); err != nil {
		return err
	}
	err := cutLog(filepath.Join(r.fake, filePids), func(data []byte) {
		var e fakePid
		if json.Unmarshal(data, &e) != nil {
			return // the fake passes over it too
		}
		known := r.pids[e.PID]
		if e.Type != "init" {
			e.TxID, e.Timeout = known.TxID, known.Timeout
		}
		r.pids[e.PID] = e
	})
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(r.dir, fileIntent))
	if err != nil {
		return ignoreMissing(err)
	}
	r.intent = parseIntent(raw)
	return nil
}

func cutLog(path string, each func([]byte)) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if sound := readEntries(raw, each); sound < len(raw) {
		return os.Truncate(path, int64(sound))
	}
	return nil
}

// removeOrphans removes directories of partitions that no topic has: those of
// a topic whose deletion was not finished would come back to life with the
// next topic of that name.
func (r *recovery) removeOrphans() error {
	known := map[string]bool{}
	for _, t := range r.topics {
		for p := range t.Partitions {
			known[filepath.Base(partitionDir(r.fake, t.Name, p))] = true
		}
	}
	entries, err := os.ReadDir(filepath.Join(r.fake, dirPartitions))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !known[e.Name()] {
			if err := os.RemoveAll(filepath.Join(r.fake, dirPartitions, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition is what mendPartition finds in the files of one partition.
type partition struct {
	dir       string
	old       fakeSnapshot // of the last clean stop
	segments  []fakeSegment
	start     int64
	end       int64
	epoch     int32
	maxStamp  int64
	aborted   []fakeAborted
	open      map[int64]batchHeader // first batch of a producer's open transaction
	producers map[int64]*producer
	bytes     int64 // taken so far
}

// producer is somebody who has written to a partition.
type producer struct {
	fakeWindow
	at int64 // bytes of the partition up to the end of the last batch
}

// rememberWithin is how far from the end of a partition, in bytes, a producer's
// last batch may be. One that was at work when the broker died is nearer;
// others are forgotten, as Kafka forgets them.
const rememberWithin = 64 << 20

// mendPartition cuts off a half-written batch, ends transactions that were
// open, rebuilds indexes and writes the snapshot that makes the fake load the
// partition segment by segment instead of all of it at once.
func (r *recovery) mendPartition(t fakeTopic, p int32) error {
	part := &partition{
		dir: partitionDir(r.fake, t.Name, p), maxStamp: -1,
		open: map[int64]batchHeader{}, producers: map[int64]*producer{},
	}
	if _, err := readJSON(filepath.Join(part.dir, filePartSnapshot), &part.old); err != nil {
		part.old = fakeSnapshot{} // only the files count
	}
	bases, err := segments(part.dir)
	if err != nil {
		return err
	}
	for i, base := range bases {
		if err := part.scan(base, i == len(bases)-1, r.log); err != nil {
			return err
		}
	}
	if len(part.segments) == 0 {
		var floor int64
		if len(bases) > 0 {
			floor = bases[len(bases)-1] // made for the next record
		}
		return r.reviveEmptyPartition(t, p, floor)
	}
	if err := r.endOpen(part); err != nil {
		return err
	}
	for _, pid := range slices.Sorted(maps.Keys(part.producers)) {
		w := part.producers[pid]
		if part.bytes-w.at > rememberWithin {
			continue
		}
		w.Topic, w.Part = t.Name, p
		r.windows = append(r.windows, w.fakeWindow)
	}
	return part.writeSnapshot()
}

// scan reads one segment. last says that it is the one that was being
// written, where alone a half-written batch may be.
func (p *partition) scan(base int64, last bool, log *slog.Logger) (err error) {
	path := segmentPath(p.dir, base, extData)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	seg := fakeSegment{BaseOffset: base}
	reader := &batchReader{r: f, size: info.Size()}
	var index []byte
	for {
		h, raw, size, err := reader.peek()
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if size == 0 || h.firstOffset < p.end {
			break
		}
		p.take(h, raw[:size])
		index = append(index, indexEntry(h, p.maxStamp)...)
		if len(index) == indexEntrySize {
			seg.MinEpoch, seg.MaxEpoch = h.epoch, h.epoch
		}
		seg.MinEpoch, seg.MaxEpoch = min(seg.MinEpoch, h.epoch), max(seg.MaxEpoch, h.epoch)
		reader.pos += int64(size)
	}
	seg.Size = reader.pos
	if torn := info.Size() - seg.Size; torn > 0 {
		if !last || reader.moreBehind() {
			return fmt.Errorf("%s is damaged at byte %d; restore it from a backup, or move it away to go on without its records", path, seg.Size)
		}
		log.Warn("embedded broker: cut off a half-written batch", "file", path, "bytes", torn)
		if err := errors.Join(f.Truncate(seg.Size), f.Sync()); err != nil {
			return err
		}
	}
	if seg.Size == 0 {
		// Nothing was ever acknowledged in it; without batches it is in the
		// way of those who look for the first and the last one.
		return errors.Join(os.Remove(path), removeIfThere(segmentPath(p.dir, base, extIndex)))
	}
	if err := keepIndex(segmentPath(p.dir, base, extIndex), index); err != nil {
		return err
	}
	p.segments = append(p.segments, seg)
	return nil
}

// keepIndex makes the index file fit the batches, if it does not.
func keepIndex(path string, index []byte) error {
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(index)) {
		return nil
	}
	return os.WriteFile(path, index, filePerm)
}

// moreBehind reports whether a sound batch follows the bad one at pos. Then
// that was not the last write, but damage to what had been acknowledged.
func (b *batchReader) moreBehind() bool {
	head, err := b.window(batchHeaderSize)
	if err != nil || len(head) < batchHeaderSize {
		return false
	}
	size := batchSize(head)
	if size < batchHeaderSize || int64(size) >= b.size-b.pos {
		return false
	}
	next := &batchReader{r: b.r, size: b.size, pos: b.pos + int64(size)}
	_, _, found, err := next.peek()
	return err == nil && found > 0
}

func (p *partition) take(h batchHeader, raw []byte) {
	if len(p.segments) == 0 && p.end == 0 {
		p.start = h.firstOffset
	}
	p.end, p.epoch, p.bytes = h.end(), h.epoch, p.bytes+int64(len(raw))
	p.maxStamp = max(p.maxStamp, h.maxTimestamp)
	switch {
	case h.control():
		if first, ok := p.open[h.producerID]; ok && !isCommit(raw) {
			p.aborted = append(p.aborted, fakeAborted{h.producerID, first.firstOffset, h.firstOffset})
		}
		delete(p.open, h.producerID)
		return
	case h.transactional():
		if _, ok := p.open[h.producerID]; !ok {
			p.open[h.producerID] = h
		}
	}
	if h.producerID >= 0 && h.firstSeq >= 0 {
		p.sequence(h)
	}
}

// sequence remembers a producer's batch, so that the broker knows it if it is
// sent again after the restart.
func (p *partition) sequence(h batchHeader) {
	w := p.producers[h.producerID]
	if w == nil || w.Epoch != h.producerEpoch {
		w = &producer{fakeWindow: fakeWindow{PID: h.producerID, Epoch: h.producerEpoch, Seen: true}}
		p.producers[h.producerID] = w
	}
	w.at = p.bytes
	const wrap = 1<<31 - 1 // sequence numbers begin again above it
	// Compaction takes records away but not their numbers.
	next := int32((int64(h.firstSeq) + int64(h.lastOffsetDelta) + 1) % wrap)
	w.NextSeq = next
	w.Entries[w.At] = fakeWindowEntry{FirstSeq: h.firstSeq, NextSeq: next, Offset: h.firstOffset}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

// endOpen writes the marker of each transaction that was open: a commit if
// that had been decided, so that it is whole in all partitions or in none.
func (r *recovery) endOpen(p *partition) error {
	for _, pid := range slices.Sorted(maps.Keys(p.open)) {
		h := p.open[pid]
		at := txn{pid, h.producerEpoch}
		commit := r.intent == at
		r.ended[at] = commit
		batch := marker(batchHeader{producerID: pid, producerEpoch: h.producerEpoch, epoch: p.epoch}, p.end, commit, time.Now())
		ended, size := parseBatch(batch)
		if size != len(batch) {
			return errors.New("made an unsound marker") // a mistake in marker
		}
		seg := &p.segments[len(p.segments)-1]
		if err := appendTo(segmentPath(p.dir, seg.BaseOffset, extData), batch); err != nil {
			return err
		}
		p.take(ended, batch)
		if err := appendTo(segmentPath(p.dir, seg.BaseOffset, extIndex), indexEntry(ended, p.maxStamp)); err != nil {
			return err
		}
		seg.Size += int64(len(batch))
	}
	return nil
}

func appendTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (p *partition) writeSnapshot() error {
	created := p.old.CreatedAt
	if created.IsZero() {
		created = time.Now()
	}
	slices.SortFunc(p.aborted, func(a, b fakeAborted) int { return cmp.Compare(a.LastOffset, b.LastOffset) })
	return writeJSON(filepath.Join(p.dir, filePartSnapshot), fakeSnapshot{
		Version:          fakeVersion,
		HighWatermark:    p.end,
		LastStableOffset: p.end, // nothing is open any more
		LogStartOffset:   min(max(p.start, p.old.LogStartOffset), p.end),
		Epoch:            p.epoch,
		MaxTimestamp:     p.maxStamp,
		CreatedAt:        created,
		AbortedTxns:      p.aborted,
		Segments:         p.segments,
	})
}

// endTransactions tells the log of producers what became of the transactions
// that endOpen has ended: a producer that asks again whether its commit went
// through is told so, and one whose transaction was aborted is fenced, so that
// it does not go on in the middle.
func (r *recovery) endTransactions() error {
	var entries []byte
	for _, at := range slices.SortedFunc(maps.Keys(r.ended), func(a, b txn) int { return cmp.Compare(a.pid, b.pid) }) {
		e, known := r.pids[at.pid]
		if !known || e.Epoch != at.epoch {
			continue
		}
		commit := r.ended[at]
		data, err := json.Marshal(fakePid{Type: "init", PID: at.pid, Epoch: at.epoch + 1, TxID: e.TxID, Timeout: e.Timeout, Commit: &commit})
		if err != nil {
			return err
		}
		entries = appendEntry(entries, data)
	}
	if entries == nil {
		return nil
	}
	return appendTo(filepath.Join(r.fake, filePids), entries)
}

// reviveEmpty sees to it that partitions without records go on with the
// offsets that they had.
func (r *recovery) reviveEmpty() error {
	for _, t := range r.topics {
		for p := range t.Partitions {
			bases, err := segments(partitionDir(r.fake, t.Name, p))
			if err != nil {
				return err
			}
			if len(bases) > 0 {
				continue
			}
			if err := r.reviveEmptyPartition(t, p, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// reviveEmptyPartition makes the fake begin a partition without records where
// it had got to. By itself it begins such a partition at 0 again, and groups
// with a committed offset would then pass over as many new records. It had got
// at least to floor.
func (r *recovery) reviveEmptyPartition(t fakeTopic, p int32, floor int64) error {
	dir := partitionDir(r.fake, t.Name, p)
	var old fakeSnapshot
	if _, err := readJSON(filepath.Join(dir, filePartSnapshot), &old); err != nil {
		old = fakeSnapshot{}
	}
	end := max(old.HighWatermark, r.marks.end(t.ID, p), floor)
	if end == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return err
	}
	part := &partition{
		dir: dir, old: old, start: end, end: end, epoch: old.Epoch, maxStamp: old.MaxTimestamp,
		segments: []fakeSegment{{BaseOffset: end}},
	}
	part.old.LogStartOffset = end
	for _, ext := range []string{extData, extIndex} {
		if err := os.WriteFile(segmentPath(dir, end, ext), nil, filePerm); err != nil {
			return err
		}
	}
	return part.writeSnapshot()
}

// restoreCompacted takes a compaction back that was not finished: every record
// that was there before it, and what was appended after it.
func (r *recovery) restoreCompacted() error {
	if err := os.RemoveAll(filepath.Join(r.dir, dirUnfinished)); err != nil {
		return err
	}
	saved := filepath.Join(r.dir, dirCompacting)
	entries, err := os.ReadDir(saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		live := filepath.Join(r.fake, dirPartitions, e.Name())
		if err := restorePartition(live, filepath.Join(saved, e.Name())); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	r.log.Warn("embedded broker: took back a compaction that a crash interrupted", "partitions", len(entries))
	r.clean = false // the files are no longer those of the snapshots
	return os.RemoveAll(saved)
}

// restorePartition replaces live by the files in saved, followed by what live
// has beyond their end.
func restorePartition(live, saved string) error {
	restored, replaced := live+suffixRestored, live+suffixReplaced
	if _, err := os.Stat(live); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(restored); err == nil {
			return os.Rename(restored, live) // was interrupted between the two renames
		}
	}
	if err := errors.Join(os.RemoveAll(restored), os.RemoveAll(replaced), os.MkdirAll(restored, dirPerm)); err != nil {
		return err
	}
	end := int64(0)
	if err := copySegments(restored, saved, &end); err != nil {
		return err
	}
	if err := copySegments(restored, live, &end); err != nil {
		return err
	}
	if err := errors.Join(syncDir(restored), ignoreMissing(os.Rename(live, replaced))); err != nil {
		return err
	}
	return errors.Join(os.Rename(restored, live), syncDir(filepath.Dir(live)), os.RemoveAll(replaced))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copySegments copies the batches of from that begin at or after end, and
// moves end to the end of the last.
func copySegments(to, from string, end *int64) error {
	bases, err := segments(from)
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := copySegment(to, segmentPath(from, base, extData), end); err != nil {
			return err
		}
	}
	return nil
}

func copySegment(to, path string, end *int64) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	reader := &batchReader{r: f, size: info.Size()}
	var out *os.File
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Sync(), out.Close())
		}
	}()
	for {
		h, raw, size, err := reader.peek()
		if err != nil {
			return err
		}
		if size == 0 {
			return nil // a torn end is mended later
		}
		reader.pos += int64(size)
		if h.firstOffset < *end {
			continue
		}
		if out == nil {
			if out, err = os.OpenFile(segmentPath(to, h.firstOffset, extData), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, filePerm); err != nil {
				return err
			}
		}
		if _, err := out.Write(raw[:size]); err != nil {
			return err
		}
		*end = h.end()
	}
}

// marks are the ends of partitions that may have no records: by topic id and
// partition, the offset of the next record.
type marks map[string]map[int32]int64

func readMarks(path string) (marks, error) {
	m := marks{}
	_, err := readJSON(path, &m)
	return m, err
}

func (m marks) end(topicID string, p int32) int64 { return m[topicID][p] }

func (m marks) raise(topicID string, p int32, end int64) {
	if m[topicID] == nil {
		m[topicID] = map[int32]int64{}
	}
	m[topicID][p] = max(m[topicID][p], end)
}

// intentText returns the file that says that a transaction's commit has been
// decided. Requests are dealt with one by one, so that at most one is under
// way.
func intentText(at txn) []byte {
	data := binary.BigEndian.AppendUint64(nil, uint64(at.pid))
	return appendEntry(nil, binary.BigEndian.AppendUint16(data, uint16(at.epoch)))
}

// parseIntent returns a transaction that does not exist if raw is not whole:
// then the commit had not begun.
func parseIntent(raw []byte) txn {
	at := txn{pid: -1}
	readEntries(raw, func(data []byte) {
		if len(data) == 10 {
			at = txn{int64(binary.BigEndian.Uint64(data)), int16(binary.BigEndian.Uint16(data[8:]))}
		}
	})
	return at
}
