package servers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
)

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
