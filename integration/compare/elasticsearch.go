package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Elasticsearch is a cluster as a destination.
type Elasticsearch struct{ url string }

// NewElasticsearch takes an http:// URL, with user and password if need be.
func NewElasticsearch(url string) *Elasticsearch {
	return &Elasticsearch{url: strings.TrimSuffix(url, "/")}
}

// page is how many documents are asked for at once.
const page = 5000

// hit is one document as a search returns it, and as documents hands it on.
type hit struct {
	ID     string          `json:"_id"`
	Source json.RawMessage `json:"_source"`
	Sort   json.RawMessage `json:"sort,omitempty"`
}

// documents reads a whole index at one point in time, after a refresh that
// makes everything written before visible.
func (e *Elasticsearch) documents(ctx context.Context, index string, f func([]byte) error) (err error) {
	if err := e.call(ctx, http.MethodPost, "/"+url.PathEscape(index)+"/_refresh", nil, nil); err != nil {
		return fmt.Errorf("refresh the index: %w", err)
	}
	var pit struct{ ID string }
	if err := e.call(ctx, http.MethodPost, "/"+url.PathEscape(index)+"/_pit?keep_alive=2m", nil, &pit); err != nil {
		return fmt.Errorf("open a point in time: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := e.call(closing, http.MethodDelete, "/_pit", map[string]any{"id": pit.ID}, nil); err == nil {
			err = e
		}
	}()
	var after json.RawMessage
	for {
		query := map[string]any{
			"size": page, "track_total_hits": false,
			"pit":  map[string]any{"id": pit.ID, "keep_alive": "2m"},
			"sort": []any{map[string]any{"_shard_doc": "asc"}},
		}
		if after != nil {
			query["search_after"] = after
		}
		var answer struct {
			PIT      string `json:"pit_id"`
			TimedOut bool   `json:"timed_out"`
			Shards   struct {
				Failed int `json:"failed"`
			} `json:"_shards"`
			Hits struct {
				Hits []hit `json:"hits"`
			} `json:"hits"`
		}
		if err := e.call(ctx, http.MethodPost, "/_search", query, &answer); err != nil {
			return fmt.Errorf("search: %w", err)
		}
		if answer.TimedOut || answer.Shards.Failed > 0 {
			return errors.New("search: the answer is incomplete")
		}
		if answer.PIT != "" {
			pit.ID = answer.PIT
		}
		for _, h := range answer.Hits.Hits {
			after, h.Sort = h.Sort, nil
			raw, err := json.Marshal(h)
			if err != nil {
				return err
			}
			if err := f(raw); err != nil {
				return err
			}
		}
		if len(answer.Hits.Hits) < page {
			return nil
		}
	}
}

func (e *Elasticsearch) decode(raw []byte) (map[string]any, error) {
	var h hit
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	v, err := parseJSON(string(h.Source))
	if err != nil {
		return nil, fmt.Errorf("read the document %s: %w", h.ID, err)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document %s is no object", h.ID)
	}
	fields["_id"] = h.ID
	return fields, nil
}

func (e *Elasticsearch) call(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, e.url+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", resp.Status, clip(string(answer)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
