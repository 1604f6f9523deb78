package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/snapshot"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/state"
)

// Config is what a Supervisor works with. The functions may be nil, all other
// fields but the delays are required.
type Config struct {
	Worker    *config.Worker
	Catalogue *catalogue.Catalogue
	Env       catalogue.Env
	Clients   Clients
	// Admin is the worker's own client, for groups and topics.
	Admin     *kgo.Client
	ConfigLog *state.ConfigLog
	StatusLog *state.StatusLog
	Store     offsets.Store
	// WorkerID is host:port of the REST listener as others know it.
	WorkerID string
	Logger   *slog.Logger
	// Progress is told how far a connector's snapshot is.
	Progress func(connector string, p snapshot.Progress)
	// Hide keeps texts out of the log; LevelChanged is told of levels that were
	// set for all workers.
	Hide         func(secrets []string)
	LevelChanged func(logger, level string)
	// Backoff is the first and the longest delay before a task that ended with
	// a transient error is run again; 0 means 500 ms and 30 s.
	Backoff, MaxBackoff time.Duration
}

// Supervisor runs the connectors. Its methods are safe for concurrent use.
type Supervisor struct {
	Config

	// writing serialises checks of the config topic and the writes that rely
	// on them.
	writing    sync.Mutex
	generation atomic.Int64

	mu     sync.Mutex
	actors map[string]*actor
	ctx    context.Context //nolint:containedctx // of Run: actors that start later belong to it as well
	wg     sync.WaitGroup
	closed bool
	// ready is closed when every connector has been told to start.
	ready chan struct{}
}

// New returns a Supervisor that does nothing before Run.
func New(c Config) *Supervisor {
	if c.Backoff == 0 {
		c.Backoff = 500 * time.Millisecond
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = 30 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string, snapshot.Progress) {}
	}
	if c.Hide == nil {
		c.Hide = func([]string) {}
	}
	if c.LevelChanged == nil {
		c.LevelChanged = func(string, string) {}
	}
	return &Supervisor{Config: c, actors: map[string]*actor{}, ready: make(chan struct{})}
}

// Run starts what the config topic says and follows it until ctx ends. Then
// it stops all tasks, which drain and commit within
// task.shutdown.graceful.timeout.ms, and returns.
func (s *Supervisor) Run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	s.ConfigLog.Watch(s.changed)
	for _, name := range s.StatusLog.Names() {
		if _, ok := s.ConfigLog.Connector(name); !ok {
			s.StatusLog.Remove(name) // deleted while this worker was away
		}
	}
	for _, c := range s.ConfigLog.Connectors() {
		s.tell(c.Name, order{refresh: true})
	}
	close(s.ready)
	s.ConfigLog.Follow(ctx)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
}

// Ready reports whether all connectors have been told to start.
func (s *Supervisor) Ready() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// changed is called for what is read from the config topic.
func (s *Supervisor) changed(c state.Change) {
	switch {
	case c.Logger != "":
		s.LevelChanged(c.Logger, c.Level)
	case c.Connector == "":
	case c.Restart != nil:
		s.tell(c.Connector, order{restart: c.Restart})
	default:
		s.tell(c.Connector, order{refresh: true})
	}
}

// tell gives an order to a connector's actor, which is started if need be.
// It reports whether there is somebody to take it.
func (s *Supervisor) tell(name string, o order) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ctx == nil || s.ctx.Err() != nil {
		return false
	}
	a := s.actors[name]
	if a == nil {
		if _, known := s.ConfigLog.Connector(name); !known {
			return false
		}
		a = newActor(s, name)
		s.actors[name] = a
		s.wg.Add(1)
		go func(ctx context.Context) {
			defer s.wg.Done()
			a.run(ctx)
		}(s.ctx)
	}
	a.mailbox.put(o)
	return true
}

// leave takes an actor whose connector is gone out of the list. It reports
// false if there are orders for it still.
func (s *Supervisor) leave(a *actor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.mailbox.empty() {
		return false
	}
	delete(s.actors, a.name)
	return true
}

// Errors of requests.
var (
	// ErrNotFound says that there is no such connector.
	ErrNotFound = errors.New("connector not found")
	// ErrNoTask says that there is no such task.
	ErrNoTask = errors.New("task not found")
	// ErrNotAssigned says that a task exists but runs nowhere.
	ErrNotAssigned = errors.New("task not assigned")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("connector exists")
	// ErrNotStopped says that offsets cannot be changed under a connector.
	ErrNotStopped = errors.New("connector is not stopped")
)

// Info is what a connector is.
type Info struct {
	Name   string
	Config map[string]string
	Tasks  int
	// Type is source, sink or unknown.
	Type string
}

// Names returns the connectors' names.
func (s *Supervisor) Names() []string {
	all := s.ConfigLog.Connectors()
	out := make([]string, 0, len(all))
	for _, c := range all {
		out = append(out, c.Name)
	}
	return out
}

// Info returns what a connector is.
func (s *Supervisor) Info(name string) (Info, error) {
	c, ok := s.ConfigLog.Connector(name)
	if !ok {
		return Info{}, ErrNotFound
	}
	return s.info(c), nil
}

func (s *Supervisor) info(c state.Connector) Info {
	return Info{Name: c.Name, Config: c.Config, Tasks: c.Committed, Type: s.kind(c.Config)}
}

func (s *Supervisor) kind(config map[string]string) string {
	p, err := s.Catalogue.Connector(config["connector.class"])
	if err != nil {
		return "unknown"
	}
	return string(p.Kind)
}

