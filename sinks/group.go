package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitTimeout bounds one commit of offsets. How long the last one and the
// leave of the group may take together, so that a Kafka that is gone does not
// keep a task from ending, is run.life's to say.
const commitTimeout = 10 * time.Second

// partition is one assignment of a partition to this task. A partition that is
// taken away and assigned again is a new one, so that a batch that was fetched
// before cannot move the offset of what is fetched after.
type partition struct {
	topic string
	id    int32

	// All below are guarded by group.mu.

	// done is the offset up to which everything is dealt with, committed the
	// one that the group knows of; -1 for not yet.
	done, committed int64
	// first is the offset where fetching began, high the partition's end when
	// it was fetched last; -1 for not yet.
	first, high int64
	// lost says that it is not this task's any more.
	lost bool
	// busy says that the batch being written holds records of it.
	busy bool
}

// group is what the fetcher, the writer, the committer and the callbacks of
// the consumer group share.
type group struct {
	stats *Stats

	mu         sync.Mutex
	partitions map[string]map[int32]*partition
	// released is closed, and made anew, whenever partitions stop being busy.
	released chan struct{}
	// cancel ends the Write that runs now; nil when none does.
	cancel context.CancelFunc
	// wake ends the writer's wait between two tries.
	wake chan struct{}
	// lag and assigned are this task's part of the gauges.
	lag, assigned int64
}

func (g *group) init(stats *Stats) {
	g.stats = stats
	g.partitions = map[string]map[int32]*partition{}
	g.released = make(chan struct{})
	g.wake = make(chan struct{}, 1)
}

// fetched returns the present assignment of a partition from which records
// came, and notes the partition's end.
func (g *group) fetched(topic string, id int32, first, high int64) *partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.partitions[topic][id]
	if p == nil {
		return nil
	}
	if p.first < 0 {
		p.first = first
	}
	p.high = max(p.high, high)
	return p
}

// begin hands a batch to the writer. What is not this task's any more is left
// to the partition's next owner.
func (g *group) begin(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range b.spans {
		s := &b.spans[i]
		if s.partition.lost {
			s.given = true
			for j := s.from; j < s.to; j++ {
				b.fates[j] = fateGiven
			}
			continue
		}
		s.partition.busy = true
		g.stats.Read.Add(int64(s.read))
		g.stats.Filtered.Add(int64(s.filtered))
		g.stats.Active.Add(int64(s.read))
	}
}

// yield gives those partitions of the batch that are lost back to the group.
// It is called where no Write is running.
func (g *group) yield(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range b.spans {
		if b.spans[i].partition.lost {
			g.release(b, i)
		}
	}
}

// finish ends the writer's work on a batch: the offsets of its partitions move
// as far as everything before them is dealt with.
func (g *group) finish(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range b.spans {
		g.release(b, i)
	}
	g.countLag()
}

func (g *group) release(b *batch, i int) {
	s := &b.spans[i]
	if s.given {
		return
	}
	p := s.partition
	p.done = max(p.done, b.passed(i))
	p.busy, s.given = false, true
	abandoned := 0
	for j := s.from; j < s.to; j++ {
		if b.fates[j] == fateOpen {
			b.fates[j] = fateGiven
			abandoned++
		}
	}
	for j := range b.failures {
		if f := &b.failures[j]; f.span == i && !f.settled {
			abandoned++
		}
	}
	g.stats.Abandoned.Add(int64(abandoned))
	g.stats.Active.Add(-int64(s.read))
	close(g.released)
	g.released = make(chan struct{})
}

// countLag sets the gauges. Lag is told as a difference, because tasks share
// the Stats.
func (g *group) countLag() {
	lag, n := int64(0), int64(0)
	for _, ps := range g.partitions {
		for _, p := range ps {
			n++
			if from := max(p.done, p.first); from >= 0 && p.high > from {
				lag += p.high - from
			}
		}
	}
	g.stats.Lag.Add(lag - g.lag)
	g.stats.Partitions.Add(n - g.assigned)
	g.lag, g.assigned = lag, n
}

// writing notes how to end the Write that begins, or, with nil, that it ended.
func (g *group) writing(cancel context.CancelFunc) {
	g.mu.Lock()
	g.cancel = cancel
	g.mu.Unlock()
}

