package converters

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/schema"
)

// jsonSchemaEntry is a schema that came with a record, and what reads values
// of it.
type jsonSchemaEntry struct {
	text   []byte
	schema *schema.Schema
	reader *jsonReader
}

// jsonSchemaCache finds the schema for its text.
//
// Nearly every record of a topic has the schema of the one before it. So each
// topic remembers its last one, and comparing the text with the record's is
// all that has to be done: no lock, no hash, no search for the text's end.
type jsonSchemaCache struct {
	size int

	mu     sync.Mutex
	texts  map[string]*list.Element
	recent list.List // of *jsonSchemaEntry, the last used first

	// topics is copied for every new topic.
	topics atomic.Pointer[map[string]*atomic.Pointer[jsonSchemaEntry]]
}

// last returns the schema of the topic's former record, or nil.
func (c *jsonSchemaCache) last(topic string) *jsonSchemaEntry {
	if topics := c.topics.Load(); topics != nil {
		if last := (*topics)[topic]; last != nil {
			return last.Load()
		}
	}
	return nil
}

// lookup returns the entry for a schema's text and makes it the topic's last;
// parse makes it if it is new.
func (c *jsonSchemaCache) lookup(topic string, text []byte, parse func([]byte) (*jsonSchemaEntry, error)) (*jsonSchemaEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var entry *jsonSchemaEntry
	if at := c.texts[string(text)]; at != nil {
		c.recent.MoveToFront(at)
		entry = at.Value.(*jsonSchemaEntry)
	} else {
		var err error
		if entry, err = parse(text); err != nil {
			return nil, err
		}
		if c.texts == nil {
			c.texts = map[string]*list.Element{}
		}
		if c.recent.Len() >= c.size {
			oldest := c.recent.Remove(c.recent.Back()).(*jsonSchemaEntry)
			delete(c.texts, string(oldest.text))
		}
		c.texts[string(entry.text)] = c.recent.PushFront(entry)
	}
	c.remember(topic, entry)
	return entry, nil
}

// remember is called with mu held.
func (c *jsonSchemaCache) remember(topic string, entry *jsonSchemaEntry) {
	old := c.topics.Load()
	if old != nil {
		if last := (*old)[topic]; last != nil {
			last.Store(entry)
			return
		}
	}
	topics := map[string]*atomic.Pointer[jsonSchemaEntry]{}
	if old != nil {
		for t, last := range *old {
			topics[t] = last
		}
	}
	last := new(atomic.Pointer[jsonSchemaEntry])
	last.Store(entry)
	topics[topic] = last
	c.topics.Store(&topics)
}
