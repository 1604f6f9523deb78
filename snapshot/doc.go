// Package snapshot copies the tables of a source before its log is streamed,
// and makes the two look like one [capture.Source], so that the capture task
// cannot tell a snapshot from a stream.
//
// The position in the log is fixed before the first row is read, and durable
// before the first row is handed over; after the copy, the stream goes on from
// exactly there. Tables are cut into chunks by
// ranges of their key, which several sessions read side by side from one
// consistent view.
//
// # Resuming
//
// Each position that a snapshot hands out holds, beside the log position to
// stream from, a ledger of the chunks that are copied (I3: one Position, saved
// at once). An interrupted snapshot copies only the chunks that are missing,
// from a view of its own, and streams from the first position all the same.
// That converges: every chunk was read at or after that position, so every
// change that a chunk may have missed or may have overtaken is still to come
// from the log, in order; a row that was deleted between two attempts is
// deleted again by the log. What a restart costs is the chunks in flight.
//
// # A lost log
//
// Where the log no longer reaches back to the saved position, the mode decides
// between a new snapshot and a permanent error. The loss may show when the
// source is opened, while it is read, or at the end of a copy that took longer
// than the database keeps its log; each leads to the same end. What was deleted
// in the part that is lost stays where it was published to: no snapshot knows
// of it.
package snapshot
