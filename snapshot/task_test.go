package snapshot_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/snapshot"
)

// offsets keeps a position in memory.
type offsets struct {
	mu sync.Mutex
	p  schema.Position
}

func (o *offsets) Load(context.Context) (schema.Position, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.p, nil
}

func (o *offsets) Save(_ context.Context, p schema.Position) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.p = p
	return nil
}

// TestTask_SavesThatTheTablesAreCopiedAgain loses the log under a running
// task: it ends with an error that passes, and begins a new snapshot when it
// is run again, even though its log could then be opened.
func TestTask_SavesThatTheTablesAreCopiedAgain(t *testing.T) {
	t.Parallel()
	d := newDatabase(5, 1)
	topic := "p." + d.tables[0].Path()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	json := converters.NewJSON(converters.JSONConfig{})
	saved := &offsets{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// run calls then once the task streams.
	run := func(then func(stop func())) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var once sync.Once
		task := &capture.Task{
			Name: "sim", Open: snapshot.Wrap(d, config(snapshot.WhenNeeded, 2)), Offsets: saved, Kafka: client, Logger: quiet, SaveEvery: time.Millisecond,
			Shape: capture.Shape{Naming: capture.Naming{Prefix: "p", Delimiter: "."}, Key: json, Value: json, KeyHeader: json},
			Observer: capture.Observer{Saved: func(p schema.Position) {
				if !strings.Contains(string(p), "snapshot") {
					once.Do(func() { then(cancel) })
				}
			}},
		}
		return task.Run(ctx)
	}
	d.write(3)
	err = run(func(func()) {
		d.write(5)
		d.lose()
	})
	if err == nil || capture.IsPermanent(err) || !strings.Contains(err.Error(), "copied again") {
		t.Fatalf("the loss ended in %v", err)
	}
	if !strings.Contains(string(saved.p), `"snapshot_completed":false`) {
		t.Fatalf("saved is %s", saved.p)
	}
	d.lost = 0 // as if somebody had brought the log back
	views := d.views
	d.write(5)
	if err := run(func(stop func()) { stop() }); err != nil {
		t.Fatal(err)
	}
	if d.views != views+1 {
		t.Errorf("%d new snapshots", d.views-views)
	}
}
