// Package integration holds what spans the whole of Penstock: the launcher of
// real servers, the demo, the benchmarks, and tests of the code as one.
package integration

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penstock/penstock"

// height orders the top folders. A package imports only folders of a smaller
// height, its own parents, and what docs/architecture.md says beside that.
var height = map[string]int{
	"schema": 0, "settings": 0,
	"kafka": 1, "converters": 1, "transforms": 1,
	"offsets": 2,
	"capture": 3, "sinks": 3,
	"snapshot":    4,
	"worker":      5,
	"cmd":         6,
	"integration": 7,
}

// wiring are the folders that put parts together, their own ones included.
// Within one of them only Go's own rule holds, that there is no cycle.
var wiring = []string{"worker", "cmd", "integration"}

// shapeless are names that say where code was put and not what it is.
var shapeless = []string{"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}

// source is one Go file as far as the order of imports is concerned.
type source struct {
	dir     string // from the module's root, slash-separated
	name    string
	pkg     string
	imports []string
}

func (s source) top() string { top, _, _ := strings.Cut(s.dir, "/"); return top }

// forTests reports whether the file is never part of the binary: a test, or a
// file of a package such as sinks/sinktest that only tests import.
func (s source) forTests() bool {
	return strings.HasSuffix(s.name, "_test.go") || strings.HasSuffix(path.Base(s.dir), "test") || s.top() == "integration"
}

// under reports whether dir is parent or below it.
func under(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

// allowed says why from may not import the module's package to, or nothing.
func allowed(from source, to string) string {
	switch other := (source{dir: to}); {
	case from.top() == other.top() && slices.Contains(wiring, from.top()):
		return ""
	case other.top() == "integration":
		if from.forTests() {
			return ""
		}
		return "the binary must not contain what is made for tests"
	case strings.HasSuffix(path.Base(to), "test") && from.forTests():
		// A conformance suite is imported by the tests of those it is about,
		// wherever they are at that height or above.
		if height[other.top()] <= height[from.top()] {
			return ""
		}
		return "the suite stands higher"
	case from.top() != other.top():
		if height[other.top()] < height[from.top()] {
			return ""
		}
		return "it does not stand lower in the order"
	case under(from.dir, to):
		return ""
	}
	if parent, _, ok := strings.Cut(to+"/", "/internal/"); ok && under(from.dir, parent) {
		return ""
	}
	if under(to, from.dir) {
		return "a parent does not import its child"
	}
	return "a package does not import its sibling"
}

// violations checks all files and returns what is wrong, sorted.
func violations(files []source) []string {
	var found []string
	for _, f := range files {
		report := func(format string, args ...any) {
			found = append(found, path.Join(f.dir, f.name)+": "+fmt.Sprintf(format, args...))
		}
		if _, known := height[f.top()]; !known {
			report("the folder %q has no place in the order of imports; give it one in integration/layers_test.go", f.top())
			continue
		}
		for _, name := range []string{strings.TrimSuffix(f.pkg, "_test"), path.Base(f.dir)} {
			if slices.Contains(shapeless, name) {
				report("a package called %q says nothing; name it after what it is", name)
				break
			}
		}
		for _, imp := range f.imports {
			if to, ours := strings.CutPrefix(imp, module+"/"); ours {
				if why := allowed(f, to); why != "" {
					report("imports %s: %s", to, why)
				}
			}
			if imp == "testing" && !f.forTests() {
				report("imports testing outside a test")
			}
		}
	}
	slices.Sort(found)
	return found
}

// read returns all Go files of the module.
func read(root string) ([]source, error) {
	var files []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			nested := false
			if rel != "." {
				_, err := os.Stat(filepath.Join(file, "go.mod"))
				nested = err == nil
			}
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || nested) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{dir: path.Dir(filepath.ToSlash(rel)), name: d.Name(), pkg: parsed.Name.Name}
		for _, imp := range parsed.Imports {
			s.imports = append(s.imports, strings.Trim(imp.Path.Value, `"`))
		}
		files = append(files, s)
		return nil
	})
	return files, err
}

// TestLayers_Hold reads the imports itself rather than asking go list, whose
// answer go test would take from its cache after an import was added.
func TestLayers_Hold(t *testing.T) {
	t.Parallel()
	files, err := read("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("read only %d Go files; is the test looking at the right folder?", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

func TestLayers_FindViolations(t *testing.T) {
	t.Parallel()
	cases := []struct {
		file string // dir/name.go
		imp  string
		want string // part of the report; empty: allowed
	}{
		{"sinks/mongodb/sink.go", "sinks", ""},
		{"sinks/mongodb/sink.go", "schema", ""},
		{"sinks/mongodb/sink.go", "sinks/elasticsearch", "sibling"},
		{"sinks/mongodb/sink_test.go", "sinks/elasticsearch", "sibling"},
		{"sinks/mongodb/sink.go", "capture", "does not stand lower"},
		{"sinks/mongodb/sink.go", "integration/servers", "made for tests"},
		{"sinks/mongodb/sink_test.go", "integration/servers", ""},
		{"sinks/mongodb/sink_test.go", "sinks/sinktest", ""},
		{"sinks/mongodb/sink.go", "sinks/sinktest", "sibling"},
		{"sinks/mongodb/sink.go", "sinks/internal/bulk", ""},
		{"sinks/task.go", "sinks/internal/bulk", ""},
		{"capture/task.go", "sinks/internal/bulk", "does not stand lower"},
		{"sinks/task.go", "sinks/mongodb", "parent"},
		{"sinks/sinktest/suite.go", "integration/servers", ""},
		{"schema/value.go", "settings", "does not stand lower"},
		{"kafka/config.go", "settings", ""},
		{"kafka/config.go", "offsets", "does not stand lower"},
		{"kafka/config_test.go", "capture/capturetest", "suite stands higher"},
		{"offsets/topic.go", "kafka", ""},
		{"converters/json.go", "kafka", "does not stand lower"},
		{"capture/task.go", "snapshot", "does not stand lower"},
		{"snapshot/wrap.go", "capture", ""},
		{"snapshot/wrap.go", "worker", "does not stand lower"},
		{"worker/wire.go", "worker/rest", ""},
		{"worker/rest/api.go", "worker/supervisor", ""},
		{"worker/rest/api.go", "integration/servers", "made for tests"},
		{"worker/wire.go", "capture/mysql", ""},
		{"cmd/penstock/main.go", "worker", ""},
		{"cmd/penstock/main.go", "integration/demo", "made for tests"},
		{"integration/demo/main.go", "integration/servers", ""},
		{"integration/demo/main.go", "worker", ""},
		{"plugins/x.go", "schema", "no place in the order"},
		{"sinks/util/x.go", "schema", "says nothing"},
	}
	for _, c := range cases {
		t.Run(c.file+" "+c.imp, func(t *testing.T) {
			t.Parallel()
			f := source{dir: path.Dir(c.file), name: path.Base(c.file), pkg: path.Base(path.Dir(c.file)), imports: []string{module + "/" + c.imp}}
			got := strings.Join(violations([]source{f}), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to contain %q", got, c.want)
			}
		})
	}
	t.Run("testing in the binary", func(t *testing.T) {
		t.Parallel()
		got := violations([]source{{dir: "kafka", name: "broker.go", pkg: "kafka", imports: []string{"testing"}}})
		if len(got) != 1 {
			t.Errorf("got %q, want one report", got)
		}
	})
}
