package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/snapshot"
	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/supervisor"
)

func TestLogs_Levels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLogs(&out, true, "info")
	log := l.logger("a.b.c")
	say := func(want bool, what string) {
		t.Helper()
		out.Reset()
		log.Debug("text")
		if got := out.Len() > 0; got != want {
			t.Errorf("%s: DEBUG is logged: %v", what, got)
		}
	}
	set := func(name, level string, want ...string) {
		t.Helper()
		changed, err := l.SetLevel(name, level)
		if err != nil || strings.Join(changed, " ") != strings.Join(want, " ") {
			t.Errorf("SetLevel(%s, %s) changes %v, %v", name, level, changed, err)
		}
	}
	say(false, "at first")
	set("a", "debug", "a")
	say(true, "a parent's level counts")
	set("a.b", "WARN", "a.b")
	say(false, "the nearest counts")
	set("a", "DEBUG", "a.b")
	say(true, "setting a parent sets those below")
	set("a", "DEBUG")
	set("ab", "INFO")
	if _, err := l.SetLevel("a", "LOUD"); err == nil {
		t.Error("LOUD is taken")
	}
	set("root", "OFF", "a", "a.b", "ab", logBroker, logConnectors, logKafka, logREST, logWorker, rootLogger)
	out.Reset()
	log.Error("text")
	if out.Len() > 0 {
		t.Errorf("OFF logs %s", out.String())
	}
	set("root", "ALL", "a", "a.b", "ab", logBroker, logConnectors, logKafka, logREST, logWorker, rootLogger)
	log.Log(t.Context(), levelTrace, "text")
	if !strings.Contains(out.String(), `"level":"TRACE"`) {
		t.Errorf("TRACE is written as %s", out.String())
	}
}

func TestLogs_HideSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLogs(&out, false, "INFO")
	early := l.logger("x").With("kept", "before")
	l.hide([]string{"secret"})
	l.hide([]string{"secret and more"})
	log := l.logger("x").With("with", "secret").WithGroup("g")
	log.Info("a secret and more text", "text", "my secret", "error", errors.New("secret!"), slog.Group("inner", "deep", "secret"), "bytes", []string{"secret"})
	early.Info("early", "text", "secret")
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "and more") {
		t.Errorf("secrets are logged: %s", out.String())
	}
	if n := strings.Count(out.String(), "[hidden]"); n != 7 {
		t.Errorf("%d secrets are hidden: %s", n, out.String())
	}
}

func TestProgress_BarOnATerminalLinesElsewhere(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	p := newProgress(nil, &screen)
	p.log = newLogs(p, false, "INFO").logger("x")
	half := snapshot.Progress{Tables: 4, TablesDone: 1, Rows: 500_000, Total: 1_000_000, Elapsed: 10 * time.Second}
	p.update("shop", half)
	for _, part := range []string{"shop", "[###############...............]", " 50%", "500,000 rows", "50,000 rows/s", "table 2 of 4", "10s left", "\n"} {
		if !strings.Contains(screen.String(), part) {
			t.Errorf("the bar has no %q: %q", part, screen.String())
		}
	}
	p.log.Info("something else")
	if text := screen.String(); strings.LastIndex(text, "something else") > strings.LastIndex(text, "shop ") {
		t.Errorf("the log is not above the bar: %q", text)
	}
	screen.Reset()
	p.update("shop", snapshot.Progress{Tables: 4, TablesDone: 4, Rows: 1_000_001, Total: 1_000_000, Elapsed: 20 * time.Second, Done: true})
	if text := screen.String(); !strings.Contains(text, "the tables are copied") || strings.Contains(text, "[###") {
		t.Errorf("the end is shown as %q", text)
	}

	var log bytes.Buffer
	p = newProgress(newLogs(&log, true, "INFO").logger("x"), nil)
	for range 100 {
		p.update("shop", half)
	}
	if n := strings.Count(log.String(), "copying tables"); n != 1 {
		t.Errorf("%d lines are logged: %s", n, log.String())
	}
	p.update("unknown", snapshot.Progress{Tables: 1, Rows: 5, Total: -1})
	if strings.Contains(log.String(), `"left":"0s"`) {
		t.Errorf("a time is promised that nobody knows: %s", log.String())
	}
}

func TestBuild_NamesAVersion(t *testing.T) {
	t.Parallel()
	if b := NewBuild("1.2.3", "abc"); b.Version != "1.2.3" || b.Commit != "abc" {
		t.Errorf("the linker's version is %+v", b)
	}
	if b := NewBuild("", ""); b.Version == "" || b.Go == "" {
		t.Errorf("without the linker's it is %+v", b)
	}
}

func TestJournal_KeepsEverythingInOrder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, err := kafka.StartBroker(ctx, kafka.BrokerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	cfg, problems := config.Load(config.Source{Client: kafka.Settings()})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	clients := supervisor.Clients{Worker: cfg, Embedded: b.Addr()}
	open := func() (read func() []string, appendAll func(...string)) {
		j, err := openJournal(ctx, clients, "history", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
		read = func() (out []string) {
			if err := j.Replay(ctx, func(r []byte) error { out = append(out, string(r)); return nil }); err != nil {
				t.Error(err)
			}
			return out
		}
		return read, func(records ...string) {
			for _, r := range records {
				if err := j.Append(ctx, []byte(r)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	read, add := open()
	if got := read(); len(got) != 0 {
		t.Errorf("a new journal has %v", got)
	}
	add("one", "two")
	again, addMore := open()
	addMore("three")
	for _, r := range []func() []string{read, again, read} {
		if got := strings.Join(r(), " "); got != "one two three" {
			t.Errorf("the journal has %q", got)
		}
	}
	failed := errors.New("enough")
	j, err := openJournal(ctx, clients, "history", map[string]string{"client.id": "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Replay(ctx, func([]byte) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("the caller's error comes back as %v", err)
	}
	if _, err := openJournal(ctx, clients, "history", map[string]string{"bootstrap.servers": "127.0.0.1:1"}); err == nil {
		t.Error("another Kafka that is not there is reached")
	}
}

// TestReference_IsUpToDate compares the reference in docs with the
// definitions that it is generated from.
func TestReference_IsUpToDate(t *testing.T) {
	t.Parallel()
	for name, text := range Reference(Catalogue()) {
		have := readFile(t, "../docs/reference/"+name)
		if !bytes.Equal(have, text) {
			t.Errorf("docs/reference/%s is not what the definitions say: run `make generate`", name)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return b
}

func TestContainerMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2":           {map[string]string{"memory.max": "536870912\n"}, 512 << 20},
		"version 2, no limit": {map[string]string{"memory.max": "max\n"}, 0},
		"version 1":           {map[string]string{"memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30},
		"version 1, no limit": {map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"no control groups":   {nil, 0},
		"nonsense":            {map[string]string{"memory.max": "-1"}, 0},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := containerMemory(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
