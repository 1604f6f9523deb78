package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
)

type pluginJSON struct {
	Class   string         `json:"class"`
	Type    catalogue.Kind `json:"type"`
	Version string         `json:"version"`
}

// listPlugins is GET /connector-plugins.
func (a *API) listPlugins(w http.ResponseWriter, r *http.Request) error {
	only := true
	if v, given := r.URL.Query()["connectorsOnly"]; given {
		only = strings.EqualFold(v[0], "true")
	}
	out := []pluginJSON{}
	for _, p := range a.Supervisor.Catalogue.Plugins() {
		if p.Kind == catalogue.Source || p.Kind == catalogue.Sink || !only && p.Kind == catalogue.Converter {
			out = append(out, pluginJSON{p.Class(), p.Kind, p.Version})
		}
	}
	if !only {
		out = append(out, a.headerConverters()...)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// headerConverters are most converters once more, and those that are nothing
// else.
func (a *API) headerConverters() []pluginJSON {
	var out []pluginJSON
	for _, p := range a.Supervisor.Catalogue.Plugins() {
		if p.ConvertsHeaders() {
			out = append(out, pluginJSON{p.Class(), catalogue.HeaderConverter, p.Version})
		}
	}
	slices.SortFunc(out, func(a, b pluginJSON) int { return strings.Compare(a.Class, b.Class) })
	return out
}

// pluginConfig is GET /connector-plugins/{plugin}/config.
func (a *API) pluginConfig(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("plugin")
	p, ok := a.Supervisor.Catalogue.Find(name)
	if !ok {
		return notFound("Unknown plugin %s.", name)
	}
	if v := r.URL.Query().Get("version"); v != "" && !inRange(p.Version, v) {
		return badRequest("Plugin %s not found that matches the version range %s, available versions: [%s]", name, showRange(v), p.Version)
	}
	writeJSON(w, http.StatusOK, a.Supervisor.Catalogue.Describe(p))
	return nil
}

type validationJSON struct {
	Name       string       `json:"name"`
	ErrorCount int          `json:"error_count"`
	Groups     []string     `json:"groups"`
	Configs    []configJSON `json:"configs"`
}

type configJSON struct {
	Definition catalogue.Definition `json:"definition"`
	Value      valueJSON            `json:"value"`
}

type valueJSON struct {
	Name        string   `json:"name"`
	Value       *string  `json:"value"`
	Recommended []string `json:"recommended_values"`
	Errors      []string `json:"errors"`
	Visible     bool     `json:"visible"`
}

// validate is PUT /connector-plugins/{plugin}/config/validate.
func (a *API) validate(w http.ResponseWriter, r *http.Request) error {
	var body configMap
	if present, err := decode(r, &body); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	plugin := r.PathValue("plugin")
	if class := body["connector.class"]; class != nil && !a.sameClass(plugin, *class) {
		return badRequest("Included connector type %s does not match request type %s", *class, plugin)
	}
	e, err := a.evaluate(w, r, body)
	var unreadable *config.UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return &failure{http.StatusInternalServerError, unreadable.Error()}
	case err != nil:
		// Kafka Connect wraps what is a 400 elsewhere.
		return &failure{http.StatusInternalServerError, "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: " + err.Error()}
	}
	out := validationJSON{Name: e.Class, Groups: e.Groups(), Configs: []configJSON{}}
	for _, entry := range e.Entries() {
		out.ErrorCount += len(entry.Errors)
		out.Configs = append(out.Configs, configJSON{entry.Definition, valueJSON{
			entry.Definition.Name, entry.Value, entry.Recommended, entry.Errors, entry.Visible,
		}})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// sameClass reports whether the class in a body goes with the plugin in the
// path: the path may be the end of it.
func (a *API) sameClass(path, class string) bool {
	trim := func(s string) string { return strings.TrimSuffix(s, "Connector") }
	if strings.HasSuffix(trim(class), trim(path)) {
		return true
	}
	p, ok := a.Supervisor.Catalogue.Find(path)
	q, also := a.Supervisor.Catalogue.Find(class)
	return ok && also && p == q && path == p.Name
}

// inRange reports whether a version is in a range as Maven writes them:
// 1.0 alone is exactly that, [1.0,2.0) is from and below.
func inRange(version, spec string) bool {
	if !strings.ContainsAny(spec[:1], "[(") {
		return compareVersions(version, spec) == 0 && isVersion(spec)
	}
	low, high, ok := strings.Cut(strings.Trim(spec, "[]()"), ",")
	if !ok {
		return compareVersions(version, low) == 0
	}
	above := low == "" || compareVersions(version, low) > 0 || spec[0] == '[' && compareVersions(version, low) == 0
	below := high == "" || compareVersions(version, high) < 0 || strings.HasSuffix(spec, "]") && compareVersions(version, high) == 0
	return above && below
}

func showRange(spec string) string {
	if strings.ContainsAny(spec[:1], "[(") {
		return spec
	}
	return fmt.Sprintf("[%s,%s]", spec, spec)
}

func isVersion(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// compareVersions compares the leading numbers.
func compareVersions(a, b string) int {
	x, y := numbers(a), numbers(b)
	for i := range max(len(x), len(y)) {
		var p, q int
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p != q {
			return p - q
		}
	}
	return 0
}

func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n := 0
		if _, err := fmt.Sscanf(part, "%d", &n); err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}
