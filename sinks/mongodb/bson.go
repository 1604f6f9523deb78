package mongodb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// The BSON types that are written.
const (
	typeDouble   = 0x01
	typeString   = 0x02
	typeDocument = 0x03
	typeArray    = 0x04
	typeBinary   = 0x05
	typeBool     = 0x08
	typeDateTime = 0x09
	typeNull     = 0x0a
	typeInt32    = 0x10
	typeInt64    = 0x12
	typeDecimal  = 0x13
	typeObjectID = 0x07
)

// appendName appends the head of an element. Names must not hold a zero byte;
// the callers have looked.
func appendName(dst []byte, kind byte, name string) []byte {
	dst = append(dst, kind)
	dst = append(dst, name...)
	return append(dst, 0)
}

// appendIndex appends the head of an array's element.
func appendIndex(dst []byte, kind byte, index int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(index), 10)
	return append(dst, 0)
}

// begin begins a document or array; end, given what begin returned, ends it.
func begin(dst []byte) ([]byte, int) { return append(dst, 0, 0, 0, 0), len(dst) }

func end(dst []byte, at int) []byte {
	dst = append(dst, 0)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

func appendInt32(dst []byte, v int32) []byte {
	return binary.LittleEndian.AppendUint32(dst, uint32(v))
}

func appendInt64(dst []byte, v int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendString[T string | []byte](dst []byte, v T) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)+1))
	dst = append(dst, v...)
	return append(dst, 0)
}

func appendBinary(dst, v []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)))
	dst = append(dst, 0) // generic
	return append(dst, v...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
