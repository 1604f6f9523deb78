package mysql

import (
	"errors"
	"strconv"
	"strings"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
)

// Groups of settings, as Debezium lists them.
const (
	groupServer    = "MySQL"
	groupConnector = "Connector"
	groupHistory   = "History Storage"
	groupEvents    = "Events"
)

// The settings of the topic that holds the schema history. Debezium does not
// list them among the connector's own.
const (
	keyHistoryTopic     = "schema.history.internal.kafka.topic"
	keyHistoryBootstrap = "schema.history.internal.kafka.bootstrap.servers"
	prefixHistory       = "schema.history.internal."
)

// settingsOrder is the order in which Debezium shows the settings.
const settingsOrder = `
	topic.prefix database.hostname database.port database.user database.password database.query.timeout.ms
	database.initial.statements database.server.id database.server.id.offset database.ssl.keystore
	database.ssl.keystore.password database.ssl.truststore database.ssl.truststore.password database.jdbc.driver
	database.protocol database.ssl.mode event.processing.failure.handling.mode max.batch.size max.queue.size
	poll.interval.ms max.queue.size.in.bytes provide.transaction.metadata skipped.operations snapshot.delay.ms
	streaming.delay.ms snapshot.include.collection.list snapshot.fetch.size snapshot.max.threads
	snapshot.max.threads.multiplier legacy.snapshot.max.threads internal.legacy.snapshot.max.threads
	snapshot.mode.custom.name snapshot.mode.configuration.based.snapshot.data
	snapshot.mode.configuration.based.snapshot.schema snapshot.mode.configuration.based.start.stream
	snapshot.mode.configuration.based.snapshot.on.schema.error
	snapshot.mode.configuration.based.snapshot.on.data.error retriable.restart.connector.wait.ms query.fetch.size
	errors.max.retries incremental.snapshot.watermarking.strategy internal.log.position.check.enable
	internal.advanced.metrics.enable connection.validation.timeout.ms executor.shutdown.timeout.ms
	openlineage.integration.enabled openlineage.integration.config.file.path openlineage.integration.job.namespace
	openlineage.integration.job.description openlineage.integration.job.tags openlineage.integration.job.owners
	openlineage.integration.dataset.kafka.bootstrap.servers extended.headers.enabled guardrail.collections.max
	guardrail.collections.limit.action custom.sanitize.pattern statistics.metrics.enabled decimal.handling.mode
	snapshot.lock.timeout.ms memory.management.schemas.class memory.management.tables.class connect.timeout.ms
	connect.keep.alive connect.keep.alive.interval.ms use.nongraceful.disconnect binlog.net.write.timeout
	binlog.net.read.timeout snapshot.mode snapshot.query.mode snapshot.query.mode.custom.name
	bigint.unsigned.handling.mode time.precision.mode enable.time.adjuster schema.name.adjustment.mode
	min.row.count.to.stream.results incremental.snapshot.chunk.size incremental.snapshot.allow.schema.changes
	snapshot.locking.mode ddl.parser.type schema.history.internal schema.history.internal.skip.unparseable.ddl
	schema.history.internal.store.only.captured.tables.ddl schema.history.internal.store.only.captured.databases.ddl
	converters post.processors tombstones.on.delete heartbeat.interval.ms heartbeat.topics.prefix
	signal.data.collection signal.poll.interval.ms signal.enabled.channels topic.naming.strategy
	notification.enabled.channels notification.sink.topic.name transaction.metadata.factory custom.metric.tags
	column.include.list column.exclude.list table.include.list table.exclude.list message.key.columns
	snapshot.select.statement.overrides column.mask.hash.([^.]+).with.salt.(.+) column.mask.with.(d+).chars
	column.truncate.to.(d+).chars include.schema.changes include.schema.comments column.propagate.source.type
	datatype.propagate.source.type internal.snapshot.scan.all.columns.force snapshot.tables.order.by.row.count
	heartbeat.action.query include.query table.ignore.builtin database.include.list database.exclude.list
	binlog.buffer.size event.deserialization.failure.handling.mode inconsistent.schema.handling.mode
	gtid.source.filter.dml.events gtid.ignore.on.recovery gtid.source.includes gtid.source.excludes
	sourceinfo.struct.maker`

// historyTimeouts are settings that Debezium has and does not list.
const historyTimeouts = `
	schema.history.internal.kafka.recovery.poll.interval.ms schema.history.internal.kafka.recovery.attempts
	schema.history.internal.kafka.query.timeout.ms schema.history.internal.kafka.create.timeout.ms`

