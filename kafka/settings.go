package kafka

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Settings returns the definitions of all client settings, without prefixes:
// those of every client, of producers and of consumers.
func Settings() *settings.Set { return clientSettings }

const (
	groupClient   = "Kafka client"
	groupSecurity = "Kafka security"
	groupProducer = "Kafka producer"
	groupConsumer = "Kafka consumer"

	needsJava   = "it names Java code, which Penstock cannot load"
	noKerberos  = "Kerberos and OAuth are not supported yet; use sasl.mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or certificates (ssl.keystore.*)"
	kernelsJob  = "the operating system sizes socket buffers"
	noJMX       = "Penstock has its own metrics"
	converters  = "converters make and read the bytes"
	jvmSecurity = "it selects among implementations inside a Java machine"
)

// clientSettings never changes.
var clientSettings = settings.NewSet(commonSettings(), securitySettings(), producerSettings(), consumerSettings())

func commonSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "bootstrap.servers", Type: settings.List, Required: true, Group: groupClient, Importance: settings.High, Check: checkBootstrap,
			Doc: "Brokers to begin with, as host:port separated by commas. The others are found from them, so two or three are enough.",
		},
		{
			Key: "client.id", Type: settings.String, Group: groupClient, Importance: settings.Medium,
			Doc: "Name that brokers show in logs, metrics and quotas for this client.",
		},
		{
			Key: "client.rack", Type: settings.String, Group: groupClient, Importance: settings.Low,
			Doc: "Rack of this client, so that it may fetch from the nearest replica.",
		},
		{
			Key: "request.timeout.ms", Type: settings.Int, Default: "30000", Group: groupClient, Importance: settings.Medium, Check: between(100, 900_000),
			Doc: "Milliseconds to wait for the answer to a request before the connection is given up and the request tried again.",
		},
		{
			Key: "default.api.timeout.ms", Type: settings.Int, Default: "60000", Group: groupClient, Importance: settings.Low, Check: atLeast(0),
			Doc: "Milliseconds after which a request that keeps failing is given up.",
		},
		{
			Key: "retry.backoff.ms", Type: settings.Long, Default: "100", Group: groupClient, Importance: settings.Low, Check: atLeast(0),
			Doc: "Milliseconds before a failed request is tried again; doubled after each further failure.",
		},
		{
			Key: "retry.backoff.max.ms", Type: settings.Long, Default: "1000", Group: groupClient, Importance: settings.Low, Check: atLeast(0),
			Doc: "Most milliseconds between two tries.",
		},
		{
			Key: "metadata.max.age.ms", Type: settings.Long, Default: "300000", Group: groupClient, Importance: settings.Low, Check: atLeast(10),
			Doc: "Milliseconds after which brokers are asked again for topics, partitions and leaders.",
		},
		{
			Key: "connections.max.idle.ms", Type: settings.Long, Default: "540000", Group: groupClient, Importance: settings.Low, Check: atLeast(1000),
			Doc: "Milliseconds after which an idle connection is closed.",
		},
		{
			Key: "socket.connection.setup.timeout.ms", Type: settings.Long, Default: "10000", Group: groupClient, Importance: settings.Low, Check: atLeast(1),
			Doc: "Milliseconds that opening a connection may take.",
		},

		{Key: "socket.connection.setup.timeout.max.ms", Type: settings.Long, Default: "30000", Group: groupClient, Ignored: "socket.connection.setup.timeout.ms does not grow"},
		{Key: "reconnect.backoff.ms", Type: settings.Long, Default: "50", Group: groupClient, Ignored: "retry.backoff.ms serves connections too"},
		{Key: "reconnect.backoff.max.ms", Type: settings.Long, Default: "1000", Group: groupClient, Ignored: "retry.backoff.max.ms serves connections too"},
		{Key: "client.dns.lookup", Type: settings.String, Default: "use_all_dns_ips", Group: groupClient, Ignored: "all addresses of a name are tried"},
		{Key: "receive.buffer.bytes", Type: settings.Int, Default: "65536", Group: groupClient, Ignored: kernelsJob},
		{Key: "send.buffer.bytes", Type: settings.Int, Default: "131072", Group: groupClient, Ignored: kernelsJob},
		{Key: "metric.reporters", Type: settings.List, Group: groupClient, Ignored: noJMX},
		{Key: "auto.include.jmx.reporter", Type: settings.Boolean, Default: "true", Group: groupClient, Ignored: noJMX},
		{Key: "metrics.num.samples", Type: settings.Int, Default: "2", Group: groupClient, Ignored: noJMX},
		{Key: "metrics.sample.window.ms", Type: settings.Long, Default: "30000", Group: groupClient, Ignored: noJMX},
		{Key: "metrics.recording.level", Type: settings.String, Default: "INFO", Group: groupClient, Ignored: noJMX},
		{Key: "enable.metrics.push", Type: settings.Boolean, Default: "true", Group: groupClient, Ignored: noJMX},
		{Key: "metadata.recovery.strategy", Type: settings.String, Default: "rebootstrap", Group: groupClient, Ignored: "bootstrap.servers are used again when no broker answers"},
		{Key: "metadata.recovery.rebootstrap.trigger.ms", Type: settings.Long, Default: "300000", Group: groupClient, Ignored: "bootstrap.servers are used again when no broker answers"},
		{Key: "interceptor.classes", Type: settings.List, Group: groupClient, Unsupported: needsJava},
	}
}

