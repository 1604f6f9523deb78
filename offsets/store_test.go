package offsets_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/offsets/offsetstest"
	"github.com/penstock/penstock/schema"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	offsetstest.Run(t, func(*testing.T) func() offsets.Store {
		m := new(offsets.Memory)
		return func() offsets.Store { return m }
	})
}

func openFile(t *testing.T, path string) *offsets.File {
	t.Helper()
	f, err := offsets.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	t.Parallel()
	offsetstest.Run(t, func(t *testing.T) func() offsets.Store {
		path := filepath.Join(t.TempDir(), "not", "there", "offsets.json")
		return func() offsets.Store { return openFile(t, path) }
	})
}

func TestFile_LeavesOneReadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "offsets.json")
	f := openFile(t, path)
	for _, p := range []string{`{"pos":1}`, `{"pos":2}`} {
		if err := f.Save(t.Context(), "a", []byte(`{"server":"s"}`), schema.Position(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Save(t.Context(), "b", []byte(`{"server":"s"}`), schema.Position(`{"pos":3}`)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"offsets":[
{"connector":"a","partition":{"server":"s"},"offset":{"pos":2}}
,{"connector":"b","partition":{"server":"s"},"offset":{"pos":3}}
]}
`
	if string(got) != want {
		t.Errorf("file is\n%s\nwant\n%s", got, want)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("directory has %v (%v), want the one file", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v (%v), want 0600", info.Mode(), err)
	}
}

func TestFile_KeepsOldContentWhenItCannotWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "d", "offsets.json")
	f := openFile(t, path)
	if err := f.Save(t.Context(), "a", []byte(`{}`), schema.Position(`{"pos":1}`)); err != nil {
		t.Fatal(err)
	}
	// A file where the directory was: works as root too, unlike permissions.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := f.Save(t.Context(), "a", []byte(`{}`), schema.Position(`{"pos":2}`))
	if err == nil || !strings.Contains(err.Error(), "offset.storage.file.filename="+path) {
		t.Errorf("Save = %v, want an error that names the setting and the file", err)
	}
	if p, err := f.Load(t.Context(), "a", []byte(`{}`)); string(p) != `{"pos":1}` {
		t.Errorf("Load = %s, %v, want the position that is durable", p, err)
	}
}

func TestOpenFile_RefusesForeignFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ content, want string }{
		"Java":            {"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "written by a Java program"},
		"no JSON":         {"hello", "not a file of offsets"},
		"newer":           {`{"version":2,"offsets":[]}`, "its version is 2"},
		"other JSON":      {`{}`, "its version is 0"},
		"bad partition":   {`{"version":1,"offsets":[{"connector":"a","partition":1,"offset":{}}]}`, "connector a: source partition is not a JSON object"},
		"without offsets": {`{"version":1,"offsets":[{"connector":"a","partition":{}}]}`, "connector a: source offset is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := offsets.OpenFile(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("OpenFile = %v, want an error with %q and the path", err, tt.want)
			}
		})
	}
}

// broker runs an embedded broker until the test ends and returns the
// configuration of its clients.
func broker(t *testing.T) kafka.Config {
	t.Helper()
	b, err := kafka.StartBroker(t.Context(), kafka.BrokerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	cfg, err := kafka.ParseClient(map[string]string{"bootstrap.servers": b.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
