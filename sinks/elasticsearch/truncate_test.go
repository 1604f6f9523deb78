package elasticsearch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestSink_TruncatesEveryShard has an index of several shards with more
// documents than are deleted at once. A repeated truncate leaves what came
// after it.
func TestSink_TruncatesEveryShard(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index, alias := srv.Index("shards"), srv.Index("alias")
	request(t, srv, http.MethodPut, "/"+index, `{"settings":{"number_of_shards":3,"number_of_replicas":0},"aliases":{"`+alias+`":{}}}`, nil)
	tab := sinkstest.NewTable("t")
	const after = 7
	for _, c := range []struct {
		before int
		raw    map[string]string
	}{
		{5003, map[string]string{"index.name": index}},
		{50, map[string]string{"external.resource.usage": "ALIAS_INDEX", "topic.to.external.resource.mapping": "t:" + alias}},
		{50, map[string]string{"index.name": index, "write.method": "upsert"}},
	} {
		raw, before := c.raw, c.before
		s := open(t, srv, raw)
		write := func(records []schema.Record) {
			t.Helper()
			if err := s.Write(t.Context(), records); err != nil {
				t.Fatal(err)
			}
		}
		left := func(want int) {
			t.Helper()
			docs := documents(t, srv, index)
			for _, d := range docs {
				if d.Source["name"] != "new" {
					t.Errorf("%v: document %s is left: %v", raw, d.ID, d.Source)
				}
			}
			if len(docs) != want {
				t.Errorf("%v: %d documents, want %d", raw, len(docs), want)
			}
		}
		var records []schema.Record
		for i := range before {
			records = append(records, tab.Event(schema.OpCreate, int64(i), &sinkstest.Row{}))
		}
		write(records)
		records = append(records[:0], tab.Truncate())
		for i := range after {
			// Also rows of keys that there were before.
			records = append(records, tab.Event(schema.OpCreate, int64(before-3+i), &sinkstest.Row{Name: "new"}))
		}
		write(records[:1])
		left(0)
		write(records)
		left(after)
		write(records)
		left(after)
		write([]schema.Record{tab.Truncate()})
		left(0)
	}
}

// troubled stands before a real Elasticsearch and gives the answers that one
// gives when it is in trouble.
type troubled struct {
	real http.Handler
	// answer may answer a request itself, or change the real answer. n counts
	// the requests of that method and path.
	answer func(n int, request string, body []byte, real func() []byte) (status int, answer string)

	mu   sync.Mutex
	seen map[string]int
}

func (p *troubled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Del("Accept-Encoding") // so that answers can be read and changed
	request := r.Method + " " + r.URL.Path
	p.mu.Lock()
	p.seen[request]++
	n := p.seen[request]
	p.mu.Unlock()
	if p.answer != nil {
		status, answer := p.answer(n, request, body, func() []byte {
			recorder := httptest.NewRecorder()
			p.real.ServeHTTP(recorder, r)
			return recorder.Body.Bytes()
		})
		if status != 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
			return
		}
	}
	p.real.ServeHTTP(w, r)
}

