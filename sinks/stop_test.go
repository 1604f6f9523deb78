package sinks_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// soon is how long a stop may take on a busy machine that is to end within a
// second.
const soon = 10 * time.Second

// TestTask_StopsWhileKafkaIsSilent has a Kafka that takes requests and answers
// none of them: a letter is on its way, and nobody knows whether it arrived.
func TestTask_StopsWhileKafkaIsSilent(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]kmsg.Key{
		"Letters":    {kmsg.Produce},
		"Everything": {kmsg.Produce, kmsg.OffsetCommit, kmsg.LeaveGroup, kmsg.Fetch, kmsg.Heartbeat, kmsg.Metadata},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			p := sinkstest.NewPipeline(t, c.ListenAddrs()[0], "silent", 1)
			p.Produce(0, sinkstest.Record("a", "fine"), sinkstest.Record("b", "poison"), sinkstest.Record("c", "fine"))
			speak, silent := make(chan struct{}), make(chan struct{})
			speaks := sync.OnceFunc(func() { close(speak) })
			t.Cleanup(speaks) // before the cluster is closed
			held := make(chan struct{}, 100)
			m, stats := newMemory(), &sinks.Stats{}
			m.onWrite = func(ctx context.Context, records []schema.Record) error {
				select {
				case <-silent:
				default:
					close(silent)
					for _, key := range keys {
						c.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
							c.KeepControl()
							held <- struct{}{}
							c.SleepControl(func() { <-speak })
							return nil, nil, false
						})
					}
				}
				return refuse(m, "poison")(ctx, records)
			}
			task := p.Task(m, stats)
			task.CommitInterval = time.Hour
			task.StopTimeout = time.Second
			task.Errors = sinks.Errors{TolerateAll: true, DLQ: "letters", DLQReplication: 1}
			waits := make(chan error, 10)
			task.Waiting = func(err error) {
				if err != nil {
					waits <- err
				}
			}
			r := sinkstest.Start(t, task)
			<-silent
			<-held
			if err := <-waits; !strings.Contains(err.Error(), "dead letter queue letters") {
				t.Errorf("it waits for %v, want the dead letter queue", err)
			}
			begin := time.Now()
			r.Stops()
			if took := time.Since(begin); took > soon {
				t.Errorf("the stop took %v, want about a second", took)
			}
			sinkstest.Balanced(t, stats)
			if n := stats.DeadLettered.Load(); n != 0 {
				t.Errorf("%d letters count as written, want none", n)
			}
			speaks()
			if at := p.Committed(0); at > 1 {
				t.Errorf("committed %d: the record is passed, and nobody has its letter", at)
			}
			task.CommitInterval = 50 * time.Millisecond
			r = sinkstest.Start(t, task)
			sinkstest.Eventually(t, "the commit", func() bool { return p.Committed(0) == 3 })
			r.Stops()
			if n := p.End("letters"); n < 1 || stats.DeadLettered.Load() != 1 || m.row("c") != "fine" {
				t.Errorf("%d letters, %d counted, rows %v", n, stats.DeadLettered.Load(), m.rows)
			}
			sinkstest.Balanced(t, stats)
		})
	}
}

// TestTask_RunsAgainWhenLettersAreNotTakenInTime has a Kafka that lacks replicas
// for longer than delivery.timeout.ms: that passes, and needs nobody.
func TestTask_RunsAgainWhenLettersAreNotTakenInTime(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := sinkstest.NewPipeline(t, c.ListenAddrs()[0], "replicas", 1)
	p.Produce(0, sinkstest.Record("a", "poison"))
	m, stats := newMemory(), &sinks.Stats{}
	m.onWrite = func(ctx context.Context, records []schema.Record) error {
		c.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			produce := req.(*kmsg.ProduceRequest)
			resp := produce.ResponseKind().(*kmsg.ProduceResponse)
			for _, topic := range produce.Topics {
				rt := kmsg.NewProduceResponseTopic()
				rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
				for _, partition := range topic.Partitions {
					rp := kmsg.NewProduceResponseTopicPartition()
					rp.Partition, rp.ErrorCode = partition.Partition, kerr.NotEnoughReplicas.Code
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, true
		})
		return refuseAll(ctx, records)
	}
	task := p.Task(m, stats)
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: "letters", DLQReplication: 1}
	producer := task.Producer
	task.Producer = func(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
		return producer(ctx, append(opts, kgo.RecordDeliveryTimeout(time.Second))...)
	}
	if err := sinkstest.Start(t, task).Ends(); err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "letters") {
		t.Errorf("Run: %v, want an error about the letters that passes", err)
	}
	if at := p.Committed(0); at > 0 {
		t.Errorf("committed %d, want nothing", at)
	}
	sinkstest.Balanced(t, stats)
}

// TestTask_StopsWhileKafkaIsAway kills Kafka while a letter is to be written.
func TestTask_StopsWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	srv := servers.StartKafka(t)
	p := sinkstest.NewPipeline(t, srv.Brokers()[0], srv.Prefix, 1)
	p.Produce(0, sinkstest.Record("a", "fine"), sinkstest.Record("b", "poison"), sinkstest.Record("c", "fine"))
	m, stats := newMemory(), &sinks.Stats{}
	var killed atomic.Bool
	m.onWrite = func(ctx context.Context, records []schema.Record) error {
		if killed.CompareAndSwap(false, true) {
			if err := srv.Kill(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		}
		return refuse(m, "poison")(ctx, records)
	}
	task := p.Task(m, stats)
	task.CommitInterval = time.Hour
	task.StopTimeout = time.Second
	task.Errors = sinks.Errors{TolerateAll: true, DLQ: p.Topic + ".dlq", DLQReplication: 1}
	r := sinkstest.Start(t, task)
	sinkstest.Eventually(t, "the letter", func() bool { return stats.DLQRequests.Load() == 1 })
	begin := time.Now()
	r.Stops()
	if took := time.Since(begin); took > soon {
		t.Errorf("the stop took %v, want about a second", took)
	}
	sinkstest.Balanced(t, stats)
}
