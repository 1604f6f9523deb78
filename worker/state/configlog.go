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

	"github.com/twmb/franz-go/pkg/kgo"
)

// Target is the state that a connector is to be in.
type Target string

// The target states, with Kafka Connect's names.
const (
	Started Target = "STARTED"
	Paused  Target = "PAUSED"
	Stopped Target = "STOPPED"
)

// Connector is what the config topic says about a connector. It must not be
// changed.
type Connector struct {
	Name   string
	Config map[string]string
	Target Target
	// Tasks are the configurations of its tasks, by id, which outlive a stop;
	// Committed is how many of them count.
	Tasks     map[int]map[string]string
	Committed int
}

// Change is something that was read from the config topic.
type Change struct {
	// Connector is its name; the rest is to be looked up.
	Connector string
	// Restart is set if a restart was asked for.
	Restart *Restart
	// Logger and Level are set if a level was set for all workers.
	Logger, Level string
}

// Restart says what of a connector is to be restarted.
type Restart struct {
	IncludeTasks bool `json:"include-tasks"`
	OnlyFailed   bool `json:"only-failed"`
}

// ConfigLog is the config topic. It is safe for concurrent use.
type ConfigLog struct {
	log     *topicLog
	logger  *slog.Logger
	changed func(Change)

	mu         sync.Mutex
	connectors map[string]*Connector
	targets    map[string]Target
	tasks      map[string]map[int]map[string]string
	committed  map[string]int
}

const (
	keyConnector = "connector-"
	keyTask      = "task-"
	keyCommit    = "commit-"
	keyTarget    = "target-state-"
	keyRestart   = "restart-connector-"
	keyLogger    = "logger-cluster-"
)

// OpenConfigLog reads the config topic to its end. The client stays the
// caller's.
func OpenConfigLog(ctx context.Context, client *kgo.Client, topic string, logger *slog.Logger) (*ConfigLog, error) {
	l := &ConfigLog{
		logger:     logger,
		changed:    func(Change) {}, // what was asked for before this worker started is no longer news
		connectors: map[string]*Connector{}, targets: map[string]Target{},
		tasks: map[string]map[int]map[string]string{}, committed: map[string]int{},
	}
	var err error
	if l.log, err = openLog(ctx, client, topic, l.apply); err != nil {
		return nil, err
	}
	return l, nil
}

// Watch has changed called for every change read from now on, in order and
// one at a time. changed must not write to the topic itself.
func (l *ConfigLog) Watch(changed func(Change)) {
	l.log.reading.Lock()
	defer l.log.reading.Unlock()
	l.changed = changed
}

// Follow reads what others write until ctx ends.
func (l *ConfigLog) Follow(ctx context.Context) { l.log.follow(ctx, l.logger) }

// Connector returns what is known of a connector.
func (l *ConfigLog) Connector(name string) (Connector, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connector(name)
}

func (l *ConfigLog) connector(name string) (Connector, bool) {
	c, ok := l.connectors[name]
	if !ok {
		return Connector{}, false
	}
	out := *c
	out.Target = Started
	if t, ok := l.targets[name]; ok {
		out.Target = t
	}
	out.Tasks = maps.Clone(l.tasks[name])
	out.Committed = l.committed[name]
	return out, true
}

// Connectors returns all connectors by name.
func (l *ConfigLog) Connectors() []Connector {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Connector, 0, len(l.connectors))
	for _, name := range slices.Sorted(maps.Keys(l.connectors)) {
		c, _ := l.connector(name)
		out = append(out, c)
	}
	return out
}

type propertiesJSON struct {
	Properties map[string]string `json:"properties"`
}

type commitJSON struct {
	Tasks int `json:"tasks"`
}

// targetJSON says STOPPED in state.v2 alone, because workers before 3.5 know
// no such state and shall pause instead.
type targetJSON struct {
	State   Target `json:"state"`
	StateV2 Target `json:"state.v2,omitempty"`
}

type levelJSON struct {
	Level string `json:"level"`
}

// Put stores a connector's configuration; with target not empty its target
// state before that, as for a connector that is created paused.
func (l *ConfigLog) Put(ctx context.Context, name string, config map[string]string, target Target) error {
	var records []*kgo.Record
	if target != "" {
		records = append(records, targetRecord(name, target))
	}
	records = append(records, record(keyConnector+name, propertiesJSON{config}))
	return l.log.write(ctx, records...)
}

// Remove forgets a connector.
func (l *ConfigLog) Remove(ctx context.Context, name string) error {
	return l.log.write(ctx, record(keyConnector+name, nil), record(keyTarget+name, nil))
}

// SetTarget stores the state that a connector is to be in. A stopped
// connector has no tasks.
func (l *ConfigLog) SetTarget(ctx context.Context, name string, target Target) error {
	var records []*kgo.Record
	if target == Stopped {
		records = append(records, record(keyCommit+name, commitJSON{0}))
	}
	return l.log.write(ctx, append(records, targetRecord(name, target))...)
}

