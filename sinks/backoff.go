package sinks

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstDelay = 300 * time.Millisecond
	// outageDelayMax bounds the wait for a destination that is down, so that
	// work goes on soon after it is back.
	outageDelayMax = 10 * time.Second
)

// recordDelay returns how long to wait before retry number attempt of a
// record, as Kafka Connect does: doubling, and anywhere below the maximum once
// that is reached.
func recordDelay(attempt int, most time.Duration) time.Duration {
	if d := firstDelay << min(attempt-1, 30); d < most {
		return d
	}
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// outageDelay returns how long to wait before retry number attempt at a
// destination that is down: doubling, with jitter so that the tasks do not all
// come back at once.
func outageDelay(attempt int) time.Duration {
	d := min(firstDelay<<min(attempt-1, 10), outageDelayMax)
	return d/2 + rand.N(d/2)
}

// wait waits for a delay. It ends early with ctx's error, or with nil when
// wake is sent to.
func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
