package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Groups of the worker's settings.
const (
	groupKafka    = "Kafka"
	groupTopics   = "Internal topics"
	groupRecords  = "Records"
	groupRest     = "REST"
	groupTasks    = "Tasks"
	groupPenstock = "Penstock"
	groupIgnored  = "Accepted without effect"
)

const (
	noJavaPlugins = "connectors, converters and transforms are built in"
	oneWorker     = "there is one worker in a group for now"
	noJMX         = "metrics are at /metrics"
	behindProxy   = "Penstock does not have this yet: put a proxy in front of the listener"
)

// Settings returns the definitions of the worker's settings. Settings of
// Kafka clients (package kafka), plain or with the prefixes producer.,
// consumer. and admin., and those of converters with the prefixes
// key.converter. and so on come beside them.
func Settings() *settings.Set { return workerSettings }

// workerSettings never changes.
var workerSettings = settings.NewSet(
	[]settings.Def{
		{
			Key: "bootstrap.servers", Type: settings.List, Group: groupKafka, Importance: settings.High,
			Doc: "Kafka brokers to begin with, as host:port separated by commas. Not set: the embedded broker is started, which is for one machine.",
		},
		{
			Key: "group.id", Type: settings.String, Default: "connect-cluster", Group: groupKafka, Importance: settings.High,
			Doc: "Name of the group of workers that share the connectors and the internal topics.",
		},
		{
			Key: "exactly.once.source.support", Type: settings.String, Default: "disabled", OneOf: []string{"disabled", "preparing", "enabled"}, Group: groupKafka, Importance: settings.High,
			Unsupported: "exactly-once is not there yet; use disabled",
			Doc:         "Whether sources write their records and the offset that covers them in one Kafka transaction.",
		},
		{
			Key: "connector.client.config.override.policy", Type: settings.String, Default: "All", Check: oneOf("All", "None", "Principal"), Group: groupKafka, Importance: settings.Medium,
			Doc: "Which client settings a connector may override with producer.override., consumer.override. and admin.override.: All, None, or Principal for the login alone.",
		},
	},
	[]settings.Def{
		{
			Key: "config.storage.topic", Type: settings.String, Default: "connect-configs", Group: groupTopics, Importance: settings.High,
			Doc: "Topic that holds the connectors' configurations and target states: one partition, compacted.",
		},
		{
			Key: "config.storage.replication.factor", Type: settings.Short, Default: "3", Group: groupTopics, Importance: settings.Low,
			Doc: "Copies of the config topic when it is created; -1 is the broker's default. Not set: 3, or as many as there are brokers.",
		},
		{
			Key: "offset.storage.topic", Type: settings.String, Default: "connect-offsets", Group: groupTopics, Importance: settings.High,
			Doc: "Topic that holds how far each source has got: compacted.",
		},
		{
			Key: "offset.storage.partitions", Type: settings.Int, Default: "25", Group: groupTopics, Importance: settings.Low,
			Doc: "Partitions of the offset topic when it is created; -1 is the broker's default.",
		},
		{
			Key: "offset.storage.replication.factor", Type: settings.Short, Default: "3", Group: groupTopics, Importance: settings.Low,
			Doc: "Copies of the offset topic when it is created; -1 is the broker's default. Not set: 3, or as many as there are brokers.",
		},
		{
			Key: "status.storage.topic", Type: settings.String, Default: "connect-status", Group: groupTopics, Importance: settings.High,
			Doc: "Topic that holds the states of connectors and tasks and the topics they use: compacted.",
		},
		{
			Key: "status.storage.partitions", Type: settings.Int, Default: "5", Group: groupTopics, Importance: settings.Low,
			Doc: "Partitions of the status topic when it is created; -1 is the broker's default.",
		},
		{
			Key: "status.storage.replication.factor", Type: settings.Short, Default: "3", Group: groupTopics, Importance: settings.Low,
			Doc: "Copies of the status topic when it is created; -1 is the broker's default. Not set: 3, or as many as there are brokers.",
		},
	},
	[]settings.Def{
		{
			Key: "key.converter", Type: settings.Class, Default: "org.apache.kafka.connect.json.JsonConverter", Group: groupRecords, Importance: settings.High,
			Doc: "Converter of record keys for connectors that name none; its own settings follow with the prefix key.converter.",
		},
		{
			Key: "value.converter", Type: settings.Class, Default: "org.apache.kafka.connect.json.JsonConverter", Group: groupRecords, Importance: settings.High,
			Doc: "Converter of record values for connectors that name none; its own settings follow with the prefix value.converter.",
		},
		{
			Key: "header.converter", Type: settings.Class, Default: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Group: groupRecords, Importance: settings.Low,
			Doc: "Converter of record headers for connectors that name none; its own settings follow with the prefix header.converter.",
		},
		{
			Key: "topic.creation.enable", Type: settings.Boolean, Default: "true", Group: groupRecords, Importance: settings.Low,
			Doc: "Whether sources may create topics as topic.creation.* of the connector says.",
		},
		{
			Key: "topic.tracking.enable", Type: settings.Boolean, Default: "true", Group: groupRecords, Importance: settings.Low,
			Doc: "Whether the topics that a connector uses are remembered and shown at /connectors/{name}/topics.",
		},
		{
			Key: "topic.tracking.allow.reset", Type: settings.Boolean, Default: "true", Group: groupRecords, Importance: settings.Low,
			Doc: "Whether the remembered topics of a connector may be forgotten by a request.",
		},
	},
	[]settings.Def{
		{
			Key: "offset.flush.interval.ms", Type: settings.Long, Default: "60000", Group: groupTasks, Importance: settings.Low,
			Doc: "Milliseconds between two commits of a sink's offsets. Sources save theirs as soon as the records before them are acknowledged.",
		},
		{
			Key: "offset.flush.timeout.ms", Type: settings.Long, Default: "5000", Group: groupTasks, Importance: settings.Low,
			Ignored: "a stopping task has task.shutdown.graceful.timeout.ms for everything",
		},
		{
			Key: "task.shutdown.graceful.timeout.ms", Type: settings.Long, Default: "5000", Group: groupTasks, Importance: settings.Low,
			Doc: "Milliseconds that tasks have to finish what is in flight and to commit when they are stopped.",
		},
		{
			Key: "config.providers", Type: settings.List, Group: groupTasks, Importance: settings.Low,
			Doc: "Names of further providers of referenced values, each with config.providers.<name>.class. env, file and dir are always there.",
		},
	},
	[]settings.Def{
		{
			Key: "listeners", Type: settings.List, Default: "http://127.0.0.1:8083", Check: checkListeners, Group: groupRest, Importance: settings.Low,
			Doc: "Addresses of the REST API, metrics and health, as http://host:port separated by commas. There is no authentication: beyond the loopback interface put a proxy in front.",
		},
		{
			Key: "rest.port", Type: settings.Int, Group: groupRest, Importance: settings.Low,
			Doc: "Port of the REST API, for configurations that do not use listeners.",
		},
		{
			Key: "rest.host.name", Type: settings.String, Group: groupRest, Importance: settings.Low,
			Doc: "Interface of the REST API, for configurations that do not use listeners.",
		},
		{
			Key: "rest.advertised.host.name", Type: settings.String, Group: groupRest, Importance: settings.Low,
			Doc: "Host under which the worker is known, in worker_id and Location. Not set: the listener's.",
		},
		{
			Key: "rest.advertised.port", Type: settings.Int, Group: groupRest, Importance: settings.Low,
			Doc: "Port under which the worker is known. Not set: the listener's.",
		},
	},
	[]settings.Def{
		{
			Key: "penstock.data.dir", Aliases: []string{"data.dir"}, Type: settings.String, Default: "./penstock-data", Group: groupPenstock, Importance: settings.High,
			Doc: "Folder for the data of the embedded broker.",
		},
		{
			Key: "penstock.broker.listen", Aliases: []string{"broker.listen"}, Type: settings.String, Default: "127.0.0.1:9092", Group: groupPenstock, Importance: settings.High,
			Doc: "Address on which the embedded broker speaks to Kafka clients.",
		},
		{
			Key: "penstock.broker.advertised.host", Aliases: []string{"broker.advertised.host"}, Type: settings.String, Group: groupPenstock, Importance: settings.Medium,
			Doc: "Host that the embedded broker tells its clients to connect to. Not set: the listener's.",
		},
		{
			Key: "penstock.broker.retention.ms", Aliases: []string{"broker.retention.ms"}, Type: settings.Long, Default: "604800000", Group: groupPenstock, Importance: settings.Medium,
			Doc: "Milliseconds for which the embedded broker keeps the records of topics without a retention.ms of their own; -1 is for ever.",
		},
		{
			Key: "penstock.broker.retention.bytes", Aliases: []string{"broker.retention.bytes"}, Type: settings.Long, Default: "-1", Group: groupPenstock, Importance: settings.Medium,
			Doc: "Bytes that the embedded broker keeps of each partition of such topics; -1 is all.",
		},
		{
			Key: "penstock.connectors.dir", Aliases: []string{"connectors.dir"}, Type: settings.String, Group: groupPenstock, Importance: settings.High,
			Doc: "Folder of *.json files, each with one connector to run: a flat object with name, or {\"name\":…,\"config\":{…}}.",
		},
		{
			Key: "penstock.memory.limit", Aliases: []string{"memory.limit"}, Type: settings.String, Check: checkSize, Group: groupPenstock, Importance: settings.Medium,
			Doc: "Memory that the daemon tries to stay under, as a number of bytes with an optional KiB, MiB or GiB. Not set: GOMEMLIMIT, or four fifths of what a container may use, or no limit.",
		},
		{
			Key: "penstock.log.level", Aliases: []string{"log.level", "log4j.root.loglevel"}, Type: settings.String, Default: "INFO", Group: groupPenstock, Importance: settings.Medium,
			Check: oneOf("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF", "ALL"),
			Doc:   "Least level of what is logged: TRACE, DEBUG, INFO, WARN, ERROR or OFF.",
		},
		{
			Key: "penstock.log.format", Aliases: []string{"log.format"}, Type: settings.String, Default: "auto", OneOf: []string{"auto", "text", "json"}, Group: groupPenstock, Importance: settings.Low,
			Doc: "Form of the log: text for people, json for machines, auto for text on a terminal and json elsewhere.",
		},
	},
	ignored(),
)

