package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

// frameworkSettings are those that every connector of a kind has beside its
// own.
var (
	sourceFramework = settings.NewSet(commonSettings(), errorSettings(), sourceSettings())
	sinkFramework   = settings.NewSet(commonSettings(), errorSettings(), sinkSettings())
)

func frameworkOf(k Kind) *settings.Set {
	if k == Sink {
		return sinkFramework
	}
	return sourceFramework
}

const (
	groupCommon     = "Common"
	groupTransforms = "Transforms"
	groupPredicates = "Predicates"
	groupTopics     = "Topic Creation"
	groupExactly    = "Exactly Once Support"
	groupOffsets    = "offsets.topic"

	oneVersion = "each plugin has one version"
)

func commonSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "name", Type: settings.String, Required: true, Importance: settings.High, Group: groupCommon, Width: "MEDIUM", DisplayName: "Connector name", Check: checkName,
			Doc: "Name of the connector, unique in the group of workers.",
		},
		{
			Key: "connector.class", Type: settings.String, Required: true, Importance: settings.High, Group: groupCommon, Width: "LONG", DisplayName: "Connector class",
			Doc: "Which connector this is: its short name (postgres), its Java class, or that class's simple name with or without \"Connector\".",
		},
		{
			Key: "connector.plugin.version", Type: settings.String, Importance: settings.Medium, Group: groupCommon, Width: "MEDIUM", DisplayName: "Connector version", Ignored: oneVersion,
			Doc: "Version of the connector. There is one of each.",
		},
		{
			Key: "tasks.max", Type: settings.Int, Default: "1", Importance: settings.High, Group: groupCommon, Width: "SHORT", DisplayName: "Tasks max", Check: atLeastOne,
			Doc: "Most tasks that work for this connector. Sources have one; a sink's tasks share the partitions of its topics.",
		},
		{
			Key: "tasks.max.enforce", Type: settings.Boolean, Default: "true", Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Enforce tasks max", Ignored: "no connector makes more tasks than tasks.max",
			Doc: "Has no effect: no connector makes more tasks than tasks.max.",
		},
		{
			Key: "key.converter", Type: settings.Class, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Key converter class",
			Doc: "Converter of record keys; its own settings follow with the prefix key.converter. Not set: the worker's.",
		},
		{
			Key: "key.converter.plugin.version", Type: settings.String, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Key converter version", Ignored: oneVersion,
			Doc: "Version of the key converter. There is one of each.",
		},
		{
			Key: "value.converter", Type: settings.Class, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Value converter class",
			Doc: "Converter of record values; its own settings follow with the prefix value.converter. Not set: the worker's.",
		},
		{
			Key: "value.converter.plugin.version", Type: settings.String, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Value converter version", Ignored: oneVersion,
			Doc: "Version of the value converter. There is one of each.",
		},
		{
			Key: "header.converter", Type: settings.Class, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Header converter class",
			Doc: "Converter of record headers; its own settings follow with the prefix header.converter. Not set: the worker's.",
		},
		{
			Key: "header.converter.plugin.version", Type: settings.String, Importance: settings.Low, Group: groupCommon, Width: "SHORT", DisplayName: "Header converter version", Ignored: oneVersion,
			Doc: "Version of the header converter. There is one of each.",
		},
		{
			Key: "transforms", Type: settings.List, Importance: settings.Low, Group: groupTransforms, Width: "LONG", DisplayName: "Transforms", Check: noDuplicates,
			Doc: "Names of the transforms that records go through, in order, each with transforms.<name>.type. Not available yet.",
		},
		{
			Key: "predicates", Type: settings.List, Importance: settings.Low, Group: groupPredicates, Width: "LONG", DisplayName: "Predicates", Check: noDuplicates,
			Doc: "Names of the predicates that transforms refer to, each with predicates.<name>.type. Not available yet.",
		},
		{
			Key: "config.action.reload", Type: settings.String, Default: "restart", OneOf: []string{"none", "restart"}, Importance: settings.Low, Group: groupCommon, Width: "MEDIUM", DisplayName: "Reload Action",
			Ignored: "none of the providers of referenced values announces changes",
			Doc:     "Has no effect: values behind references are read when the connector starts.",
		},
	}
}

// errorSettings are the part of the errors.* that sources have too, in
// Kafka's order. They are defined with the sinks.
func errorSettings() []settings.Def {
	return pick("errors.retry.timeout", "errors.retry.delay.max.ms", "errors.tolerance", "errors.log.enable", "errors.log.include.messages")
}

