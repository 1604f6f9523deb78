package mongodb

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

type command uint8

const (
	commandUpdate command = iota
	commandInsert
	commandDelete
)

func commandOf(k opKind) command {
	switch k {
	case opInsert:
		return commandInsert
	case opDelete:
		return commandDelete
	default:
		return commandUpdate
	}
}

var emptyDocument = []byte{5, 0, 0, 0, 0}

// appendCommand appends the write command of the ops at the given places, all
// of one collection and one command.
func appendCommand(dst []byte, b *builder, collection string, all []op, at []int32, ordered bool, wc *writeconcern.WriteConcern) []byte {
	names := [...][2]string{commandUpdate: {"update", "updates"}, commandInsert: {"insert", "documents"}, commandDelete: {"delete", "deletes"}}
	kind := commandOf(all[at[0]].kind)
	dst, from := begin(dst)
	dst = appendString(appendName(dst, typeString, names[kind][0]), collection)
	dst = appendBool(appendName(dst, typeBool, "ordered"), ordered)
	if wc != nil && (wc.W != nil || wc.Journal != nil) {
		dst = appendWriteConcern(dst, wc)
	}
	dst, list := begin(appendName(dst, typeArray, names[kind][1]))
	for i, place := range at {
		o := &all[place]
		dst = appendIndex(dst, typeDocument, i)
		switch kind {
		case commandInsert:
			dst = append(dst, b.bytes(o.doc)...)
		case commandDelete:
			dst = appendDelete(dst, b, o)
		case commandUpdate:
			dst = appendUpdate(dst, b, o)
		}
	}
	dst = end(dst, list)
	return end(dst, from)
}

func appendDelete(dst []byte, b *builder, o *op) []byte {
	dst, from := begin(dst)
	dst = append(appendName(dst, typeDocument, "q"), b.bytes(o.filter)...)
	dst = appendInt32(appendName(dst, typeInt32, "limit"), 1)
	return end(dst, from)
}

func appendUpdate(dst []byte, b *builder, o *op) []byte {
	dst, from := begin(dst)
	dst = append(appendName(dst, typeDocument, "q"), b.bytes(o.filter)...)
	switch o.kind {
	case opSet:
		dst = appendSet(dst, b, o)
	case opMerge:
		dst = appendMerge(dst, b, o)
	default:
		dst = append(appendName(dst, typeDocument, "u"), b.bytes(o.doc)...)
	}
	dst = appendBool(appendName(dst, typeBool, "upsert"), true)
	return end(dst, from)
}

// appendSet appends an update that sets the document's fields. The document
// begins with _id, which is in the filter and may not be set.
func appendSet(dst []byte, b *builder, o *op) []byte {
	dst, u := begin(appendName(dst, typeDocument, "u"))
	dst, set := begin(appendName(dst, typeDocument, "$set"))
	dst = append(dst, b.fieldsOf(o)...)
	if b.config.write == writeSetTimes {
		now := b.now().UnixMilli()
		dst = appendInt64(appendName(dst, typeDateTime, "_modifiedTS"), now)
		dst = end(dst, set)
		dst, set = begin(appendName(dst, typeDocument, "$setOnInsert"))
		dst = appendInt64(appendName(dst, typeDateTime, "_insertedTS"), now)
	}
	dst = end(dst, set)
	return end(dst, u)
}

// appendMerge appends the same as a pipeline: $mergeObjects takes every name
// for what it is, where $set takes "a.b" for a path.
func appendMerge(dst []byte, b *builder, o *op) []byte {
	dst, u := begin(appendName(dst, typeArray, "u"))
	dst, stage := begin(appendIndex(dst, typeDocument, 0))
	dst, replace := begin(appendName(dst, typeDocument, "$replaceWith"))
	dst, merge := begin(appendName(dst, typeArray, "$mergeObjects"))
	dst = appendString(appendIndex(dst, typeString, 0), "$$ROOT")
	dst, literal := begin(appendIndex(dst, typeDocument, 1))
	dst, fields := begin(appendName(dst, typeDocument, "$literal"))
	dst = append(dst, b.fieldsOf(o)...)
	dst = end(dst, fields)
	dst = end(dst, literal)
	dst = end(dst, merge)
	dst = end(dst, replace)
	dst = end(dst, stage)
	return end(dst, u)
}

// fieldsOf returns the elements of an op's document without its _id.
func (b *builder) fieldsOf(o *op) []byte {
	doc := b.bytes(o.doc)
	from := 4
	if !b.config.business {
		// The filter is nothing but the _id.
		from += o.filter.to - o.filter.from - 5
	}
	return doc[from : len(doc)-1]
}

func appendWriteConcern(dst []byte, wc *writeconcern.WriteConcern) []byte {
	dst, at := begin(appendName(dst, typeDocument, "writeConcern"))
	switch w := wc.W.(type) {
	case int:
		// w=0 is no answer at all, and nobody would know what was applied.
		dst = appendInt32(appendName(dst, typeInt32, "w"), int32(max(w, 1)))
	case string:
		dst = appendString(appendName(dst, typeString, "w"), w)
	}
	if wc.Journal != nil {
		dst = appendBool(appendName(dst, typeBool, "j"), *wc.Journal)
	}
	dst = appendInt64(appendName(dst, typeInt64, "wtimeout"), (30 * time.Second).Milliseconds())
	return end(dst, at)
}
