package file_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/file"
	"github.com/penstock/penstock/schema"
)

func database(t *testing.T, path, batch string) capture.Database {
	t.Helper()
	c := file.Connector()
	v, problems := c.Settings.Parse(map[string]string{"file": path, "topic": "lines", "batch.size": batch})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d, problems := c.New(v, capture.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

// read returns the lines of one batch and where it ends.
func read(t *testing.T, s capture.Source) (lines []string, end string) {
	t.Helper()
	var b schema.Batch
	if err := s.Next(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Events {
		if e.Op != schema.OpRecord || e.Record.Topic != "lines" || !e.Record.Key.Value.IsNull() {
			t.Errorf("event %+v is no plain record of the topic", e)
		}
		lines = append(lines, string(e.Record.Value.Value.Bytes()))
	}
	return lines, string(b.End)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSource_TailsAndResumes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "in")
	d := database(t, path, "2")
	if want := `{"filename":"` + path + `"}`; d.Partition() != want {
		t.Errorf("Partition: %s, want %s", d.Partition(), want)
	}
	from, err := d.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Open(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(s capture.Source, wantEnd string, want ...string) {
		t.Helper()
		if lines, end := read(t, s); !slices.Equal(lines, want) || end != wantEnd {
			t.Errorf("Next: %q to %s, want %q to %s", lines, end, want, wantEnd)
		}
	}
	expect(s, "") // there is no file yet
	appendTo(t, path, "one\ntwo\r\nthree\nfo")
	expect(s, `{"position":9}`, "one", "two")
	expect(s, `{"position":15}`, "three")
	expect(s, "") // half a line is none
	appendTo(t, path, "ur\n\n")
	expect(s, `{"position":21}`, "four", "")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	again, err := d.Open(t.Context(), schema.Position(`{"position":9}`))
	if err != nil {
		t.Fatal(err)
	}
	expect(again, `{"position":20}`, "three", "four")
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDatabase_RefusesOffsetsThatAreNone(t *testing.T) {
	t.Parallel()
	d := database(t, "x", "1")
	for _, bad := range []string{`{"position":-1}`, `{"position":"a"}`, `[`} {
		if _, err := d.Open(t.Context(), schema.Position(bad)); !capture.IsPermanent(err) {
			t.Errorf("Open at %s: %v, want a permanent error", bad, err)
		}
	}
}
