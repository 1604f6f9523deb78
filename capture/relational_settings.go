package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// RelationalSettings returns the definitions of a relational connector in the
// given order of keys (separated by white space). A key is taken from own if
// it is there, otherwise from the definitions that Debezium's relational
// connectors share, those of which that describe the connection are in the
// given group. Those that Debezium has but does not list follow, hidden. It
// panics on a key that neither has and on an entry of own that
// order leaves out: mistakes in the code.
func RelationalSettings(group, order string, own []settings.Def) []settings.Def {
	shared := slices.Concat(connectionSettings(group), streamSettings(), snapshotSettings(), valueSettings(), eventSettings())
	keys := strings.Fields(order)
	defs := make([]settings.Def, 0, len(keys))
	used := 0
	for _, key := range keys {
		is := func(d settings.Def) bool { return d.Key == key }
		if i := slices.IndexFunc(own, is); i >= 0 {
			defs = append(defs, own[i])
			used++
			continue
		}
		i := slices.IndexFunc(shared, is)
		if i < 0 {
			panic("capture: nobody defines " + key)
		}
		defs = append(defs, shared[i])
	}
	if used != len(own) {
		panic(fmt.Sprintf("capture: %d of %d own settings are not in the order", len(own)-used, len(own)))
	}
	return append(defs, hiddenSettings()...)
}

// CopiesAgain reports whether snapshot.mode has the tables copied again where
// the position in the log is lost.
func CopiesAgain(v settings.Values) bool {
	switch v.String("snapshot.mode") {
	case "when_needed":
		return true
	case "configuration_based":
		return v.Bool("snapshot.mode.configuration.based.snapshot.on.data.error")
	default:
		return false
	}
}

// SnapshotMode is the check of snapshot.mode.
func SnapshotMode(value string) error {
	switch value {
	case "custom":
		return errors.New("a Java class cannot be loaded here; configuration_based has a setting for each thing that it could decide")
	default:
		return nil
	}
}

// NotEmpty is the check of a setting that Debezium lists as optional but
// cannot do without.
func NotEmpty(value string) error {
	if strings.TrimSpace(value) == "" {
		return errors.New("A value is required") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	return nil
}

// NotNegative is the check of a number that counts or measures.
func NotNegative(value string) error {
	if strings.HasPrefix(value, "-") {
		return errors.New("An non-negative integer is expected") //nolint:staticcheck // Debezium's sentence, which clients show
	}
	return nil
}

// Only returns the check of a setting that so far takes only some of the
// values that Debezium allows; why names the others' lack and the remedy.
func Only(why string, allowed ...string) func(string) error {
	return func(value string) error {
		if slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, strings.TrimSpace(value)) }) {
			return nil
		}
		return fmt.Errorf("%s; use %s", why, strings.Join(allowed, " or "))
	}
}

func validPrefix(value string) error {
	if err := NotEmpty(value); err != nil {
		return err
	}
	for _, r := range value {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			continue
		}
		return fmt.Errorf("%s has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)", value)
	}
	return nil
}

// validOperations checks skipped.operations.
func validOperations(value string) error {
	for _, op := range settings.SplitList(value) {
		if !slices.Contains([]string{"c", "u", "d", "t", "none"}, op) {
			return fmt.Errorf("Value must be one of c, u, d, t, none") //nolint:staticcheck // the form of Debezium's sentence
		}
	}
	return nil
}

func validRegexList(value string) error {
	_, err := parsePatterns(value)
	return err
}

// Reasons that several settings share.
const (
	noIncremental = "there are no signals and incremental snapshots yet; leave it at the default"
	noJavaClass   = "a Java class cannot be loaded here; leave it out"
	noRuleYet     = "not supported yet; leave it out"
	noJVM         = "it tunes Debezium's Java threads and queues; memory and hand-over are bounded by the pipeline itself"
)

