package servers

import (
	"context"
	"net/url"
	"strings"
)

// RegistryServer is a schema registry with the API of Confluent's. Its global
// compatibility level is BACKWARD, its schemas are kept in memory.
type RegistryServer struct {
	Address
	// Prefix is this test's own, for subjects.
	Prefix string
	*Process
	url string
}

// Registry finds or starts the shared schema registry.
func (r *Run) Registry(ctx context.Context, opts ...Option) (*RegistryServer, error) {
	a, u, ok, err := given(kindRegistry, "8081")
	if err != nil {
		return nil, err
	}
	if ok {
		base := url.URL{Scheme: httpScheme(u), User: a.userinfo(), Host: a.Addr(), Path: strings.TrimSuffix(u.Path, "/")}
		return &RegistryServer{Address: a, Process: &Process{}, url: base.String()}, nil
	}
	return r.registry(ctx, false, opts)
}

// StartRegistry starts a schema registry for the caller alone. Config takes
// Java system properties such as "quarkus.log.level=DEBUG".
func (r *Run) StartRegistry(ctx context.Context, opts ...Option) (*RegistryServer, error) {
	return r.registry(ctx, true, opts)
}

func (r *Run) registry(ctx context.Context, own bool, opts []Option) (*RegistryServer, error) {
	a, p, _, err := r.obtain(ctx, newSpec(kindRegistry, opts), own)
	if err != nil {
		return nil, err
	}
	a.User, a.Password = "", ""
	return &RegistryServer{Address: a, Process: p, url: "http://" + a.Addr() + registryPath}, nil
}

// URL is the base of the API: clients append /subjects and the like.
func (s *RegistryServer) URL() string { return s.url }

// Subject returns the test's own name for a subject.
func (s *RegistryServer) Subject(name string) string { return s.Prefix + "-" + name }

// Fresh makes a new Prefix. What is registered under it stays until the
// registry ends, which a run's memory can bear.
func (s *RegistryServer) Fresh(_ context.Context, hint string) (drop func(context.Context) error, err error) {
	s.Prefix = fresh(hint)
	return func(context.Context) error { return nil }, nil
}
