package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// stopwatch measures how long rows take from their commit to the sink. Rows
// are inserted at a fixed rate, however long the earlier ones take.
type stopwatch struct {
	mu        sync.Mutex
	committed map[int64]time.Time
	seen      map[int64]time.Time
	last      int64
}

func newStopwatch() *stopwatch {
	return &stopwatch{committed: map[int64]time.Time{}, seen: map[int64]time.Time{}}
}

// insert commits rate probes a second, each a transaction of its own, and at
// the end one more.
func (w *stopwatch) insert(ctx context.Context, db database, rate int, length time.Duration) error {
	s, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	began := time.Now()
	for n := range int64(length.Seconds() * float64(rate)) {
		if err := until(ctx, began.Add(time.Duration(n)*time.Second/time.Duration(rate))); err != nil {
			return err
		}
		if err := w.one(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// one commits the next probe.
func (w *stopwatch) one(ctx context.Context, s session) error {
	w.mu.Lock()
	id := w.last + 1
	w.last = id
	w.mu.Unlock()
	if err := s.exec(ctx, fmt.Sprintf("INSERT INTO %s (id, note) VALUES (%d, 'probe %d')", probes, id, id)); err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	w.committed[id] = now
	w.mu.Unlock()
	return nil
}

// saw notes that a probe is in the sink.
func (w *stopwatch) saw(id int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, before := w.seen[id]; !before {
		w.seen[id] = at
	}
}

// missing are the committed probes that the sink does not have yet, in order.
func (w *stopwatch) missing() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []int64
	for id := range w.committed {
		if _, ok := w.seen[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// latencies returns those measured so far, ascending.
func (w *stopwatch) latencies() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for id, at := range w.seen {
		if from, ok := w.committed[id]; ok {
			// The sink may have it before the commit's answer is here.
			all = append(all, max(0, at.Sub(from)))
		}
	}
	slices.Sort(all)
	return all
}

// percentile of ascending values, by the nearest rank.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
