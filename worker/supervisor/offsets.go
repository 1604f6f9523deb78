package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/state"
)

// Offset is the offset of one partition of a connector: of a source or of a
// topic that a sink reads.
type Offset struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// OffsetError refuses offsets that a request brought. Its text is for the
// answer; Internal asks for the status that Kafka Connect has for what a
// connector refuses.
type OffsetError struct {
	Message  string
	Internal bool
}

// Error returns the message.
func (e *OffsetError) Error() string { return e.Message }

// offsetChecker may be implemented by a source that can tell whether it could
// go on at an offset.
type offsetChecker interface {
	// CheckOffset judges one pair; offset is nil for one that is to be
	// removed. The error's text is shown to the user.
	CheckOffset(partition, offset []byte) error
}

// Offsets returns the offsets of a connector.
func (s *Supervisor) Offsets(ctx context.Context, name string) ([]Offset, error) {
	c, ok := s.ConfigLog.Connector(name)
	if !ok {
		return nil, ErrNotFound
	}
	if s.kind(c.Config) == string(catalogue.Sink) {
		return s.groupOffsets(ctx, name)
	}
	entries, err := s.Store.List(ctx, name)
	if err != nil {
		return nil, err
	}
	out := make([]Offset, 0, len(entries))
	for _, e := range entries {
		out = append(out, Offset{e.Partition, json.RawMessage(e.Position)})
	}
	return out, nil
}

// AlterOffsets changes offsets of a stopped connector; an offset that is null
// or absent takes the partition's away. It reports whether the connector may
// keep offsets of its own elsewhere.
func (s *Supervisor) AlterOffsets(ctx context.Context, name string, list []Offset) (elsewhere bool, err error) {
	c, err := s.stopped(ctx, name)
	if err != nil {
		return false, err
	}
	if s.kind(c.Config) == string(catalogue.Sink) {
		return false, s.alterGroup(ctx, name, list)
	}
	db, elsewhere := s.source(c)
	entries := make([]offsets.Entry, 0, len(list))
	for _, o := range list {
		offset := []byte(o.Offset)
		if isNull(offset) {
			offset = nil
		}
		if isNull(o.Partition) {
			return false, &OffsetError{Message: "Partition objects cannot be null", Internal: true}
		}
		if err := checkOffset(db, o.Partition, offset); err != nil {
			return false, err
		}
		entries = append(entries, offsets.Entry{Partition: o.Partition, Position: schema.Position(offset)})
	}
	return elsewhere, s.Store.Alter(ctx, name, entries)
}

// ResetOffsets takes away all offsets of a stopped connector.
func (s *Supervisor) ResetOffsets(ctx context.Context, name string) (elsewhere bool, err error) {
	c, err := s.stopped(ctx, name)
	if err != nil {
		return false, err
	}
	if s.kind(c.Config) == string(catalogue.Sink) {
		return false, s.resetGroup(ctx, name)
	}
	db, elsewhere := s.source(c)
	if err := s.Store.Delete(ctx, name); err != nil {
		return false, err
	}
	if db != nil {
		if err := db.Plan.Database.Forget(ctx); err != nil {
			s.Logger.Warn("what the connector left at its source could not be removed", "connector", name, "error", db.Plan.Redact(err.Error()))
		}
	}
	return elsewhere, nil
}

// stopped returns a connector that is stopped, after its tasks have ended.
func (s *Supervisor) stopped(ctx context.Context, name string) (state.Connector, error) {
	c, ok := s.ConfigLog.Connector(name)
	if !ok {
		return c, ErrNotFound
	}
	if c.Target != state.Stopped {
		return c, ErrNotStopped
	}
	done := make(chan error, 1)
	if s.tell(name, order{refresh: true, done: done}) {
		if err := wait(ctx, done); err != nil {
			return c, err
		}
	}
	return c, nil
}

// source judges a source's configuration, so that its connector can judge its
// offsets; nil if there is something wrong with it.
func (s *Supervisor) source(c state.Connector) (e *catalogue.Evaluation, elsewhere bool) {
	e, err := s.Catalogue.Evaluate(s.Env, pointers(c.Config))
	if err != nil || e.Plan == nil {
		return nil, false
	}
	_, checks := e.Plan.Database.(offsetChecker)
	// Kafka's own sources check offsets and say so; Debezium's do not.
	return e, !checks || strings.HasPrefix(e.Plugin.Class(), "io.debezium.")
}

// offsetKeys are the keys without which an offset says no position.
var offsetKeys = map[string]string{"postgres": "lsn", "mysql": "file", "mariadb": "file"}

func checkOffset(e *catalogue.Evaluation, partition, offset []byte) error {
	if e == nil {
		return nil
	}
	if checker, ok := e.Plan.Database.(offsetChecker); ok {
		if err := checker.CheckOffset(partition, offset); err != nil {
			return &OffsetError{Message: err.Error(), Internal: true}
		}
		return nil
	}
	// An offset of a partition that the connector does not have would never
	// be looked at.
	if own := e.Plan.Database.Partition(); offset != nil && !sameJSON([]byte(own), partition) {
		return &OffsetError{Message: fmt.Sprintf("The connector has no partition %s; its partition is %s", partition, own)}
	}
	if key := offsetKeys[e.Plugin.Name]; key != "" && offset != nil {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(offset, &fields); err != nil || isNull(fields[key]) {
			return &OffsetError{Message: fmt.Sprintf("The connector could not go on at the offset %s: it needs the key %q", offset, key)}
		}
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, perr := json.Marshal(x)
	q, qerr := json.Marshal(y)
	return perr == nil && qerr == nil && bytes.Equal(p, q)
}

func isNull(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) == 0 || string(b) == "null"
}

