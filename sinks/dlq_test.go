package sinks_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// letter is a dead letter as a real Kafka Connect 4.1.1 wrote it.
type letter struct {
	Topic   string       `json:"topic"`
	Key     *string      `json:"key"`
	Value   *string      `json:"value"`
	Headers [][2]*string `json:"headers"`
}

func recordedLetters(t *testing.T) map[string][]letter {
	t.Helper()
	f, err := os.Open("testdata/dead-letters.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	letters := map[string][]letter{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l letter
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(l.Topic, ".dlq")
		letters[name] = append(letters[name], l)
	}
	return letters
}

func ptr(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

func show(s *string) string {
	if s == nil {
		return "null"
	}
	return "\"" + *s + "\""
}

// castA is the recorded transform: field a becomes an int32.
type castA struct{}

func (castA) Apply(r *schema.Record, _ *schema.Arena) (bool, error) {
	elems := r.Value.Value.Elems()
	if len(elems) == 2 && elems[1].Kind() == schema.KindString {
		return false, &converters.DataError{Message: "Value (" + string(elems[1].Bytes()) + ") was out of range for requested data type", Cause: errors.New("no number")}
	}
	return true, nil
}

func (castA) JavaClass() string { return "org.apache.kafka.connect.transforms.Cast$Value" }

// TestTask_DeadLettersAreThoseOfKafkaConnect produces what was produced when
// Kafka Connect's own dead letters were recorded, and compares. What Java's
// stack traces say in detail is not compared, but their first line and that
// they name the root cause.
func TestTask_DeadLettersAreThoseOfKafkaConnect(t *testing.T) {
	t.Parallel()
	const (
		str   = "org.apache.kafka.connect.storage.StringConverter"
		jsonC = "org.apache.kafka.connect.json.JsonConverter"
	)
	loose := map[string]string{"schemas.enable": "false"}
	strict := map[string]string{"schemas.enable": "true"}
	for name, setUp := range map[string]func(t *testing.T, task *sinks.Task){
		"dq-value": func(*testing.T, *sinks.Task) {},
		"dq-key": func(t *testing.T, task *sinks.Task) {
			task.Key, task.Value = sinkstest.Converter(t, jsonC, loose, true), sinkstest.Converter(t, str, nil, false)
			task.Classes = sinks.Classes{Key: jsonC, Value: str}
		},
		"dq-transform": func(_ *testing.T, task *sinks.Task) { task.Transforms = []sinks.Transform{castA{}} },
		"dq-schema":    func(t *testing.T, task *sinks.Task) { task.Value = sinkstest.Converter(t, jsonC, strict, false) },
		"dq-header": func(t *testing.T, task *sinks.Task) {
			task.Value = sinkstest.Converter(t, str, nil, false)
			h, problems := converters.NewHeader(jsonC, loose)
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			task.Header, task.Classes.Header = h, jsonC
		},
		"dq-plain": func(_ *testing.T, task *sinks.Task) { task.Errors.DLQHeaders = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPipeline(t, 1)
			when := time.UnixMilli(1_795_415_396_308)
			b.Produce(0,
				&kgo.Record{Key: []byte("k1"), Value: []byte(`{"a":1}`), Timestamp: when},
				&kgo.Record{Key: []byte("k2"), Value: []byte("not json"), Timestamp: when, Headers: []kgo.RecordHeader{{Key: "h1", Value: []byte("v1")}, {Key: "h2"}}},
				&kgo.Record{Value: []byte(`{"a":`), Timestamp: when},
				&kgo.Record{Key: []byte("k4"), Timestamp: when},
				&kgo.Record{Key: []byte("k5"), Value: []byte{}, Timestamp: when},
				&kgo.Record{Key: []byte("k6"), Value: []byte(`{"a":"x"}`), Timestamp: when},
			)
			stats := &sinks.Stats{}
			task := b.Task(newMemory(), stats)
			task.Key, task.Value = sinkstest.Converter(t, str, nil, true), sinkstest.Converter(t, jsonC, loose, false)
			task.Classes = sinks.Classes{Key: str, Value: jsonC}
			task.Errors = sinks.Errors{TolerateAll: true, DLQ: b.Topic + ".dlq", DLQReplication: 1, DLQHeaders: true}
			setUp(t, task)
			r := sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == 6 })
			r.Stops()
			sinkstest.Balanced(t, stats)

			want := recordedLetters(t)[name]
			got := b.Read(task.Errors.DLQ, len(want))
			if n := b.End(task.Errors.DLQ); n != int64(len(want)) {
				t.Fatalf("%d dead letters, want %d", n, len(want))
			}
			for i := range want {
				compareLetter(t, b, name, got[i], want[i])
				if !got[i].Timestamp.Equal(when) {
					t.Errorf("letter %d has time %v, want the record's", i, got[i].Timestamp)
				}
			}
		})
	}
}

