package offsets

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// appendKey appends the key of a record in the offset topic, as Kafka Connect
// writes it: ["<connector>",{<partition>}] without blanks. partition is JSON.
func appendKey(dst []byte, connector string, partition []byte) ([]byte, error) {
	text, err := compacted(partition)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	dst = appendQuoted(dst, connector)
	dst = append(dst, ',')
	dst = append(dst, text...)
	return append(dst, ']'), nil
}

// appendQuoted appends a JSON string with Jackson's choice of escapes, which
// is not encoding/json's: <, > and & stay, hexadecimal digits are upper case.
func appendQuoted(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&0xF])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

var errKey = errors.New(`key is not ["connector",{partition}]`)

// parseKey reads the key of a record in the offset topic. partition aliases
// key.
func parseKey(key []byte) (connector string, partition json.RawMessage, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(key, &parts); err != nil || len(parts) != 2 {
		return "", nil, errKey
	}
	if name := bytes.TrimSpace(parts[0]); len(name) == 0 || name[0] != '"' {
		return "", nil, errKey
	}
	if err := json.Unmarshal(parts[0], &connector); err != nil {
		return "", nil, errKey
	}
	return connector, parts[1], nil
}
