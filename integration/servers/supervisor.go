package servers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// defaultLinger is how long shared servers outlive the last lease. go test
// builds the next package while nothing runs, and a restart costs more.
const defaultLinger = 15 * time.Second

// Supervise is the body of the supervisor process. It owns all servers of one
// run directory until nobody needs them any more, and calls ready once it
// listens. Only `servers supervise` calls it.
func Supervise(ctx context.Context, ready func()) error {
	p, err := locate()
	if err != nil {
		return err
	}
	linger := defaultLinger
	if v := os.Getenv("PENSTOCK_SERVERS_LINGER"); v != "" {
		if linger, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("PENSTOCK_SERVERS_LINGER: %w", err)
		}
	}
	// The predecessor may still be stopping its servers.
	unlock, err := lock(ctx, p.socket()+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	ports, err := newPorts()
	if err != nil {
		return err
	}
	data := filepath.Join(p.run, fmt.Sprintf("v%d", protocolVersion))
	for _, leftover := range []string{data, p.socket()} { // of a supervisor that was killed
		if err := os.RemoveAll(leftover); err != nil {
			return fmt.Errorf("clear %s: %w", leftover, err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", p.socket())
	if err != nil {
		return fmt.Errorf("listen for users of the servers: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &supervisor{
		place: p, data: data, linger: linger, ports: ports, forker: newForker(), cancel: cancel,
		leases: make(map[string]*lease), shared: make(map[string]*shared), all: make(map[string]*instance),
	}
	s.idle = time.AfterFunc(linger, s.expire)
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	ready()
	s.serve(ctx, listener)
	return s.shutdown()
}

// supervisor owns every server process of the run.
type supervisor struct {
	place  place
	data   string
	linger time.Duration
	ports  *ports
	forker *forker
	cancel context.CancelFunc // begins the end
	work   sync.WaitGroup     // connections and starts under way

	mu      sync.Mutex
	closing bool
	held    bool
	serial  int
	leases  map[string]*lease
	shared  map[string]*shared
	all     map[string]*instance
	idle    *time.Timer // runs while there is no lease
}

type lease struct {
	pid   int
	ports []int
}

func (s *supervisor) serve(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed by the end of ctx
		}
		s.work.Go(func() {
			defer func() { _ = conn.Close() }()
			s.handle(ctx, conn)
		})
	}
}

func (s *supervisor) shutdown() error {
	s.mu.Lock()
	s.closing = true
	s.idle.Stop()
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	var errs []error
	for _, i := range s.all {
		errs = append(errs, i.discard())
	}
	s.forker.close()
	return errors.Join(append(errs, os.RemoveAll(s.data))...)
}

// expire ends the supervisor if nobody has come since the timer started.
func (s *supervisor) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leases) == 0 && !s.held {
		s.closing = true
		s.cancel()
	}
}

// handle serves one connection: one request, or a lease.
func (s *supervisor) handle(base context.Context, conn net.Conn) {
	in := bufio.NewReader(conn)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	var mu sync.Mutex
	out := json.NewEncoder(conn)
	send := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(r) // a user who is gone needs no answer
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		send(reply{Done: true, Err: fmt.Sprintf("malformed request: %v", err)})
		return
	}
	// The user hangs up to give up, at Ctrl-C for example; and all of us do at
	// the end.
	ctx, cancel := context.WithCancel(base)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	hungUp := make(chan struct{})
	s.work.Go(func() {
		defer close(hungUp)
		defer cancel()
		_, _ = in.ReadByte()
	})
	if req.Op == opLease {
		s.lease(req, send, hungUp)
		return
	}
	r, err := s.answer(ctx, base, req, func(text string) { send(reply{Progress: text}) })
	if err != nil {
		r.Err = err.Error()
	}
	r.Done = true
	send(r)
}

// lease keeps a user registered until the connection ends.
func (s *supervisor) lease(req request, send func(reply), hungUp <-chan struct{}) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		send(reply{Done: true, Closing: true})
		return
	}
	s.serial++
	id := fmt.Sprintf("lease-%d", s.serial)
	s.leases[id] = &lease{pid: req.PID}
	s.idle.Stop()
	s.mu.Unlock()
	send(reply{Done: true, Lease: id})
	<-hungUp
	s.endLease(id)
}

// endLease kills what belongs to a lease.
func (s *supervisor) endLease(id string) {
	s.mu.Lock()
	l := s.leases[id]
	delete(s.leases, id)
	var own []*instance
	for _, i := range s.all {
		if i.lease == id {
			own = append(own, i)
		}
	}
	s.mu.Unlock()
	for _, i := range own {
		_ = s.release(i)
	}
	for _, port := range l.ports {
		s.ports.drop(port)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leases) == 0 && !s.held && !s.closing {
		s.idle.Reset(s.linger)
	}
}

// answer carries out one request. ctx ends with the connection, base with the
// supervisor.
func (s *supervisor) answer(ctx, base context.Context, req request, progress func(string)) (reply, error) {
	switch req.Op {
	case opShared:
		return s.share(ctx, base, req.Spec, progress)
	case opOwn:
		return s.own(ctx, req, progress)
	case opInstall:
		_, err := s.install(ctx, req.Spec, progress)
		return reply{}, err
	case opStart, opStop, opKill, opRelease:
		return s.control(ctx, req)
	case opPort:
		return s.port(req.Lease)
	case opStatus:
		return s.status(), nil
	case opHold:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = true
		s.idle.Stop()
		return reply{}, nil
	case opDown:
		return s.down(ctx, req), nil
	default:
		return reply{}, fmt.Errorf("unknown request %q", req.Op)
	}
}

// down ends the hold, and everything if no lease but the caller's is left or
// force is set. A user that has just ended may not have been noticed yet,
// hence the grace.
func (s *supervisor) down(ctx context.Context, req request) reply {
	s.mu.Lock()
	s.held = false
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		var others []int
		for id, l := range s.leases {
			if id != req.Lease {
				others = append(others, l.pid)
			}
		}
		if req.Force || len(others) == 0 {
			s.closing = true
			s.mu.Unlock()
			s.cancel()
			return reply{Closing: true}
		}
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return reply{Leases: others}
		}
	}
}

func (s *supervisor) status() reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := reply{Held: s.held}
	for _, l := range s.leases {
		r.Leases = append(r.Leases, l.pid)
	}
	for _, i := range s.all {
		r.Servers = append(r.Servers, i.info())
	}
	return r
}

func (s *supervisor) port(leaseID string) (reply, error) {
	port, err := s.ports.take()
	if err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[leaseID]
	if l == nil {
		s.ports.drop(port)
		return reply{}, errNoLease
	}
	l.ports = append(l.ports, port)
	return reply{Port: port}, nil
}

var errNoLease = errors.New("the lease is over")
