package offsets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/schema"
)

// File is a Store in one file (offset.storage.file.filename), for one process.
// Every change replaces the file by a new one that was synced before, so that
// it holds either all of a change or nothing of it, whenever the process or
// the machine stops. It suits a few connectors: a change costs a write of all.
type File struct {
	path string
	mu   sync.Mutex
	kept map[place]Entry
}

var _ Store = (*File)(nil)

// The file's format; versions that are not known are refused.
type (
	fileContent struct {
		Version int         `json:"version"`
		Offsets []fileEntry `json:"offsets"`
	}
	fileEntry struct {
		Connector string          `json:"connector"`
		Partition json.RawMessage `json:"partition"`
		Offset    json.RawMessage `json:"offset"`
	}
)

const (
	fileVersion = 1
	filePerm    = 0o600
	dirPerm     = 0o700
)

// javaMagic begins a file of serialised Java objects, which Kafka Connect's
// FileOffsetBackingStore writes.
var javaMagic = []byte{0xAC, 0xED, 0x00, 0x05}

// OpenFile reads the file, which need not exist yet.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, kept: map[place]Entry{}}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("read offset.storage.file.filename: %w", err)
	case bytes.HasPrefix(data, javaMagic):
		return nil, fmt.Errorf("offset.storage.file.filename=%s was written by a Java program, whose format is not readable here; give another file, or move the offsets through an offset topic", path)
	}
	var content fileContent
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, fmt.Errorf("read offset.storage.file.filename=%s: %w; it is not a file of offsets, give another", path, err)
	}
	if content.Version != fileVersion {
		return nil, fmt.Errorf("read offset.storage.file.filename=%s: its version is %d, this program knows %d; use the program that wrote it", path, content.Version, fileVersion)
	}
	for _, e := range content.Offsets {
		key, err := canonical(e.Partition)
		if err == nil {
			err = checkPosition(schema.Position(e.Offset))
		}
		if err != nil {
			return nil, fmt.Errorf("read offset.storage.file.filename=%s: connector %s: %w", path, e.Connector, err)
		}
		f.kept[place{e.Connector, key}] = Entry{Partition: e.Partition, Position: schema.Position(e.Offset)}
	}
	return f, nil
}

// Load implements Store.
func (f *File) Load(_ context.Context, connector string, partition []byte) (schema.Position, error) {
	key, err := canonical(partition)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kept[place{connector, key}].Position), nil
}

// Save implements Store.
func (f *File) Save(ctx context.Context, connector string, partition []byte, p schema.Position) error {
	if err := checkPosition(p); err != nil {
		return err
	}
	return f.Alter(ctx, connector, []Entry{{Partition: partition, Position: p}})
}

// List implements Store.
func (f *File) List(_ context.Context, connector string) ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return listOf(f.kept, connector), nil
}

// Alter implements Store.
func (f *File) Alter(_ context.Context, connector string, entries []Entry) error {
	entries, keys, err := normal(entries)
	if err != nil {
		return err
	}
	return f.change(func(kept map[place]Entry) { apply(kept, connector, entries, keys) })
}

// Delete implements Store.
func (f *File) Delete(_ context.Context, connector string) error {
	return f.change(func(kept map[place]Entry) {
		maps.DeleteFunc(kept, func(at place, _ Entry) bool { return at.connector == connector })
	})
}

// change makes a change durable before anybody sees it.
func (f *File) change(edit func(map[place]Entry)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := maps.Clone(f.kept)
	edit(kept)
	if err := f.write(kept); err != nil {
		return fmt.Errorf("write offset.storage.file.filename=%s: %w", f.path, err)
	}
	f.kept = kept
	return nil
}

func (f *File) write(kept map[place]Entry) error {
	places := slices.SortedFunc(maps.Keys(kept), func(a, b place) int {
		if c := strings.Compare(a.connector, b.connector); c != 0 {
			return c
		}
		return strings.Compare(a.partition, b.partition)
	})
	// A line for each entry, partitions and offsets with the text they came in.
	var text bytes.Buffer
	fmt.Fprintf(&text, `{"version":%d,"offsets":[`, fileVersion)
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for i, at := range places {
		text.WriteString([]string{"\n", ","}[min(i, 1)])
		e := kept[at]
		if err := encoder.Encode(fileEntry{at.connector, e.Partition, json.RawMessage(e.Position)}); err != nil {
			return err
		}
	}
	text.WriteString("]}\n")
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(f.path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text.Bytes())
	err = errors.Join(err, tmp.Chmod(filePerm), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir) // or the rename itself may be lost
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