func securitySettings() []settings.Def {
	return []settings.Def{
		{
			Key: "security.protocol", Type: settings.String, Default: "PLAINTEXT", Group: groupSecurity, Importance: settings.Medium,
			OneOf: []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"},
			Doc:   "How connections are made: SSL encrypts them, SASL logs in with a user and password.",
		},
		{
			Key: "sasl.mechanism", Type: settings.String, Group: groupSecurity, Importance: settings.Medium,
			OneOf: []string{mechanismPlain, mechanismScram256, mechanismScram512},
			Doc:   "How to log in when security.protocol is SASL_PLAINTEXT or SASL_SSL.",
		},
		{
			Key: "sasl.jaas.config", Type: settings.Password, Group: groupSecurity, Importance: settings.Medium,
			Doc: `User and password in the Java form: org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";`,
		},
		{
			Key: "ssl.truststore.location", Type: settings.String, Group: groupSecurity, Importance: settings.High,
			Doc: "File with the authorities that sign brokers' certificates, in PEM or PKCS12. Without it the system's are used.",
		},
		{
			Key: "ssl.truststore.certificates", Type: settings.Password, Group: groupSecurity, Importance: settings.High,
			Doc: "The same as text in PEM.",
		},
		{
			Key: "ssl.truststore.password", Type: settings.Password, Group: groupSecurity, Importance: settings.High,
			Doc: "Password of a PKCS12 trust store.",
		},
		{Key: "ssl.truststore.type", Type: settings.String, Default: "JKS", Group: groupSecurity, Ignored: "the file's content tells PEM from PKCS12"},
		{
			Key: "ssl.keystore.location", Type: settings.String, Group: groupSecurity, Importance: settings.High,
			Doc: "File with this client's certificate chain and private key, in PEM or PKCS12, for brokers that ask for one.",
		},
		{
			Key: "ssl.keystore.certificate.chain", Type: settings.Password, Group: groupSecurity, Importance: settings.High,
			Doc: "This client's certificate chain as text in PEM.",
		},
		{
			Key: "ssl.keystore.key", Type: settings.Password, Group: groupSecurity, Importance: settings.High,
			Doc: "This client's private key as text in PEM, not encrypted.",
		},
		{
			Key: "ssl.keystore.password", Type: settings.Password, Group: groupSecurity, Importance: settings.High,
			Doc: "Password of a PKCS12 key store.",
		},
		{Key: "ssl.keystore.type", Type: settings.String, Default: "JKS", Group: groupSecurity, Ignored: "the file's content tells PEM from PKCS12"},
		{Key: "ssl.key.password", Type: settings.Password, Group: groupSecurity, Ignored: "ssl.keystore.password opens a PKCS12 store with its key"},
		{
			Key: "ssl.endpoint.identification.algorithm", Type: settings.String, Default: "https", Group: groupSecurity, Importance: settings.Low,
			Doc: "https checks that a broker's certificate names its host; empty does not.",
		},
		{
			Key: "ssl.enabled.protocols", Type: settings.List, Default: "TLSv1.2,TLSv1.3", Group: groupSecurity, Importance: settings.Medium,
			Doc: "Protocol versions that may be used.",
		},
		{Key: "ssl.protocol", Type: settings.String, Default: "TLSv1.3", Group: groupSecurity, Ignored: "ssl.enabled.protocols decides"},
		{Key: "ssl.cipher.suites", Type: settings.List, Group: groupSecurity, Unsupported: "the safe suites are chosen by themselves; take the setting away"},
		{Key: "ssl.provider", Type: settings.String, Group: groupSecurity, Ignored: jvmSecurity},
		{Key: "ssl.keymanager.algorithm", Type: settings.String, Default: "SunX509", Group: groupSecurity, Ignored: jvmSecurity},
		{Key: "ssl.trustmanager.algorithm", Type: settings.String, Default: "PKIX", Group: groupSecurity, Ignored: jvmSecurity},
		{Key: "ssl.secure.random.implementation", Type: settings.String, Group: groupSecurity, Ignored: jvmSecurity},
		{Key: "security.providers", Type: settings.String, Group: groupSecurity, Ignored: jvmSecurity},
		{Key: "ssl.engine.factory.class", Type: settings.Class, Group: groupSecurity, Unsupported: needsJava},
		{Key: "sasl.client.callback.handler.class", Type: settings.Class, Group: groupSecurity, Unsupported: needsJava},
		{Key: "sasl.login.callback.handler.class", Type: settings.Class, Group: groupSecurity, Unsupported: needsJava},
		{Key: "sasl.login.class", Type: settings.Class, Group: groupSecurity, Unsupported: needsJava},
		{Key: "sasl.kerberos.service.name", Type: settings.String, Group: groupSecurity, Unsupported: noKerberos},
		{Key: "sasl.oauthbearer.token.endpoint.url", Type: settings.String, Group: groupSecurity, Unsupported: noKerberos},
	}
}

func producerSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "acks", Type: settings.String, Default: "all", Group: groupProducer, Importance: settings.Low, OneOf: []string{"all", "-1", "0", "1"},
			Doc: "Who must have written a record before it counts as written: all in-sync replicas (all), the leader (1) or nobody (0).",
		},
		{
			Key: "enable.idempotence", Type: settings.Boolean, Default: "true", Group: groupProducer, Importance: settings.Low,
			Doc: "Whether brokers drop the second copy of a record that was sent twice. Needs acks=all.",
		},
		{
			Key: "compression.type", Type: settings.String, Default: "none", Group: groupProducer, Importance: settings.High,
			OneOf: []string{"none", "gzip", "snappy", "lz4", "zstd"},
			Doc:   "How batches of records are compressed. The producers of sources take lz4 unless told.",
		},
		{Key: "compression.gzip.level", Type: settings.Int, Default: "-1", Group: groupProducer, Importance: settings.Medium, Check: between(-1, 9), Doc: "Level of gzip, 1 to 9; -1 is its default."},
		{Key: "compression.lz4.level", Type: settings.Int, Default: "9", Group: groupProducer, Importance: settings.Medium, Check: between(1, 17), Doc: "Level of lz4."},
		{Key: "compression.zstd.level", Type: settings.Int, Default: "3", Group: groupProducer, Importance: settings.Medium, Check: between(-131072, 22), Doc: "Level of zstd."},
		{
			Key: "linger.ms", Type: settings.Long, Default: "0", Group: groupProducer, Importance: settings.Medium, Check: between(0, 60_000),
			Doc: "Milliseconds that a batch waits for more records before it is sent. Under load batches fill without waiting.",
		},
		{
			Key: "max.request.size", Type: settings.Int, Default: "1048576", Group: groupProducer, Importance: settings.Medium, Check: between(1024, 1<<30),
			Doc: "Most bytes of one batch, and so of one record. Brokers refuse more than their message.max.bytes.",
		},
		{
			Key: "delivery.timeout.ms", Type: settings.Int, Default: "2147483647", Group: groupProducer, Importance: settings.Medium, Check: atLeast(0),
			Doc: "Milliseconds after which a record that cannot be written fails. Until then it is tried again.",
		},
		{
			Key: "retries", Type: settings.Int, Default: "2147483647", Group: groupProducer, Importance: settings.High, Check: atLeast(0),
			Doc: "How often a record is tried again inside delivery.timeout.ms.",
		},
		{
			Key: "buffer.memory", Type: settings.Long, Default: "33554432", Group: groupProducer, Importance: settings.High, Check: atLeast(1024),
			Doc: "Bytes of records that may wait to be sent; a producer that has more waits itself.",
		},
		{
			Key: "max.in.flight.requests.per.connection", Type: settings.Int, Default: "5", Group: groupProducer, Importance: settings.Low, Check: between(1, 1000),
			Doc: "Requests on their way to one broker at a time. Above 1 needs enable.idempotence to keep the order.",
		},
		{
			Key: "partitioner.class", Type: settings.Class, Group: groupProducer, Importance: settings.Medium, Check: checkPartitioner,
			Doc: "How a record's partition is chosen: by default the key's hash, as all Kafka clients have it, else batch by batch. RoundRobinPartitioner takes turns.",
		},
		{
			Key: "partitioner.ignore.keys", Type: settings.Boolean, Default: "false", Group: groupProducer, Importance: settings.Low,
			Doc: "Whether the default partitioner does not look at keys.",
		},
		{
			Key: "transactional.id", Type: settings.String, Group: groupProducer, Importance: settings.Low,
			Doc: "Name under which the producer's transactions are known.",
		},
		{
			Key: "transaction.timeout.ms", Type: settings.Int, Default: "60000", Group: groupProducer, Importance: settings.Low, Check: atLeast(1),
			Doc: "Milliseconds after which a broker aborts a transaction that was left open.",
		},

		{Key: "batch.size", Type: settings.Int, Default: "16384", Group: groupProducer, Ignored: "batches grow with the load up to max.request.size"},
		{Key: "max.block.ms", Type: settings.Long, Default: "60000", Group: groupProducer, Ignored: "a producer whose buffer is full waits until it is stopped"},
		{Key: "partitioner.adaptive.partitioning.enable", Type: settings.Boolean, Default: "true", Group: groupProducer, Ignored: "records without a key go where the least is waiting"},
		{Key: "partitioner.availability.timeout.ms", Type: settings.Long, Default: "0", Group: groupProducer, Ignored: "partitions without a leader are avoided"},
		{Key: "metadata.max.idle.ms", Type: settings.Long, Default: "300000", Group: groupProducer, Ignored: "topics are kept as long as they are used"},
		{Key: "key.serializer", Type: settings.Class, Group: groupProducer, Ignored: converters},
		{Key: "value.serializer", Type: settings.Class, Group: groupProducer, Ignored: converters},
	}
}

func consumerSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "group.id", Type: settings.String, Group: groupConsumer, Importance: settings.High,
			Doc: "Consumer group.",
		},
		{
			Key: "group.instance.id", Type: settings.String, Group: groupConsumer, Importance: settings.Medium,
			Doc: "Name of a static member of the group, which keeps its partitions over a restart.",
		},
		{
			Key: "fetch.min.bytes", Type: settings.Int, Default: "1", Group: groupConsumer, Importance: settings.High, Check: atLeast(0),
			Doc: "Bytes for which a broker waits before it answers a fetch.",
		},
		{
			Key: "fetch.max.bytes", Type: settings.Int, Default: "52428800", Group: groupConsumer, Importance: settings.Medium, Check: atLeast(1),
			Doc: "Most bytes in the answer to a fetch.",
		},
		{
			Key: "fetch.max.wait.ms", Type: settings.Int, Default: "500", Group: groupConsumer, Importance: settings.Low, Check: atLeast(0),
			Doc: "Milliseconds that a broker waits for fetch.min.bytes.",
		},
		{
			Key: "max.partition.fetch.bytes", Type: settings.Int, Default: "1048576", Group: groupConsumer, Importance: settings.High, Check: atLeast(1),
			Doc: "Most bytes of one partition in the answer to a fetch; a larger batch still arrives.",
		},
		{
			Key: "max.poll.records", Type: settings.Int, Default: "500", Group: groupConsumer, Importance: settings.Medium, Check: atLeast(1),
			Doc: "Most records in one poll.",
		},
		{
			Key: "max.poll.interval.ms", Type: settings.Int, Default: "300000", Group: groupConsumer, Importance: settings.Medium, Check: atLeast(1),
			Doc: "Milliseconds that a member of the group has to hand over its partitions in a rebalance.",
		},
		{
			Key: "session.timeout.ms", Type: settings.Int, Default: "45000", Group: groupConsumer, Importance: settings.High, Check: atLeast(100),
			Doc: "Milliseconds without a heartbeat after which the group takes a member for dead.",
		},
		{
			Key: "heartbeat.interval.ms", Type: settings.Int, Default: "3000", Group: groupConsumer, Importance: settings.High, Check: atLeast(10),
			Doc: "Milliseconds between heartbeats to the group.",
		},
		{
			Key: "auto.offset.reset", Type: settings.String, Default: "earliest", Group: groupConsumer, Importance: settings.Medium,
			OneOf: []string{"earliest", "latest", "none"},
			Doc:   "Where to begin in a partition for which the group has no offset, or one that the broker no longer has.",
		},
		{
			Key: "isolation.level", Type: settings.String, Default: "read_committed", Group: groupConsumer, Importance: settings.Medium,
			OneOf: []string{"read_committed", "read_uncommitted"},
			Doc:   "Whether records of transactions that are open or were aborted are read.",
		},
		{
			Key: "partition.assignment.strategy", Type: settings.List, Default: "range,cooperative-sticky", Group: groupConsumer, Importance: settings.Medium, Check: checkAssignors,
			Doc: "How the group shares partitions: range, roundrobin, sticky, cooperative-sticky, or the names of Kafka's classes for them.",
		},
		{
			Key: "group.protocol", Type: settings.String, Default: "classic", Group: groupConsumer, Importance: settings.High,
			OneOf: []string{"classic", "consumer"},
			Doc:   "Group protocol: classic, or consumer, in which the broker assigns the partitions (Kafka 4.0 and later).",
		},

		{Key: "group.remote.assignor", Type: settings.String, Group: groupConsumer, Unsupported: "the broker's default assignor is used"},
		{Key: "enable.auto.commit", Type: settings.Boolean, Default: "false", Group: groupConsumer, Unsupported: "offsets are committed after records have been applied, never by a clock"},
		{Key: "auto.commit.interval.ms", Type: settings.Int, Default: "5000", Group: groupConsumer, Ignored: "offsets are committed after records have been applied"},
		{Key: "allow.auto.create.topics", Type: settings.Boolean, Default: "false", Group: groupConsumer, Ignored: "consumers never create topics"},
		{Key: "check.crcs", Type: settings.Boolean, Default: "true", Group: groupConsumer, Ignored: "checksums are always checked"},
		{Key: "exclude.internal.topics", Type: settings.Boolean, Default: "true", Group: groupConsumer, Ignored: "internal topics are never matched by a pattern"},
		{Key: "key.deserializer", Type: settings.Class, Group: groupConsumer, Ignored: converters},
		{Key: "value.deserializer", Type: settings.Class, Group: groupConsumer, Ignored: converters},
	}
}

