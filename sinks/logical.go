package sinks

import (
	"strconv"
	"time"

	"github.com/penstock/penstock/schema"
)

// Logical is what a schema means beyond its data type, as far as destinations
// have a type of their own for it.
type Logical uint8

// The logical types.
const (
	LogicalNone    Logical = iota
	LogicalDecimal         // KindDecimal
	// LogicalVariableDecimal is a struct of scale and unscaled bytes.
	LogicalVariableDecimal
	LogicalDate            // days since 1970
	LogicalTimeMillis      // since midnight
	LogicalTimeMicros      // since midnight
	LogicalTimeNanos       // since midnight
	LogicalTimestampMillis // since 1970
	LogicalTimestampMicros // since 1970
	LogicalTimestampNanos  // since 1970
	LogicalZonedTimestamp  // ISO-8601 text
	LogicalJSON
	LogicalUUID
	LogicalEnum
)

var logicalNames = map[string]Logical{
	schema.NameDecimal:                LogicalDecimal,
	schema.NameDebeziumVariableScale:  LogicalVariableDecimal,
	schema.NameDate:                   LogicalDate,
	schema.NameDebeziumDate:           LogicalDate,
	schema.NameTime:                   LogicalTimeMillis,
	schema.NameDebeziumTime:           LogicalTimeMillis,
	schema.NameDebeziumMicroTime:      LogicalTimeMicros,
	schema.NameDebeziumNanoTime:       LogicalTimeNanos,
	schema.NameTimestamp:              LogicalTimestampMillis,
	schema.NameDebeziumTimestamp:      LogicalTimestampMillis,
	schema.NameDebeziumMicroTimestamp: LogicalTimestampMicros,
	schema.NameDebeziumNanoTimestamp:  LogicalTimestampNanos,
	schema.NameDebeziumZonedTimestamp: LogicalZonedTimestamp,
	schema.NameDebeziumJSON:           LogicalJSON,
	schema.NameDebeziumUUID:           LogicalUUID,
	schema.NameDebeziumEnum:           LogicalEnum,
}

// LogicalOf returns a schema's logical type. nil is schemaless.
func LogicalOf(s *schema.Schema) Logical {
	if s == nil || s.Name == "" {
		return LogicalNone
	}
	return logicalNames[s.Name]
}

// Timestamp returns a value of one of the timestamp or date types as a time
// in UTC.
func (l Logical) Timestamp(n int64) time.Time {
	switch l {
	case LogicalDate:
		return time.Unix(n*86400, 0).UTC()
	case LogicalTimestampMillis:
		return time.UnixMilli(n).UTC()
	case LogicalTimestampNanos:
		return time.Unix(0, n).UTC()
	default:
		return time.UnixMicro(n).UTC()
	}
}

// AppendTime appends a value of one of the types that are a time of day as
// hh:mm:ss, with a fraction if there is one. Values beyond a day, which MySQL
// has, get as many hours as it takes, and a minus sign if they are negative.
func (l Logical) AppendTime(dst []byte, n int64) []byte {
	digits, unit := 6, int64(1e6)
	switch l {
	case LogicalTimeMillis:
		digits, unit = 3, 1e3
	case LogicalTimeNanos:
		digits, unit = 9, 1e9
	default:
	}
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	seconds, fraction := n/unit, n%unit
	dst = appendPadded(dst, seconds/3600, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds/60%60, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds%60, 2)
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = appendPadded(dst, fraction, digits)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var buf [20]byte
	text := strconv.AppendInt(buf[:0], n, 10)
	for i := len(text); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
