package capture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/penstock/penstock/schema"
)

// The shapes of a transaction's begin and end, and of its part in an event
// (io.debezium.pipeline.txmetadata, io.debezium.schema.SchemaFactory).
var (
	transactionKey = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.common.TransactionMetadataKey", Version: 1,
		Fields: []schema.Field{{Name: "id", Schema: requiredString}},
	}
	transactionValue = &schema.Schema{
		Type: schema.TypeStruct, Name: "io.debezium.connector.common.TransactionMetadataValue", Version: 1,
		Fields: []schema.Field{
			{Name: "status", Schema: requiredString},
			{Name: "id", Schema: requiredString},
			{Name: "event_count", Schema: optionalInt64},
			{Name: "data_collections", Schema: &schema.Schema{Type: schema.TypeArray, Optional: true, Elem: &schema.Schema{
				Type: schema.TypeStruct, Optional: true, Name: "event.collection", Version: 1,
				Fields: []schema.Field{{Name: "data_collection", Schema: requiredString}, {Name: "event_count", Schema: requiredInt64}},
			}}},
			{Name: "ts_ms", Schema: requiredInt64},
		},
	}

	requiredString = &schema.Schema{Type: schema.TypeString}
	requiredInt64  = &schema.Schema{Type: schema.TypeInt64}
)

// TransactionBlock is the schema of an event's transaction metadata: its id,
// its place among the transaction's events, and that among those of its table.
// An [schema.Event.Transaction] has these fields; capture fills in the last
// two.
var TransactionBlock = &schema.Schema{
	Type: schema.TypeStruct, Optional: true, Name: "event.block", Version: 1,
	Fields: []schema.Field{
		{Name: "id", Schema: requiredString},
		{Name: "total_order", Schema: requiredInt64},
		{Name: "data_collection_order", Schema: requiredInt64},
	},
}

// The fields of a TransactionBlock.
const (
	blockID = iota
	blockTotal
	blockOrder
	blockFields
)

// NewTransactionBlock returns the block of an event of the transaction with
// this id.
func NewTransactionBlock(a *schema.Arena, id []byte) schema.Row {
	row := a.Row(blockFields)
	row[blockID] = schema.String(id)
	return row
}

// countPrefix is what the fields of an offset begin with that say how many
// events a table has had in the transaction that the offset is inside of.
const countPrefix = "transaction_data_collection_order_"

// counter gives the events of transactions their numbers, and makes the
// records of their begin and end. It belongs to the goroutine that reads,
// since it needs the order of the log.
type counter struct {
	shaper *shaper
	topic  string
	known  map[*schema.Table]knownTable

	total  int64
	counts []tableCount   // in the order of their first events
	byName map[string]int // places in counts
	// capacity is that of the hash table in which Debezium counts, and which
	// it keeps for all transactions: the order of its entries shows.
	capacity int
}

// knownTable is what the counter needs to know of a table.
type knownTable struct {
	name  string
	rules *tableRules
}

type tableCount struct {
	name string
	n    int64
}

