package elasticsearch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
)

type opKind uint8

const (
	opSkip opKind = iota
	opIndex
	opCreate // a document of its own for each record; there already means done
	opUpdate // the fields that the record has
	opDelete
	opTruncate
)

// part is a piece of the builder's memory.
type part struct{ from, to int }

// op is one action of a bulk request.
type op struct {
	kind opKind
	// whole says that the effect does not depend on what is there.
	whole bool
	index int // of builder.indices
	// id is the _id as JSON; empty for one that Elasticsearch makes.
	id part
	// doc is the document.
	doc part
	// version is the external version; -1 for none.
	version int64
	// tries counts the races about the mapping that it lost.
	tries int
	// missing are the fields whose values are not in the log.
	missing []string
	// schema is that of the row; nil without.
	schema *schema.Schema
	// key tells records of the same document apart from others.
	key part
}

// builder turns records into actions. It is used by one Write at a time.
type builder struct {
	config  *config
	encoder encoder
	changes sinks.Changes
	indices []string
	byTopic map[string]topicPlan
	mem     []byte
}

// topicPlan is what a topic's name says about its records.
type topicPlan struct {
	index        int
	ignoreKey    bool
	ignoreSchema bool
}

func newBuilder(c *config) *builder {
	return &builder{config: c, encoder: encoder{typed: c.typed, compactMaps: c.compactMaps}, byTopic: map[string]topicPlan{}}
}

// keepMemory is how much of mem survives a Write.
const keepMemory = 16 << 20

func (b *builder) reset() {
	if cap(b.mem) > keepMemory {
		b.mem = nil
	}
	b.mem = b.mem[:0]
}

func (b *builder) bytes(p part) []byte { return b.mem[p.from:p.to:p.to] }

func (b *builder) topic(name string) topicPlan {
	t, ok := b.byTopic[name]
	if ok {
		return t
	}
	t = topicPlan{
		index:        b.index(b.config.indexOf(name)), // topics that share an index share its order
		ignoreKey:    b.config.keyIgnore || b.config.keyIgnored[name],
		ignoreSchema: b.config.schemaIgnore || b.config.ignored[name],
	}
	b.byTopic[name] = t
	return t
}

// index returns the number of an index.
func (b *builder) index(name string) int {
	at := slices.Index(b.indices, name)
	if at < 0 {
		at = len(b.indices)
		b.indices = append(b.indices, name)
	}
	return at
}

var (
	errNoKey = errors.New("the record has no key, so nobody can say which document it changes; give the table a primary key, " +
		"name columns for one in the source's message.key.columns, or set key.ignore=true for topics that only grow")
	errNull = errors.New("the record's value is null and behavior.on.null.values is fail; set it to delete or ignore")
)

// maxID is Elasticsearch's limit of an _id, in bytes.
const maxID = 512

// build makes a record's action. An error is the record's fault.
func (b *builder) build(r *schema.Record) (op, error) {
	t := b.topic(r.Topic)
	o := op{index: t.index, version: -1}
	c := b.changes.Read(r, b.config.unwrap)
	switch {
	case c.Tombstone && b.config.onNull == nullIgnore, c.Op == schema.OpMessage:
		return o, nil
	case c.Tombstone && b.config.onNull == nullFail:
		return o, errNull
	case c.Op == schema.OpTruncate:
		o.kind = opTruncate
		return o, b.setVersion(&o, r)
	case c.Op == schema.OpDelete && t.ignoreKey:
		// Each record is a document of its own: there is none to delete.
		return o, nil
	case c.Op == schema.OpDelete:
		o.kind, o.whole = opDelete, true
		if err := b.identify(&o, r, t); err != nil {
			return o, err
		}
		return o, b.setVersion(&o, r)
	case c.After.Value.IsNull():
		return o, fmt.Errorf("the change event of op %q has no row after the change", string(rune(c.Op)))
	}
	if err := b.identify(&o, r, t); err != nil {
		return o, err
	}
	from := len(b.mem)
	var err error
	if b.mem, o.missing, err = b.encoder.row(b.mem, c.After); err != nil {
		return o, err
	}
	o.doc = part{from, len(b.mem)}
	if !t.ignoreSchema && c.After.Value.Kind() == schema.KindStruct {
		o.schema = c.After.Schema
	}
	switch {
	case t.ignoreKey:
		o.kind, o.whole, o.missing = opCreate, true, nil
		return o, nil
	case b.config.upsert:
		o.kind, o.missing = opUpdate, nil
		return o, nil
	default:
		o.kind, o.whole = opIndex, len(o.missing) == 0
		return o, b.setVersion(&o, r)
	}
}

// identify appends the _id, and the key by which actions of the same document
// are put in order: the index and the _id.
func (b *builder) identify(o *op, r *schema.Record, t topicPlan) error {
	from := len(b.mem)
	b.appendIndex(o.index)
	id := len(b.mem)
	if t.ignoreKey {
		b.mem = append(b.mem, '"')
		b.mem = append(b.mem, r.Topic...)
		b.mem = append(b.mem, '+')
		b.mem = strconv.AppendInt(b.mem, int64(r.Partition), 10)
		b.mem = append(b.mem, '+')
		b.mem = strconv.AppendInt(b.mem, r.Offset, 10)
		b.mem = append(b.mem, '"')
		if !b.config.autoIDs {
			o.id = part{id, len(b.mem)}
		}
		o.key = part{from, len(b.mem)}
		return nil
	}
	n, err := b.appendID(r.Key)
	if err != nil {
		return err
	}
	if n > maxID {
		return fmt.Errorf("the record's key makes an _id of %d bytes; Elasticsearch takes at most %d", n, maxID)
	}
	o.id, o.key = part{id, len(b.mem)}, part{from, len(b.mem)}
	return nil
}

