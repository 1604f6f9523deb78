package supervisor

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of a Histogram's buckets.
var bounds = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, time.Minute,
}

// Histogram counts durations. It is safe for concurrent use; the zero value is
// ready.
type Histogram struct {
	counts [15]atomic.Uint64 // one more than bounds
	micros atomic.Int64
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	at, _ := slices.BinarySearch(bounds, d)
	h.counts[at].Add(1)
	h.micros.Add(d.Microseconds())
}

// Read returns how many durations there were, their sum in seconds, and how
// many were at most each bound in seconds.
func (h *Histogram) Read() (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(bounds))
	for i, b := range bounds {
		count += h.counts[i].Load()
		buckets[b.Seconds()] = count
	}
	count += h.counts[len(bounds)].Load()
	return count, float64(h.micros.Load()) / 1e6, buckets
}
