package supervisor

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// contextHeaders are the headers that Debezium puts on every record of a
// table's topic.
func contextHeaders(prefix string, task int, connector string) []kgo.RecordHeader {
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: "__debezium.context." + name, Value: []byte(value)}
	}
	return []kgo.RecordHeader{
		header("connectorLogicalName", prefix),
		header("taskId", strconv.Itoa(task)),
		header("connectorName", connector),
		header("runId", newRunID()),
	}
}

// newRunID returns a UUID of version 7, which sorts by time.
func newRunID() string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
