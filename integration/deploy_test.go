package integration

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/worker"
	"github.com/penstock/penstock/worker/catalogue"
)

// deployed reads a file of deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unquoted takes quotation marks off, as YAML, a shell and systemd do for the
// values that there are.
func unquoted(s string) string {
	if len(s) > 1 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// assignments adds NAME=value, as ENV of a Dockerfile and Environment of a unit
// have them.
func assignments(env map[string]string, text string) {
	for _, m := range regexp.MustCompile(`\b(PENSTOCK_\w+)=(\S+)`).FindAllStringSubmatch(text, -1) {
		env[m[1]] = m[2]
	}
}

// TestDeploy_SetsWhatTheDaemonKnows reads the configurations in deploy as
// whoever starts the daemon with them does: every variable is a setting, and
// nothing is missing.
func TestDeploy_SetsWhatTheDaemonKnows(t *testing.T) {
	t.Parallel()
	lines := func(text, pattern string) (env map[string]string) {
		env = map[string]string{}
		for _, m := range regexp.MustCompile(`(?m)`+pattern).FindAllStringSubmatch(text, -1) {
			env[m[1]] = unquoted(m[2])
		}
		return env
	}
	example := lines(deployed(t, "penstock.env.example"), `^(PENSTOCK_\w+)=(.*)$`)
	assignments(example, regexp.MustCompile(`(?m)^Environment=.*$`).FindString(deployed(t, "penstock.service")))
	cluster := maps.Clone(example)
	maps.Copy(cluster, lines(deployed(t, "penstock.env.example"), `^#(PENSTOCK_\w+)=(.*)$`))

	service := regexp.MustCompile(`(?ms)^  penstock:\n.*?^  \w`).FindString(deployed(t, "compose.yaml"))
	compose := lines(service, `^ +(PENSTOCK_\w+): ('[^']*'|"[^"]*"|\S*)(?: +#.*)?$`)
	for k, v := range compose {
		v = regexp.MustCompile(`\$\{DEMO_PASSWORD[^}]*\}`).ReplaceAllString(v, "secret")
		compose[k] = strings.ReplaceAll(v, "$$", "$")
	}
	assignments(compose, deployed(t, "Dockerfile"))

	for _, tc := range []struct {
		name       string
		env        map[string]string
		variables  int // at least
		connectors []string
	}{
		{"penstock.env.example", example, 30, []string{"blog", "mirror", "search", "shop"}},
		{"penstock.env.example with a cluster", cluster, 34, []string{"blog", "mirror", "search", "shop"}},
		{"compose.yaml", compose, 28, []string{"blog", "mirror", "search", "shop"}},
	} {
		if len(tc.env) < tc.variables {
			t.Errorf("%s: found %d variables, want at least %d", tc.name, len(tc.env), tc.variables)
		}
		secrets := t.TempDir()
		var environ []string
		for k, v := range tc.env {
			if strings.HasSuffix(k, "_FILE") {
				path := filepath.Join(secrets, filepath.Base(v))
				text := "mongodb://127.0.0.1"
				if strings.Contains(k, "JAAS") {
					text = `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";`
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				v = path
			}
			environ = append(environ, k+"="+v)
		}
		w, problems := worker.LoadConfig(worker.Options{Environ: environ})
		for _, p := range problems {
			t.Errorf("%s: %s: %s", tc.name, p.Key, p.Message)
		}
		var names []string
		for _, c := range w.Connectors {
			names = append(names, c.Name)
			raw := map[string]*string{"name": &c.Name}
			for k, v := range c.Config {
				raw[k] = &v
			}
			quiet := func(string) *slog.Logger { return slog.New(slog.DiscardHandler) }
			e, err := worker.Catalogue().Evaluate(catalogue.Env{Worker: w, Logger: quiet}, raw)
			if err != nil {
				t.Fatalf("%s: %s: %v", tc.name, c.Name, err)
			}
			for _, message := range e.Errors() {
				t.Errorf("%s: %s: %s", tc.name, c.Name, message)
			}
			for _, p := range e.Warnings {
				t.Errorf("%s: %s: %s: %s", tc.name, c.Name, p.Key, p.Message)
			}
		}
		if !slices.Equal(names, tc.connectors) {
			t.Errorf("%s declares the connectors %v, want %v", tc.name, names, tc.connectors)
		}
	}
}
