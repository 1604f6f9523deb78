package kafka

import (
	"context"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OneRecordBatch returns a record batch of one record.
func OneRecordBatch(pid int64, epoch int16, seq int32, value string) []byte {
	r := kmsg.Record{Value: []byte(value)}
	r.Length = int32(len(r.AppendTo(nil)) - 1)
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: 1, MaxTimestamp: 1,
		ProducerID: pid, ProducerEpoch: epoch, FirstSequence: seq, NumRecords: 1, Records: r.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], castagnoli(raw[21:]))
	return raw
}

// DataDir returns where the broker keeps its data.
func (b *Broker) DataDir() string { return b.cfg.DataDir }

// MaintainOnce applies retention and compaction now, by a client with opts.
func (b *Broker) MaintainOnce(ctx context.Context, opts ...kgo.Opt) error {
	m, err := b.newMaintenance(opts...)
	if err != nil {
		return err
	}
	defer m.cl.Close()
	return m.run(ctx)
}

// CompactPartitionsUpTo sets the size of the largest partition that is
// compacted.
func (b *Broker) CompactPartitionsUpTo(bytes int64) { b.compactPartition = bytes }
