package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/worker"
)

// patience bounds waiting, on machines that have other things to do as well.
const patience = 3 * time.Minute

// run is a worker with the connectors of all configurations of a system.
type run struct {
	t              *testing.T
	system         string
	configurations []configuration
	last           string // topic of the workload's last statement
	worker         *worker.Worker
	tape           *tape
	replace        map[string]string // settings
}

// newRun starts a worker. settings are those that say where the database is.
func newRun(t *testing.T, system, prefix string, settings map[string]string) *run {
	t.Helper()
	r := &run{t: t, system: system, configurations: configurations(prefix), last: "g.empty_t", worker: startWorker(t), replace: settings}
	if system == "mysql" {
		r.replace["schema.history.internal.kafka.bootstrap.servers"] = r.worker.Bootstrap
		r.last = "gold.empty_t"
	}
	r.tape = newTape(t, r.worker.Bootstrap)
	return r
}

// startWorker starts a worker that stops with the test.
func startWorker(t *testing.T) *worker.Worker {
	t.Helper()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "penstock.log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w, err := worker.Start(ctx, worker.Options{
		Environ: []string{"PENSTOCK_DATA_DIR=" + filepath.Join(dir, "data"), "PENSTOCK_LISTENERS=http://127.0.0.1:0", "PENSTOCK_BROKER_LISTEN=127.0.0.1:0"},
		Log:     log,
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := w.Wait(); err != nil {
			t.Errorf("the worker stopped with %v", err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			words, err := os.ReadFile(log.Name())
			t.Logf("the worker's last words (%v):\n%s", err, words[max(0, len(words)-4000):])
		}
	})
	return w
}

// addressOf are the settings of a database that say where it is.
func addressOf(a servers.Address) map[string]string {
	return map[string]string{
		"database.hostname": a.Host, "database.port": strconv.Itoa(a.Port), "database.user": a.User, "database.password": a.Password,
	}
}

// start posts the connectors and waits until their snapshots are complete.
func (r *run) start() {
	r.t.Helper()
	for i, cfg := range r.configurations {
		text, err := os.ReadFile(recordingPath(r.system, cfg.connector))
		if err != nil {
			r.t.Fatal(err)
		}
		filled := strings.NewReplacer("@PREFIX@", cfg.prefix, "@SCHEMAS@", cfg.schemas, "@SERVERID@", fmt.Sprint(5400+i)).Replace(string(text))
		var config map[string]string
		if err := json.Unmarshal([]byte(filled), &config); err != nil {
			r.t.Fatalf("%s: %v", cfg.connector, err)
		}
		for k, v := range r.replace {
			if _, ok := config[k]; !ok {
				r.t.Fatalf("%s has no %s", cfg.connector, k)
			}
			config[k] = v
		}
		r.withhold(cfg.name, config)
		request(r.t, r.worker, http.MethodPost, "/connectors", map[string]any{"name": cfg.prefix, "config": config}, http.StatusCreated)
	}
	for _, cfg := range r.configurations {
		r.tape.await(r.t, "the end of the snapshot with prefix "+cfg.prefix, patience, func(all topics) bool {
			for topic, list := range all {
				if !hasPrefix(topic, cfg.prefix) {
					continue
				}
				for _, record := range list {
					if bytes.Contains(record.Value, []byte(`"snapshot":"last"`)) {
						return true
					}
				}
			}
			return false
		})
	}
}

// withhold takes out settings that are refused, and makes sure that they are.
func (r *run) withhold(configuration string, config map[string]string) {
	r.t.Helper()
	var answer struct {
		Configs []struct {
			Value struct {
				Name   string   `json:"name"`
				Errors []string `json:"errors"`
			} `json:"value"`
		} `json:"configs"`
	}
	asked := maps.Clone(config)
	asked["name"] = "x"
	body := request(r.t, r.worker, http.MethodPut, "/connector-plugins/"+config["connector.class"]+"/config/validate", asked, http.StatusOK)
	if err := json.Unmarshal(body, &answer); err != nil {
		r.t.Fatal(err)
	}
	var refused []string
	for _, c := range answer.Configs {
		if len(c.Value.Errors) > 0 {
			refused = append(refused, c.Value.Name)
		}
	}
	for _, key := range refused {
		if !slices.Contains(withheld[r.system], key) {
			r.t.Errorf("%s is refused", key)
		}
		delete(config, key)
		r.t.Logf("%s: without %s, which is refused so far", configuration, key)
	}
}

// request sends a request to the worker and returns the answer's body.
func request(t *testing.T, w *worker.Worker, method, path string, body any, status int) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.URL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %d instead of %d: %s", method, path, resp.StatusCode, status, answer)
	}
	return answer
}

// altersTable tells the statements before which everything has to be read: the
// connector asks the catalogue, which knows the present only.
func altersTable(statement string) bool {
	return strings.HasPrefix(statement, "ALTER ") || statement == "BEGIN"
}

// awaitSlots waits until the connectors have confirmed everything.
func (r *run) awaitSlots(conn *pgx.Conn) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var end string
	if err := conn.QueryRow(ctx, `SELECT pg_current_wal_insert_lsn()::text`).Scan(&end); err != nil {
		r.t.Fatal(err)
	}
	for {
		var behind int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn < $1::text::pg_lsn`, end).Scan(&behind)
		if err != nil {
			r.t.Fatalf("wait for the slots to reach %s: %v", end, err)
		}
		if behind == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("%d slots do not reach %s", behind, end)
		}
	}
}

// hasPrefix reports whether a topic belongs to a connector.
func hasPrefix(topic, prefix string) bool {
	return topic == prefix || strings.HasPrefix(topic, prefix+".") || strings.HasSuffix(topic, "."+prefix)
}

// tape has everything that is in the topics.
type tape struct {
	mu      sync.Mutex
	records topics
	more    chan struct{} // closed when there is more
}

// newTape reads all topics until the test ends.
func newTape(t *testing.T, bootstrap string) *tape {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.ConsumeRegex(), kgo.ConsumeTopics(`.*`),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		t.Fatal(err)
	}
	p := &tape{records: topics{}, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.take(client.PollFetches(ctx))
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		client.Close()
	})
	return p
}

func (p *tape) take(fetches kgo.Fetches) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		if strings.HasPrefix(r.Topic, "connect-") {
			return
		}
		out := record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			name, value := h.Key, string(h.Value)
			out.Headers = append(out.Headers, [2]*string{&name, &value})
			if h.Value == nil {
				out.Headers[len(out.Headers)-1][1] = nil
			}
		}
		p.records[r.Topic] = append(p.records[r.Topic], out)
	})
	close(p.more)
	p.more = make(chan struct{})
}

// of returns the topics of one connector.
func (p *tape) of(prefix string) topics {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := topics{}
	for topic, list := range p.records {
		if hasPrefix(topic, prefix) {
			out[topic] = slices.Clone(list)
		}
	}
	return out
}

// await waits until what was read is as wanted.
func (p *tape) await(t *testing.T, what string, most time.Duration, wanted func(topics) bool) {
	t.Helper()
	if !p.settle(t, most, wanted) {
		t.Fatalf("%s has not come within %s", what, most)
	}
}

// settle is await that goes on if it has waited long enough.
func (p *tape) settle(t *testing.T, most time.Duration, wanted func(topics) bool) bool {
	t.Helper()
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		p.mu.Lock()
		ok, more := wanted(p.records), p.more
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-more:
		case <-timer.C:
			return false
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
