// Package schema is the vocabulary that every other package shares: Kafka
// Connect's data types and schemas, typed values, rows, tables, change events,
// Kafka records, batches of them and positions in a source's log.
//
// It does no input or output and imports only the standard library.
//
// # Two shapes of the same data
//
// A source produces [Event]s: a row change against a [Table], with the images
// before and after as [Row]s of [Value]s. A sink consumes [Record]s: whatever a
// Kafka producer wrote, as a value with a [Schema]. Nested data (a struct, an
// array, a map) is a Value whose elements are Values, so the envelope of a
// change event is a struct Value built around its rows without copying them,
// and a sink that unwraps an envelope gets the rows back the same way.
//
// # Memory
//
// Rows, elements and text live in an [Arena] that belongs to a batch and is
// used again after its Reset. A batch has one owner at a time; who hands it on
// keeps neither a Row, a Value nor a []byte out of it. Schemas and tables never
// change once they are shared: an altered table is a new *Table, so that the
// pointer can be the key of everything compiled for it.
package schema
