package catalogue

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/settings"
)

// converters makes the connector's three converters.
func (e *Evaluation) converters(plan *Plan) {
	var problems settings.Problems
	for _, key := range []string{"key.converter", "value.converter", "header.converter"} {
		p, raw := e.converterPlugin(key)
		if p == nil {
			continue
		}
		switch key {
		case "key.converter":
			plan.Classes.Key = p.Class()
			plan.Key, problems = converters.New(p.Class(), raw, true)
		case "value.converter":
			plan.Classes.Value = p.Class()
			plan.Value, problems = converters.New(p.Class(), raw, false)
		case "header.converter":
			plan.Classes.Header = p.Class()
			plan.Header, problems = converters.NewHeader(p.Class(), raw)
		}
		for _, problem := range problems {
			problem.Key = key + "." + problem.Key
			e.add(problem)
		}
	}
}

// converterPlugin finds the plugin of one converter and its settings, which
// are the connector's if the connector names a class, otherwise the worker's.
// It returns nil if there is none, which is reported.
func (e *Evaluation) converterPlugin(key string) (*Plugin, map[string]string) {
	from := e.resolved
	class, own := from[key]
	if v, given := e.raw[key]; given && v == nil {
		return nil, nil // null is reported
	}
	if !own {
		from, class = e.env.Worker.Resolved, e.env.Worker.String(key)
	}
	header := key == "header.converter"
	p, ok := e.catalogue.Find(class)
	switch {
	case ok && (p.converter == nil || header && !p.converter.Header || !header && !p.converter.Data), !ok && isTransform(class):
		kind := "Converter"
		if header {
			kind = "HeaderConverter"
		}
		e.report(key, fmt.Sprintf("Class class %s does not implement the %s interface", class, kind))
		return nil, nil
	case !ok:
		e.report(key, fmt.Sprintf("Invalid value %s for configuration %s: %s", class, key, unknownConverter(class, header)))
		return nil, nil
	}
	if own {
		e.warnPrefixed(key+".", p.Settings)
	}
	raw := settings.WithPrefix(from, key+".")
	delete(raw, "plugin.version")
	return p, raw
}

// unknownConverter says that a class is not there, or not yet.
func unknownConverter(class string, header bool) string {
	if _, err := converters.Find(class, header); err != nil && strings.Contains(err.Error(), "not supported yet") {
		return err.Error()
	}
	return "Class " + class + " could not be found."
}
