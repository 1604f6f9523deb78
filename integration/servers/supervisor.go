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
	"runtime"
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

// shared is one shared server, also while it is being started: all who ask
// for it meanwhile wait on done.
type shared struct {
	done chan struct{}
	inst *instance
	err  error

	mu    sync.Mutex
	said  []string
	heard []func(string)
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
		return s.down(req.Force), nil
	default:
		return reply{}, fmt.Errorf("unknown request %q", req.Op)
	}
}

// down ends the hold, and everything if nobody else needs it or force is set.
func (s *supervisor) down(force bool) reply {
	r := s.status()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	if force || len(s.leases) == 0 {
		s.closing = true
		r.Closing = true
		s.cancel()
	}
	return r
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

// share finds or starts a shared server. The start goes on when the one who
// asked first gives up: others may be waiting.
func (s *supervisor) share(ctx, base context.Context, sp spec, progress func(string)) (reply, error) {
	sp.Durable = false
	s.mu.Lock()
	sh := s.shared[sp.key()]
	if sh == nil {
		sh = &shared{done: make(chan struct{})}
		s.shared[sp.key()] = sh
		s.work.Go(func() {
			defer close(sh.done)
			sh.inst, sh.err = s.start(base, sp, "", sh.say)
			if sh.err != nil { // the next to ask tries again
				s.mu.Lock()
				delete(s.shared, sp.key())
				s.mu.Unlock()
			}
		})
	}
	s.mu.Unlock()
	sh.listen(progress)
	select {
	case <-sh.done:
	case <-ctx.Done():
		return reply{}, fmt.Errorf("wait for %s: %w", sp.Kind, ctx.Err())
	}
	if sh.err != nil {
		return reply{}, sh.err
	}
	info := sh.inst.info()
	for index, n := range info.Nodes {
		if n.PID == 0 {
			return reply{}, fmt.Errorf("shared %s has died; last lines of its log:\n%s", sp.Kind, sh.inst.nodes[index].proc.tail())
		}
	}
	return reply{Server: &info}, nil
}

func (sh *shared) say(text string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.said = append(sh.said, text)
	for _, f := range sh.heard {
		f(text)
	}
}

// listen repeats what was said and passes on what will be.
func (sh *shared) listen(f func(string)) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	select {
	case <-sh.done:
		return
	default:
	}
	for _, text := range sh.said {
		f(text)
	}
	sh.heard = append(sh.heard, f)
}

func (s *supervisor) own(ctx context.Context, req request, progress func(string)) (reply, error) {
	req.Spec.Durable = true
	i, err := s.start(ctx, req.Spec, req.Lease, progress)
	if err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	orphan := s.leases[req.Lease] == nil
	s.mu.Unlock()
	if orphan { // the lease ended before the instance was listed
		return reply{}, errors.Join(errNoLease, s.release(i))
	}
	info := i.info()
	return reply{Server: &info}, nil
}

func (s *supervisor) install(ctx context.Context, sp spec, progress func(string)) (tree, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return tree{}, fmt.Errorf("servers can be fetched for linux/amd64 only, this is %s/%s: give the address of one (%s)", runtime.GOOS, runtime.GOARCH, environment(sp.Kind))
	}
	r, ok := recipes()[sp.Kind]
	if !ok {
		return tree{}, fmt.Errorf("unknown server %q", sp.Kind)
	}
	t, err := r.install(ctx, &store{place: s.place, progress: progress}, sp)
	if err != nil {
		return t, fmt.Errorf("install %s: %w", sp.Kind, err)
	}
	return t, nil
}

// start installs, creates and starts one server.
func (s *supervisor) start(ctx context.Context, sp spec, leaseID string, progress func(string)) (*instance, error) {
	t, err := s.install(ctx, sp, progress)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.serial++
	id := fmt.Sprintf("%s-%d", sp.Kind, s.serial)
	i := &instance{
		id: id, spec: sp, tree: t, recipe: recipes()[sp.Kind], place: s.place,
		store: &store{place: s.place, progress: progress}, ports: s.ports, forker: s.forker,
		dir: filepath.Join(s.data, id), lease: leaseID,
	}
	s.mu.Unlock()
	if err := i.create(ctx); err != nil {
		return nil, errors.Join(err, i.discard())
	}
	if err := i.start(ctx, -1); err != nil {
		return nil, errors.Join(err, i.discard())
	}
	s.mu.Lock()
	s.all[id] = i
	s.mu.Unlock()
	return i, nil
}

func (s *supervisor) release(i *instance) error {
	s.mu.Lock()
	delete(s.all, i.id)
	s.mu.Unlock()
	return i.discard()
}

// control stops, kills, starts or releases an instance of the lease.
func (s *supervisor) control(ctx context.Context, req request) (reply, error) {
	s.mu.Lock()
	i := s.all[req.Server]
	s.mu.Unlock()
	if i == nil || i.lease != req.Lease || req.Lease == "" {
		return reply{}, fmt.Errorf("%s is not an instance of this lease", req.Server)
	}
	switch req.Op {
	case opStart:
		return reply{}, i.start(ctx, req.Node)
	case opStop:
		return reply{}, i.stop(ctx, req.Node)
	case opKill:
		return reply{}, i.kill(req.Node)
	default:
		return reply{}, s.release(i)
	}
}
