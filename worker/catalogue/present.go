package catalogue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Definition is a setting's definition as the REST API shows it.
type Definition struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
	Order         int      `json:"order"`
}

// Entry is a setting of a configuration that was judged.
type Entry struct {
	Definition  Definition
	Value       *string
	Recommended []string
	Errors      []string
	Visible     bool
}

// present gives a problem the words of the connector's family.
func (e *Evaluation) present(key, message string) string {
	if _, framework := frameworkOf(e.Plugin.Kind).Lookup(key); framework {
		if key == "name" {
			return strings.Replace(message, "A value is required", "String may not be empty", 1)
		}
		if _, list, ok := strings.Cut(message, "Duplicate alias provided."); ok && list == "" {
			return fmt.Sprintf("Invalid value [%s] for configuration %s: Duplicate alias provided.", strings.Join(settings.SplitList(e.resolved[key]), ", "), key)
		}
		head, list, ok := strings.Cut(message, "Value must be one of ")
		if !ok {
			return message
		}
		if key == "transaction.boundary" || key == "exactly.once.support" {
			return head + "String must be one of (case insensitive): " + strings.ToUpper(list)
		}
		return head + "String must be one of: " + list
	}
	if _, own := e.Plugin.Settings.Lookup(key); !own || !e.Plugin.debezium() {
		return message
	}
	if strings.HasPrefix(message, "Missing required configuration") {
		return fmt.Sprintf("The '%s' value is invalid: A value is required", key)
	}
	_, why, ok := strings.Cut(message, " for configuration "+key+": ")
	if !ok || !strings.HasPrefix(message, "Invalid value ") {
		return message
	}
	switch why {
	case "Not a number of type INT", "Not a number of type SHORT":
		why = "An integer is expected"
	case "Not a number of type LONG":
		why = "A long value is expected"
	case "Expected value to be either true or false":
		why = "Either 'true' or 'false' is expected"
	}
	return fmt.Sprintf("The '%s' value is invalid: %s", key, why)
}

// Describe returns the definitions of a plugin's settings: its own, then
// those that every connector of its kind has.
func (c *Catalogue) Describe(p *Plugin) []Definition {
	out := definitions(p, p.Settings)
	if p.Kind == Source || p.Kind == Sink {
		out = append(out, definitions(p, frameworkOf(p.Kind))...)
	}
	return out
}

// dependents are the settings that Debezium says depend on another.
var dependents = map[string][]string{
	"schema.include.list":   {"table.include.list"},
	"database.include.list": {"table.include.list"},
	"gtid.source.includes":  {"table.include.list"},
	"table.ignore.builtin":  {"database.include.list"},
}

// invisible are settings that Debezium asks user interfaces not to show.
var invisible = []string{"schema.exclude.list", "schema.history.internal", "gtid.source.excludes"}

func definitions(p *Plugin, set *settings.Set) []Definition {
	framework := set != p.Settings
	places, seen := map[string]int{}, map[string]bool{}
	defs := set.Defs()
	out := make([]Definition, 0, len(defs))
	for i := range defs {
		d := &defs[i]
		if d.Hidden {
			continue
		}
		switch {
		case p.debezium() && i > 0 && d.Key == "internal."+defs[i-1].Key:
			// A former name, which has the place of the setting.
		case p.converter != nil && places[d.Group] == 0 && !seen[d.Group]:
			seen[d.Group] = true // Kafka counts those of converters from 0
		default:
			places[d.Group]++
		}
		def := Definition{
			Name: d.Key, Type: string(d.Type), Required: d.Required, Importance: string(d.Importance),
			Documentation: d.Doc, Width: d.Width, DisplayName: d.DisplayName, Dependents: []string{}, Order: places[d.Group],
		}
		if d.Default != "" {
			def.DefaultValue = &d.Default
		}
		if d.Group != "" {
			def.Group = &d.Group
		} else {
			def.Order = -1
		}
		if def.Width == "" {
			def.Width = "NONE"
		}
		if def.DisplayName == "" {
			def.DisplayName = d.Key
		}
		switch {
		case framework:
			def.frame(p)
		case p.debezium():
			def.Required = false
			if deps := dependents[d.Key]; deps != nil {
				def.Dependents = deps
			}
			if _, both := set.Lookup("database.dbname"); both && d.Key == "table.ignore.builtin" {
				def.Dependents = []string{} // Postgres has no database.include.list
			}
		}
		out = append(out, def)
	}
	return out
}

// frame adds what Kafka shows for a setting that every connector has.
func (d *Definition) frame(p *Plugin) {
	if n, ok := order[d.Name]; ok {
		d.Order = n
	}
	empty := ""
	switch d.Name {
	case "connector.plugin.version":
		d.DefaultValue = &p.Version
	case "transforms", "predicates", "topic.creation.groups", "topics", "topics.regex", "errors.deadletterqueue.topic.name":
		d.DefaultValue = &empty
	}
}

