package elasticsearch_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// event returns a change event without schema.
func event(op string, id int, n string) *kgo.Record {
	row := fmt.Sprintf(`{"id":%d,"n":%s}`, id, n)
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

// numbers returns the field n of each document.
func numbers(t *testing.T, srv *servers.ElasticsearchServer, index string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, d := range documents(t, srv, index) {
		got[d.ID] = fmt.Sprint(d.Source["n"])
	}
	return got
}

// conflicting makes an index whose field n takes numbers only.
func conflicting(t *testing.T, srv *servers.ElasticsearchServer) string {
	t.Helper()
	index := srv.Index("numbers")
	request(t, srv, http.MethodPut, "/"+index, `{"settings":{"number_of_shards":1,"number_of_replicas":0},"mappings":{"properties":{"n":{"type":"long"}}}}`, nil)
	return index
}

func TestPipeline_MappingConflictGoesToTheQueueAndTheRestFlows(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.Elasticsearch(t)
	index := conflicting(t, srv)
	bad := event("u", 2, `"many"`)
	p.Produce(0, event("c", 1, "1"), event("c", 2, "2"), bad, event("c", 3, "3"), event("u", 1, "10"))
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, map[string]string{"index.name": index}), stats)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: p.Topic + ".dlq", DLQReplication: 1, DLQHeaders: true}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 5 })
	r.Stops()
	if got := numbers(t, srv, index); len(got) != 3 || got["1"] != "10" || got["2"] != "2" || got["3"] != "3" {
		t.Errorf("documents %v", got)
	}
	letter := p.Read(task.Errors.DLQ, 1)[0]
	if string(letter.Key) != `{"id":2}` || string(letter.Value) != string(bad.Value) {
		t.Errorf("the dead letter is %s: %s", letter.Key, letter.Value)
	}
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["__connect.errors.offset"] != "2" || headers["__connect.errors.stage"] != "TASK_PUT" || !strings.Contains(headers["__connect.errors.exception.message"], "document_parsing_exception") {
		t.Errorf("headers %v", headers)
	}
	sinkstest.Balanced(t, stats)
	if stats.DeadLettered.Load() != 1 || stats.Applied.Load() != 4 {
		t.Errorf("dead-lettered %d, applied %d; want 1 and 4", stats.DeadLettered.Load(), stats.Applied.Load())
	}
}

func TestPipeline_MappingConflictEndsTheTaskUntilTheCauseIsGone(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.Elasticsearch(t)
	index := conflicting(t, srv)
	p.Produce(0, event("c", 1, "1"), event("c", 2, `"many"`), event("c", 3, "3"))
	stats := &sinks.Stats{}
	task := p.JSONTask(destination(t, srv, map[string]string{"index.name": index}), stats)
	err := sinkstest.Start(t, task).Ends()
	var failure *sinks.RecordFailure
	if !errors.As(err, &failure) || failure.Offset != 1 || failure.Topic != p.Topic || failure.Partition != 0 {
		t.Fatalf("Run: %v, want the failure of the record at offset 1", err)
	}
	if !strings.Contains(failure.Trace(), "document_parsing_exception") {
		t.Errorf("the trace does not name the cause: %s", failure.Trace())
	}
	if at := p.Committed(0); at != 1 {
		t.Errorf("committed %d, want 1", at)
	}
	// The cause: an index that is made again with a type that fits.
	request(t, srv, http.MethodDelete, "/"+index, "", nil)
	request(t, srv, http.MethodPut, "/"+index, `{"mappings":{"properties":{"n":{"type":"keyword"}}}}`, nil)
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 3 })
	r.Stops()
	if got := numbers(t, srv, index); got["2"] != "many" || got["3"] != "3" {
		t.Errorf("documents %v", got)
	}
	sinkstest.Balanced(t, stats)
}

func TestPipeline_OutlivesARestartOfElasticsearch(t *testing.T) {
	t.Parallel()
	p, srv := newPipeline(t), servers.StartElasticsearch(t)
	stats := &sinks.Stats{}
	index := srv.Index("restart")
	task := p.JSONTask(destination(t, srv, map[string]string{"index.name": index}), stats)
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
	want := map[string]string{}
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			id, n := i%40, fmt.Sprint(i)
			if i%9 == 8 {
				p.Produce(0, event("d", id, "0"))
				delete(want, fmt.Sprint(id))
				continue
			}
			p.Produce(0, event("u", id, n))
			want[fmt.Sprint(id)] = n
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
	got := numbers(t, srv, index)
	for id, n := range want {
		if got[id] != n {
			t.Errorf("document %s is %q, want %q", id, got[id], n)
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
