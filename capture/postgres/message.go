package postgres

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// The shapes of the events that pg_logical_emit_message makes.
var (
	messageKey = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.MessageKey", Version: 1,
		Fields: []schema.Field{{Name: "prefix", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}}},
	}
)

// logicalMessage publishes what pg_logical_emit_message wrote.
func (s *source) logicalMessage(b *schema.Batch, at lsn, m logicalMessage) error {
	if !s.publishesMessage(m.prefix) {
		return nil
	}
	now := time.Now()
	if s.messageSource == nil {
		var block *schema.Schema
		block, s.messageSource = s.sourceBlock("", "")
		content := s.values.rawBytes() // bytes by binary.handling.mode
		s.messageContent = content.decode
		s.messageShape = messageSchema(block, content.schema.AsOptional()) // one pointer, for the encoders' caches
	}
	content, err := s.messageContent(&b.Arena, m.content)
	if err != nil {
		return fmt.Errorf("content of a logical message: %w", err)
	}
	var source, transaction schema.Row
	if m.transactional {
		source, transaction = s.sourceRow(&b.Arena, s.messageSource, at), s.transaction(&b.Arena, at)
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
	body[0], body[1] = prefix, content
	value := b.Row(5)
	value[0] = schema.Text("m")
	value[1] = schema.Int(now.UnixMilli())
	value[2] = schema.Seq(schema.KindStruct, source)
	if transaction != nil {
		value[3] = schema.Seq(schema.KindStruct, transaction) // the numbers follow
	}
	value[4] = schema.Seq(schema.KindStruct, body)
	ev := b.Append()
	ev.Op, ev.TimeMicros, ev.Transaction = schema.OpRecord, s.micros, transaction
	ev.Record = &schema.Record{
		Topic: s.messageTopic,
		Key:   schema.Data{Schema: messageKey, Value: schema.Seq(schema.KindStruct, key)},
		Value: schema.Data{Schema: s.messageShape, Value: schema.Seq(schema.KindStruct, value)},
	}
	return nil
}

func messageSchema(source, content *schema.Schema) *schema.Schema {
	return &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.MessageValue", Version: 1,
		Fields: []schema.Field{
			{Name: "op", Schema: &schema.Schema{Type: schema.TypeString}},
			{Name: "ts_ms", Schema: &schema.Schema{Type: schema.TypeInt64, Optional: true}},
			{Name: "source", Schema: source},
			{Name: "transaction", Schema: capture.TransactionBlock},
			{Name: "message", Schema: &schema.Schema{
				Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Message", Version: 1,
				Fields: []schema.Field{{Name: "prefix", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}}, {Name: "content", Schema: content}},
			}},
		},
	}
}