// hiddenSettings are those of Debezium's that belong to its topic naming
// strategy or are taken without being listed.
func hiddenSettings() []settings.Def {
	const group = "Events"
	return []settings.Def{
		{
			Key: "field.name.adjustment.mode", Type: settings.String, Default: "none", Importance: settings.Low, Group: group, DisplayName: "Field Name Adjustment", Width: "MEDIUM", Hidden: true,
			Doc:   "How field names are altered to suit a converter: none leaves them, avro and avro_unicode replace what Avro does not allow.",
			OneOf: []string{"none", "avro", "avro_unicode"},
		},
		{
			Key: "skip.messages.without.change", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Skip messages without change", Width: "SHORT", Hidden: true,
			Doc: "Whether to leave out updates that change none of the columns that events contain. Postgres logs what a row was only under REPLICA IDENTITY FULL.",
		},
		{
			Key: "topic.delimiter", Type: settings.String, Default: ".", Importance: settings.Low, Group: group, DisplayName: "Topic delimiter", Width: "SHORT", Hidden: true,
			Doc: "What stands between the parts of a topic's name.",
		},
		{
			Key: "topic.heartbeat.name", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "Heartbeat topic", Width: "MEDIUM", Hidden: true,
			Doc: "The whole name of the heartbeat topic, in place of prefix and topic prefix.",
		},
		{
			Key: "topic.cache.size", Type: settings.Int, Default: "10000", Importance: settings.Low, Group: group, DisplayName: "Topic cache size", Width: "SHORT", Hidden: true,
			Doc: "How many topic names are remembered.", Ignored: noJVM,
		},
		{
			Key: "read.only", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Read only connection", Width: "SHORT", Hidden: true,
			Doc: "Whether incremental snapshots do without writing to the signal table.", Ignored: noIncremental,
		},
		{
			Key: "topic.transaction", Type: settings.String, Default: "transaction", Importance: settings.Low, Group: group, DisplayName: "Transaction topic", Width: "MEDIUM", Hidden: true,
			Doc: "The last part of the name of the topic for transactions.",
		},
	}
}

func connectionSettings(group string) []settings.Def {
	return []settings.Def{
		{
			Key: "topic.prefix", Type: settings.String, Importance: settings.High, Group: group, DisplayName: "Topic prefix", Width: "MEDIUM",
			Doc:   "Name of this source: the first part of all its topics and the name in every event. It must be unique in the Kafka cluster and never change.",
			Check: validPrefix,
		},
		{
			Key: "database.hostname", Type: settings.String, Importance: settings.High, Group: group, DisplayName: "Hostname", Width: "MEDIUM",
			Doc: "Host name or address of the database server.", Check: NotEmpty,
		},
		{
			Key: "database.user", Type: settings.String, Importance: settings.High, Group: group, DisplayName: "User", Width: "SHORT",
			Doc: "Name of the database user that reads tables and log.", Check: NotEmpty,
		},
		{
			Key: "database.password", Type: settings.Password, Importance: settings.High, Group: group, DisplayName: "Password", Width: "SHORT",
			Doc: "The database user's password.",
		},
		{
			Key: "database.query.timeout.ms", Type: settings.Int, Default: "600000", Importance: settings.Low, Group: group, DisplayName: "Query timeout", Width: "NONE",
			Doc: "The longest that a query of the catalogue may take, in milliseconds; 0 for no limit.", Check: NotNegative,
		},
		{
			Key: "database.initial.statements", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "Initial statements", Width: "LONG",
			Doc: "SQL statements, separated by semicolons, to run on each new connection to the database but that which reads the log; two semicolons stand for one.",
		},
		{
			Key: "skipped.operations", Type: settings.List, Default: "t", Importance: settings.Low, Group: group, DisplayName: "Skipped Operations", Width: "SHORT",
			Doc:   "Operations to leave out of the topics: c for inserts, u for updates, d for deletes, t for truncates, or none to publish all of them.",
			Check: validOperations,
		},
	}
}

