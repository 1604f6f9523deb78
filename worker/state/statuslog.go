package state

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The states of connectors and tasks, with Kafka Connect's names. A task is
// never STOPPED: it is gone then.
const (
	StatusUnassigned = "UNASSIGNED"
	StatusRunning    = "RUNNING"
	StatusPaused     = "PAUSED"
	StatusStopped    = "STOPPED"
	StatusFailed     = "FAILED"
	StatusRestarting = "RESTARTING"
)

// Status is the state of a connector or task.
type Status struct {
	State string
	// Trace says why it is FAILED.
	Trace      string
	WorkerID   string
	Generation int
	// Version is the connector's, empty as long as it is not known.
	Version string
}

// StatusLog is the status topic. What is set counts at once; writing follows,
// in order. It is safe for concurrent use.
type StatusLog struct {
	log    *topicLog
	logger *slog.Logger

	mu         sync.Mutex
	connectors map[string]Status
	tasks      map[string]map[int]Status
	topics     map[string]map[string]bool // connector -> topics
}

const (
	keyStatusConnector = "status-connector-"
	keyStatusTask      = "status-task-"
	keyStatusTopic     = "status-topic-"
)

// OpenStatusLog reads the status topic to its end; from there on this worker
// alone says what is. The client stays the caller's.
func OpenStatusLog(ctx context.Context, client *kgo.Client, topic string, logger *slog.Logger) (*StatusLog, error) {
	l := &StatusLog{
		logger:     logger,
		connectors: map[string]Status{}, tasks: map[string]map[int]Status{}, topics: map[string]map[string]bool{},
	}
	var err error
	if l.log, err = openLog(ctx, client, topic, l.apply); err != nil {
		return nil, err
	}
	return l, nil
}

// Flush waits until what was set is written, as long as the context allows.
func (l *StatusLog) Flush(ctx context.Context) error {
	if err := l.log.client.Flush(ctx); err != nil {
		return fmt.Errorf("write states to topic %s: %w", l.log.topic, err)
	}
	return nil
}

// Connector returns a connector's state.
func (l *StatusLog) Connector(name string) (Status, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.connectors[name]
	return s, ok
}

// Tasks returns the states of a connector's tasks by id.
func (l *StatusLog) Tasks(name string) map[int]Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.tasks[name])
}

// Names returns the names of all connectors that have a state or tasks with one.
func (l *StatusLog) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := map[string]bool{}
	for n := range l.connectors {
		names[n] = true
	}
	for n := range l.tasks {
		names[n] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// SetConnector sets a connector's state.
func (l *StatusLog) SetConnector(name string, s Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connectors[name] = s
	l.write(record(keyStatusConnector+name, newStatusJSON(s)))
}

// SetTask sets a task's state.
func (l *StatusLog) SetTask(name string, id int, s Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks[name] == nil {
		l.tasks[name] = map[int]Status{}
	}
	l.tasks[name][id] = s
	l.write(record(taskKey(name, id), newStatusJSON(s)))
}

// RemoveTask forgets a task.
func (l *StatusLog) RemoveTask(name string, id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tasks[name], id)
	if len(l.tasks[name]) == 0 {
		delete(l.tasks, name)
	}
	l.write(record(taskKey(name, id), nil))
}

// Remove forgets a connector, its tasks and its topics.
func (l *StatusLog) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.tasks[name])) {
		l.write(record(taskKey(name, id), nil))
	}
	delete(l.tasks, name)
	l.resetTopics(name)
	delete(l.connectors, name)
	l.write(record(keyStatusConnector+name, nil))
}

// Topics returns the topics that a connector has used.
func (l *StatusLog) Topics(connector string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.topics[connector]))
}