func ignored() []settings.Def {
	var defs []settings.Def
	add := func(why string, keys ...string) {
		for _, k := range keys {
			defs = append(defs, settings.Def{Key: k, Type: settings.String, Group: groupIgnored, Importance: settings.Low, Ignored: why})
		}
	}
	add(noJavaPlugins, "plugin.path", "plugin.discovery", "rest.extension.classes")
	add("schema.name and converters carry everything themselves", "internal.key.converter", "internal.value.converter",
		"internal.key.converter.schemas.enable", "internal.value.converter.schemas.enable")
	add("the log's level is penstock.log.level and /admin/loggers", "log4j.loggers", "log4j.tools.root.loglevel", "log4j.appender.stdout.layout.conversionpattern")
	add(noJMX, "metric.reporters", "metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms", "auto.include.jmx.reporter")
	add(oneWorker, "session.timeout.ms", "heartbeat.interval.ms", "rebalance.timeout.ms", "connect.protocol",
		"worker.sync.timeout.ms", "worker.unsync.backoff.ms", "scheduled.rebalance.max.delay.ms", "inter.worker.key.generation.algorithm",
		"inter.worker.key.size", "inter.worker.key.ttl.ms", "inter.worker.signature.algorithm", "inter.worker.verification.algorithms")
	unsupported := func(why string, keys ...string) {
		for _, k := range keys {
			defs = append(defs, settings.Def{
				Key: k, Type: settings.String, Group: groupRest, Importance: settings.Low, Unsupported: why,
				Doc: "Not available yet.",
			})
		}
	}
	unsupported(behindProxy, "admin.listeners", "access.control.allow.origin", "access.control.allow.methods", "response.http.headers.config", "rest.advertised.listener")
	return defs
}

