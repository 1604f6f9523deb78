// Package takeover tests that Penstock goes on where a real Debezium on Kafka
// Connect has stopped, and the other way round: same topics, same internal
// topics, no new snapshot, nothing lost.
package takeover
