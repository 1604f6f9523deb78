package capture

import (
	"context"
	"log/slog"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// Connector is one kind of source, as the worker's catalogue lists it.
type Connector struct {
	// Name is the short name for connector.class ("postgres").
	Name string
	// Classes are the Java class names that are taken for this connector; the
	// first is shown in listings.
	Classes []string
	// Version is what /connector-plugins shows, and the version in the source
	// block: the Debezium release whose events are matched.
	Version string
	// Settings define the whole configuration but for what every connector
	// has (name, converters, errors.*, topic.creation.*).
	Settings *settings.Set
	// New reads a configuration that Settings has parsed without an error,
	// and checks what one setting alone cannot tell. It does not connect.
	New func(v settings.Values, env Env) (Database, settings.Problems)
}

// ProducerDefaults returns the producer's settings that differ from Kafka's
// defaults; producer.* of the worker and producer.override.* go over them.
//
// A batch of JSON with schemas shrinks to a twentieth with lz4, in less time
// than it takes to send and write what is saved. Consumers unpack it unasked.
func ProducerDefaults() map[string]string {
	return map[string]string{"compression.type": "lz4"}
}

// Env is what the worker lends to a connector.
type Env struct {
	Logger *slog.Logger
	// Journal opens a durable, ordered log of small records, such as the
	// schema history, in a topic of its own. client are Kafka client settings
	// that differ from the worker's (bootstrap.servers, security.protocol …).
	Journal func(ctx context.Context, topic string, client map[string]string) (Journal, error)
}

// Journal is a durable, ordered log of small records.
type Journal interface {
	// Append returns once the records are durable, in their order. After an
	// error some of them may be.
	Append(ctx context.Context, records ...[]byte) error
	// Replay calls f with every record from the first; the bytes are valid
	// only during the call.
	Replay(ctx context.Context, f func(record []byte) error) error
	Close() error
}

// Database is one configured source database.
type Database interface {
	// Partition is the source partition as Kafka Connect keys offsets by it,
	// a JSON object: {"server":"inventory"}.
	Partition() string
	// Check looks at the real database: reachability, privileges, log
	// settings, the tables. Each problem names its setting and the remedy
	// (the exact SQL). It must return within the context's deadline.
	Check(ctx context.Context) settings.Problems
	// Open streams the log from a position that is never nil: one that a
	// Source returned, that a View had, or that Debezium saved; or, made by
	// Now, the current one.
	Open(ctx context.Context, from schema.Position) (Source, error)
	// Now returns the log's current position, after making sure that the
	// database keeps the log from there on (creating the slot).
	Now(ctx context.Context) (schema.Position, error)
	// Scanner copies the tables; it does not connect before Begin.
	Scanner() Scanner
	// Forget removes what the connector made at the source and no other needs
	// (a slot, a publication), as far as the configuration asks for it, when
	// the connector is deleted or its offsets are reset.
	Forget(ctx context.Context) error
}

// Executor is a Database that runs statements of the user's own, such as that
// of heartbeat.action.query.
type Executor interface {
	Execute(ctx context.Context, sql string) error
}

// Restorer is a Database that keeps something beside the positions without
// which it cannot go on: MySQL's schema history.
type Restorer interface {
	// Restore makes anew, for a saved position, what is lost or damaged of
	// that. The error says so if there is no way to know what it was.
	Restore(ctx context.Context, at schema.Position) error
}

// Introducer is a Database that has events to publish before its stream even
// if no rows are copied: MySQL's table definitions.
type Introducer interface {
	// Introduce is Now with a view's Preface; the view has no tables.
	Introduce(ctx context.Context) (*View, error)
}
