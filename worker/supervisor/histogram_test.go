package supervisor

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) { // not parallel: it counts allocations
	if len(bounds)+1 != len(Histogram{}.counts) {
		t.Fatalf("%d bounds and %d buckets", len(bounds), len(Histogram{}.counts))
	}
	var h Histogram
	for _, d := range []time.Duration{0, time.Millisecond, 1500 * time.Microsecond, time.Minute, time.Hour} {
		h.Observe(d)
	}
	count, sum, buckets := h.Read()
	if count != 5 || sum != 3660.0025 {
		t.Errorf("count %d, sum %v", count, sum)
	}
	for bound, want := range map[float64]uint64{0.001: 2, 0.002: 3, 10: 3, 60: 4} {
		if buckets[bound] != want {
			t.Errorf("%d at most %v s instead of %d", buckets[bound], bound, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Second) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}