// UsesTopic remembers that a connector's task uses a topic.
func (l *StatusLog) UsesTopic(connector string, task int, topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.topics[connector][topic] {
		return
	}
	if l.topics[connector] == nil {
		l.topics[connector] = map[string]bool{}
	}
	l.topics[connector][topic] = true
	l.write(record(topicKey(connector, topic), topicJSON{topicUse{topic, connector, task, time.Now().UnixMilli()}}))
}

// ResetTopics forgets the topics of a connector.
func (l *StatusLog) ResetTopics(connector string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resetTopics(connector)
}

func (l *StatusLog) resetTopics(connector string) {
	for _, t := range slices.Sorted(maps.Keys(l.topics[connector])) {
		l.write(record(topicKey(connector, t), nil))
	}
	delete(l.topics, connector)
}

// write appends a record without waiting. The caller holds mu, which keeps
// the order.
func (l *StatusLog) write(r *kgo.Record) {
	r.Topic = l.log.topic
	l.log.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		if err != nil {
			l.logger.Warn("a state was not written to the status topic", "key", string(r.Key), "error", err)
		}
	})
}

func taskKey(name string, id int) string { return keyStatusTask + name + "-" + strconv.Itoa(id) }

func topicKey(connector, topic string) string {
	return keyStatusTopic + topic + ":connector-" + connector
}

type statusJSON struct {
	State      string  `json:"state"`
	Trace      *string `json:"trace"`
	WorkerID   string  `json:"worker_id"`
	Generation int     `json:"generation"`
	Version    *string `json:"version"`
}

type topicJSON struct {
	Topic topicUse `json:"topic"`
}

type topicUse struct {
	Name      string `json:"name"`
	Connector string `json:"connector"`
	Task      int    `json:"task"`
	Millis    int64  `json:"discoverTimestamp"`
}

func newStatusJSON(s Status) statusJSON {
	return statusJSON{State: s.State, Trace: orNil(s.Trace), WorkerID: s.WorkerID, Generation: s.Generation, Version: orNil(s.Version)}
}

func (j statusJSON) status() Status {
	s := Status{State: j.State, WorkerID: j.WorkerID, Generation: j.Generation}
	if j.Trace != nil {
		s.Trace = *j.Trace
	}
	if j.Version != nil {
		s.Version = *j.Version
	}
	return s
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (l *StatusLog) apply(r *kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.take(string(r.Key), r.Value); err != nil {
		l.logger.Warn("a record of the status topic cannot be read and is skipped", "key", string(r.Key), "offset", r.Offset, "error", err)
	}
}

func (l *StatusLog) take(key string, value []byte) error {
	if name, ok := strings.CutPrefix(key, keyStatusConnector); ok {
		if value == nil {
			delete(l.connectors, name)
			return nil
		}
		var v statusJSON
		if err := json.Unmarshal(value, &v); err != nil {
			return err
		}
		l.connectors[name] = v.status()
		return nil
	}
	if rest, ok := strings.CutPrefix(key, keyStatusTask); ok {
		return l.takeTask(rest, value)
	}
	if rest, ok := strings.CutPrefix(key, keyStatusTopic); ok {
		topic, connector, ok := strings.Cut(rest, ":connector-")
		if !ok {
			return nil
		}
		if value == nil {
			delete(l.topics[connector], topic)
			return nil
		}
		if l.topics[connector] == nil {
			l.topics[connector] = map[string]bool{}
		}
		l.topics[connector][topic] = true
	}
	return nil
}

func (l *StatusLog) takeTask(rest string, value []byte) error {
	at := strings.LastIndexByte(rest, '-')
	if at < 0 {
		return nil
	}
	name := rest[:at]
	id, err := strconv.Atoi(rest[at+1:])
	if err != nil {
		return err
	}
	if value == nil {
		delete(l.tasks[name], id)
		if len(l.tasks[name]) == 0 {
			delete(l.tasks, name)
		}
		return nil
	}
	var v statusJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if l.tasks[name] == nil {
		l.tasks[name] = map[int]Status{}
	}
	l.tasks[name][id] = v.status()
	return nil
}
