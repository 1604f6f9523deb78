package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// Mode is Debezium's snapshot.mode.
type Mode string

// The modes that are supported.
const (
	// Initial copies when there is no offset, then streams.
	Initial Mode = "initial"
	// Always copies at every start, then streams.
	Always Mode = "always"
	// InitialOnly copies when there is no offset and does not stream.
	InitialOnly Mode = "initial_only"
	// NoData streams from where the log is at the first start.
	NoData Mode = "no_data"
	// Never is the older name of NoData where the source keeps its own
	// definitions.
	Never Mode = "never"
	// WhenNeeded is Initial that also copies when the log no longer reaches
	// back to the saved position.
	WhenNeeded Mode = "when_needed"
)

// Database is what a snapshot needs of a capture.Database.
type Database interface {
	Open(ctx context.Context, from schema.Position) (capture.Source, error)
	Now(ctx context.Context) (schema.Position, error)
	Scanner() capture.Scanner
}

// Config says how to copy.
type Config struct {
	// Name is the connector's, for the log.
	Name string
	Mode Mode
	// Sessions is how many chunks are read at a time (snapshot.max.threads);
	// 0 means as many as there are processors, at most four.
	Sessions int
	Logger   *slog.Logger
	// Progress, if not nil, is told how far the copy is, at most some times a
	// second and once at the end.
	Progress func(Progress)
}

// Progress is how far a snapshot is.
type Progress struct {
	// Tables is how many there are to copy; TablesDone how many are copied.
	Tables, TablesDone int
	// Rows is how many were copied since this start. Total is the databases'
	// estimate of all that are to be copied since this start; -1 if unknown.
	Rows, Total int64
	Elapsed     time.Duration
	// Done says that the snapshot is complete.
	Done bool
}

// copiesAgain reports whether a lost log position leads to a new snapshot.
func (c Config) copiesAgain() bool { return c.Mode == WhenNeeded }

// Wrap returns an Opener that copies what the mode asks for before it streams.
func Wrap(db Database, c Config) capture.Opener {
	return func(ctx context.Context, from schema.Position) (capture.Source, error) {
		src, err := open(ctx, db, c, from)
		if errors.Is(err, capture.ErrPositionLost) && from != nil && c.copiesAgain() {
			c.Logger.Warn("the log no longer reaches back to the saved position; copying the tables again", "connector", c.Name, "error", err)
			src, err = begin(ctx, db, c, nil, newLedger())
		}
		if err != nil {
			return nil, c.ended(err)
		}
		return &watched{Source: src, c: c, at: from}, nil
	}
}

// ended returns the error of a position that is lost for good as permanent,
// and any other as it is.
func (c Config) ended(err error) error {
	switch {
	case !errors.Is(err, capture.ErrPositionLost):
		return err
	case c.copiesAgain():
		return capture.Permanent(err)
	default:
		return capture.Permanent(fmt.Errorf("%w (snapshot.mode=when_needed would copy the tables again)", err))
	}
}

func open(ctx context.Context, db Database, c Config, from schema.Position) (capture.Source, error) {
	if from == nil {
		if c.Mode == NoData || c.Mode == Never {
			now, err := db.Now(ctx)
			if err != nil {
				return nil, fmt.Errorf("find the log's current position: %w", err)
			}
			c.Logger.Info("streaming without a snapshot", "connector", c.Name, "mode", string(c.Mode), "position", string(now))
			return openStream(ctx, db, now)
		}
		return begin(ctx, db, c, nil, newLedger())
	}
	o, err := parseOffset(from)
	if err != nil {
		return nil, capture.Permanent(err)
	}
	unfinished := o.began && !o.completed
	switch {
	case c.Mode == NoData || c.Mode == Never:
	case unfinished && o.ledger != nil:
		c.Logger.Info("resuming the snapshot", "connector", c.Name)
		return begin(ctx, db, c, o.log, o.ledger)
	case unfinished:
		c.Logger.Info("a snapshot that cannot be resumed is begun again", "connector", c.Name)
		return begin(ctx, db, c, nil, newLedger())
	case c.Mode == Always:
		return begin(ctx, db, c, nil, newLedger())
	case c.Mode == InitialOnly:
		c.Logger.Info("the snapshot is complete and snapshot.mode=initial_only does not stream", "connector", c.Name)
		return idle{}, nil
	}
	return openStream(ctx, db, o.log)
}

// openStream opens the log at a position.
func openStream(ctx context.Context, db Database, p schema.Position) (capture.Source, error) {
	src, err := db.Open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open the log at %s: %w", p, err)
	}
	return stream{src}, nil
}

// stream is a log that is confirmed without the marks of a snapshot, which
// saved positions may have.
type stream struct{ capture.Source }

// Confirm passes on the position in the log.
func (s stream) Confirm(ctx context.Context, p schema.Position) error {
	if p == nil {
		return s.Source.Confirm(ctx, nil)
	}
	o, err := parseOffset(p)
	if err != nil {
		return err
	}
	return s.Source.Confirm(ctx, o.log)
}

func (c Config) sessions() int {
	if c.Sessions > 0 {
		return c.Sessions
	}
	return min(4, runtime.GOMAXPROCS(0))
}

// begin starts copying; it returns when the view stands.
func begin(ctx context.Context, db Database, c Config, from schema.Position, l *ledger) (capture.Source, error) {
	scanner := db.Scanner()
	view, err := scanner.Begin(ctx, c.sessions(), from)
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if cerr := scanner.Close(closing); cerr != nil {
			c.Logger.Warn("closing the snapshot's sessions", "connector", c.Name, "error", cerr)
		}
		return nil, fmt.Errorf("begin the snapshot: %w", err)
	}
	c.Logger.Info("snapshot begins", "connector", c.Name, "tables", len(view.Tables), "sessions", len(view.Sessions), "position", string(view.Position))
	return newSource(ctx, db, c, scanner, view, l, from != nil), nil
}

// idle is the source of a connector that has nothing left to do.
type idle struct{}

// Next waits a second and returns an empty batch.
func (idle) Next(ctx context.Context, _ *schema.Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return nil
	}
}

// Confirm does nothing.
func (idle) Confirm(context.Context, schema.Position) error { return nil }

// Close does nothing.
func (idle) Close(context.Context) error { return nil }