// PutTasks stores the configurations of a connector's tasks.
func (l *ConfigLog) PutTasks(ctx context.Context, name string, tasks []map[string]string) error {
	records := make([]*kgo.Record, 0, len(tasks)+1)
	for i, t := range tasks {
		records = append(records, record(fmt.Sprintf("%s%s-%d", keyTask, name, i), propertiesJSON{t}))
	}
	records = append(records, record(keyCommit+name, commitJSON{len(tasks)}))
	return l.log.write(ctx, records...)
}

// Restart asks for a restart.
func (l *ConfigLog) Restart(ctx context.Context, name string, r Restart) error {
	return l.log.write(ctx, record(keyRestart+name, r))
}

// SetLevel asks all workers to log at a level.
func (l *ConfigLog) SetLevel(ctx context.Context, logger, level string) error {
	return l.log.write(ctx, record(keyLogger+logger, levelJSON{level}))
}

func targetRecord(name string, t Target) *kgo.Record {
	v := targetJSON{State: t, StateV2: t}
	if t == Stopped {
		v.State = Paused
	}
	return record(keyTarget+name, v)
}

// record makes a record from a value that can be written as JSON; nil makes a
// tombstone.
func record(key string, value any) *kgo.Record {
	r := &kgo.Record{Key: []byte(key)}
	if value != nil {
		var err error
		if r.Value, err = marshal(value); err != nil {
			panic(fmt.Sprintf("state: %T does not become JSON: %v", value, err)) // strings, numbers and maps of them do
		}
	}
	return r
}

// apply takes over a record of the topic.
func (l *ConfigLog) apply(r *kgo.Record) {
	change, err := l.take(string(r.Key), r.Value)
	if err != nil {
		l.logger.Warn("a record of the config topic cannot be read and is skipped", "key", string(r.Key), "offset", r.Offset, "error", err)
		return
	}
	if change != (Change{}) {
		l.changed(change)
	}
}

func (l *ConfigLog) take(key string, value []byte) (Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	has := func(prefix string) (string, bool) { return strings.CutPrefix(key, prefix) }
	if name, ok := has(keyConnector); ok {
		return Change{Connector: name}, l.takeConnector(name, value)
	}
	if rest, ok := has(keyTask); ok {
		return Change{}, l.takeTask(rest, value)
	}
	if name, ok := has(keyCommit); ok {
		return Change{}, l.takeCommit(name, value)
	}
	if name, ok := has(keyTarget); ok {
		return Change{Connector: name}, l.takeTarget(name, value)
	}
	if name, ok := has(keyRestart); ok && value != nil {
		var r Restart
		if err := json.Unmarshal(value, &r); err != nil {
			return Change{}, err
		}
		return Change{Connector: name, Restart: &r}, nil
	}
	if name, ok := has(keyLogger); ok && value != nil {
		var v levelJSON
		if err := json.Unmarshal(value, &v); err != nil {
			return Change{}, err
		}
		return Change{Logger: name, Level: v.Level}, nil
	}
	return Change{}, nil // a session key, a task count: of other workers, for other workers
}

func (l *ConfigLog) takeConnector(name string, value []byte) error {
	if value == nil {
		delete(l.connectors, name)
		delete(l.tasks, name)
		delete(l.committed, name)
		return nil
	}
	var v propertiesJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if v.Properties == nil {
		return fmt.Errorf("there are no properties")
	}
	l.connectors[name] = &Connector{Name: name, Config: v.Properties}
	return nil
}

func (l *ConfigLog) takeTask(rest string, value []byte) error {
	at := strings.LastIndexByte(rest, '-')
	if at < 0 {
		return fmt.Errorf("there is no task number in the key")
	}
	name := rest[:at]
	id, err := strconv.Atoi(rest[at+1:])
	if err != nil {
		return fmt.Errorf("the task number in the key: %w", err)
	}
	if value == nil {
		delete(l.tasks[name], id)
		return nil
	}
	var v propertiesJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if l.tasks[name] == nil {
		l.tasks[name] = map[int]map[string]string{}
	}
	l.tasks[name][id] = v.Properties
	return nil
}

func (l *ConfigLog) takeCommit(name string, value []byte) error {
	if value == nil {
		delete(l.committed, name)
		return nil
	}
	var v commitJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	l.committed[name] = v.Tasks
	return nil
}

func (l *ConfigLog) takeTarget(name string, value []byte) error {
	if value == nil {
		delete(l.targets, name)
		return nil
	}
	var v targetJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	t := v.State
	if v.StateV2 != "" {
		t = v.StateV2
	}
	switch t {
	case Started, Paused, Stopped:
		l.targets[name] = t
	default:
		return fmt.Errorf("unknown target state %q", t)
	}
	return nil
}
