package sinks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/settings"
)

const (
	groupCommon = "Common"
	groupErrors = "Error Handling"
)

// Definitions returns the settings that every sink has beside its own: where
// to read, and what to do with records that fail.
func Definitions() []settings.Def {
	return []settings.Def{
		{
			Key: "topics", Type: settings.List, Importance: settings.High, Group: groupCommon, Width: "LONG", DisplayName: "Topics", Check: checkTopics,
			Doc: "Topics to read, separated by commas. Either this or topics.regex.",
		},
		{
			Key: "topics.regex", Type: settings.String, Importance: settings.High, Group: groupCommon, Width: "LONG", DisplayName: "Topics regex", Check: checkRegex,
			Doc: "Regular expression that the whole name of a topic has to match for the topic to be read; topics made later are found too. Either this or topics.",
		},
		{
			Key: "errors.retry.timeout", Type: settings.Long, Default: "0", Importance: settings.Medium, Group: groupErrors, Width: "MEDIUM", DisplayName: "Retry Timeout for Errors",
			Doc: "For how many milliseconds one record that fails for a passing reason is tried again; -1 means without end, 0 not at all. A destination that is down is waited for without end.",
		},
		{
			Key: "errors.retry.delay.max.ms", Type: settings.Long, Default: "60000", Importance: settings.Medium, Group: groupErrors, Width: "MEDIUM", DisplayName: "Maximum Delay Between Retries for Errors",
			Doc: "Most milliseconds between two tries of a record.",
		},
		{
			Key: "errors.tolerance", Type: settings.String, Default: "none", OneOf: []string{"none", "all"}, Importance: settings.Medium, Group: groupErrors, Width: "SHORT", DisplayName: "Error Tolerance",
			Doc: "What a record that fails for good does: none ends the task at once, all puts the record into the dead letter queue, if there is one, and goes on.",
		},
		{
			Key: "errors.log.enable", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupErrors, Width: "SHORT", DisplayName: "Log Errors",
			Doc: "Whether each tolerated failure is logged.",
		},
		{
			Key: "errors.log.include.messages", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupErrors, Width: "SHORT", DisplayName: "Log Error Details",
			Doc: "Whether those log entries name the record's topic, partition, offset and timestamp. Keys and values are never logged.",
		},
		{
			Key: "errors.deadletterqueue.topic.name", Type: settings.String, Importance: settings.Medium, Group: groupErrors, Width: "MEDIUM", DisplayName: "Dead Letter Queue Topic Name", Check: checkTopic,
			Doc: "Topic for records that fail for good under errors.tolerance=all. It is made if missing. Empty means none.",
		},
		{
			Key: "errors.deadletterqueue.topic.replication.factor", Type: settings.Short, Default: "3", Importance: settings.Medium, Group: groupErrors, Width: "MEDIUM", DisplayName: "Dead Letter Queue Topic Replication Factor",
			Doc: "Replication factor of that topic when it is made; -1 leaves it to the broker. With the embedded broker, which is alone, the default is 1.",
		},
		{
			Key: "errors.deadletterqueue.context.headers.enable", Type: settings.Boolean, Default: "false", Importance: settings.Medium, Group: groupErrors, Width: "MEDIUM", DisplayName: "Enable Error Context Headers",
			Doc: "Whether records in the dead letter queue get headers (__connect.errors.*) that say where and why they failed.",
		},
	}
}

// topicName is what Kafka takes for one.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func checkTopic(text string) error {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	if !topicName.MatchString(text) || text == "." || text == ".." {
		return fmt.Errorf("%s cannot be a topic: a name has at most 249 letters, digits, '.', '_' and '-'", text)
	}
	return nil
}

func checkTopics(text string) error {
	for _, topic := range settings.SplitList(text) {
		if err := checkTopic(topic); err != nil {
			return fmt.Errorf("%w; a pattern goes into topics.regex", err)
		}
	}
	return nil
}

func checkRegex(text string) error {
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Errorf("Invalid regex: %w", err) //nolint:staticcheck // Kafka's words
	}
	return nil
}

