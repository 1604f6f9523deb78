package sinks_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestTask_OutlivesARestartOfKafka kills the broker under load. A task may end
// with an error that is not permanent; whoever supervises it runs it again.
func TestTask_OutlivesARestartOfKafka(t *testing.T) {
	t.Parallel()
	srv := servers.StartKafka(t)
	p := sinkstest.NewPipeline(t, srv.Brokers()[0], srv.Prefix, 1)
	m, stats := newMemory(), &sinks.Stats{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			task := p.Task(m, stats)
			task.MaxRecords = 20
			if err := task.Run(ctx); err != nil {
				if sinks.IsPermanent(err) {
					t.Errorf("Run: %v, which nobody would run again", err)
					return
				}
				t.Logf("Run: %v", err)
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	})
	const keys, events = 10, 600
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			p.Produce(0, sinkstest.Record("k"+strconv.Itoa(i%keys), strconv.Itoa(i)))
		}
	}
	produce(0, 300)
	if err := srv.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	produce(300, events)
	sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) >= events })
	cancel()
	wg.Wait()
	for k := range keys {
		var want []string
		for i := k; i < events; i += keys {
			want = append(want, strconv.Itoa(i))
		}
		m.wrote(t, "k"+strconv.Itoa(k), want)
	}
	sinkstest.Balanced(t, stats)
}
