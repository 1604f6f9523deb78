package mongodb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// event returns a change event without schema.
func event(op string, id int, name string) *kgo.Record {
	row := fmt.Sprintf(`{"id":%d,"name":%q}`, id, name)
	before, after := "null", row
	if op == "d" {
		before, after = row, "null"
	}
	return sinkstest.Record(fmt.Sprintf(`{"id":%d}`, id), fmt.Sprintf(`{"before":%s,"after":%s,"source":{"ts_ms":1700000000000,"table":"t"},"op":%q,"ts_ms":1}`, before, after, op))
}

func newPipeline(t *testing.T) *sinkstest.Pipeline {
	t.Helper()
	srv := servers.Kafka(t)
	return sinkstest.NewPipeline(t, srv.Brokers()[0], srv.Prefix, 1)
}

func names(t *testing.T, c *mongo.Collection) map[int64]string {
	t.Helper()
	got := map[int64]string{}
	for _, d := range documents(t, c) {
		got[d["_id"].(int64)] = d["name"].(string)
	}
	return got
}

func TestPipeline_PoisonGoesToTheQueueAndTheRestFlows(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.Mongo(t)
	huge := event("u", 2, strings.Repeat("x", 17<<20))
	p.Produce(0, event("c", 1, "one"), event("c", 2, "two"))
	p.Produce(0, huge)
	p.Produce(0, event("c", 3, "three"), event("u", 1, "uno"))
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, nil), stats)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: p.Topic + ".dlq", DLQReplication: 1, DLQHeaders: true}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 5 })
	r.Stops()
	c := connect(t, srv).Collection(p.Topic)
	if got := names(t, c); len(got) != 3 || got[1] != "uno" || got[2] != "two" || got[3] != "three" {
		t.Errorf("documents %v", got)
	}
	letter := p.Read(task.Errors.DLQ, 1)[0]
	if string(letter.Key) != `{"id":2}` || string(letter.Value) != string(huge.Value) {
		t.Error("the dead letter is not the record")
	}
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["__connect.errors.offset"] != "2" || headers["__connect.errors.stage"] != "TASK_PUT" || !strings.Contains(headers["__connect.errors.exception.message"], "16777216") {
		t.Errorf("headers %v", headers)
	}
	sinkstest.Balanced(t, stats)
	if stats.DeadLettered.Load() != 1 || stats.Applied.Load() != 4 {
		t.Errorf("dead-lettered %d, applied %d; want 1 and 4", stats.DeadLettered.Load(), stats.Applied.Load())
	}
}

