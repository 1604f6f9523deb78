package postgres

import (
	"time"

	"github.com/penstock/penstock/schema"
)

// The shapes of the events that pg_logical_emit_message makes.
var (
	messageKey = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.MessageKey", Version: 1,
		Fields: []schema.Field{{Name: "prefix", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}}},
	}
	messageBody = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Message", Version: 1,
		Fields: []schema.Field{
			{Name: "prefix", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}},
			{Name: "content", Schema: &schema.Schema{Type: schema.TypeBytes, Optional: true}},
		},
	}
	transactionBlock = &schema.Schema{
		Type: schema.TypeStruct, Name: "event.block", Version: 1, Optional: true,
		Fields: []schema.Field{
			{Name: "id", Schema: &schema.Schema{Type: schema.TypeString}},
			{Name: "total_order", Schema: &schema.Schema{Type: schema.TypeInt64}},
			{Name: "data_collection_order", Schema: &schema.Schema{Type: schema.TypeInt64}},
		},
	}
)

// logicalMessage publishes what pg_logical_emit_message wrote.
func (s *source) logicalMessage(b *schema.Batch, at lsn, m logicalMessage) {
	if !s.publishesMessage(m.prefix) {
		return
	}
	now := time.Now()
	if s.messageSource == nil {
		var block *schema.Schema
		block, s.messageSource = s.sourceBlock("", "")
		s.messageShape = messageSchema(block) // one pointer, for the encoders' caches
	}
	var source schema.Row
	if m.transactional {
		source = s.sourceRow(&b.Arena, s.messageSource, at)
	} else {
		// It belongs to no transaction, and its time is not in the log.
		xid, micros := s.xid, s.micros
		s.xid, s.micros = 0, now.UnixMicro()
		source = s.sourceRow(&b.Arena, s.messageSource, at)
		s.xid, s.micros = xid, micros
	}
	prefix := schema.String(b.Copy(m.prefix))
	key := b.Row(1)
	key[0] = prefix
	body := b.Row(2)
	body[0], body[1] = prefix, schema.Bytes(b.Copy(m.content))
	value := b.Row(5)
	value[0] = schema.Text("m")
	value[1] = schema.Int(now.UnixMilli())
	value[2] = schema.Seq(schema.KindStruct, source)
	value[4] = schema.Seq(schema.KindStruct, body)
	ev := b.Append()
	ev.Op, ev.TimeMicros = schema.OpRecord, s.micros
	ev.Record = &schema.Record{
		Topic: s.messageTopic,
		Key:   schema.Data{Schema: messageKey, Value: schema.Seq(schema.KindStruct, key)},
		Value: schema.Data{Schema: s.messageShape, Value: schema.Seq(schema.KindStruct, value)},
	}
}

func messageSchema(source *schema.Schema) *schema.Schema {
	return &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.MessageValue", Version: 1,
		Fields: []schema.Field{
			{Name: "op", Schema: &schema.Schema{Type: schema.TypeString}},
			{Name: "ts_ms", Schema: &schema.Schema{Type: schema.TypeInt64, Optional: true}},
			{Name: "source", Schema: source},
			{Name: "transaction", Schema: transactionBlock},
			{Name: "message", Schema: messageBody},
		},
	}
}