func streamSettings() []settings.Def {
	const group = "Connector"
	return []settings.Def{
		{
			Key: "event.processing.failure.handling.mode", Type: settings.String, Default: "fail", Importance: settings.Medium, Group: group, DisplayName: "Event deserialization failure handling", Width: "SHORT",
			Doc: "What to do with an event that cannot be read: fail stops the task at it.", OneOf: []string{"fail", "warn", "skip", "ignore"},
			Check: Only("events that cannot be read are never passed over", "fail"),
		},
		{
			Key: "max.batch.size", Type: settings.Int, Default: "2048", Importance: settings.Medium, Group: group, DisplayName: "Change event batch size", Width: "SHORT",
			Doc: "The most events that are handed on together.", Check: NotNegative,
		},
		{
			Key: "max.queue.size", Type: settings.Int, Default: "8192", Importance: settings.Medium, Group: group, DisplayName: "Change event buffer size", Width: "SHORT",
			Doc: "The most events that wait between database and Kafka.", Ignored: noJVM,
		},
		{
			Key: "poll.interval.ms", Type: settings.Long, Default: "500", Importance: settings.Medium, Group: group, DisplayName: "Poll interval (ms)", Width: "SHORT",
			Doc: "How long to wait between looks at the queue, in milliseconds.", Ignored: "events are handed on as soon as they arrive",
		},
		{
			Key: "max.queue.size.in.bytes", Type: settings.Long, Default: "0", Importance: settings.Medium, Group: group, DisplayName: "Change event buffer size in bytes", Width: "LONG",
			Doc: "The most bytes that wait between database and Kafka; 0 for no limit.", Ignored: noJVM,
		},
		{
			Key: "provide.transaction.metadata", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Store transaction metadata information in a dedicated topic.", Width: "SHORT",
			Doc: "Whether to number the events of each transaction and to publish its begin and end in a topic of their own.",
		},
		{
			Key: "retriable.restart.connector.wait.ms", Type: settings.Long, Default: "10000", Importance: settings.Low, Group: group, DisplayName: "Retriable restart wait (ms)", Width: "MEDIUM",
			Doc: "How long to wait before a retry after an error that may pass, in milliseconds.", Ignored: "retries follow an exponential backoff of their own",
		},
		{
			Key: "query.fetch.size", Type: settings.Int, Default: "0", Importance: settings.Medium, Group: group, DisplayName: "Query fetch size", Width: "MEDIUM",
			Doc: "How many rows to fetch from a cursor at once.", Ignored: "rows are read as a stream, without a cursor",
		},
		{
			Key: "errors.max.retries", Type: settings.Int, Default: "-1", Importance: settings.Low, Group: group, DisplayName: "The maximum number of retries", Width: "MEDIUM",
			Doc: "How often to retry after an error that may pass; -1 for ever, 0 never.", Unsupported: "errors that may pass are retried for ever; leave it at -1",
		},
		{
			Key: "incremental.snapshot.watermarking.strategy", Type: settings.String, Default: "INSERT_INSERT", Importance: settings.Low, Group: group, DisplayName: "Incremental snapshot watermarking strategy", Width: "MEDIUM",
			Doc: "How an incremental snapshot marks a chunk in the log.", OneOf: []string{"INSERT_INSERT", "INSERT_DELETE"}, Ignored: noIncremental,
		},
		{
			Key: "internal.log.position.check.enable", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: group, DisplayName: "Enable/Disable log position check", Width: "MEDIUM",
			Doc: "Whether to check at start that the log still reaches back to the saved position.", Ignored: "the check is always made",
		},
		{
			Key: "internal.advanced.metrics.enable", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Enable/Disable advance metrics", Width: "MEDIUM",
			Doc: "Whether to keep more metrics.", Ignored: "metrics are always kept",
		},
		{
			Key: "connection.validation.timeout.ms", Type: settings.Long, Default: "60000", Importance: settings.Low, Group: group, DisplayName: "Connection validation timeout (ms)", Width: "SHORT",
			Doc: "The longest that the check of the connection may take when a configuration is validated, in milliseconds.", Check: NotNegative,
		},
		{
			Key: "executor.shutdown.timeout.ms", Type: settings.Long, Default: "4000", Importance: settings.Medium, Group: group, DisplayName: "Executor shutdown timeout (ms)", Width: "MEDIUM",
			Doc: "How long to wait for threads at shutdown, in milliseconds.", Ignored: noJVM,
		},
		{
			Key: "openlineage.integration.enabled", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Enables OpenLineage integration", Width: "SHORT",
			Doc: "Whether to report the flow of data to OpenLineage.", Unsupported: "OpenLineage is not supported; leave it false",
		},
		{
			Key: "openlineage.integration.config.file.path", Type: settings.String, Default: "./openlineage.yml", Importance: settings.Low, Group: group, DisplayName: "Path to OpenLineage file configuration", Width: "LONG",
			Doc: "Where OpenLineage's configuration is.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "openlineage.integration.job.namespace", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "Namespace used for Debezium job", Width: "LONG",
			Doc: "The job's namespace in OpenLineage.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "openlineage.integration.job.description", Type: settings.String, Default: "Debezium change data capture job", Importance: settings.Low, Group: group, DisplayName: "Description used for Debezium job", Width: "LONG",
			Doc: "The job's description in OpenLineage.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "openlineage.integration.job.tags", Type: settings.List, Importance: settings.Low, Group: group, DisplayName: "Debezium job tags", Width: "LONG",
			Doc: "The job's tags in OpenLineage.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "openlineage.integration.job.owners", Type: settings.List, Importance: settings.Low, Group: group, DisplayName: "Debezium job owners", Width: "LONG",
			Doc: "The job's owners in OpenLineage.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "openlineage.integration.dataset.kafka.bootstrap.servers", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "Kafka bootstrap server used in Kafka Connect deployment", Width: "LONG",
			Doc: "The Kafka brokers as OpenLineage is to know them.", Ignored: "OpenLineage is not supported",
		},
		{
			Key: "extended.headers.enabled", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: group, DisplayName: "Enable/Disable extended headers", Width: "SHORT",
			Doc: "Whether records carry the headers __debezium.context.* that name connector and task.",
		},
		{
			Key: "guardrail.collections.max", Type: settings.Int, Default: "0", Importance: settings.Medium, Group: group, DisplayName: "Maximum number of collections or tables", Width: "SHORT",
			Doc: "The most tables that may be captured; 0 for no limit.", Unsupported: "there is no limit on tables yet; leave it at 0",
		},
		{
			Key: "guardrail.collections.limit.action", Type: settings.String, Default: "warn", Importance: settings.Medium, Group: group, DisplayName: "Guardrail collections limit action", Width: "SHORT",
			Doc: "What to do when there are more tables than guardrail.collections.max.", OneOf: []string{"warn", "fail"}, Ignored: "there is no limit on tables yet",
		},
		{
			Key:  "custom.sanitize.pattern",
			Type: settings.String,
			Default: `.*secret$|.*password$|.*sasl\.jaas\.config$|.*basic\.auth\.user\.info|.*registry\.auth\.client-secret|` +
				`.*credentials\.json$|.*connectionstring$|.*connection\.string$`,
			Importance: settings.Low, Group: group, DisplayName: "Custom pattern for masking sensitive configuration", Width: "LONG",
			Doc: "Which settings to mask when the configuration is logged.", Ignored: "the configuration is never logged",
		},
		{
			Key: "statistics.metrics.enabled", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: group, DisplayName: "Enable collecting statistics metrics like latencies", Width: "SHORT",
			Doc: "Whether to keep statistics of latencies.", Ignored: "metrics are always kept",
		},
		{
			Key: "memory.management.schemas.class", Type: settings.Class, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", Importance: settings.Low, Group: group, DisplayName: "Schema storage class", Width: "LONG",
			Doc: "The Java class that keeps schemas.", Ignored: noJVM,
		},
		{
			Key: "memory.management.tables.class", Type: settings.Class, Default: "io.debezium.relational.ConcurrentMapTableMappingStorage", Importance: settings.Low, Group: group, DisplayName: "Table storage class", Width: "LONG",
			Doc: "The Java class that keeps table definitions.", Ignored: noJVM,
		},
	}
}

