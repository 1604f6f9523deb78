package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Log reads a whole topic from its beginning, and later what was added
// since: the way to keep a copy in memory of a compacted topic such as
// Connect's offsets, configurations and states.
//
// It asks for records instead of consuming, because a consumer cannot say
// that it has arrived: the last offsets of a topic may be markers of
// transactions, records of aborted ones or gaps left by compaction, for which
// a consumer delivers nothing.
//
// A Log is for one goroutine at a time.
type Log struct {
	cl    *kgo.Client
	topic string
	next  map[int32]int64 // where to go on in each partition
}

// NewLog returns a Log of the topic that begins at its beginning. The client
// may be any, also one that produces; it stays the caller's.
func NewLog(cl *kgo.Client, topic string) *Log {
	return &Log{cl: cl, topic: topic, next: map[int32]int64{}}
}

const (
	logFetchWait      = 500 * time.Millisecond
	logFetchBytes     = 32 << 20
	logPartitionBytes = 8 << 20
	logRetryEvery     = 100 * time.Millisecond
	// A topic that was just made is not known everywhere at once, and a client
	// that asked for it before remembers for a moment that it was not there.
	logMissingFor = 2 * time.Second
)

// ReadToEnd calls each with every committed record between where the last
// call stopped and the end of each partition as it is now; those of one
// partition in order. Records may be kept. Where a transaction is open it
// waits for its outcome, at most as long as that transaction may last: what
// others have committed behind it must not be missed. It goes on after changes of
// leaders until ctx is done. If each returns an error, ReadToEnd returns it,
// and the next call goes on after a part of the records that were passed.
func (l *Log) ReadToEnd(ctx context.Context, each func(*kgo.Record) error) error {
	adm := kadm.NewClient(l.cl)
	ends, err := l.ends(ctx, adm)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if l.next[p] > end { // the topic was made anew under the same name
			delete(l.next, p)
		}
	}
	for {
		behind, err := l.behind(ctx, adm, ends)
		if err != nil {
			return err
		}
		if len(behind) == 0 {
			return nil
		}
		again, err := l.fetch(ctx, adm, behind, each)
		if err != nil {
			return err
		}
		if !again {
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("read topic %s: %w", l.topic, ctx.Err())
		case <-time.After(logRetryEvery):
		}
	}
}

// ends returns for each partition the offset after its last record.
func (l *Log) ends(ctx context.Context, adm *kadm.Client) (map[int32]int64, error) {
	missing := time.Now().Add(logMissingFor)
	for {
		listed, err := adm.ListEndOffsets(ctx, l.topic)
		if err == nil {
			err = listed.Error()
		}
		if err == nil && len(listed[l.topic]) == 0 {
			err = kerr.UnknownTopicOrPartition
		}
		if err == nil {
			ends := make(map[int32]int64, len(listed[l.topic]))
			listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
			return ends, nil
		}
		if unknown := errors.Is(err, kerr.UnknownTopicOrPartition); unknown && time.Now().After(missing) || !unknown && !kerr.IsRetriable(err) {
			return nil, fmt.Errorf("list ends of topic %s: %w", l.topic, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list ends of topic %s: %w", l.topic, errors.Join(ctx.Err(), err))
		case <-time.After(logRetryEvery):
		}
	}
}

// behind returns the partitions that have not been read to their ends, with
// the offset to go on at. A partition that is new to the Log, or whose next
// offset has been deleted, is begun at its first offset.
func (l *Log) behind(ctx context.Context, adm *kadm.Client, ends map[int32]int64) (map[int32]int64, error) {
	behind := map[int32]int64{}
	begin := false
	for p, end := range ends {
		next, known := l.next[p]
		begin = begin || !known && end > 0
		if next < end {
			behind[p] = next
		}
	}
	if !begin {
		return behind, nil
	}
	starts, err := adm.ListStartOffsets(ctx, l.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list beginnings of topic %s: %w", l.topic, err)
	}
	starts.Each(func(o kadm.ListedOffset) {
		if _, known := l.next[o.Partition]; known {
			return
		}
		l.next[o.Partition] = o.Offset
		if o.Offset >= ends[o.Partition] {
			delete(behind, o.Partition)
		} else {
			behind[o.Partition] = o.Offset
		}
	})
	return behind, nil
}

// fetch asks each leader once for its partitions. again says that something
// is in the way that should pass, so that the caller waits before it goes on.
func (l *Log) fetch(ctx context.Context, adm *kadm.Client, behind map[int32]int64, each func(*kgo.Record) error) (again bool, err error) {
	metadata, err := adm.Metadata(ctx, l.topic)
	if err != nil {
		return false, fmt.Errorf("find leaders of topic %s: %w", l.topic, err)
	}
	topic := metadata.Topics[l.topic]
	if topic.Err != nil {
		if kerr.IsRetriable(topic.Err) {
			return true, nil
		}
		return false, fmt.Errorf("find leaders of topic %s: %w", l.topic, topic.Err)
	}
	requests := map[int32]*kmsg.FetchRequest{} // by leader
	for p, next := range behind {
		leader := topic.Partitions[p].Leader
		if topic.Partitions[p].Err != nil || leader < 0 {
			again = true
			continue
		}
		req := requests[leader]
		if req == nil {
			req = l.request(topic.ID)
			requests[leader] = req
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, next, logPartitionBytes
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, part)
	}
	for leader, req := range requests {
		resp, err := req.RequestWith(ctx, l.cl.Broker(int(leader)))
		if err != nil {
			if ctx.Err() != nil {
				return false, fmt.Errorf("fetch from topic %s: %w", l.topic, err)
			}
			again = true // the leader is gone; its partitions get another
			continue
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return false, fmt.Errorf("fetch from topic %s: %w", l.topic, err)
		}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				wait, err := l.deliver(&resp.Topics[i].Partitions[j], behind, each)
				if err != nil {
					return false, err
				}
				again = again || wait
			}
		}
	}
	return again, nil
}

func (l *Log) request(id [16]byte) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(logFetchWait.Milliseconds()), 1, logFetchBytes
	req.IsolationLevel = 1 // read_committed
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = l.topic, id // brokers take one or the other
	req.Topics = append(req.Topics, topic)
	return req
}

func (l *Log) deliver(part *kmsg.FetchResponseTopicPartition, behind map[int32]int64, each func(*kgo.Record) error) (again bool, err error) {
	p := part.Partition
	switch err := kerr.ErrorForCode(part.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange): // deleted meanwhile
		delete(l.next, p)
		return false, nil
	case kerr.IsRetriable(err):
		return true, nil
	default:
		return false, fmt.Errorf("fetch partition %d of topic %s: %w", p, l.topic, err)
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: behind[p], IsolationLevel: kgo.ReadCommitted(), Topic: l.topic, Partition: p,
	}, part, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return false, fmt.Errorf("read partition %d of topic %s at offset %d: %w", p, l.topic, next, fetched.Err)
	}
	for _, r := range fetched.Records {
		l.next[p] = r.Offset + 1
		if err := each(r); err != nil {
			return false, err
		}
	}
	l.next[p] = next
	return false, nil
}
