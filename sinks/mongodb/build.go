package mongodb

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxDocument is MongoDB's limit of a document (maxBsonObjectSize).
const maxDocument = 16 << 20

type opKind uint8

const (
	opSkip opKind = iota
	opReplace
	opInsert // becomes opReplace when the _id is there already, unless strict
	opSet    // $set of some fields
	opMerge  // the same by a pipeline, for names that $set takes for paths
	opDelete
	opTruncate
)

// part is a piece of the builder's memory.
type part struct{ from, to int }

// op is one write. Its parts are BSON documents.
type op struct {
	kind opKind
	// strict says that an insert must not become a replace.
	strict bool
	// whole says that the effect does not depend on what is there.
	whole bool
	ns    int // index of builder.namespaces
	// filter finds the document; doc is the document, or what is set.
	filter, doc part
	// key tells records of the same document apart from others.
	key part
}

// builder turns records into writes. It is used by one Write at a time.
type builder struct {
	config     *config
	encoder    encoder
	changes    sinks.Changes
	namespaces []namespace
	byTopic    map[string]int
	// mem holds the parts of the Write's ops.
	mem []byte
	now func() time.Time
	// keyNames are the names of the key's fields, for dropKeys.
	keySchema *schema.Schema
	keyNames  map[string]bool
}

