package elasticsearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/elasticsearch"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// destination returns a destination; raw goes over the least that is needed.
func destination(t *testing.T, srv *servers.ElasticsearchServer, raw map[string]string) sinks.Destination {
	t.Helper()
	cfg := map[string]string{"connector.class": "elasticsearch-sink", "connection.url": srv.URL()}
	maps.Copy(cfg, raw)
	c := elasticsearch.Connector()
	v, problems := c.Settings.Parse(cfg)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d, problems := c.New(v, sinks.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

// open opens a sink.
func open(t *testing.T, srv *servers.ElasticsearchServer, raw map[string]string) sinks.Sink {
	t.Helper()
	d := destination(t, srv, raw)
	s, err := d.Open(t.Context())
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

// request sends a request and decodes the answer into out, if it is not nil.
func request(t *testing.T, srv *servers.ElasticsearchServer, method, path, body string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	if out == nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		t.Fatal(err)
	}
}

type hit struct {
	ID     string         `json:"_id"`
	Source map[string]any `json:"_source"`
}

func documents(t *testing.T, srv *servers.ElasticsearchServer, index string) []hit {
	t.Helper()
	request(t, srv, http.MethodPost, "/"+index+"/_refresh", "", nil)
	var found struct {
		Hits struct {
			Hits []hit `json:"hits"`
		} `json:"hits"`
	}
	request(t, srv, http.MethodGet, "/"+index+"/_search?size=10000", "", &found)
	return found.Hits.Hits
}

func TestSink_Conforms(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]map[string]string{
		"Default":      nil,
		"SmallBatches": {"batch.size": "3", "max.in.flight.requests": "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinkstest.Run(t, func(t *testing.T) sinkstest.Target {
				srv := servers.Elasticsearch(t)
				topic := srv.Index("Shop.T")
				index := strings.ToLower(topic)
				// A keyword has at most 32,766 bytes, unless it is told to
				// leave longer ones alone.
				request(t, srv, http.MethodPut, "/"+index, `{"settings":{"number_of_shards":1,"number_of_replicas":0},"mappings":{"properties":{"body":{"type":"keyword"}}}}`, nil)
				return sinkstest.Target{
					Topic: topic, Sink: open(t, srv, raw), Truncates: true,
					Poison: func() sinkstest.Row { return sinkstest.Row{Name: "huge", Body: strings.Repeat("x", 40_000)} },
					Contents: func(t *testing.T) map[int64]map[string]string {
						rows := map[int64]map[string]string{}
						for _, d := range documents(t, srv, index) {
							id, err := strconv.ParseInt(d.ID, 10, 64)
							if err != nil {
								t.Fatal(err)
							}
							fields := map[string]string{}
							for k, v := range d.Source {
								fields[k] = fmt.Sprint(v)
							}
							rows[id] = fields
						}
						return rows
					},
				}
			})
		})
	}
}
