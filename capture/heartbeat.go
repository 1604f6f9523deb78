package capture

import (
	"time"

	"github.com/penstock/penstock/schema"
)

var (
	heartbeatKey = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.common.ServerNameKey", Version: 1,
		Fields: []schema.Field{{Name: "serverName", Schema: &schema.Schema{Type: schema.TypeString}}},
	}
	heartbeatValue = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.common.Heartbeat", Version: 1,
		Fields: []schema.Field{{Name: "ts_ms", Schema: &schema.Schema{Type: schema.TypeInt64}}},
	}
)

// heartbeat returns Debezium's heartbeat record.
func heartbeat(a *schema.Arena, n Naming, now time.Time) *schema.Record {
	key, value := a.Row(1), a.Row(1)
	key[0] = schema.Text(n.Prefix)
	value[0] = schema.Int(now.UnixMilli())
	return &schema.Record{
		Topic: n.HeartbeatTopic(),
		Key:   schema.Data{Schema: heartbeatKey, Value: schema.Seq(schema.KindStruct, key)},
		Value: schema.Data{Schema: heartbeatValue, Value: schema.Seq(schema.KindStruct, value)},
	}
}
