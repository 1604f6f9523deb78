package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/file"
)

func open(t *testing.T, path string) (sinks.Sink, error) {
	t.Helper()
	c := file.Connector()
	v, problems := c.Settings.Parse(map[string]string{"file": path})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d, problems := c.New(v, sinks.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d.Open(t.Context())
}

func TestSink_AppendsValuesAsJavaShowsThem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	object := schema.Seq(schema.KindMap, []schema.Value{
		schema.Text("a"), schema.Int(1),
		schema.Text("b"), schema.Seq(schema.KindArray, []schema.Value{schema.Text("x"), {}}),
	})
	row := &schema.Schema{Type: schema.TypeStruct, Fields: []schema.Field{
		{Name: "id", Schema: &schema.Schema{Type: schema.TypeInt32}},
		{Name: "none", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}},
		{Name: "ok", Schema: &schema.Schema{Type: schema.TypeBoolean}},
	}}
	values := []schema.Data{
		{Value: schema.Text("hello")},
		{Value: object},
		{},
		{Schema: row, Value: schema.Seq(schema.KindStruct, []schema.Value{schema.Int(7), {}, schema.Bool(true)})},
		{Value: schema.Float(1.5)},
	}
	for range 2 { // a second task goes on where the first ended
		s, err := open(t, path)
		if err != nil {
			t.Fatal(err)
		}
		var records []schema.Record
		for _, v := range values {
			records = append(records, schema.Record{Value: v})
		}
		if err := s.Write(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := "hello\n{a=1, b=[x, null]}\nnull\nStruct{id=7,ok=true}\n1.5\n"
	if string(got) != lines+lines {
		t.Errorf("file has %q, want %q twice", got, lines)
	}
}

func TestDestination_SaysWhichFolderIsMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "no", "such", "f.out")
	_, err := open(t, path)
	if !sinks.IsPermanent(err) {
		t.Fatalf("Open: %v, want a permanent error", err)
	}
	if want := "Couldn't find or create file '" + path + "' for FileStreamSinkTask"; err.Error() != want {
		t.Errorf("Open: %q, want %q", err, want)
	}
	var j sinks.JavaError
	if !errors.As(errors.Unwrap(errors.Unwrap(err)), &j) || j.JavaClass() != "java.nio.file.NoSuchFileException" || j.Error() != path {
		t.Errorf("the cause is %v, want java.nio.file.NoSuchFileException: %s", j, path)
	}
}
