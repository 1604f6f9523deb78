package supervisor

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/state"
)

// actor owns one connector. Its fields are its goroutine's but for those
// behind mu.
type actor struct {
	s       *Supervisor
	name    string
	mailbox *mailbox
	ended   chan *task // a task's goroutine has ended by itself

	config map[string]string // that plan was made from; nil if none was
	plan   *catalogue.Plan   // nil if there is none, or it failed
	failed bool              // the connector is FAILED

	mu    sync.Mutex
	tasks map[int]*task
	stats map[int]*Stats // over all runs
}

func newActor(s *Supervisor, name string) *actor {
	return &actor{s: s, name: name, mailbox: newMailbox(), ended: make(chan *task), tasks: map[int]*task{}, stats: map[int]*Stats{}}
}

// run works until ctx ends or the connector is gone.
func (a *actor) run(ctx context.Context) {
	for {
		select {
		case <-a.mailbox.filled:
			gone := false
			for _, o := range a.mailbox.take() {
				gone = a.do(ctx, o)
			}
			if gone && a.s.leave(a) {
				return
			}
		case t := <-a.ended:
			t.finish()
		case <-ctx.Done():
			a.shutdown()
			return
		}
	}
}

// do carries out an order and reports whether the connector is gone.
func (a *actor) do(ctx context.Context, o order) (gone bool) {
	var err error
	c, ok := a.s.ConfigLog.Connector(a.name)
	switch {
	case !ok:
		a.remove(ctx)
		gone = true
	case o.restart != nil:
		err = a.restart(ctx, c, *o.restart)
	case o.restartTask != nil:
		a.restartTask(ctx, c, *o.restartTask)
	default:
		a.reconcile(ctx, c)
	}
	if o.done != nil {
		o.done <- err
	}
	return gone
}

// reconcile makes the connector what the config topic says it is to be.
func (a *actor) reconcile(ctx context.Context, c state.Connector) {
	switch c.Target {
	case state.Stopped:
		a.stop(c)
	case state.Paused:
		a.pause(c)
	case state.Started:
		a.start(ctx, c)
	}
}

func (a *actor) stop(c state.Connector) {
	a.plan, a.config, a.failed = nil, nil, false
	for _, t := range a.all() {
		a.halt(t)
		a.drop(t.id)
	}
	for id := range a.s.StatusLog.Tasks(a.name) { // of an earlier run of the worker
		a.s.StatusLog.RemoveTask(a.name, id)
	}
	a.setConnector(c, state.StatusStopped, "") // last: nothing works any more
}

func (a *actor) pause(c state.Connector) {
	if !a.failed {
		a.setConnector(c, state.StatusPaused, "")
	}
	for _, t := range a.all() {
		a.halt(t)
	}
	for id := range c.Committed {
		if st, ok := a.s.StatusLog.Tasks(a.name)[id]; ok && st.State == state.StatusFailed && (a.task(id) != nil || a.failed) {
			continue // pausing neither heals nor hides it
		}
		a.setTask(c, id, state.StatusPaused, "")
	}
}

// start makes the plan if there is none for this configuration, and sees to
// it that all tasks run that have not failed.
func (a *actor) start(ctx context.Context, c state.Connector) {
	if a.config == nil || !maps.Equal(a.config, c.Config) {
		if a.makePlan(c) != nil {
			a.failTasks(c)
			return
		}
	}
	if a.failed {
		a.failTasks(c)
		return
	}
	a.setConnector(c, state.StatusRunning, "")
	a.startTasks(ctx, c)
}

// makePlan judges the configuration anew. The connector is FAILED if there is
// something wrong with it.
func (a *actor) makePlan(c state.Connector) error {
	a.plan, a.config, a.failed = nil, c.Config, true
	e, err := a.s.Catalogue.Evaluate(a.s.Env, pointers(c.Config))
	if err == nil && e.Failed() {
		err = &configError{e.Errors()}
	}
	if err != nil {
		a.setConnector(c, state.StatusFailed, trace(err, nil))
		a.s.Logger.Error("the connector cannot start", "connector", a.name, "error", err)
		return err
	}
	for _, w := range e.Warnings {
		a.s.Logger.Warn("about the connector's configuration", "connector", a.name, "setting", w.Key, "problem", w.Message)
	}
	a.s.Hide(e.Plan.Secrets())
	a.plan, a.failed = e.Plan, false
	return nil
}

