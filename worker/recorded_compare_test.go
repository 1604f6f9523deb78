package worker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// volatile are fields whose values differ from run to run. Only their types
// are compared.
var volatile = []string{
	"timestamp", "last_modified", "discoverTimestamp", "creation-timestamp", "generation", "lsn", "txId", "ts_usec", "ts_sec", "pos", "gtids",
	"file_pos", "kafka_cluster_id",
	// By rule: a commit is ours, documentation sentences are ours.
	"commit", "documentation",
}

// pageTitle is in the pages of Kafka Connect's web server, whose bodies are
// not compared.
var pageTitle = regexp.MustCompile(`<title>.*</title>`)

// compare returns how a body differs from the recorded one.
func (c *conversation) compare(e exchange, answer []byte) []string {
	want := e.ResponseBody
	var text string
	if json.Unmarshal(want, &text) == nil {
		if title := pageTitle.FindString(text); title != "" {
			if have := pageTitle.FindString(string(answer)); have != title {
				return []string{fmt.Sprintf("body: a page with %q instead of %q", have, title)}
			}
			return nil
		}
		if string(answer) != text {
			return []string{fmt.Sprintf("body: %.300q instead of %.300q", answer, text)}
		}
		return nil
	}
	var file struct {
		File string `json:"@file"`
		Key  string `json:"@key"`
	}
	if json.Unmarshal(want, &file) == nil && file.File != "" {
		want = c.big[file.File][file.Key]
	}
	var expected, got any
	if err := json.Unmarshal([]byte(c.fill.Replace(c.ours(want))), &expected); err != nil {
		return []string{fmt.Sprintf("the recording is no JSON: %v", err)}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return []string{fmt.Sprintf("the body is no JSON: %v: %.300q", err, answer)}
	}
	d := differ{}
	switch {
	case e.Status == http.StatusInternalServerError:
		// The texts are Java's; that there is one is what counts.
		d.message(got, expected, e)
	case strings.HasPrefix(e.Path, "/connector-plugins") && e.Status == 200:
		d.plugins(c, file.File, file.Key, got, expected)
	case strings.HasPrefix(e.Path, "/admin/loggers") && e.Status == 200:
		d.loggers(e, got, expected)
	case e.Path == "/connectors" || strings.HasPrefix(e.Path, "/connectors?"):
		d.names(c, got, expected)
	case strings.HasSuffix(e.Path, "/offsets") && e.Status == 200:
		d.offsets(got, expected)
	default:
		d.value("", got, expected)
	}
	return d.found
}

type differ struct{ found []string }

func (d *differ) report(path, format string, args ...any) {
	d.found = append(d.found, path+": "+fmt.Sprintf(format, args...))
}

// value compares JSON: objects without order, lists in order.
func (d *differ) value(path string, got, want any) {
	key := path[strings.LastIndexByte(path, '.')+1:]
	if slices.Contains(volatile, key) || strings.HasSuffix(path, ".offset.file") {
		if g, w := fmt.Sprintf("%T", got), fmt.Sprintf("%T", want); g != w {
			d.report(path, "%.200v is a %s instead of a %s", got, g, w)
		}
		return
	}
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			d.report(path, "%.200v instead of an object", got)
			return
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			v, ok := have[k]
			if !ok {
				d.report(path+"."+k, "missing; the recording has %.200v", want[k])
				continue
			}
			d.value(path+"."+k, v, want[k])
		}
		for _, k := range slices.Sorted(maps.Keys(have)) {
			if _, ok := want[k]; !ok {
				d.report(path+"."+k, "too much: %.200v", have[k])
			}
		}
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) != len(want) {
			d.report(path, "%.300v instead of %.300v", got, want)
			return
		}
		for i := range want {
			d.value(fmt.Sprintf("%s[%d]", path, i), have[i], want[i])
		}
	case string:
		have, ok := got.(string)
		if !ok || !sameText(key, have, want) {
			d.report(path, "%.700q instead of %.700q", got, want)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			d.report(path, "%v instead of %v", got, want)
		}
	}
}

var (
	mapText = regexp.MustCompile(`\{([^{}]*)\}`)
	account = regexp.MustCompile(`'[^']*'@'[^']*'`)
)

// wrapped is in front of a message when the same class was asked for before.
const wrapped = "org.apache.kafka.connect.errors.ConnectException: "