// Prefixes of keys that are not the worker's own.
func knownPrefixes() []string {
	return []string{
		"producer.", "consumer.", "admin.", "config.providers.",
		"config.storage.", "offset.storage.", "status.storage.", // further settings of the topics
		"key.converter.", "value.converter.", "header.converter.",
		"topic.creation.", "listeners.https.",
	}
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		for _, o := range values {
			// The policies may also be given by their Java classes.
			if strings.EqualFold(v, o) || strings.HasSuffix(v, "."+o+"ConnectorClientConfigOverridePolicy") {
				return nil
			}
		}
		return fmt.Errorf("Value must be one of %s", strings.Join(values, ", ")) //nolint:staticcheck // continues Kafka's sentence
	}
}

func checkListeners(v string) error {
	for _, l := range settings.SplitList(v) {
		if _, err := ParseListener(l); err != nil {
			return err
		}
	}
	return nil
}

// ParseListener returns the host:port of an element of listeners. An empty
// host is every interface.
func ParseListener(l string) (string, error) {
	u, err := url.Parse(l)
	if err != nil || u.Host == "" || u.Port() == "" {
		return "", fmt.Errorf("%s is not an address of the form http://host:port", l)
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "", fmt.Errorf("%s: Penstock does not speak TLS on its listeners yet; use http and put a proxy in front", l)
	}
	if !strings.EqualFold(u.Scheme, "http") {
		return "", fmt.Errorf("%s is not an address of the form http://host:port", l)
	}
	return u.Host, nil
}
