package sinks_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

func TestValidate_SaysWhatKafkaConnectSays(t *testing.T) {
	t.Parallel()
	set := settings.NewSet(sinks.Definitions())
	for _, c := range []struct {
		raw  map[string]string
		want []string
	}{
		{map[string]string{"topics": "a,b"}, nil},
		{map[string]string{"topics.regex": "a.*", "errors.deadletterqueue.topic.name": "b", "errors.tolerance": "all"}, nil},
		{map[string]string{"topics": "a", "errors.deadletterqueue.topic.name": "b"}, []string{
			"errors.deadletterqueue.topic.name: errors.deadletterqueue.topic.name has no effect: under errors.tolerance=none",
		}},
		{map[string]string{}, []string{
			"topics: Must configure one of topics or topics.regex",
			"topics.regex: Must configure one of topics or topics.regex",
		}},
		{map[string]string{"topics": "a", "topics.regex": "a.*"}, []string{
			"topics: topics and topics.regex are mutually exclusive options, but both are set.",
			"topics.regex: topics and topics.regex are mutually exclusive options, but both are set.",
		}},
		{map[string]string{"topics": "cr-a", "errors.deadletterqueue.topic.name": "cr-a", "errors.tolerance": "all"}, []string{
			"topics: The DLQ topic 'cr-a' may not be included in the list of topics ('topics=[cr-a]') consumed by the connector",
		}},
		{map[string]string{"topics.regex": "c.*", "errors.deadletterqueue.topic.name": "cr-a", "errors.tolerance": "all"}, []string{
			"topics.regex: The DLQ topic 'cr-a' may not be included in the regex matching topics ('topics.regex=c.*') consumed by the connector",
		}},
		{map[string]string{"topics": "a b"}, []string{"topics: Invalid value a b for configuration topics: a b cannot be a topic: "}},
		{map[string]string{"topics": "a", "errors.deadletterqueue.topic.name": "b*"}, []string{"errors.deadletterqueue.topic.name: Invalid value b* for "}},
		{map[string]string{"topics.regex": "("}, []string{"topics.regex: Invalid value ( for configuration topics.regex: Invalid regex: "}},
		{map[string]string{"topics": "a", "errors.tolerance": "some"}, []string{"errors.tolerance: Invalid value some for configuration errors.tolerance: "}},
	} {
		v, problems := set.Parse(c.raw)
		if len(problems) == 0 {
			problems = sinks.Validate(v)
		}
		if len(problems) != len(c.want) {
			t.Errorf("%v: %v, want %q", c.raw, problems, c.want)
			continue
		}
		for i, p := range problems {
			if got := p.Key + ": " + p.Message; !strings.HasPrefix(got, c.want[i]) {
				t.Errorf("%v: %q, want %q", c.raw, got, c.want[i])
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	v, problems := settings.NewSet(sinks.Definitions()).Parse(map[string]string{
		"topics": "a", "errors.tolerance": "ALL", "errors.retry.timeout": "-1", "errors.retry.delay.max.ms": "5", "errors.log.enable": "true",
		"errors.deadletterqueue.topic.name": " d ", "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true",
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := sinks.Errors{TolerateAll: true, RetryTimeout: -time.Millisecond, RetryDelayMax: 5 * time.Millisecond, Log: true, DLQ: "d", DLQReplication: 1, DLQHeaders: true}
	if got := sinks.ParseErrors(v); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestErrors_AreClassifiedThroughTheChain(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{cause, false},
		{sinks.Refused(cause), false},
		{&sinks.WriteError{Failed: []sinks.RecordError{{Err: cause}}}, false},
		{sinks.Permanent(cause), true},
		{errors.Join(errors.New("doing"), sinks.Permanent(cause)), true},
		{&sinks.RecordFailure{Err: cause}, true},
	} {
		if got := sinks.IsPermanent(c.err); got != c.want || !errors.Is(c.err, cause) {
			t.Errorf("%T: permanent %t, want %t", c.err, got, c.want)
		}
	}
	if sinks.Permanent(nil) != nil || sinks.Refused(nil) != nil {
		t.Error("nil became an error")
	}
}

// TestTask_LogsFailuresWithoutContent looks at what errors.log.* write.
func TestTask_LogsFailuresWithoutContent(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1)
	p.Produce(0, sinkstest.Record("secret-key", "poison secret-value"))
	for _, messages := range []bool{false, true} {
		m, stats := newMemory(), &sinks.Stats{}
		m.onWrite = refuse(m, "poison")
		var log bytes.Buffer
		task := p.Task(m, stats)
		task.Connector += map[bool]string{false: ".quiet", true: ".loud"}[messages]
		task.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		task.Errors = sinks.Errors{TolerateAll: true, Log: true, LogMessages: messages}
		r := sinkstest.Start(t, task)
		sinkstest.Eventually(t, "the record", func() bool { return stats.Skipped.Load() == 1 })
		r.Stops()
		text := log.String()
		if strings.Contains(text, "secret") {
			t.Errorf("the log shows the record: %s", text)
		}
		if !strings.Contains(text, `"stage":"TASK_PUT"`) || strings.Contains(text, `"offset":0`) != messages || stats.Logged.Load() != 1 {
			t.Errorf("messages %t: log %s", messages, text)
		}
	}
}
