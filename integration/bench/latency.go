package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
)

const (
	latencyRate = 200 // transactions a second
	latencyFor  = 15 * time.Second
)

// arrival is a row that a consumer of the topic has.
type arrival struct {
	id int
	at time.Time
}

// latencyCase commits single rows at a fixed rate and measures how long each
// takes from the answer to its commit until a consumer has its record. The
// first second, in which caches fill, does not count.
func latencyCase(open opener) func(context.Context, *suite, measurement) error {
	return func(ctx context.Context, s *suite, m measurement) (err error) {
		total := latencyRate * int(latencyFor/time.Second)
		src, err := open(ctx, s)
		if err != nil {
			return err
		}
		if s.rows < total {
			return fmt.Errorf("ROWS=%d is too few, this case takes %d", s.rows, total)
		}
		all, err := m.runners(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release(all), src.clean(context.WithoutCancel(ctx))) }()
		var contestants []func() error
		for _, r := range all {
			contestants = append(contestants, func() error { return latency(ctx, s, m, src, r, total) })
		}
		return m.each(contestants...)
	}
}

// latency measures one runner on an empty table.
func latency(ctx context.Context, s *suite, m measurement, src source, r runner, total int) error {
	if err := src.clean(ctx); err != nil {
		return err
	}
	if _, err := src.queue(ctx); err != nil {
		return err
	}
	topic := r.topic(src)
	if err := s.topic(ctx, topic); err != nil {
		return err
	}
	if err := r.create(ctx, src, nil); err != nil {
		return err
	}
	if _, err := r.Await(ctx, r.id, daemon.Status.Running); err != nil {
		return err
	}
	if err := src.exec(ctx, marker); err != nil {
		return err
	}
	if err := reach(ctx, r.Daemon, r.id, 50*time.Millisecond, 1, s.counter(topic)); err != nil {
		return err
	}
	reading, stop := context.WithTimeout(ctx, latencyFor+time.Minute)
	defer stop()
	var arrivals []arrival
	var readErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		arrivals, readErr = consume(reading, s.kafka.Brokers(), topic, total)
	}()
	committed := make([]time.Time, total+1)
	err := m.runner(r, total,
		func() error {
			err := commitAtRate(ctx, src, committed)
			if err != nil {
				stop()
				<-done
			}
			return err
		},
		func(res *result) error {
			<-done
			if readErr != nil {
				return readErr
			}
			var waits []time.Duration
			for _, a := range arrivals {
				if a.id > latencyRate {
					waits = append(waits, max(0, a.at.Sub(committed[a.id])))
				}
			}
			slices.Sort(waits)
			millis := func(percent int) float64 { return waits[(len(waits)-1)*percent/100].Seconds() * 1e3 }
			res.P50Millis, res.P99Millis, res.MaxMillis = millis(50), millis(99), millis(100)
			return nil
		})
	stop()
	<-done
	return errors.Join(err, halt(ctx, r.Daemon, r.id))
}

// commitAtRate inserts rows from 1 on and notes when each was committed. A
// late commit does not delay the times of the next ones.
func commitAtRate(ctx context.Context, src source, committed []time.Time) error {
	began := time.Now()
	for id := 1; id < len(committed); id++ {
		timer := time.NewTimer(time.Until(began.Add(time.Duration(id) * time.Second / latencyRate)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		if err := src.exec(ctx, fmt.Sprintf("INSERT INTO bench SELECT * FROM stage WHERE id = %d", id)); err != nil {
			return err
		}
		committed[id] = time.Now()
	}
	return nil
}

// consume reads rows 1 to n of a topic as they come.
func consume(ctx context.Context, brokers []string, topic string, n int) ([]arrival, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	defer client.Close()
	var all []arrival
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		at := time.Now()
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s after %d of %d records: %w", topic, len(all), n, err)
		}
		for r := range fetches.RecordsAll() {
			var key struct {
				ID int `json:"id"`
			}
			if err := json.Unmarshal(r.Key, &key); err != nil {
				return nil, fmt.Errorf("read the key %q: %w", r.Key, err)
			}
			if key.ID > 0 {
				all = append(all, arrival{key.ID, at})
			}
		}
	}
	return all, nil
}
