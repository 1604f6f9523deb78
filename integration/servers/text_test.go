package servers

import (
	"slices"
	"strings"
	"testing"
)

func TestMirrorIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sources, want string }{
		"one line": {"# deb http://no.example/debian x main\ndeb [arch=amd64] http://m.example/debian bookworm main\n", "http://m.example/debian"},
		"deb822":   {"Types: deb\nURIs: https://m.example/debian/\nSuites: bookworm\n", "https://m.example/debian/"},
		"security first": {
			"URIs: http://m.example/debian-security\nURIs: http://m.example/debian\n", "http://m.example/debian",
		},
		"another archive": {"deb https://m.example/node_20.x nodistro main\n", ""},
		"none":            {"", ""},
	} {
		if got := mirrorIn(c.sources); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestJavaMajor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`openjdk version "17.0.15" 2025-04-15`:    17,
		`openjdk version "25" 2025-09-16 LTS`:     25,
		`java version "1.8.0_292"`:                8,
		"Unable to locate a Java Runtime.":        0,
		`version "99999999999999999999999999999"`: 0,
	} {
		if got := javaMajor(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestFresh_FitsEverywhere(t *testing.T) {
	t.Parallel()
	for _, hint := range []string{"", "TestA/with space & ünicode", strings.Repeat("Long", 40), "___"} {
		a, b := fresh(hint), fresh(hint)
		if a == b {
			t.Errorf("%q twice gave %s", hint, a)
		}
		if len(a) > 40 || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q gave %s", hint, a)
		}
	}
}

func TestReplaceFlag(t *testing.T) {
	t.Parallel()
	argv := []string{"mongod", "--oplogSize", "64", "--nounixsocket", "--setParameter", "a=1"}
	for _, flag := range []string{"--oplogSize=16", "--setParameter=b=2", "--syncdelay=1"} {
		argv = replaceFlag(argv, flag)
	}
	want := []string{"mongod", "--nounixsocket", "--setParameter", "a=1", "--oplogSize=16", "--setParameter=b=2", "--syncdelay=1"}
	if !slices.Equal(argv, want) {
		t.Errorf("got %q, want %q", argv, want)
	}
}

func TestOverrideYAML(t *testing.T) {
	t.Parallel()
	got := overrideYAML([]string{"a.b: 1", "a.bc: 2"}, []string{"a.b: 3", "d: 4"})
	if want := []string{"a.bc: 2", "a.b: 3", "d: 4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpec_KeyTellsServersApart(t *testing.T) {
	t.Parallel()
	base := newSpec(kindMySQL, nil)
	if base.key() != newSpec(kindMySQL, []Option{Nodes(1)}).key() {
		t.Error("equal wishes have different keys")
	}
	seen := map[string]bool{base.key(): true}
	for _, s := range []spec{
		newSpec(kindMariaDB, nil), newSpec(kindMySQL, []Option{Version("9")}),
		newSpec(kindMySQL, []Option{Config("a=1")}), newSpec(kindMySQL, []Option{Config("a=1"), Config("b=2")}),
		newSpec(kindMySQL, []Option{Nodes(3)}),
	} {
		if seen[s.key()] {
			t.Errorf("%q stands for two servers", s.key())
		}
		seen[s.key()] = true
	}
}

func TestPorts_KeepsWhatItGave(t *testing.T) {
	t.Parallel()
	first, err := newPorts()
	if err != nil {
		t.Fatal(err)
	}
	port, err := first.take()
	if err != nil {
		t.Fatal(err)
	}
	if port < minPort || port >= maxPort {
		t.Errorf("port %d", port)
	}
	second, err := newPorts() // as another supervisor would
	if err != nil {
		t.Fatal(err)
	}
	if err := second.keep(port); err == nil {
		t.Error("a port that is kept was given to another supervisor")
	}
	first.drop(port)
	if err := second.keep(port); err != nil {
		t.Errorf("a dropped port cannot be had: %v", err)
	}
	second.drop(port)
}
