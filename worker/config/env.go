package config

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/settings"
)

const (
	prefixPenstock  = "PENSTOCK_"
	prefixConnect   = "CONNECT_"
	prefixConnector = "PENSTOCK_CONNECTOR_"
	suffixFile      = "_FILE"
)

// unprefixed are the variables of Debezium's container image.
var unprefixed = map[string]string{
	"BOOTSTRAP_SERVERS":        "bootstrap.servers",
	"GROUP_ID":                 "group.id",
	"CONFIG_STORAGE_TOPIC":     "config.storage.topic",
	"OFFSET_STORAGE_TOPIC":     "offset.storage.topic",
	"STATUS_STORAGE_TOPIC":     "status.storage.topic",
	"KEY_CONVERTER":            "key.converter",
	"VALUE_CONVERTER":          "value.converter",
	"REST_PORT":                "rest.port",
	"REST_HOST_NAME":           "rest.host.name",
	"ADVERTISED_HOST_NAME":     "rest.advertised.host.name",
	"ADVERTISED_PORT":          "rest.advertised.port",
	"OFFSET_FLUSH_INTERVAL_MS": "offset.flush.interval.ms",
	"OFFSET_FLUSH_TIMEOUT_MS":  "offset.flush.timeout.ms",
	"SHUTDOWN_TIMEOUT":         "task.shutdown.graceful.timeout.ms",
	"LOG_LEVEL":                "penstock.log.level",
}

// others are prefixes of variables that are not for the daemon.
var others = []string{"PENSTOCK_TEST_", "PENSTOCK_SERVERS_"}

// environ is the environment.
type environ struct {
	names  []string // sorted
	values map[string]string
}

func environment(list []string) environ {
	e := environ{values: map[string]string{}}
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.values[k] = v
		}
	}
	for k := range e.values {
		e.names = append(e.names, k)
	}
	slices.Sort(e.names)
	return e
}

func (e environ) lookup(name string) (string, bool) {
	v, ok := e.values[name]
	return v, ok
}

// worker returns the worker's settings: PENSTOCK_ wins over CONNECT_, and
// that over the unprefixed names.
func (e environ) worker(known keyTable) (map[string]string, settings.Problems) {
	out := map[string]string{}
	var problems settings.Problems
	for name, key := range unprefixed {
		if v, ok := e.values[name]; ok && v != "" {
			out[key] = v
		}
	}
	for _, prefix := range []string{prefixConnect, prefixPenstock} {
		for _, name := range e.names {
			rest, ok := strings.CutPrefix(name, prefix)
			if !ok || rest == "" || strings.HasPrefix(name, prefixConnector) ||
				slices.ContainsFunc(others, func(o string) bool { return strings.HasPrefix(name, o) }) {
				continue
			}
			key, value, err := e.setting(name, rest, known)
			if err != nil {
				problems = append(problems, settings.Problem{Key: key, Message: err.Error()})
				continue
			}
			if d, ok := workerSettings.Lookup(key); ok {
				key = d.Key // so that an alias does not hide beside its key
			}
			out[key] = value
		}
	}
	return out, problems
}

// setting returns the key and value that a variable gives, rest being the
// part of its name that stands for the key. With the suffix _FILE the value
// is a reference to the file, unless the whole is a known key.
func (e environ) setting(name, rest string, known keyTable) (key, value string, err error) {
	key, isKnown := known.match(rest)
	if file, ok := strings.CutSuffix(rest, suffixFile); ok && file != "" && !isKnown {
		key, _ = known.match(file)
		ref, err := fileReference(name, e.values[name])
		return key, ref, err
	}
	return key, e.values[name], nil
}

// fileReference returns a reference to the whole of a file, and checks that
// it can be read now, so that a mistake is reported with the variable's name.
func fileReference(name, path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", fmt.Errorf("%s names the file %s: %w", name, path, reason(err))
	}
	if info.IsDir() {
		return "", fmt.Errorf("%s names %s, which is a folder and not a file", name, path)
	}
	f, err := os.Open(abs)
	if err != nil {
		return "", fmt.Errorf("%s names the file %s: %w", name, path, reason(err))
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("%s names the file %s: %w", name, path, reason(err))
	}
	dir, file := filepath.Split(abs)
	if strings.ContainsAny(abs, ":}") {
		return "", fmt.Errorf("%s names the file %s: a path with : or } cannot be referred to", name, path)
	}
	return "${dir:" + filepath.Clean(dir) + ":" + file + "}", nil
}