// Groups returns the groups of the settings in the order of a validation.
func (e *Evaluation) Groups() []string {
	var out []string
	for _, entry := range e.Entries() {
		if g := entry.Definition.Group; g != nil && !slices.Contains(out, *g) {
			out = append(out, *g)
		}
	}
	return out
}

// Entries returns all settings with their values and errors, in the order of
// Kafka Connect's validation: those that every connector has, the chains of
// transforms, the connector's own.
func (e *Evaluation) Entries() []Entry {
	frame := frameworkOf(e.Plugin.Kind)
	var out []Entry
	for _, d := range definitions(e.Plugin, frame) {
		out = append(out, e.frameworkEntry(d))
	}
	own := definitions(e.Plugin, e.Plugin.Settings)
	for _, key := range e.order {
		if _, ok := frame.Lookup(key); ok {
			continue
		}
		if slices.ContainsFunc(own, func(d Definition) bool { return d.Name == key }) {
			continue
		}
		out = append(out, e.extraEntry(key))
	}
	for _, d := range own {
		out = append(out, e.ownEntry(d))
	}
	return out
}

func (e *Evaluation) entry(d Definition) Entry {
	errs := e.problems[d.Name]
	if errs == nil {
		errs = []string{}
	}
	return Entry{Definition: d, Recommended: []string{}, Errors: errs, Visible: true}
}

// extraEntry is for a key that has a problem and no definition in a set.
func (e *Evaluation) extraEntry(key string) Entry {
	d := Definition{Name: key, Type: "STRING", Importance: "LOW", Width: "NONE", DisplayName: key, Dependents: []string{}, Order: -1}
	for _, chain := range []string{"transforms", "predicates"} {
		if alias, ok := strings.CutPrefix(key, chain+"."); ok && strings.HasSuffix(alias, ".type") {
			alias = strings.TrimSuffix(alias, ".type")
			group := strings.ToUpper(chain[:1]) + chain[1:] + ": " + alias
			d.Type, d.Required, d.Importance, d.Group, d.Order, d.Width = "CLASS", true, "HIGH", &group, 0, "LONG"
			d.DisplayName = strings.NewReplacer("transforms", "Transformation", "predicates", "Predicate").Replace(chain) + " type for " + alias
		}
	}
	out := e.entry(d)
	if e.secret(key) && e.raw[key] != nil {
		h := hidden
		out.Value = &h
	} else {
		out.Value = e.raw[key]
	}
	return out
}

func (e *Evaluation) frameworkEntry(d Definition) Entry {
	out := e.entry(d)
	switch d.Name {
	case "connector.plugin.version":
		out.Value, out.Recommended = &e.Plugin.Version, []string{e.Plugin.Version}
		return out
	case "key.converter", "value.converter", "header.converter":
		class := e.env.Worker.String(d.Name)
		out.Definition.DefaultValue = &class
		out.Recommended = e.catalogue.classes(d.Name == "header.converter")
		out.Value = e.shown(d, frameworkOf(e.Plugin.Kind))
		if out.Value == nil && e.raw[d.Name] == nil && len(out.Errors) == 0 {
			out.Value = &class
		}
		if len(out.Errors) > 0 {
			out.Value = nil
		}
		return out
	case "key.converter.plugin.version", "value.converter.plugin.version", "header.converter.plugin.version":
		version := kafkaVersion
		out.Definition.DefaultValue = &version
		if len(e.problems[strings.TrimSuffix(d.Name, ".plugin.version")]) > 0 {
			out.Definition.DefaultValue, out.Visible = nil, false
			return out
		}
		out.Value, out.Recommended = &version, []string{version}
		return out
	}
	out.Value = e.shown(d, frameworkOf(e.Plugin.Kind))
	return out
}

func (e *Evaluation) ownEntry(d Definition) Entry {
	out := e.entry(d)
	def, _ := e.Plugin.Settings.Lookup(d.Name)
	if len(def.OneOf) > 0 {
		out.Recommended = def.OneOf
	}
	if e.Plugin.debezium() {
		out.Recommended = []string{}
		for _, v := range def.OneOf {
			out.Recommended = append(out.Recommended, strings.ToLower(v))
		}
		out.Visible = !slices.Contains(invisible, d.Name)
		return out // Debezium never says the value
	}
	out.Value = e.shown(d, e.Plugin.Settings)
	return out
}

// shown returns a setting's value as text: what was given, or the default;
// nil if there is none or it is no value of the type.
func (e *Evaluation) shown(d Definition, set *settings.Set) *string {
	def, _ := set.Lookup(d.Name)
	v, given := e.raw[d.Name]
	if !given {
		return d.DefaultValue
	}
	if v == nil {
		return nil
	}
	if def.Type == settings.Password {
		h := hidden
		return &h
	}
	for _, message := range e.problems[d.Name] {
		if strings.Contains(message, "Not a number of type") || strings.Contains(message, "Expected value to be either") {
			return nil
		}
	}
	text := *v
	if def.Type != settings.String {
		text = strings.TrimSpace(text)
	}
	if def.Type == settings.List {
		text = strings.Join(settings.SplitList(text), ",")
	}
	return &text
}