// sameText compares texts by the rules for their field.
func sameText(key, got, want string) bool {
	switch key {
	case "trace":
		return sameTrace(got, want)
	case "message":
		return normalMessage(got) == normalMessage(want)
	}
	return got == want
}

// sameTrace compares what people and their alerts can rely on in a trace: the
// class it begins with; the message, after which ours may go on with the
// remedy; and of the causes those that are Kafka's classes, in their order. It
// compares neither Java's frames nor the causes within Java's libraries
// (Jackson, java.nio), which have no like here, nor Kafka's texts of causes.
func sameTrace(got, want string) bool {
	w, g := exceptions(want), exceptions(got)
	if len(g) == 0 || !strings.HasPrefix(normalTrace(g[0]), normalTrace(w[0])) {
		return false
	}
	g = g[1:]
	for _, cause := range w[1:] {
		class, _, _ := strings.Cut(cause, ": ")
		if !strings.HasPrefix(class, "org.apache.kafka.") {
			continue
		}
		i := slices.IndexFunc(g, func(ours string) bool { return strings.HasPrefix(ours, class+": ") })
		if i < 0 {
			return false
		}
		g = g[i+1:]
	}
	return true
}

// exceptions returns "class: message" of a trace and its causes.
func exceptions(trace string) []string {
	var out []string
	for i, part := range strings.Split(trace, "\nCaused by: ") {
		line, _, _ := strings.Cut(part, "\n")
		if class, _, ok := strings.Cut(line, ":"); !ok || strings.ContainsAny(class, " \t") {
			continue
		}
		if i == 0 || line != out[len(out)-1] {
			out = append(out, line)
		}
	}
	return out
}

var (
	// A value behind a reference is shown here as the reference.
	shownValue = regexp.MustCompile(`Invalid value \S+ for configuration`)
	// Debezium prints its own object.
	shownOffset = regexp.MustCompile(`starting at .*, but this is no longer available`)
)

func normalTrace(line string) string {
	line = shownValue.ReplaceAllLiteralString(line, "Invalid value … for configuration")
	return shownOffset.ReplaceAllLiteralString(line, "starting at …, but this is no longer available")
}

// normalMessage takes the order of maps and sets, lists of plugins, accounts
// and Java's description of a pattern out of a message.
func normalMessage(m string) string {
	m = strings.Replace(m, wrapped, "", 1)
	if head, _, ok := strings.Cut(m, ", available connectors are:"); ok {
		return head
	}
	m = account.ReplaceAllLiteralString(m, "'…'@'…'")
	m = mapText.ReplaceAllStringFunc(m, func(s string) string {
		parts := strings.Split(strings.Trim(s, "{}"), ", ")
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	})
	lines := strings.Split(m, "\n")
	for i, line := range lines {
		if head, list, ok := strings.Cut(line, " must be one of"); ok {
			parts := strings.FieldsFunc(strings.TrimPrefix(list, " (case insensitive)"), func(r rune) bool { return strings.ContainsRune(":, ", r) })
			slices.Sort(parts)
			lines[i] = head + " must be one of " + strings.Join(parts, ", ")
		}
		for _, before := range []string{": Invalid regex", "regular expressions is expected"} {
			if head, _, ok := strings.Cut(line, before); ok {
				return strings.Join(append(lines[:i:i], head+before), "\n")
			}
		}
	}
	return strings.Join(lines, "\n")
}

// goName is in the texts of Go's JSON package.
var goName = regexp.MustCompile(`\bGo |\b(json|rest|map)[:.\[]`)

// message compares an answer whose text may be Java's, with the classes of
// Kafka Connect in it: then ours has to be in plain words.
func (d *differ) message(got, want any, e exchange) {
	g, _ := got.(map[string]any)
	w, _ := want.(map[string]any)
	if g["error_code"] != w["error_code"] || g["message"] == "" || len(g) != 2 {
		d.report("", "%v instead of %v", got, want)
	}
	text, _ := w["message"].(string)
	for _, java := range []string{"Cannot invoke", "Unrecognized", "Unexpected end-of-input", "Cannot deserialize", "Cannot construct"} {
		if !strings.Contains(text, java) {
			continue
		}
		if ours := fmt.Sprint(g["message"]); !strings.HasPrefix(ours, "The body ") || goName.MatchString(ours) {
			d.report(".message", "%q does not say in words what is wrong with the body", ours)
		}
		return
	}
	d.value(".message", g["message"], w["message"])
}

