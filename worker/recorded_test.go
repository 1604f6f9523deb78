package worker_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
)

// An exchange is a line of testdata/connect/exchanges.jsonl: a request and
// the answer of a real Kafka Connect 4.1.1 worker.
type exchange struct {
	Seq             int               `json:"seq"`
	Scenario        string            `json:"scenario"`
	Step            string            `json:"step"`
	Before          []before          `json:"before"`
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	RequestHeaders  map[string]string `json:"request_headers"`
	RequestBody     json.RawMessage   `json:"request_body"`
	Status          int               `json:"status"`
	ResponseHeaders map[string]string `json:"response_headers"`
	ResponseBody    json.RawMessage   `json:"response_body"`
}

// before is what was done outside the REST interface before a request.
type before struct {
	WriteFile  string   `json:"write_file"`
	Content    string   `json:"content"`
	DeleteFile string   `json:"delete_file"`
	SQL        string   `json:"sql"`
	Sleep      float64  `json:"sleep"`
	Wait       *waitFor `json:"wait"`
	Topic      *struct {
		Topic      string `json:"topic"`
		Partitions int32  `json:"partitions"`
	} `json:"create_topic"`
	Produce *struct {
		Topic   string `json:"topic"`
		Records []struct {
			Key     *string      `json:"key"`
			Value   *string      `json:"value"`
			Headers [][2]*string `json:"headers"`
		} `json:"records"`
	} `json:"produce"`
}

type waitFor struct {
	Connector string   `json:"connector"`
	State     string   `json:"state"`
	Tasks     []string `json:"tasks"`
}

// TestREST_RecordedExchanges holds the conversations that were recorded with
// a real Kafka Connect worker, scenario by scenario, each with a worker of its
// own, and compares every answer but those that deviations lists.
func TestREST_RecordedExchanges(t *testing.T) {
	t.Parallel()
	scenarios := map[string][]exchange{}
	var order []string
	for _, e := range recorded(t) {
		if scenarios[e.Scenario] == nil {
			order = append(order, e.Scenario)
		}
		scenarios[e.Scenario] = append(scenarios[e.Scenario], e)
	}
	var mu sync.Mutex
	var tally struct{ all, equal, deviating int }
	t.Cleanup(func() {
		t.Logf("%d exchanges: %d compared and equal, %d known deviations", tally.all, tally.equal, tally.deviating)
	})
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var env []string
			if name == "dlq" {
				// Three copies of a dead letter queue are asked for by default,
				// which one broker refuses; the embedded one is not asked for.
				env = append(env, "CONNECT_BOOTSTRAP_SERVERS="+servers.StartKafka(t).Addr())
			}
			c := newConversation(t, name, env...)
			equal, deviating := c.hold(scenarios[name])
			mu.Lock()
			defer mu.Unlock()
			tally.all += len(scenarios[name])
			tally.equal += equal
			tally.deviating += deviating
		})
	}
}

// TestREST_RecordedExchanges_OnKafka holds those conversations that have much
// to do with Kafka once more, on a real one, one after the other as they were
// recorded.
func TestREST_RecordedExchanges_OnKafka(t *testing.T) {
	t.Parallel()
	broker := servers.StartKafka(t)
	for _, name := range []string{"lifecycle", "restart", "offsets_source", "offsets_sink", "topics", "delete"} {
		t.Run(name, func(t *testing.T) {
			var exchanges []exchange
			for _, e := range recorded(t) {
				if e.Scenario == name {
					exchanges = append(exchanges, e)
				}
			}
			newConversation(t, name, "CONNECT_BOOTSTRAP_SERVERS="+broker.Addr()).hold(exchanges)
		})
	}
}

