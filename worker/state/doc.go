// Package state keeps what the worker must remember in Kafka's topics, in
// exactly the records of Kafka Connect, so that either may follow the other
// on the same topics: [ConfigLog] the connectors' configurations and target
// states, [StatusLog] the states they are in and the topics they use.
//
// The config topic is the one source of truth: a change is written, and takes
// effect when it is read back. Records that are unknown or cannot be read are
// skipped and logged, never fatal.
package state
