package servers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Run is the use that one process makes of the servers. It may be used by
// several goroutines.
type Run struct {
	place place
	// Progress is told what is being fetched, a line at a time; nil is allowed.
	// Set it before the first call.
	Progress func(string)

	mu    sync.Mutex
	id    string
	lease net.Conn // kept open, never read: its end ends the lease
}

// Open prepares the use of servers. Nothing is started before the first
// server is asked for, and nothing at all if the environment gives addresses.
func Open(context.Context) (*Run, error) {
	p, err := locate()
	if err != nil {
		return nil, err
	}
	return &Run{place: p}, nil
}

// Close ends the servers that this Run started for itself. Shared servers end
// by themselves when no other process uses them.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease == nil {
		return nil
	}
	err := r.lease.Close()
	r.lease = nil
	return err
}

// call makes a request under the lease.
func (r *Run) call(ctx context.Context, req request) (reply, error) {
	id, err := r.join(ctx)
	if err != nil {
		return reply{}, err
	}
	req.Lease = id
	return r.ask(ctx, req)
}

// join takes the lease at the first call, starting a supervisor if there is
// none.
func (r *Run) join(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease != nil {
		return r.id, nil
	}
	for {
		conn, rep, err := r.dialLease(ctx)
		if err == nil && !rep.Closing {
			r.lease, r.id = conn, rep.Lease
			return r.id, nil
		}
		if conn != nil {
			_ = conn.Close()
		}
		if err != nil && !nobodyListens(err) {
			return "", err
		}
		if err := r.spawn(ctx); err != nil {
			return "", err
		}
	}
}

// nobodyListens tells a missing or ending supervisor from other failures.
func nobodyListens(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

func (r *Run) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.place.socket())
	if err != nil {
		return nil, fmt.Errorf("reach the supervisor of the servers: %w", err)
	}
	return conn, nil
}

func (r *Run) dialLease(ctx context.Context) (net.Conn, reply, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, reply{}, err
	}
	rep, err := exchange(ctx, conn, request{Op: opLease, PID: os.Getpid()}, nil)
	return conn, rep, err
}

// ask makes a request on a connection of its own, so that requests do not
// wait for each other.
func (r *Run) ask(ctx context.Context, req request) (reply, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = conn.Close() }()
	rep, err := exchange(ctx, conn, req, r.Progress)
	if err == nil && rep.Err != "" {
		err = errors.New(rep.Err)
	}
	return rep, err
}

// exchange sends one request and reads to the final line of the answer.
func exchange(ctx context.Context, conn net.Conn, req request, progress func(string)) (reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := json.NewEncoder(conn).Encode(req)
	in := bufio.NewScanner(conn)
	in.Buffer(nil, 1<<20)
	for err == nil && in.Scan() {
		var rep reply
		if err = json.Unmarshal(in.Bytes(), &rep); err != nil {
			break
		}
		if rep.Done {
			return rep, nil
		}
		if progress != nil {
			progress(rep.Progress)
		}
	}
	if ctx.Err() != nil {
		return reply{}, fmt.Errorf("wait for the supervisor of the servers: %w", context.Cause(ctx))
	}
	if err == nil {
		if err = in.Err(); err == nil {
			err = io.EOF
		}
	}
	return reply{}, fmt.Errorf("talk to the supervisor of the servers (see %s in its run directory): %w", supervisorLog, err)
}

const (
	supervisorLog     = "supervisor.log" // in the run directory
	supervisorPackage = "github.com/penstock/penstock/integration/servers/cmd/servers"
)