// openTroubled opens a sink on a real Elasticsearch with a troubled one before
// it.
func openTroubled(t *testing.T, srv *servers.ElasticsearchServer, raw map[string]string) (sinks.Sink, *troubled) {
	t.Helper()
	to, err := url.Parse(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	pool := &http.Transport{}
	proxy.Transport = pool
	t.Cleanup(pool.CloseIdleConnections)
	p := &troubled{real: proxy, seen: map[string]int{}}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	cfg := map[string]string{"connection.url": front.URL, "retry.backoff.ms": "1", "max.retries": "2"}
	for k, v := range raw {
		cfg[k] = v
	}
	return open(t, srv, cfg), p
}

// items answers each delete of a bulk request in one way.
func items(body []byte, item string) string {
	return `{"errors":true,"items":[` + strings.TrimSuffix(strings.Repeat(`{"delete":`+item+`},`, bytes.Count(body, []byte("\n"))), ",") + `]}`
}

// TestSink_TriesAgainWhenAnotherMapsAField has two tasks that add the same
// column at the same time.
func TestSink_TriesAgainWhenAnotherMapsAField(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("t")
	s, trouble := openTroubled(t, srv, map[string]string{"index.name": index})
	request(t, srv, http.MethodPut, "/"+index, `{"mappings":{"properties":{"id":{"type":"long"}}}}`, nil)
	trouble.answer = func(n int, request string, _ []byte, _ func() []byte) (int, string) {
		if strings.HasSuffix(request, "/_mapping") && strings.HasPrefix(request, "PUT ") && n == 1 {
			return 400, `{"error":{"type":"illegal_argument_exception","reason":"mapper [n] cannot be changed from type [text] to [long]"},"status":400}`
		}
		return 0, ""
	}
	tab := sinkstest.NewTable("t")
	if err := s.Write(t.Context(), []schema.Record{tab.Event(schema.OpCreate, 1, &sinkstest.Row{N: 5})}); err != nil {
		t.Fatal(err)
	}
	if docs := documents(t, srv, index); len(docs) != 1 {
		t.Errorf("documents %v", docs)
	}
}

// TestSink_TruncatesInSpiteOfTrouble has a cluster that deletes, finds or
// refreshes less than it was asked to: no document may be left without an
// error, and none that is newer be lost.
func TestSink_TruncatesInSpiteOfTrouble(t *testing.T) {
	t.Parallel()
	type answer = func(n int, request string, body []byte, real func() []byte) (int, string)
	isDelete := func(request string, body []byte) bool {
		return strings.HasSuffix(request, "_bulk") && bytes.HasPrefix(body, []byte(`{"delete"`))
	}
	busy := `{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue full"}}`
	const (
		done    = "done"     // the sink gets over it by itself
		waits   = "waits"    // the task waits and tries again
		refused = "refused"  // the truncate is a failed record
		retried = "retried"  // … that may be tried again
		login   = "no right" // the task fails
	)
	for name, c := range map[string]struct {
		answer answer
		want   string
		says   string
	}{
		"BusyOnce": {func(n int, request string, body []byte, _ func() []byte) (int, string) {
			if isDelete(request, body) && n == 2 {
				return 200, items(body, busy)
			}
			return 0, ""
		}, done, ""},
		"BusyRequestOnce": {func(n int, request string, body []byte, _ func() []byte) (int, string) {
			if n == 1 && !isDelete(request, body) && !strings.HasSuffix(request, "_bulk") || n == 2 && isDelete(request, body) {
				return 429, `{}`
			}
			return 0, ""
		}, done, ""},
		"Busy": {func(_ int, request string, body []byte, _ func() []byte) (int, string) {
			if isDelete(request, body) {
				return 200, items(body, busy)
			}
			return 0, ""
		}, waits, "queue full"},
		"NewerIsThere": {func(_ int, request string, body []byte, real func() []byte) (int, string) {
			if isDelete(request, body) {
				real()
				return 200, items(body, `{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"newer"}}`)
			}
			return 0, ""
		}, done, ""},
		"Broken": {func(n int, request string, body []byte, _ func() []byte) (int, string) {
			if isDelete(request, body) && n == 2 {
				return 200, items(body, `{"status":500,"error":{"type":"engine_failed","reason":"broken"}}`)
			}
			return 0, ""
		}, retried, "broken"},
		"Refused": {func(_ int, request string, body []byte, _ func() []byte) (int, string) {
			if isDelete(request, body) {
				return 200, items(body, `{"status":400,"error":{"type":"routing_missing_exception","reason":"routing is required"}}`)
			}
			return 0, ""
		}, refused, "routing is required"},
		"Forbidden": {func(_ int, request string, body []byte, _ func() []byte) (int, string) {
			if isDelete(request, body) {
				return 200, items(body, `{"status":403,"error":{"type":"security_exception","reason":"unauthorized"}}`)
			}
			return 0, ""
		}, login, "privileges"},
		"ShardFails": {func(_ int, request string, _ []byte, real func() []byte) (int, string) {
			if strings.HasSuffix(request, "_search") {
				return 200, strings.Replace(string(real()), `"failed":0`, `"failed":1,"failures":[{"reason":{"type":"x","reason":"shard is gone"}}]`, 1)
			}
			return 0, ""
		}, waits, "shard is gone"},
		"TimesOut": {func(_ int, request string, _ []byte, real func() []byte) (int, string) {
			if strings.HasSuffix(request, "_search") {
				return 200, strings.Replace(string(real()), `"timed_out":false`, `"timed_out":true`, 1)
			}
			return 0, ""
		}, waits, "timed out"},
		"RefreshFails": {func(_ int, request string, _ []byte, real func() []byte) (int, string) {
			if strings.HasSuffix(request, "_refresh") {
				return 200, strings.Replace(string(real()), `"failed":0`, `"failed":1`, 1)
			}
			return 0, ""
		}, waits, "shards failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := servers.Elasticsearch(t)
			index := srv.Index("t")
			s, trouble := openTroubled(t, srv, map[string]string{"index.name": index})
			tab := sinkstest.NewTable("t")
			var old []schema.Record
			for i := range 10 {
				old = append(old, tab.Event(schema.OpCreate, int64(i), &sinkstest.Row{}))
			}
			if err := s.Write(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			records := []schema.Record{tab.Truncate(), tab.Event(schema.OpCreate, 3, &sinkstest.Row{Name: "new"})}
			trouble.answer = c.answer
			err := s.Write(t.Context(), records)
			var some *sinks.WriteError
			what := done
			switch {
			case sinks.IsPermanent(err):
				what = login
			case errors.As(err, &some) && some.Failed[0].Retriable:
				what = retried
			case errors.As(err, &some):
				what = refused
			case err != nil:
				what = waits
			}
			if what != c.want {
				t.Errorf("Write: %v, which is %q, want %q", err, what, c.want)
			}
			var at []int
			if some != nil {
				for _, f := range some.Failed {
					at = append(at, f.Index)
				}
			}
			if got, want := fmt.Sprint(at), map[string]string{retried: "[0 1]", refused: "[0]"}[c.want]; some != nil && got != want {
				t.Errorf("failed records %s, want %s", got, want)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Write: %v does not say %q", err, c.says)
			}
			trouble.answer = nil
			if what != done {
				if err := s.Write(t.Context(), records); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
			if docs := documents(t, srv, index); len(docs) != 1 || docs[0].Source["name"] != "new" {
				t.Errorf("documents %v, want the one after the truncate", docs)
			}
		})
	}
}

// TestSink_WaitsForAClosedIndex has an index that somebody closes for a while:
// that is no record's fault.
func TestSink_WaitsForAClosedIndex(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t)
	index := srv.Index("closed")
	tab := sinkstest.NewTable("t")
	s := open(t, srv, map[string]string{"index.name": index, "behavior.on.malformed.documents": "ignore"})
	if err := s.Write(t.Context(), []schema.Record{tab.Event(schema.OpCreate, 1, &sinkstest.Row{Name: "a"})}); err != nil {
		t.Fatal(err)
	}
	request(t, srv, http.MethodPost, "/"+index+"/_close", "", nil)
	late := []schema.Record{tab.Event(schema.OpCreate, 2, &sinkstest.Row{Name: "b"})}
	err := s.Write(t.Context(), late)
	var some *sinks.WriteError
	if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) || !strings.Contains(err.Error(), index) {
		t.Errorf("error %v, want one about the destination", err)
	}
	request(t, srv, http.MethodPost, "/"+index+"/_open?wait_for_active_shards=1", "", nil)
	if err := s.Write(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if docs := documents(t, srv, index); len(docs) != 2 {
		t.Errorf("%d documents, want 2", len(docs))
	}
}