// configError lists what is wrong with a configuration.
type configError struct{ lines []string }

// Error returns all of it.
func (e *configError) Error() string { return strings.Join(e.lines, "\n") }

// failTasks gives the tasks that do not run, of a connector that cannot
// start, the connector's trace.
func (a *actor) failTasks(c state.Connector) {
	st, _ := a.s.StatusLog.Connector(a.name)
	for id := range c.Committed {
		if t := a.task(id); t == nil || !t.running() {
			a.setTask(c, id, state.StatusFailed, st.Trace)
		}
	}
}

// startTasks writes the tasks' configurations if they are others than those
// in the topic, and starts what does not run.
func (a *actor) startTasks(ctx context.Context, c state.Connector) {
	want := a.taskConfigs(c)
	if !sameTasks(want, c) {
		for _, t := range a.all() {
			a.halt(t)
			a.drop(t.id)
		}
		if err := a.s.ConfigLog.PutTasks(ctx, a.name, want); err != nil {
			if ctx.Err() == nil {
				a.failed = true
				a.setConnector(c, state.StatusFailed, trace(err, a.plan))
				a.s.Logger.Error("the connector's tasks cannot be stored", "connector", a.name, "error", err)
			}
			return
		}
		for id := range a.s.StatusLog.Tasks(a.name) {
			if id >= len(want) {
				a.s.StatusLog.RemoveTask(a.name, id)
			}
		}
	}
	for id := range want {
		if t := a.task(id); t != nil && (t.running() || t.hasFailed()) {
			continue
		}
		a.launch(ctx, c, id)
	}
}

func sameTasks(want []map[string]string, c state.Connector) bool {
	if len(want) != c.Committed {
		return false
	}
	for id, w := range want {
		if !maps.Equal(w, c.Tasks[id]) {
			return false
		}
	}
	return true
}

// taskConfigs returns what Kafka Connect stores for each task: the
// connector's configuration as it was given, with the task's class.
func (a *actor) taskConfigs(c state.Connector) []map[string]string {
	n := 1
	if a.plan.Plugin.Kind == catalogue.Sink {
		n = int(a.plan.Common.Int("tasks.max"))
	}
	out := make([]map[string]string, n)
	for i := range out {
		out[i] = maps.Clone(c.Config)
		out[i]["task.class"] = a.plan.Plugin.TaskClass()
	}
	return out
}

// restart does what was asked for. The error is that a referenced value
// cannot be read; everything else shows in the states.
func (a *actor) restart(ctx context.Context, c state.Connector, r state.Restart) error {
	plain := r == (state.Restart{})
	var again []int
	if r.IncludeTasks {
		for id, st := range a.s.StatusLog.Tasks(a.name) {
			if !r.OnlyFailed || st.State == state.StatusFailed {
				again = append(again, id)
			}
		}
	}
	connector := !r.OnlyFailed || a.failed
	if connector && !plain {
		a.setStatus(c, state.StatusRestarting)
	}
	for _, id := range again {
		a.setTaskStatus(c, id, state.StatusRestarting)
		if t := a.task(id); t != nil {
			a.halt(t)
			a.drop(id)
		}
	}
	var err error
	if connector && c.Target == state.Started {
		a.config = nil
		if plain {
			a.setStatus(c, state.StatusUnassigned)
		}
		if err = a.makePlan(c); err != nil {
			a.failTasks(c)
			var unreadable *config.UnreadableError
			if errors.As(err, &unreadable) {
				return unreadable
			}
			return nil
		}
	}
	a.reconcile(ctx, c)
	return nil
}

func (a *actor) restartTask(ctx context.Context, c state.Connector, id int) {
	if t := a.task(id); t != nil {
		a.halt(t)
		a.drop(id)
	}
	a.reconcile(ctx, c)
}

// remove ends everything of a connector that was deleted.
func (a *actor) remove(ctx context.Context) {
	for _, t := range a.all() {
		a.halt(t)
		a.drop(t.id)
	}
	if a.plan != nil && a.plan.Database != nil {
		forget, cancel := context.WithTimeout(ctx, forgetTimeout)
		defer cancel()
		if err := a.plan.Database.Forget(forget); err != nil {
			a.s.Logger.Warn("what the deleted connector left at its source could not be removed", "connector", a.name, "error", a.plan.Redact(err.Error()))
		}
	}
	a.plan, a.config, a.failed = nil, nil, false
	a.s.StatusLog.Remove(a.name)
}

