package offsets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/schema"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is a Store in a compacted Kafka topic (offset.storage.topic), shared
// with all workers of the group and with Kafka Connect.
//
// It holds all of the topic in memory. Load and List first read what was
// added to the topic since, so that they see what other processes have saved
// and, with exactly-once, what a transaction has committed.
type Topic struct {
	name string
	cl   *kgo.Client
	log  *slog.Logger

	mu   sync.Mutex
	tail *kafka.Log
	kept map[place][]spelling
}

var _ Store = (*Topic)(nil)

// A spelling is the newest record under one of the keys that name the same
// source partition. Nearly always there is only one.
type spelling struct {
	key       []byte
	value     []byte // nil is a tombstone
	timestamp int64  // milliseconds; orders spellings, which may lie in several partitions of the topic
	offset    int64
}

// OpenTopic reads the topic, which has to exist, to its end. cfg is that of
// the worker's producers; the Topic is closed with Close.
func OpenTopic(ctx context.Context, cfg kafka.Config, topic string) (*Topic, error) {
	// Not the worker's own buffering: few, small records that are waited for.
	cl, err := kafka.NewProducer(ctx, cfg, kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return nil, fmt.Errorf("open offset.storage.topic=%s: %w", topic, err)
	}
	t := &Topic{name: topic, cl: cl, log: cfg.Logger, tail: kafka.NewLog(cl, topic), kept: map[place][]spelling{}}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if err := t.Refresh(ctx); err != nil {
		cl.Close()
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = fmt.Errorf("%w; create it with cleanup.policy=compact", err)
		}
		return nil, fmt.Errorf("open offset.storage.topic=%s: %w", topic, err)
	}
	return t, nil
}

// Close lets go of the topic.
func (t *Topic) Close() { t.cl.Close() }

// Refresh reads the topic to its present end, as Load and List do by
// themselves.
func (t *Topic) Refresh(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refresh(ctx)
}

func (t *Topic) refresh(ctx context.Context) error {
	return t.tail.ReadToEnd(ctx, func(r *kgo.Record) error {
		t.apply(r)
		return nil
	})
}

// apply remembers a record of the topic. What others may have written there
// beside offsets is passed over.
func (t *Topic) apply(r *kgo.Record) {
	connector, partition, err := parseKey(r.Key)
	var canon string
	if err == nil {
		canon, err = canonical(partition)
	}
	if err != nil {
		t.log.Debug("offset topic: record passed over", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		return
	}
	s := spelling{key: r.Key, value: r.Value, timestamp: r.Timestamp.UnixMilli(), offset: r.Offset}
	if string(s.value) == "null" || len(s.value) == 0 {
		s.value = nil
	}
	at := place{connector, canon}
	for i, old := range t.kept[at] {
		if string(old.key) == string(s.key) {
			t.kept[at][i] = s
			return
		}
	}
	t.kept[at] = append(t.kept[at], s)
}

// newest returns the spelling with a value that was written last, else any;
// nil if there is none. A tombstone takes away its own spelling only: it may
// be one that Save leaves behind, and to repeat something is better than to
// forget a position.
func newest(all []spelling) *spelling {
	var last *spelling
	for i := range all {
		s := &all[i]
		if last != nil && (last.value == nil) != (s.value == nil) {
			if last.value == nil {
				last = s
			}
			continue
		}
		if last == nil || s.timestamp > last.timestamp || s.timestamp == last.timestamp && s.offset > last.offset {
			last = s
		}
	}
	return last
}

// Load implements Store.
func (t *Topic) Load(ctx context.Context, connector string, partition []byte) (schema.Position, error) {
	canon, err := canonical(partition)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(ctx); err != nil {
		return nil, fmt.Errorf("load offset of %s: %w", connector, err)
	}
	s := newest(t.kept[place{connector, canon}])
	if s == nil || s.value == nil {
		return nil, nil
	}
	if err := checkPosition(schema.Position(s.value)); err != nil {
		return nil, fmt.Errorf("load offset of %s: the record at offset %d of topic %s: %w; reset the connector's offsets", connector, s.offset, t.name, err)
	}
	return slices.Clone(schema.Position(s.value)), nil
}

// List implements Store.
func (t *Topic) List(ctx context.Context, connector string) ([]Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(ctx); err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", connector, err)
	}
	return t.list(connector)
}