// groupOffsets returns the offsets of a sink's consumer group, by topic and
// partition.
func (s *Supervisor) groupOffsets(ctx context.Context, name string) ([]Offset, error) {
	fetched, err := kadm.NewClient(s.Admin).FetchOffsets(ctx, sinks.Group(name))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetch the offsets of the consumer group: %w", err)
	}
	var list kadm.OffsetsList
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			list = append(list, o.Offset)
		}
	})
	slices.SortFunc(list, func(a, b kadm.Offset) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	out := make([]Offset, 0, len(list))
	for _, o := range list {
		partition, err := json.Marshal(groupPartition{o.Partition, o.Topic})
		if err != nil {
			return nil, err
		}
		out = append(out, Offset{partition, json.RawMessage(fmt.Sprintf(`{"kafka_offset":%d}`, o.At))})
	}
	return out, nil
}

type groupPartition struct {
	Partition int32  `json:"kafka_partition"`
	Topic     string `json:"kafka_topic"`
}

func (s *Supervisor) alterGroup(ctx context.Context, name string, list []Offset) error {
	commit := kadm.Offsets{}
	remove := kadm.TopicsSet{}
	for _, o := range list {
		topic, partition, err := sinkPartition(o.Partition)
		if err != nil {
			return err
		}
		if isNull(o.Offset) {
			remove.Add(topic, partition)
			continue
		}
		at, err := sinkOffset(o.Offset)
		if err != nil {
			return err
		}
		if at < 0 {
			return &OffsetError{Message: "Failed to modify offsets for sink connector " + name, Internal: true}
		}
		commit.AddOffset(topic, partition, at, -1)
	}
	adm := kadm.NewClient(s.Admin)
	failed := &OffsetError{Message: "Failed to alter consumer group offsets for connector " + name, Internal: true}
	if len(commit) > 0 {
		if err := s.exist(ctx, adm, commit); err != nil {
			return failed
		}
		if err := adm.CommitAllOffsets(ctx, sinks.Group(name), commit); err != nil {
			s.Logger.Warn("committing offsets for a consumer group", "connector", name, "error", err)
			return failed
		}
	}
	if len(remove) > 0 {
		removed, err := adm.DeleteOffsets(ctx, sinks.Group(name), remove)
		if err == nil {
			err = removed.Error()
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("remove offsets of the consumer group: %w", err)
		}
	}
	return nil
}

// exist returns an error unless all partitions do.
func (s *Supervisor) exist(ctx context.Context, adm *kadm.Client, wanted kadm.Offsets) error {
	var topics []string
	for t := range wanted {
		topics = append(topics, t)
	}
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return err
	}
	for t, partitions := range wanted {
		for p := range partitions {
			if _, ok := details[t].Partitions[p]; !ok {
				return fmt.Errorf("there is no partition %d of topic %s", p, t)
			}
		}
	}
	return nil
}

func (s *Supervisor) resetGroup(ctx context.Context, name string) error {
	deleted, err := kadm.NewClient(s.Admin).DeleteGroups(ctx, sinks.Group(name))
	if err == nil {
		err = deleted.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("delete the consumer group: %w", err)
	}
	return nil
}

// sinkPartition reads {"kafka_topic":…,"kafka_partition":…}; the number may
// be text. The texts are Kafka Connect's.
func sinkPartition(raw json.RawMessage) (topic string, partition int32, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", 0, err
	}
	t, hasTopic := fields["kafka_topic"]
	p, hasPartition := fields["kafka_partition"]
	if isNull(raw) || !hasTopic || !hasPartition {
		return "", 0, &OffsetError{Message: "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"}
	}
	if isNull(t) {
		return "", 0, &OffsetError{Message: "Kafka topic names must be valid strings and may not be null"}
	}
	n, err := strconv.ParseInt(plain(p), 10, 32)
	if err != nil {
		return "", 0, &OffsetError{Message: fmt.Sprintf("Failed to parse the following Kafka partition value in the provided offsets: '%s'. Partition values for sink connectors need to be integers.", plain(p))}
	}
	return plain(t), int32(n), nil
}

func sinkOffset(raw json.RawMessage) (int64, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return 0, err
	}
	o, ok := fields["kafka_offset"]
	if !ok {
		return 0, &OffsetError{Message: "The offset for a sink connector should either be null or contain the key 'kafka_offset'"}
	}
	n, err := strconv.ParseInt(plain(o), 10, 64)
	if err != nil {
		return 0, &OffsetError{Message: fmt.Sprintf("Failed to parse the following Kafka offset value in the provided offsets: '%s'. Offset values for sink connectors need to be integers.", plain(o))}
	}
	return n, nil
}

// plain returns a JSON string without its quotation marks, anything else as
// it is.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && !isNull(raw) {
		return s
	}
	return string(bytes.TrimSpace(raw))
}
