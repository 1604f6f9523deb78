// Package file is the sink that appends the text of each record's value to a
// file, a line each, as Kafka Connect's FileStreamSink does. It serves
// examples and tests.
//
// It is no table: a record that is read twice is two lines.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

// Connector returns the file sink for the worker's catalogue.
func Connector() sinks.Connector {
	return sinks.Connector{
		Name:    "file-sink",
		Classes: []string{"org.apache.kafka.connect.file.FileStreamSinkConnector"},
		Version: "4.1.1",
		Settings: settings.NewSet([]settings.Def{{
			Key: "file", Type: settings.String, Importance: settings.High, Width: "NONE", DisplayName: "file",
			Doc: "File to append to; it is made if missing. Empty means the standard output.",
		}}),
		New: func(v settings.Values, _ sinks.Env) (sinks.Destination, settings.Problems) {
			return destination{path: v.String("file")}, nil
		},
	}
}

type destination struct{ path string }

// Check implements sinks.Destination. The file is not made by it.
func (d destination) Check(context.Context) settings.Problems {
	if d.path == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(d.path)); err != nil || !info.IsDir() {
		// A warning: the folder may be there by the time the connector starts.
		return settings.Problems{{Key: "file", Warning: true, Message: fmt.Sprintf("the folder of file=%s does not exist; make it before the connector starts", d.path)}}
	}
	return nil
}

// openError is Kafka Connect's sentence about a file that cannot be opened.
type openError struct {
	path string
	err  error
}

// Error returns the sentence.
func (e *openError) Error() string {
	return fmt.Sprintf("Couldn't find or create file '%s' for FileStreamSinkTask", e.path)
}

// Unwrap returns why.
func (e *openError) Unwrap() error { return e.err }

// JavaClass implements sinks.JavaError.
func (*openError) JavaClass() string { return "org.apache.kafka.connect.errors.ConnectException" }

// pathError is why, as Java names it.
type pathError struct {
	path string
	err  error
}

// Error returns the path, as Java does, or the system's text.
func (e *pathError) Error() string {
	if errors.Is(e.err, fs.ErrNotExist) {
		return e.path
	}
	return e.err.Error()
}

// Unwrap returns the system's error.
func (e *pathError) Unwrap() error { return e.err }

// JavaClass implements sinks.JavaError.
func (e *pathError) JavaClass() string {
	switch {
	case errors.Is(e.err, fs.ErrNotExist):
		return "java.nio.file.NoSuchFileException"
	case errors.Is(e.err, fs.ErrPermission):
		return "java.nio.file.AccessDeniedException"
	default:
		return "java.nio.file.FileSystemException"
	}
}

// Open implements sinks.Destination.
func (d destination) Open(context.Context) (sinks.Sink, error) {
	if d.path == "" {
		return &sink{out: os.Stdout}, nil
	}
	f, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, sinks.Permanent(&openError{d.path, &pathError{d.path, err}})
	}
	return &sink{out: f, closer: f}, nil
}

type sink struct {
	out    io.Writer
	closer io.Closer // nil for the standard output
	buf    []byte
}

// Write implements sinks.Sink. The lines go out in one write.
func (s *sink) Write(_ context.Context, records []schema.Record) error {
	s.buf = s.buf[:0]
	for i := range records {
		s.buf = appendText(s.buf, records[i].Value.Schema, records[i].Value.Value)
		s.buf = append(s.buf, '\n')
	}
	if _, err := s.out.Write(s.buf); err != nil {
		return fmt.Errorf("append to the file: %w", err)
	}
	return nil
}

// Close implements sinks.Sink.
func (s *sink) Close(context.Context) error {
	if s.closer == nil {
		return nil
	}
	if err := s.closer.Close(); err != nil {
		return fmt.Errorf("close the file: %w", err)
	}
	return nil
}

// appendText appends a value as Java's toString has it, which is what the
// connector writes: Struct{a=1,b=x}, {a=1, b=x}, [1, 2].
func appendText(dst []byte, s *schema.Schema, v schema.Value) []byte {
	elems := v.Elems()
	elem := func(s *schema.Schema) *schema.Schema {
		if s == nil {
			return nil
		}
		return s.Elem
	}
	switch v.Kind() {
	case schema.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case schema.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case schema.KindFloat:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64)
	case schema.KindString, schema.KindBytes, schema.KindDecimal:
		return append(dst, v.Bytes()...)
	case schema.KindArray:
		dst = append(dst, '[')
		for i, e := range elems {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendText(dst, elem(s), e)
		}
		return append(dst, ']')
	case schema.KindMap:
		dst = append(dst, '{')
		for i := 0; i+1 < len(elems); i += 2 {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendText(dst, nil, elems[i])
			dst = append(dst, '=')
			dst = appendText(dst, elem(s), elems[i+1])
		}
		return append(dst, '}')
	case schema.KindStruct:
		dst = append(dst, "Struct{"...)
		first := true
		for i, e := range elems {
			if e.IsNull() {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, s.Fields[i].Name...)
			dst = append(dst, '=')
			dst = appendText(dst, s.Fields[i].Schema, e)
		}
		return append(dst, '}')
	default:
		return append(dst, "null"...)
	}
}
