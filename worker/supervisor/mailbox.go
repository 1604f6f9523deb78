package supervisor

import (
	"sync"

	"github.com/penstock/penstock/worker/state"
)

// order is something for an actor to do. done, if not nil, has room for one
// and is told when it is done.
type order struct {
	refresh     bool
	restart     *state.Restart
	restartTask *int
	done        chan<- error
}

// mailbox is a queue without a bound, so that who gives orders never waits.
type mailbox struct {
	mu     sync.Mutex
	orders []order
	filled chan struct{} // has room for one
}

func newMailbox() *mailbox { return &mailbox{filled: make(chan struct{}, 1)} }

func (m *mailbox) put(o order) {
	m.mu.Lock()
	m.orders = append(m.orders, o)
	m.mu.Unlock()
	select {
	case m.filled <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []order {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.orders
	m.orders = nil
	return out
}

func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.orders) == 0
}