// newCounter goes on where an offset has stopped.
func newCounter(s *shaper, topic string, from schema.Position) (*counter, error) {
	c := &counter{shaper: s, topic: topic, known: map[*schema.Table]knownTable{}, byName: map[string]int{}, capacity: 16}
	if from == nil {
		return c, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(from, &fields); err != nil {
		return nil, Permanent(fmt.Errorf("read the stored offset %s: %w", from, err))
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		name, ours := strings.CutPrefix(key, countPrefix)
		if !ours {
			continue
		}
		n, err := strconv.ParseInt(string(fields[key]), 10, 64)
		if err != nil {
			return nil, Permanent(fmt.Errorf("read the stored offset %s: %s: %w", from, key, err))
		}
		c.table(name).n = n
		c.total += n
	}
	return c, nil
}

// table returns the count of a table, valid until that of another is asked for.
func (c *counter) table(name string) *tableCount {
	at, ok := c.byName[name]
	if !ok {
		at = len(c.counts)
		c.counts = append(c.counts, tableCount{name: name})
		c.byName[name] = at
	}
	return &c.counts[at]
}

func (c *counter) reset() {
	c.total = 0
	c.counts = c.counts[:0]
	clear(c.byName)
}

// number gives the events of a batch their numbers.
func (c *counter) number(b *schema.Batch) error {
	for i := range b.Events {
		ev := &b.Events[i]
		switch {
		case ev.Op == schema.OpBegin:
			c.reset()
			c.bound(b, ev, "BEGIN")
		case ev.Op == schema.OpEnd:
			c.bound(b, ev, "END")
			c.reset()
		case ev.Transaction != nil:
			if err := c.count(ev); err != nil {
				return err
			}
		}
	}
	if b.Inside && b.End != nil {
		b.End = c.position(b.End)
	}
	return nil
}

// count numbers one event, which may make no record, or two.
func (c *counter) count(ev *schema.Event) error {
	name, n := "LOGICAL_DECODING_MESSAGE", int64(1) // the only ones without a table
	if ev.Table != nil {
		k, ok := c.known[ev.Table]
		if !ok {
			rules, err := c.shaper.rules(ev.Table)
			if err != nil {
				return err
			}
			k = knownTable{ev.Table.Path(), rules}
			c.known[ev.Table] = k
		}
		name, n = k.name, c.shaper.records(c.shaper.effect(k.rules, ev))
	}
	if n == 0 {
		return nil
	}
	t := c.table(name)
	ev.Transaction[blockTotal] = schema.Int(c.total + 1)
	ev.Transaction[blockOrder] = schema.Int(t.n + 1)
	c.total += n
	t.n += n
	return nil
}

// bound turns the begin or end of a transaction into its record.
func (c *counter) bound(b *schema.Batch, ev *schema.Event, status string) {
	id := ev.Transaction[blockID]
	key, value := b.Row(1), b.Row(len(transactionValue.Fields))
	key[0] = id
	value[0], value[1] = schema.Text(status), id
	if ev.Op == schema.OpEnd {
		value[2], value[3] = schema.Int(c.total), schema.Seq(schema.KindArray, c.list(b))
	}
	value[4] = schema.Int(floorDiv(ev.TimeMicros, 1000))
	ev.Op = schema.OpRecord
	ev.Record = &schema.Record{
		Topic: c.topic,
		Key:   schema.Data{Schema: transactionKey, Value: schema.Seq(schema.KindStruct, key)},
		Value: schema.Data{Schema: transactionValue, Value: schema.Seq(schema.KindStruct, value)},
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// list returns the counts of all tables in the order of a Java HashMap, which
// is the order that Debezium writes them in.
func (c *counter) list(b *schema.Batch) schema.Row {
	for len(c.counts) > c.capacity/4*3 {
		c.capacity *= 2
	}
	slices.SortStableFunc(c.counts, func(x, y tableCount) int {
		return cmp.Compare(javaBucket(x.name, c.capacity), javaBucket(y.name, c.capacity))
	})
	list := b.Row(len(c.counts))
	for i, t := range c.counts {
		row := b.Row(2)
		row[0], row[1] = schema.Text(t.name), schema.Int(t.n)
		list[i] = schema.Seq(schema.KindStruct, row)
	}
	return list
}

// javaBucket is where java.util.HashMap puts a text (String.hashCode, HashMap.hash).
func javaBucket(s string, capacity int) int {
	var h uint32
	for _, r := range s {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			h = 31*(31*h+uint32(high)) + uint32(low)
			continue
		}
		h = 31*h + uint32(r)
	}
	return int((h ^ h>>16) & uint32(capacity-1))
}

// position adds the counts to a position inside a transaction, by which a
// restart goes on numbering.
func (c *counter) position(p schema.Position) schema.Position {
	out := append(make(schema.Position, 0, len(p)+64*len(c.counts)), p[:len(p)-1]...)
	for _, t := range c.counts {
		key, err := json.Marshal(countPrefix + t.name)
		if err != nil {
			panic("capture: a string does not marshal: " + err.Error())
		}
		out = append(append(append(out, ','), key...), ':')
		out = strconv.AppendInt(out, t.n, 10)
	}
	return append(out, '}')
}
