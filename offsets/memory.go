package offsets

import (
	"context"
	"slices"
	"sync"

	"github.com/penstock/penstock/schema"
)

// Memory is a Store that forgets everything when it is dropped. The zero
// Memory is empty and ready.
type Memory struct {
	mu   sync.Mutex
	kept map[place]Entry
}

var _ Store = (*Memory)(nil)

// Load implements Store.
func (m *Memory) Load(_ context.Context, connector string, partition []byte) (schema.Position, error) {
	key, err := canonical(partition)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.kept[place{connector, key}].Position), nil
}

// Save implements Store.
func (m *Memory) Save(ctx context.Context, connector string, partition []byte, p schema.Position) error {
	if err := checkPosition(p); err != nil {
		return err
	}
	return m.Alter(ctx, connector, []Entry{{Partition: partition, Position: p}})
}

// List implements Store.
func (m *Memory) List(_ context.Context, connector string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return listOf(m.kept, connector), nil
}

// Alter implements Store.
func (m *Memory) Alter(_ context.Context, connector string, entries []Entry) error {
	entries, keys, err := normal(entries)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[place]Entry{}
	}
	apply(m.kept, connector, entries, keys)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, connector string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for at := range m.kept {
		if at.connector == connector {
			delete(m.kept, at)
		}
	}
	return nil
}

// apply puts copies of the entries into kept.
func apply(kept map[place]Entry, connector string, entries []Entry, keys []string) {
	for i, e := range entries {
		at := place{connector, keys[i]}
		if e.Position == nil {
			delete(kept, at)
			continue
		}
		kept[at] = Entry{Partition: slices.Clone(e.Partition), Position: slices.Clone(e.Position)}
	}
}

// listOf returns copies of a connector's entries, in order.
func listOf(kept map[place]Entry, connector string) []Entry {
	var list []Entry
	keys := map[string]string{}
	for at, e := range kept {
		if at.connector != connector {
			continue
		}
		list = append(list, Entry{Partition: slices.Clone(e.Partition), Position: slices.Clone(e.Position)})
		keys[string(e.Partition)] = at.partition
	}
	sortEntries(list, keys)
	return list
}