// names compares an unordered list of connectors.
func (d *differ) names(c *conversation, got, want any) {
	if w, ok := want.([]any); ok {
		g, _ := got.([]any)
		var missing []string
		less := func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
		slices.SortFunc(g, less)
		slices.SortFunc(w, less)
		w = slices.DeleteFunc(w, func(n any) bool {
			_, without := absent[fmt.Sprint(n)]
			if without {
				missing = append(missing, fmt.Sprint(n))
			}
			return without
		})
		d.value("", g, w)
		return
	}
	if w, ok := want.(map[string]any); ok {
		for name := range absent {
			delete(w, name)
		}
	}
	d.value("", got, want)
}

// offsets compares the offsets of a connector, whose order is that of a hash
// table in the recording.
func (d *differ) offsets(got, want any) {
	for _, v := range []any{got, want} {
		m, _ := v.(map[string]any)
		list, _ := m["offsets"].([]any)
		slices.SortFunc(list, func(a, b any) int {
			return strings.Compare(fmt.Sprint(a.(map[string]any)["partition"]), fmt.Sprint(b.(map[string]any)["partition"]))
		})
	}
	d.value("", got, want)
}

// loggers compares the loggers that are not those of Java classes that are not
// here.
func (d *differ) loggers(e exchange, got, want any) {
	if g, ok := got.([]any); ok {
		w, _ := want.([]any)
		d.value("", g, w)
		return
	}
	if strings.HasSuffix(e.Path, "/loggers") {
		g, _ := got.(map[string]any)
		w, _ := want.(map[string]any)
		for name := range w {
			if name == "root" || name == "org.example" || strings.HasPrefix(name, "org.apache.kafka.connect.file") {
				d.value("."+name, g[name], w[name])
			}
		}
		return
	}
	d.value("", got, want)
}

// plugins compares listings and definitions for the plugins that are here.
func (d *differ) plugins(c *conversation, file, key string, got, want any) {
	switch {
	case file == "plugins.json" && !strings.HasPrefix(key, "config "):
		d.listing(got, want)
	case strings.HasPrefix(file, "validate-"):
		d.validation(c, file, got, want)
	default:
		if w, ok := want.(map[string]any); ok && w["configs"] != nil {
			d.validation(c, "", got, want)
			return
		}
		d.definitions(got, want)
	}
}

// listing compares a list of plugins: those that are here have to be in the
// recorded order and as recorded, the others are known to be missing.
func (d *differ) listing(got, want any) {
	var have, wanted []string
	here := map[string]bool{}
	for _, p := range got.([]any) {
		m := p.(map[string]any)
		line := fmt.Sprint(m["type"], " ", m["class"], " ", m["version"])
		here[line] = true
		if !slices.Contains(ownPlugins, line) {
			have = append(have, line)
		}
	}
	for _, line := range ownPlugins {
		if !here[line] {
			d.report("", "%s is not listed", line)
		}
	}
	for _, p := range want.([]any) {
		m := p.(map[string]any)
		line := fmt.Sprint(m["type"], " ", m["class"], " ", m["version"])
		if !missingPlugin(fmt.Sprint(m["type"]), fmt.Sprint(m["class"])) {
			wanted = append(wanted, line)
		}
	}
	if !slices.Equal(have, wanted) {
		d.report("", "the plugins are %q instead of %q", have, wanted)
	}
}

// ownPlugins are listed here and not in the recording, whose worker had
// another MariaDB and none of these sinks.
var ownPlugins = []string{
	"sink com.mongodb.kafka.connect.MongoSinkConnector 2.0.1",
	"sink io.confluent.connect.elasticsearch.ElasticsearchSinkConnector 15.0.0",
	"source io.debezium.connector.mariadb.MariaDbConnector 3.6.1.Final",
}

// missingPlugin reports whether a recorded plugin is not here yet, or has the
// other version of ownPlugins.
func missingPlugin(kind, class string) bool {
	return kind == "transformation" || kind == "predicate" || strings.HasPrefix(class, "io.debezium.connector.mongodb.") ||
		strings.HasPrefix(class, "io.debezium.connector.mariadb.") || strings.HasPrefix(class, "io.debezium.converters.")
}