// appendIndex appends an index's number, which begins a key.
func (b *builder) appendIndex(index int) {
	b.mem = append(b.mem, byte(index), byte(index>>8), byte(index>>16))
}

// deleteHit makes the action that deletes a document that was found.
func (b *builder) deleteHit(index, id string, version int64) op {
	o := op{kind: opDelete, whole: true, index: b.index(index), version: version}
	from := len(b.mem)
	b.appendIndex(o.index)
	o.id.from = len(b.mem)
	b.mem = appendString(b.mem, id)
	o.id.to = len(b.mem)
	o.key = part{from, len(b.mem)}
	return o
}

// appendID appends a key as an _id in JSON and returns how many bytes the _id
// has: the text of a key's only value, otherwise its values as a JSON array,
// which no two keys have in common.
func (b *builder) appendID(key schema.Data) (int, error) {
	v, p := key.Value, b.encoder.planOf(key.Schema)
	switch elems := v.Elems(); v.Kind() {
	case schema.KindNull:
		return 0, errNoKey
	case schema.KindStruct:
		if len(elems) == 1 {
			return b.appendScalarID(p.fields[0].plan, elems[0])
		}
		return b.appendTuple(elems, 1)
	case schema.KindMap:
		if len(elems) == 2 {
			return b.appendScalarID(schemaless, elems[1])
		}
		// The names come with the values, in the order of the topic's JSON.
		return b.appendTuple(elems, 2)
	case schema.KindArray:
		return b.appendTuple(elems, 1)
	default:
		return b.appendScalarID(p, v)
	}
}

func (b *builder) appendScalarID(p *valuePlan, v schema.Value) (int, error) {
	from := len(b.mem)
	switch v.Kind() {
	case schema.KindNull, schema.KindAbsent:
		return 0, errNoKey
	case schema.KindString:
		if len(v.Bytes()) == 0 {
			// Tables may have an empty key, Elasticsearch has no empty _id:
			// it is written as a key of several columns would be.
			b.mem = append(b.mem, `"[\"\"]"`...)
			return len(`[""]`), nil
		}
		b.mem = appendString(b.mem, v.Bytes())
		return len(v.Bytes()), nil
	case schema.KindStruct, schema.KindMap, schema.KindArray:
		var text []byte
		var err error
		if text, err = b.encoder.value(nil, p, v); err != nil {
			return 0, err
		}
		b.mem = appendString(b.mem, text)
		return len(text), nil
	case schema.KindBytes:
		var err error
		b.mem, err = b.encoder.value(b.mem, p, v)
		return len(b.mem) - from - 2, err
	default:
		// Numbers, without a date's conversion: what the key is in the topic.
		b.mem = append(b.mem, '"')
		var err error
		if b.mem, err = b.encoder.value(b.mem, schemaless, v); err != nil {
			return 0, err
		}
		b.mem = append(b.mem, '"')
		return len(b.mem) - from - 2, nil
	}
}

// appendTuple appends every step-th element, from the last of the first step
// on, as a string that holds a JSON array.
func (b *builder) appendTuple(elems []schema.Value, step int) (int, error) {
	text := []byte{'['}
	var err error
	for i := step - 1; i < len(elems); i += step {
		if len(text) > 1 {
			text = append(text, ',')
		}
		if text, err = b.encoder.value(text, schemaless, elems[i]); err != nil {
			return 0, err
		}
	}
	text = append(text, ']')
	b.mem = appendString(b.mem, text)
	return len(text), nil
}

// setVersion sets the external version.
func (b *builder) setVersion(o *op, r *schema.Record) error {
	switch {
	case b.config.upsert:
		// Updates count versions by themselves, so an external one would not
		// compare.
	case b.config.versionHeader == "":
		o.version = r.Offset
	default:
		for i := len(r.RawHeaders) - 1; i >= 0; i-- {
			h := &r.RawHeaders[i]
			if h.Key != b.config.versionHeader {
				continue
			}
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("header %s holds %q, which is not a version: external.version.header asks for a number that is not negative", h.Key, h.Value)
			}
			o.version = n
			return nil
		}
		return fmt.Errorf("the record has no header %s, which external.version.header asks for", b.config.versionHeader)
	}
	return nil
}

// appendAction appends an op's lines of a bulk request.
func (b *builder) appendAction(dst []byte, o *op) []byte {
	names := [...]string{opIndex: "index", opCreate: "create", opUpdate: "update", opDelete: "delete"}
	dst = append(dst, `{"`...)
	dst = append(dst, names[o.kind]...)
	dst = append(dst, `":{"_index":`...)
	dst = appendString(dst, b.indices[o.index])
	if o.id.to > o.id.from {
		dst = append(dst, `,"_id":`...)
		dst = append(dst, b.bytes(o.id)...)
	}
	if o.version >= 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, o.version, 10)
		dst = append(dst, `,"version_type":"external"`...)
	}
	if o.kind == opUpdate {
		dst = append(dst, `,"retry_on_conflict":3`...)
	}
	dst = append(dst, "}}\n"...)
	switch o.kind {
	case opUpdate:
		dst = append(dst, `{"doc":`...)
		dst = append(dst, b.bytes(o.doc)...)
		dst = append(dst, `,"doc_as_upsert":true}`...)
	case opDelete:
		return dst
	default:
		dst = append(dst, b.bytes(o.doc)...)
	}
	return append(dst, '\n')
}
