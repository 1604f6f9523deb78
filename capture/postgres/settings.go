package postgres

import (
	"errors"
	"strconv"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
)

// order is that of Debezium's listing; the last are hidden.
const order = `
topic.prefix database.hostname database.port database.user database.password database.dbname
database.query.timeout.ms plugin.name slot.name publication.name publication.autocreate.mode
replica.identity.autoset.values slot.drop.on.stop slot.failover slot.stream.params
database.initial.statements database.sslmode database.sslcert database.sslpassword
database.sslrootcert database.sslkey slot.max.retries slot.retry.delay.ms database.sslfactory
status.update.interval.ms lsn.flush.timeout.ms lsn.flush.timeout.action database.tcpKeepAlive
xmin.fetch.interval.ms skipped.operations lsn.flush.mode flush.lsn.source
event.processing.failure.handling.mode max.batch.size max.queue.size poll.interval.ms
max.queue.size.in.bytes provide.transaction.metadata snapshot.delay.ms streaming.delay.ms
snapshot.include.collection.list snapshot.fetch.size snapshot.max.threads
snapshot.max.threads.multiplier legacy.snapshot.max.threads internal.legacy.snapshot.max.threads
snapshot.mode.custom.name snapshot.mode.configuration.based.snapshot.data
snapshot.mode.configuration.based.snapshot.schema snapshot.mode.configuration.based.start.stream
snapshot.mode.configuration.based.snapshot.on.schema.error
snapshot.mode.configuration.based.snapshot.on.data.error retriable.restart.connector.wait.ms
query.fetch.size errors.max.retries incremental.snapshot.watermarking.strategy
internal.log.position.check.enable internal.advanced.metrics.enable
connection.validation.timeout.ms executor.shutdown.timeout.ms openlineage.integration.enabled
openlineage.integration.config.file.path openlineage.integration.job.namespace
openlineage.integration.job.description openlineage.integration.job.tags
openlineage.integration.job.owners openlineage.integration.dataset.kafka.bootstrap.servers
extended.headers.enabled guardrail.collections.max guardrail.collections.limit.action
custom.sanitize.pattern statistics.metrics.enabled decimal.handling.mode time.precision.mode
snapshot.lock.timeout.ms memory.management.schemas.class memory.management.tables.class
snapshot.mode snapshot.isolation.mode snapshot.query.mode snapshot.query.mode.custom.name
snapshot.locking.mode.custom.name snapshot.locking.mode hstore.handling.mode
binary.handling.mode schema.name.adjustment.mode interval.handling.mode schema.refresh.mode
incremental.snapshot.chunk.size unavailable.value.placeholder message.prefix.include.list
message.prefix.exclude.list publish.via.partition.root converters post.processors
tombstones.on.delete heartbeat.interval.ms heartbeat.topics.prefix signal.data.collection
signal.poll.interval.ms signal.enabled.channels topic.naming.strategy
notification.enabled.channels notification.sink.topic.name transaction.metadata.factory
custom.metric.tags column.include.list column.exclude.list table.include.list table.exclude.list
table.ignore.builtin schema.include.list schema.exclude.list message.key.columns
snapshot.select.statement.overrides column.mask.hash.([^.]+).with.salt.(.+)
column.mask.with.(d+).chars column.truncate.to.(d+).chars include.schema.comments
column.propagate.source.type datatype.propagate.source.type
internal.snapshot.scan.all.columns.force snapshot.tables.order.by.row.count
heartbeat.action.query include.unknown.datatypes sourceinfo.struct.maker
event.converting.failure.handling.mode money.fraction.digits
penstock.unsupported.columns.handling.mode
`

func definitions() *settings.Set {
	return settings.NewSet(capture.RelationalSettings("Postgres", order, ownSettings()))
}

