package kafka

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"
)

// unpackedSize returns how many bytes a partition's records have without their
// compression; it stops counting beyond most. The fake writes a batch of which
// it drops records again without compression, so this is what compaction may
// hold in memory and on disk. Records may be written meanwhile.
func unpackedSize(dir string, most int64) (int64, error) {
	bases, err := segments(dir)
	if err != nil {
		return 0, err
	}
	unpack := kgo.DefaultDecompressor()
	var size int64
	for _, base := range bases {
		n, err := unpackedSegment(segmentPath(dir, base, extData), unpack, most-size)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return 0, err
		}
		if size += n; size > most {
			break
		}
	}
	return size, nil
}

func unpackedSegment(path string, unpack kgo.Decompressor, most int64) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	reader := &batchReader{r: f, size: info.Size()}
	for size <= most {
		h, raw, n, err := reader.peek()
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		if n == 0 { // the end, or a batch that is being written
			return size, nil
		}
		records := raw[batchHeaderSize:n]
		if codec := h.codec(); codec != kgo.CodecNone {
			if records, err = unpack.Decompress(records, codec); err != nil {
				return 0, fmt.Errorf("unpack the batch of %s at byte %d: %w", path, reader.pos, err)
			}
		}
		size += int64(batchHeaderSize + len(records))
		reader.pos += int64(n)
	}
	return size, nil
}

// indexedBatches returns how many batches there are in all topics.
func (b *Broker) indexedBatches() (int64, error) {
	root := filepath.Join(b.cfg.DataDir, dirBroker, dirPartitions)
	var bytes int64
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == extIndex {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				bytes += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		return err
	})
	return bytes / indexEntrySize, err
}
