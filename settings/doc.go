// Package settings holds the one table of definitions that a worker, a
// connector, a converter or a transform has for its configuration. The table
// serves parsing, validation at start and over REST, `penstock check`,
// `penstock plugins` and the generated reference, so that none of them can
// disagree with another.
//
// Keys, types and defaults are those of Kafka Connect and Debezium.
package settings
