package mysql

import (
	"bytes"
	"context"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// RecordEvents returns events of the log as they are, from a position on, until
// there are so many rows events.
func RecordEvents(ctx context.Context, db capture.Database, from schema.Position, rows int) (events [][]byte, err error) {
	s, err := openSource(ctx, db.(*database), from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close(ctx) }() // what was read is whole
	for rows > 0 {
		packet, _, err := s.conn.packets.next(ctx, nil)
		if err != nil {
			return nil, err
		}
		event := bytes.Clone(packet[1:])
		if event[4] == evHeartbeat || event[4] == evHeartbeatV2 {
			continue
		}
		if event[4] >= evWriteRows && event[4] <= evDeleteRows || event[4] >= evWriteRowsV1 && event[4] <= evDeleteRowsV1 {
			rows--
		}
		events = append(events, event)
	}
	return events, nil
}
