// Package offsets keeps where source connectors have got to: for each source
// partition of a connector (for Debezium's connectors an object such as
// {"server":"inventory"}) the [schema.Position] to go on at.
//
// [Topic] keeps them where Kafka Connect keeps them, in the offset topic, with
// the same keys and values, so that a connector can move between Penstock and
// Kafka Connect in both directions. [File] keeps them in a file, for a process
// without a Kafka of its own; [Memory] is their twin for tests. All three pass
// the suite of package offsetstest.
//
// Partitions are compared as JSON, not as text: {"a":1,"b":2} and
// { "b": 2, "a": 1 } are the same partition. A record is nevertheless written
// under the very key under which the partition was read, because to a
// compacted topic another text is another key.
package offsets