func (t *Topic) list(connector string) ([]Entry, error) {
	var list []Entry
	keys := map[string]string{}
	for at, all := range t.kept {
		s := newest(all)
		if at.connector != connector || s.value == nil {
			continue
		}
		_, partition, err := parseKey(s.key)
		if err != nil {
			return nil, err // apply has parsed it before
		}
		if !json.Valid(s.value) {
			return nil, fmt.Errorf("list offsets of %s: the record at offset %d of topic %s: %w; reset the connector's offsets", connector, s.offset, t.name, ErrPosition)
		}
		list = append(list, Entry{Partition: slices.Clone(partition), Position: slices.Clone(schema.Position(s.value))})
		keys[string(partition)] = at.partition
	}
	sortEntries(list, keys)
	return list, nil
}

// Save implements Store.
func (t *Topic) Save(ctx context.Context, connector string, partition []byte, p schema.Position) error {
	if p == nil {
		return ErrPosition
	}
	return t.Alter(ctx, connector, []Entry{{Partition: partition, Position: p}})
}

// Alter implements Store.
func (t *Topic) Alter(ctx context.Context, connector string, entries []Entry) error {
	entries, keys, err := normal(entries)
	if err != nil {
		return err
	}
	t.mu.Lock()
	var records, rivals []*kgo.Record
	for i, e := range entries {
		at := place{connector, keys[i]}
		key, err := t.key(at, e.Partition)
		if err != nil {
			t.mu.Unlock()
			return err
		}
		records = append(records, &kgo.Record{Topic: t.name, Key: key, Value: slices.Clone(e.Position)})
		for _, s := range t.kept[at] {
			if s.value != nil && string(s.key) != string(key) {
				rivals = append(rivals, &kgo.Record{Topic: t.name, Key: s.key})
			}
		}
	}
	t.mu.Unlock()
	if err := t.produce(ctx, connector, records); err != nil {
		return err
	}
	// Other spellings would compete with what is saved now; they are buried
	// second, so that there is a position at any moment.
	return t.produce(ctx, connector, rivals)
}

// Delete implements Store.
func (t *Topic) Delete(ctx context.Context, connector string) error {
	t.mu.Lock()
	if err := t.refresh(ctx); err != nil {
		t.mu.Unlock()
		return fmt.Errorf("delete offsets of %s: %w", connector, err)
	}
	var records []*kgo.Record
	for at, all := range t.kept {
		if at.connector != connector {
			continue
		}
		for _, s := range all {
			if s.value != nil {
				records = append(records, &kgo.Record{Topic: t.name, Key: s.key})
			}
		}
	}
	t.mu.Unlock()
	return t.produce(ctx, connector, records)
}

// Record returns the record that saves a position, for a producer that writes
// it in a transaction of its own together with what the position covers. It
// uses what the Topic knew at the last Load or List.
func (t *Topic) Record(connector string, partition []byte, p schema.Position) (*kgo.Record, error) {
	canon, err := canonical(partition)
	if err != nil {
		return nil, err
	}
	if err := checkPosition(p); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key, err := t.key(place{connector, canon}, partition)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: t.name, Key: key, Value: slices.Clone(p)}, nil
}

// key returns the key under which the partition was read last, else Connect's.
func (t *Topic) key(at place, partition []byte) ([]byte, error) {
	if s := newest(t.kept[at]); s != nil {
		return s.key, nil
	}
	return appendKey(nil, at.connector, partition)
}

// produce writes records and waits for them, or for ctx: franz-go does not let
// go of a record that it has sent, however long the broker is away, since it
// may have been written.
func (t *Topic) produce(ctx context.Context, connector string, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	results := make(chan error, len(records))
	for _, r := range records {
		t.cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) { results <- err })
	}
	var errs error
	for range records {
		select {
		case err := <-results:
			errs = errors.Join(errs, err)
		case <-ctx.Done():
			return fmt.Errorf("save offset of %s to topic %s: %w", connector, t.name, ctx.Err())
		}
	}
	if errs != nil {
		return fmt.Errorf("save offset of %s to topic %s: %w", connector, t.name, errs)
	}
	return nil
}