// definitions compares a list of definitions.
func (d *differ) definitions(got, want any) {
	g, gok := got.([]any)
	w, wok := want.([]any)
	if !gok || !wok {
		d.value("", got, want)
		return
	}
	var names [2][]string
	byName := map[any]any{}
	for _, def := range g {
		names[0] = append(names[0], fmt.Sprint(def.(map[string]any)["name"]))
		byName[def.(map[string]any)["name"]] = def
	}
	for _, def := range w {
		name := def.(map[string]any)["name"]
		names[1] = append(names[1], fmt.Sprint(name))
		if have, ok := byName[name]; ok {
			d.value("."+fmt.Sprint(name), have, def)
		}
	}
	if !slices.Equal(names[0], names[1]) {
		d.report("", "settings %v\n instead of %v", names[0], names[1])
	}
}

// validation compares a whole judgement. A recorded entry that is a name
// stands for that of the valid configuration.
func (d *differ) validation(c *conversation, file string, got, want any) {
	g, gok := got.(map[string]any)
	w, wok := want.(map[string]any)
	if !gok || !wok {
		d.value("", got, want)
		return
	}
	valid := map[string]any{}
	if file != "" {
		var v struct{ Configs []any }
		if err := json.Unmarshal([]byte(c.fill.Replace(c.ours(c.big[file]["valid"]))), &v); err != nil {
			d.report("", "the recording is no JSON: %v", err)
		}
		for _, entry := range v.Configs {
			valid[entryName(entry)] = entry
		}
	}
	have := map[string]any{}
	var names [2][]string
	for _, entry := range g["configs"].([]any) {
		have[entryName(entry)] = entry
		names[0] = append(names[0], entryName(entry))
	}
	for _, entry := range w["configs"].([]any) {
		if name, ok := entry.(string); ok {
			entry = valid[name]
		}
		name := entryName(entry)
		names[1] = append(names[1], name)
		if have[name] == nil {
			continue
		}
		d.entry(name, have[name].(map[string]any), entry.(map[string]any))
	}
	without := missing(names[1], names[0])
	besides := missing(names[0], names[1])
	switch inOrder := slices.DeleteFunc(slices.Clone(names[1]), func(n string) bool { return slices.Contains(without, n) }); {
	case len(without) > 0 || len(besides) > 0:
		d.report("configs", "without %s; with %s besides", listed(without), listed(besides))
	case !slices.Equal(names[0], inOrder):
		d.report("configs", "in the order %v instead of %v", names[0], names[1])
	}
	d.value("name", g["name"], w["name"])
	d.value("error_count", g["error_count"], w["error_count"])
	d.value("groups", g["groups"], w["groups"])
}

// missing returns what of all is not in some.
func missing(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(some, n) })
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " ")
}

func entryName(entry any) string {
	m, _ := entry.(map[string]any)
	def, _ := m["definition"].(map[string]any)
	return fmt.Sprint(def["name"])
}

func (d *differ) entry(name string, got, want map[string]any) {
	d.value(name, got["definition"], want["definition"])
	w, ok := want["value"].(map[string]any)
	if !ok {
		return // Debezium forgot one
	}
	g := got["value"].(map[string]any)
	if !strings.Contains(name, "converter") {
		// Enumerations come in no particular order.
		for _, m := range []map[string]any{g, w} {
			list, _ := m["recommended_values"].([]any)
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		d.value(name+".recommended_values", g["recommended_values"], w["recommended_values"])
	}
	have, _ := g["errors"].([]any)
	wanted, _ := w["errors"].([]any)
	for _, errs := range [][]any{have, wanted} {
		for i := range errs {
			errs[i] = normalMessage(fmt.Sprint(errs[i]))
		}
	}
	for i := range min(len(have), len(wanted)) {
		// What a real server said may be followed by the remedy.
		if h, w := have[i].(string), wanted[i].(string); strings.HasPrefix(w, "Unable to connect: ") && strings.HasPrefix(h, w) {
			have[i] = w
		}
	}
	for _, k := range []string{"value", "errors", "visible"} {
		d.value(name+"."+k, g[k], w[k])
	}
}