func sinkSettings() []settings.Def {
	return pick("topics", "topics.regex", "errors.deadletterqueue.topic.name",
		"errors.deadletterqueue.topic.replication.factor", "errors.deadletterqueue.context.headers.enable")
}

func pick(keys ...string) []settings.Def {
	all := sinks.Definitions()
	out := make([]settings.Def, 0, len(keys))
	for _, k := range keys {
		i := slices.IndexFunc(all, func(d settings.Def) bool { return d.Key == k })
		if i < 0 {
			panic("catalogue: package sinks does not define " + k)
		}
		out = append(out, all[i])
	}
	return out
}

func sourceSettings() []settings.Def {
	return []settings.Def{
		{
			Key: "topic.creation.groups", Type: settings.List, Importance: settings.Low, Group: groupTopics, Width: "LONG", DisplayName: "Topic Creation Groups", Check: noDuplicates,
			Doc: "Names of the groups of topics for which topic.creation.<group>.* says how they are created; topic.creation.default.* is for all others.",
		},
		{
			Key: "exactly.once.support", Type: settings.String, Default: "requested", OneOf: []string{"requested", "required"}, Importance: settings.Medium, Group: groupExactly, Width: "SHORT", DisplayName: "Exactly once support",
			Doc: "required refuses to start the connector unless the worker has exactly.once.source.support=enabled; requested takes what there is.",
		},
		{
			Key: "transaction.boundary", Type: settings.String, Default: "poll", OneOf: []string{"poll", "interval", "connector"}, Importance: settings.Medium, Group: groupExactly, Width: "SHORT", DisplayName: "Transaction Boundary",
			Doc: "How often a Kafka transaction ends under exactly-once: after each batch (poll) or after transaction.boundary.interval.ms (interval).",
		},
		{
			Key: "transaction.boundary.interval.ms", Type: settings.Long, Importance: settings.Low, Group: groupExactly, Width: "SHORT", DisplayName: "Transaction boundary interval",
			Doc: "Milliseconds after which a Kafka transaction ends with transaction.boundary=interval. Not set: the worker's offset.flush.interval.ms.",
		},
		{
			Key: "offsets.storage.topic", Type: settings.String, Importance: settings.Low, Group: groupOffsets, Width: "LONG", DisplayName: "Offsets topic",
			Doc:         "Topic for the offsets of this connector alone. Not available yet: offsets are in the worker's offset.storage.topic.",
			Unsupported: "a connector cannot have an offset topic of its own yet; leave the setting out",
		},
	}
}

// order is where Kafka places a setting in its group, where that is not its
// place in the list.
var order = map[string]int{
	"transforms": 12, "predicates": 13, "config.action.reload": 14,
	"topics": 4, "topics.regex": 4,
	"errors.deadletterqueue.topic.name": 6, "errors.deadletterqueue.topic.replication.factor": 7, "errors.deadletterqueue.context.headers.enable": 8,
	"exactly.once.support": 2, "transaction.boundary": 3, "transaction.boundary.interval.ms": 4,
}

// prefixes of a connector's keys that neither the framework's settings nor
// its own define.
func prefixes() []string {
	return []string{
		"key.converter.", "value.converter.", "header.converter.", "transforms.", "predicates.", "topic.creation.",
		"producer.override.", "consumer.override.", "admin.override.",
		"schema.history.internal.producer.", "schema.history.internal.consumer.", "driver.", "database.driver.",
		"snapshot.select.statement.overrides.",
		// Of what is refused by another setting, such as signal.enabled.channels.
		"signal.kafka.", "signal.consumer.",
	}
}

func checkName(name string) error {
	if name == "" {
		return errors.New("String may not be empty") //nolint:staticcheck // Kafka's words
	}
	var control []string
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			control = append(control, strconv.Itoa(int(r)))
		}
	}
	if control != nil {
		return fmt.Errorf("String may not contain control sequences but had the following ASCII chars: %s", strings.Join(control, ", ")) //nolint:staticcheck // Kafka's words
	}
	if strings.ContainsAny(name, `/%\`) {
		return errors.New(`no URL reaches a connector with /, % or \ in its name; use another name`)
	}
	return nil
}

func atLeastOne(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n < 1 {
		return errors.New("Value must be at least 1") //nolint:staticcheck // Kafka's words
	}
	return nil
}

func noDuplicates(text string) error {
	list := settings.SplitList(text)
	seen := map[string]bool{}
	for _, e := range list {
		if seen[e] {
			return errors.New("Duplicate alias provided.") //nolint:staticcheck // Kafka's words
		}
		seen[e] = true
	}
	return nil
}