// Validate checks what one of the settings of Definitions alone cannot tell.
func Validate(v settings.Values) settings.Problems {
	var problems settings.Problems
	report := func(message string, keys ...string) {
		for _, key := range keys {
			problems = append(problems, settings.Problem{Key: key, Message: message})
		}
	}
	topics, regex := v.List("topics"), strings.TrimSpace(v.String("topics.regex"))
	// Kafka Connect reports these two at both settings.
	switch {
	case len(topics) == 0 && regex == "":
		report("Must configure one of topics or topics.regex", "topics", "topics.regex")
	case len(topics) > 0 && regex != "":
		report("topics and topics.regex are mutually exclusive options, but both are set.", "topics", "topics.regex")
	}
	dlq := strings.TrimSpace(v.String("errors.deadletterqueue.topic.name"))
	if dlq == "" {
		return problems
	}
	if v.String("errors.tolerance") != "all" {
		problems = append(problems, settings.Problem{
			Key: "errors.deadletterqueue.topic.name", Warning: true,
			Message: "errors.deadletterqueue.topic.name has no effect: under errors.tolerance=none the first record that fails ends the task; set errors.tolerance=all",
		})
	}
	if slices.Contains(topics, dlq) {
		report(fmt.Sprintf("The DLQ topic '%s' may not be included in the list of topics ('topics=[%s]') consumed by the connector", dlq, strings.Join(topics, ", ")), "topics")
	}
	if regex != "" {
		if re, err := wholeName(regex); err == nil && re.MatchString(dlq) {
			report(fmt.Sprintf("The DLQ topic '%s' may not be included in the regex matching topics ('topics.regex=%s') consumed by the connector", dlq, regex), "topics.regex")
		}
	}
	return problems
}

// wholeName compiles a pattern so that it has to match a whole name, as Java's
// matches does.
func wholeName(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile("^(?:" + pattern + ")$")
}

// Errors say what becomes of records that fail.
type Errors struct {
	// TolerateAll is errors.tolerance=all.
	TolerateAll bool
	// RetryTimeout bounds the retries of one record; negative means no bound.
	RetryTimeout time.Duration
	// RetryDelayMax is the most between two of them.
	RetryDelayMax time.Duration
	// Log and LogMessages are errors.log.enable and .include.messages.
	Log, LogMessages bool
	// DLQ is the dead letter queue's topic; empty for none.
	DLQ string
	// DLQReplication is the topic's replication factor if it has to be made.
	DLQReplication int16
	// DLQHeaders asks for the context headers.
	DLQHeaders bool
}

// ParseErrors reads the errors settings of Definitions.
func ParseErrors(v settings.Values) Errors {
	return Errors{
		TolerateAll:    v.String("errors.tolerance") == "all",
		RetryTimeout:   v.Millis("errors.retry.timeout"),
		RetryDelayMax:  v.Millis("errors.retry.delay.max.ms"),
		Log:            v.Bool("errors.log.enable"),
		LogMessages:    v.Bool("errors.log.include.messages"),
		DLQ:            strings.TrimSpace(v.String("errors.deadletterqueue.topic.name")),
		DLQReplication: int16(v.Int("errors.deadletterqueue.topic.replication.factor")),
		DLQHeaders:     v.Bool("errors.deadletterqueue.context.headers.enable"),
	}
}

// ConsumerDefaults returns the consumer's settings that differ from Kafka's
// defaults; consumer.override.* goes over them.
//
// The fetch sizes bound memory: a client holds up to one fetch for each broker
// beside the batches that are being decoded and written. They count compressed
// bytes, and JSON with schemas unpacks to thirty times as many. max.poll.records is
// the size of a batch: destinations take some thousand records at once much
// better than Kafka's 500. A topic that its source makes after the sink was
// started is found within seconds, not within Kafka's five minutes; and the
// partitions of a worker that was killed are taken over after ten seconds, not
// after Kafka's forty-five.
func ConsumerDefaults() map[string]string {
	return map[string]string{
		"auto.offset.reset":         "earliest",
		"fetch.max.bytes":           "1048576",
		"max.partition.fetch.bytes": "262144",
		"max.poll.records":          "2000",

		"metadata.max.age.ms":   "2000",
		"session.timeout.ms":    "10000",
		"heartbeat.interval.ms": "3000",
	}
}