// version returns the version of a connector's plugin, empty if it is unknown.
func (s *Supervisor) version(config map[string]string) string {
	p, err := s.Catalogue.Connector(config["connector.class"])
	if err != nil {
		return ""
	}
	return p.Version
}

// Put stores a configuration and returns what the connector is now. created
// says that it is new. With mustBeNew an existing one is ErrExists.
func (s *Supervisor) Put(ctx context.Context, name string, config map[string]string, target state.Target, mustBeNew bool) (info Info, created bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	old, exists := s.ConfigLog.Connector(name)
	if exists && mustBeNew {
		return Info{}, false, ErrExists
	}
	if err := s.ConfigLog.Put(ctx, name, config, target); err != nil {
		return Info{}, false, err
	}
	return Info{Name: name, Config: config, Tasks: old.Committed, Type: s.kind(config)}, !exists, nil
}

// Delete forgets a connector. Its offsets stay.
func (s *Supervisor) Delete(ctx context.Context, name string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, ok := s.ConfigLog.Connector(name); !ok {
		return ErrNotFound
	}
	if err := s.ConfigLog.Remove(ctx, name); err != nil {
		return err
	}
	// The answer to the next question shall be that there is nothing.
	done := make(chan error, 1)
	if s.tell(name, order{refresh: true, done: done}) {
		return wait(ctx, done)
	}
	return nil
}

// SetTarget says which state a connector is to be in.
func (s *Supervisor) SetTarget(ctx context.Context, name string, target state.Target) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if _, ok := s.ConfigLog.Connector(name); !ok {
		return ErrNotFound
	}
	return s.ConfigLog.SetTarget(ctx, name, target)
}

// Restart restarts the connector itself and waits until it has started or
// failed to. Its tasks go on unless their configurations are others now. The
// error is ErrNotFound, or that a referenced value cannot be read.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	done := make(chan error, 1)
	if _, ok := s.ConfigLog.Connector(name); !ok || !s.tell(name, order{restart: &state.Restart{}, done: done}) {
		return ErrNotFound
	}
	return wait(ctx, done)
}

// RestartWith restarts what r says and returns the states as they will be in
// a moment, without waiting.
func (s *Supervisor) RestartWith(ctx context.Context, name string, r state.Restart) (Status, error) {
	st, err := s.Status(name)
	if err != nil {
		return Status{}, ErrNotFound
	}
	if !r.OnlyFailed || st.Connector.State == state.StatusFailed {
		st.Connector.State = state.StatusRestarting
	}
	for i := range st.Tasks {
		if r.IncludeTasks && (!r.OnlyFailed || st.Tasks[i].State == state.StatusFailed) {
			st.Tasks[i].State = state.StatusRestarting
		}
	}
	return st, s.ConfigLog.Restart(ctx, name, r)
}

// RestartTask restarts one task and waits until it is started.
func (s *Supervisor) RestartTask(ctx context.Context, name string, id int) error {
	c, ok := s.ConfigLog.Connector(name)
	if !ok {
		return ErrNotFound
	}
	if id < 0 || id >= max(c.Committed, len(c.Tasks)) {
		return ErrNoTask
	}
	if id >= c.Committed {
		return ErrNotAssigned
	}
	done := make(chan error, 1)
	if !s.tell(name, order{restartTask: &id, done: done}) {
		return ErrNotFound
	}
	return wait(ctx, done)
}

func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Tasks returns the configurations of a connector's tasks.
func (s *Supervisor) Tasks(name string) ([]map[string]string, error) {
	c, ok := s.ConfigLog.Connector(name)
	if !ok {
		return nil, ErrNotFound
	}
	out := make([]map[string]string, c.Committed)
	for i := range out {
		out[i] = c.Tasks[i]
	}
	return out, nil
}

// Status is the state of a connector and its tasks.
type Status struct {
	Name      string
	Type      string
	Connector state.Status
	Tasks     []TaskStatus
}

// TaskStatus is the state of a task.
type TaskStatus struct {
	ID int
	state.Status
}

// Status returns a connector's state.
func (s *Supervisor) Status(name string) (Status, error) {
	c, known := s.ConfigLog.Connector(name)
	st, ok := s.StatusLog.Connector(name)
	if !known || !ok {
		return Status{}, ErrNotFound
	}
	out := Status{Name: name, Type: s.kind(c.Config), Connector: st, Tasks: []TaskStatus{}}
	tasks := s.StatusLog.Tasks(name)
	for _, id := range slices.Sorted(maps.Keys(tasks)) {
		out.Tasks = append(out.Tasks, TaskStatus{id, tasks[id]})
	}
	return out, nil
}

// Health returns what the running tasks wait for, by connector and task.
func (s *Supervisor) Health() map[string]map[int]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]map[int]string{}
	for name, a := range s.actors {
		for id, why := range a.waiting() {
			if out[name] == nil {
				out[name] = map[int]string{}
			}
			out[name][id] = why
		}
	}
	return out
}

// Declare stores the configurations of declared connectors that are not as
// they are stored. Kafka Connect has no such thing; here what is declared
// wins at every start over what was stored meanwhile. Target states stay.
func (s *Supervisor) Declare(ctx context.Context, connectors []config.Connector) error {
	for _, c := range connectors {
		want := maps.Clone(c.Config)
		want["name"] = c.Name
		if old, ok := s.ConfigLog.Connector(c.Name); ok && maps.Equal(old.Config, want) {
			continue
		}
		if err := s.ConfigLog.Put(ctx, c.Name, want, ""); err != nil {
			return fmt.Errorf("store the connector %s that %s declares: %w", c.Name, c.Origin, err)
		}
		s.Logger.Info("a declared connector is stored", "connector", c.Name, "declared_in", c.Origin)
	}
	return nil
}
