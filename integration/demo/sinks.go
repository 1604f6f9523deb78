package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/integration/compare"
	"github.com/penstock/penstock/integration/servers"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// store is a sink's side of a mirror.
type store interface {
	// target is where a table's rows are.
	target(table string) string
	// count returns the number of documents of these tables.
	count(ctx context.Context, tables []shopTable) (int, error)
	// watch notes probes as they come, until ctx ends. It calls opened once
	// none can be missed any more.
	watch(ctx context.Context, w *stopwatch, opened func()) error
	// show prints what a person might look for.
	show(ctx context.Context, t *terminal) error
}

// mongoStore is the shop in MongoDB.
type mongoStore struct{ db *mongo.Database }

func openMongo(server *servers.MongoServer, database string) (*mongoStore, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %w", err)
	}
	return &mongoStore{db: client.Database(database)}, nil
}

func (m *mongoStore) target(table string) string { return table }

func (m *mongoStore) count(ctx context.Context, tables []shopTable) (int, error) {
	total := 0
	for _, t := range tables {
		n, err := m.db.Collection(m.target(t.name)).EstimatedDocumentCount(ctx)
		if err != nil {
			return 0, fmt.Errorf("count the documents of %s: %w", t.name, err)
		}
		total += int(n)
	}
	return total, nil
}

func (m *mongoStore) watch(ctx context.Context, w *stopwatch, opened func()) error {
	stream, err := m.db.Collection(m.target(probes)).Watch(ctx, mongo.Pipeline{}, options.ChangeStream().SetMaxAwaitTime(time.Second))
	if err != nil {
		return fmt.Errorf("watch the probes in MongoDB: %w", err)
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }() // it was only read
	opened()
	for stream.Next(ctx) {
		at := time.Now()
		id, err := stream.Current.LookupErr("fullDocument", "id")
		if err != nil {
			continue // a probe's deletion, which nobody does
		}
		if n, ok := id.AsInt64OK(); ok {
			w.saw(n, at)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return stream.Err()
}

// show prints one customer as MongoDB has it.
func (m *mongoStore) show(ctx context.Context, t *terminal) error {
	filter := bson.D{{Key: "loyalty_points", Value: bson.D{{Key: "$gt", Value: 0}}}, {Key: "preferences", Value: bson.D{{Key: "$ne", Value: nil}}}}
	raw, err := m.db.Collection(m.target("customers")).FindOne(ctx, filter).Raw()
	if err != nil {
		return fmt.Errorf("find a customer with loyalty points in MongoDB: %w", err)
	}
	text, err := bson.MarshalExtJSONIndent(raw, false, false, "    ", "  ")
	if err != nil {
		return fmt.Errorf("render a document: %w", err)
	}
	t.step("A document in MongoDB")
	t.say("  %s", t.dim("db.customers.findOne({loyalty_points: {$gt: 0}})"))
	t.say("    %s", text)
	return nil
}

// elasticStore is the shop in Elasticsearch.
type elasticStore struct{ server *servers.ElasticsearchServer }

func (e *elasticStore) target(table string) string { return "shop-" + table }

func (e *elasticStore) count(ctx context.Context, tables []shopTable) (int, error) {
	total := 0
	for _, t := range tables {
		var answer struct{ Count int }
		err := e.call(ctx, http.MethodGet, "/"+e.target(t.name)+"/_count", nil, &answer)
		if err != nil && !errors.Is(err, errNotYet) {
			return 0, fmt.Errorf("count the documents of %s: %w", t.name, err)
		}
		total += answer.Count
	}
	return total, nil
}

// watch asks for the probes that are under way, by their ids, which
// Elasticsearch answers without waiting for a refresh.
func (e *elasticStore) watch(ctx context.Context, w *stopwatch, opened func()) error {
	opened()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ids := w.missing()
		if len(ids) == 0 {
			continue
		}
		// They arrive in this order, and asking must not be what keeps the
		// server busy.
		ids = ids[:min(len(ids), 100)]
		names := make([]string, len(ids))
		for i, id := range ids {
			names[i] = strconv.FormatInt(id, 10)
		}
		var answer struct {
			Docs []struct {
				ID    string `json:"_id"`
				Found bool
			}
		}
		err := e.call(ctx, http.MethodPost, "/"+e.target(probes)+"/_mget?_source=false", map[string]any{"ids": names}, &answer)
		at := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errNotYet):
			continue
		case err != nil:
			return fmt.Errorf("look for the probes in Elasticsearch: %w", err)
		}
		for _, d := range answer.Docs {
			if id, err := strconv.ParseInt(d.ID, 10, 64); err == nil && d.Found {
				w.saw(id, at)
			}
		}
	}
}

// show searches the reviews.
func (e *elasticStore) show(ctx context.Context, t *terminal) error {
	const words = "quiet kettle beautiful"
	var answer struct {
		Took int
		Hits struct {
			Total struct{ Value int }
			Hits  []struct {
				Score  float64 `json:"_score"`
				Source struct {
					Title, Body string
					Stars       int
				} `json:"_source"`
				Highlight map[string][]string
			}
		}
	}
	query := map[string]any{
		"size":  2,
		"query": map[string]any{"multi_match": map[string]any{"query": words, "fields": []string{"title", "body"}}},
		"highlight": map[string]any{
			"pre_tags": []string{"«"}, "post_tags": []string{"»"}, "number_of_fragments": 0,
			"fields": map[string]any{"title": map[string]any{}, "body": map[string]any{}},
		},
	}
	if err := e.call(ctx, http.MethodPost, "/"+e.target("reviews")+"/_search", query, &answer); err != nil {
		return fmt.Errorf("search the reviews: %w", err)
	}
	if len(answer.Hits.Hits) == 0 {
		return fmt.Errorf("search the reviews: nothing found for %q", words)
	}
	t.step("A search in Elasticsearch")
	t.say("  %s", t.dim(fmt.Sprintf("%q in title and body of the reviews: %s hits in %d ms", words, thousands(answer.Hits.Total.Value), answer.Took)))
	for _, h := range answer.Hits.Hits {
		title, body := h.Source.Title, h.Source.Body
		if m := h.Highlight["title"]; len(m) > 0 {
			title = m[0]
		}
		if m := h.Highlight["body"]; len(m) > 0 {
			body = m[0]
		}
		t.say("    %s  %s  %s", stars(h.Source.Stars), t.bold(title), t.dim(fmt.Sprintf("(score %.1f)", h.Score)))
		t.say("      %s", body)
	}
	return nil
}

func stars(n int) string {
	const five = "★★★★★☆☆☆☆☆"
	return string([]rune(five)[5-min(5, n) : 10-min(5, n)])
}

// errNotYet is the answer about an index that does not exist yet, or whose
// shards are about to start.
var errNotYet = errors.New("not there yet")

func (e *elasticStore) call(ctx context.Context, method, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, e.server.URL()+path, nil)
	if err != nil {
		return err
	}
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusServiceUnavailable:
		return errNotYet
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: %s %.300s", method, path, resp.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

// pairs lists what to compare.
func pairs(s store, tables []shopTable) []compare.Pair {
	var ps []compare.Pair
	for _, t := range tables {
		ps = append(ps, compare.Pair{Table: t.name, Target: s.target(t.name)})
	}
	return ps
}
