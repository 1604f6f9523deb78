package capture

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// Shape says what records events become: Debezium's envelope, keys,
// tombstones and topics.
type Shape struct {
	Naming Naming
	// Tombstones is tombstones.on.delete.
	Tombstones bool
	// Skip holds the operations of skipped.operations.
	Skip []schema.Op
	// Keys are message.key.columns, in order; the first that matches a table
	// decides.
	Keys []KeyColumns
	// Headers are appended to every record of a table's topic
	// (extended.headers.enabled).
	Headers []kgo.RecordHeader
	// Columns say what to do with single columns; the first that matches one
	// decides.
	Columns []ColumnRule
	// SkipUnchanged leaves out updates of which nothing is seen in the events
	// (skip.messages.without.change).
	SkipUnchanged bool
	// Transactions is the topic of transactions' begin and end; empty without
	// transaction metadata (provide.transaction.metadata).
	Transactions string
	// Key and Value are the connector's converters; KeyHeader writes the keys
	// in the headers of a changed key.
	Key, Value, KeyHeader converters.Converter
	// Topic makes sure that a topic exists, once before its first record.
	Topic func(ctx context.Context, topic string) error
}

// KeyColumns names the columns that form the key of the tables that match.
type KeyColumns struct {
	Table   *regexp.Regexp
	Columns []string
}

