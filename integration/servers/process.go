package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// forker starts all server processes from one operating system thread. The
// kernel ties a parent-death signal to the thread that forked, not to the
// process, so that thread must live as long as the supervisor does.
type forker struct {
	jobs chan func()
	done chan struct{}
}

func newForker() *forker {
	f := &forker{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for job := range f.jobs {
			job()
		}
	}()
	return f
}

func (f *forker) start(cmd *exec.Cmd) error {
	err := make(chan error, 1)
	f.jobs <- func() { err <- cmd.Start() }
	return <-err
}

// close ends the thread. The kernel kills what it started and still runs.
func (f *forker) close() {
	close(f.jobs)
	<-f.done
}

// process is one running program.
type process struct {
	pid  int
	log  string
	from int64         // where this run's part of the log starts
	done chan struct{} // closed when it has been waited for
	err  error         // why it ended; read after done
}

// program is what to run for one node.
type program struct {
	argv []string
	env  []string
	dir  string
}

// environ is the environment of every server and its tools. The caller's own
// is kept away from them: a JAVA_OPTS or LD_PRELOAD of a shell would make one
// machine's servers differ from another's.
func environ(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TZ=UTC", "LANG=C.UTF-8"}
}

// launch starts a program with its output appended to the log file.
func launch(f *forker, as *syscall.Credential, pr program, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open server log: %w", err)
	}
	defer func() { _ = out.Close() }()
	end, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", log, err)
	}
	cmd := &exec.Cmd{
		Path: pr.argv[0], Args: pr.argv, Dir: pr.dir, Stdout: out, Stderr: out,
		Env: append(environ(pr.dir), pr.env...),
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:    true, // a person's Ctrl-C is for us, not for the servers
			Pdeathsig:  syscall.SIGKILL,
			Credential: as,
		},
	}
	if err := f.start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", pr.argv[0], err)
	}
	p := &process{pid: cmd.Process.Pid, log: log, from: end, done: make(chan struct{})}
	go func() { // ends with the process, which the instance stops and waits for
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end says how a process ended; call it after done.
func (p *process) end() string {
	if p.err != nil {
		return p.err.Error()
	}
	return "exit status 0"
}

// stop sends a signal and waits; when ctx ends first, it kills.
func (p *process) stop(ctx context.Context, sig syscall.Signal) error {
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("process %d did not stop on %v and was killed: %w", p.pid, sig, ctx.Err())
	}
}

// kill ends the process and all its descendants with SIGKILL and waits until
// none is left, as after a power cut. Descendants matter: PostgreSQL's back
// ends and Elasticsearch's Java process would outlive their parent a little,
// and hold on to what the next start needs.
func (p *process) kill() {
	family := descendants(p.pid)
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(family) > 0 {
		if alive(family[0]) {
			<-tick.C // SIGKILL cannot be refused: this ends
			continue
		}
		family = family[1:]
	}
}

// descendants lists the processes below pid.
func descendants(pid int) []int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var all []int
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

// alive is false for zombies: an orphan may never be waited for in a container
// whose first process does not care.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, ok := bytes.Cut(b, []byte(") "))
	return ok && len(after) > 0 && after[0] != 'Z' && after[0] != 'X'
}

// waitFor calls ready every few milliseconds until it is true, the process
// has ended or ctx has.
func (p *process) waitFor(ctx context.Context, ready func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready() {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("it ended by itself (%s); last lines of its log:\n%s", p.end(), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("it did not get ready: %w; last lines of its log:\n%s", ctx.Err(), p.tail())
		}
	}
}

// logged reports whether this run of the process has written text to its log.
func (p *process) logged(text string) bool {
	b, err := readFrom(p.log, p.from)
	return err == nil && bytes.Contains(b, []byte(text))
}

// tail returns the last lines of this run's log.
func (p *process) tail() string {
	b, err := readFrom(p.log, p.from)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(b), 15)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func readFrom(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read server log: %w", err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.NewSectionReader(f, offset, 64<<20))
}
