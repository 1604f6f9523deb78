package sinks

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The offsets that stand for a partition's end and start.
const (
	atEnd   = -1
	atStart = -2
)

// begin is the group's callback with the offsets at which partitions are to be
// read. Where the group has none yet, auto.offset.reset is made a number, which
// is committed like any other, as Kafka Connect does: otherwise, with latest,
// what arrives while the connector is stopped would be passed over.
func (r *run) begin(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-r.made:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var topics []string
	for topic, partitions := range offsets {
		for _, o := range partitions {
			if at := o.EpochOffset().Offset; at == atEnd || at == atStart {
				topics = append(topics, topic)
				break
			}
		}
	}
	if len(topics) == 0 {
		return offsets, nil
	}
	adm := kadm.NewClient(r.client)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("find where the partitions begin: %w", err)
	}
	list := adm.ListEndOffsets
	if r.client.OptValue(kgo.FetchIsolationLevel) == kgo.ReadCommitted() {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("find where the partitions end: %w", err)
	}
	for topic, partitions := range offsets {
		for id, o := range partitions {
			listed := map[int64]kadm.ListedOffsets{atStart: starts, atEnd: ends}[o.EpochOffset().Offset]
			if l, ok := listed.Lookup(topic, id); ok && l.Err == nil {
				partitions[id] = kgo.NewOffset().At(l.Offset)
				r.group.begins(topic, id, l.Offset)
			}
		}
	}
	return offsets, nil
}

// mayBegin reports whether a partition may be read for which there is no
// offset: not with auto.offset.reset=none.
func (r *run) mayBegin() bool {
	return r.client.OptValue(kgo.ConsumeStartOffset) != kgo.NewOffset().AtCommitted()
}

// begins notes where a new partition is begun.
func (g *group) begins(topic string, id int32, at int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.partitions[topic][id]; p != nil {
		p.done = max(p.done, at)
	}
}
