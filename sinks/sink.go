package sinks

import (
	"context"
	"log/slog"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// Sink applies records to one destination. It is owned by one goroutine at a
// time.
type Sink interface {
	// Write applies records of any number of partitions, those of a partition
	// in order. It is idempotent by key: applying a suffix of the log again
	// ends in the same state. It returns nil when all of them are applied;
	// *WriteError when the destination answered about single records; any
	// other error is about the destination as a whole (unreachable, refused
	// credentials) and every record is tried again, not before the time that a
	// method RetryAfter() time.Duration of it says.
	//
	// Records and what they refer to are valid until Write returns.
	Write(ctx context.Context, records []schema.Record) error
	Close(ctx context.Context) error
}

// WriteError names the records of a Write that were not applied. All others
// of the call were, and are not passed to Write again.
type WriteError struct {
	// Failed are in ascending order of Index. It is never empty.
	Failed []RecordError
}

// RecordError says why one record was not applied.
type RecordError struct {
	Index int // in the slice given to Write
	Err   error
	// Retriable says that the same record may succeed later (a full queue, a
	// lock); otherwise it is refused for good, whatever is done at the
	// destination's side in the meantime. A record that was held back because
	// an earlier one of the same key failed is retriable.
	Retriable bool
	// Dropped says that the connector's own settings have the record left out:
	// it is passed and counts as skipped, whatever errors.tolerance says.
	Dropped bool
}

// Error names the first record and how many there are.
func (e *WriteError) Error() string { return writeErrorText(e) }

// Unwrap returns the first record's error.
func (e *WriteError) Unwrap() error { return e.Failed[0].Err }

// Connector is one kind of sink, as the worker's catalogue lists it.
type Connector struct {
	// Name is the short name for connector.class ("mongodb-sink").
	Name string
	// Classes are the Java class names that are taken for this connector; the
	// first is shown in listings.
	Classes []string
	// Version is what /connector-plugins shows.
	Version string
	// Settings define the whole configuration but for what every sink has
	// (name, topics, converters, errors.*, consumer.override.*).
	Settings *settings.Set
	// Prefixes are how keys begin that the connector takes beside Settings
	// ("topic.override.").
	Prefixes []string
	// New reads a configuration that Settings has parsed without an error,
	// and checks what one setting alone cannot tell. It does not connect.
	New func(v settings.Values, env Env) (Destination, settings.Problems)
}

// Env is what the worker lends to a connector.
type Env struct {
	Logger *slog.Logger
}

// Destination is one configured destination.
type Destination interface {
	// Check looks at the real destination: reachability, privileges. Each
	// problem names its setting and the remedy. It must return within the
	// context's deadline.
	Check(ctx context.Context) settings.Problems
	// Open connects. An error is retried unless it is marked Permanent.
	Open(ctx context.Context) (Sink, error)
}