func newBuilder(c *config) *builder {
	return &builder{config: c, encoder: encoder{typed: c.typed}, byTopic: map[string]int{}, now: time.Now}
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

func (b *builder) namespace(topic string) int {
	at, ok := b.byTopic[topic]
	if !ok {
		n := b.config.namespaceOf(topic)
		at = -1
		for i := range b.namespaces {
			if b.namespaces[i] == n {
				at = i // topics that share a collection share its order
			}
		}
		if at < 0 {
			at = len(b.namespaces)
			b.namespaces = append(b.namespaces, n)
		}
		b.byTopic[topic] = at
	}
	return at
}

// errNoKey says that nothing tells which document a record is about.
var errNoKey = errors.New("the record has no key, so nobody can say which document it changes; " +
	"give the table a primary key, or name columns for one in the source's message.key.columns")

// build makes a record's write. An error is the record's fault.
func (b *builder) build(r *schema.Record) (op, error) {
	o := op{ns: b.namespace(r.Topic)}
	c := b.changes.Read(r, b.config.unwrap)
	switch {
	case c.Tombstone && (b.config.skipTombstones || !b.config.deleteOnNull):
		return o, nil
	case c.Op == schema.OpDelete:
		return b.delete(o, r, c.Before)
	case c.Op == schema.OpTruncate:
		o.kind = opTruncate
		return o, nil
	case c.Op == schema.OpMessage:
		return o, nil
	case c.After.Value.IsNull():
		return o, fmt.Errorf("the change event of op %q has no row after the change", string(rune(c.Op)))
	case b.config.write == writeDelete:
		return b.delete(o, r, c.After)
	default:
		return b.upsert(o, r, &c)
	}
}

func (b *builder) delete(o op, r *schema.Record, row schema.Data) (op, error) {
	if b.config.id == idOID || b.config.id == idUUID || b.config.id == idMetadata || r.Key.Value.IsNull() && row.Value.IsNull() {
		return o, errNoKey
	}
	if (b.config.id == idFromKey || b.config.id == idFullKey) && r.Key.Value.IsNull() {
		return o, errNoKey
	}
	o.kind, o.whole = opDelete, true
	return o, b.filter(&o, r, row, part{})
}

func (b *builder) upsert(o op, r *schema.Record, c *sinks.Change) (op, error) {
	row := c.After
	if r.Key.Value.IsNull() && c.Envelope && c.Op == schema.OpUpdate && (b.config.id == idFromKey || b.config.id == idFullKey) {
		return o, errNoKey
	}
	// The document is written behind its _id, which comes first in it.
	from := len(b.mem)
	var at int
	b.mem, at = begin(b.mem)
	id, err := b.appendID(r, row)
	if err != nil {
		return o, err
	}
	if b.config.business {
		b.mem = b.mem[:from]
		b.mem, at = begin(b.mem)
	}
	partial, awkward, err := b.appendRow(r, row, c.Envelope)
	if err != nil {
		return o, err
	}
	b.mem = end(b.mem, at)
	o.doc = part{from, len(b.mem)}
	if n := o.doc.to - o.doc.from; n > maxDocument {
		b.mem = b.mem[:from]
		return o, fmt.Errorf("the document has %d bytes; MongoDB takes at most %d", n, maxDocument)
	}
	if err := b.filter(&o, r, row, part{from: o.doc.from, to: id}); err != nil {
		return o, err
	}
	switch {
	case partial || b.config.write == writeSet || b.config.write == writeSetTimes:
		// Fields that are not in the record stay as they are, so the record
		// has to follow those before it.
		o.kind = opSet
		if awkward && b.config.write != writeSetTimes {
			o.kind = opMerge
		}
	case b.config.write == writeInsert:
		o.kind, o.strict = opInsert, true
	case c.Envelope && (c.Op == schema.OpRead || c.Op == schema.OpCreate) && !b.config.business && b.config.id != idOID:
		// New rows are mostly not there yet, and an insert costs MongoDB a
		// third of what an upsert costs it.
		o.kind, o.whole = opInsert, true
	default:
		o.kind, o.whole = opReplace, true
	}
	return o, nil
}

// filter makes the document that finds the record's document, and the key by
// which writes of the same document are put in order. doc is what has been
// made of the document so far: its beginning with the _id.
func (b *builder) filter(o *op, r *schema.Record, row schema.Data, doc part) error {
	from := len(b.mem)
	if b.config.business {
		var at int
		b.mem, at = begin(b.mem)
		data := r.Key
		if b.config.id == idPartialValue {
			data = row
		}
		if err := b.appendFields(data, &b.config.idFields, nil); err != nil {
			return err
		}
		b.mem = end(b.mem, at)
	} else {
		var at int
		b.mem, at = begin(b.mem)
		if doc.to > doc.from {
			b.mem = append(b.mem, b.mem[doc.from+4:doc.to]...)
		} else if _, err := b.appendID(r, row); err != nil {
			return err
		}
		b.mem = end(b.mem, at)
	}
	o.filter = part{from, len(b.mem)}
	o.key = b.orderKey(o)
	return nil
}

// orderKey makes the key of sinks.Rounds: the collection and the filter, with
// an integer in one form, because to MongoDB 1 is 1 whatever its type.
func (b *builder) orderKey(o *op) part {
	from := len(b.mem)
	b.mem = binary.LittleEndian.AppendUint32(b.mem, uint32(o.ns))
	f := b.bytes(o.filter)
	// 4 length, 1 type, "_id\0", value, 0
	if len(f) == 4+1+4+4+1 && f[4] == typeInt32 {
		b.mem = append(b.mem, typeInt64)
		b.mem = appendInt64(b.mem, int64(int32(binary.LittleEndian.Uint32(f[9:]))))
	} else if len(f) == 4+1+4+8+1 && f[4] == typeInt64 {
		b.mem = append(b.mem, typeInt64)
		b.mem = append(b.mem, f[9:17]...)
	} else {
		b.mem = append(b.mem, f...)
	}
	return part{from, len(b.mem)}
}

const fieldID = "_id"

// appendID appends the element _id and returns where it ends.
func (b *builder) appendID(r *schema.Record, row schema.Data) (int, error) {
	var err error
	switch b.config.id {
	case idFromKey:
		err = b.appendKeyID(r, true)
	case idFullKey:
		err = b.appendKeyID(r, false)
	case idOID:
		if !b.config.overwriteID {
			if done, err := b.appendOwnID(row); done || err != nil {
				return len(b.mem), err
			}
		}
		oid := bson.NewObjectID()
		b.mem = appendName(b.mem, typeObjectID, fieldID)
		b.mem = append(b.mem, oid[:]...)
	case idUUID:
		if !b.config.overwriteID {
			if done, err := b.appendOwnID(row); done || err != nil {
				return len(b.mem), err
			}
		}
		b.mem = appendName(b.mem, typeString, fieldID)
		b.mem = appendString(b.mem, newUUID())
	case idMetadata:
		b.mem = appendName(b.mem, typeString, fieldID)
		b.mem = appendString(b.mem, r.Topic+"#"+strconv.Itoa(int(r.Partition))+"#"+strconv.FormatInt(r.Offset, 10))
	case idPartialKey, idPartialValue:
		data := r.Key
		if b.config.id == idPartialValue {
			data = row
		}
		var at int
		b.mem = appendName(b.mem, typeDocument, fieldID)
		b.mem, at = begin(b.mem)
		if err = b.appendFields(data, &b.config.idFields, nil); err == nil {
			b.mem = end(b.mem, at)
		}
	case idInKey, idInValue:
		data, what := r.Key, "key"
		if b.config.id == idInValue {
			data, what = row, "value"
		}
		var done bool
		if done, err = b.appendOwnID(data); err == nil && !done {
			err = fmt.Errorf("the record's %s has no field _id, which document.id.strategy asks for", what)
		}
	}
	return len(b.mem), err
}

// appendKeyID appends the _id that a key gives.
func (b *builder) appendKeyID(r *schema.Record, unpack bool) (err error) {
	key := r.Key
	if key.Value.IsNull() {
		// There is no key to find the document by later, but the record must
		// not become two documents when it is read twice.
		var at int
		b.mem = appendName(b.mem, typeDocument, fieldID)
		b.mem, at = begin(b.mem)
		b.mem = appendString(appendName(b.mem, typeString, "topic"), r.Topic)
		b.mem = appendInt32(appendName(b.mem, typeInt32, "partition"), r.Partition)
		b.mem = appendInt64(appendName(b.mem, typeInt64, "offset"), r.Offset)
		b.mem = end(b.mem, at)
		return nil
	}
	plan, v := b.encoder.planOf(key.Schema), key.Value
	switch elems := v.Elems(); {
	case v.Kind() == schema.KindStruct && unpack && len(elems) == 1:
		plan, v = plan.fields[0].plan, elems[0]
	case v.Kind() == schema.KindMap && unpack && len(elems) == 2:
		if plan.elem != nil {
			plan = plan.elem
		} else {
			plan = schemaless
		}
		v = elems[1]
	}
	if v.Kind() == schema.KindArray {
		return errors.New("the record's key is an array, which MongoDB does not take for an _id")
	}
	b.mem, err = b.encoder.element(b.mem, fieldID, plan, v)
	return err
}

// appendOwnID appends the data's own field _id, if there is one.
func (b *builder) appendOwnID(data schema.Data) (done bool, err error) {
	if data.Value.IsNull() {
		return false, nil
	}
	err = b.encoder.eachField(data, func(name string, p *valuePlan, v schema.Value) error {
		if name != fieldID || done {
			return nil
		}
		done = true
		var err error
		b.mem, err = b.encoder.element(b.mem, fieldID, p, v)
		return err
	})
	return done, err
}

func (b *builder) appendFields(data schema.Data, pick *projection, skip map[string]bool) error {
	if data.Value.IsNull() {
		return errNoKey
	}
	return b.encoder.eachField(data, func(name string, p *valuePlan, v schema.Value) error {
		if !pick.keeps(name) || skip[name] {
			return nil
		}
		var err error
		b.mem, err = b.encoder.element(b.mem, name, p, v)
		return err
	})
}

// appendRow appends the row's fields. partial says that one is not in the log,
// awkward that a name means something else in an update.
func (b *builder) appendRow(r *schema.Record, row schema.Data, envelope bool) (partial, awkward bool, err error) {
	var skip map[string]bool
	if b.config.dropKeys && envelope {
		skip = b.namesOfKey(r.Key)
	}
	pick := &b.config.fields
	// The common case without a closure or a look at projections.
	if row.Value.Kind() == schema.KindStruct && pick.kind == projectAll && skip == nil {
		elems := row.Value.Elems()
		plan := b.encoder.planOf(row.Schema)
		for i := range plan.fields {
			f := &plan.fields[i]
			v := elems[f.index]
			if f.name == fieldID {
				continue
			}
			if sinks.IsUnavailable(v) {
				partial = true
				continue
			}
			awkward = awkward || isAwkward(f.name)
			if b.mem, err = b.encoder.element(b.mem, f.name, f.plan, v); err != nil {
				return partial, awkward, err
			}
		}
		return partial, awkward, nil
	}
	err = b.encoder.eachField(row, func(name string, p *valuePlan, v schema.Value) (err error) {
		switch {
		case name == fieldID || skip[name] || !pick.keeps(name):
			return nil
		case sinks.IsUnavailable(v):
			partial = true
			return nil
		}
		awkward = awkward || isAwkward(name)
		b.mem, err = b.encoder.element(b.mem, name, p, v)
		return err
	})
	return partial, awkward, err
}

// isAwkward reports whether $set would not take a name for just that.
func isAwkward(name string) bool {
	return name == "" || name[0] == '$' || strings.IndexByte(name, '.') >= 0
}

func (b *builder) namesOfKey(key schema.Data) map[string]bool {
	if key.Schema != nil && key.Schema == b.keySchema {
		return b.keyNames
	}
	names := map[string]bool{}
	if k := key.Value.Kind(); k == schema.KindStruct || k == schema.KindMap {
		// A name that cannot be read is not in the row either.
		_ = b.encoder.eachField(key, func(name string, _ *valuePlan, _ schema.Value) error {
			names[name] = true
			return nil
		})
	}
	b.keySchema, b.keyNames = key.Schema, names
	return names
}

// newUUID returns a random UUID (version 4).
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