func snapshotSettings() []settings.Def {
	const group = "Connector"
	return []settings.Def{
		{
			Key: "snapshot.delay.ms", Type: settings.Long, Default: "0", Importance: settings.Low, Group: group, DisplayName: "Snapshot Delay (milliseconds)", Width: "MEDIUM",
			Doc: "How long to wait before a snapshot begins, in milliseconds.", Unsupported: "snapshots begin at once; leave it at 0",
		},
		{
			Key: "streaming.delay.ms", Type: settings.Long, Default: "0", Importance: settings.Low, Group: group, DisplayName: "Streaming Delay (milliseconds)", Width: "MEDIUM",
			Doc: "How long to wait between snapshot and log, in milliseconds.", Unsupported: "the log is read as soon as the snapshot ends; leave it at 0",
		},
		{
			Key: "snapshot.include.collection.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode include data collection", Width: "LONG",
			Doc: "Regular expressions of the captured tables whose rows a snapshot copies; all of them if not set.", Check: validRegexList,
		},
		{
			Key: "snapshot.fetch.size", Type: settings.Int, Importance: settings.Medium, Group: group, DisplayName: "Snapshot fetch size", Width: "MEDIUM",
			Doc: "How many rows a snapshot fetches at once.", Ignored: "rows are read as a stream",
		},
		{
			Key: "snapshot.max.threads", Type: settings.Int, Default: "1", Importance: settings.Medium, Group: group, DisplayName: "Snapshot maximum threads", Width: "SHORT",
			Doc: "How many connections copy tables, or parts of one, at the same time.", Check: NotNegative,
		},
		{
			Key: "snapshot.max.threads.multiplier", Type: settings.Int, Default: "1", Importance: settings.Medium, Group: group, DisplayName: "Snapshot maximum thread multiplier", Width: "SHORT",
			Doc: "How many parts a table is cut into for each thread.", Ignored: "a table is cut by its size",
		},
		{
			Key: "legacy.snapshot.max.threads", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Enforces using a single thread per table regardless of table size", Width: "SHORT",
			Doc: "Whether each table is copied by one connection only.", Ignored: "a table is cut by its size",
		},
		{
			Key: "internal.legacy.snapshot.max.threads", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Enforces using a single thread per table regardless of table size", Width: "SHORT",
			Doc: "The former name of legacy.snapshot.max.threads.", Ignored: "a table is cut by its size",
		},
		{
			Key: "snapshot.mode.custom.name", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Snapshot Mode Custom Name", Width: "MEDIUM",
			Doc: "Names the Java class for snapshot.mode=custom.", Unsupported: noJavaClass,
		},
		{
			Key: "snapshot.mode.configuration.based.snapshot.data", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode property based snapshot data", Width: "MEDIUM",
			Doc: "With snapshot.mode=configuration_based: whether to copy the tables, which then happens at each start.",
		},
		{
			Key: "snapshot.mode.configuration.based.snapshot.schema", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode property based snapshot schema", Width: "MEDIUM",
			Doc: "With snapshot.mode=configuration_based: whether to read table definitions.", Ignored: "definitions are always read where they are needed",
		},
		{
			Key: "snapshot.mode.configuration.based.start.stream", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode property based start stream", Width: "MEDIUM",
			Doc: "With snapshot.mode=configuration_based: whether to read the log.",
		},
		{
			Key: "snapshot.mode.configuration.based.snapshot.on.schema.error", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode property based snapshot on schema error", Width: "MEDIUM",
			Doc: "With snapshot.mode=configuration_based: whether a schema history that is lost is made anew, as with recovery. Postgres has none.",
		},
		{
			Key: "snapshot.mode.configuration.based.snapshot.on.data.error", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Snapshot mode property based snapshot on data error", Width: "MEDIUM",
			Doc: "With snapshot.mode=configuration_based: whether to copy the tables when the position in the log is lost.",
		},
		{
			Key: "snapshot.lock.timeout.ms", Type: settings.Long, Default: "10000", Importance: settings.Medium, Group: group, DisplayName: "Snapshot lock timeout (ms)", Width: "LONG",
			Doc: "The longest that a snapshot waits for a lock, in milliseconds.", Check: NotNegative,
		},
		{
			Key: "snapshot.query.mode", Type: settings.String, Default: "select_all", Importance: settings.Low, Group: group, DisplayName: "Snapshot query mode", Width: "SHORT",
			Doc: "How a snapshot's query is made: select_all reads all captured columns.", OneOf: []string{"select_all", "custom"},
			Check: Only("a Java class cannot be loaded here", "select_all"),
		},
		{
			Key: "snapshot.query.mode.custom.name", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Snapshot Query Mode Custom Name", Width: "MEDIUM",
			Doc: "Names the Java class for snapshot.query.mode=custom.", Unsupported: noJavaClass,
		},
		{
			Key: "snapshot.locking.mode.custom.name", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Snapshot Locking Mode Custom Name", Width: "MEDIUM",
			Doc: "Names the Java class for snapshot.locking.mode=custom.", Unsupported: noJavaClass,
		},
		{
			Key: "incremental.snapshot.chunk.size", Type: settings.Int, Default: "1024", Importance: settings.Medium, Group: group, DisplayName: "Incremental snapshot chunk size", Width: "MEDIUM",
			Doc: "How many rows an incremental snapshot reads at once.", Ignored: noIncremental,
		},
	}
}

