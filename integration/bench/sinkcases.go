package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/integration/servers"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// sinkRows bounds the rows of the sink cases: stores are slower than logs.
const sinkRows = 300_000

// destination is a store to write to.
type destination interface {
	name() string
	// config is a sink connector's that writes the topic to the target.
	config(topic, target string) map[string]string
	// count returns how many documents were written to the target.
	count(ctx context.Context, target string) (int, error)
	bulkRaw(ctx context.Context, target string, rows int) (measured, error)
	drop(ctx context.Context, target string) error
}

type mongoStore struct {
	server *servers.MongoServer
	db     *mongo.Database
}

func openMongo(s *servers.MongoServer) (*mongoStore, error) {
	c, err := mongo.Connect(options.Client().ApplyURI(s.URI()))
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %w", err)
	}
	return &mongoStore{server: s, db: c.Database("bench")}, nil
}

func (m *mongoStore) name() string { return "mongodb" }

func (m *mongoStore) config(topic, target string) map[string]string {
	return map[string]string{"connector.class": "mongodb-sink", "topics": topic, "connection.uri": m.server.URI(), "database": "bench", "collection": target}
}

func (m *mongoStore) count(ctx context.Context, target string) (int, error) {
	n, err := m.db.Collection(target).EstimatedDocumentCount(ctx)
	return int(n), err
}

func (m *mongoStore) bulkRaw(ctx context.Context, target string, rows int) (measured, error) {
	return raw(ctx, "mongo", m.server.URI(), "bench", target, strconv.Itoa(rows))
}

func (m *mongoStore) drop(ctx context.Context, target string) error {
	return m.db.Collection(target).Drop(ctx)
}

type elasticStore struct{ server *servers.ElasticsearchServer }

func (e *elasticStore) name() string { return "elasticsearch" }

func (e *elasticStore) config(topic, target string) map[string]string {
	return map[string]string{"connector.class": "elasticsearch-sink", "topics": topic, "connection.url": e.server.URL(), "index.name": target}
}

// count asks how many documents were indexed, which a search would tell only
// after a refresh.
func (e *elasticStore) count(ctx context.Context, target string) (int, error) {
	var s struct {
		All struct {
			Primaries struct {
				Indexing struct {
					Total int `json:"index_total"`
				}
			}
		} `json:"_all"`
	}
	err := e.call(ctx, http.MethodGet, "/"+target+"/_stats/indexing", &s)
	if errors.Is(err, errNotThere) {
		return 0, nil
	}
	return s.All.Primaries.Indexing.Total, err
}

func (e *elasticStore) bulkRaw(ctx context.Context, target string, rows int) (measured, error) {
	return raw(ctx, "elastic", e.server.URL(), target, strconv.Itoa(rows))
}

func (e *elasticStore) drop(ctx context.Context, target string) error {
	err := e.call(ctx, http.MethodDelete, "/"+target, nil)
	if errors.Is(err, errNotThere) {
		return nil
	}
	return err
}

var errNotThere = errors.New("not there")

func (e *elasticStore) call(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, e.server.URL()+path, nil)
	if err != nil {
		return err
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
	case resp.StatusCode == http.StatusNotFound:
		return errNotThere
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: %s %.300s", method, path, resp.Status, answer)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

// log makes the topic that the sinks read: the events of a snapshot.
func (b *bench) log(ctx context.Context, src source, rows int) (string, error) {
	if b.sinkLog != "" {
		return b.sinkLog, nil
	}
	if err := src.fill(ctx, rows); err != nil {
		return "", err
	}
	w, err := b.daemon(ctx)
	if err != nil {
		return "", err
	}
	defer w.stop()
	prefix := b.prefix()
	topic := src.topic(prefix)
	if err := b.topics.make(ctx, topic); err != nil {
		return "", err
	}
	r := result{Rows: rows}
	err = b.watch(ctx, w, prefix, &r,
		func() error {
			return w.create(ctx, prefix, b.settings(src, prefix, w, map[string]string{"snapshot.mode": "initial"}))
		},
		func() (int, error) { n, err := b.topics.end(ctx, topic); return int(n), err })
	if err != nil {
		return "", fmt.Errorf("fill a topic for the sinks: %w", err)
	}
	if err := errors.Join(w.remove(ctx, prefix), src.forget(ctx, prefix)); err != nil {
		return "", err
	}
	b.sinkLog = topic
	return topic, nil
}

// sink measures how fast a topic's events become documents.
func (b *bench) sink(ctx context.Context, src source, dst destination, round int) error {
	rows := min(b.Rows, sinkRows)
	topic, err := b.log(ctx, src, rows)
	if err != nil {
		return err
	}
	w, err := b.daemon(ctx)
	if err != nil {
		return err
	}
	defer w.stop()
	return b.contest(ctx, dst.name()+"-sink", round, []contestant{
		{"bulk loader", func(ctx context.Context, r *result) error {
			target := b.prefix()
			m, err := dst.bulkRaw(ctx, target, rows)
			r.take(m, rows)
			return errors.Join(err, dst.drop(ctx, target))
		}},
		{ours, func(ctx context.Context, r *result) error {
			target := b.prefix()
			r.Rows = rows
			err := b.watch(ctx, w, target, r,
				func() error { return w.create(ctx, target, dst.config(topic, target)) },
				func() (int, error) { return dst.count(ctx, target) })
			return errors.Join(err, w.remove(ctx, target), dst.drop(ctx, target))
		}},
	})
}
