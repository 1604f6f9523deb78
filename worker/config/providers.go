package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// reference is Kafka's own pattern: ${provider:path:key} or ${provider:key}.
var reference = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// HasReference reports whether a value refers to something elsewhere.
func HasReference(value string) bool { return reference.MatchString(value) }

// Providers resolve references inside values. They are safe for concurrent
// use.
type Providers struct {
	named map[string]provider
}

// provider returns the value of a key at a path.
type provider interface {
	lookup(path, key string) (string, error)
}

// UnreadableError says that a reference's file could not be read.
type UnreadableError struct {
	Path string
	Err  error
}

// Error is the sentence of Kafka's FileConfigProvider, which clients know.
func (e *UnreadableError) Error() string { return "Could not read properties from file " + e.Path }

// Unwrap returns why.
func (e *UnreadableError) Unwrap() error { return e.Err }

// The classes of Kafka's own providers, and the names under which they are
// there without being configured.
var providerNames = map[string]string{
	"EnvVarConfigProvider":    "env",
	"FileConfigProvider":      "file",
	"DirectoryConfigProvider": "dir",
}

// NewProviders returns the providers env, file and dir, and those that the
// worker's config.providers names. getenv looks up a variable.
func NewProviders(worker map[string]string, getenv func(string) (string, bool)) (*Providers, settings.Problems) {
	p := &Providers{named: map[string]provider{}}
	var problems settings.Problems
	add := func(name, kind string) {
		prefix := "config.providers." + name + ".param."
		switch kind {
		case "env":
			e := envProvider{getenv: getenv}
			if pattern := worker[prefix+"allowlist.pattern"]; pattern != "" {
				re, err := regexp.Compile(`^(?:` + pattern + `)$`)
				if err != nil {
					problems = append(problems, settings.Problem{Key: prefix + "allowlist.pattern", Message: fmt.Sprintf("Invalid value %s for configuration %sallowlist.pattern: %v", pattern, prefix, err)})
					return
				}
				e.allowed = re
			}
			p.named[name] = e
		case "file":
			p.named[name] = fileProvider{allowed: allowedPaths(worker[prefix+"allowed.paths"])}
		case "dir":
			p.named[name] = dirProvider{allowed: allowedPaths(worker[prefix+"allowed.paths"])}
		}
	}
	for _, name := range providerNames {
		add(name, name)
	}
	for _, name := range settings.SplitList(worker["config.providers"]) {
		key := "config.providers." + name + ".class"
		class := worker[key]
		kind, ok := providerNames[class[strings.LastIndexByte(class, '.')+1:]]
		switch {
		case ok:
			add(name, kind)
		case class == "" && p.named[name] != nil:
		case class == "":
			problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("config.providers names %s, but %s is not set: use org.apache.kafka.common.config.provider.FileConfigProvider, DirectoryConfigProvider or EnvVarConfigProvider", name, key)})
		default:
			problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("Invalid value %s for configuration %s: Penstock has FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider", class, key)})
		}
	}
	return p, problems
}

// Resolve returns the value with its references replaced. An unknown
// provider, a file that cannot be read and a key that is not there are
// errors; an error never holds a resolved value.
func (p *Providers) Resolve(value string) (string, error) {
	out, _, err := p.Trace(value)
	return out, err
}

// Trace is Resolve that also returns what each of the references stands for.
func (p *Providers) Trace(value string) (resolved string, referred []string, err error) {
	if !strings.Contains(value, "${") {
		return value, nil, nil
	}
	var problems []error
	resolved = reference.ReplaceAllStringFunc(value, func(ref string) string {
		text, err := p.lookup(ref)
		if err != nil {
			problems = append(problems, err)
			return ref
		}
		referred = append(referred, text)
		return text
	})
	switch len(problems) {
	case 0:
		return resolved, referred, nil
	case 1:
		return "", referred, problems[0] // unjoined, so that its text stays as it is
	}
	return "", referred, errors.Join(problems...)
}

// lookup returns what one reference stands for.
func (p *Providers) lookup(ref string) (string, error) {
	m := reference.FindStringSubmatch(ref)
	name, path, key := m[1], m[3], m[4]
	known, ok := p.named[name]
	if !ok {
		return "", fmt.Errorf("%s refers to the provider %q, which is not configured: there are %s; others go into config.providers", ref, name, p.names())
	}
	text, err := known.lookup(path, key)
	var unreadable *UnreadableError
	if err != nil && !errors.As(err, &unreadable) {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	return text, err
}

// ResolveAll returns a copy of a configuration with all references replaced,
// and a problem for each setting whose reference cannot be.
func (p *Providers) ResolveAll(raw map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(raw))
	var problems []error
	keys := make([]string, 0, len(raw))
	for k := range raw {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v, err := p.Resolve(raw[k])
		if err != nil {
			problems = append(problems, &ReferenceError{Key: k, Err: err})
		}
		out[k] = v
	}
	return out, errors.Join(problems...)
}

// ReferenceError says that a setting's reference cannot be resolved.
type ReferenceError struct {
	Key string
	Err error
}

// Error names the setting, unless the text is one of Kafka's own.
func (e *ReferenceError) Error() string {
	var unreadable *UnreadableError
	if errors.As(e.Err, &unreadable) {
		return e.Err.Error()
	}
	return e.Key + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *ReferenceError) Unwrap() error { return e.Err }

func (p *Providers) names() string {
	var names []string
	for n := range p.named {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

type envProvider struct {
	getenv  func(string) (string, bool)
	allowed *regexp.Regexp
}

func (e envProvider) lookup(_, key string) (string, error) {
	if e.allowed != nil && !e.allowed.MatchString(key) {
		return "", fmt.Errorf("the variable %s does not match allowlist.pattern", key)
	}
	v, ok := e.getenv(key)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set", key)
	}
	return v, nil
}

type fileProvider struct{ allowed []string }

func (f fileProvider) lookup(path, key string) (string, error) {
	if err := mayRead(f.allowed, path); err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", &UnreadableError{Path: path, Err: err}
	}
	properties, err := ParseProperties(string(text))
	if err != nil {
		return "", &UnreadableError{Path: path, Err: err}
	}
	v, ok := properties[key]
	if !ok {
		return "", fmt.Errorf("there is no key %q in %s", key, path)
	}
	return v, nil
}

type dirProvider struct{ allowed []string }

// lookup returns the content of a file without line ends at its end, which
// editors and `echo` leave in secrets.
func (d dirProvider) lookup(path, key string) (string, error) {
	file := filepath.Join(path, key)
	if key == "" || filepath.Base(file) != key {
		return "", fmt.Errorf("%q is not the name of a file in %s", key, path)
	}
	if err := mayRead(d.allowed, file); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, reason(err))
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func allowedPaths(list string) []string {
	var out []string
	for _, p := range settings.SplitList(list) {
		out = append(out, filepath.Clean(p))
	}
	return out
}

// mayRead follows symbolic links, so that none leads out of the allowed paths.
func mayRead(allowed []string, path string) error {
	if len(allowed) == 0 {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return &UnreadableError{Path: path, Err: err}
	}
	for _, a := range allowed {
		if rel, err := filepath.Rel(a, real); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return nil
		}
	}
	return fmt.Errorf("%s is not below one of allowed.paths", path)
}

// reason leaves the path out of an error of package os, as it is said already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