// assigned is the group's callback for new partitions.
func (r *run) assigned(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
	g := &r.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, ids := range assigned {
		if g.partitions[topic] == nil {
			g.partitions[topic] = map[int32]*partition{}
		}
		for _, id := range ids {
			g.partitions[topic][id] = &partition{topic: topic, id: id, done: -1, committed: -1, first: -1, high: -1}
		}
	}
	g.countLag()
}

// revoked is the group's callback before partitions go to another task. It
// returns when nothing of them is being written any more and their offsets are
// committed, so that the next owner begins exactly where this one ended.
func (r *run) revoked(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
	taken := r.group.take(revoked)
	if len(taken) == 0 {
		return
	}
	r.group.awaitRelease(ctx, taken)
	r.commit(taken)
}

// lost is the group's callback for partitions that others may have already: it
// is too late to commit.
func (r *run) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	if taken := r.group.take(lost); len(taken) > 0 {
		r.Logger.Warn("partitions were lost to the group without a hand-over; records may be written twice", "partitions", len(taken))
	}
}

// take marks partitions as lost and wakes the writer.
func (g *group) take(revoked map[string][]int32) []*partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []*partition
	for topic, ids := range revoked {
		for _, id := range ids {
			if p := g.partitions[topic][id]; p != nil {
				p.lost = true
				taken = append(taken, p)
				delete(g.partitions[topic], id)
			}
		}
		if len(g.partitions[topic]) == 0 {
			delete(g.partitions, topic)
		}
	}
	g.countLag()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return taken
}

// awaitRelease waits until the batch being written holds nothing of the
// partitions. A Write that takes too long is cancelled: then nobody knows
// whether it was applied, so its records are not passed, and the next owner
// applies them again, with all that follow, in order.
func (g *group) awaitRelease(ctx context.Context, taken []*partition) {
	timer := time.NewTimer(revokeTimeout)
	defer timer.Stop()
	for {
		g.mu.Lock()
		busy, released := false, g.released
		for _, p := range taken {
			busy = busy || p.busy
		}
		g.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-released:
		case <-timer.C:
			g.mu.Lock()
			if g.cancel != nil {
				g.cancel()
			}
			g.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// commitLoop commits at intervals until the writer has ended, and then once
// more.
func (r *run) commitLoop(ended <-chan struct{}) {
	ticker := time.NewTicker(r.commitInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.commit(r.group.mine())
		case <-ended:
			r.commit(r.group.mine())
			return
		}
	}
}

// mine returns the present assignments.
func (g *group) mine() []*partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	var mine []*partition
	for _, ps := range g.partitions {
		for _, p := range ps {
			mine = append(mine, p)
		}
	}
	return mine
}

// commit tells the group how far these partitions are done. What fails is
// tried again with the next commit; until then a crash repeats more.
func (r *run) commit(partitions []*partition) {
	type progress struct {
		p    *partition
		done int64
	}
	var moved []progress
	offsets := map[string]map[int32]kgo.EpochOffset{}
	r.group.mu.Lock()
	for _, p := range partitions {
		if p.done < 0 || p.done == p.committed {
			continue
		}
		moved = append(moved, progress{p, p.done})
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.topic][p.id] = kgo.EpochOffset{Epoch: -1, Offset: p.done}
	}
	r.group.mu.Unlock()
	if len(moved) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(r.life, commitTimeout)
	defer cancel()
	var failed error
	r.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = errors.Join(failed, fmt.Errorf("topic %s, partition %d: %w", t.Topic, p.Partition, err))
				}
			}
		}
	})
	r.Stats.Commits.Add(1)
	if failed != nil {
		r.Stats.CommitFailures.Add(1)
		r.Logger.Warn("offsets were not committed; trying again later", "error", failed)
		return
	}
	r.group.mu.Lock()
	for _, m := range moved {
		m.p.committed = max(m.p.committed, m.done)
	}
	r.group.mu.Unlock()
}

// leave leaves the group and closes the client. Everything that is done has
// been committed before.
func (r *run) leave() {
	r.client.AllowRebalance()
	if err := r.client.LeaveGroupContext(r.life); err != nil {
		r.Logger.Warn("the group was not left in order; it gives the partitions to others after its session timeout", "error", err)
	}
	r.client.CloseAllowingRebalance()
	r.group.mu.Lock()
	r.group.partitions = map[string]map[int32]*partition{}
	r.group.countLag()
	r.group.mu.Unlock()
}
