package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// defaultCompactPartition bounds the partitions that are compacted, unpacked:
	// the fake holds all that remains of one in memory. With a memory limit it
	// is a quarter of that, if that is less.
	defaultCompactPartition = 256 << 20
	// compactTopics bounds what is compacted at once, unpacked: the fake answers
	// nobody meanwhile, for about a second with each 256 MiB.
	compactTopics = 1 << 30
	// manyBatches is when it is said that their index takes much memory.
	manyBatches = 2_000_000
	// batchMemory is what the fake keeps in memory of each batch, measured.
	batchMemory = 72
)

// maintain applies retention and compaction until ctx is done. The fake's own
// clock for both is off: its retention would delete from compacted topics, and
// its compaction would lose a partition to a kill in the wrong moment.
func (b *Broker) maintain(ctx context.Context) {
	m, err := b.newMaintenance()
	if err != nil {
		b.log.Error("embedded broker: no retention and no compaction", "error", err)
		return
	}
	defer m.cl.Close()
	tick := time.NewTicker(b.cfg.MaintenanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := m.run(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("embedded broker: maintenance", "error", err)
		}
	}
}

func (b *Broker) newMaintenance(opts ...kgo.Opt) (*maintenance, error) {
	cl, err := kgo.NewClient(append(
		opts,
		kgo.SeedBrokers(b.local),
		kgo.ClientID("penstock-broker"),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) {
			// Whatever is advertised, this is the way from inside.
			return new(net.Dialer).DialContext(ctx, "tcp", b.local)
		}),
	)...)
	if err != nil {
		return nil, err
	}
	return &maintenance{b: b, cl: cl, adm: kadm.NewClient(cl)}, nil
}

type maintenance struct {
	b       *Broker
	cl      *kgo.Client
	adm     *kadm.Client
	size    int64 // of the compacted topics when they were last compacted, or too large for it
	told    bool  // that they are too large, or may not be compacted
	crowded bool  // it was told that there are many batches
}

func (m *maintenance) run(ctx context.Context) error {
	topics, err := m.b.readTopics()
	if err != nil {
		return err
	}
	var compacted []fakeTopic
	var size int64
	for _, t := range topics {
		policy := t.Configs[cleanupPolicy]
		if strings.Contains(policy, compact) {
			compacted = append(compacted, t)
			for _, p := range m.b.cluster.PartitionInfos(t.Name) {
				size += p.NumBytes
			}
		}
		if policy == "" || strings.Contains(policy, "delete") {
			if err := m.retain(ctx, t); err != nil {
				return fmt.Errorf("retention of topic %s: %w", t.Name, err)
			}
		}
	}
	if err := m.count(); err != nil {
		return fmt.Errorf("count the batches: %w", err)
	}
	if size < m.size { // topics were deleted
		m.size = size
	}
	if grown := size - m.size; grown < m.b.cfg.CompactAtLeast || grown < m.size/2 {
		return nil
	}
	return m.compact(ctx, compacted, size)
}

func (b *Broker) readTopics() ([]fakeTopic, error) {
	var topics fakeTopics
	_, err := readJSON(filepath.Join(b.cfg.DataDir, dirBroker, fileTopics), &topics)
	return topics.Topics, err
}

// retain deletes what is too old or too much, in whole batches, and leaves the
// last batch of each partition, which holds its place in the offsets.
func (m *maintenance) retain(ctx context.Context, t fakeTopic) error {
	keep, most := m.b.cfg.Retention, m.b.cfg.RetentionBytes
	if ms, err := strconv.ParseInt(t.Configs["retention.ms"], 10, 64); err == nil {
		keep = time.Duration(min(ms, never.Milliseconds())) * time.Millisecond
	}
	if n, err := strconv.ParseInt(t.Configs["retention.bytes"], 10, 64); err == nil {
		most = n
		if n == 0 {
			most = 1 // 0 is no limit in BrokerConfig only
		}
	}
	if keep < 0 && most <= 0 {
		return nil
	}
	// Before it is asked what is old: if nothing is young enough, the answer is
	// the end as it is then, and what came meanwhile has not been looked at.
	partitions := m.b.cluster.PartitionInfos(t.Name)
	old := map[int32]int64{} // first offset that is young enough
	if keep >= 0 {
		listed, err := m.adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-keep).UnixMilli(), t.Name)
		if err != nil {
			return err
		}
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				old[o.Partition] = o.Offset
			}
		})
	}
	for _, p := range partitions {
		to := old[p.Partition]
		if most > 0 && p.NumBytes > most {
			offset, err := m.oldestWithin(t.Name, p.Partition, p.NumBytes-most)
			if err != nil {
				return err
			}
			to = max(to, offset)
		}
		if to = min(to, p.HighWatermark-1); to > p.LogStartOffset {
			if err := m.b.cluster.DeleteRecords(t.Name, p.Partition, to); err != nil {
				return err
			}
			m.b.log.Debug("embedded broker: deleted old records", "topic", t.Name, "partition", p.Partition, "before", to)
		}
	}
	return nil
}