func checkBootstrap(text string) error {
	for _, entry := range settings.SplitList(text) {
		if _, err := parseAddress(entry); err != nil {
			return err
		}
	}
	return nil
}

// parseAddress checks one entry of bootstrap.servers and takes the name of a
// listener (PLAINTEXT://) off it.
func parseAddress(entry string) (string, error) {
	addr := entry
	if _, rest, ok := strings.Cut(entry, "://"); ok {
		addr = rest
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", fmt.Errorf("%q is not host:port; write for instance kafka.example.org:9092 ([::1]:9092 for an IPv6 address)", entry)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q has no port between 1 and 65535; write for instance %s:9092", entry, host)
	}
	return addr, nil
}

func between(least, most int64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && n >= least && n <= most {
			return nil
		}
		return fmt.Errorf("Value must be between %d and %d", least, most) //nolint:staticcheck // Kafka's sentence, which begins with a capital letter
	}
}

func atLeast(least int64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil && n >= least {
			return nil
		}
		return fmt.Errorf("Value must be at least %d", least) //nolint:staticcheck // Kafka's sentence, which begins with a capital letter
	}
}

// className returns the last part of a Java class name, without an enclosing
// class.
func className(name string) string {
	return name[strings.LastIndexAny(name, ".$")+1:]
}

func checkPartitioner(name string) error {
	switch className(name) {
	case "", "DefaultPartitioner", "BuiltInPartitioner", "RoundRobinPartitioner", "UniformStickyPartitioner":
		return nil
	}
	return errors.New(needsJava + "; take the setting away, or use RoundRobinPartitioner")
}

func checkAssignors(text string) error {
	for _, name := range settings.SplitList(text) {
		if assignor(name) == nil {
			return fmt.Errorf("%q is not known; use range, roundrobin, sticky or cooperative-sticky", name)
		}
	}
	return nil
}
