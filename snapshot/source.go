package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// beginWait is how long Next waits for the beginning to be saved before it
// returns, so that it can be told.
const beginWait = 5 * time.Millisecond

// maxWait is how long Next waits for rows before it returns an empty batch.
const maxWait = time.Second

// progressEvery is how often Progress is called.
const progressEvery = 200 * time.Millisecond

// ledgerShare is the part of the time that may go into writing ledgers into
// positions, as one of so many: with thousands of tables it would be most of it.
// A chunk whose position has to wait is copied again after an interruption.
const ledgerShare = 20

// The values of the source block's "snapshot" field. Scanners write
// markRow; the others are put in here.
const (
	markFirst        = "first"
	markFirstInTable = "first_in_data_collection"
	markLastInTable  = "last_in_data_collection"
	markLast         = "last"
)

// table is one table on its way.
type table struct {
	capture.TableScan
	name   string
	place  int // in the order of the tables
	ledger *tableLedger
	left   int   // chunks not yet handed over
	marker int   // place of "snapshot" in the source block, or -1
	begun  bool  // a row was handed over
	held   *item // the last rows so far, which may be the table's last
}

// chunk is one range of a table's key.
type chunk struct {
	table        *table
	n            int
	lower, upper string
}

// item is what a session hands over: a batch of one chunk's rows.
type item struct {
	b     *schema.Batch
	table *table
	// ends are the chunks that are complete with this batch.
	ends []chunk
	done bool // the session's word that the chunk ends here
	of   chunk
	end  string // the marker of the last row; empty as long as it has none
}

// source is the snapshot, then the stream.
type source struct {
	*wrapped
	scanner capture.Scanner
	view    *capture.View
	ledger  *ledger
	started time.Time

	cancel context.CancelFunc
	wg     sync.WaitGroup
	chunks chan chunk
	free   chan *schema.Batch
	ready  chan *item
	failed chan error

	// saved says that the position is durable. No row is handed over before:
	// were it lost with rows already published, the next attempt would begin
	// at a later position and never learn that one of them was deleted in
	// between.
	saved bool
	begun schema.Position // as begin handed it over
	// preface are the events before the rows; nil once they are handed over.
	preface func(b *schema.Batch) (done bool)

	// unwritten says that the ledger has chunks which no position has yet;
	// writeAt is when the next one may have them.
	unwritten bool
	writeAt   time.Time

	open       int   // tables not yet complete
	lastHeld   *item // of the tables that are complete, the last rows of the last one
	deliver    []*item
	progress   Progress
	progressAt time.Time

	stream capture.Source // set when the copy is complete
	idle   bool           // nothing follows
}

// newSource starts the sessions; resumed says that the view's position was
// saved before.
func newSource(ctx context.Context, w *wrapped, scanner capture.Scanner, view *capture.View, l *ledger, resumed bool) *source {
	// The sessions outlive the call that opens them, so they cannot end with
	// its context; Close ends them.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	sessions := len(view.Sessions)
	s := &source{
		wrapped: w, scanner: scanner, view: view, ledger: l, started: time.Now(), cancel: cancel, saved: resumed,
		// A batch is read into by each session, waits in ready, is held for
		// each table that sessions are at work on, or is with the task.
		free: make(chan *schema.Batch, 4*sessions+2), ready: make(chan *item, 4*sessions+2),
		failed: make(chan error, sessions),
	}
	for range cap(s.free) {
		s.free <- &schema.Batch{MaxEvents: schema.FirstBatchEvents} // later what the task's have
	}
	var chunks []chunk
	for place, scan := range view.Tables {
		t := &table{TableScan: scan, name: scan.Table.Path(), place: place, marker: scan.Table.Source.Index("snapshot")}
		t.ledger = l.begin(t.name, scan.Bounds)
		if t.ledger.Done {
			s.progress.TablesDone++
			continue
		}
		bounds := t.ledger.Bounds // those it was begun with
		for n := range len(bounds) + 1 {
			if t.ledger.chunks[n] {
				continue
			}
			ch := chunk{table: t, n: n}
			if n > 0 {
				ch.lower = bounds[n-1]
			}
			if n < len(bounds) {
				ch.upper = bounds[n]
			}
			chunks = append(chunks, ch)
			t.left++
		}
		s.open++
		if scan.Rows < 0 || s.progress.Total < 0 {
			s.progress.Total = -1
		} else {
			s.progress.Total += scan.Rows * int64(t.left) / int64(len(bounds)+1)
		}
	}
	if !l.any() {
		// Rows follow what is before them, so whoever has a chunk has that.
		s.preface = view.Preface
	}
	s.progress.Tables = len(view.Tables)
	s.chunks = make(chan chunk, len(chunks))
	for _, ch := range chunks {
		s.chunks <- ch
	}
	close(s.chunks)
	for _, session := range view.Sessions {
		s.wg.Go(func() {
			if err := capture.Guard(func() error { return s.copyChunks(ctx, session) }); err != nil {
				s.failed <- err
			}
		})
	}
	return s
}