// oldestWithin returns the offset before which at least excess bytes lie, as
// whole segments: like Kafka, rather too little than too much is deleted.
func (m *maintenance) oldestWithin(topic string, p int32, excess int64) (int64, error) {
	dir := partitionDir(filepath.Join(m.b.cfg.DataDir, dirBroker), topic, p)
	bases, err := segments(dir)
	if err != nil || len(bases) == 0 {
		return 0, err
	}
	for i, base := range bases[:len(bases)-1] {
		info, err := os.Stat(segmentPath(dir, base, extData))
		if err != nil {
			return 0, err
		}
		if excess -= info.Size(); excess < 0 {
			return base, nil
		}
		if excess == 0 {
			return bases[i+1], nil
		}
	}
	return bases[len(bases)-1], nil
}

// compact has the fake compact all compacted topics at a moment when nothing
// else happens. The moment is made by a request of our own: while the fake
// runs the function that looks at a request it deals with no other one.
func (m *maintenance) compact(ctx context.Context, topics []fakeTopic, size int64) error {
	reason := m.obstacle(topics, size)
	if reason == "" {
		var err error
		if reason, err = m.tooLarge(topics); err != nil {
			return err
		}
		if reason != "" {
			m.size = size // not unpacked again before they have grown
		}
	}
	if reason != "" {
		if !m.told {
			m.b.log.Warn("embedded broker: compacted topics are not compacted", "reason", reason, "bytes", size)
		}
		m.told = true
		return nil
	}
	m.told = false
	w := &window{work: func() error {
		after, err := m.compactNow(topics)
		if after > 0 {
			m.b.log.Debug("embedded broker: compacted", "before", size, "after", after)
			m.size = after
		}
		return err
	}, done: make(chan error, 1)}
	m.b.cluster.ControlKey(int16(kmsg.DescribeLogDirs), func(kmsg.Request) (kmsg.Response, error, bool) {
		m.b.cluster.DropControl()
		w.open()
		return nil, nil, false
	})
	_, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(ctx, m.cl)
	// Whether or not there was an answer: what has begun is waited for, and
	// what has not never will.
	if w.begun() {
		err = <-w.done
		debug.FreeOSMemory() // all that remains of a partition was in it
	}
	return err
}

// window is a piece of work that is done at most once, by whoever comes first
// at the moment that is made for it.
type window struct {
	mu   sync.Mutex
	work func() error // nil once begun or called off
	ran  bool
	done chan error // receives the result
}

// open does the work, unless it has been done or called off.
func (w *window) open() {
	w.mu.Lock()
	work := w.work
	w.work, w.ran = nil, w.ran || work != nil
	w.mu.Unlock()
	if work != nil {
		w.done <- work()
	}
}

// begun reports whether the work has begun, and calls it off if not.
func (w *window) begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work = nil
	return w.ran
}

// obstacle says why the topics should not be compacted now, for their owner.
func (m *maintenance) obstacle(topics []fakeTopic, size int64) string {
	for _, t := range topics {
		if !strings.Contains(t.Configs[cleanupPolicy], "delete") && (kept(t.Configs["retention.ms"]) || kept(t.Configs["retention.bytes"])) {
			return "topic " + t.Name + " has cleanup.policy=compact and a retention, and would lose records; take its retention.ms and retention.bytes away"
		}
	}
	if free, ok := freeBytes(m.b.cfg.DataDir); ok && free < 2*size {
		return "the disk is too full"
	}
	return ""
}

// tooLarge says why the topics cannot be compacted while the broker runs.
func (m *maintenance) tooLarge(topics []fakeTopic) (reason string, err error) {
	// A negative limit asks for the one there is.
	most := min(m.b.compactPartition, debug.SetMemoryLimit(-1)/4)
	var total int64
	for _, t := range topics {
		for p := range t.Partitions {
			size, err := unpackedSize(partitionDir(filepath.Join(m.b.cfg.DataDir, dirBroker), t.Name, p), most)
			if err != nil {
				return "", err
			}
			total += size
			if size > most || total > compactTopics {
				return fmt.Sprintf("partition %d of topic %s is larger than %d MiB without compression, or all of them than %d MiB, which the embedded broker cannot compact while it runs; use a Kafka cluster, or cleanup.policy=delete for large topics",
					p, t.Name, most>>20, compactTopics>>20), nil
			}
		}
	}
	return "", nil
}

// count says once when the index of the batches takes much memory.
func (m *maintenance) count() error {
	n, err := m.b.indexedBatches()
	if err != nil {
		return err
	}
	if n > manyBatches && !m.crowded {
		m.b.log.Warn("embedded broker: the index of the record batches takes much memory; shorten the retention of topics with many small batches, or use a Kafka cluster",
			"batches", n, "bytes", n*batchMemory)
	}
	m.crowded = n > manyBatches
	return nil
}

// kept reports whether a retention setting limits anything.
func kept(setting string) bool {
	n, err := strconv.ParseInt(setting, 10, 64)
	return err == nil && n >= 0
}