// spawn starts a supervisor unless one listens by now. Of several processes
// that find none, the lock lets one spawn; the others then find it.
func (r *Run) spawn(ctx context.Context) error {
	unlock, err := lock(ctx, filepath.Join(r.place.run, "spawn.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if conn, rep, err := r.dialLease(ctx); err == nil {
		_ = conn.Close()
		if !rep.Closing {
			return nil
		}
	}
	bin, err := r.supervisorProgram(ctx)
	if err != nil {
		return err
	}
	path := filepath.Join(r.place.run, supervisorLog)
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	told, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	defer func() { _ = told.Close() }()
	// Not bound to ctx: it outlives this process. Its own session keeps it out
	// of the reach of the terminal and of go test's time-out.
	cmd := &exec.Cmd{
		Path: bin, Args: []string{bin, "supervise"}, Dir: "/", Env: os.Environ(),
		Stdout: tell, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	_ = tell.Close()
	if err != nil {
		return fmt.Errorf("start the supervisor of the servers: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = told.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := told.Read(make([]byte, 1)); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b, _ := os.ReadFile(path)
		return fmt.Errorf("the supervisor of the servers did not start: %w\n%s", errors.Join(ctx.Err(), err), lastLines(string(b), 10))
	}
	return cmd.Process.Release()
}

// supervisorProgram builds the supervisor's program, because the process that
// needs one is a test binary and cannot be it. With Go's build cache this
// takes a second. PENSTOCK_SERVERS_BIN names a program built before.
func (r *Run) supervisorProgram(ctx context.Context) (string, error) {
	if bin := os.Getenv("PENSTOCK_SERVERS_BIN"); bin != "" {
		return bin, nil
	}
	bin := filepath.Join(r.place.run, "servers") // under the spawn lock of this directory
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+".new", supervisorPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if err := run(cmd); err != nil {
		return "", fmt.Errorf("build the supervisor of the servers (run inside the repository, with go in PATH, or set PENSTOCK_SERVERS_BIN): %w", err)
	}
	if err := os.Rename(bin+".new", bin); err != nil { // the old one may be running
		return "", fmt.Errorf("replace the supervisor's program: %w", err)
	}
	return bin, nil
}

// Status reports the servers that run and the processes that use them.
func (r *Run) Status(ctx context.Context) (Status, error) {
	rep, err := r.ask(ctx, request{Op: opStatus})
	if err != nil {
		if nobodyListens(err) {
			return Status{}, nil
		}
		return Status{}, err
	}
	st := Status{Held: rep.Held, Users: rep.Leases}
	for _, s := range rep.Servers {
		st.Servers = append(st.Servers, ServerStatus{
			Kind: string(s.Kind), Version: s.Version, Own: s.Own, Config: s.Config,
			Port: s.Nodes[0].Port, PID: s.Nodes[0].PID, Log: s.Nodes[0].Log,
		})
	}
	return st, nil
}

// Status is what runs and who uses it.
type Status struct {
	Held    bool  // `servers up` keeps it up
	Users   []int // process ids
	Servers []ServerStatus
}

// ServerStatus is one running server (of a replica set, its first member).
type ServerStatus struct {
	Kind, Version string
	Own           bool // belongs to one process
	Config        []string
	Port, PID     int
	Log           string
}

// Hold keeps shared servers up until [Run.Down], whoever uses them.
func (r *Run) Hold(ctx context.Context) error {
	_, err := r.call(ctx, request{Op: opHold})
	return err
}

// Down ends the hold. If no process but this one uses servers, or with force,
// they are stopped; otherwise they stop after the last user, and Down reports
// the process ids of the users. The Run is closed.
func (r *Run) Down(ctx context.Context, force bool) (users []int, err error) {
	r.mu.Lock()
	id := r.id
	r.mu.Unlock()
	rep, err := r.ask(ctx, request{Op: opDown, Lease: id, Force: force})
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("end the lease: %w", err)
	}
	if err != nil {
		if nobodyListens(err) {
			return nil, nil
		}
		return nil, err
	}
	if !rep.Closing {
		return rep.Leases, nil
	}
	// The supervisor has this lock until all its servers are gone.
	unlock, err := lock(ctx, r.place.socket()+".lock")
	if err != nil {
		return nil, err
	}
	unlock()
	return nil, nil
}

// Install fetches what a server needs without starting it. The name is one of
// [Names], with a version after a colon if need be.
func (r *Run) Install(ctx context.Context, name string) error {
	base, version, _ := strings.Cut(name, ":")
	_, err := r.call(ctx, request{Op: opInstall, Spec: newSpec(kind(base), []Option{Version(version)})})
	return err
}

// FreePort returns a loopback port below the ephemeral range that nothing
// uses, and that no server gets before Close.
func (r *Run) FreePort(ctx context.Context) (int, error) {
	rep, err := r.call(ctx, request{Op: opPort})
	return rep.Port, err
}
