package elasticsearch_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/elasticsearch"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// cluster answers as Elasticsearch does when it is in trouble, which a real
// one will not be on command. It keeps the n of each document.
type cluster struct {
	mu   sync.Mutex
	docs map[string]float64
	// bulk may answer a whole bulk request.
	bulk func(n int, w http.ResponseWriter) (answered bool)
	// item may give an action another status than 200.
	item     func(request int, id string, n float64) (status int, kind string)
	requests int
	sent     []string // ids, request by request
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/_cluster/health":
		_, _ = io.WriteString(w, `{"cluster_name":"test"}`)
		return
	case r.URL.Path != "/_bulk":
		_, _ = io.WriteString(w, `{}`)
		return
	}
	c.requests++
	if c.bulk != nil && c.bulk(c.requests, w) {
		return
	}
	var ids []string
	items := []any{}
	failed := false
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		var action map[string]struct {
			ID string `json:"_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil || !lines.Scan() {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		var doc struct{ N float64 }
		if err := json.Unmarshal(lines.Bytes(), &doc); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id := action["index"].ID
		ids = append(ids, id)
		status, kind := 200, ""
		if c.item != nil {
			status, kind = c.item(c.requests, id, doc.N)
		}
		item := map[string]any{"status": status}
		if status == 200 {
			c.docs[id] = doc.N
		} else {
			failed = true
			item["error"] = map[string]any{"type": kind, "reason": "because"}
		}
		items = append(items, map[string]any{"index": item})
	}
	c.sent = append(c.sent, strings.Join(ids, " "))
	b, err := json.Marshal(items)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, `{"errors":%t,"items":%s}`, failed, b)
}

func openOn(t *testing.T, c *cluster, raw map[string]string) sinks.Sink {
	t.Helper()
	c.docs = map[string]float64{}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	cfg := map[string]string{"connection.url": srv.URL, "retry.backoff.ms": "1", "schema.ignore": "true", "external.resource.usage": "INDEX"}
	for k, v := range raw {
		cfg[k] = v
	}
	s, err := newDestination(t, cfg).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newDestination(t *testing.T, cfg map[string]string) sinks.Destination {
	t.Helper()
	v, problems := elasticsearch.Connector().Settings.Parse(cfg)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d, problems := elasticsearch.Connector().New(v, sinks.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

func rows(n ...int) []schema.Record {
	tab := sinkstest.NewTable("t")
	var records []schema.Record
	for i, id := range n {
		records = append(records, tab.Event(schema.OpCreate, int64(id), &sinkstest.Row{N: int32(i)}))
	}
	return records
}

func TestSink_SendsAgainOnlyWhatTheClusterWasTooBusyFor(t *testing.T) {
	t.Parallel()
	c := &cluster{item: func(request int, id string, _ float64) (int, string) {
		if request <= 2 && (id == "2" || id == "4") {
			return 429, "es_rejected_execution_exception"
		}
		return 200, ""
	}}
	s := openOn(t, c, nil)
	if err := s.Write(t.Context(), rows(1, 2, 3, 4, 5)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(c.sent, "|"), "1 2 3 4 5|2 4|2 4"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	if len(c.docs) != 5 {
		t.Errorf("documents %v", c.docs)
	}
}

// TestSink_OverloadIsNoRecordsFault has a cluster that stays too busy: no
// record may be blamed for it.
func TestSink_OverloadIsNoRecordsFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*cluster{
		"Items": {item: func(int, string, float64) (int, string) { return 429, "es_rejected_execution_exception" }},
		"Request": {bulk: func(_ int, w http.ResponseWriter) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		"DiskFull": {item: func(int, string, float64) (int, string) { return 403, "cluster_block_exception" }},
	} {
		s := openOn(t, c, map[string]string{"max.retries": "2"})
		err := s.Write(t.Context(), rows(1, 2))
		var some *sinks.WriteError
		if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) {
			t.Errorf("%s: Write: %v, want an error about the destination", name, err)
		}
		if c.requests != 3 {
			t.Errorf("%s: %d requests, want the first and max.retries=2", name, c.requests)
		}
		c.item, c.bulk = nil, nil
		if err := s.Write(t.Context(), rows(1, 2)); err != nil || len(c.docs) != 2 {
			t.Errorf("%s: afterwards: %v, documents %v", name, err, c.docs)
		}
	}
}

func TestSink_HeedsRetryAfter(t *testing.T) {
	t.Parallel()
	c := &cluster{bulk: func(n int, w http.ResponseWriter) bool {
		if n > 1 {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}}
	s := openOn(t, c, map[string]string{"retry.backoff.ms": "60000"})
	// A minute's backoff would outlast the test; the answer says a second.
	if err := s.Write(t.Context(), rows(1)); err != nil {
		t.Fatal(err)
	}
}

// TestSink_SaysWhenToComeBack has an overload that lasts longer than the sink
// waits by itself: the task is told when to come back.
func TestSink_SaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"600", time.Now().Add(10*time.Minute + time.Second).UTC().Format(http.TimeFormat)} {
		c := &cluster{bulk: func(_ int, w http.ResponseWriter) bool {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}}
		begin := time.Now()
		err := openOn(t, c, nil).Write(t.Context(), rows(1))
		var later interface{ RetryAfter() time.Duration }
		if !errors.As(err, &later) || later.RetryAfter() < 9*time.Minute || later.RetryAfter() > 11*time.Minute {
			t.Errorf("Retry-After %s: Write: %v, want an error that says ten minutes", after, err)
		}
		if c.requests != 1 || time.Since(begin) > time.Minute {
			t.Errorf("Retry-After %s: %d requests in %v, want one", after, c.requests, time.Since(begin))
		}
	}
}

// TestSink_ReadsEveryItem has answers that no Elasticsearch should give.
func TestSink_ReadsEveryItem(t *testing.T) {
	t.Parallel()
	for answer, permanent := range map[string]bool{
		`{"errors":true,"items":[{}]}`:                       false,
		`{"errors":true,"items":[{"index":{}}]}`:             false,
		`{"errors":true,"items":[]}`:                         false,
		`{"errors":true}`:                                    false,
		`{"errors":true,"items":[{"index":{"status":403}}]}`: true,
	} {
		c := &cluster{bulk: func(_ int, w http.ResponseWriter) bool {
			_, _ = io.WriteString(w, answer)
			return true
		}}
		err := openOn(t, c, nil).Write(t.Context(), rows(1))
		var some *sinks.WriteError
		if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) != permanent {
			t.Errorf("%s: Write: %v, want an error about the destination, permanent: %t", answer, err, permanent)
		}
		if c.requests != 1 {
			t.Errorf("%s: %d requests", answer, c.requests)
		}
	}
}

// TestSink_ConflictingUpdatesAreSentAgain has upserts that lost a race.
func TestSink_ConflictingUpdatesAreSentAgain(t *testing.T) {
	t.Parallel()
	c := &cluster{bulk: func(n int, w http.ResponseWriter) bool {
		if n > 2 {
			_, _ = io.WriteString(w, `{"errors":false}`)
			return true
		}
		_, _ = io.WriteString(w, `{"errors":true,"items":[{"update":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"raced"}}}]}`)
		return true
	}}
	if err := openOn(t, c, map[string]string{"write.method": "upsert"}).Write(t.Context(), rows(1)); err != nil || c.requests != 3 {
		t.Errorf("Write: %v after %d requests, want none after 3", err, c.requests)
	}
}

// TestSink_DoesNotHangOnASilentCluster has a cluster that stops reading a
// request, or writing an answer.
func TestSink_DoesNotHangOnASilentCluster(t *testing.T) {
	t.Parallel()
	for _, answers := range []bool{false, true} {
		done := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/_bulk" {
				_, _ = io.WriteString(w, `{"cluster_name":"test"}`)
				return
			}
			if answers {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, `{"errors":`)
				_ = http.NewResponseController(w).Flush()
			}
			<-done
		}))
		t.Cleanup(srv.Close)
		t.Cleanup(func() { close(done) }) // before that
		d := newDestination(t, map[string]string{"connection.url": srv.URL, "read.timeout.ms": "200", "external.resource.usage": "INDEX"})
		s, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tab := sinkstest.NewTable("t")
		records := []schema.Record{tab.Event(schema.OpCreate, 1, &sinkstest.Row{Body: strings.Repeat("x", 20<<20)})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = s.Write(ctx, records)
		var some *sinks.WriteError
		if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) || ctx.Err() != nil {
			t.Errorf("answers %t: Write: %v, want an error about the destination soon", answers, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestSink_RefusedLoginIsPermanent(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		c := &cluster{item: func(int, string, float64) (int, string) { return status, "security_exception" }}
		if err := openOn(t, c, nil).Write(t.Context(), rows(1)); !sinks.IsPermanent(err) {
			t.Errorf("status %d: %v, want a permanent error", status, err)
		}
	}
}

func TestSink_FindsTheDocumentThatIsTooLargeForARequest(t *testing.T) {
	t.Parallel()
	c := &cluster{bulk: func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return true
	}}
	s := openOn(t, c, nil)
	var some *sinks.WriteError
	if err := s.Write(t.Context(), rows(1, 2)); err == nil || errors.As(err, &some) {
		t.Errorf("Write of two: %v, want an error that makes the task cut the batch", err)
	}
	if err := s.Write(t.Context(), rows(1)); !errors.As(err, &some) || some.Failed[0].Retriable {
		t.Errorf("Write of one: %v, want it refused for good", err)
	}
}

func TestSink_SendsLostRacesAboutTheMappingAgain(t *testing.T) {
	t.Parallel()
	c := &cluster{}
	c.bulk = func(n int, w http.ResponseWriter) bool {
		if n > 1 {
			return false
		}
		_, _ = io.WriteString(w, `{"errors":true,"items":[{"index":{"status":400,"error":{"type":"illegal_argument_exception","reason":"mapper [a] cannot be changed from type [float] to [long]"}}}]}`)
		return true
	}
	if err := openOn(t, c, nil).Write(t.Context(), rows(1)); err != nil || len(c.docs) != 1 {
		t.Errorf("Write: %v, documents %v", err, c.docs)
	}
}

// TestSink_BehaviorOnMalformedDocuments has a document that is refused between
// others of its key: what came before it is there in the end, and it counts as
// what the setting makes of it.
func TestSink_BehaviorOnMalformedDocuments(t *testing.T) {
	t.Parallel()
	for behaviour, dropped := range map[string]bool{"fail": false, "warn": true, "ignore": true} {
		c := &cluster{item: func(_ int, id string, n float64) (int, string) {
			if id == "2" && n > 1 {
				return 400, "document_parsing_exception"
			}
			return 200, ""
		}}
		// n is the record's number.
		err := openOn(t, c, map[string]string{"behavior.on.malformed.documents": behaviour}).Write(t.Context(), rows(1, 2, 2, 3))
		var some *sinks.WriteError
		if !errors.As(err, &some) || len(some.Failed) != 1 || some.Failed[0].Index != 2 || some.Failed[0].Dropped != dropped || some.Failed[0].Retriable {
			t.Errorf("%s: Write: %v, want record 2 refused, and dropped: %t", behaviour, err, dropped)
		}
		if n, there := c.docs["2"]; !there || n != 1 || len(c.docs) != 3 {
			t.Errorf("%s: documents %v, want that of record 1, too", behaviour, c.docs)
		}
	}
}

// TestSink_DropsInvalidMessages has a record that cannot be made a document.
func TestSink_DropsInvalidMessages(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		c := &cluster{}
		records := rows(1, 2)
		records[0].Key = schema.Data{}
		err := openOn(t, c, map[string]string{"drop.invalid.message": strconv.FormatBool(drop)}).Write(t.Context(), records)
		var some *sinks.WriteError
		if !errors.As(err, &some) || len(some.Failed) != 1 || some.Failed[0].Index != 0 || some.Failed[0].Dropped != drop || len(c.docs) != 1 {
			t.Errorf("drop.invalid.message=%t: Write: %v, documents %v; want record 0 refused, and dropped: %t", drop, err, c.docs, drop)
		}
	}
}

func TestDestination_ChecksWhatAnswers(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer other.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user == "u" && password == "right" {
			_, _ = io.WriteString(w, `{"cluster_name":"test"}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"type":"security_exception","reason":"unable to authenticate user [u]"},"status":401}`)
	}))
	defer locked.Close()
	for _, c := range []struct {
		what, key, says string
		raw             map[string]string
	}{
		{"unreachable", "connection.url", "check connection.url and that the server runs", map[string]string{"connection.url": "http://127.0.0.1:1"}},
		{"something else", "connection.url", "is not Elasticsearch", map[string]string{"connection.url": other.URL}},
		{"wrong password", "connection.username", "check connection.username and connection.password", map[string]string{"connection.url": locked.URL, "connection.username": "u", "connection.password": "sesame"}},
		{"right password", "", "", map[string]string{"connection.url": locked.URL, "connection.username": "u", "connection.password": "right"}},
	} {
		problems := newDestination(t, c.raw).Check(t.Context())
		if c.key == "" {
			if len(problems) > 0 {
				t.Errorf("%s: %v", c.what, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Key != c.key || !strings.Contains(problems[0].Message, c.says) || strings.Contains(problems[0].Message, "sesame") {
			t.Errorf("%s: %v, want one at %s that says %q", c.what, problems, c.key, c.says)
		}
	}
}

func TestConnector_RefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  map[string]string
		keys []string
	}{
		{map[string]string{}, []string{"connection.url"}},
		{map[string]string{"connection.url": "es:9200"}, []string{"connection.url"}},
		{map[string]string{"connection.url": "http://u:p@es:9200"}, []string{"connection.url"}},
		{map[string]string{"connection.url": "http://es:9200", "data.stream.type": "logs"}, []string{"data.stream.type"}},
		{map[string]string{"connection.url": "http://es:9200", "external.resource.usage": "DATASTREAM"}, []string{"external.resource.usage"}},
		{map[string]string{"connection.url": "http://es:9200", "topic.to.external.resource.mapping": "t"}, []string{"topic.to.external.resource.mapping"}},
		{map[string]string{"connection.url": "http://es:9200", "batch.size": "0"}, []string{"batch.size"}},
		{map[string]string{"connection.url": "http://es:9200", "retry.backoff.ms": "-1"}, []string{"retry.backoff.ms"}},
		{map[string]string{"connection.url": "http://es:9200", "max.retries": "-1"}, []string{"max.retries"}},
		{map[string]string{"connection.url": "http://es:9200", "read.timeout.ms": "0", "connection.timeout.ms": "-1"}, []string{"connection.timeout.ms", "read.timeout.ms"}},
		{map[string]string{"connection.url": "http://es:9200", "index.name": "a b"}, []string{"index.name"}},
		{map[string]string{"connection.url": "http://es:9200", "index.name": "${topic}*"}, []string{"index.name"}},
		{map[string]string{"connection.url": "http://es:9200", "index.name": "_"}, []string{"index.name"}},
		{map[string]string{"connection.url": "http://es:9200", "index.name": "${tabel}"}, []string{"index.name"}},
		{map[string]string{"connection.url": "http://es:9200", "index.name": "-Shop-${table}"}, nil},
		{map[string]string{"connection.url": "https://es:9200", "elastic.security.protocol": "SSL", "elastic.https.ssl.truststore.location": "/no/such/file"}, []string{"elastic.https.ssl.truststore.location"}},
		{map[string]string{"connection.url": "http://es:9200", "write.method": "upsert", "external.version.header": "v"}, []string{"external.version.header"}},
	} {
		v, problems := elasticsearch.Connector().Settings.Parse(c.raw)
		if problems.Err() == nil {
			var more settings.Problems
			_, more = elasticsearch.Connector().New(v, sinks.Env{})
			problems = append(problems, more...)
		}
		var keys []string
		for _, p := range problems {
			keys = append(keys, p.Key)
		}
		if strings.Join(keys, ",") != strings.Join(c.keys, ",") {
			t.Errorf("%v: problems at %v (%v), want at %v", c.raw, keys, problems, c.keys)
		}
	}
}
