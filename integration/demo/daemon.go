package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is Penstock as a child process.
type daemon struct {
	cmd    *exec.Cmd
	rest   string // URL
	broker string // host:port
	log    string // path
	ended  chan struct{}
	err    error // why it ended; valid after ended is closed
}

// build makes the binary as a user would.
func build(ctx context.Context, bin string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/penstock")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return nil
}

// start runs the daemon with these variables and no other of this process.
func start(ctx context.Context, bin, dir string, rest, broker string, env []string) (*daemon, error) {
	d := &daemon{rest: "http://" + rest, broker: broker, log: filepath.Join(dir, "penstock.log"), ended: make(chan struct{})}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, fmt.Errorf("create the daemon's log: %w", err)
	}
	defer log.Close()
	// Stopped by stop, not by ctx, so that it can drain.
	d.cmd = exec.CommandContext(context.WithoutCancel(ctx), bin, "run")
	d.cmd.Dir = dir
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// A Ctrl-C on the terminal is for the demo, which then stops the daemon.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	go func() {
		if d.err = d.cmd.Wait(); d.err == nil {
			d.err = errors.New("exit status 0")
		}
		close(d.ended)
	}()
	err = poll(ctx, 60*time.Second, 50*time.Millisecond, func() (bool, error) {
		select {
		case <-d.ended:
			return false, d.gone()
		default:
		}
		var ignored json.RawMessage
		return d.get(ctx, "/readyz", &ignored) == nil, nil
	})
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("wait for the daemon to be ready: %w", err)
	}
	return d, nil
}

// stop ends the daemon as a service manager would and waits for it.
func (d *daemon) stop() {
	select {
	case <-d.ended:
		return
	default:
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended in between
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-d.ended:
	case <-timer.C:
		_ = d.cmd.Process.Kill() // as above
		<-d.ended
	}
}

// get reads an answer of the REST interface; into may be nil.
func (d *daemon) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.rest+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// healthy returns an error if a connector has failed or the daemon is gone.
func (d *daemon) healthy(ctx context.Context) error {
	select {
	case <-d.ended:
		return d.gone()
	default:
	}
	type state struct {
		State string
		Trace string
	}
	var all map[string]struct {
		Status struct {
			Connector state
			Tasks     []state
		}
	}
	if err := d.get(ctx, "/connectors?expand=status", &all); err != nil {
		return fmt.Errorf("ask the daemon for its connectors: %w", err)
	}
	var failed []error
	for name, c := range all {
		for _, s := range append([]state{c.Status.Connector}, c.Status.Tasks...) {
			if s.State == "FAILED" {
				failed = append(failed, fmt.Errorf("%s has failed:\n%s", name, s.Trace))
			}
		}
	}
	return errors.Join(failed...)
}

func (d *daemon) gone() error {
	return fmt.Errorf("the daemon ended by itself: %w; its log ends with:\n%s", d.err, d.tail())
}

// account is what the daemon says of itself when things go wrong.
func (d *daemon) account(ctx context.Context) string {
	var ready json.RawMessage
	if err := d.get(ctx, "/readyz", &ready); err != nil {
		ready = json.RawMessage(err.Error())
	}
	return fmt.Sprintf("the daemon says of itself %s and its log ends with:\n%s", ready, d.tail())
}

// tail returns the end of the daemon's log.
func (d *daemon) tail() string {
	b, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// usage returns the CPU time that the daemon took so far and the most memory
// that it had at once, as Linux counts them; zeroes where it does not.
func (d *daemon) usage() (cpu time.Duration, peakBytes int64) {
	proc := "/proc/" + strconv.Itoa(d.cmd.Process.Pid)
	if b, err := os.ReadFile(proc + "/stat"); err == nil {
		_, after, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(after); len(f) > 12 {
			for _, ticks := range f[11:13] { // user and system, in hundredths of a second
				n, err := strconv.ParseInt(ticks, 10, 64)
				if err == nil {
					cpu += time.Duration(n) * 10 * time.Millisecond
				}
			}
		}
	}
	if b, err := os.ReadFile(proc + "/status"); err == nil {
		for l := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(l, "VmHWM:"); ok {
				n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				if err == nil {
					peakBytes = n << 10
				}
			}
		}
	}
	return cpu, peakBytes
}

// environment names variables by what they set.
type environment struct{ vars []string }

func (e *environment) worker(key, value string) {
	e.vars = append(e.vars, "PENSTOCK_"+variable(key)+"="+value)
}

func (e *environment) connector(name, key, value string) {
	e.vars = append(e.vars, "PENSTOCK_CONNECTOR_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"__"+variable(key)+"="+value)
}

func variable(key string) string {
	return strings.ToUpper(strings.NewReplacer("-", "___", "_", "__", ".", "_").Replace(key))
}

// lines renders the variables for a person, without what is secret.
func (e *environment) lines() []string {
	shown := slices.Clone(e.vars)
	for i, v := range shown {
		name, value, _ := strings.Cut(v, "=")
		if strings.Contains(name, "PASSWORD") {
			value = "…"
		} else if before, rest, ok := strings.Cut(value, "://"); ok {
			if login, host, ok := strings.Cut(rest, "@"); ok {
				user, _, _ := strings.Cut(login, ":")
				value = before + "://" + user + ":…@" + host
			}
		}
		shown[i] = name + "=" + value
	}
	return shown
}

// poll calls done at intervals until it returns true or an error, or the time
// is up.
func poll(ctx context.Context, limit, interval time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
