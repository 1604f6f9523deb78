package capture

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/penstock/penstock/schema"
)

// maxTopicName is Kafka's limit (org.apache.kafka.common.internals.Topic).
const maxTopicName = 249

// Naming gives topics and schemas their names by Debezium's rules
// (io.debezium.schema.SchemaTopicNamingStrategy).
type Naming struct {
	// Prefix is topic.prefix, Delimiter topic.delimiter.
	Prefix, Delimiter string
	// Schemas and Fields are schema.name.adjustment.mode and
	// field.name.adjustment.mode: none, avro or avro_unicode.
	Schemas, Fields string
	// Heartbeat is topic.heartbeat.name, if the user gave one;
	// HeartbeatPrefix is heartbeat.topics.prefix.
	Heartbeat, HeartbeatPrefix string
}

// Table returns the topic of a table's events.
func (n Naming) Table(t *schema.Table) string {
	space := t.Schema
	if space == "" {
		space = t.Database
	}
	return SanitizeTopic(n.join(space, t.Name))
}

// Topic returns the name of a side topic, such as "transaction".
func (n Naming) Topic(name string) string { return SanitizeTopic(n.join(name)) }

// HeartbeatTopic returns the topic of heartbeats.
func (n Naming) HeartbeatTopic() string {
	if n.Heartbeat != "" {
		return SanitizeTopic(n.Heartbeat)
	}
	return SanitizeTopic(n.HeartbeatPrefix + n.Delimiter + n.Prefix)
}

func (n Naming) join(parts ...string) string {
	return n.Prefix + n.Delimiter + strings.Join(parts, n.Delimiter)
}

// SanitizeTopic replaces what Kafka does not allow in a topic's name by an
// underscore and cuts it at 249 characters, as Debezium does.
func SanitizeTopic(name string) string {
	switch name {
	case ".":
		return "_"
	case "..":
		return "__"
	}
	var b strings.Builder
	for _, r := range utf16.Encode([]rune(name)) { // Java counts these units
		if b.Len() == maxTopicName {
			break
		}
		if isTopicRune(rune(r)) {
			b.WriteByte(byte(r))
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}

func isTopicRune(r rune) bool {
	return r == '.' || r == '_' || r == '-' ||
		'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// adjustName makes a schema's full name fit for Avro where the mode asks for
// it; dots stay. adjustField does the same for one field, where dots do not.
func adjustName(mode, name string) string  { return adjust(mode, name, true) }
func adjustField(mode, name string) string { return adjust(mode, name, false) }

func adjust(mode, name string, dots bool) string {
	unicodes := mode == "avro_unicode"
	if mode != "avro" && !unicodes {
		return name
	}
	var b strings.Builder
	first := true
	for _, unit := range utf16.Encode([]rune(name)) { // Java counts these
		r := rune(unit)
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' && !unicodes
		digit := '0' <= r && r <= '9'
		switch {
		case letter, digit && !first, r == '.' && dots && !first:
			b.WriteRune(r)
		case unicodes:
			// Debezium pads only what has one or two digits.
			hex := fmt.Sprintf("%x", r)
			if len(hex) <= 2 {
				hex = "00" + hex
			}
			b.WriteString("_u" + hex)
		case first && unicode.IsDigit(r):
			b.WriteByte('_')
			b.WriteRune(r) // whatever script it is of, as in Debezium
		default:
			b.WriteByte('_')
		}
		first = false
	}
	return b.String()
}