// connectors returns those that variables declare. definitions may be nil.
func (e environ) connectors(definitions func(class string) []*settings.Set) ([]Connector, settings.Problems) {
	var problems settings.Problems
	problem := func(key, format string, args ...any) {
		problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	whole := map[string]Connector{}
	parts := map[string][]string{} // connector -> variables
	for _, name := range e.names {
		rest, ok := strings.CutPrefix(name, prefixConnector)
		if !ok || rest == "" {
			continue
		}
		if connector, key, ok := strings.Cut(rest, "__"); ok {
			if connector == "" || key == "" {
				problem(name, "%s: a connector's variable is %s<NAME>__<KEY>", name, prefixConnector)
				continue
			}
			parts[connectorName(connector)] = append(parts[connectorName(connector)], name)
			continue
		}
		text := e.values[name]
		if cut, ok := strings.CutSuffix(rest, suffixFile); ok && cut != "" && !strings.HasPrefix(strings.TrimSpace(text), "{") {
			raw, err := os.ReadFile(text)
			if err != nil {
				problem(name, "%s names the file %s: %v", name, text, reason(err))
				continue
			}
			rest, text = cut, string(raw)
		}
		c, err := parseConnector(text, connectorName(rest))
		if err != nil {
			problem(name, "%s: %v", name, err)
			continue
		}
		c.Origin = "the variable " + name
		whole[connectorName(rest)] = c
	}
	names := make([]string, 0, len(whole)+len(parts))
	for n := range whole {
		names = append(names, n)
	}
	for n := range parts {
		if _, both := whole[n]; !both {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var out []Connector
	for _, n := range names {
		c, ok := whole[n]
		if !ok {
			c = Connector{Name: n, Config: map[string]string{}, Origin: "the variables " + prefixConnector + strings.ToUpper(strings.ReplaceAll(n, "-", "_")) + "__…"}
		}
		for _, err := range e.addParts(&c, parts[n], definitions) {
			problem(n, "%v", err)
		}
		out = append(out, c)
	}
	return out, problems
}

func connectorName(variable string) string {
	return strings.ToLower(strings.ReplaceAll(variable, "_", "-"))
}

// addParts adds the settings that single variables give. Passwords become
// references to their variable, so that what is stored in the config topic
// and shown over REST holds none.
func (e environ) addParts(c *Connector, variables []string, definitions func(class string) []*settings.Set) []error {
	key := func(variable string) string {
		_, key, _ := strings.Cut(strings.TrimPrefix(variable, prefixConnector), "__")
		return key
	}
	class := c.Config["connector.class"]
	for _, v := range variables {
		if keyOf(key(v)) == "connector.class" {
			class = e.values[v]
		}
	}
	var sets []*settings.Set
	if definitions != nil {
		sets = definitions(class)
	}
	table := keyTable{}
	for _, s := range sets {
		table.add(s)
	}
	var errs []error
	for _, v := range variables {
		k, value, err := e.setting(v, key(v), table)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if secret(k, sets) && value == e.values[v] && value != "" && !HasReference(value) {
			value = "${env:" + v + "}"
		}
		c.Config[k] = value
	}
	if name := c.Config["name"]; name != "" {
		c.Name = name
	}
	return errs
}

func secret(key string, sets []*settings.Set) bool {
	for _, s := range sets {
		if d, ok := s.Lookup(key); ok {
			return d.Type == settings.Password
		}
	}
	// Settings of clients and converters have no definition in these sets.
	last := key[strings.LastIndexByte(key, '.')+1:]
	return last == "password" || last == "secret" || strings.HasSuffix(key, "sasl.jaas.config") || strings.HasSuffix(key, "user.info")
}

// parseConnector reads a connector from JSON: {"name":…,"config":{…}} or a
// flat object with or without name.
func parseConnector(text, name string) (Connector, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return Connector{}, fmt.Errorf("it is not a JSON object: %w", err)
	}
	if d.More() {
		return Connector{}, fmt.Errorf("there is something after the JSON object")
	}
	c := Connector{Name: name, Config: map[string]string{}}
	if inner, ok := fields["config"].(map[string]any); ok {
		if n, ok := fields["name"].(string); ok && n != "" {
			c.Name = n
		}
		fields = inner
	}
	for k, v := range fields {
		switch v := v.(type) {
		case string:
			c.Config[k] = v
		case json.Number:
			c.Config[k] = v.String()
		case bool:
			c.Config[k] = strconv.FormatBool(v)
		default:
			return Connector{}, fmt.Errorf("the value of %q is neither a string, a number nor a boolean", k)
		}
	}
	if n := c.Config["name"]; n != "" {
		c.Name = n
	}
	if c.Name == "" {
		return Connector{}, fmt.Errorf(`it has no "name"`)
	}
	return c, nil
}

// readFolder reads the *.json files of a folder. A file without a name gives
// its connector the file's.
func readFolder(dir string) ([]Connector, settings.Problems) {
	if dir == "" {
		return nil, nil
	}
	var problems settings.Problems
	problem := func(format string, args ...any) {
		problems = append(problems, settings.Problem{Key: "penstock.connectors.dir", Message: fmt.Sprintf(format, args...)})
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		problem("read penstock.connectors.dir=%s: %v", dir, reason(err))
		return nil, problems
	}
	var out []Connector
	origin := map[string]string{}
	for _, entry := range entries {
		base, ok := strings.CutSuffix(entry.Name(), ".json")
		if entry.IsDir() || !ok || strings.HasPrefix(base, ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			problem("read %s: %v", path, reason(err))
			continue
		}
		c, err := parseConnector(string(text), base)
		if err != nil {
			problem("%s: %v", path, err)
			continue
		}
		if other, twice := origin[c.Name]; twice {
			problem("%s and %s both declare the connector %s", other, path, c.Name)
			continue
		}
		c.Origin = "the file " + path
		origin[c.Name] = path
		out = append(out, c)
	}
	return out, problems
}

func joinHostPort(host string, port int64) string {
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