func recorded(t *testing.T) []exchange {
	t.Helper()
	var out []exchange
	d := json.NewDecoder(bytes.NewReader(unzip(t, "exchanges.jsonl")))
	for {
		var e exchange
		if err := d.Decode(&e); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "connect", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// conversation is one scenario.
type conversation struct {
	t      *testing.T
	worker *testWorker
	dir    string
	fill   *strings.Replacer // placeholders
	// database replaces the recorded databases' settings by those of ours.
	database map[string]map[string]string // connector class -> key -> value
	postgres *servers.PostgresServer
	big      map[string]map[string]json.RawMessage
}

// needs lists the scenarios that need databases.
var needs = map[string]struct{ postgres, mysql bool }{
	"create": {true, false}, "failed": {true, false}, "offsets_postgres": {true, false},
	"validate": {true, true}, "other_worker": {true, true},
}

func newConversation(t *testing.T, scenario string, env ...string) *conversation {
	c := &conversation{t: t, dir: t.TempDir(), database: map[string]map[string]string{}}
	env = append(
		env,
		"CONNECT_KEY_CONVERTER_SCHEMAS_ENABLE=false", "CONNECT_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
		"CONNECT_OFFSET_FLUSH_INTERVAL_MS=2000",
		"CONNECT_CONFIG_STORAGE_REPLICATION_FACTOR=1", "CONNECT_OFFSET_STORAGE_REPLICATION_FACTOR=1", "CONNECT_STATUS_STORAGE_REPLICATION_FACTOR=1",
		"CONNECT_OFFSET_STORAGE_PARTITIONS=1", "CONNECT_STATUS_STORAGE_PARTITIONS=1",
		"CONNECT_CONFIG_PROVIDERS=file,env",
		"CONNECT_CONFIG_PROVIDERS_FILE_CLASS=org.apache.kafka.common.config.provider.FileConfigProvider",
		"CONNECT_CONFIG_PROVIDERS_ENV_CLASS=org.apache.kafka.common.config.provider.EnvVarConfigProvider",
	)
	if scenario == "other_worker" {
		env = append(env, "CONNECT_TOPIC_TRACKING_ENABLE=false")
	}
	c.worker = startWorker(t, env...)
	pairs := []string{"@WORKER@", strings.TrimPrefix(c.worker.URL, "http://"), "@BOOTSTRAP@", c.worker.bootstrap, "@DIR@", c.dir, "@CLUSTER@", "cluster", "@PLUGINS@", "plugins"}
	if needs[scenario].postgres {
		db := servers.Postgres(t)
		db.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text, note text)", "INSERT INTO customers VALUES (1,'a','x'),(2,'b','y')")
		c.postgres = db
		pairs = append(pairs, "@PGPORT@", fmt.Sprint(db.Port), "@DATABASE@", db.Database)
		c.database["io.debezium.connector.postgresql.PostgresConnector"] = map[string]string{
			"database.hostname": db.Host, "database.user": db.User, "database.password": db.Password, "database.dbname": db.Database,
		}
	}
	if needs[scenario].mysql {
		db := servers.MySQL(t)
		db.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text, note text)")
		pairs = append(pairs, "@MYPORT@", fmt.Sprint(db.Port))
		c.database["io.debezium.connector.mysql.MySqlConnector"] = map[string]string{
			"database.hostname": db.Host, "database.user": db.User, "database.password": db.Password, "database.include.list": db.Database,
		}
	}
	c.fill = strings.NewReplacer(pairs...)
	c.big = map[string]map[string]json.RawMessage{}
	for _, f := range []string{"plugins.json", "validate-postgres.json", "validate-mysql.json"} {
		var content map[string]json.RawMessage
		if err := json.Unmarshal(unzip(t, f), &content); err != nil {
			t.Fatal(err)
		}
		c.big[f] = content
	}
	return c
}

