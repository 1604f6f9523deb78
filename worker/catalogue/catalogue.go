package catalogue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

// Kind says what a plugin is, with Kafka Connect's names.
type Kind string

// The kinds of plugins.
const (
	Source          Kind = "source"
	Sink            Kind = "sink"
	Converter       Kind = "converter"
	HeaderConverter Kind = "header_converter"
)

// kafkaVersion is the release of Kafka Connect that is matched: its version
// is that of converters and of the worker's API.
const kafkaVersion = "4.1.1"

// KafkaVersion returns the release of Kafka Connect whose API is matched.
func KafkaVersion() string { return kafkaVersion }

// Plugin is a connector or converter.
type Plugin struct {
	// Name is the short name.
	Name string
	// Classes are the Java classes it stands for; the first is shown.
	Classes []string
	Version string
	Kind    Kind
	// Settings are its own; connectors have those of Definitions as well.
	Settings *settings.Set

	source    *capture.Connector
	sink      *sinks.Connector
	converter *converters.Plugin
}

// Class returns the Java class that listings show.
func (p *Plugin) Class() string { return p.Classes[0] }

// ConvertsHeaders reports whether the plugin is a converter that can be a
// header.converter.
func (p *Plugin) ConvertsHeaders() bool { return p.converter != nil && p.converter.Header }

// TaskClass returns the class of a connector's tasks, as Debezium and Kafka
// name theirs.
func (p *Plugin) TaskClass() string {
	if p.debezium() {
		return p.Class() + "Task"
	}
	return strings.TrimSuffix(p.Class(), "Connector") + "Task"
}

// debezium reports whether the plugin's settings are presented as Debezium
// presents them.
func (p *Plugin) debezium() bool {
	return p.Kind == Source && strings.HasPrefix(p.Class(), "io.debezium.")
}

// Catalogue is a list of plugins. It never changes.
type Catalogue struct {
	plugins []*Plugin
	byName  map[string]*Plugin // every class, simple name, alias and short name
}

// New returns the catalogue of these plugins.
func New(sources []capture.Connector, destinations []sinks.Connector, converterTypes []converters.Plugin) *Catalogue {
	c := &Catalogue{byName: map[string]*Plugin{}}
	for i := range sources {
		s := &sources[i]
		c.add(&Plugin{Name: s.Name, Classes: s.Classes, Version: s.Version, Kind: Source, Settings: s.Settings, source: s}, "Connector")
	}
	for i := range destinations {
		s := &destinations[i]
		c.add(&Plugin{Name: s.Name, Classes: s.Classes, Version: s.Version, Kind: Sink, Settings: s.Settings, sink: s}, "Connector")
	}
	for i := range converterTypes {
		t := &converterTypes[i]
		kind := Converter
		if !t.Data {
			kind = HeaderConverter
		}
		c.add(&Plugin{Name: t.Name, Classes: t.Classes, Version: t.Version, Kind: kind, Settings: t.Settings, converter: t}, "Converter")
	}
	slices.SortFunc(c.plugins, func(a, b *Plugin) int {
		order := []Kind{Sink, Source, Converter, HeaderConverter}
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), strings.Compare(a.Class(), b.Class()))
	})
	return c
}

// add enters a plugin under its names. Of two plugins with a name in common,
// which only simple names can be, the first keeps it.
func (c *Catalogue) add(p *Plugin, suffix string) {
	c.plugins = append(c.plugins, p)
	names := append([]string{}, p.Classes...)
	if p.Name != "" {
		names = append(names, p.Name)
	}
	for _, class := range p.Classes {
		simple := class[strings.LastIndexByte(class, '.')+1:]
		names = append(names, simple, strings.TrimSuffix(simple, suffix))
	}
	for _, n := range names {
		if _, taken := c.byName[n]; !taken {
			c.byName[n] = p
		}
	}
}

// Plugins returns all plugins: sinks, sources, converters, each by class.
func (c *Catalogue) Plugins() []*Plugin { return c.plugins }

// classes returns the classes of converters.
func (c *Catalogue) classes(header bool) []string {
	out := []string{}
	for _, p := range c.plugins {
		if p.Kind == Converter && !header || header && p.ConvertsHeaders() {
			out = append(out, p.Class())
		}
	}
	return out
}

// Find returns a plugin by one of its Java classes, its simple class name,
// that without "Connector" or "Converter", or its short name.
func (c *Catalogue) Find(name string) (*Plugin, bool) {
	p, ok := c.byName[name]
	return p, ok
}

// UnknownClassError says that connector.class names no connector.
type UnknownClassError struct {
	Class     string
	available []string
}

// Error is Kafka Connect's sentence.
func (e *UnknownClassError) Error() string {
	return fmt.Sprintf("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", e.Class, strings.Join(e.available, ", "))
}

// Connector returns a connector by one of its names.
func (c *Catalogue) Connector(name string) (*Plugin, error) {
	if p, ok := c.byName[name]; ok && (p.Kind == Source || p.Kind == Sink) {
		return p, nil
	}
	e := &UnknownClassError{Class: name}
	for _, p := range c.plugins {
		if p.Kind == Source || p.Kind == Sink {
			e.available = append(e.available, fmt.Sprintf("%s (%s %s, version %s)", p.Class(), p.Kind, p.Name, p.Version))
		}
	}
	return nil, e
}

// Definitions returns all settings of a connector of this class, for those
// that look for known keys; nil if there is no such class.
func (c *Catalogue) Definitions(class string) []*settings.Set {
	p, err := c.Connector(class)
	if err != nil {
		return nil
	}
	return []*settings.Set{p.Settings, frameworkOf(p.Kind)}
}