// validSlotName has PostgreSQL's rule for the names of slots.
func validSlotName(name string) error {
	valid := len(name) > 0 && len(name) <= 63
	for _, r := range name {
		valid = valid && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
	}
	if !valid {
		return errors.New("Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	return nil
}

// validDigits checks money.fraction.digits.
func validDigits(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 18 {
		return errors.New("a number between 0 and 18 is expected")
	}
	return nil
}

func ownSettings() []settings.Def {
	return append(connectionDefs(), valueDefs()...)
}

func connectionDefs() []settings.Def {
	const group = "Postgres"
	return []settings.Def{
		{
			Key: "database.port", Type: settings.Int, Default: "5432", Importance: settings.High, Group: group, DisplayName: "Port", Width: "SHORT",
			Doc: "TCP port of the database server.", Check: capture.NotNegative,
		},
		{
			Key: "database.dbname", Type: settings.String, Importance: settings.High, Group: group, DisplayName: "Database", Width: "MEDIUM",
			Doc: "Name of the database to read.", Check: capture.NotEmpty,
		},
		{
			Key: "plugin.name", Type: settings.String, Default: "decoderbufs", Importance: settings.Medium, Group: group, DisplayName: "Plugin", Width: "MEDIUM",
			Doc:   "The output plugin that decodes the log. pgoutput, which every server from version 10 on has, is always used; decoderbufs is accepted so that settings made for Debezium work, and means pgoutput too.",
			OneOf: []string{"pgoutput", "decoderbufs"},
		},
		{
			Key: "slot.name", Type: settings.String, Default: "debezium", Importance: settings.Medium, Group: group, DisplayName: "Slot", Width: "MEDIUM",
			Doc: "Name of the replication slot, which keeps the log for this connector. Each connector of a server needs one of its own.", Check: validSlotName,
		},
		{
			Key: "publication.name", Type: settings.String, Default: "dbz_publication", Importance: settings.Medium, Group: group, DisplayName: "Publication", Width: "MEDIUM",
			Doc: "Name of the publication, which says what tables the server sends.", Check: capture.NotEmpty,
		},
		{
			Key: "publication.autocreate.mode", Type: settings.String, Default: "all_tables", Importance: settings.Medium, Group: group, DisplayName: "Publication Auto Create Mode", Width: "MEDIUM",
			Doc:   "What to do if there is no publication: all_tables makes one for all tables (the user must be a superuser), filtered makes and updates one for the captured tables (the user must own them), no_tables makes an empty one for somebody else to fill, disabled makes none and expects it to be there.",
			OneOf: []string{"all_tables", "disabled", "filtered", "no_tables"},
		},
		{
			Key: "replica.identity.autoset.values", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Replica Identity Auto Set Values", Width: "LONG",
			Doc: "Replica identities to set on tables at start.", Unsupported: "replica identities are not changed; run ALTER TABLE … REPLICA IDENTITY … yourself",
		},
		{
			Key: "slot.drop.on.stop", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Drop slot on stop", Width: "NONE",
			Doc: "Whether slot and publication are dropped when the connector is deleted or its offsets are reset. A mere stop keeps them, so that nothing is missed.",
		},
		{
			Key: "slot.failover", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Create failover slot", Width: "NONE",
			Doc: "Whether the slot is made so that PostgreSQL 17 and later keep it through a failover to a standby.",
		},
		{
			Key: "slot.stream.params", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "Optional parameters to pass to the logical decoder when the stream is started.", Width: "LONG",
			Doc: "Further parameters for the output plugin.", Unsupported: "the plugin's parameters are fixed; leave it out",
		},
		{
			Key: "database.sslmode", Type: settings.String, Default: "prefer", Importance: settings.Medium, Group: group, DisplayName: "SSL mode", Width: "MEDIUM",
			Doc:   "Whether the connection is encrypted: disable never, allow only if the server insists, prefer if the server can, require always, verify-ca also checks the server's certificate, verify-full the host name in it as well.",
			OneOf: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
		},
		{
			Key: "database.sslcert", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "SSL Client Certificate", Width: "LONG",
			Doc: "File with the client's certificate, in PEM.",
		},
		{
			Key: "database.sslpassword", Type: settings.Password, Importance: settings.Medium, Group: group, DisplayName: "SSL Client Key Password", Width: "MEDIUM",
			Doc: "Password of the client's private key.",
		},
		{
			Key: "database.sslrootcert", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "SSL Root Certificate", Width: "LONG",
			Doc: "File with the certificates by which the server's is checked, in PEM.",
		},
		{
			Key: "database.sslkey", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "SSL Client Key", Width: "LONG",
			Doc: "File with the client's private key, in PEM.",
		},
		{
			Key: "slot.max.retries", Type: settings.Int, Default: "6", Importance: settings.Low, Group: group, DisplayName: "Retry count", Width: "NONE",
			Doc: "How often to try again to use the slot.", Ignored: "the task is started again with a backoff until the slot can be used",
		},
		{
			Key: "slot.retry.delay.ms", Type: settings.Long, Default: "10000", Importance: settings.Low, Group: group, DisplayName: "Retry delay", Width: "NONE",
			Doc: "How long to wait between tries to use the slot, in milliseconds.", Ignored: "the task is started again with a backoff until the slot can be used",
		},
		{
			Key: "database.sslfactory", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "SSL Root Certificate", Width: "LONG",
			Doc: "A Java class that makes encrypted connections.", Ignored: "TLS is set up by the other database.ssl settings alone",
		},
		{
			Key: "status.update.interval.ms", Type: settings.Int, Default: "10000", Importance: settings.Medium, Group: group, DisplayName: "Status update interval (ms)", Width: "SHORT",
			Doc: "The longest time between two status messages to the server, in milliseconds; a quarter of the server's wal_sender_timeout where that is shorter.", Check: capture.NotNegative,
		},
		{
			Key: "lsn.flush.timeout.ms", Type: settings.Long, Default: "30000", Importance: settings.Medium, Group: group, DisplayName: "LSN flush timeout (ms)", Width: "SHORT",
			Doc: "How long the confirmation of a position may take, in milliseconds.", Ignored: "a confirmation is a message that nothing waits for",
		},
		{
			Key: "lsn.flush.timeout.action", Type: settings.String, Default: "fail", Importance: settings.Medium, Group: group, DisplayName: "LSN flush timeout action", Width: "MEDIUM",
			Doc: "What to do when a confirmation takes too long.", OneOf: []string{"fail", "warn", "ignore"}, Ignored: "a confirmation is a message that nothing waits for",
		},
		{
			Key: "database.tcpKeepAlive", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: group, DisplayName: "TCP keep-alive probe", Width: "SHORT",
			Doc: "Whether the operating system probes an idle connection.",
		},
		{
			Key: "xmin.fetch.interval.ms", Type: settings.Long, Default: "0", Importance: settings.Medium, Group: group, DisplayName: "Xmin fetch interval (ms)", Width: "SHORT",
			Doc: "How often to read the slot's xmin for the events, in milliseconds; 0 for never.", Unsupported: "events do not carry xmin; leave it at 0",
		},
		{
			Key: "lsn.flush.mode", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "LSN flush mode", Width: "SHORT",
			Doc: "Who confirms positions to the server. This connector does, once they are saved.", OneOf: []string{"connector", "connector_and_driver", "manual"},
			Check: func(value string) error {
				if value == "" {
					return nil
				}
				return capture.Only("positions are always confirmed once they are saved", "connector", "connector_and_driver")(value)
			},
		},
		{
			Key: "flush.lsn.source", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: group, DisplayName: "Boolean to determine if Debezium should flush LSN in the source database", Width: "SHORT",
			Doc: "Whether positions are confirmed to the server.", Unsupported: "positions are always confirmed once they are saved, or the server would keep its log for ever; leave it true",
		},
	}
}

func valueDefs() []settings.Def {
	const group = "Connector"
	return []settings.Def{
		{
			Key: "time.precision.mode", Type: settings.String, Default: "adaptive", Importance: settings.Medium, Group: group, DisplayName: "Time Precision", Width: "SHORT",
			Doc:   "How dates and times appear: adaptive by the column's precision, adaptive_time_microseconds the same but all times in microseconds, connect as Kafka Connect's types in milliseconds, isostring as text, microseconds and nanoseconds in that unit.",
			OneOf: []string{"adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"},
		},
		{
			Key: "snapshot.mode", Type: settings.String, Default: "initial", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode", Width: "SHORT",
			Doc:   "When the tables are copied: initial if there is no saved position, always at each start, initial_only without reading the log afterwards, no_data never, when_needed if there is no position or it is lost, configuration_based as the settings below snapshot.mode.configuration.based say.",
			OneOf: []string{"always", "initial", "initial_only", "no_data", "when_needed", "configuration_based", "custom"},
			Check: capture.SnapshotMode,
		},
		{
			Key: "snapshot.isolation.mode", Type: settings.String, Default: "serializable", Importance: settings.Low, Group: group, DisplayName: "Snapshot isolation mode", Width: "SHORT",
			Doc:   "The isolation of the transactions that copy tables.",
			OneOf: []string{"serializable", "repeatable_read", "read_committed", "read_uncommitted"}, Ignored: "all tables are always copied from one consistent view",
		},
		{
			Key: "snapshot.locking.mode", Type: settings.String, Default: "none", Importance: settings.Low, Group: group, DisplayName: "Snapshot locking mode", Width: "SHORT",
			Doc:   "Whether a snapshot locks tables. It never needs to: the view is consistent without.",
			OneOf: []string{"none", "shared", "custom"},
			Check: capture.Only("a Java class cannot be loaded here", "none", "shared"),
		},
		{
			Key: "hstore.handling.mode", Type: settings.String, Default: "json", Importance: settings.Low, Group: group, DisplayName: "HStore Handling", Width: "MEDIUM",
			Doc: "How hstore values appear: json as text, map as maps.", OneOf: []string{"json", "map"},
		},
		{
			Key: "binary.handling.mode", Type: settings.String, Default: "bytes", Importance: settings.Low, Group: group, DisplayName: "Binary Handling", Width: "MEDIUM",
			Doc:   "How binary values appear: bytes as such, the others as text.",
			OneOf: []string{"bytes", "base64", "base64-url-safe", "hex"},
		},
		{
			Key: "interval.handling.mode", Type: settings.String, Default: "numeric", Importance: settings.Low, Group: group, DisplayName: "Interval Handling", Width: "MEDIUM",
			Doc:   "How intervals appear: numeric as microseconds, where a month counts 30.4375 days, string as text such as P1Y2M3DT4H5M6.78S.",
			OneOf: []string{"numeric", "string"},
		},
		{
			Key: "schema.refresh.mode", Type: settings.String, Default: "columns_diff", Importance: settings.Medium, Group: group, DisplayName: "Schema refresh mode", Width: "SHORT",
			Doc:   "When a table's definition is read again.",
			OneOf: []string{"columns_diff", "columns_diff_exclude_unchanged_toast"}, Ignored: "the log itself says when a definition has changed",
		},
		{
			Key: "unavailable.value.placeholder", Type: settings.String, Default: "__debezium_unavailable_value", Importance: settings.Medium, Group: group, DisplayName: "Unavailable value placeholder", Width: "MEDIUM",
			Doc: "What stands for a large value that has not changed, so that the log does not have it; hex: before it makes bytes of what follows.",
		},
		{
			Key: "message.prefix.include.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Include Logical Decoding Message Prefixes", Width: "LONG",
			Doc: "Regular expressions of the prefixes of logical messages to publish.",
		},
		{
			Key: "message.prefix.exclude.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Exclude Logical Decoding Message Prefixes", Width: "LONG",
			Doc: "Regular expressions of the prefixes of logical messages not to publish.",
		},
		{
			Key: "publish.via.partition.root", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Publish via partition root", Width: "SHORT",
			Doc: "Whether changes of a partition are published as changes of the partitioned table. It applies when the publication is made.",
		},
		{
			Key: "schema.include.list", Type: settings.List, Importance: settings.High, Group: "Events", DisplayName: "Include Schemas", Width: "LONG",
			Doc: "Regular expressions of the schemas whose tables are captured.",
		},
		{
			Key: "schema.exclude.list", Type: settings.List, Importance: settings.Medium, Group: "Events", DisplayName: "Exclude Schemas", Width: "LONG",
			Doc: "Regular expressions of the schemas whose tables are not captured; not together with schema.include.list.",
		},
		{
			Key: "include.unknown.datatypes", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: "Events", DisplayName: "Include unknown datatypes", Width: "SHORT",
			Doc: "Whether columns of types that have no form of their own are published as binary values of their text; otherwise they are left out.",
		},
		{
			Key: "event.converting.failure.handling.mode", Type: settings.String, Default: "warn", Importance: settings.Medium, Group: "Events", DisplayName: "Event converting failure handling", Width: "MEDIUM", Hidden: true,
			Doc:   "What to do with a value that events have no form for, such as NaN with decimal.handling.mode=precise: warn writes null and logs a warning, skip writes null, fail stops the task at it.",
			OneOf: []string{"warn", "skip", "fail"},
		},
		{
			Key: "money.fraction.digits", Type: settings.Short, Default: "2", Importance: settings.Low, Group: "Events", DisplayName: "Money fraction digits", Width: "MEDIUM", Hidden: true,
			Doc: "How many digits after the point a money value has with decimal.handling.mode=precise.", Check: validDigits,
		},
		{
			Key: "penstock.unsupported.columns.handling.mode", Type: settings.String, Default: "warn", Importance: settings.Medium, Group: "Events", DisplayName: "Unsupported columns handling", Width: "SHORT", Hidden: true,
			Doc:   "What to do with a captured column whose type events do not have: warn leaves it out with a warning, as Debezium does, fail refuses the configuration and stops the task.",
			OneOf: []string{"warn", "fail"},
		},
		{
			Key: "sourceinfo.struct.maker", Type: settings.Class, Default: "io.debezium.connector.postgresql.PostgresSourceInfoStructMaker", Importance: settings.Low, Group: "Events", DisplayName: "Source info struct maker class", Width: "MEDIUM",
			Doc: "The Java class that makes the source block of events.", Unsupported: "the source block is Debezium's; leave it out",
		},
	}
}