// compactNow runs while the fake deals with nothing else. It returns the size
// of the topics afterwards, 0 if they were left alone.
//
// The fake deletes a partition's files before it writes new ones. So links to
// all of them are kept aside first, which recovery goes back to if the
// process does not get to the end of this function.
func (m *maintenance) compactNow(topics []fakeTopic) (size int64, err error) {
	var partitions []string // below the fake's directory
	for _, t := range topics {
		info := m.b.cluster.TopicInfo(t.Name)
		if info == nil || base64.StdEncoding.EncodeToString(info.TopicID[:]) != t.ID {
			return 0, nil // deleted meanwhile; next time
		}
		for _, p := range m.b.cluster.PartitionInfos(t.Name) {
			if p.LastStableOffset != p.HighWatermark {
				// A record of an open transaction would push the last
				// committed one out although it may be aborted yet.
				return 0, nil
			}
			if p.HighWatermark > p.LogStartOffset {
				partitions = append(partitions, partitionDir(filepath.Join(m.b.cfg.DataDir, dirBroker), t.Name, p.Partition))
			}
		}
	}
	// What the fake's retention, which is part of its compaction, may empty.
	if err := m.b.markEnds(); err != nil {
		return 0, err
	}
	saved := filepath.Join(m.b.cfg.DataDir, dirCompacting)
	unfinished := filepath.Join(m.b.cfg.DataDir, dirUnfinished)
	if err := linkAll(unfinished, partitions); err != nil {
		return 0, fmt.Errorf("keep files aside: %w", err)
	}
	if err := errors.Join(os.Rename(unfinished, saved), syncDir(m.b.cfg.DataDir)); err != nil {
		return 0, fmt.Errorf("keep files aside: %w", err)
	}
	m.b.cluster.Compact()
	for _, t := range topics {
		for _, p := range m.b.cluster.PartitionInfos(t.Name) {
			size += p.NumBytes
			dir := partitionDir(filepath.Join(m.b.cfg.DataDir, dirBroker), t.Name, p.Partition)
			if err := m.checkSize(dir, p.NumBytes); err != nil {
				// Keep the links: the next start goes back to them.
				return size, fmt.Errorf("compaction of topic %s did not succeed, restart the broker to take it back: %w", t.Name, err)
			}
		}
	}
	if err := os.Rename(saved, unfinished); err != nil {
		return size, err
	}
	return max(size, 1), os.RemoveAll(unfinished)
}

// checkSize compares what the fake thinks it has written with what is there,
// and has it on disk.
func (m *maintenance) checkSize(dir string, want int64) error {
	bases, err := segments(dir)
	if err != nil {
		return err
	}
	var have int64
	for _, base := range bases {
		info, err := os.Stat(segmentPath(dir, base, extData))
		if err != nil {
			return err
		}
		have += info.Size()
	}
	if have < want {
		return fmt.Errorf("%s has %d bytes instead of %d", dir, have, want)
	}
	if len(bases) == 0 {
		return nil
	}
	return syncDir(dir)
}

// linkAll makes dir with a directory for each partition and links to its
// files.
func linkAll(dir string, partitions []string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, from := range partitions {
		to := filepath.Join(dir, filepath.Base(from))
		if err := os.MkdirAll(to, dirPerm); err != nil {
			return err
		}
		bases, err := segments(from)
		if err != nil {
			return err
		}
		for _, base := range bases {
			if err := os.Link(segmentPath(from, base, extData), segmentPath(to, base, extData)); err != nil {
				return err
			}
		}
		if err := syncDir(to); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// markEnds writes down where each partition has got to. It may only be called
// while the fake deals with nothing else.
func (b *Broker) markEnds() error {
	topics, err := b.readTopics()
	if err != nil {
		return err
	}
	ends := marks{} // without those of deleted topics
	for _, t := range topics {
		for _, p := range b.cluster.PartitionInfos(t.Name) {
			if p.HighWatermark > 0 {
				ends.raise(t.ID, p.Partition, p.HighWatermark)
			}
		}
	}
	return writeJSON(filepath.Join(b.cfg.DataDir, fileMarks), ends)
}

// watchRequests writes down, before the fake deals with a request, what
// recovery will need to know if the process dies in the middle of it.
func (b *Broker) watchRequests() {
	b.cluster.ControlKey(int16(kmsg.DeleteRecords), func(kmsg.Request) (kmsg.Response, error, bool) {
		err := b.markEnds()
		if err != nil {
			b.log.Error("embedded broker: refused to delete records", "error", err)
		}
		return nil, err, err != nil
	})
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		end, ok := req.(*kmsg.EndTxnRequest)
		// Before version 5 an epoch may stand for several transactions; those
		// of such old clients are aborted where a crash left them open.
		if !ok || !end.Commit || end.Version < 5 {
			return nil, nil, false
		}
		if err := b.writeIntent(txn{end.ProducerID, end.ProducerEpoch}); err != nil {
			b.log.Error("embedded broker: refused to commit a transaction", "error", err)
			return nil, err, true
		}
		return nil, nil, false
	})
}

func (b *Broker) writeIntent(at txn) error {
	if _, err := b.intent.WriteAt(intentText(at), 0); err != nil {
		return err
	}
	return b.intent.Sync()
}