func valueSettings() []settings.Def {
	const group = "Connector"
	return []settings.Def{
		{
			Key: "decimal.handling.mode", Type: settings.String, Default: "precise", Importance: settings.Medium, Group: group, DisplayName: "Decimal Handling", Width: "SHORT",
			Doc:   "How exact decimal numbers appear: precise keeps them as such, string as text, double as floating point numbers that may lose digits.",
			OneOf: []string{"precise", "double", "string"},
		},
		{
			Key: "schema.name.adjustment.mode", Type: settings.String, Default: "none", Importance: settings.Low, Group: group, DisplayName: "Schema Name Adjustment", Width: "MEDIUM",
			Doc:   "How schema names are altered to suit a converter: none leaves them, avro and avro_unicode replace what Avro does not allow.",
			OneOf: []string{"none", "avro", "avro_unicode"},
		},
	}
}

func eventSettings() []settings.Def {
	const group = "Events"
	return []settings.Def{
		{
			Key: "converters", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "List of prefixes defining custom values converters.", Width: "MEDIUM",
			Doc: "Names of Java classes that convert single columns.", Unsupported: noJavaClass,
		},
		{
			Key: "post.processors", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "List of change event post processors.", Width: "MEDIUM",
			Doc: "Names of Java classes that alter events.", Unsupported: noJavaClass,
		},
		{
			Key: "tombstones.on.delete", Type: settings.Boolean, Default: "true", Importance: settings.Medium, Group: group, DisplayName: "Change the behaviour of Debezium with regards to delete operations", Width: "SHORT",
			Doc: "Whether a delete is followed by a record with the same key and no value, by which Kafka's compaction forgets the key.",
		},
		{
			Key: "heartbeat.interval.ms", Type: settings.Int, Default: "0", Importance: settings.Medium, Group: group, DisplayName: "Connector heartbeat interval (milli-seconds)", Width: "MEDIUM",
			Doc: "How often to publish a heartbeat record, in milliseconds; 0 for never.", Check: NotNegative,
		},
		{
			Key: "heartbeat.topics.prefix", Type: settings.String, Default: "__debezium-heartbeat", Importance: settings.Low, Group: group, DisplayName: "A prefix used for naming of heartbeat topics", Width: "MEDIUM",
			Doc:     "The first part of the heartbeat topic's name; the topic prefix follows it.",
			Aliases: []string{"topic.heartbeat.prefix"},
		},
		{
			Key: "signal.data.collection", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Signaling data collection", Width: "MEDIUM",
			Doc: "The table through which signals are sent.", Unsupported: "signals are not supported yet; leave it out",
		},
		{
			Key: "signal.poll.interval.ms", Type: settings.Long, Default: "5000", Importance: settings.Medium, Group: group, DisplayName: "Signal processor poll interval", Width: "SHORT",
			Doc: "How often to look for signals, in milliseconds.", Ignored: noIncremental,
		},
		{
			Key: "signal.enabled.channels", Type: settings.List, Default: "source", Importance: settings.Medium, Group: group, DisplayName: "Enabled channels names", Width: "LONG",
			Doc: "The ways by which signals are taken.", Unsupported: "signals are not supported yet; leave it out",
		},
		{
			Key: "topic.naming.strategy", Type: settings.Class, Default: "io.debezium.schema.SchemaTopicNamingStrategy", Importance: settings.Medium, Group: group, DisplayName: "Topic naming strategy class", Width: "MEDIUM",
			Doc: "The Java class that names topics; Debezium's own by schema is what is done.", Unsupported: "topics are named by topic prefix, schema or database, and table; leave it out",
		},
		{
			Key: "notification.enabled.channels", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Enabled notification channels names", Width: "LONG",
			Doc: "The ways by which notifications are given.", Unsupported: "notifications are not supported yet; leave it out",
		},
		{
			Key: "notification.sink.topic.name", Type: settings.String, Importance: settings.High, Group: group, DisplayName: "Notification topic name", Width: "LONG",
			Doc: "The topic for notifications.", Unsupported: "notifications are not supported yet; leave it out",
		},
		{
			Key: "transaction.metadata.factory", Type: settings.Class, Default: "io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory", Importance: settings.Low, Group: group, DisplayName: "Factory class to create transaction context & transaction struct maker classes", Width: "MEDIUM",
			Doc: "The Java class that makes transaction metadata.", Unsupported: noJavaClass,
		},
		{
			Key: "custom.metric.tags", Type: settings.List, Importance: settings.Low, Group: group, DisplayName: "Customize metric tags", Width: "MEDIUM",
			Doc: "Further tags for the metrics' names in Java.", Ignored: "metrics carry the connector's name as a label",
		},
		{
			Key: "column.include.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Include Columns", Width: "LONG",
			Doc: "Regular expressions of the columns that events contain, each for the whole name: schema or database, table, column.", Check: validRegexList,
		},
		{
			Key: "column.exclude.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Exclude Columns", Width: "LONG",
			Doc: "Regular expressions of the columns that events leave out; not together with column.include.list.", Check: validRegexList,
		},
		{
			Key: "table.include.list", Type: settings.List, Importance: settings.High, Group: group, DisplayName: "Include Tables", Width: "LONG",
			Doc: "Regular expressions of the tables to capture, each for the whole name: schema or database, table.", Check: validRegexList,
		},
		{
			Key: "table.exclude.list", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Exclude Tables", Width: "LONG",
			Doc: "Regular expressions of the tables not to capture; not together with table.include.list.", Check: validRegexList,
		},
		{
			Key: "table.ignore.builtin", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: group, DisplayName: "Ignore system databases", Width: "SHORT",
			Doc: "Whether the database's own system tables are left out.",
		},
		{
			Key: "message.key.columns", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Columns PK mapping", Width: "LONG",
			Doc:   "Columns that make the key of a table's records in place of its primary key: table:column,column;table:column, where tables are regular expressions.",
			Check: func(value string) error { _, err := ParseKeyColumns(value); return err },
		},
		{
			Key: "snapshot.select.statement.overrides", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "List of tables where the default select statement used during snapshotting should be overridden.", Width: "LONG",
			Doc: "Tables whose rows a snapshot reads with a SELECT of the user's own, which snapshot.select.statement.overrides.<table> has. It has to have all columns that are captured.",
		},
		{
			Key: "column.mask.hash.([^.]+).with.salt.(.+)", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Mask Columns Using Hash and Salt", Width: "LONG",
			Doc: "Columns whose text is replaced by a hash; the key names algorithm and salt.",
		},
		{
			Key: "column.mask.with.(d+).chars", Type: settings.String, Importance: settings.Medium, Group: group, DisplayName: "Mask Columns With n Asterisks", Width: "NONE",
			Doc: "Columns whose text is replaced by asterisks; the key says how many.",
		},
		{
			Key: "column.truncate.to.(d+).chars", Type: settings.Int, Importance: settings.Medium, Group: group, DisplayName: "Truncate Columns To n Characters", Width: "NONE",
			Doc: "Columns whose text is cut; the key says to how many characters.",
		},
		{
			Key: "include.schema.comments", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: group, DisplayName: "Include Table and Column Comments", Width: "SHORT",
			Doc: "Whether schemas carry the comments of tables and columns.", Ignored: "this database's comments are not in events, as with Debezium",
		},
		{
			Key: "column.propagate.source.type", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Propagate Source Types by Columns", Width: "NONE",
			Doc: "Regular expressions of the columns whose schemas carry type, length and scale of the source.", Check: validRegexList,
		},
		{
			Key: "datatype.propagate.source.type", Type: settings.List, Importance: settings.Medium, Group: group, DisplayName: "Propagate Source Types by Data Type", Width: "NONE",
			Doc: "Regular expressions of the types of columns whose schemas carry type, length and scale of the source, each for the whole name: schema or database, table, type.", Check: validRegexList,
		},
		{
			Key: "internal.snapshot.scan.all.columns.force", Type: settings.Boolean, Default: "false", Importance: settings.Low, Group: group, DisplayName: "Snapshot force scan all columns of all tables", Width: "SHORT",
			Doc: "Whether table definitions are read without regard to the include lists.", Ignored: "definitions are read table by table",
		},
		{
			Key: "snapshot.tables.order.by.row.count", Type: settings.String, Default: "disabled", Importance: settings.Medium, Group: group, DisplayName: "Initial snapshot tables order by row count", Width: "NONE",
			Doc: "Whether a snapshot begins with the smallest (ascending) or the largest tables (descending).", OneOf: []string{"disabled", "ascending", "descending"},
		},
		{
			Key: "heartbeat.action.query", Type: settings.String, Importance: settings.Low, Group: group, DisplayName: "An optional query to execute with every heartbeat", Width: "MEDIUM",
			Doc: "A statement to run at the source every heartbeat.interval.ms, such as an UPDATE of a table for it.",
		},
	}
}
