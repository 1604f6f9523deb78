package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/penstock/penstock/integration/servers"
)

// store is a destination.
type store interface {
	// config is what a sink needs to write the topic into a target.
	config(topic, target string) map[string]string
	// count returns the target's documents.
	count(ctx context.Context, target string) (int, error)
	// raw loads the same rows into a target, in bulks that are ready.
	raw(ctx context.Context, target string, rows int) (measured, error)
}

// sinkCase applies a topic to an empty destination.
func sinkCase[S store](open func(ctx context.Context, s *suite) (S, error)) func(context.Context, *suite, measurement) error {
	return func(ctx context.Context, s *suite, m measurement) (err error) {
		dest, err := open(ctx, s)
		if err != nil {
			return err
		}
		if err := s.fill(ctx); err != nil {
			return err
		}
		d, err := s.start(ctx, m.id())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end(d)) }()
		r := runner{name: ours, Daemon: d}
		return m.each(
			func() error {
				return m.baseline("bulk loader", func() (measured, error) { return dest.raw(ctx, m.id()+"_raw", s.rows) })
			},
			func() error {
				return m.runner(r, s.rows,
					func() error { return create(ctx, d, m.id(), dest.config(s.filled, m.id())) },
					func(*result) error {
						return reach(ctx, d, m.id(), 200*time.Millisecond, s.rows, func(ctx context.Context) (int, error) { return dest.count(ctx, m.id()) })
					})
			})
	}
}

// fill writes an insert's event of each row into a topic, once in a run.
func (s *suite) fill(ctx context.Context) error {
	const topic = "bench-filled"
	if s.filled != "" {
		return nil
	}
	if err := s.topic(ctx, topic); err != nil {
		return err
	}
	err := benchRows(s.rows, 1000, func(rows []benchRow) error {
		records := make([]*kgo.Record, len(rows))
		for i := range rows {
			after := map[string]any{}
			for _, f := range document(&rows[i])[1:] {
				after[f.Key] = f.Value
			}
			value, err := json.Marshal(map[string]any{
				"before": nil, "after": after, "op": "c", "ts_ms": 1,
				"source": map[string]any{"connector": "postgresql", "name": "bench", "db": "bench", "schema": "public", "table": "bench", "ts_ms": 1},
			})
			if err != nil {
				return fmt.Errorf("render an event: %w", err)
			}
			records[i] = &kgo.Record{Topic: topic, Key: []byte(`{"id":` + rows[i][0] + `}`), Value: value}
		}
		return s.client.ProduceSync(ctx, records...).FirstErr()
	})
	if err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	s.filled = topic
	return nil
}

const mongoDatabase = "bench"

type mongoStore struct {
	server *servers.MongoServer
	client *mongo.Client
}

func openMongo(ctx context.Context, s *suite) (*mongoStore, error) {
	if s.mongo != nil {
		return s.mongo, nil
	}
	server, err := s.servers.StartMongo(ctx)
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %w", err)
	}
	s.mongo, s.report.Servers["MongoDB"] = &mongoStore{server, client}, server.Version
	return s.mongo, nil
}

func (o *mongoStore) config(topic, target string) map[string]string {
	return map[string]string{"connector.class": "mongodb-sink", "topics": topic, "connection.uri": o.server.URI(), "database": mongoDatabase, "collection": target}
}

func (o *mongoStore) count(ctx context.Context, target string) (int, error) {
	n, err := o.client.Database(mongoDatabase).Collection(target).EstimatedDocumentCount(ctx)
	return int(n), err
}

func (o *mongoStore) raw(ctx context.Context, target string, rows int) (measured, error) {
	return raw(ctx, "mongo", o.server.URI(), mongoDatabase, target, strconv.Itoa(rows))
}

func (o *mongoStore) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return o.client.Disconnect(ctx)
}

type elasticStore struct{ server *servers.ElasticsearchServer }

func openElastic(ctx context.Context, s *suite) (*elasticStore, error) {
	if s.elastic != nil {
		return s.elastic, nil
	}
	server, err := s.servers.StartElasticsearch(ctx)
	if err != nil {
		return nil, err
	}
	e := &elasticStore{server}
	// Java has to have met the work before the first contestant.
	if _, err := e.raw(ctx, "bench-warm-up", min(s.rows, 20_000)); err != nil {
		return nil, err
	}
	s.elastic, s.report.Servers["Elasticsearch"] = e, server.Version
	return s.elastic, nil
}

func (e *elasticStore) config(topic, target string) map[string]string {
	return map[string]string{"connector.class": "elasticsearch-sink", "topics": topic, "connection.url": e.server.URL(), "index.name": target}
}

// count makes visible what was written and counts it; an index that is not
// there yet or not ready has 0.
func (e *elasticStore) count(ctx context.Context, target string) (int, error) {
	var answer struct{ Count int }
	for _, path := range []string{"/_refresh", "/_count"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.server.URL()+"/"+target+path, nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, fmt.Errorf("count in Elasticsearch: %w", err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return 0, fmt.Errorf("count in Elasticsearch: %w", err)
		}
		if resp.StatusCode != http.StatusOK {
			return 0, nil
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return 0, fmt.Errorf("count in Elasticsearch: %w", err)
		}
	}
	return answer.Count, nil
}

func (e *elasticStore) raw(ctx context.Context, target string, rows int) (measured, error) {
	return raw(ctx, "elastic", e.server.URL(), target, strconv.Itoa(rows))
}
