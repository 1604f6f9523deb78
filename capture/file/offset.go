package file

import (
	"encoding/json"
	"errors"
)

// CheckOffset judges an offset that somebody wants to set; offset is nil for
// one to be removed. The texts are those of Kafka Connect's FileStreamSource.
func (d *database) CheckOffset(partition, offset []byte) error {
	var p map[string]any
	if err := json.Unmarshal(partition, &p); err != nil || p == nil {
		return errors.New("Partition objects cannot be null")
	}
	if _, ok := p["filename"]; !ok {
		return errors.New("Partition objects should contain the key 'filename'")
	}
	if offset == nil {
		return nil
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(offset, &o); err != nil {
		return errors.New("Offset objects should either be null or contain the key 'position'") //nolint:staticcheck // Kafka's words
	}
	at, ok := o["position"]
	if !ok {
		return errors.New("Offset objects should either be null or contain the key 'position'") //nolint:staticcheck // Kafka's words
	}
	var n int64
	if json.Unmarshal(at, &n) != nil || string(at) == "null" {
		return errors.New("The value for the 'position' key in the offset is expected to be a Long value") //nolint:staticcheck // Kafka's words
	}
	if n < 0 {
		return errors.New("The value for the 'position' key in the offset should be a non-negative value") //nolint:staticcheck // Kafka's words
	}
	return nil
}
