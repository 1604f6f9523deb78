package offsets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/schema"
)

// Store keeps positions. Its methods may be called by several goroutines at a
// time. Partitions and positions that are handed in are not kept, those that
// come back belong to the caller.
type Store interface {
	// Load returns the position of a source partition, nil if there is none.
	// It sees what any process saved before it was called.
	Load(ctx context.Context, connector string, partition []byte) (schema.Position, error)
	// Save keeps a position and returns when it is durable. After an error it
	// may or may not be kept.
	Save(ctx context.Context, connector string, partition []byte, p schema.Position) error
	// List returns all source partitions of a connector that have a position,
	// in the order of their canonical text.
	List(ctx context.Context, connector string) ([]Entry, error)
	// Alter saves several positions of a connector; an entry with a nil
	// Position takes that partition's away. If a partition is named twice the
	// last one counts. After an error some may be kept.
	Alter(ctx context.Context, connector string, entries []Entry) error
	// Delete takes away all positions of a connector.
	Delete(ctx context.Context, connector string) error
}

// Entry is the position of one source partition.
type Entry struct {
	// Partition is a JSON object, or null for a source that has only one.
	Partition json.RawMessage `json:"partition"`
	// Position is a JSON object, nil for none.
	Position schema.Position `json:"-"`
}

// MarshalJSON gives the shape in which Kafka Connect shows an entry.
func (e Entry) MarshalJSON() ([]byte, error) {
	offset := json.RawMessage(e.Position)
	if offset == nil {
		offset = json.RawMessage("null")
	}
	return json.Marshal(struct {
		Partition json.RawMessage `json:"partition"`
		Offset    json.RawMessage `json:"offset"`
	}{e.Partition, offset})
}

// Errors about what a caller hands in.
var (
	ErrPartition = errors.New("source partition is not a JSON object")
	ErrPosition  = errors.New("source offset is not a JSON object")
)

// canonical returns the text by which a partition is known: members sorted by
// name, no blanks, one way to write each character.
func canonical(partition []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(partition))
	d.UseNumber() // 1e3 and 9007199254740993 stay as they are
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("%w: %w", ErrPartition, err)
	}
	if d.InputOffset() != int64(len(bytes.TrimRight(partition, " \t\r\n"))) {
		return "", fmt.Errorf("%w: text after it", ErrPartition)
	}
	switch v.(type) {
	case map[string]any, nil:
	default:
		return "", ErrPartition
	}
	text, err := json.Marshal(v) // sorts the members
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPartition, err)
	}
	return string(text), nil
}

// checkPosition refuses what could not be loaded again.
func checkPosition(p schema.Position) error {
	if !isObject(p) || !json.Valid(p) {
		return ErrPosition
	}
	return nil
}

func isObject(text []byte) bool {
	t := bytes.TrimLeft(text, " \t\r\n")
	return len(t) > 0 && t[0] == '{'
}

// compacted returns JSON without blanks.
func compacted(text []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// normal checks entries and returns their canonical partitions, in order,
// with only the last of those that name the same partition.
func normal(entries []Entry) ([]Entry, []string, error) {
	keep := make([]Entry, 0, len(entries))
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		key, err := canonical(e.Partition)
		if err != nil {
			return nil, nil, fmt.Errorf("partition %s: %w", e.Partition, err)
		}
		if e.Position != nil {
			if err := checkPosition(e.Position); err != nil {
				return nil, nil, fmt.Errorf("offset %s of partition %s: %w", e.Position, e.Partition, err)
			}
		}
		if i := slices.Index(keys, key); i >= 0 {
			keep[i] = e
			continue
		}
		keep, keys = append(keep, e), append(keys, key)
	}
	return keep, keys, nil
}

// place is a source partition in maps: connector and canonical text.
type place struct{ connector, partition string }

func sortEntries(entries []Entry, keys map[string]string) {
	slices.SortFunc(entries, func(a, b Entry) int {
		return strings.Compare(keys[string(a.Partition)], keys[string(b.Partition)])
	})
}
