package catalogue

import (
	"fmt"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/settings"
)

// converters makes the connector's three converters.
func (e *Evaluation) converters(plan *Plan) {
	plan.Key, plan.Classes.Key = e.converter("key.converter")
	plan.Value, plan.Classes.Value = e.converter("value.converter")
	plan.Header, plan.Classes.Header = e.converter("header.converter")
}

// converter makes one, with the connector's settings if the connector names a
// class, otherwise with the worker's.
func (e *Evaluation) converter(key string) (converters.Converter, string) {
	from := e.resolved
	class, own := from[key]
	if v, given := e.raw[key]; given && v == nil {
		return nil, "" // null is reported
	}
	if !own {
		from, class = e.env.Worker.Resolved, e.env.Worker.String(key)
	}
	p, ok := e.catalogue.Find(class)
	if ok && p.converter == nil || !ok && isTransform(class) {
		e.report(key, fmt.Sprintf("Class class %s does not implement the %s interface", class, interfaceOf(key)))
		return nil, ""
	}
	if !ok {
		e.report(key, fmt.Sprintf("Invalid value %s for configuration %s: Class %s could not be found.", class, key, class))
		return nil, ""
	}
	header := key == "header.converter"
	if header && !p.converter.Header || !header && p.converter.New == nil {
		e.report(key, fmt.Sprintf("Class class %s does not implement the %s interface", class, interfaceOf(key)))
		return nil, ""
	}
	if own {
		e.warnPrefixed(key+".", p.Settings)
	}
	raw := settings.WithPrefix(from, key+".")
	delete(raw, "plugin.version")
	if header {
		_, problems := p.Settings.Parse(raw)
		e.addPrefixed(key+".", problems)
		return nil, p.Class()
	}
	conv, problems := p.converter.New(raw, key == "key.converter")
	e.addPrefixed(key+".", problems)
	return conv, p.Class()
}

func (e *Evaluation) addPrefixed(prefix string, problems settings.Problems) {
	for _, p := range problems {
		p.Key = prefix + p.Key
		e.add(p)
	}
}

func interfaceOf(key string) string {
	if key == "header.converter" {
		return "HeaderConverter"
	}
	return "Converter"
}
