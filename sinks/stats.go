package sinks

import (
	"sync/atomic"
	"time"
)

// Stats count what becomes of the records of a connector; its tasks share
// one. Whenever the tasks are idle,
//
//	Read = Applied + Filtered + DeadLettered + Skipped + Abandoned
//
// All counters only grow, but for the three gauges.
type Stats struct {
	// Read are the records taken up for writing.
	Read atomic.Int64
	// Applied are the records that the destination has.
	Applied atomic.Int64
	// Filtered are the records that a transform dropped.
	Filtered atomic.Int64
	// DeadLettered are the failed records that the dead letter queue has.
	DeadLettered atomic.Int64
	// Skipped are the failed records that were tolerated without a dead
	// letter queue, or left out by the connector's own settings.
	Skipped atomic.Int64
	// Abandoned are the records that were given back to the group before they
	// were applied, because of a rebalance, a stop or a failure. Some task
	// reads them again.
	Abandoned atomic.Int64

	// Failures counts the failed attempts, Errors the records that failed for
	// good, Retries the attempts after the first, Logged the errors logged
	// because of errors.log.enable.
	Failures, Errors, Retries, Logged atomic.Int64
	// DLQRequests and DLQFailures count writes to the dead letter queue.
	DLQRequests, DLQFailures atomic.Int64
	// Batches counts the batches that were finished, Commits the commits of
	// the group's offsets, CommitFailures those that failed.
	Batches, Commits, CommitFailures atomic.Int64
	// LastErrorMillis is when a record failed last, since 1970; 0 for never.
	LastErrorMillis atomic.Int64

	// Lag is a gauge: how many records the assigned partitions hold beyond
	// those finished. Partitions is a gauge: how many are assigned. Active is
	// a gauge: how many records are in batches.
	Lag, Partitions, Active atomic.Int64

	// Latency, if set, is told for every applied record how long it took from
	// the commit at the source (or the record's timestamp, where the record
	// does not say) until it was applied. It is called by several tasks at
	// once.
	Latency func(time.Duration)
	// Wrote, if set, is told of every Write how many records it had and how
	// long it took.
	Wrote func(records int, took time.Duration)
}
