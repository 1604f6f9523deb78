package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// bench is one run of all cases.
type bench struct {
	*report
	dir     string // scratch
	bin     string // the daemon
	topics  *topics
	peer    *worker // nil without PEER
	port    func(ctx context.Context) (string, error)
	say     func(format string, args ...any)
	serial  int
	probes  int    // rows committed to find out whether a connector streams
	sinkLog string // the topic that the sinks read; empty until it is made
}

// contestant takes part in a case.
type contestant struct {
	name string
	run  func(ctx context.Context, r *result) error
}

// contest runs the contestants one after the other, in an order that moves on
// with each round.
func (b *bench) contest(ctx context.Context, name string, round int, contestants []contestant) error {
	for i := range contestants {
		c := contestants[(i+round)%len(contestants)]
		r := result{Case: name, Contestant: c.name, Round: round + 1, At: time.Now().Format(time.TimeOnly)}
		r.CalibrationMillis = float64(calibrate().Microseconds()) / 1000
		r.LoadBefore = load()
		busy, stolen := machineCPU()
		err := c.run(ctx, &r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		busyNow, stolenNow := machineCPU()
		if r.MachineCPUSeconds == 0 {
			r.MachineCPUSeconds, r.StolenSeconds = (busyNow - busy).Seconds(), (stolenNow - stolen).Seconds()
		}
		r.LoadAfter = load()
		if err != nil {
			r.Error = err.Error()
		}
		if r.WallSeconds > 0 {
			r.RowsPerSecond = float64(r.Rows) / r.WallSeconds
		}
		b.Results = append(b.Results, r)
		switch {
		case err != nil:
			b.say("  %-22s %-24s %v", name, c.name, err)
		case r.P50Millis > 0:
			b.say("  %-22s %-24s p50 %.1f ms, p99 %.1f ms, max %.0f ms, %.1f CPU-s, %.0f MB (load %.1f)", name, c.name, r.P50Millis, r.P99Millis, r.MaxMillis, r.CPUSeconds, r.PeakMB, r.LoadBefore)
		default:
			b.say("  %-22s %-24s %s rows/s, %.2f s, %.2f CPU-s, %.0f MB (load %.1f)", name, c.name, group(r.RowsPerSecond), r.WallSeconds, r.CPUSeconds, r.PeakMB, r.LoadBefore)
		}
	}
	return nil
}

// take puts what a baseline measured of itself into the result.
func (r *result) take(m measured, rows int) {
	r.Rows, r.WallSeconds, r.CPUSeconds, r.PeakMB = rows, m.Wall.Seconds(), m.CPU.Seconds(), float64(m.Peak)/(1<<20)
}

// watch measures a worker from begin until done says that all is there. done
// returns how many rows are.
func (b *bench) watch(ctx context.Context, w *worker, connector string, r *result, begin func() error, done func() (int, error)) error {
	const limit = 20 * time.Minute
	if err := forgetPeak(w.pid()); err != nil {
		return err
	}
	cpu, err := processCPU(w.pid())
	if err != nil {
		return err
	}
	busy, stolen := machineCPU()
	began, looked := time.Now(), time.Now()
	if err := begin(); err != nil {
		return err
	}
	err = poll(ctx, limit, 20*time.Millisecond, func() (bool, error) {
		n, err := done()
		if err != nil {
			return false, err
		}
		if n > 0 && r.FirstSeconds == 0 {
			r.FirstSeconds = time.Since(began).Seconds()
		}
		if n >= r.Rows {
			return true, nil
		}
		if time.Since(looked) > 3*time.Second {
			looked = time.Now()
			_, err = w.status(ctx, connector)
		}
		return false, err
	})
	r.WallSeconds = time.Since(began).Seconds()
	if err != nil {
		return err
	}
	return b.spent(w, r, cpu, busy, stolen)
}

// spent notes what a worker and the machine used since.
func (b *bench) spent(w *worker, r *result, cpu, busy, stolen time.Duration) error {
	now, err := processCPU(w.pid())
	if err != nil {
		return err
	}
	peak, err := peakMemory(w.pid())
	if err != nil {
		return err
	}
	busyNow, stolenNow := machineCPU()
	r.CPUSeconds, r.PeakMB = (now - cpu).Seconds(), float64(peak)/(1<<20)
	r.MachineCPUSeconds, r.StolenSeconds = (busyNow - busy).Seconds(), (stolenNow - stolen).Seconds()
	return nil
}

// prefix is a name for a connector, its topics and its slot that no other has.
func (b *bench) prefix() string {
	b.serial++
	return fmt.Sprintf("b%d_%d", os.Getpid(), b.serial)
}

// daemon starts a fresh Penstock.
func (b *bench) daemon(ctx context.Context) (*worker, error) {
	rest, err := b.port(ctx)
	if err != nil {
		return nil, err
	}
	b.serial++
	return launch(ctx, ours, rest, filepath.Join(b.dir, fmt.Sprintf("penstock-%d.log", b.serial)), []string{
		"PENSTOCK_BOOTSTRAP_SERVERS=" + strings.Join(b.topics.brokers, ","),
		"PENSTOCK_LISTENERS=http://" + rest,
		"PENSTOCK_GROUP_ID=bench",
		"PENSTOCK_CONFIG_STORAGE_TOPIC=bench-configs", "PENSTOCK_CONFIG_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_OFFSET_STORAGE_TOPIC=bench-offsets", "PENSTOCK_OFFSET_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_STATUS_STORAGE_TOPIC=bench-status", "PENSTOCK_STATUS_STORAGE_REPLICATION_FACTOR=1",
		"PENSTOCK_KEY_CONVERTER_SCHEMAS_ENABLE=false", "PENSTOCK_VALUE_CONVERTER_SCHEMAS_ENABLE=false",
	}, []string{b.bin, "run"})
}

// workers are the contestants that run connectors. The Penstock is fresh for
// each case, so that its peak is the case's; the JVM is not, so that it is
// warm.
func (b *bench) workers(ctx context.Context) ([]*worker, func(), error) {
	w, err := b.daemon(ctx)
	if err != nil {
		return nil, nil, err
	}
	all := []*worker{w}
	if b.peer != nil {
		all = append(all, b.peer)
	}
	return all, w.stop, nil
}

// settings completes a source's configuration.
func (b *bench) settings(src source, prefix string, w *worker, extra map[string]string) map[string]string {
	c := src.config(prefix)
	c["tasks.max"] = "1"
	if w.name == theirs {
		c["schema.history.internal.kafka.bootstrap.servers"] = strings.Join(b.topics.brokers, ",")
	}
	maps.Copy(c, extra)
	return c
}

// clean removes a connector and all it made.
func (b *bench) clean(ctx context.Context, src source, w *worker, prefix string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, f := range []func() error{
		func() error { return w.remove(ctx, prefix) },
		func() error { return src.forget(ctx, prefix) },
		func() error { return b.topics.drop(ctx, prefix) },
	} {
		if err := f(); err != nil {
			b.say("  clean up after %s: %v", prefix, err)
		}
	}
}

// snapshot measures the copy of a table that is there.
func (b *bench) snapshot(ctx context.Context, src source, round int) error {
	if err := src.fill(ctx, b.Rows); err != nil {
		return err
	}
	workers, done, err := b.workers(ctx)
	if err != nil {
		return err
	}
	defer done()
	contestants := []contestant{{src.copyName(), func(ctx context.Context, r *result) error {
		m, err := src.copyRaw(ctx)
		r.take(m, b.Rows)
		return err
	}}}
	for _, w := range workers {
		contestants = append(contestants, contestant{w.name, func(ctx context.Context, r *result) error {
			prefix := b.prefix()
			defer b.clean(ctx, src, w, prefix)
			topic := src.topic(prefix)
			if err := b.topics.make(ctx, topic); err != nil {
				return err
			}
			r.Rows = b.Rows
			err := b.watch(ctx, w, prefix, r,
				func() error {
					return w.create(ctx, prefix, b.settings(src, prefix, w, map[string]string{"snapshot.mode": "initial"}))
				},
				func() (int, error) { n, err := b.topics.end(ctx, topic); return int(n), err })
			if err != nil {
				return err
			}
			return b.topics.checkRows(ctx, topic, b.Rows)
		}})
	}
	return b.contest(ctx, src.name()+"-snapshot", round, contestants)
}

// streaming creates a connector without a snapshot and waits until it has
// everything that was committed so far.
func (b *bench) streaming(ctx context.Context, src source, w *worker, prefix string) error {
	topic := src.topic(prefix)
	if err := b.topics.make(ctx, topic); err != nil {
		return err
	}
	if err := w.create(ctx, prefix, b.settings(src, prefix, w, map[string]string{"snapshot.mode": "no_data"})); err != nil {
		return err
	}
	insert, done, err := src.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	probe := func() error {
		b.probes++
		return insert(ctx, -b.probes)
	}
	// Where it begins is not known: a row a second until one comes.
	var next time.Time
	err = poll(ctx, 2*time.Minute, 50*time.Millisecond, func() (bool, error) {
		if end, err := b.topics.end(ctx, topic); err != nil || end > 0 {
			return end > 0, err
		}
		if _, err := w.status(ctx, prefix); err != nil && !strings.Contains(err.Error(), "404") {
			return false, err
		}
		if time.Now().Before(next) {
			return false, nil
		}
		next = time.Now().Add(time.Second)
		return false, probe()
	})
	if err != nil {
		return fmt.Errorf("wait for %s to stream: %w", w.name, err)
	}
	if err := probe(); err != nil {
		return err
	}
	return b.topics.read(ctx, topic, 0, func(r *kgo.Record, _ time.Time) (bool, error) {
		id, _, err := eventID(r.Value)
		return id != int64(-b.probes), err
	})
}

// stream measures how fast changes come that wait in the log.
func (b *bench) stream(ctx context.Context, src source, name, procedure string, per, round int) error {
	if err := src.empty(ctx); err != nil {
		return err
	}
	if procedure == updateRows {
		if err := src.fill(ctx, b.Rows); err != nil {
			return err
		}
	}
	workers, done, err := b.workers(ctx)
	if err != nil {
		return err
	}
	defer done()
	contestants := []contestant{{src.drainName(), func(ctx context.Context, r *result) error {
		m, err := src.drainRaw(ctx)
		r.take(m, b.Rows)
		return err
	}}}
	for _, w := range workers {
		prefix := b.prefix()
		defer b.clean(ctx, src, w, prefix)
		if err := b.streaming(ctx, src, w, prefix); err != nil {
			return err
		}
		if err := w.halt(ctx, prefix); err != nil {
			return err
		}
		had := b.probes
		contestants = append(contestants, contestant{w.name, func(ctx context.Context, r *result) error {
			topic := src.topic(prefix)
			base, err := b.topics.end(ctx, topic)
			if err != nil {
				return err
			}
			base += int64(b.probes - had) // the probes of those that were set up later
			r.Rows = b.Rows
			err = b.watch(ctx, w, prefix, r,
				func() error { return w.resume(ctx, prefix) },
				func() (int, error) { n, err := b.topics.end(ctx, topic); return int(n - base), err })
			if err != nil {
				return err
			}
			return b.topics.checkOrder(ctx, topic, base, b.Rows)
		}})
	}
	if err := src.mark(ctx); err != nil {
		return err
	}
	if err := src.change(ctx, procedure, b.Rows, per); err != nil {
		return err
	}
	return b.contest(ctx, src.name()+"-"+name, round, contestants)
}

const (
	latencyRate = 200 // transactions of one row a second
	latencyFor  = 20 * time.Second
	latencyBase = 100_000_000 // first id
)

// latency measures the time from a commit to the record in a consumer's hands.
// Transactions start at a fixed rate, whatever became of the earlier ones.
func (b *bench) latency(ctx context.Context, src source, round int) error {
	if err := src.empty(ctx); err != nil {
		return err
	}
	workers, done, err := b.workers(ctx)
	if err != nil {
		return err
	}
	defer done()
	var contestants []contestant
	for i, w := range workers {
		base := latencyBase + i*1_000_000
		contestants = append(contestants, contestant{w.name, func(ctx context.Context, r *result) error {
			prefix := b.prefix()
			defer b.clean(ctx, src, w, prefix)
			if err := b.streaming(ctx, src, w, prefix); err != nil {
				return err
			}
			return b.race(ctx, src, w, prefix, base, r)
		}})
	}
	return b.contest(ctx, src.name()+"-latency", round, contestants)
}

// race commits rows and measures how long after its commit each arrives.
func (b *bench) race(ctx context.Context, src source, w *worker, prefix string, base int, r *result) error {
	insert, done, err := src.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	end, err := b.topics.end(ctx, src.topic(prefix))
	if err != nil {
		return err
	}
	total := int(latencyFor.Seconds() * latencyRate)
	r.Rows = total
	committed, arrived := make([]time.Time, total), make([]time.Time, total)
	if err := forgetPeak(w.pid()); err != nil {
		return err
	}
	cpu, err := processCPU(w.pid())
	if err != nil {
		return err
	}
	busy, stolen := machineCPU()

	reading, stop := context.WithTimeout(ctx, latencyFor+time.Minute)
	defer stop()
	var (
		readers sync.WaitGroup
		failed  error
	)
	readers.Go(func() {
		left := total
		failed = b.topics.read(reading, src.topic(prefix), end, func(rec *kgo.Record, at time.Time) (bool, error) {
			id, _, err := eventID(rec.Value)
			if n := int(id) - base; n >= 0 && n < total && arrived[n].IsZero() {
				arrived[n] = at
				left--
			}
			return left > 0, err
		})
	})
	began := time.Now()
	for n := range total {
		due := began.Add(time.Duration(n) * time.Second / latencyRate)
		if d := time.Until(due); d > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		} else if d < -time.Second/latencyRate {
			r.LateStarts++
		}
		if err = ctx.Err(); err == nil {
			err = insert(ctx, base+n)
		}
		if err != nil {
			stop()
			break
		}
		committed[n] = time.Now()
	}
	readers.Wait()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	millis := make([]float64, total)
	for n := range millis {
		millis[n] = max(0, float64(arrived[n].Sub(committed[n]).Microseconds())/1000)
	}
	slices.Sort(millis)
	r.P50Millis, r.P99Millis, r.MaxMillis = millis[total/2], millis[total*99/100], millis[total-1]
	return b.spent(w, r, cpu, busy, stolen)
}