// TestPipeline_PoisonOfAWholeCommandIsFound has records for which MongoDB does
// not even read the command that they are in.
func TestPipeline_PoisonOfAWholeCommandIsFound(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]*kgo.Record{
		"Depth": sinkstest.Record(`{"id":9}`, strings.Repeat(`{"a":`, 250)+"1"+strings.Repeat("}", 250)),
		"Key":   sinkstest.Record(`{"id":"`+strings.Repeat("x", 9<<20)+`"}`, `{"id":9,"name":"x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, srv := newPipeline(t), servers.Mongo(t)
			p.Produce(0, event("c", 1, "one"), bad, event("c", 2, "two"), event("u", 1, "uno"))
			stats := &sinks.Stats{}
			task := p.JSONTask(destination(t, srv, nil), stats)
			task.Errors = sinks.Errors{TolerateAll: true, DLQ: p.Topic + ".dlq", DLQReplication: 1}
			r := sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 4 })
			r.Stops()
			if got := names(t, connect(t, srv).Collection(p.Topic)); len(got) != 2 || got[1] != "uno" || got[2] != "two" {
				t.Errorf("documents %v", got)
			}
			if letter := p.Read(task.Errors.DLQ, 1)[0]; string(letter.Key) != string(bad.Key) {
				t.Error("the dead letter is another record")
			}
			sinkstest.Balanced(t, stats)
			if stats.DeadLettered.Load() != 1 || stats.Applied.Load() != 3 {
				t.Errorf("dead-lettered %d, applied %d; want 1 and 3", stats.DeadLettered.Load(), stats.Applied.Load())
			}
		})
	}
}

// TestPipeline_PoisonEndsTheTaskUntilTheCauseIsGone has a unique index in the
// way of one record.
func TestPipeline_PoisonEndsTheTaskUntilTheCauseIsGone(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.Mongo(t)
	c := connect(t, srv).Collection(p.Topic)
	index, err := c.Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "name", Value: 1}}, Options: options.Index().SetUnique(true)})
	if err != nil {
		t.Fatal(err)
	}
	p.Produce(0, event("c", 1, "same"), event("c", 2, "other"), event("c", 3, "same"), event("u", 2, "another"))
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, nil), stats)
	err = sinkstest.Start(t, task).Ends()
	var failure *sinks.RecordFailure
	if !errors.As(err, &failure) || failure.Offset != 2 || failure.Topic != p.Topic || failure.Partition != 0 {
		t.Fatalf("Run: %v, want the failure of the record at offset 2", err)
	}
	if !strings.Contains(failure.Trace(), "11000") || !strings.Contains(failure.Trace(), "Caused by: com.mongodb.kafka.connect.sink.dlq.WriteException") {
		t.Errorf("the trace does not name the cause: %s", failure.Trace())
	}
	if at := p.Committed(0); at != 2 {
		t.Errorf("committed %d, want 2", at)
	}
	if err := c.Indexes().DropOne(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 4 })
	r.Stops()
	if got := names(t, c); len(got) != 3 || got[1] != "same" || got[2] != "another" || got[3] != "same" {
		t.Errorf("documents %v", got)
	}
	sinkstest.Balanced(t, stats)
}

func TestPipeline_OutlivesARestartOfMongoDB(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.StartMongo(t)
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, nil), stats)
	task.MaxRecords = 50
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: p.Topic + ".dlq", DLQReplication: 1}
	waited := make(chan struct{}, 1)
	task.Waiting = func(err error) {
		if err != nil {
			select {
			case waited <- struct{}{}:
			default:
			}
		}
	}
	r := sinkstest.Start(t, task)
	want := map[int64]string{}
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			id, name := i%40, fmt.Sprint("v", i)
			if i%9 == 8 {
				p.Produce(0, event("d", id, ""))
				delete(want, int64(id))
				continue
			}
			p.Produce(0, event("u", id, name))
			want[int64(id)] = name
		}
	}
	produce(0, 300)
	if err := srv.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	produce(300, 600)
	<-waited
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	produce(600, 700)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 700 })
	r.Stops()
	got := names(t, connect(t, srv).Collection(p.Topic))
	for id, name := range want {
		if got[id] != name {
			t.Errorf("document %d is %q, want %q", id, got[id], name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
	if n := p.End(task.Errors.DLQ); n != 0 {
		t.Errorf("%d dead letters of an outage", n)
	}
	sinkstest.Balanced(t, stats)
}

// TestPipeline_StopsWhileMongoDBIsAway has records that cannot be written when
// the task is stopped: they are left for the next run.
func TestPipeline_StopsWhileMongoDBIsAway(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.StartMongo(t)
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, map[string]string{"connection.uri": srv.URI() + "&serverSelectionTimeoutMS=500"}), stats)
	task.StopTimeout = time.Second
	waits := make(chan error, 100)
	task.Waiting = func(err error) { waits <- err }
	r := sinkstest.Start(t, task)
	if err := <-waits; err != nil { // it is open
		t.Fatal(err)
	}
	if err := srv.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Produce(0, event("c", 1, "one"))
	if err := <-waits; err == nil {
		t.Fatal("it does not wait for a server that is away")
	}
	begin := time.Now()
	r.Stops()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the stop took %v, want about a second", took)
	}
	if at := p.Committed(0); at > 0 {
		t.Errorf("committed %d, want nothing", at)
	}
	sinkstest.Balanced(t, stats)
}
