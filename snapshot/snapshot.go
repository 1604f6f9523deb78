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
	"github.com/penstock/penstock/settings"
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
	// Recovery is NoData that makes a lost schema history anew.
	Recovery Mode = "recovery"
	// ConfigurationBased does what Config.Based says.
	ConfigurationBased Mode = "configuration_based"
)

// Rules are what snapshot.mode=configuration_based asks for, by the settings
// below its name.
type Rules struct {
	// Data has the tables copied at every start.
	Data bool
	// Stream has the log read.
	Stream bool
	// OnLoss has the tables copied when the log no longer reaches back to the
	// saved position.
	OnLoss bool
	// Restore has a lost schema history made anew.
	Restore bool
}

// rules are what a mode stands for.
type rules struct {
	Rules
	// first has the tables copied when there is no position.
	first bool
}

// ErrMode is in the chain of the error of a mode that is none.
var ErrMode = errors.New("snapshot.mode is not supported")

// asked returns what the mode stands for.
func (c *Config) asked() (rules, error) {
	switch c.Mode {
	case Initial:
		return rules{Rules{Stream: true}, true}, nil
	case Always:
		return rules{Rules{Data: true, Stream: true}, true}, nil
	case InitialOnly:
		return rules{Rules{}, true}, nil
	case NoData, Never:
		return rules{Rules{Stream: true}, false}, nil
	case WhenNeeded:
		return rules{Rules{Stream: true, OnLoss: true}, true}, nil
	case Recovery:
		return rules{Rules{Stream: true, Restore: true}, false}, nil
	case ConfigurationBased:
		if !c.Based.Data && !c.Based.Stream {
			return rules{}, fmt.Errorf("%w: configuration_based neither copies nor reads the log: set snapshot.mode.configuration.based.snapshot.data or .start.stream to true", ErrMode)
		}
		return rules{c.Based, c.Based.Data}, nil
	}
	return rules{}, fmt.Errorf("%w: %s", ErrMode, c.Mode)
}

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
	// Based is for ConfigurationBased.
	Based Rules
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

// Configured returns what a connector's settings ask for. The caller adds the
// rest.
func Configured(v settings.Values) Config {
	const based = "snapshot.mode.configuration.based."
	c := Config{
		Mode:  Mode(v.String("snapshot.mode")),
		Based: Rules{Data: v.Bool(based + "snapshot.data"), Stream: v.Bool(based + "start.stream"), OnLoss: v.Bool(based + "snapshot.on.data.error"), Restore: v.Bool(based + "snapshot.on.schema.error")},
	}
	if v.IsSet("snapshot.max.threads") {
		c.Sessions = int(v.Int("snapshot.max.threads"))
	}
	return c
}

// wrapped is a database that is copied before it is streamed.
type wrapped struct {
	Config
	db Database
	rules
}

// Wrap returns an Opener that copies what the mode asks for before it streams.
func Wrap(db Database, c Config) capture.Opener {
	return func(ctx context.Context, from schema.Position) (capture.Source, error) {
		r, err := c.asked()
		if err != nil {
			return nil, capture.Permanent(err)
		}
		return (&wrapped{c, db, r}).open(ctx, from)
	}
}

func (w *wrapped) open(ctx context.Context, from schema.Position) (capture.Source, error) {
	src, err := w.openAt(ctx, from)
	if errors.Is(err, capture.ErrPositionLost) && w.OnLoss && (from != nil || !w.first) {
		w.Logger.Warn("the log no longer reaches back to the saved position; copying the tables again", "connector", w.Name, "error", err)
		src, err = w.begin(ctx, nil, newLedger())
	}
	if err != nil {
		return nil, w.ended(err)
	}
	return &watched{Source: src, wrapped: w, at: from}, nil
}

// ended returns the error of a position that is lost for good as permanent,
// and any other as it is.
func (w *wrapped) ended(err error) error {
	switch {
	case !errors.Is(err, capture.ErrPositionLost):
		return err
	case w.OnLoss:
		return capture.Permanent(err)
	default:
		return capture.Permanent(fmt.Errorf("%w (snapshot.mode=when_needed would copy the tables again)", err))
	}
}

func (w *wrapped) openAt(ctx context.Context, from schema.Position) (capture.Source, error) {
	if from == nil {
		if w.first {
			return w.begin(ctx, nil, newLedger())
		}
		now, err := w.now(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the log's current position: %w", err)
		}
		w.Logger.Info("streaming without a snapshot", "connector", w.Name, "mode", string(w.Mode), "position", string(now.Position))
		src, err := openStream(ctx, w.db, now.Position)
		if err != nil || now.Preface == nil {
			return src, err
		}
		return &prefaced{src, now.Preface}, nil
	}
	o, err := parseOffset(from)
	if err != nil {
		return nil, capture.Permanent(err)
	}
	unfinished := o.began && !o.completed && (w.first || w.OnLoss)
	switch {
	case unfinished && o.ledger != nil:
		w.Logger.Info("resuming the snapshot", "connector", w.Name)
		return w.begin(ctx, o.log, o.ledger)
	case unfinished:
		w.Logger.Info("a snapshot that cannot be resumed is begun again", "connector", w.Name)
		return w.begin(ctx, nil, newLedger())
	case w.Data:
		return w.begin(ctx, nil, newLedger())
	case !w.Stream:
		w.Logger.Info("the snapshot is complete, and the log is not to be read", "connector", w.Name, "mode", string(w.Mode))
		return idle{}, nil
	}
	if r, ok := w.db.(capture.Restorer); ok && w.Restore {
		if err := r.Restore(ctx, o.log); err != nil {
			return nil, fmt.Errorf("make the schema history anew: %w", err)
		}
	}
	return openStream(ctx, w.db, o.log)
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

// now returns a view of the current position that has no tables.
func (w *wrapped) now(ctx context.Context) (*capture.View, error) {
	if i, ok := w.db.(capture.Introducer); ok {
		return i.Introduce(ctx)
	}
	at, err := w.db.Now(ctx)
	return &capture.View{Position: at}, err
}

// prefaced is a log with events before it. They are handed over again after a
// stop before the log's first position was saved.
type prefaced struct {
	capture.Source
	preface func(b *schema.Batch) (done bool) // nil once it is handed over
}

// Next hands over the preface, then what the log has.
func (p *prefaced) Next(ctx context.Context, b *schema.Batch) error {
	if p.preface == nil {
		return p.Source.Next(ctx, b)
	}
	if p.preface(b) {
		p.preface = nil
	}
	return nil
}

func (c Config) sessions() int {
	if c.Sessions > 0 {
		return c.Sessions
	}
	return min(4, runtime.GOMAXPROCS(0))
}

// begin starts copying; it returns when the view stands.
func (w *wrapped) begin(ctx context.Context, from schema.Position, l *ledger) (capture.Source, error) {
	scanner := w.db.Scanner()
	view, err := scanner.Begin(ctx, w.sessions(), from)
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if cerr := scanner.Close(closing); cerr != nil {
			w.Logger.Warn("closing the snapshot's sessions", "connector", w.Name, "error", cerr)
		}
		return nil, fmt.Errorf("begin the snapshot: %w", err)
	}
	w.Logger.Info("snapshot begins", "connector", w.Name, "tables", len(view.Tables), "sessions", len(view.Sessions), "position", string(view.Position))
	return newSource(ctx, w, scanner, view, l, from != nil), nil
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
