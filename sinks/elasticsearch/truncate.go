package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// truncatePage is how many documents are deleted at once.
const truncatePage = 2000

// pitKeepAlive is how long Elasticsearch keeps a point in time after it was
// last asked for a page: for a cluster that is busy in between.
const pitKeepAlive = "5m"

// truncate deletes what was written before the truncate, by its version:
// documents that are newer, because the truncate is repeated, stay. A
// *sinks.WriteError is about documents that could not be deleted.
func (s *sink) truncate(ctx context.Context, o *op) error {
	path := "/" + url.PathEscape(s.build.indices[o.index])
	// What was written just now is not found before a refresh.
	var refreshed struct {
		Shards shards `json:"_shards"`
	}
	var status *statusError
	err := s.ask(ctx, http.MethodPost, path+"/_refresh", nil, &refreshed)
	if errors.As(err, &status) && status.kind == "index_not_found_exception" {
		return nil // nothing was ever written
	}
	if err == nil {
		err = refreshed.Shards.err()
	}
	if err != nil {
		return fmt.Errorf("refresh the index: %w", err)
	}
	// A point in time, because only that gives the documents of several shards
	// an order in which a page can begin where the last one ended.
	var pit struct {
		ID string `json:"id"`
	}
	if err := s.ask(ctx, http.MethodPost, path+"/_pit?keep_alive="+pitKeepAlive, nil, &pit); err != nil {
		return fmt.Errorf("open a point in time: %w", err)
	}
	id := pit.ID
	defer func() { s.closePIT(ctx, id) }()
	after := ""
	for {
		page, err := s.page(ctx, id, after)
		if err != nil {
			return fmt.Errorf("search for documents: %w", err)
		}
		if page.PIT != "" {
			id = page.PIT
		}
		hits := page.Hits.Hits
		if len(hits) == 0 {
			return nil
		}
		if err := s.deleteAll(ctx, hits, o.version); err != nil {
			return err
		}
		after = string(hits[len(hits)-1].Sort)
	}
}

// hit is a document that was found.
type hit struct {
	Index string          `json:"_index"`
	ID    string          `json:"_id"`
	Sort  json.RawMessage `json:"sort"`
}

// page is what is asked of the answer to a search.
type page struct {
	PIT      string `json:"pit_id"`
	TimedOut bool   `json:"timed_out"`
	Shards   shards `json:"_shards"`
	Hits     struct {
		Hits []hit `json:"hits"`
	} `json:"hits"`
}

// page returns the documents of a point in time that follow those before. An
// answer that some shard has no part in is an error.
func (s *sink) page(ctx context.Context, pit, after string) (*page, error) {
	query := []byte(`{"size":` + strconv.Itoa(truncatePage) + `,"_source":false,"track_total_hits":false,"sort":["_shard_doc"],"pit":{"keep_alive":"` + pitKeepAlive + `","id":`)
	query = append(appendString(query, pit), '}')
	if after != "" {
		query = append(query, `,"search_after":`+after...)
	}
	var p page
	err := s.ask(ctx, http.MethodPost, "/_search?allow_partial_search_results=false", append(query, '}'), &p)
	if err == nil && p.TimedOut {
		err = errors.New("it timed out before all documents were found")
	}
	if err == nil {
		err = p.Shards.err()
	}
	return &p, err
}

// shards is how an answer says what became of a request on each shard.
type shards struct {
	Total    int `json:"total"`
	Failed   int `json:"failed"`
	Failures []struct {
		Reason cause `json:"reason"`
	} `json:"failures"`
}

func (s *shards) err() error {
	switch {
	case s.Failed == 0:
		return nil
	case len(s.Failures) == 0:
		return fmt.Errorf("%d of %d shards failed", s.Failed, s.Total)
	default:
		return fmt.Errorf("%d of %d shards failed: %s", s.Failed, s.Total, s.Failures[0].Reason.text())
	}
}

// deleteAll deletes documents, unless they are newer than version.
func (s *sink) deleteAll(ctx context.Context, hits []hit, version int64) error {
	s.build.reset()
	s.ops = s.ops[:0]
	s.rounds.Reset(len(hits))
	for _, h := range hits {
		o := s.build.deleteHit(h.Index, h.ID, version)
		s.rounds.Add(s.build.bytes(o.key), true)
		s.ops = append(s.ops, o)
	}
	return s.apply(ctx)
}

// closeTimeout bounds the farewell to a point in time.
const closeTimeout = 5 * time.Second

func (s *sink) closePIT(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	body := append(appendString([]byte(`{"id":`), id), '}')
	if _, err := s.client.do(ctx, http.MethodDelete, "/_pit", "application/json", body); err != nil {
		s.logger.Debug("a point in time was not closed; Elasticsearch drops it by itself", "after", pitKeepAlive, "error", err)
	}
}
