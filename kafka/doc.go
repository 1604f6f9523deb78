// Package kafka is everything Penstock knows about Kafka itself: clients made
// from Kafka's own settings, the creation of topics, and the embedded broker.
//
// # Clients
//
// [Parse] reads the settings that a Java client would take (bootstrap.servers,
// security.protocol, sasl.*, ssl.*, acks, fetch.*, ...) from a map without
// prefixes, and reports every problem at once. The [Config] that it returns
// may then be changed; [NewProducer], [NewConsumer], [NewAdmin] and
// [Config.NewClient] turn it into franz-go clients after having reached a
// broker, so that a wrong address, password or certificate is one clear error
// at the start and not a client that retries in silence. No error, log line or
// printed Config shows a secret.
//
// Producers are made for capture: acks=all, idempotent, without a retry limit
// inside delivery.timeout.ms, keys hashed as the Java client hashes them, so
// that records of one key stay in the partition where a Java producer put
// their predecessors. No client creates topics by asking for their metadata.
//
// # Topics
//
// [EnsureTopics] creates what is missing and leaves what exists alone;
// [ParseCreation] reads topic.creation.*; [ConfigTopic], [OffsetTopic],
// [StatusTopic] and [DeadLetterTopic] describe Kafka Connect's own topics.
//
// # The embedded broker
//
// [StartBroker] runs a single-node Kafka in this process, for one machine. It
// speaks Kafka's protocol on a TCP port, so that ordinary clients and tools
// read its topics, and keeps its data in a directory: record batches in
// segment files, synced before they are acknowledged. A kill -9 at any moment
// loses nothing that was acknowledged. DESIGN.md says how, and what is not
// promised.
//
// Memory: records stay on disk. In memory is an index entry of 75 bytes for
// each record batch, whatever its size: 0.3 bytes for each record of a busy
// producer, 75 for each record that came alone. A start reads all data once
// (about 3 GB/s from the page cache) and has a segment of 8 MiB of each
// partition in memory for that.
//
// Retention: topics with cleanup.policy=delete keep their records for
// BrokerConfig.Retention (7 days) unless they have a retention.ms or
// retention.bytes of their own; what goes is whole batches, and the last batch
// of a partition stays. Compacted topics keep the last record of each key for
// ever.
package kafka