// forgetTimeout bounds what a deletion waits for the source.
const forgetTimeout = 10 * time.Second

// shutdown stops the tasks because the worker stops.
func (a *actor) shutdown() {
	var wg sync.WaitGroup
	for _, t := range a.all() {
		wg.Add(1)
		go func() {
			defer wg.Done()
			t.stop(a.s.graceful())
		}()
	}
	wg.Wait()
	c, ok := a.s.ConfigLog.Connector(a.name)
	if !ok {
		return
	}
	if st, ok := a.s.StatusLog.Connector(a.name); ok && st.State == state.StatusRunning {
		a.setConnector(c, state.StatusUnassigned, "")
	}
	for id, st := range a.s.StatusLog.Tasks(a.name) {
		if st.State == state.StatusRunning {
			a.setTask(c, id, state.StatusUnassigned, "")
		}
	}
	for _, o := range a.mailbox.take() {
		if o.done != nil {
			o.done <- context.Canceled
		}
	}
}

func (a *actor) all() []*task {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*task, 0, len(a.tasks))
	for _, t := range a.tasks {
		out = append(out, t)
	}
	return out
}

func (a *actor) task(id int) *task {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tasks[id]
}

// drop forgets a task that has been halted.
func (a *actor) drop(id int) {
	a.mu.Lock()
	delete(a.tasks, id)
	a.mu.Unlock()
	c, ok := a.s.ConfigLog.Connector(a.name)
	if !ok || c.Target == state.Stopped || id >= c.Committed {
		a.s.StatusLog.RemoveTask(a.name, id)
	}
}

// taskStats returns the counters of the tasks. Anybody may call it.
func (a *actor) taskStats() []TaskStats {
	c, _ := a.s.ConfigLog.Connector(a.name)
	proto := TaskStats{Connector: a.name}
	if p, err := a.s.Catalogue.Connector(c.Config["connector.class"]); err == nil {
		proto.Sink = p.Kind == catalogue.Sink
		if _, ok := p.Settings.Lookup("topic.prefix"); ok {
			proto.Debezium, proto.Server = p.Name, c.Config["topic.prefix"]
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []TaskStats
	for id, st := range a.stats {
		one := proto
		one.ID, one.Stats = id, st
		out = append(out, one)
	}
	return out
}

// waiting returns why tasks wait. Anybody may call it.
func (a *actor) waiting() map[int]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[int]string{}
	for id, t := range a.tasks {
		if why := t.waitsFor(); why != "" {
			out[id] = why
		}
	}
	return out
}

func (a *actor) setConnector(c state.Connector, st, why string) {
	next := a.s.status(c, st, why)
	if old, ok := a.s.StatusLog.Connector(a.name); ok && same(old, next) {
		return
	}
	a.s.StatusLog.SetConnector(a.name, next)
}

// setStatus is for the passing states, whose records have no version.
func (a *actor) setStatus(c state.Connector, st string) {
	next := a.s.status(c, st, "")
	next.Version = ""
	a.s.StatusLog.SetConnector(a.name, next)
}

func (a *actor) setTask(c state.Connector, id int, st, why string) {
	next := a.s.status(c, st, why)
	if old, ok := a.s.StatusLog.Tasks(a.name)[id]; ok && same(old, next) {
		return
	}
	a.s.StatusLog.SetTask(a.name, id, next)
}

func (a *actor) setTaskStatus(c state.Connector, id int, st string) {
	next := a.s.status(c, st, "")
	next.Version = ""
	a.s.StatusLog.SetTask(a.name, id, next)
}

func (s *Supervisor) status(c state.Connector, st, why string) state.Status {
	return state.Status{State: st, Trace: why, WorkerID: s.WorkerID, Generation: int(s.generation.Load()), Version: s.version(c.Config)}
}

// same compares states but for the generation, which says nothing to anybody.
func same(a, b state.Status) bool {
	a.Generation = b.Generation
	return a == b
}

func (s *Supervisor) graceful() time.Duration {
	return s.Worker.Millis("task.shutdown.graceful.timeout.ms")
}

func pointers(config map[string]string) map[string]*string {
	out := make(map[string]*string, len(config))
	for k, v := range config {
		out[k] = &v
	}
	return out
}

func taskLabel(name string, id int) string { return name + "-" + strconv.Itoa(id) }
