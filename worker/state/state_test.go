package state

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recordedRecord is a record that a real Kafka Connect worker wrote.
type recordedRecord struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Key       string  `json:"key"`
	Value     *string `json:"value"`
}

func recordedRecords(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	f, err := os.Open("../testdata/connect/internal-topics.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []*kgo.Record
	lines := bufio.NewReader(z)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var r recordedRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r.Topic != topic {
			continue
		}
		k := &kgo.Record{Key: []byte(r.Key), Offset: r.Offset}
		if r.Value != nil {
			k.Value = []byte(*r.Value)
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		t.Fatalf("nothing is recorded of topic %s", topic)
	}
	return out
}

// broker starts an embedded broker with the topics and returns a client.
func broker(t *testing.T) *kgo.Client {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	b, err := kafka.StartBroker(ctx, kafka.BrokerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := kafka.EnsureTopics(ctx, cl, kafka.ConfigTopic("configs", 1), kafka.StatusTopic("statuses", 3, 1)); err != nil {
		t.Fatal(err)
	}
	return cl
}

// TestConfigLog_ReadsAndWritesConnectsRecords reads what Kafka Connect wrote
// and writes every kind of record again, which must give the same bytes.
func TestConfigLog_ReadsAndWritesConnectsRecords(t *testing.T) {
	t.Parallel()
	l := &ConfigLog{
		connectors: map[string]*Connector{}, targets: map[string]Target{}, tasks: map[string]map[int]map[string]string{},
		committed: map[string]int{},
	}
	seen := map[string]int{}
	for _, r := range recordedRecords(t, "connect-configs") {
		key := string(r.Key)
		change, err := l.take(key, r.Value)
		if err != nil {
			t.Fatalf("record %d, %s: %v", r.Offset, key, err)
		}
		var again *kgo.Record
		switch {
		case r.Value == nil:
			continue
		case strings.HasPrefix(key, keyConnector):
			name := strings.TrimPrefix(key, keyConnector)
			c, ok := l.Connector(name)
			if !ok || change.Connector != name {
				t.Fatalf("record %d: %s is not there", r.Offset, name)
			}
			again = record(key, propertiesJSON{c.Config})
			seen["connector"]++
		case strings.HasPrefix(key, keyTask):
			at := strings.LastIndexByte(key, '-')
			again = record(key, propertiesJSON{l.tasks[key[len(keyTask):at]][int(key[at+1]-'0')]})
			seen["task"]++
		case strings.HasPrefix(key, keyCommit):
			again = record(key, commitJSON{l.committed[strings.TrimPrefix(key, keyCommit)]})
			seen["commit"]++
		case strings.HasPrefix(key, keyTarget):
			name := strings.TrimPrefix(key, keyTarget)
			again = targetRecord(name, l.targets[name])
			seen["target"]++
		case strings.HasPrefix(key, keyRestart):
			again = record(key, *change.Restart)
			seen["restart"]++
		case strings.HasPrefix(key, keyLogger):
			again = record(key, levelJSON{change.Level})
			seen["logger"]++
		default:
			continue // a session key
		}
		if string(again.Key) != key || !sameRecord(key, again.Value, r.Value) {
			t.Errorf("%s is written as\n%s\ninstead of\n%s", key, again.Value, r.Value)
		}
	}
	for _, kind := range []string{"connector", "task", "commit", "target", "restart", "logger"} {
		if seen[kind] == 0 {
			t.Errorf("there was no record of kind %s", kind)
		}
	}
	if len(l.Connectors()) != 0 {
		t.Errorf("all connectors were deleted, but there are %v", l.Connectors())
	}
}

// sameRecord compares bytes, but for the order of a configuration's keys,
// which is that of a hash table in Java.
func sameRecord(key string, a, b []byte) bool {
	if strings.HasPrefix(key, keyConnector) || strings.HasPrefix(key, keyTask) {
		var x, y any
		return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
	}
	return bytes.Equal(a, b)
}

// TestStatusLog_ReadsAndWritesConnectsRecords is the same for states.
func TestStatusLog_ReadsAndWritesConnectsRecords(t *testing.T) {
	t.Parallel()
	l := &StatusLog{connectors: map[string]Status{}, tasks: map[string]map[int]Status{}, topics: map[string]map[string]bool{}}
	seen := map[string]int{}
	for _, r := range recordedRecords(t, "connect-status") {
		key := string(r.Key)
		if err := l.take(key, r.Value); err != nil {
			t.Fatalf("record %d, %s: %v", r.Offset, key, err)
		}
		if r.Value == nil {
			continue
		}
		var again *kgo.Record
		switch {
		case strings.HasPrefix(key, keyStatusConnector):
			s, _ := l.Connector(strings.TrimPrefix(key, keyStatusConnector))
			again = record(key, newStatusJSON(s))
			seen[s.State]++
		case strings.HasPrefix(key, keyStatusTask):
			at := strings.LastIndexByte(key, '-')
			name, id := key[len(keyStatusTask):at], int(key[at+1]-'0')
			again = record(taskKey(name, id), newStatusJSON(l.Tasks(name)[id]))
			seen["task "+l.Tasks(name)[id].State]++
		default:
			var v topicJSON
			if err := json.Unmarshal(r.Value, &v); err != nil {
				t.Fatal(err)
			}
			again = record(topicKey(v.Topic.Connector, v.Topic.Name), v)
			if !slices.Contains(l.Topics(v.Topic.Connector), v.Topic.Name) {
				t.Errorf("%s does not use %s", v.Topic.Connector, v.Topic.Name)
			}
			seen["topic"]++
		}
		if string(again.Key) != key || !bytes.Equal(again.Value, r.Value) {
			t.Errorf("%s is written as\n%s %s\ninstead of\n%s", key, again.Key, again.Value, r.Value)
		}
	}
	for _, kind := range []string{"topic", StatusRunning, StatusFailed, "task " + StatusFailed, StatusPaused, StatusStopped, StatusRestarting, StatusUnassigned} {
		if seen[kind] == 0 {
			t.Errorf("there was no record of kind %s", kind)
		}
	}
}

func TestConfigLog_KeepsEverythingOverARestart(t *testing.T) {
	t.Parallel()
	ctx, cl, log := t.Context(), broker(t), slog.New(slog.DiscardHandler)
	l, err := OpenConfigLog(ctx, cl, "configs", log)
	if err != nil {
		t.Fatal(err)
	}
	var changes []Change
	l.Watch(func(c Change) { changes = append(changes, c) }) // called while Put and so on wait
	config := map[string]string{"connector.class": "x", "a": "<&>é"}
	steps := []error{
		l.Put(ctx, "one", config, Paused),
		l.Put(ctx, "with-dash-7", map[string]string{"b": "c"}, ""),
		l.PutTasks(ctx, "with-dash-7", []map[string]string{{"t": "0"}, {"t": "1"}}),
		l.SetTarget(ctx, "one", Stopped),
		l.Put(ctx, "gone", config, Started),
		l.Remove(ctx, "gone"),
		l.SetLevel(ctx, "org.example", "WARN"),
		l.Restart(ctx, "one", Restart{IncludeTasks: true}),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	var restarts []Change
	for _, c := range changes {
		if c.Restart != nil {
			restarts = append(restarts, c)
		}
	}
	if !slices.Contains(changes, Change{Logger: "org.example", Level: "WARN"}) {
		t.Errorf("the level is no change: %+v", changes)
	}
	if len(restarts) != 1 || restarts[0].Connector != "one" || !restarts[0].Restart.IncludeTasks {
		t.Errorf("restarts: %+v", restarts)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "configs", Key: []byte("connector-broken"), Value: []byte("{")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenConfigLog(ctx, cl, "configs", log)
	if err != nil {
		t.Fatal(err)
	}
	one, ok := again.Connector("one")
	if !ok || one.Target != Stopped || !maps.Equal(one.Config, config) || one.Committed != 0 {
		t.Errorf("one is %+v", one)
	}
	two, ok := again.Connector("with-dash-7")
	if !ok || two.Target != Started || two.Committed != 2 || two.Tasks[1]["t"] != "1" {
		t.Errorf("with-dash-7 is %+v", two)
	}
	if _, ok := again.Connector("gone"); ok || len(again.Connectors()) != 2 {
		t.Errorf("connectors: %+v", again.Connectors())
	}
}

func TestConfigLog_FollowsWhatOthersWrite(t *testing.T) {
	t.Parallel()
	cl, log := broker(t), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l, err := OpenConfigLog(ctx, cl, "configs", log)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan Change, 10)
	l.Watch(func(c Change) { seen <- c })
	following := make(chan struct{})
	stop, end := context.WithCancel(ctx)
	go func() {
		defer close(following)
		l.Follow(stop)
	}()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "configs", Key: []byte("connector-theirs"), Value: []byte(`{"properties":{"a":"b"}}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-seen:
		if c.Connector != "theirs" {
			t.Errorf("the change is %+v", c)
		}
	case <-ctx.Done():
		t.Error("the change is not seen")
	}
	end()
	<-following
}

func TestStatusLog_KeepsEverythingOverARestart(t *testing.T) {
	t.Parallel()
	ctx, cl, log := t.Context(), broker(t), slog.New(slog.DiscardHandler)
	l, err := OpenStatusLog(ctx, cl, "statuses", log)
	if err != nil {
		t.Fatal(err)
	}
	failed := Status{State: StatusFailed, Trace: "why\n\tat line", WorkerID: "w:1", Generation: 3, Version: "1"}
	l.SetConnector("one", Status{State: StatusRunning, WorkerID: "w:1"})
	l.SetTask("one", 0, Status{State: StatusRunning})
	l.SetTask("one", 0, failed)
	l.SetTask("one", 1, Status{State: StatusRunning})
	l.RemoveTask("one", 1)
	l.UsesTopic("one", 0, "t1")
	l.UsesTopic("one", 0, "t2")
	l.SetConnector("gone", failed)
	l.SetTask("gone", 0, failed)
	l.UsesTopic("gone", 0, "t3")
	l.Remove("gone")
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := OpenStatusLog(ctx, cl, "statuses", log)
	if err != nil {
		t.Fatal(err)
	}
	for _, have := range []*StatusLog{l, again} {
		if s, ok := have.Connector("one"); !ok || s.State != StatusRunning {
			t.Errorf("one is %+v", s)
		}
		if tasks := have.Tasks("one"); len(tasks) != 1 || tasks[0] != failed {
			t.Errorf("its tasks are %+v", tasks)
		}
		if topics := have.Topics("one"); !slices.Equal(topics, []string{"t1", "t2"}) {
			t.Errorf("its topics are %v", topics)
		}
		if names := have.Names(); !slices.Equal(names, []string{"one"}) || len(have.Topics("gone")) > 0 {
			t.Errorf("names: %v", names)
		}
	}
}

// FuzzTake reads records that anybody may have written.
func FuzzTake(f *testing.F) {
	for _, seed := range [][2]string{
		{"connector-a", `{"properties":{"a":"b"}}`},
		{"task-a-0", `{"properties":{}}`},
		{"task-a-x", "{}"},
		{"commit-a", `{"tasks":-1}`},
		{"target-state-a", `{"state":"PAUSED","state.v2":"STOPPED"}`},
		{"restart-connector-a", `{}`},
		{"logger-cluster-a", `{"level":null}`},
		{"session-key", `{}`},
		{"status-connector-a", `{"state":1}`},
		{"status-task-a-0", `null`},
		{"status-task--", `[]`},
		{"status-topic-t:connector-a", ""},
		{"connector-", ""},
	} {
		f.Add(seed[0], []byte(seed[1]), seed[1] == "")
	}
	f.Fuzz(func(_ *testing.T, key string, value []byte, null bool) {
		if null {
			value = nil
		}
		c := &ConfigLog{connectors: map[string]*Connector{}, targets: map[string]Target{}, tasks: map[string]map[int]map[string]string{}, committed: map[string]int{}}
		s := &StatusLog{connectors: map[string]Status{}, tasks: map[string]map[int]Status{}, topics: map[string]map[string]bool{}}
		// What they say about it is of no interest; that they survive it is.
		_, _ = c.take(key, value)
		_ = s.take(key, value)
		for _, n := range s.Names() {
			s.Tasks(n)
		}
		for _, k := range c.Connectors() {
			c.Connector(k.Name)
		}
	})
}
