package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topics is the broker as the measurements see it.
type topics struct {
	admin   *kadm.Client
	brokers []string
}

func openTopics(brokers []string) (*topics, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	return &topics{admin: kadm.NewClient(c), brokers: brokers}, nil
}

func (t *topics) close() { t.admin.Close() }

// make creates a topic of one partition, so that who produces to it pays for
// no metadata while the clock runs.
func (t *topics) make(ctx context.Context, topic string) error {
	_, err := t.admin.CreateTopic(ctx, 1, 1, nil, topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

// drop deletes all topics with a prefix.
func (t *topics) drop(ctx context.Context, prefix string) error {
	all, err := t.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list the topics: %w", err)
	}
	var names []string
	for _, name := range all.Names() {
		if name == prefix || strings.HasPrefix(name, prefix+".") || strings.HasSuffix(name, "."+prefix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err = t.admin.DeleteTopics(ctx, names...)
	return err
}

// end returns the topic's next offset.
func (t *topics) end(ctx context.Context, topic string) (int64, error) {
	ends, err := t.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	o, ok := ends.Lookup(topic, 0)
	if !ok {
		return 0, nil
	}
	return max(0, o.Offset), o.Err
}

// read consumes from an offset on and calls f with each record and the time at
// which it was there, until f returns false.
func (t *topics) read(ctx context.Context, topic string, from int64, f func(r *kgo.Record, at time.Time) (more bool, err error)) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.FetchMaxWait(10*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(from)}}))
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	defer c.Close()
	for {
		fetches := c.PollFetches(ctx)
		at := time.Now()
		if err := fetches.Err0(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if more, err := f(it.Next(), at); err != nil || !more {
				return err
			}
		}
	}
}

// eventID returns the id of the row in a change event, with or without a schema
// around it, and how many columns it has.
func eventID(value []byte) (id int64, columns int, err error) {
	var e struct {
		Payload *struct{ After map[string]json.RawMessage }
		After   map[string]json.RawMessage
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return 0, 0, fmt.Errorf("read an event: %w", err)
	}
	after := e.After
	if e.Payload != nil {
		after = e.Payload.After
	}
	if err := json.Unmarshal(after["id"], &id); err != nil {
		return 0, 0, fmt.Errorf("read the id of the event %.200s: %w", value, err)
	}
	return id, len(after), nil
}

// checkOrder looks at records at places all over a topic: each must be the row
// that belongs there. What is fast but wrong does not count.
func (t *topics) checkOrder(ctx context.Context, topic string, base int64, rows int) error {
	step := max(1, rows/20)
	for at := 0; at < rows; at += step {
		want := int64(at + 1)
		err := t.read(ctx, topic, base+int64(at), func(r *kgo.Record, _ time.Time) (bool, error) {
			id, columns, err := eventID(r.Value)
			if err == nil && (id != want || columns != len(benchRow{})) {
				err = fmt.Errorf("offset %d of %s holds row %d with %d columns, want row %d with %d", r.Offset, topic, id, columns, want, len(benchRow{}))
			}
			return false, err
		})
		if err != nil {
			return fmt.Errorf("check what was written: %w", err)
		}
	}
	return nil
}

// checkRows reads the topic once and makes sure that it has each row.
func (t *topics) checkRows(ctx context.Context, topic string, rows int) error {
	seen := make([]bool, rows+1)
	left := rows
	var n int64
	end, err := t.end(ctx, topic)
	if err != nil {
		return err
	}
	err = t.read(ctx, topic, 0, func(r *kgo.Record, _ time.Time) (bool, error) {
		n++
		id, _, err := eventID(r.Value)
		if err != nil {
			return false, err
		}
		if id >= 1 && id <= int64(rows) && !seen[id] {
			seen[id] = true
			left--
		}
		return n < end, nil
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%d of %d rows are missing", left, rows)
	}
	if err != nil {
		return fmt.Errorf("check what was written: %w", err)
	}
	return nil
}