// copyChunks is one session's goroutine.
func (s *source) copyChunks(ctx context.Context, session capture.Session) error {
	for ch := range s.chunks {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.copyChunk(ctx, session, ch); err != nil {
			return fmt.Errorf("copy chunk %d of table %s: %w", ch.n, ch.table.name, err)
		}
	}
	return nil
}

func (s *source) copyChunk(ctx context.Context, session capture.Session, ch chunk) (err error) {
	rows, err := session.Scan(ctx, ch.table.Table, ch.lower, ch.upper)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rows.Close(); cerr != nil && err == nil {
			err = cerr
		}
	}()
	for done := false; !done; {
		var b *schema.Batch
		select {
		case b = <-s.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if done, err = rows.Next(ctx, b); err != nil {
			return err
		}
		select {
		case s.ready <- &item{b: b, table: ch.table, done: done, of: ch}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Next hands over the rows of the chunks as they come, then what the log has.
func (s *source) Next(ctx context.Context, b *schema.Batch) error {
	if s.stream != nil {
		return s.stream.Next(ctx, b)
	}
	if s.idle {
		return idle{}.Next(ctx, b)
	}
	if !s.saved {
		return s.begin(ctx, b)
	}
	if s.preface != nil {
		if s.preface(b) {
			s.preface = nil
		}
		return nil
	}
	wait := time.NewTimer(maxWait)
	defer wait.Stop()
	for len(s.deliver) == 0 && s.open > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.failed:
			return err
		case it := <-s.ready:
			s.take(it)
		case <-wait.C:
			s.report(false)
			return s.writeLedger(b)
		}
	}
	if len(s.deliver) > 0 {
		it := s.deliver[0]
		s.deliver = s.deliver[1:]
		return s.hand(it, b)
	}
	return s.finish(ctx, b)
}

// begin hands over the position alone, until it is confirmed to be durable.
func (s *source) begin(ctx context.Context, b *schema.Batch) (err error) {
	if s.begun == nil {
		s.begun, err = during(s.view.Position, s.ledger)
		b.End = s.begun
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-s.failed:
		return err
	case <-time.After(beginWait):
		return nil
	}
}

// take sorts in what a session has read. The last rows of each table are held
// back until it is known whether more follow, and those of the last table
// until the others are complete, since the very last one is marked; and an end
// of a chunk is noted with the rows it comes after, so that the ledger never
// runs ahead of what was handed over.
func (s *source) take(it *item) {
	t := it.table
	if len(it.b.Events) > 0 {
		if t.held != nil {
			s.deliver = append(s.deliver, t.held)
		}
		t.held = it
	}
	if !it.done {
		if it != t.held {
			s.recycle(it.b)
		}
		return
	}
	t.left--
	switch t.held {
	case nil: // nothing of this table is on its way
		it.ends = append(it.ends, it.of)
		s.deliver = append(s.deliver, it)
	case it:
		it.ends = append(it.ends, it.of)
	default:
		t.held.ends = append(t.held.ends, it.of)
		s.recycle(it.b)
	}
	if t.left > 0 {
		return
	}
	s.open--
	if it := t.held; it != nil {
		t.held = nil
		if s.lastHeld != nil && s.lastHeld.table.place > t.place {
			it, s.lastHeld = s.lastHeld, it
		}
		if s.lastHeld != nil {
			s.markEnd(s.lastHeld, markLastInTable)
			s.deliver = append(s.deliver, s.lastHeld)
		}
		s.lastHeld = it
	}
	if s.open == 0 && s.lastHeld != nil {
		s.markEnd(s.lastHeld, markLast)
		s.deliver = append(s.deliver, s.lastHeld)
		s.lastHeld = nil
	}
}

func (s *source) recycle(b *schema.Batch) {
	b.Reset()
	s.free <- b // it has room for every batch there is
}

// setMarker replaces one event's marker, in a copy of its source block: events may
// share one.
func setMarker(b *schema.Batch, ev *schema.Event, at int, marker string) {
	if at < 0 {
		return
	}
	row := b.Row(len(ev.Source))
	copy(row, ev.Source)
	row[at] = schema.Text(marker)
	ev.Source = row
}

func (s *source) markEnd(it *item, marker string) {
	it.end = marker
	setMarker(it.b, &it.b.Events[len(it.b.Events)-1], it.table.marker, marker)
}

// markBegin marks a table's first row. That of the first table is the first of
// all, although other tables' rows may have been read before; a table's only
// row is marked as its last, as in Debezium.
func (s *source) markBegin(it *item) {
	marker := markFirstInTable
	if it.table.place == 0 {
		marker = markFirst
	}
	if only := len(it.b.Events) == 1 && it.end != ""; only && (marker != markFirst || it.end == markLast) {
		return
	}
	setMarker(it.b, &it.b.Events[0], it.table.marker, marker)
}

// hand swaps the item's batch with the caller's.
func (s *source) hand(it *item, b *schema.Batch) error {
	t := it.table
	if len(it.b.Events) > 0 {
		if !t.begun {
			s.markBegin(it)
		}
		t.begun = true
	}
	for _, ch := range it.ends {
		if ch.table.ledger.complete(ch.n) {
			s.progress.TablesDone++
			s.Logger.Info("table copied", "connector", s.Name, "table", ch.table.name)
		}
	}
	s.progress.Rows += int64(len(it.b.Events))
	s.unwritten = s.unwritten || len(it.ends) > 0
	if !time.Now().Before(s.writeAt) {
		if err := s.writeLedger(it.b); err != nil {
			return err
		}
	}
	maxEvents, maxBytes := b.MaxEvents, b.MaxBytes
	*b, *it.b = *it.b, *b
	b.MaxEvents, b.MaxBytes = maxEvents, maxBytes
	s.recycle(it.b)
	s.report(false)
	return nil
}

// writeLedger gives a batch the position that has the chunks which are complete
// by then, if there are any that none has yet.
func (s *source) writeLedger(b *schema.Batch) (err error) {
	if !s.unwritten {
		return nil
	}
	began := time.Now()
	b.End, err = during(s.view.Position, s.ledger)
	s.unwritten = false
	s.writeAt = time.Now().Add(time.Since(began) * ledgerShare)
	return err
}

// finish ends the copy: its position is marked complete, and the log is
// opened where the view was fixed.
func (s *source) finish(ctx context.Context, b *schema.Batch) error {
	if err := s.closeScanner(ctx); err != nil {
		return fmt.Errorf("end the snapshot: %w", err)
	}
	position := s.view.Position
	end, err := after(position)
	if err != nil {
		return err
	}
	// What is known of thousands of tables is not needed any more, and the
	// stream has its own.
	s.scanner, s.view, s.ledger = nil, nil, nil
	if !s.rules.Stream {
		s.idle = true
	} else if s.stream, err = openStream(ctx, s.db, position); err != nil {
		return err
	}
	b.End = end
	s.report(true)
	s.Logger.Info("snapshot complete", "connector", s.Name, "tables", s.progress.Tables, "rows", s.progress.Rows, "took", s.progress.Elapsed)
	return nil
}

func (s *source) report(done bool) {
	now := time.Now()
	s.progress.Elapsed, s.progress.Done = now.Sub(s.started), done
	if s.Progress == nil || !done && now.Sub(s.progressAt) < progressEvery {
		return
	}
	s.progressAt = now
	s.Progress(s.progress)
}

// Confirm passes on what the stream is to forget. During the copy there is
// nothing: the database keeps the log from the view's position on.
func (s *source) Confirm(ctx context.Context, p schema.Position) error {
	// Before it, p is nil or from before this snapshot.
	s.saved = s.saved || s.begun != nil && bytes.Equal(p, s.begun)
	if !s.saved || s.stream == nil {
		return nil
	}
	return s.stream.Confirm(ctx, p)
}

func (s *source) closeScanner(ctx context.Context) error {
	s.cancel()
	s.wg.Wait()
	return s.scanner.Close(ctx)
}

// Close ends the sessions or the stream.
func (s *source) Close(ctx context.Context) error {
	if s.stream != nil {
		return s.stream.Close(ctx)
	}
	if s.scanner == nil { // the copy is complete
		return nil
	}
	return s.closeScanner(ctx)
}
