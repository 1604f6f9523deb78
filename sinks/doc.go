// Package sinks is the sink side of a pipeline: the task that polls topics as
// a consumer group, decodes and transforms the records, hands them to a
// [Sink] in batches, retries, bisects what fails for good, sends it to the
// dead letter queue, and commits the group's offsets when everything before
// them is applied or dead-lettered.
//
// It knows no destination. A destination is a [Connector] in a package below
// (sinks/mongodb, sinks/elasticsearch).
//
// What always holds: for every partition, records read = applied + filtered +
// dead-lettered + skipped, which are those that failed and were tolerated
// without a queue, or left out by a setting of the connector; an offset is
// committed only after the record before it was applied or its dead letter was
// acknowledged; records of one key are applied in the partition's order.
package sinks
