package capture

import (
	"context"
	"errors"

	"github.com/penstock/penstock/schema"
)

// Source reads one database's log from where it was opened. It is owned by
// one goroutine.
type Source interface {
	// Next fills an empty batch with events in log order. It waits for the
	// first event, then takes what is there without waiting for more, until
	// the batch is Full. It returns without events, and with End set if the
	// position has moved nevertheless, at the latest after a second or so, so
	// that an idle source makes progress and is kept alive. Events and End
	// belong together: once all of them are durable, opening at End neither
	// skips nor, as far as the log allows, repeats one. End stays nil while
	// there is no new position to resume at.
	//
	// An error ends the source; see Permanent.
	Next(ctx context.Context, b *schema.Batch) error
	// Confirm says that p, an End that Next returned (or the position the
	// source was opened at), is durable, so that the database may forget what
	// is before it; nil says that nothing is durable yet. It is called several
	// times a second between calls of Next, also with the same p, and so is the
	// keep-alive too.
	Confirm(ctx context.Context, p schema.Position) error
	// Close gives the connection back. The context bounds a final
	// confirmation.
	Close(ctx context.Context) error
}

// Opener opens a source at a position; nil means that there is none yet.
type Opener func(ctx context.Context, from schema.Position) (Source, error)

// Scanner copies tables. It is used once: Begin, then the sessions, then
// Close.
type Scanner interface {
	// Begin fixes the position in the log first and then opens n sessions
	// that read one consistent state of the database, which is at that
	// position or after it, never before. Where from is not nil, an earlier
	// snapshot that began at that position was interrupted: the view is made
	// anew, and View.Position is from.
	Begin(ctx context.Context, n int, from schema.Position) (*View, error)
	// Close ends the sessions and gives up the view.
	Close(ctx context.Context) error
}

// View is a consistent state of a database, ready to be copied.
type View struct {
	// Position is where the stream goes on after the snapshot. It has no
	// snapshot markers; package snapshot adds them.
	Position schema.Position
	// Tables are those to copy, in the order of Debezium's snapshot.
	Tables []TableScan
	// Sessions are used concurrently, each by one goroutine.
	Sessions []Session
	// Preface, if not nil, appends events that come before the rows, such as
	// the tables' definitions, until the batch is full or there are no more;
	// done says that there are none.
	Preface func(b *schema.Batch) (done bool)
}

// TableScan is one table to copy.
type TableScan struct {
	Table *schema.Table
	// Rows is the database's estimate, for progress only; -1 if unknown.
	Rows int64
	// Bounds cut the table by ranges of its key into len(Bounds)+1 chunks of
	// roughly equal size; chunk i holds the rows with Bounds[i-1] <= key <
	// Bounds[i]. They are texts that the database's package understands, the
	// same for the same range in every later view. Empty: one chunk.
	Bounds []string
}

// Session reads chunks of tables, one at a time.
type Session interface {
	// Scan starts reading the rows with lower <= key < upper; an empty bound
	// is open.
	Scan(ctx context.Context, t *schema.Table, lower, upper string) (Rows, error)
}

// Rows are the rows of one chunk.
type Rows interface {
	// Next appends events of OpRead, with "snapshot" in Source set to "true"
	// (package snapshot replaces it in the first and last rows; events may
	// share one Source row), until the batch is full or the chunk ends; done
	// says that it did. It may set done with or without rows. It waits for
	// rows, but not with a batch that has some.
	Next(ctx context.Context, b *schema.Batch) (done bool, err error)
	// Close ends the reading early or after the end; it is always called.
	Close() error
}

// permanentError marks an error that a retry does not mend.
type permanentError struct{ err error }

// Permanent marks an error that opening the source again cannot mend: bad
// configuration, a lost log position, a value that cannot be read. The task
// is FAILED then; after any other error it is opened again with a backoff.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Error returns the error's own text.
func (e *permanentError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent reports whether an error in the chain was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// ErrPositionLost is in the chain of an error that says that the log no
// longer reaches back to the position (a dropped slot, purged binlogs). With
// snapshot.mode=when_needed it leads to a new snapshot; otherwise it is
// permanent.
var ErrPositionLost = errors.New("log position lost")