// Reasons that several settings share.
const (
	noJava      = "there is no Java here; leave it out"
	ownThreads  = "connections are watched by their read and write deadlines"
	streamsRows = "rows are always read as a stream"
	// readsHistory is about Debezium's timeouts.
	readsHistory = "the history's topic is made and read to its end like the worker's own"
)

func newSettings(sourceInfo string) *settings.Set {
	order := settingsOrder + " binary.handling.mode " + keyHistoryTopic + " " + keyHistoryBootstrap + historyTimeouts
	defs := capture.RelationalSettings(groupServer, order, ownSettings(sourceInfo))
	for i := range defs {
		if defs[i].Key == "skipped.operations" {
			defs[i].Group = groupConnector // which for Postgres it is not in
		}
	}
	return settings.NewSet(defs)
}

func ownSettings(sourceInfo string) []settings.Def {
	return append(append(serverSettings(), readerSettings()...), eventSettings(sourceInfo)...)
}

func serverSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "database.port", Type: settings.Int, Default: "3306", Importance: settings.High, Group: groupServer, DisplayName: "Port", Width: "SHORT",
			Doc: "TCP port of the database server.",
		},
		{
			Key: "database.server.id", Type: settings.Long, Importance: settings.High, Group: groupServer, DisplayName: "Cluster ID", Width: "LONG",
			Doc:   "The number by which the database server knows this reader, as it knows a replica. It must differ from that of every server, replica and other reader.",
			Check: validServerID,
		},
		{
			Key: "database.server.id.offset", Type: settings.Long, Default: "10000", Importance: settings.High, Group: groupServer, DisplayName: "Cluster ID offset", Width: "LONG",
			Doc: "The distance between the server ids of parallel snapshot connections.", Ignored: "a snapshot's connections need no server id",
		},
		{
			Key: "database.ssl.keystore", Type: settings.String, Importance: settings.Medium, Group: groupServer, DisplayName: "SSL Keystore", Width: "LONG",
			Doc: "File with this client's certificate and private key, in PEM or PKCS12, where the server asks for one.",
		},
		{
			Key: "database.ssl.keystore.password", Type: settings.Password, Importance: settings.Medium, Group: groupServer, DisplayName: "SSL Keystore Password", Width: "MEDIUM",
			Doc: "Password of a PKCS12 key store.",
		},
		{
			Key: "database.ssl.truststore", Type: settings.String, Importance: settings.Medium, Group: groupServer, DisplayName: "SSL Truststore", Width: "LONG",
			Doc: "File with the authorities that sign the server's certificate, in PEM or PKCS12; without it, the system's.",
		},
		{
			Key: "database.ssl.truststore.password", Type: settings.Password, Importance: settings.Medium, Group: groupServer, DisplayName: "SSL Truststore Password", Width: "MEDIUM",
			Doc: "Password of a PKCS12 trust store.",
		},
		{
			Key: "database.jdbc.driver", Type: settings.Class, Default: "com.mysql.cj.jdbc.Driver", Importance: settings.Low, Group: groupServer, DisplayName: "JDBC Driver Class Name", Width: "MEDIUM",
			Doc: "The Java class of the database driver.", Ignored: noJava,
		},
		{
			Key: "database.protocol", Type: settings.String, Default: "jdbc:mysql", Importance: settings.Low, Group: groupServer, DisplayName: "JDBC Protocol", Width: "MEDIUM",
			Doc: "The protocol part of the Java driver's address.", Ignored: noJava,
		},
		{
			Key: "database.ssl.mode", Type: settings.String, Default: "preferred", Importance: settings.Medium, Group: groupServer, DisplayName: "SSL mode", Width: "MEDIUM",
			Doc: "Encryption of the connection: disabled; preferred takes TLS if the server has it; required refuses to go without; " +
				"verify_ca also checks who signed the server's certificate, verify_identity that it is for this host as well.",
			OneOf: []string{"verify_identity", "disabled", "preferred", "required", "verify_ca"},
		},
	}
}

func readerSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "connect.timeout.ms", Type: settings.Int, Default: "30000", Importance: settings.Medium, Group: groupConnector, DisplayName: "Connection Timeout (ms)", Width: "SHORT",
			Doc: "The longest that connecting to the server may take, in milliseconds.", Check: positive,
		},
		{
			Key: "connect.keep.alive", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: groupConnector, DisplayName: "Keep connection alive (true/false)", Width: "SHORT",
			Doc: "Whether a thread watches the connection.", Ignored: ownThreads,
		},
		{
			Key: "connect.keep.alive.interval.ms", Type: settings.Long, Default: "60000", Importance: settings.Low, Group: groupConnector, DisplayName: "Keep alive interval (ms)", Width: "SHORT",
			Doc: "How often the connection is looked at, in milliseconds.", Ignored: ownThreads,
		},
		{
			Key: "use.nongraceful.disconnect", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupConnector, DisplayName: "Use Non-graceful Disconnect", Width: "SHORT",
			Doc: "Whether a dead connection is dropped without waiting for unsent data.", Ignored: ownThreads,
		},
		{
			Key: "binlog.net.write.timeout", Type: settings.Long, Default: "0", Importance: settings.Medium, Group: groupConnector, DisplayName: "Binlog Net Write Timeout", Width: "SHORT",
			Doc: "How long the server waits for this reader to take log data before it gives up, in seconds; 0 for ten minutes.", Check: capture.NotNegative,
		},
		{
			Key: "binlog.net.read.timeout", Type: settings.Long, Default: "0", Importance: settings.Medium, Group: groupConnector, DisplayName: "Binlog Net Read Timeout", Width: "SHORT",
			Doc: "How long the server waits for this reader's requests, in seconds; 0 for the server's default.", Check: capture.NotNegative,
		},
		{
			Key: "snapshot.mode", Type: settings.String, Default: "initial", Importance: settings.Low, Group: groupConnector, DisplayName: "Snapshot mode", Width: "SHORT",
			Doc: "When the tables are copied: initial, once before the log is read; initial_only, then stop; always, at every start; " +
				"when_needed, also when the log no longer reaches back far enough; no_data, never; recovery, never, and a schema history that is lost or damaged is made anew.",
			OneOf: []string{"always", "initial_only", "configuration_based", "when_needed", "initial", "custom", "no_data", "recovery"},
		},
		{
			Key: "bigint.unsigned.handling.mode", Type: settings.String, Default: "long", Importance: settings.Medium, Group: groupConnector, DisplayName: "The mode for handling bigint-unsigned values", Width: "SHORT",
			Doc: "How BIGINT UNSIGNED appears: long as a signed 64-bit number, negative from 2^63 on; precise as an exact decimal.", OneOf: []string{"precise", "long"},
		},
		{
			Key: "binary.handling.mode", Type: settings.String, Default: "bytes", Importance: settings.Low, Group: groupConnector, DisplayName: "Binary Handling", Width: "SHORT", Hidden: true,
			Doc: "How binary columns appear: bytes as they are, or as text in base64, base64-url-safe or hex.", OneOf: []string{"bytes", "base64", "base64-url-safe", "hex"},
		},
		{
			Key: "time.precision.mode", Type: settings.String, Default: "adaptive_time_microseconds", Importance: settings.Medium, Group: groupConnector, DisplayName: "The time precision mode to be used", Width: "SHORT",
			Doc: "Unit and schema of dates and times: adaptive_time_microseconds goes by the column's precision, with times always in microseconds; " +
				"connect uses Kafka Connect's types in milliseconds; isostring text; microseconds and nanoseconds those units.",
			OneOf: []string{"adaptive", "adaptive_time_microseconds", "isostring", "microseconds", "nanoseconds", "connect"},
			Check: notAdaptive,
		},
		{
			Key: "enable.time.adjuster", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: groupConnector, DisplayName: "Enable Time Adjuster", Width: "SHORT",
			Doc: "Whether years 0 to 69 are taken for 2000 to 2069 and years 70 to 99 for 1970 to 1999.",
		},
		{
			Key: "min.row.count.to.stream.results", Type: settings.Int, Default: "1000", Importance: settings.Low, Group: groupConnector, DisplayName: "Stream result set of size", Width: "MEDIUM",
			Doc: "How large a table must be for its rows to be read as a stream.", Ignored: streamsRows,
		},
		{
			Key: "incremental.snapshot.allow.schema.changes", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: groupConnector, DisplayName: "Allow schema changes during incremental snapshot if supported.", Width: "SHORT",
			Doc: "Whether tables may be altered during an incremental snapshot.", Ignored: "there are no incremental snapshots yet",
		},
		{
			Key: "snapshot.locking.mode", Type: settings.String, Default: "minimal", Importance: settings.Low, Group: groupConnector, DisplayName: "Snapshot locking mode", Width: "SHORT",
			Doc: "How a snapshot keeps writers away: minimal locks all tables for the moment in which position and view are taken, or the captured ones if it may not lock all; none never locks. " +
				"Without a lock no change is missed, but some may be repeated.",
			OneOf: []string{"minimal", "minimal_percona", "custom", "none", "minimal_percona_no_table_locks", "extended"},
			Check: capture.Only("this way of locking is not supported yet", "minimal", "none"),
		},
		{
			Key: "ddl.parser.type", Type: settings.String, Default: "default", Importance: settings.Low, Group: groupConnector, DisplayName: "DDL Parser Type", Width: "SHORT",
			Doc: "Which of Debezium's grammars reads statements that alter tables.", OneOf: []string{"default", "legacy"}, Ignored: "there is one parser, for MySQL and MariaDB",
		},
		{
			Key: "schema.history.internal", Type: settings.Class, Default: "io.debezium.storage.kafka.history.KafkaSchemaHistory", Importance: settings.Low, Group: groupHistory, DisplayName: "Database schema history class", Width: "LONG",
			Doc: "Where the history of table definitions is kept: a Kafka topic.", Unsupported: "the schema history is kept in a Kafka topic; leave it out",
		},
		{
			Key: "schema.history.internal.skip.unparseable.ddl", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: groupHistory, DisplayName: "Skip DDL statements that cannot be parsed", Width: "SHORT",
			Doc: "Whether a statement that looks as if it altered a table but cannot be read is passed over instead of stopping the task.",
		},
		{
			Key: "schema.history.internal.store.only.captured.tables.ddl", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: groupHistory, DisplayName: "Store only DDL that modifies tables that are captured based on include/exclude lists", Width: "SHORT",
			Doc: "Whether the schema history holds captured tables only.",
		},
		{
			Key: "schema.history.internal.store.only.captured.databases.ddl", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: groupHistory, DisplayName: "Store only DDL that modifies tables of databases that are captured based on include/exclude lists", Width: "SHORT",
			Doc: "Whether the schema history holds captured databases only.",
		},
		{
			Key: keyHistoryTopic, Type: settings.String, Importance: settings.High, Group: groupHistory, DisplayName: "Database schema history topic name", Width: "LONG", Hidden: true,
			Doc: "The topic that keeps the history of table definitions; schemahistory. and the topic prefix if not set.",
		},
		{
			Key: keyHistoryBootstrap, Type: settings.String, Importance: settings.High, Group: groupHistory, DisplayName: "Kafka broker addresses", Width: "LONG", Hidden: true,
			Doc: "The Kafka cluster of the schema history, if it is not the worker's own.",
		},
		{
			Key: "schema.history.internal.kafka.recovery.poll.interval.ms", Type: settings.Int, Default: "100", Importance: settings.Low, Group: groupHistory, DisplayName: "Poll interval during database schema history recovery (ms)", Width: "SHORT", Hidden: true,
			Doc: "How long one look for more of the history takes, in milliseconds.", Ignored: readsHistory,
		},
		{
			Key: "schema.history.internal.kafka.recovery.attempts", Type: settings.Int, Default: "100", Importance: settings.Low, Group: groupHistory, DisplayName: "Max attempts to recovery database schema history", Width: "SHORT", Hidden: true,
			Doc: "How many looks in a row may find nothing.", Ignored: readsHistory,
		},
		{
			Key: "schema.history.internal.kafka.query.timeout.ms", Type: settings.Long, Default: "3000", Importance: settings.Low, Group: groupHistory, DisplayName: "Kafka admin client query timeout (ms)", Width: "SHORT", Hidden: true,
			Doc: "How long Kafka may take to describe itself, in milliseconds.", Ignored: readsHistory,
		},
		{
			Key: "schema.history.internal.kafka.create.timeout.ms", Type: settings.Long, Default: "30000", Importance: settings.Low, Group: groupHistory, DisplayName: "Kafka admin client create timeout (ms)", Width: "SHORT", Hidden: true,
			Doc: "How long the making of the history's topic may take, in milliseconds.", Ignored: readsHistory,
		},
	}
}