// ParseKeyColumns reads message.key.columns: "table-regex:column,column;…".
func ParseKeyColumns(text string) ([]KeyColumns, error) {
	var keys []KeyColumns
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		table, columns, ok := strings.Cut(part, ":")
		if !ok || strings.TrimSpace(columns) == "" {
			return nil, fmt.Errorf("%q has no columns: write <table>:<column>,<column>", part)
		}
		re, err := regexp.Compile(`(?i)^(?:` + strings.TrimSpace(table) + `)$`)
		if err != nil {
			return nil, fmt.Errorf("the table of %q is not a regular expression: %w", part, err)
		}
		k := KeyColumns{Table: re}
		for c := range strings.SplitSeq(columns, ",") {
			k.Columns = append(k.Columns, strings.TrimSpace(c))
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// KeyColumnsOf returns the columns that message.key.columns names for a table,
// whose path is as [schema.Table.Path] writes it; nil if it names none.
func KeyColumnsOf(keys []KeyColumns, database, path string) []string {
	for _, k := range keys {
		if k.Table.MatchString(path) || k.Table.MatchString(database+"."+path) {
			return k.Columns
		}
	}
	return nil
}

// The envelope's fields, in Debezium's order.
const (
	fieldBefore = iota
	fieldAfter
	fieldSource
	fieldTransaction
	fieldOp
	fieldTsMs
	fieldTsUs
	fieldTsNs
	envelopeFields
)

// plan is what is compiled once for a version of a table.
type plan struct {
	topic string
	*tableRules
	keyEnc     converters.Encoder
	valueEnc   converters.Encoder
	keyHeader  converters.Encoder
	tombstones bool
}

// recordPlan is what is compiled once for the shape of an OpRecord.
type recordPlan struct{ keyEnc, valueEnc converters.Encoder }

type recordShape struct {
	topic      string
	key, value *schema.Schema
}

// shaper is a Shape at work. It is safe for concurrent use.
type shaper struct {
	Shape
	skip [256]bool
	log  *slog.Logger // may be nil

	mu          sync.Mutex
	ruled       map[*schema.Table]*tableRules
	plans       map[*schema.Table]*plan
	recordPlans map[recordShape]*recordPlan
	topics      map[string]struct{}
}

func newShaper(s Shape) *shaper {
	sh := &shaper{
		Shape: s, ruled: map[*schema.Table]*tableRules{}, plans: map[*schema.Table]*plan{},
		recordPlans: map[recordShape]*recordPlan{}, topics: map[string]struct{}{},
	}
	for _, op := range s.Skip {
		sh.skip[op] = true
	}
	return sh
}

// plan returns the table's plan. Compiling one may wait for the broker or a
// registry, with the lock held: no other worker could get on without it for
// long.
func (s *shaper) plan(ctx context.Context, t *schema.Table) (*plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.plans[t]; ok {
		return p, nil
	}
	p, err := s.compile(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("prepare the events of table %s: %w", t.Path(), err)
	}
	s.plans[t] = p
	return p, nil
}

func (s *shaper) compile(ctx context.Context, t *schema.Table) (*plan, error) {
	rules, err := s.rulesOf(t)
	if err != nil {
		return nil, err
	}
	p := &plan{topic: s.Naming.Table(t), tableRules: rules, tombstones: s.Tombstones}
	if err := s.ensureTopic(ctx, p.topic); err != nil {
		return nil, err
	}
	if len(p.key) > 0 {
		key := &schema.Schema{Type: schema.TypeStruct, Name: adjustName(s.Naming.Schemas, p.topic+".Key")}
		for _, at := range p.key {
			key.Fields = append(key.Fields, s.field(&t.Columns[at]))
		}
		if p.keyEnc, err = s.Key.Encoder(ctx, p.topic, key); err != nil {
			return nil, fmt.Errorf("key converter: %w", err)
		}
		if p.keyHeader, err = s.KeyHeader.Encoder(ctx, p.topic, key); err != nil {
			return nil, fmt.Errorf("header converter: %w", err)
		}
	}
	envelope := &schema.Schema{
		Type: schema.TypeStruct, Name: adjustName(s.Naming.Schemas, p.topic+".Envelope"), Version: 2,
		Fields: []schema.Field{
			fieldBefore:      {Name: "before", Schema: p.row},
			fieldAfter:       {Name: "after", Schema: p.row},
			fieldSource:      {Name: "source", Schema: t.Source},
			fieldTransaction: {Name: "transaction", Schema: TransactionBlock},
			fieldOp:          {Name: "op", Schema: &schema.Schema{Type: schema.TypeString}},
			fieldTsMs:        {Name: "ts_ms", Schema: optionalInt64},
			fieldTsUs:        {Name: "ts_us", Schema: optionalInt64},
			fieldTsNs:        {Name: "ts_ns", Schema: optionalInt64},
		},
	}
	if p.valueEnc, err = s.Value.Encoder(ctx, p.topic, envelope); err != nil {
		return nil, fmt.Errorf("value converter: %w", err)
	}
	return p, nil
}

var optionalInt64 = &schema.Schema{Type: schema.TypeInt64, Optional: true}

func (s *shaper) ensureTopic(ctx context.Context, topic string) error {
	if _, ok := s.topics[topic]; ok {
		return nil
	}
	if s.Topic != nil {
		if err := s.Topic(ctx, topic); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	s.topics[topic] = struct{}{}
	return nil
}

func (s *shaper) recordPlan(ctx context.Context, r *schema.Record) (*recordPlan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shape := recordShape{r.Topic, r.Key.Schema, r.Value.Schema}
	if p, ok := s.recordPlans[shape]; ok {
		return p, nil
	}
	if err := s.ensureTopic(ctx, r.Topic); err != nil {
		return nil, err
	}
	p := &recordPlan{}
	var err error
	if p.keyEnc, err = s.Key.Encoder(ctx, r.Topic, r.Key.Schema); err != nil {
		return nil, fmt.Errorf("key converter for topic %s: %w", r.Topic, err)
	}
	if p.valueEnc, err = s.Value.Encoder(ctx, r.Topic, r.Value.Schema); err != nil {
		return nil, fmt.Errorf("value converter for topic %s: %w", r.Topic, err)
	}
	s.recordPlans[shape] = p
	return p, nil
}

// noKeyError says that a record's key cannot be told from the log.
type noKeyError struct {
	table  *schema.Table
	column string
}

// Error names column and remedy.
func (e *noKeyError) Error() string {
	remedy := "SET GLOBAL binlog_row_image = FULL and let the sessions that write connect again"
	if e.table.Schema != "" { // PostgreSQL
		quote := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
		remedy = "ALTER TABLE " + quote(e.table.Schema) + "." + quote(e.table.Name) + " REPLICA IDENTITY FULL"
	}
	return fmt.Sprintf("the log does not have the row's column %s, which is part of its key. Run %s. "+
		"What was logged before stays without it: reset the connector's offsets, so that the tables are copied again, or take the column out of message.key.columns",
		e.column, remedy)
}

// encoder turns the events of one batch after another into records. It has
// scratch of its own, so each worker has one.
type encoder struct {
	*shaper
	envelope [envelopeFields]schema.Value
	keyRow   []schema.Value
	block    [blockFields]schema.Value
	// Rows with masked values, and the text of these.
	before, after schema.Row
	text          []byte
	lastT         *schema.Table
	last          *plan
}

// encode fills in the batch's records.
func (e *encoder) encode(ctx context.Context, b *batch, now time.Time) error {
	ns := now.UnixNano()
	e.envelope[fieldTsMs] = schema.Int(ns / 1e6)
	e.envelope[fieldTsUs] = schema.Int(ns / 1e3)
	e.envelope[fieldTsNs] = schema.Int(ns)
	for i := range b.Events {
		ev := &b.Events[i]
		var err error
		if ev.Op == schema.OpRecord {
			err = e.record(ctx, b, ev.Record)
		} else {
			err = e.change(ctx, b, ev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) change(ctx context.Context, b *batch, ev *schema.Event) error {
	p := e.last
	if ev.Table != e.lastT || p == nil {
		var err error
		if p, err = e.plan(ctx, ev.Table); err != nil {
			return err
		}
		e.lastT, e.last = ev.Table, p
	}
	if err := e.changeBy(b, p, ev); err != nil {
		return Permanent(fmt.Errorf("event of table %s: %w", ev.Table.Path(), err))
	}
	return nil
}

func (e *encoder) changeBy(b *batch, p *plan, ev *schema.Event) error {
	switch e.effect(p.tableRules, ev) {
	case effectNone:
		return nil
	case effectRekey:
		return e.rekey(b, p, ev)
	case effectPlain:
	}
	e.envelope[fieldTransaction] = rowValue(ev.Transaction)
	switch ev.Op {
	case schema.OpDelete:
		return e.remove(b, p, ev, nil)
	case schema.OpUpdate:
		key, err := e.key(b, p, ev.After, ev.Before)
		if err != nil {
			return err
		}
		return e.value(b, p, key, ev, ev.Op, ev.Before, ev.After, nil)
	case schema.OpTruncate:
		return e.value(b, p, span{}, ev, ev.Op, nil, nil, nil)
	default:
		key, err := e.key(b, p, ev.After, nil)
		if err != nil {
			return err
		}
		return e.value(b, p, key, ev, ev.Op, nil, ev.After, nil)
	}
}

// rekey publishes an update that moved a row to another key as Debezium does:
// the old key's deletion and tombstone, then the new key's creation, each
// naming the other key in a header.
func (e *encoder) rekey(b *batch, p *plan, ev *schema.Event) error {
	newKey, err := e.keyHeaderOf(p, ev.After, ev.Before)
	if err != nil {
		return err
	}
	oldKey, err := e.keyHeaderOf(p, nil, ev.Before)
	if err != nil {
		return err
	}
	e.envelope[fieldTransaction] = rowValue(ev.Transaction)
	if !e.skip[schema.OpDelete] {
		if err := e.remove(b, p, ev, &kgo.RecordHeader{Key: "__debezium.newkey", Value: newKey}); err != nil {
			return err
		}
		e.envelope[fieldTransaction] = e.nextPlace(ev.Transaction)
	}
	if e.skip[schema.OpCreate] {
		return nil
	}
	key, err := e.key(b, p, ev.After, ev.Before)
	if err != nil {
		return err
	}
	return e.value(b, p, key, ev, schema.OpCreate, nil, ev.After, &kgo.RecordHeader{Key: "__debezium.oldkey", Value: oldKey})
}

// nextPlace is the block of the second of two events.
func (e *encoder) nextPlace(block schema.Row) schema.Value {
	if block == nil {
		return schema.Value{}
	}
	copy(e.block[:], block)
	for _, at := range []int{blockTotal, blockOrder} {
		e.block[at] = schema.Int(block[at].Int() + 1)
	}
	return schema.Seq(schema.KindStruct, e.block[:])
}

func (e *encoder) remove(b *batch, p *plan, ev *schema.Event, header *kgo.RecordHeader) error {
	key, err := e.key(b, p, nil, ev.Before)
	if err != nil {
		return err
	}
	if err := e.value(b, p, key, ev, schema.OpDelete, ev.Before, nil, header); err != nil {
		return err
	}
	if p.tombstones {
		b.add(p.topic, key, span{}, e.headers(header), ev.TimeMicros)
	}
	return nil
}

// keyOf returns the key of the row after a change, or before it if after is
// nil. A partial image after an update leaves out what did not change.
func (e *encoder) keyOf(p *plan, after, before schema.Row) (schema.Value, error) {
	e.keyRow = e.keyRow[:0]
	for _, at := range p.key {
		v := schema.Absent()
		if after != nil {
			v = after[at]
		}
		if v.Kind() == schema.KindAbsent {
			v = p.old(before, at)
		}
		if v.Kind() == schema.KindAbsent {
			return v, &noKeyError{p.table, p.table.Columns[at].Name}
		}
		e.keyRow = append(e.keyRow, v)
	}
	return schema.Seq(schema.KindStruct, e.keyRow), nil
}

func (e *encoder) key(b *batch, p *plan, after, before schema.Row) (span, error) {
	if p.keyEnc == nil {
		return span{}, nil
	}
	v, err := e.keyOf(p, after, before)
	if err != nil {
		return span{}, err
	}
	from := len(b.out)
	if b.out, err = p.keyEnc.Append(b.out, v); err != nil {
		return span{}, fmt.Errorf("encode the key: %w", err)
	}
	return span{from, len(b.out), true}, nil
}

func (e *encoder) keyHeaderOf(p *plan, after, before schema.Row) ([]byte, error) {
	v, err := e.keyOf(p, after, before)
	if err != nil {
		return nil, err
	}
	text, err := p.keyHeader.Append(nil, v)
	if err != nil {
		return nil, fmt.Errorf("encode the key for a header: %w", err)
	}
	return text, nil
}

func (e *encoder) value(b *batch, p *plan, key span, ev *schema.Event, op schema.Op, before, after schema.Row, header *kgo.RecordHeader) error {
	e.envelope[fieldBefore] = rowValue(before)
	e.envelope[fieldAfter] = rowValue(after)
	if len(p.cells) > 0 || p.places != nil {
		e.text = e.text[:0]
		e.envelope[fieldBefore] = e.changed(&e.before, p, before)
		e.envelope[fieldAfter] = e.changed(&e.after, p, after)
	}
	e.envelope[fieldSource] = rowValue(ev.Source)
	e.envelope[fieldOp] = opValues[op]
	from := len(b.out)
	var err error
	if b.out, err = p.valueEnc.Append(b.out, schema.Seq(schema.KindStruct, e.envelope[:])); err != nil {
		return fmt.Errorf("encode the value: %w", err)
	}
	b.add(p.topic, key, span{from, len(b.out), true}, e.headers(header), ev.TimeMicros)
	return nil
}

// changed returns a row with the columns and values that the rules make of it, in
// memory that is used again for the next one.
func (e *encoder) changed(scratch *schema.Row, p *plan, row schema.Row) schema.Value {
	if row == nil {
		return schema.Value{}
	}
	*scratch = append((*scratch)[:0], row...)
	for i := range p.cells {
		c := &p.cells[i]
		(*scratch)[c.at] = c.apply(&e.text, row[c.at])
	}
	if p.places != nil {
		for to, from := range p.places {
			(*scratch)[to] = (*scratch)[from]
		}
		*scratch = (*scratch)[:len(p.places)]
	}
	return schema.Seq(schema.KindStruct, *scratch)
}

var opValues = func() (values [256]schema.Value) {
	for _, op := range []schema.Op{schema.OpRead, schema.OpCreate, schema.OpUpdate, schema.OpDelete, schema.OpTruncate, schema.OpMessage} {
		values[op] = schema.Text(string(rune(op)))
	}
	return values
}()

func rowValue(r schema.Row) schema.Value {
	if r == nil {
		return schema.Value{}
	}
	return schema.Seq(schema.KindStruct, r)
}

func (e *encoder) headers(first *kgo.RecordHeader) []kgo.RecordHeader {
	if first == nil {
		return e.Headers
	}
	return append([]kgo.RecordHeader{*first}, e.Headers...)
}

func (e *encoder) record(ctx context.Context, b *batch, r *schema.Record) error {
	p, err := e.recordPlan(ctx, r)
	if err != nil {
		return err
	}
	key, err := e.appendData(b, p.keyEnc, r.Key)
	if err != nil {
		return Permanent(fmt.Errorf("encode the key of a record for topic %s: %w", r.Topic, err))
	}
	value, err := e.appendData(b, p.valueEnc, r.Value)
	if err != nil {
		return Permanent(fmt.Errorf("encode the value of a record for topic %s: %w", r.Topic, err))
	}
	var headers []kgo.RecordHeader
	if r.Topic == e.Naming.Prefix {
		headers = e.Headers // of side topics, Debezium has them on schema changes only
	}
	for _, h := range r.RawHeaders {
		headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	b.add(r.Topic, key, value, headers, 1000*r.TimestampMillis)
	return nil
}

func (e *encoder) appendData(b *batch, enc converters.Encoder, d schema.Data) (span, error) {
	// Kafka Connect writes a null of no schema as a null key or value.
	if d.Value.IsNull() && d.Schema == nil {
		return span{}, nil
	}
	from := len(b.out)
	var err error
	b.out, err = enc.Append(b.out, d.Value)
	return span{from, len(b.out), true}, err
}
