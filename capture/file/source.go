// Package file is the source that publishes the lines of a file, and those
// appended to it later, as Kafka Connect's FileStreamSource does. It serves
// examples and tests.
package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// Connector returns the file source for the worker's catalogue.
func Connector() capture.Connector {
	return capture.Connector{
		Name:    "file-source",
		Classes: []string{"org.apache.kafka.connect.file.FileStreamSourceConnector"},
		Version: "4.1.1",
		Settings: settings.NewSet([]settings.Def{
			{
				Key: "file", Type: settings.String, Importance: settings.High, Width: "NONE", DisplayName: "file",
				Doc: "File to read. It may be made later. Empty means the standard input.",
			},
			{
				Key: "topic", Type: settings.String, Required: true, Importance: settings.High, Width: "NONE", DisplayName: "topic",
				Doc: "Topic to publish the lines to.",
			},
			{
				Key: "batch.size", Type: settings.Int, Default: "2000", Importance: settings.Low, Width: "NONE", DisplayName: "batch.size",
				Doc: "Most lines that are published at once.",
			},
		}),
		New: func(v settings.Values, _ capture.Env) (capture.Database, settings.Problems) {
			return &database{path: v.String("file"), topic: v.String("topic"), batch: int(v.Int("batch.size"))}, nil
		},
	}
}

type database struct {
	path, topic string
	batch       int
}

// line is the schema of a line.
var line = &schema.Schema{Type: schema.TypeString}

type offset struct {
	Position *int64 `json:"position"`
}

func position(at int64) schema.Position { return fmt.Appendf(nil, `{"position":%d}`, at) }

// Partition implements capture.Database.
func (d *database) Partition() string {
	if d.path == "" {
		return `{}`
	}
	name, err := json.Marshal(d.path)
	if err != nil {
		panic("capture/file: a string is no JSON: " + err.Error())
	}
	return `{"filename":` + string(name) + `}`
}

// Check implements capture.Database. A missing file is no problem.
func (d *database) Check(context.Context) settings.Problems { return nil }

// Now implements capture.Database: a file is read from its beginning.
func (d *database) Now(context.Context) (schema.Position, error) { return position(0), nil }

// Open implements capture.Database.
func (d *database) Open(_ context.Context, from schema.Position) (capture.Source, error) {
	var o offset
	if err := json.Unmarshal(from, &o); err != nil {
		return nil, capture.Permanent(fmt.Errorf("read the offset %s: %w", from, err))
	}
	s := &source{database: d}
	if o.Position != nil {
		s.at = *o.Position
	}
	if s.at < 0 {
		return nil, capture.Permanent(fmt.Errorf("the offset's position is %d; it should be a non-negative value", s.at))
	}
	return s, nil
}

// Scanner implements capture.Database. There is no snapshot: the file is its
// own log.
func (d *database) Scanner() capture.Scanner { return scanner{} }

// Forget implements capture.Database.
func (d *database) Forget(context.Context) error { return nil }

type scanner struct{}

// Begin implements capture.Scanner: there are no tables.
func (scanner) Begin(_ context.Context, _ int, from schema.Position) (*capture.View, error) {
	if from == nil {
		from = position(0)
	}
	return &capture.View{Position: from}, nil
}

// Close implements capture.Scanner.
func (scanner) Close(context.Context) error { return nil }

const (
	// idle is how long Next waits for a line.
	idle = time.Second
	// poll is how often the file is looked at meanwhile.
	poll = 50 * time.Millisecond
	// maxLine bounds the memory of one line.
	maxLine = 64 << 20
)

// source reads one file. It keeps the file open, as the real connector does:
// a file that is moved away is read on.
type source struct {
	*database
	file *os.File
	at   int64 // where the next line begins
	// buf holds what was read behind at and is not published yet.
	buf []byte
}

// Next implements capture.Source.
func (s *source) Next(ctx context.Context, b *schema.Batch) error {
	deadline := time.NewTimer(idle)
	defer deadline.Stop()
	for {
		if err := s.fill(); err != nil {
			return err
		}
		s.lines(b)
		if len(b.Events) > 0 {
			b.End = position(s.at)
			return nil
		}
		again := time.NewTimer(poll)
		select {
		case <-again.C:
		case <-deadline.C:
			again.Stop()
			return nil
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
	}
}

// fill reads on, unless a whole line is there already.
func (s *source) fill() error {
	if bytes.IndexByte(s.buf, '\n') >= 0 {
		return nil
	}
	if s.file == nil {
		if s.path == "" {
			s.file = os.Stdin
		} else {
			f, err := os.Open(s.path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it may come
			}
			if err != nil {
				return fmt.Errorf("open file=%s: %w", s.path, err)
			}
			if _, err := f.Seek(s.at, io.SeekStart); err != nil {
				return errors.Join(fmt.Errorf("go to byte %d of file=%s: %w", s.at, s.path, err), f.Close())
			}
			s.file = f
		}
	}
	if len(s.buf) > maxLine {
		return capture.Permanent(fmt.Errorf("the line at byte %d of file=%s is longer than %d bytes", s.at, s.path, maxLine))
	}
	room := make([]byte, max(64<<10, len(s.buf)))
	n, err := s.file.Read(room)
	s.buf = append(s.buf, room[:n]...)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read file=%s: %w", s.path, err)
	}
	return nil
}

// lines moves whole lines into the batch. The end of a line is \n or \r\n.
func (s *source) lines(b *schema.Batch) {
	for len(b.Events) < s.batch && !b.Full() {
		i := bytes.IndexByte(s.buf, '\n')
		if i < 0 {
			break
		}
		text := b.Copy(bytes.TrimSuffix(s.buf[:i], []byte{'\r'}))
		s.buf = s.buf[i+1:]
		s.at += int64(i + 1)
		e := b.Append()
		e.Op = schema.OpRecord
		e.Record = &schema.Record{Topic: s.topic, Value: schema.Data{Schema: line, Value: schema.String(text)}}
	}
}

// Confirm implements capture.Source: a file forgets nothing.
func (s *source) Confirm(context.Context, schema.Position) error { return nil }

// Close implements capture.Source.
func (s *source) Close(context.Context) error {
	if s.file == nil || s.path == "" {
		return nil
	}
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close file=%s: %w", s.path, err)
	}
	return nil
}