// hold sends the requests in order.
func (c *conversation) hold(exchanges []exchange) (equal, deviating int) {
	for _, e := range exchanges {
		for _, b := range e.Before {
			c.prepare(e, b)
		}
		if name, ok := settled[e.Seq]; ok {
			c.waitForOffsets(e, name)
		}
		deviation, known := deviations[e.Seq]
		restarts := 0
		if asksForRestart(e) {
			restarts = c.restarts()
		}
		fromRecording, differences := c.exchange(e)
		if asksForRestart(e) {
			// Otherwise what comes next may still see the state from before.
			eventually(c.t, c.worker, "the restart begins", func() bool { return c.restarts() > restarts })
		}
		if connector, ok := strings.CutSuffix(e.Path, "/stop"); ok && e.Method == http.MethodPut && e.Status == http.StatusNoContent {
			// Likewise: a connector that is stopped has no tasks in a moment.
			tasks := exchange{Method: http.MethodGet, Path: connector + "/tasks"}
			eventually(c.t, c.worker, "the tasks are gone", func() bool { return string(bytes.TrimSpace(c.ask(tasks).body)) == "[]" })
		}
		// A state right after a change may still be the former one, so an answer
		// is asked for again until it is as it is to be. Reading changes nothing.
		if e.Method == http.MethodGet && strings.HasPrefix(e.Path, "/connectors") {
			deadline := time.After(15 * time.Second)
			tick := time.NewTicker(50 * time.Millisecond)
			for waiting := true; waiting && len(differences) > 0; {
				select {
				case <-tick.C:
					fromRecording, differences = c.exchange(e)
				case <-deadline:
					waiting = false
				}
			}
			tick.Stop()
		}
		switch {
		case len(differences) > 0 && known:
			c.t.Errorf("%d %s: %s %s: a deviation (%s) that is not as listed\n  %s", e.Seq, e.Step, e.Method, e.Path, deviation.reason, strings.Join(differences, "\n  "))
		case len(differences) > 0:
			c.t.Errorf("%d %s: %s %s\n  %s", e.Seq, e.Step, e.Method, e.Path, strings.Join(differences, "\n  "))
		case known && len(fromRecording) == 0:
			c.t.Errorf("%d %s: %s %s: equals the recording, although it is listed as a deviation (%s)", e.Seq, e.Step, e.Method, e.Path, deviation.reason)
		case known:
			deviating++
		default:
			equal++
		}
	}
	return equal, deviating
}

func (c *conversation) prepare(e exchange, b before) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	var err error
	switch {
	case b.WriteFile != "":
		err = os.WriteFile(c.fill.Replace(b.WriteFile), []byte(b.Content), 0o600)
	case b.DeleteFile != "":
		err = os.Remove(c.fill.Replace(b.DeleteFile))
	case b.SQL != "":
		err = c.sql(ctx, b.SQL)
	case b.Topic != nil:
		_, err = kadm.NewClient(c.worker.kafka).CreateTopic(ctx, b.Topic.Partitions, 1, nil, b.Topic.Topic)
	case b.Produce != nil:
		err = c.produce(ctx, b)
	case b.Wait != nil:
		if _, without := absent[b.Wait.Connector]; !without {
			c.wait(ctx, e, *b.Wait)
		}
	}
	if err != nil {
		c.t.Fatalf("%d %s: prepare: %v", e.Seq, e.Step, err)
	}
}

func (c *conversation) sql(ctx context.Context, text string) error {
	conn, err := pgx.Connect(ctx, c.postgres.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, text)
	return err
}

