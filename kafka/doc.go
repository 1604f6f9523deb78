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
// speaks Kafka's protocol on a TCP port, so that ordinary clients read its
// topics, and keeps its data in a directory: record batches in segment files,
// synced before they are acknowledged. DESIGN.md says what it guarantees after
// a kill -9, how it compacts, and what it costs in memory: records stay on
// disk, an index entry of about 90 bytes stays in memory for each batch.
package kafka
