package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/state"
)

// task is a task that was started once. It belongs to its actor.
type task struct {
	actor *actor
	id    int
	plan  *catalogue.Plan
	conn  state.Connector
	stats *Stats

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	why    string // what it waits for
	ran    bool   // the goroutine has not ended by itself
	failed bool
	err    error
}

// classLogger returns the logger of the task's class, so that levels can be
// set as in Kafka Connect.
func (t *task) classLogger() *slog.Logger { return t.actor.s.Env.Logger(t.plan.Plugin.TaskClass()) }

// logger returns the same, for one that names the task.
func (t *task) logger() *slog.Logger {
	return t.classLogger().With("connector", t.actor.name, "task", t.id)
}

// launch starts a task.
func (a *actor) launch(ctx context.Context, c state.Connector, id int) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the actor stops it in order
	t := &task{actor: a, id: id, plan: a.s.ownPlan(c, a.plan), conn: c, cancel: cancel, done: make(chan struct{}), ran: true}
	a.mu.Lock()
	if a.stats[id] == nil {
		a.stats[id] = newStats()
	}
	t.stats = a.stats[id]
	a.tasks[id] = t
	a.mu.Unlock()
	a.s.generation.Add(1)
	a.setTask(c, id, state.StatusRunning, "")
	go func() {
		err := t.loop(run)
		t.mu.Lock()
		t.err, t.why = err, ""
		t.mu.Unlock()
		close(t.done)
		if err != nil {
			// run ends when the actor halts the task, which it may do before it
			// hears of this.
			select {
			case a.ended <- t:
			case <-run.Done():
			}
		}
	}()
}

// ownPlan returns a plan that shares no database, destination or converter
// with another, for these are not made for several tasks.
func (s *Supervisor) ownPlan(c state.Connector, otherwise *catalogue.Plan) *catalogue.Plan {
	if e, err := s.Catalogue.Evaluate(s.Env, pointers(c.Config)); err == nil && e.Plan != nil {
		return e.Plan
	}
	return otherwise // a reference cannot be read any more; what has been read will do
}

// loop runs the task until ctx ends (nil) or it fails for good.
func (t *task) loop(ctx context.Context) error {
	s := t.actor.s
	log := t.logger()
	if t.id == 0 { // the others would find the same
		looking, stop := context.WithCancel(ctx)
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			t.look(looking)
		}()
		defer func() {
			stop()
			<-looked
		}()
	}
	delay := s.Backoff
	before := t.stats.progress()
	for {
		began := time.Now()
		err := t.once(ctx)
		worked := t.stats.progress() != before
		if err != nil && !worked && ctx.Err() == nil {
			err = t.explain(ctx, err)
		}
		switch {
		case ctx.Err() != nil:
			if err != nil {
				log.Warn("the task did not stop cleanly", "error", t.plan.Redact(err.Error()))
			}
			return nil
		case err == nil:
			err = errors.New("the task ended without being told to")
		case permanent(err), !worked && refused(err):
			return err
		}
		if time.Since(began) > s.MaxBackoff {
			delay = s.Backoff // it had worked
		}
		// Half to one and a half, so that the tasks that lost one server do not
		// all come back at once.
		pause := delay/2 + rand.N(delay)
		t.waitFor(err)
		log.Warn("the task is run again after an error that should pass", "error", t.plan.Redact(err.Error()), "in", pause.Round(time.Millisecond).String())
		t.stats.Restarts.Add(1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		delay = min(2*delay, s.MaxBackoff)
	}
}

func permanent(err error) bool {
	var retry interface{ Retriable() bool }
	// A lost position stays lost; what snapshot.mode has to say has been said.
	return capture.IsPermanent(err) || sinks.IsPermanent(err) || errors.Is(err, capture.ErrPositionLost) ||
		errors.As(err, &retry) && !retry.Retriable()
}

// explainedError is the error of a task that has not worked yet, with what a
// look at the real system found.
type explainedError struct {
	findings []string
	err      error
}

// Error returns the findings, which name the remedy.
func (e *explainedError) Error() string { return strings.Join(e.findings, "\n") }

// Unwrap returns what ended the task.
func (e *explainedError) Unwrap() error { return e.err }

// checkTimeout bounds the look at the real system.
const checkTimeout = 30 * time.Second

// explain has a task that could not begin its work say what is wrong in the
// words of a check, which name the setting and the remedy.
func (t *task) explain(ctx context.Context, err error) error {
	if _, bug := isPanic(err); bug {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	e := &explainedError{err: err}
	bug := capture.Guard(func() error {
		for _, problem := range t.plan.Check(ctx) {
			if !problem.Warning {
				e.findings = append(e.findings, problem.Message)
			}
		}
		return nil
	})
	if e.findings == nil || bug != nil {
		return err
	}
	return e
}

// look logs what a check of the real system warns of, beside the task's start.
// Errors are left to the task: if they are in its way, it says so.
func (t *task) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	plan := t.actor.s.ownPlan(t.conn, nil)
	if plan == nil {
		return
	}
	err := capture.Guard(func() error {
		for _, problem := range plan.Check(ctx) {
			if problem.Warning {
				t.logger().Warn("about the connector's configuration", "setting", problem.Key, "problem", t.plan.Redact(problem.Message))
			}
		}
		return nil
	})
	if err != nil {
		t.logger().Error("a check of the connector's configuration broke", "error", err)
	}
}

// refused reports whether a database has refused the login or does not know
// the database. That may pass while a connector works (somebody rotates a
// password); at its start it is a mistake in the configuration.
func refused(err error) bool {
	var sql interface{ SQLState() string }
	if !errors.As(err, &sql) {
		return false
	}
	code := sql.SQLState()
	return strings.HasPrefix(code, "28") || strings.HasPrefix(code, "3D")
}

// once makes the task and runs it. A panic becomes an error.
func (t *task) once(ctx context.Context) error {
	return capture.Guard(func() error {
		if t.plan.Plugin.Kind == catalogue.Sink {
			return t.sink(ctx)
		}
		return t.source(ctx)
	})
}

// isPanic reports whether an error was a panic, and returns its stack.
func isPanic(err error) (stack string, ok bool) {
	var p interface{ PanicStack() string }
	if !errors.As(err, &p) {
		return "", false
	}
	return p.PanicStack(), true
}

// waitFor says what the task waits for; nil that it has gone on.
func (t *task) waitFor(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.why = ""
	if err != nil {
		t.why = t.plan.Redact(err.Error())
	}
}

func (t *task) waitsFor() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

func (t *task) running() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ran
}

func (t *task) hasFailed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// finish takes note that the task has ended by itself. Its actor calls it.
func (t *task) finish() {
	t.mu.Lock()
	err := t.err
	t.ran, t.failed = false, err != nil
	t.mu.Unlock()
	if err == nil {
		return
	}
	t.cancel()
	a := t.actor
	why := trace(err, t.plan)
	a.setTask(t.conn, t.id, state.StatusFailed, why)
	t.logger().Error("the task has failed", "error", t.plan.Redact(err.Error()))
}

// halt stops a task and takes note of a failure that came first.
func (a *actor) halt(t *task) {
	if !t.running() {
		return
	}
	t.stop(a.s.graceful())
	t.finish()
	t.mu.Lock()
	t.ran = false
	t.mu.Unlock()
}

// stop has the task drain and waits for it. A task that does not stop in
// twice its time is left behind, which is logged: everything it calls takes a
// context, so that is a bug.
func (t *task) stop(graceful time.Duration) {
	t.cancel()
	timer := time.NewTimer(2*graceful + time.Second)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
		t.logger().Error("the task does not stop and is left behind")
	}
}
