package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker"
	"github.com/penstock/penstock/worker/catalogue"
)

// eventually polls until the condition holds.
func eventually(t *testing.T, w *testWorker, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 seconds\n%s", what, w.tail())
		}
	}
}

// request sends JSON and fails the test unless the status is one of those
// wanted.
func (w *testWorker) request(t *testing.T, method, path string, body any, want ...int) []byte {
	t.Helper()
	var text []byte
	headers := map[string]string{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
		headers["Content-Type"] = "application/json"
	}
	status, _, answer := w.do(t, method, path, headers, text)
	if !slices.Contains(want, status) {
		t.Fatalf("%s %s answers %d instead of %v: %s\n%s", method, path, status, want, answer, w.tail())
	}
	return answer
}

func (w *testWorker) is(t *testing.T, name, state string) func() bool {
	return func() bool {
		have, _, _ := w.stateOf(t, name)
		return have == state
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func contains(t *testing.T, path, text string) func() bool {
	return func() bool {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(b) == text
	}
}

// TestWorker_ResumesEverythingAfterARestart has a file copied through Kafka
// into another, stops the worker in between, and expects that no line is lost
// or copied twice and that every connector is in the state it had.
func TestWorker_ResumesEverythingAfterARestart(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	appendTo(t, in, "one\ntwo\n")
	w := startWorkerIn(t, data)
	source := map[string]string{"connector.class": "file-source", "file": in, "topic": "lines"}
	sink := map[string]string{"connector.class": "FileStreamSink", "file": out, "topics": "lines"}
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "source", "config": source}, 201)
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "sink", "config": sink}, 201)
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "paused", "config": source, "initial_state": "PAUSED"}, 201)
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "stopped", "config": source, "initial_state": "STOPPED"}, 201)
	w.request(t, http.MethodPost, "/connectors", map[string]any{"name": "deleted", "config": source, "initial_state": "PAUSED"}, 201)
	w.request(t, http.MethodDelete, "/connectors/deleted", nil, 204)
	eventually(t, w, "the first lines are copied", contains(t, out, "one\ntwo\n"))
	for path, want := range map[string]string{"/healthz": "alive", "/health": "healthy", "/readyz": "healthy"} {
		if got := string(w.request(t, http.MethodGet, path, nil, 200)); !strings.Contains(got, want) {
			t.Errorf("%s answers %s", path, got)
		}
	}
	w.stop()

	appendTo(t, in, "three\n")
	w = startWorkerIn(t, data)
	defer w.stop()
	eventually(t, w, "the next line is copied", contains(t, out, "one\ntwo\nthree\n"))
	for name, state := range map[string]string{"source": "RUNNING", "sink": "RUNNING", "paused": "PAUSED", "stopped": "STOPPED"} {
		eventually(t, w, name+" is "+state, w.is(t, name, state))
	}
	var names []string
	if err := json.Unmarshal(w.request(t, http.MethodGet, "/connectors", nil, 200), &names); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, []string{"paused", "sink", "source", "stopped"}) {
		t.Errorf("connectors: %v", names)
	}
	w.request(t, http.MethodPut, "/connectors/source/pause", nil, 202)
	eventually(t, w, "the source is paused", w.is(t, "source", "PAUSED"))
	appendTo(t, in, "four\n")
	w.request(t, http.MethodPut, "/connectors/source/resume", nil, 202)
	eventually(t, w, "the line of the pause is copied", contains(t, out, "one\ntwo\nthree\nfour\n"))
}