func compareLetter(t *testing.T, b *sinkstest.Pipeline, name string, got *kgo.Record, want letter) {
	t.Helper()
	if show(ptr(got.Key)) != show(want.Key) || show(ptr(got.Value)) != show(want.Value) {
		t.Errorf("letter %s: %s, want %s: %s", show(ptr(got.Key)), show(ptr(got.Value)), show(want.Key), show(want.Value))
	}
	if len(got.Headers) != len(want.Headers) {
		t.Fatalf("letter %s has %d headers, want %d", show(want.Key), len(got.Headers), len(want.Headers))
	}
	for i, h := range got.Headers {
		key, value := *want.Headers[i][0], want.Headers[i][1]
		if h.Key != key {
			t.Errorf("letter %s: header %d is %s, want %s", show(want.Key), i, h.Key, key)
			continue
		}
		switch key {
		case "__connect.errors.topic":
			value = &b.Topic
		case "__connect.errors.connector.name":
			value = &b.Name
		case "__connect.errors.exception.stacktrace":
			first, rest, _ := strings.Cut(string(h.Value), "\n")
			wantFirst, wantRest, _ := strings.Cut(*value, "\n")
			if first != wantFirst || strings.Contains(wantRest, "Caused by: ") && !strings.Contains(rest, "Caused by: ") {
				t.Errorf("letter %s: stack trace\n%s\nwant one like\n%s", show(want.Key), h.Value, *value)
			}
			continue
		}
		if show(ptr(h.Value)) != show(value) {
			t.Errorf("%s: letter %s: %s is %s, want %s", name, show(want.Key), key, show(ptr(h.Value)), show(value))
		}
	}
}

func TestTask_DeadLettersRoundTripBitExactly(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	huge := &kgo.Record{Key: []byte("huge"), Value: []byte(strings.Repeat("x", 17<<20))}
	odd := &kgo.Record{Key: []byte{0, 0xff, 0x80}, Value: []byte{0xc3, 0x28, 0}, Headers: []kgo.RecordHeader{{Key: "", Value: []byte{}}, {Key: "h", Value: []byte{0xff}}, {Key: "h"}}}
	empty := &kgo.Record{}
	sent := []*kgo.Record{sinkstest.Record("small", "1"), odd, huge, empty, sinkstest.Record("last", "2")}
	b.Produce(0, sent...)
	m, stats := newMemory(), &sinks.Stats{}
	m.onWrite = refuseAll
	task := b.Task(m, stats)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: b.Topic + ".dlq", DLQReplication: 1}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return b.Committed(0) == int64(len(sent)) })
	r.Stops()
	for i, got := range b.Read(task.Errors.DLQ, len(sent)) {
		want := sent[i]
		if show(ptr(got.Key)) != show(ptr(want.Key)) || show(ptr(got.Value)) != show(ptr(want.Value)) {
			t.Errorf("letter %d differs from its record", i)
		}
		if !slices.EqualFunc(got.Headers, want.Headers, func(a, b kgo.RecordHeader) bool {
			return a.Key == b.Key && show(ptr(a.Value)) == show(ptr(b.Value))
		}) {
			t.Errorf("letter %d has headers %q, want %q", i, got.Headers, want.Headers)
		}
		if got.Timestamp.UnixMilli() != want.Timestamp.UnixMilli() {
			t.Errorf("letter %d has time %v, want %v", i, got.Timestamp, want.Timestamp)
		}
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_EndsWhenADeadLetterIsNotTaken(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	dlq := b.Topic + ".dlq"
	if _, err := kafka.EnsureTopics(t.Context(), b.Client, kafka.TopicSpec{Name: dlq, Partitions: 1, Replication: 1, Configs: map[string]string{"max.message.bytes": "1000"}}); err != nil {
		t.Fatal(err)
	}
	b.Produce(0, sinkstest.Record("a", "fine"), sinkstest.Record("b", "poison"), sinkstest.Record("c", "poison "+strings.Repeat("x", 5000)), sinkstest.Record("d", "fine"))
	m, stats := newMemory(), &sinks.Stats{}
	m.onWrite = refuse(m, "poison")
	task := b.Task(m, stats)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: dlq, DLQReplication: 1}
	err := sinkstest.Start(t, task).Ends()
	if !sinks.IsPermanent(err) {
		t.Fatalf("Run: %v, want a permanent error", err)
	}
	for _, want := range []string{"offset 2", dlq, "max.message.bytes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not name %s", err, want)
		}
	}
	if at := b.Committed(0); at > 2 {
		t.Errorf("committed %d: the letter that is lost is passed", at)
	}
	sinkstest.Balanced(t, stats)
}

func TestTask_SaysWhyTheQueueCannotBeMade(t *testing.T) {
	t.Parallel()
	b := newPipeline(t, 1)
	task := b.Task(newMemory(), nil)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: b.Topic + ".dlq", DLQReplication: 3}
	err := sinkstest.Start(t, task).Ends()
	if !sinks.IsPermanent(err) {
		t.Fatalf("Run: %v, want a permanent error", err)
	}
	for _, want := range []string{"Could not initialize dead letter queue with topic=" + task.Errors.DLQ, "errors.deadletterqueue.topic.replication.factor"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}

var errPoison = errors.New("refused for good")
