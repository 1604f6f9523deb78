package worker_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/worker"
	"github.com/penstock/penstock/worker/catalogue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWorker is a worker with an embedded broker of its own.
type testWorker struct {
	*worker.Worker
	// bootstrap is the address of its Kafka.
	bootstrap string
	kafka     *kgo.Client // balances by key
	manual    *kgo.Client // writes to the partition that the record names
	log       *lockedBuffer
	stop      func()
	// internal is what was in the internal topics when the worker stopped.
	internal []string
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startWorker starts a worker that stops with the test.
func startWorker(t *testing.T, env ...string) *testWorker {
	t.Helper()
	w := startWorkerIn(t, t.TempDir(), env...)
	t.Cleanup(w.stop)
	return w
}

// startWorkerIn starts a worker on a data directory. The caller stops it.
func startWorkerIn(t *testing.T, dir string, env ...string) *testWorker {
	t.Helper()
	return startWorkerWith(t, dir, nil, env...)
}

func startWorkerWith(t *testing.T, dir string, c *catalogue.Catalogue, env ...string) *testWorker {
	t.Helper()
	log := &lockedBuffer{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w, err := worker.Start(ctx, worker.Options{
		Environ: append([]string{
			"PENSTOCK_DATA_DIR=" + dir, "PENSTOCK_LISTENERS=http://127.0.0.1:0", "PENSTOCK_BROKER_LISTEN=127.0.0.1:0",
		}, env...),
		Log: log, Catalogue: c,
	})
	if err != nil {
		cancel()
		t.Fatalf("start a worker: %v\n%s", err, log)
	}
	tw := &testWorker{Worker: w, log: log, bootstrap: w.Bootstrap}
	for _, e := range env {
		if servers, ok := strings.CutPrefix(e, "CONNECT_BOOTSTRAP_SERVERS="); ok {
			tw.bootstrap = servers
		}
	}
	tw.kafka = newClient(t, tw.bootstrap)
	tw.manual = newClient(t, tw.bootstrap, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	tw.stop = sync.OnceFunc(func() {
		tw.internal = dump(t, tw.bootstrap)
		tw.kafka.Close()
		tw.manual.Close()
		cancel()
		if err := w.Wait(); err != nil {
			t.Errorf("the worker stopped with %v\n%s", err, tw.tail())
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return tw
}

func newClient(t *testing.T, bootstrap string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(bootstrap))...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// do sends a request to the worker, with the path as it is.
func (w *testWorker) do(t *testing.T, method, path string, headers map[string]string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.URL, reader)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.Opaque = "//" + req.URL.Host + path // neither cleaned nor escaped anew
	req.URL.RawQuery = query
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, w.tail())
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// tail returns the end of the worker's log.
func (w *testWorker) tail() string {
	text := w.log.String()
	const most = 4000
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

// dump returns everything that is in the internal topics.
func dump(t *testing.T, bootstrap string) []string {
	t.Helper()
	cl := newClient(t, bootstrap)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	var out []string
	for _, topic := range []string{"connect-configs", "connect-status", "connect-offsets"} {
		err := kafka.NewLog(cl, topic).ReadToEnd(ctx, func(r *kgo.Record) error {
			out = append(out, string(r.Key)+" "+string(r.Value))
			return nil
		})
		if err != nil {
			t.Errorf("read %s: %v", topic, err)
		}
	}
	return out
}