func TestWorker_DeclaredConnectors(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	in := filepath.Join(dir, "in")
	appendTo(t, in, "one\n")
	env := []string{
		"PENSTOCK_CONNECTOR_LINES__CONNECTOR_CLASS=file-source", "PENSTOCK_CONNECTOR_LINES__FILE=" + in, "PENSTOCK_CONNECTOR_LINES__TOPIC=first",
	}
	w := startWorkerIn(t, data, env...)
	eventually(t, w, "the declared connector runs", w.is(t, "lines", "RUNNING"))
	w.request(t, http.MethodPut, "/connectors/lines/config", map[string]string{"connector.class": "file-source", "file": in, "topic": "over REST"}, 200)
	w.request(t, http.MethodPut, "/connectors/lines/pause", nil, 202)
	w.stop()

	env[2] = "PENSTOCK_CONNECTOR_LINES__TOPIC=second"
	w = startWorkerIn(t, data, env...)
	var config map[string]string
	if err := json.Unmarshal(w.request(t, http.MethodGet, "/connectors/lines/config", nil, 200), &config); err != nil {
		t.Fatal(err)
	}
	if config["topic"] != "second" || config["name"] != "lines" {
		t.Errorf("the environment does not win: %v", config)
	}
	eventually(t, w, "the connector is still paused", w.is(t, "lines", "PAUSED"))
	w.stop()

	w = startWorkerIn(t, data) // declared no more, but stored
	defer w.stop()
	eventually(t, w, "the connector is still there", w.is(t, "lines", "PAUSED"))
}

// faults is a source that does as it is told.
type faults struct {
	next  func(ctx context.Context, b *schema.Batch) error
	check settings.Problems
	opens atomic.Int64
	// leak puts the connector's secrets into its errors.
	leak bool
}

// leaky is careless.
type leaky struct {
	*faults
	secrets string
}

// Open fails with an error that has everything in it.
func (l *leaky) Open(context.Context, schema.Position) (capture.Source, error) {
	return nil, capture.Permanent(errors.New("login with " + l.secrets + " was refused"))
}

func (f *faults) connector() capture.Connector {
	return capture.Connector{
		Name: "faults", Classes: []string{"example.FaultsConnector"}, Version: "1",
		Settings: settings.NewSet([]settings.Def{
			{Key: "password", Type: settings.Password, Importance: settings.High, Doc: "a secret"},
			{Key: "note", Type: settings.String, Importance: settings.Low, Doc: "anything"},
			{Key: "number", Type: settings.Int, Importance: settings.Low, Doc: "a number"},
		}),
		New: func(v settings.Values, _ capture.Env) (capture.Database, settings.Problems) {
			if f.leak {
				return &leaky{f, v.String("password") + " and " + v.String("note")}, nil
			}
			return f, nil
		},
	}
}

func (f *faults) Partition() string                       { return `{"x":"y"}` }
func (f *faults) Check(context.Context) settings.Problems { return f.check }
func (f *faults) Now(context.Context) (schema.Position, error) {
	return schema.Position(`{"at":1}`), nil
}
func (f *faults) Scanner() capture.Scanner                        { return nil }
func (f *faults) Forget(context.Context) error                    { return nil }
func (f *faults) Next(ctx context.Context, b *schema.Batch) error { return f.next(ctx, b) }
func (f *faults) Confirm(context.Context, schema.Position) error  { return nil }
func (f *faults) Close(context.Context) error                     { return nil }
func (f *faults) Open(context.Context, schema.Position) (capture.Source, error) {
	f.opens.Add(1)
	return f, nil
}

// startFaults starts a worker whose only connector is f.
func startFaults(t *testing.T, f *faults, env ...string) *testWorker {
	t.Helper()
	return startWorkerWith(t, t.TempDir(), catalogue.New([]capture.Connector{f.connector()}, []sinks.Connector{}, converters.Plugins()), env...)
}

func idle(ctx context.Context, b *schema.Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		b.End = schema.Position(`{"at":1}`)
		return nil
	}
}

