// Package daemon runs the real program as a child process, configured by its
// environment as in a container, so that tests, the demo and the benchmarks
// can stop it, kill it and look at it from outside.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles the program into a folder and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("no place of this source file")
	}
	path := filepath.Join(dir, "penstock")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/penstock")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}

// Daemon is one configured program; at most one process of it runs at a time.
type Daemon struct {
	// Path is the program's, Dir the folder it runs in and keeps its log in.
	Path, Dir string
	// Args are the program's arguments; nil means run.
	Args []string
	// REST is the address (host:port) of its REST listener.
	REST string
	// Env is its whole configuration: NAME=value.
	Env []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended
	err  error         // how; read after done
	runs int
}

// Log returns the path of the log of all its runs.
func (d *Daemon) Log() string { return filepath.Join(d.Dir, "penstock.log") }

// Start starts the process and waits until its REST interface answers.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.Launch(); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if d.get(ctx, "/connectors", nil) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the REST interface does not answer: %w\n%s", ctx.Err(), d.Tail())
		case <-d.Done():
			return fmt.Errorf("the program ended: %w\n%s", d.err, d.Tail())
		case <-tick.C:
		}
	}
}

// Launch starts the process and returns at once.
func (d *Daemon) Launch() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd != nil {
		return errors.New("the program is already running")
	}
	log, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	d.runs++
	// Not CommandContext: how it ends is what the tests are about.
	args := d.Args
	if args == nil {
		args = []string{"run"}
	}
	cmd := exec.Command(d.Path, args...) //nolint:noctx // see above
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.Dir, log, log
	cmd.Env = append([]string{"HOME=" + d.Dir, "PATH=" + os.Getenv("PATH")}, d.Env...)
	cmd.SysProcAttr = deathSignal()
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the program: %w", err), log.Close())
	}
	done := make(chan struct{})
	d.cmd, d.log, d.done = cmd, log, done
	go func() {
		d.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// Done is closed when the running process has ended.
func (d *Daemon) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// Pid returns the process's number, or 0.
func (d *Daemon) Pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// Kill ends the process with SIGKILL and waits for it.
func (d *Daemon) Kill() error { return d.end(context.Background(), syscall.SIGKILL) }

// Stop ends the process with SIGTERM and waits for it; an exit code other
// than 0 is an error.
func (d *Daemon) Stop(ctx context.Context) error { return d.end(ctx, syscall.SIGTERM) }

func (d *Daemon) end(ctx context.Context, sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the program: %w", err)
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		return fmt.Errorf("the program does not end on %v: %w", sig, ctx.Err())
	}
	err := d.err
	d.cmd = nil
	if cerr := d.log.Close(); cerr != nil {
		return fmt.Errorf("close the log: %w", cerr)
	}
	if sig == syscall.SIGKILL {
		return nil
	}
	return err
}

// Tail returns the end of the log.
func (d *Daemon) Tail() string {
	log, err := os.ReadFile(d.Log())
	if err != nil {
		return err.Error()
	}
	const most = 6000
	if len(log) > most {
		log = log[len(log)-most:]
	}
	return string(log)
}

// Usage is what a process has used so far.
type Usage struct {
	// CPU is user and system time together.
	CPU time.Duration
	// RSS and PeakRSS are the resident set now and at its largest, in bytes.
	RSS, PeakRSS int64
}

// Usage reads the running process's usage from /proc (proc(5)).
func (d *Daemon) Usage() (Usage, error) {
	pid := d.Pid()
	if pid == 0 {
		return Usage{}, errors.New("the program is not running")
	}
	return ProcessUsage(pid)
}

// ProcessUsage reads a process's usage from /proc (proc(5)).
func ProcessUsage(pid int) (Usage, error) {
	var u Usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("read the process's usage: %w", err)
	}
	// The second field, the name, may hold blanks; the rest follows its
	// closing bracket.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	for _, f := range fields[11:13] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read the process's CPU time: %w", err)
		}
		u.CPU += time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on Linux
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("read the process's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var to *int64
		switch name {
		case "VmRSS":
			to = &u.RSS
		case "VmHWM":
			to = &u.PeakRSS
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		if err != nil {
			return u, fmt.Errorf("read the process's memory: %w", err)
		}
		*to = kib << 10
	}
	return u, nil
}

// ForgetPeak makes the kernel measure the running process's largest resident
// set anew.
func (d *Daemon) ForgetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.Pid()), []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the process's peak: %w", err)
	}
	return nil
}

// TaskState is a task's or connector's state as the REST interface shows it.
type TaskState struct {
	State string `json:"state"`
	Trace string `json:"trace"`
}

// Status is a connector's status as the REST interface shows it.
type Status struct {
	Connector TaskState   `json:"connector"`
	Tasks     []TaskState `json:"tasks"`
}

// Status asks for a connector's status.
func (d *Daemon) Status(ctx context.Context, connector string) (Status, error) {
	var s Status
	return s, d.get(ctx, "/connectors/"+connector+"/status", &s)
}

// Await waits until a connector's status is as wanted.
func (d *Daemon) Await(ctx context.Context, connector string, wanted func(Status) bool) (Status, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := d.Status(ctx, connector)
		if err == nil && wanted(s) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("connector %s: %w; its last status was %+v (%w)\n%s", connector, ctx.Err(), s, err, d.Tail())
		case <-tick.C:
		}
	}
}

// Failed reports whether a task of the connector, or itself, is FAILED.
func (s Status) Failed() bool {
	for _, t := range s.Tasks {
		if t.State == "FAILED" {
			return true
		}
	}
	return s.Connector.State == "FAILED"
}

// Running reports whether the connector and all its tasks, at least one, are.
func (s Status) Running() bool {
	for _, t := range s.Tasks {
		if t.State != "RUNNING" {
			return false
		}
	}
	return len(s.Tasks) > 0 && s.Connector.State == "RUNNING"
}

// StatusError is an answer of the REST interface other than success.
type StatusError struct {
	Code int
	Body string
}

// Error returns the answer.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Body) }

func (d *Daemon) get(ctx context.Context, path string, into any) error {
	return d.Call(ctx, http.MethodGet, path, nil, into)
}

// Call sends a request to the REST interface; body and into may be nil.
func (d *Daemon) Call(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.REST+path, reader)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %w", method, path, &StatusError{resp.StatusCode, string(text)})
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: read %q: %w", method, path, text, err)
	}
	return nil
}