func eventSettings(sourceInfo string) []settings.Def {
	return []settings.Def{
		{
			Key: "include.schema.changes", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: groupEvents, DisplayName: "Include database schema changes", Width: "SHORT",
			Doc: "Whether statements that alter databases and tables are published in the topic named like the topic prefix.",
		},
		{
			Key: "include.schema.comments", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupEvents, DisplayName: "Include Table and Column Comments", Width: "SHORT",
			Doc: "Whether the schemas of columns carry their comments.",
		},
		{
			Key: "include.query", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupEvents, DisplayName: "Include original SQL query with in change events", Width: "SHORT",
			Doc: "Whether events carry the SQL statement that made them, where the server logs it (binlog_rows_query_log_events, binlog_annotate_row_events).",
		},
		{
			Key: "database.include.list", Type: settings.List, Importance: settings.High, Group: groupEvents, DisplayName: "Include Databases", Width: "LONG",
			Doc: "Regular expressions of the databases to capture, each for the whole name.",
		},
		{
			Key: "database.exclude.list", Type: settings.List, Importance: settings.Medium, Group: groupEvents, DisplayName: "Exclude Databases", Width: "LONG",
			Doc: "Regular expressions of the databases not to capture; not together with database.include.list.",
		},
		{
			Key: "binlog.buffer.size", Type: settings.Int, Default: "0", Importance: settings.Medium, Group: groupEvents, DisplayName: "Binlog reader buffer size", Width: "MEDIUM",
			Doc: "How many events to hold back in order to see how a transaction ends.", Ignored: "the log holds committed transactions only",
		},
		{
			Key: "event.deserialization.failure.handling.mode", Type: settings.String, Default: "fail", Importance: settings.Medium, Group: groupEvents, DisplayName: "Event deserialization failure handling", Width: "SHORT",
			Doc: "What to do with an event that cannot be read: fail stops the task at it.", OneOf: []string{"warn", "fail", "ignore", "skip"},
			Check: capture.Only("events that cannot be read are never passed over", "fail"),
		},
		{
			Key: "inconsistent.schema.handling.mode", Type: settings.String, Default: "fail", Importance: settings.Medium, Group: groupEvents, DisplayName: "Inconsistent schema failure handling", Width: "SHORT",
			Doc: "What to do with events of a table whose definition is not known or does not fit: fail stops the task.", OneOf: []string{"warn", "fail", "ignore", "skip"},
			Check: capture.Only("events of a table are never passed over", "fail"),
		},
		{
			Key: "gtid.source.filter.dml.events", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: groupEvents, DisplayName: "Filter DML events", Width: "SHORT",
			Doc: "Whether events of transactions from servers that gtid.source.includes leaves out are dropped.", Ignored: "no servers are left out",
		},
		{
			Key: "gtid.ignore.on.recovery", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: groupEvents, DisplayName: "Ignore GTID on recovery", Width: "SHORT",
			Doc: "Whether reading goes on by log file and position even where the saved position has GTIDs.",
		},
		{
			Key: "gtid.source.includes", Type: settings.List, Importance: settings.High, Group: groupEvents, DisplayName: "Include GTID sources", Width: "LONG",
			Doc: "Servers whose transactions count for the position.", Unsupported: "all servers' transactions count; leave it out",
		},
		{
			Key: "gtid.source.excludes", Type: settings.String, Importance: settings.Medium, Group: groupEvents, DisplayName: "Exclude GTID sources", Width: "LONG",
			Doc: "Servers whose transactions do not count for the position.", Unsupported: "all servers' transactions count; leave it out",
		},
		{
			Key: "sourceinfo.struct.maker", Type: settings.Class, Default: sourceInfo, Importance: settings.Low, Group: groupEvents, DisplayName: "Source info struct maker class", Width: "MEDIUM",
			Doc: "The Java class that fills the source block.", Unsupported: noJava,
		},
	}
}

func validServerID(value string) error {
	if strings.TrimSpace(value) == "" {
		return errors.New("A value is required") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
	if err != nil || n == 0 {
		return errors.New("A positive, non-zero long value is expected") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	return nil
}

// notAdaptive refuses a mode that Debezium's connectors for MySQL have given up,
// since it overflows.
func notAdaptive(value string) error {
	if value == "adaptive" {
		return errors.New("The 'adaptive' time.precision.mode is no longer supported") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	return nil
}

func positive(value string) error {
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || n <= 0 {
		return errors.New("A positive, non-zero integer value is expected") //nolint:staticcheck // the form of Debezium's sentences
	}
	return nil
}