func TestTask_TransientErrorsAreWaitedFor(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	f := &faults{next: func(ctx context.Context, b *schema.Batch) error {
		if broken.Load() {
			return errors.New("the cable is out")
		}
		return idle(ctx, b)
	}}
	w := startFaults(t, f, "PENSTOCK_CONNECTOR_F__CONNECTOR_CLASS=faults")
	defer w.stop()
	eventually(t, w, "the task is tried again", func() bool { return f.opens.Load() > 2 })
	state, _, waits := w.stateOf(t, "f")
	if state != "RUNNING" || !strings.Contains(waits, "the cable is out") {
		t.Errorf("the task is %s and waits for %q", state, waits)
	}
	metrics := string(w.request(t, http.MethodGet, "/metrics", nil, 200))
	for _, line := range []string{
		`penstock_task_waiting{connector="f",task="0"} 1`, `penstock_task_state{connector="f",state="RUNNING",task="0"} 1`,
		`penstock_connector_state{connector="f",state="RUNNING",type="source"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics do not have %s:\n%s", line, metrics)
		}
	}
	broken.Store(false)
	eventually(t, w, "it waits no more", func() bool {
		_, _, waits := w.stateOf(t, "f")
		return waits == ""
	})
}

func TestTask_PermanentErrorsAndPanicsFailIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next func(context.Context, *schema.Batch) error
		want []string
	}{
		"permanent": {
			func(context.Context, *schema.Batch) error {
				return capture.Permanent(fmt.Errorf("read row 5: %w", errors.New("no such type")))
			},
			[]string{"org.apache.kafka.connect.errors.ConnectException: ", "read row 5: no such type", "\nCaused by: ", "no such type"},
		},
		"lost": {
			func(context.Context, *schema.Batch) error {
				return fmt.Errorf("the slot is gone: %w", capture.ErrPositionLost)
			},
			[]string{"the slot is gone"},
		},
		"panic": {
			func(context.Context, *schema.Batch) error { panic("index out of luck") },
			[]string{"a bug in Penstock", "index out of luck", "goroutine"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &faults{next: c.next}
			w := startFaults(t, f, "PENSTOCK_CONNECTOR_F__CONNECTOR_CLASS=faults")
			defer w.stop()
			eventually(t, w, "the task fails", w.is(t, "f", "FAILED"))
			_, trace, _ := w.stateOf(t, "f")
			for _, part := range c.want {
				if !strings.Contains(trace, part) {
					t.Errorf("the trace does not have %q:\n%s", part, trace)
				}
			}
			opens := f.opens.Load()
			w.request(t, http.MethodPost, "/connectors/f/tasks/0/restart", nil, 204)
			eventually(t, w, "a restart tries again", func() bool { return f.opens.Load() > opens })
		})
	}
}

// TestWorker_StopsWithinItsDeadline: whatever a source does, the worker stops.
func TestWorker_StopsWithinItsDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := &faults{next: func(context.Context, *schema.Batch) error {
		<-release // deaf
		return nil
	}}
	w := startFaults(t, f, "PENSTOCK_CONNECTOR_F__CONNECTOR_CLASS=faults", "PENSTOCK_TASK_SHUTDOWN_GRACEFUL_TIMEOUT_MS=500")
	eventually(t, w, "the source is read", func() bool { return f.opens.Load() > 0 })
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if !strings.Contains(w.log.String(), "left behind") {
		t.Errorf("the log says nothing about the task:\n%s", w.tail())
	}
	close(release)
}

// TestSecrets_ShowNowhere plants secrets in every place where one can be given
// and looks for them in everything that comes out.
func TestSecrets_ShowNowhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{"password": "canary-in-a-file\n", "secrets.properties": "k=canary-in-properties\nn=canary-not-a-number\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &faults{leak: true}
	reference := "${file:" + filepath.Join(dir, "secrets.properties") + ":k}"
	w := startFaults(t, f,
		"PENSTOCK_LOG_LEVEL=TRACE",
		"PENSTOCK_PRODUCER_SASL_JAAS_CONFIG=canary-of-the-worker",
		"PENSTOCK_CONNECTOR_A__CONNECTOR_CLASS=faults", "PENSTOCK_CONNECTOR_A__PASSWORD_FILE="+filepath.Join(dir, "password"),
		"PENSTOCK_CONNECTOR_B__CONNECTOR_CLASS=faults", "PENSTOCK_CONNECTOR_B__PASSWORD=canary-in-the-environment",
		"PENSTOCK_CONNECTOR_C__CONNECTOR_CLASS=faults", "PENSTOCK_CONNECTOR_C__NOTE="+reference,
		"PENSTOCK_CONNECTOR_D__CONNECTOR_CLASS=faults", "PENSTOCK_CONNECTOR_D__NUMBER=${file:"+filepath.Join(dir, "secrets.properties")+":n}",
	)
	defer w.stop()
	for _, name := range []string{"a", "b", "c", "d"} {
		eventually(t, w, name+" fails", w.is(t, name, "FAILED"))
	}
	var out bytes.Buffer
	body := map[string]string{
		"connector.class": "faults", "name": "e", "password": "canary-over-rest", "note": reference, "number": "${file:" + filepath.Join(dir, "secrets.properties") + ":n}",
		"producer.override.sasl.jaas.config": "canary-over-rest", "consumer.override.ssl.key.password": "canary-over-rest", "unknown.password": "canary-over-rest",
	}
	headers := map[string]string{"Content-Type": "application/json"}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		method, path, body string
		// status and says tell that the request got as far as it is to get.
		status int
		says   string
	}{
		{http.MethodPut, "/connector-plugins/faults/config/validate", string(text), 200, `"error_count":1`},
		{http.MethodPost, "/connectors", `{"name":"e","config":` + string(text) + `}`, 400, "Not a number of type INT"},
		{http.MethodPost, "/connectors", `{"name":"e","config":{"connector.class":"faults","note":{"password":"canary-over-rest"}}}`, 500, "a text is expected"},
		{http.MethodPut, "/connectors/f/config", `{"password":"canary-over-rest","note":"no class"}`, 400, "contains no connector type"},
		{http.MethodPut, "/connectors/a/config", string(text), 400, "doesn't match"},
		{http.MethodPut, "/connectors/e/config", string(text), 400, "Not a number of type INT"},
		{http.MethodPatch, "/connectors/a/config", `{"number":"canary","password":"canary-over-rest"}`, 400, "Not a number of type INT"},
		{http.MethodGet, "/connectors?expand=info&expand=status", "", 200, "login with [hidden]"},
		{http.MethodGet, "/connectors/a/tasks", "", 200, "${dir:"},
		{http.MethodGet, "/metrics", "", 200, "penstock_connector_state"},
		{http.MethodGet, "/readyz", "", 200, "FAILED"},
		{http.MethodPost, "/connectors/a/restart?includeTasks=true", "", 202, "RESTARTING"},
	} {
		var b []byte
		if r.body != "" {
			b = []byte(r.body)
		}
		status, h, answer := w.do(t, r.method, r.path, headers, b)
		if status != r.status || !strings.Contains(string(answer), r.says) {
			t.Errorf("%s %s: %d %s\nwant %d with %q", r.method, r.path, status, answer, r.status, r.says)
		}
		fmt.Fprintf(&out, "%s %s: %v %s\n", r.method, r.path, h, answer)
	}
	w.stop()
	out.WriteString(w.log.String())
	for _, topic := range w.internal {
		out.WriteString(topic)
	}
	for _, canary := range []string{"canary-in-a-file", "canary-in-the-environment", "canary-in-properties", "canary-not-a-number", "canary-of-the-worker", "canary-over-rest"} {
		for line := range strings.SplitSeq(out.String(), "\n") {
			if i := strings.Index(line, canary); i >= 0 {
				t.Errorf("%s shows: …%.300s", canary, line[max(0, i-200):])
			}
		}
	}
}

// TestLoggers_ChangeLevels changes levels of a task's class while it runs.
func TestLoggers_ChangeLevels(t *testing.T) {
	t.Parallel()
	f := &faults{next: func(context.Context, *schema.Batch) error { return errors.New("again") }}
	w := startFaults(t, f, "PENSTOCK_CONNECTOR_F__CONNECTOR_CLASS=faults")
	defer w.stop()
	logged := func() int { return strings.Count(w.log.String(), "run again") }
	eventually(t, w, "the failures are logged", func() bool { return logged() > 0 })
	var changed []string
	if err := json.Unmarshal(w.request(t, http.MethodPut, "/admin/loggers/example?scope=worker", map[string]string{"level": "error"}, 200), &changed); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(changed, []string{"example", "example.FaultsConnector", "example.FaultsTask"}) {
		t.Errorf("changed: %v", changed)
	}
	before, opens := logged(), f.opens.Load()
	eventually(t, w, "it fails again", func() bool { return f.opens.Load() > opens+1 })
	if logged() > before+1 { // one may have been on its way
		t.Errorf("warnings are still logged: %d, then %d", before, logged())
	}
	w.request(t, http.MethodPut, "/admin/loggers/example.FaultsTask?scope=cluster", map[string]string{"level": "INFO"}, 204)
	before = logged()
	eventually(t, w, "warnings are logged again", func() bool { return logged() > before })
}

func TestStart_ExplainsWhatIsWrong(t *testing.T) {
	t.Parallel()
	first := startWorker(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"listener taken": {[]string{"PENSTOCK_LISTENERS=" + first.URL}, "is another worker running?"},
		"broker taken":   {[]string{"PENSTOCK_LISTENERS=http://127.0.0.1:0", "PENSTOCK_DATA_DIR=" + dir, "PENSTOCK_BROKER_LISTEN=" + first.Bootstrap}, "penstock.broker.listen"},
		"no Kafka":       {[]string{"PENSTOCK_LISTENERS=http://127.0.0.1:0", "PENSTOCK_BOOTSTRAP_SERVERS=127.0.0.1:1", "PENSTOCK_DEFAULT_API_TIMEOUT_MS=1500"}, "bootstrap.servers"},
		"bad converter":  {[]string{"PENSTOCK_VALUE_CONVERTER=nonsense"}, "Class nonsense could not be found"},
		"bad client":     {[]string{"PENSTOCK_PRODUCER_ACKS=7"}, "acks"},
		"bad retention":  {[]string{"PENSTOCK_BROKER_RETENTION_MS=x"}, "Not a number"},
		"bad setting":    {[]string{"PENSTOCK_LISTENERS=nonsense", "PENSTOCK_STATUS_STORAGE_PARTITIONS=many"}, "Not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			w, err := worker.Start(ctx, worker.Options{Environ: c.env, Log: &lockedBuffer{}})
			if err == nil {
				cancel()
				t.Fatalf("it started: %v", w.Wait())
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestREST_BoundsBodies(t *testing.T) {
	t.Parallel()
	w := startWorker(t)
	huge := []byte(`{"name":"` + strings.Repeat("x", 9<<20) + `"}`)
	status, _, body := w.do(t, http.MethodPost, "/connectors", map[string]string{"Content-Type": "application/json"}, huge)
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("9 MiB are answered with %d: %.200s", status, body)
	}
}

func TestListeners_WarnOfOpenOnes(t *testing.T) {
	t.Parallel()
	w := startWorker(t, "PENSTOCK_LISTENERS=http://0.0.0.0:0", "PENSTOCK_REST_ADVERTISED_HOST_NAME=localhost")
	if !strings.Contains(w.log.String(), "no authentication") {
		t.Errorf("an open listener is not warned of:\n%s", w.tail())
	}
	if !strings.HasPrefix(w.URL, "http://localhost:") {
		t.Errorf("the URL is %s", w.URL)
	}
}
