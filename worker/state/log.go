package state

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/kafka"
)

// followEvery is how often a topic is looked at for what others have written.
const followEvery = time.Second

// topicLog is a topic of which a copy is kept in memory.
type topicLog struct {
	client *kgo.Client
	topic  string
	apply  func(*kgo.Record) // called with reading held

	reading sync.Mutex
	log     *kafka.Log
}

// openLog reads a topic, which must exist, to its end. The client stays the
// caller's.
func openLog(ctx context.Context, client *kgo.Client, topic string, apply func(*kgo.Record)) (*topicLog, error) {
	l := &topicLog{client: client, topic: topic, apply: apply, log: kafka.NewLog(client, topic)}
	if err := l.read(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// read applies everything that is in the topic by now.
func (l *topicLog) read(ctx context.Context) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	return l.log.ReadToEnd(ctx, func(r *kgo.Record) error {
		l.apply(r)
		return nil
	})
}

// write appends records in order and returns when they are acknowledged and
// read back.
func (l *topicLog) write(ctx context.Context, records ...*kgo.Record) error {
	for _, r := range records {
		r.Topic = l.topic
	}
	for _, result := range l.client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return fmt.Errorf("write to topic %s: %w", l.topic, result.Err)
		}
	}
	return l.read(ctx)
}

// follow reads what others write until ctx ends.
func (l *topicLog) follow(ctx context.Context, logger *slog.Logger) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := l.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			logger.Warn("an internal topic cannot be read; it is tried again every second", "topic", l.topic, "error", err)
		case err == nil && failing:
			logger.Info("an internal topic can be read again", "topic", l.topic)
		}
		failing = err != nil
	}
}