func (c *conversation) produce(ctx context.Context, b before) error {
	for _, r := range b.Produce.Records {
		record := &kgo.Record{Topic: b.Produce.Topic, Partition: 0}
		if r.Key != nil {
			record.Key = []byte(*r.Key)
		}
		if r.Value != nil {
			record.Value = []byte(*r.Value)
		}
		for _, h := range r.Headers {
			header := kgo.RecordHeader{Key: *h[0]}
			if h[1] != nil {
				header.Value = []byte(*h[1])
			}
			record.Headers = append(record.Headers, header)
		}
		if err := c.worker.manual.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// wait polls a connector's status until it is as it was when the recording
// went on.
func (c *conversation) wait(ctx context.Context, e exchange, w waitFor) {
	path := "/connectors/" + strings.NewReplacer("%", "%25", "/", "%2F", " ", "%20", "?", "%3F", "#", "%23", ";", "%3B").Replace(w.Connector) + "/status"
	var last []byte
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var st struct {
			Connector struct{ State string }
			Tasks     []struct{ State string }
		}
		status, _, body := c.worker.do(c.t, http.MethodGet, path, nil, nil)
		last = body
		if status == http.StatusOK {
			if err := json.Unmarshal(body, &st); err != nil {
				c.t.Fatal(err)
			}
			states := []string{}
			for _, task := range st.Tasks {
				states = append(states, task.State)
			}
			if st.Connector.State == w.State && slices.Equal(states, w.Tasks) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.t.Errorf("%d %s: %s is not %s with tasks %v: %s\n%s", e.Seq, e.Step, w.Connector, w.State, w.Tasks, last, c.worker.tail())
			return
		}
	}
}

// waitForOffsets polls until a connector has saved one.
func (c *conversation) waitForOffsets(e exchange, name string) {
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _, body := c.worker.do(c.t, http.MethodGet, "/connectors/"+name+"/offsets", nil, nil)
		if bytes.Contains(body, []byte(`"partition"`)) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("%d %s: %s saves no offset: %s\n%s", e.Seq, e.Step, name, body, c.worker.tail())
		}
	}
}

// asksForRestart reports whether a request was answered with what will be
// restarted in a moment.
func asksForRestart(e exchange) bool {
	return e.Method == http.MethodPost && e.Status == http.StatusAccepted && bytes.Contains(e.ResponseBody, []byte("RESTARTING"))
}

// restarts counts the restarts that the status topic has seen.
func (c *conversation) restarts() int {
	n := 0
	err := kafka.NewLog(c.worker.kafka, "connect-status").ReadToEnd(c.t.Context(), func(r *kgo.Record) error {
		n += bytes.Count(r.Value, []byte(`"RESTARTING"`))
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// exchange sends one request and returns how the answer differs from the
// recorded one, and how from what it is to be, which is the same unless it is
// a deviation.
func (c *conversation) exchange(e exchange) (fromRecording, differences []string) {
	got := c.ask(e)
	fromRecording = c.differences(e, got)
	if d, known := deviations[e.Seq]; known {
		return fromRecording, d.differences(c, e, got, fromRecording)
	}
	return fromRecording, fromRecording
}

// answer is what the worker said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request.
func (c *conversation) ask(e exchange) answer {
	headers := map[string]string{}
	for k, v := range e.RequestHeaders {
		headers[k] = v
	}
	var body []byte
	if len(e.RequestBody) > 0 && string(e.RequestBody) != "null" {
		body = []byte(c.fill.Replace(c.ours(e.RequestBody)))
	}
	status, header, text := c.worker.do(c.t, e.Method, e.Path, headers, body)
	return answer{status, header, text}
}

// differences returns how an answer differs from that of the exchange.
func (c *conversation) differences(e exchange, got answer) []string {
	var out []string
	if got.status != e.Status {
		out = append(out, fmt.Sprintf("status: %d instead of %d: %.300s", got.status, e.Status, got.body))
	}
	for _, h := range []string{"Content-Type", "Location"} {
		want := c.fill.Replace(e.ResponseHeaders[h])
		if have := got.header.Get(h); have != want {
			out = append(out, fmt.Sprintf("%s: %q instead of %q", h, have, want))
		}
	}
	return append(out, c.compare(e, got.body)...)
}

// ours returns the text of a recorded body with our databases' settings. A
// recorded string was sent as it is.
func (c *conversation) ours(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		c.t.Fatal(err)
	}
	c.replaceDatabase(v)
	out, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out)
}

// replaceDatabase changes a configuration, wherever it is in v.
func (c *conversation) replaceDatabase(v any) {
	switch v := v.(type) {
	case map[string]any:
		class, _ := v["connector.class"].(string)
		for k, value := range c.database[class] {
			// What was wrong on purpose stays so.
			if recorded, set := v[k].(string); set && recorded != "nope" {
				v[k] = value
			}
		}
		for _, inner := range v {
			c.replaceDatabase(inner)
		}
	case []any:
		for _, inner := range v {
			c.replaceDatabase(inner)
		}
	}
}
