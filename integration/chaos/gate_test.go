package chaos

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// perConnection is what a closed gate lets through: all of the smaller tables,
// a part of the largest.
const perConnection = 1 << 20

// gate is between the daemon and a database. While it is closed, no connection
// gets more from the database than perConnection bytes, so that a snapshot is
// certain to be under way for as long as a test wants.
type gate struct {
	listener net.Listener
	target   string
	opened   chan struct{}
	open     func()

	wg   sync.WaitGroup
	mu   sync.Mutex
	conn map[net.Conn]struct{}
	shut bool
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, target: target, opened: make(chan struct{}), conn: map[net.Conn]struct{}{}}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	g.wg.Go(g.accept)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		g.shut = true
		for c := range g.conn {
			_ = c.Close() // it may have ended already
		}
		g.mu.Unlock()
		g.wg.Wait()
	})
	return g
}

func (g *gate) hostPort() (host, port string) {
	host, port, _ = net.SplitHostPort(g.listener.Addr().String())
	return host, port
}

func (g *gate) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		g.wg.Go(func() { g.serve(c) })
	}
}

// serve passes on what both sides say until one of them ends.
func (g *gate) serve(client net.Conn) {
	server, err := net.Dial("tcp", g.target) //nolint:noctx // ended by closing
	if err != nil {
		_ = client.Close() // the client sees that nobody is there
		return
	}
	ended := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(ended)
		for _, c := range []net.Conn{client, server} {
			_ = c.Close() // the other side may have done so
			g.forget(c)
		}
	})
	defer end()
	if !g.remember(client, server) {
		return
	}
	g.wg.Go(func() {
		defer end()
		_, _ = io.Copy(server, client) // however it ends, both sides are told
	})
	if _, err := io.CopyN(client, server, perConnection); err != nil {
		return
	}
	select {
	case <-g.opened:
		_, _ = io.Copy(client, server)
	case <-ended:
	}
}

func (g *gate) remember(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		g.conn[c] = struct{}{}
	}
	return !g.shut
}

func (g *gate) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conn, c)
}

// TestGate_LetsThroughAPart is about the gate itself.
func TestGate_LetsThroughAPart(t *testing.T) {
	t.Parallel()
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const all = 3 * perConnection
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := server.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, all)); err != nil {
			t.Error(err)
		}
	})
	g := newGate(t, server.Addr().String())
	c, err := net.Dial("tcp", g.listener.Addr().String()) //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, perConnection)); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	wg.Go(func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		got <- err
	})
	select {
	case err := <-got:
		t.Fatalf("a byte more comes through: %v", err)
	case <-time.After(200 * time.Millisecond): // in which loopback would have brought it
	}
	g.open()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if n, err := io.Copy(io.Discard, c); n != all-perConnection-1 || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes follow: %v", n, err)
	}
	wg.Wait()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}
