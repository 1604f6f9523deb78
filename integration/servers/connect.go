package servers

import (
	"context"
	"fmt"
)

// ConnectServer is a worker of Kafka Connect with Debezium's connectors: what
// Penstock is compared with, and takes over from.
type ConnectServer struct {
	Address
	*Process
}

// StartConnect starts a Connect worker for the caller alone; there is no
// shared one. Config takes the worker's properties, of which it needs
// bootstrap.servers, group.id, the three storage topics and the converters.
func (r *Run) StartConnect(ctx context.Context, opts ...Option) (*ConnectServer, error) {
	a, p, _, err := r.obtain(ctx, newSpec(kindConnect, opts), true)
	if err != nil {
		return nil, err
	}
	a.User, a.Password = "", ""
	return &ConnectServer{Address: a, Process: p}, nil
}

// URL is the base of the REST interface.
func (s *ConnectServer) URL() string { return "http://" + s.Addr() }

// PID returns the process number of the running worker.
func (s *ConnectServer) PID(ctx context.Context) (int, error) {
	status, err := s.run.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, server := range status.Servers {
		if server.Port == s.Port && server.PID != 0 {
			return server.PID, nil
		}
	}
	return 0, fmt.Errorf("the Connect worker at %s does not run", s.Addr())
}

// Fresh does nothing: a worker has nothing that outlives it here.
func (s *ConnectServer) Fresh(context.Context, string) (drop func(context.Context) error, err error) {
	return func(context.Context) error { return nil }, nil
}
