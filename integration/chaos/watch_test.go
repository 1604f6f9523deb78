package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/integration/daemon"
	"github.com/penstock/penstock/kafka"
)

// saved is an offset in the offset topic, with the fields that the tests look
// at.
type saved struct {
	LSN    uint64 `json:"lsn"`
	Ledger string `json:"penstock_snapshot"`
	set    bool
}

// copied returns how many tables are copied, while not all are.
func (s saved) copied() (done int) {
	var l struct {
		Tables map[string]struct{ Done bool }
	}
	if s.Ledger == "" || json.Unmarshal([]byte(s.Ledger), &l) != nil {
		return 0
	}
	for _, t := range l.Tables {
		if t.Done {
			done++
		}
	}
	return done
}

// streams reports whether no table is left to be copied.
func (s saved) streams() bool { return s.set && s.Ledger == "" }

// savedOffsets follow the offset topic.
type savedOffsets struct {
	log  *kafka.Log
	last map[string]saved // by connector
}

func (p *pipeline) offsets() *savedOffsets {
	return &savedOffsets{kafka.NewLog(p.kafka, p.offsetTopic()), map[string]saved{}}
}

// read reads what was saved since the last time. An embedded broker answers
// only while the daemon runs.
func (o *savedOffsets) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return o.log.ReadToEnd(ctx, func(r *kgo.Record) error {
		var key []json.RawMessage
		var connector string
		s := saved{set: r.Value != nil}
		if err := json.Unmarshal(r.Key, &key); err != nil || len(key) != 2 {
			return fmt.Errorf("the key %s of an offset: %w", r.Key, err)
		}
		if err := json.Unmarshal(key[0], &connector); err != nil {
			return fmt.Errorf("the key %s of an offset: %w", r.Key, err)
		}
		if s.set {
			if err := json.Unmarshal(r.Value, &s); err != nil {
				return fmt.Errorf("the offset %s: %w", r.Value, err)
			}
		}
		o.last[connector] = s
		return nil
	})
}

// watch is something that is looked at until it is stopped, at the latest by
// the end of the test.
type watch struct {
	stop func()
}

func newWatch(t *testing.T, look func(ctx context.Context), conclude func()) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			look(ctx)
		}
	})
	w := &watch{sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if !t.Failed() {
			conclude()
		}
	})}
	t.Cleanup(w.stop)
	return w
}

// pause waits a moment.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// watchSlot compares the position that Postgres was told it may forget with
// the one that is saved in Kafka, again and again: invariant I1 says that it
// is never ahead. What Postgres says is asked first, so that a position saved
// meanwhile can only be a later one.
func watchSlot(t *testing.T, p *pipeline) *watch {
	t.Helper()
	const settleFor = 50 * time.Millisecond
	offsets := p.offsets()
	var first, last, reported pglogrepl.LSN
	looks, advances := 0, 0
	look := func(ctx context.Context) {
		defer pause(ctx, settleFor)
		confirmed, err := p.confirmed(ctx)
		if err != nil || confirmed == 0 {
			return // it is not there yet
		}
		if first == 0 {
			first = confirmed // where the slot was made
		}
		for offsets.read(ctx) != nil {
			if pause(ctx, settleFor); ctx.Err() != nil {
				return
			}
		}
		s := offsets.last["postgres"]
		looks++
		if confirmed != last {
			advances++
			last = confirmed
		}
		if confirmed != first && confirmed != reported && (!s.set || uint64(confirmed) > s.LSN) {
			reported = confirmed
			t.Errorf("Postgres may forget what comes before %v, and the offset in Kafka is %v", confirmed, pglogrepl.LSN(s.LSN))
		}
	}
	return newWatch(t, look, func() {
		t.Logf("the slot's position was compared %d times and moved %d times", looks, advances)
		if advances < 3 {
			t.Errorf("the slot's position moved %d times in %d looks, which shows nothing", advances, looks)
		}
	})
}

// confirmed returns the slot's confirmed_flush_lsn, 0 if there is no slot.
func (p *pipeline) confirmed(ctx context.Context) (pglogrepl.LSN, error) {
	c, err := pgx.Connect(ctx, p.pg.URL())
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // it was only read
	var text string
	if err := c.QueryRow(ctx, "SELECT coalesce(max(confirmed_flush_lsn)::text, '0/0') FROM pg_replication_slots WHERE slot_name = $1", p.slot).Scan(&text); err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(text)
}

// watchStates makes sure that all connectors and tasks are RUNNING whenever
// the daemon is asked, and that it answers.
func watchStates(t *testing.T, p *pipeline) *watch {
	t.Helper()
	looks := 0
	look := func(ctx context.Context) {
		defer pause(ctx, 50*time.Millisecond)
		var all map[string]struct{ Status daemon.Status }
		err := p.Call(ctx, "GET", "/connectors?expand=status", nil, &all)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.Errorf("the daemon does not answer: %v", err)
			pause(ctx, time.Second)
			return
		}
		looks++
		var wrong []string
		for _, name := range append(append([]string{}, sources...), sinks...) {
			if s := all[name].Status; !s.Running() {
				wrong = append(wrong, fmt.Sprintf("%s: %+v", name, s))
			}
		}
		if wrong != nil {
			t.Errorf("not everything is RUNNING:\n%s", strings.Join(wrong, "\n"))
			pause(ctx, time.Second)
		}
	}
	// Their first moments are UNASSIGNED.
	p.await(t, time.Minute, "all tasks run", func(ctx context.Context) bool {
		for _, name := range append(append([]string{}, sources...), sinks...) {
			if s, err := p.Status(ctx, name); err != nil || !s.Running() {
				return false
			}
		}
		return true
	})
	return newWatch(t, look, func() {
		t.Logf("all tasks were RUNNING in all of %d looks", looks)
		if looks < 10 {
			t.Errorf("%d looks show nothing", looks)
		}
	})
}
