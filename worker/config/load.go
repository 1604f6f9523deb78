package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Source is where the configuration comes from.
type Source struct {
	// Environ are the variables, as os.Environ returns them.
	Environ []string
	// File is the path of a properties file, or empty.
	File string
	// Client are the definitions of Kafka client settings, which the worker
	// takes too.
	Client *settings.Set
	// Connector returns the definitions of a connector's settings by its
	// class, so that variables' names can be matched to them; nil if there is
	// no such class.
	Connector func(class string) []*settings.Set
}

// Worker is a configuration, read.
type Worker struct {
	// Values are the worker's settings, with references resolved.
	settings.Values
	// Given are all settings as they were given, by their keys.
	Given map[string]string
	// Resolved are the same with references resolved.
	Resolved map[string]string
	// Providers resolve references in connectors' settings.
	Providers *Providers
	// Connectors are those declared in the environment and the folder, by name.
	Connectors []Connector
}

// Connector is a declared connector.
type Connector struct {
	Name   string
	Config map[string]string
	// Origin says where it is declared, for messages.
	Origin string
}

// Load reads the configuration. The Worker is usable if the problems are
// warnings only.
func Load(s Source) (*Worker, settings.Problems) {
	env := environment(s.Environ)
	var problems settings.Problems
	given := map[string]string{}
	if s.File != "" {
		text, err := os.ReadFile(s.File)
		if err == nil {
			given, err = ParseProperties(string(text))
		}
		if err != nil {
			problems = append(problems, settings.Problem{Key: "--config", Message: fmt.Sprintf("read %s: %v", s.File, reason(err))})
			given = map[string]string{}
		}
	}
	table := keyTable{}
	for _, set := range []*settings.Set{s.Client, workerSettings} {
		table.add(set)
	}
	fromEnv, more := env.worker(table)
	problems = append(problems, more...)
	maps.Copy(given, fromEnv)

	w := &Worker{Given: given}
	w.Providers, more = NewProviders(given, env.lookup)
	problems = append(problems, more...)
	resolved, err := w.Providers.ResolveAll(given)
	if err != nil {
		problems = append(problems, settings.Problem{Message: err.Error()})
	}
	w.Resolved = resolved
	w.Values, more = workerSettings.Parse(resolved)
	problems = append(problems, more...)
	problems = append(problems, settings.Unknown(given, knownPrefixes(), workerSettings, s.Client)...)
	for _, prefix := range []string{"producer.", "consumer.", "admin."} {
		for _, p := range settings.Unknown(settings.WithPrefix(given, prefix), nil, s.Client) {
			p.Key = prefix + p.Key
			problems = append(problems, p)
		}
	}
	declared, more := env.connectors(s.Connector)
	problems = append(problems, more...)
	inFolder, more := readFolder(w.String("penstock.connectors.dir"))
	problems = append(problems, more...)
	for _, c := range inFolder {
		if !slices.ContainsFunc(declared, func(d Connector) bool { return d.Name == c.Name }) {
			declared = append(declared, c)
		}
	}
	slices.SortFunc(declared, func(a, b Connector) int { return strings.Compare(a.Name, b.Name) })
	w.Connectors = declared
	return w, problems
}

func (known keyTable) add(set *settings.Set) {
	if set == nil {
		return
	}
	for _, d := range set.Defs() {
		known[strings.ToLower(d.Key)] = d.Key
		for _, a := range d.Aliases {
			known[strings.ToLower(a)] = a
		}
	}
}

// Client returns the settings of one kind of the worker's own Kafka clients
// ("producer", "consumer" or "admin"): the worker's client settings, over
// them those with the prefix.
func (w *Worker) Client(kind string, client *settings.Set) map[string]string {
	out := map[string]string{}
	for k, v := range w.Resolved {
		if _, ok := client.Lookup(k); ok && k != "group.id" && k != "client.id" {
			// The worker's session is not its consumers'.
			if own, ok := workerSettings.Lookup(k); ok && own.Ignored != "" {
				continue
			}
			out[k] = v
		}
	}
	maps.Copy(out, settings.WithPrefix(w.Resolved, kind+"."))
	return out
}

// Listeners returns the host:port of each listener.
func (w *Worker) Listeners() []string {
	if !w.IsSet("listeners") && (w.IsSet("rest.port") || w.IsSet("rest.host.name")) {
		host, port := w.String("rest.host.name"), w.Int("rest.port")
		if port == 0 {
			port = 8083
		}
		if host == "" {
			host = "127.0.0.1"
		}
		return []string{joinHostPort(host, port)}
	}
	var out []string
	for _, l := range w.List("listeners") {
		if hostPort, err := ParseListener(l); err == nil { // else Check has reported it
			out = append(out, hostPort)
		}
	}
	return out
}
