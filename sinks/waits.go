package sinks

import (
	"cmp"
	"sync"
)

// waiter is a part of a task that may have to wait for somebody else.
type waiter uint8

// The parts, those first whose word goes before.
const (
	waitsToWrite waiter = iota
	waitsToBury
	waitsToConvert
	waiters
)

// waits tells Task.Waiting what a task waits for, on behalf of its goroutines.
type waits struct {
	tell func(error)

	mu  sync.Mutex
	why [waiters]error
}

// say notes what one part waits for, or, with nil, that it goes on.
func (w *waits) say(who waiter, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.why[who] == nil {
		return
	}
	w.why[who] = err
	w.tell(cmp.Or(w.why[:]...))
}
