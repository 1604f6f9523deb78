package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports come from below 32768, where Linux starts to hand out ports to
// outgoing connections. Above, a stopped server's port could be taken by any
// client before the server is started again, and a client that probes a
// closed port can even be connected to itself.
const (
	minPort = 18000
	maxPort = 32000
)

// ports hands out free loopback ports. Each is kept by a lock on a file that
// supervisors of other run directories and users honour too, because a server
// that is stopped for a while still owns its port.
type ports struct {
	dir  string
	mu   sync.Mutex
	kept map[int]*os.File
}

func newPorts() (*ports, error) {
	dir := filepath.Join(os.TempDir(), "penstock-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("create port locks: %w", err)
	}
	_ = os.Chmod(dir, 0o777|os.ModeSticky) // fails when it is another user's, who did it
	return &ports{dir: dir, kept: make(map[int]*os.File)}, nil
}

// take returns a port that nothing listens on and keeps it until drop.
func (p *ports) take() (int, error) {
	var err error
	for range 1000 {
		port := minPort + rand.IntN(maxPort-minPort)
		if err = p.keep(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1: %w", minPort, maxPort, err)
}

// keep takes one port, if it is free.
func (p *ports) keep(port int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[port] != nil {
		return errPortTaken
	}
	f, err := os.OpenFile(filepath.Join(p.dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open port lock: %w", err) // another user's
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !unused(port) {
		_ = f.Close()
		return errPortTaken
	}
	p.kept[port] = f
	return nil
}

var errPortTaken = errors.New("port is taken")

func (p *ports) drop(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.kept[port]; f != nil {
		delete(p.kept, port)
		_ = f.Close() // the file stays: removing it would race with who has it open
	}
}

func unused(port int) bool {
	// Without a context there is nothing to wait for: binding is immediate.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(fd) }()
	addr := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.IPv4(127, 0, 0, 1).To4())}
	if syscall.Bind(fd, addr) != nil {
		return false
	}
	return syscall.Listen(fd, 1) == nil
}
