package catalogue

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker/config"
)

// Env is what a configuration is judged and a connector made with.
type Env struct {
	// Worker are the worker's settings.
	Worker *config.Worker
	// Source and Sink are lent to connectors, with the Logger of their tasks.
	Source capture.Env
	Sink   sinks.Env
	// Logger returns the logger of a name, which for a task is its class.
	Logger func(name string) *slog.Logger
}

// NoClassError says that a configuration has no connector.class.
type NoClassError struct{ Raw map[string]*string }

// Error is Kafka Connect's sentence. Values of settings that sound secret are
// not in it.
func (e *NoClassError) Error() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(e.Raw)) {
		v := "null"
		if p := e.Raw[k]; p != nil {
			v = *p
		}
		if sounds(k) {
			v = hidden
		}
		parts = append(parts, k+"="+v)
	}
	return "Connector config {" + strings.Join(parts, ", ") + "} contains no connector type"
}

const hidden = "[hidden]"

// sounds reports whether a key of an unknown connector sounds like a secret's.
func sounds(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "jaas") ||
		strings.Contains(key, "credential") || strings.Contains(key, "connection.uri") || strings.HasSuffix(key, "token")
}

// Evaluation is the judgement of a connector's configuration.
type Evaluation struct {
	Plugin *Plugin
	// Class is connector.class as the configuration has it.
	Class string
	// Warnings name unknown keys.
	Warnings settings.Problems
	// Plan is set if there is no error.
	Plan *Plan

	raw       map[string]*string // as given
	resolved  map[string]string  // without nulls
	framework settings.Values
	own       settings.Values
	unread    map[string]bool     // keys whose reference is not resolved
	referred  []string            // what references stand for
	problems  map[string][]string // by key
	order     []string            // keys in the order of their first problem
	env       Env
	catalogue *Catalogue
}

// Evaluate judges a configuration; nil values are JSON's null. It connects to
// nothing. The error is about the whole: an *UnknownClassError, a
// *NoClassError or a *config.UnreadableError.
func (c *Catalogue) Evaluate(env Env, raw map[string]*string) (*Evaluation, error) {
	class := raw["connector.class"]
	if class == nil {
		return nil, &NoClassError{raw}
	}
	e := &Evaluation{Class: *class, raw: raw, env: env, catalogue: c, problems: map[string][]string{}, unread: map[string]bool{}}
	var err error
	if e.Plugin, err = c.Connector(*class); err != nil {
		return nil, err
	}
	if err := e.resolve(); err != nil {
		return nil, err
	}
	e.warn()
	e.parseFramework()
	plan := &Plan{Plugin: e.Plugin, Resolved: e.resolved, Common: e.framework, redact: e.redactor()}
	e.converters(plan)
	for _, p := range transformProblems(e.resolved) {
		e.add(p)
	}
	e.overrides()
	if e.Plugin.Kind == Source {
		e.sourceOnly(plan)
	} else {
		for _, p := range sinks.Validate(e.framework) {
			e.add(p)
		}
	}
	own, problems := e.Plugin.Settings.Parse(e.resolved)
	e.own, plan.Own = own, own
	e.addAll(problems)
	if e.Failed() {
		e.bothLists() // what is made of the settings would say it, but for the errors
		return e, nil
	}
	e.addAll(e.make(plan))
	if !e.Failed() {
		e.Plan = plan
	}
	return e, nil
}

// bothLists reports lists of what to leave out beside lists of what to take.
func (e *Evaluation) bothLists() {
	for i := range e.Plugin.Settings.Defs() {
		exclude := e.Plugin.Settings.Defs()[i].Key
		what, is := strings.CutSuffix(exclude, ".exclude.list")
		include := what + ".include.list"
		given := func(key string) bool { return strings.TrimSpace(e.resolved[key]) != "" }
		if is && e.Plugin.debezium() && given(exclude) && given(include) {
			e.report(exclude, fmt.Sprintf("The '%s' value is invalid: %q is already specified", exclude, include))
		}
	}
}

// Failed reports whether there is an error.
func (e *Evaluation) Failed() bool { return len(e.problems) > 0 }

// Errors returns the messages in the order of the settings.
func (e *Evaluation) Errors() []string {
	var out []string
	for _, entry := range e.Entries() {
		out = append(out, entry.Errors...)
	}
	return out
}

// Add adds what somebody else has found, such as a look at the database.
func (e *Evaluation) Add(problems settings.Problems) { e.addAll(problems) }

func (e *Evaluation) addAll(problems settings.Problems) {
	for _, p := range problems {
		e.add(p)
	}
}

func (e *Evaluation) add(p settings.Problem) {
	if p.Warning {
		p.Message = e.redact(p.Key, p.Message)
		e.Warnings = append(e.Warnings, p)
		return
	}
	if e.unread[p.Key] {
		return // its value is not known
	}
	e.report(p.Key, e.hint(p.Key, e.present(p.Key, e.redact(p.Key, p.Message))))
}

func (e *Evaluation) report(key, message string) {
	if _, known := e.problems[key]; !known {
		e.order = append(e.order, key)
	}
	e.problems[key] = append(e.problems[key], message)
}

var onlyReference = regexp.MustCompile(`^\$\{[^{}]*\}$`)

// resolve fills in resolved, unread and the problems of references.
func (e *Evaluation) resolve() error {
	e.resolved = make(map[string]string, len(e.raw))
	for _, k := range slices.Sorted(maps.Keys(e.raw)) {
		if e.raw[k] == nil {
			continue
		}
		v, referred, err := e.env.Worker.Providers.Trace(*e.raw[k])
		e.referred = append(e.referred, referred...)
		var unreadable *config.UnreadableError
		switch {
		case errors.As(err, &unreadable):
			return unreadable
		case err != nil:
			// What stands beside a reference may be a secret.
			shown := *e.raw[k]
			if !onlyReference.MatchString(shown) {
				shown = "[hidden]"
			}
			e.report(k, fmt.Sprintf("Invalid value %s for configuration %s: %v", shown, k, err))
			e.unread[k] = true
			v = *e.raw[k]
		}
		e.resolved[k] = v
	}
	return nil
}

// warn looks for unknown keys.
func (e *Evaluation) warn() {
	e.Warnings = settings.Unknown(e.resolved, prefixes(), frameworkOf(e.Plugin.Kind), e.Plugin.Settings)
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		e.warnPrefixed(prefix, kafka.Settings())
	}
}

func (e *Evaluation) warnPrefixed(prefix string, set *settings.Set) {
	for _, p := range settings.Unknown(settings.WithPrefix(e.resolved, prefix), nil, set) {
		p.Key = prefix + p.Key
		p.Message = "In " + prefix + ": " + p.Message
		e.Warnings = append(e.Warnings, p)
	}
}

// hint adds to the message of a missing setting the unknown key that may have
// been meant for it.
func (e *Evaluation) hint(key, message string) string {
	if e.raw[key] != nil {
		return message
	}
	for _, w := range e.Warnings {
		if strings.Contains(w.Message, fmt.Sprintf("did you mean %q", key)) {
			return message + fmt.Sprintf(" (is %q meant for it?)", w.Key)
		}
	}
	return message
}

func (e *Evaluation) parseFramework() {
	set := frameworkOf(e.Plugin.Kind)
	values, problems := set.Parse(e.resolved)
	e.framework = values
	for _, p := range problems {
		if v, given := e.raw[p.Key]; given && v == nil {
			continue // reported below
		}
		e.add(p)
		if p.Key == "tasks.max" && strings.Contains(p.Message, "Not a number") {
			e.report(p.Key, "Invalid value null for configuration tasks.max: Value must be non-null")
		}
	}
	for i := range set.Defs() {
		d := &set.Defs()[i]
		if v, given := e.raw[d.Key]; !given || v != nil {
			continue
		}
		if len(d.OneOf) > 0 {
			e.report(d.Key, fmt.Sprintf("Invalid value null for configuration %s: String must be one of: %s", d.Key, strings.Join(d.OneOf, ", ")))
		}
		e.report(d.Key, "Null value can not be supplied as the configuration value.")
	}
}

// sourceOnly checks what only sources have.
func (e *Evaluation) sourceOnly(plan *Plan) {
	enabled := e.env.Worker.String("exactly.once.source.support") == "enabled"
	if e.framework.String("exactly.once.support") == "required" && !enabled {
		e.report("exactly.once.support", "This worker does not have exactly-once source support enabled.")
	}
	if e.framework.String("transaction.boundary") == "connector" {
		e.report("transaction.boundary", "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.")
	}
	if e.framework.String("errors.tolerance") == "all" {
		e.Warnings = append(e.Warnings, settings.Problem{
			Key: "errors.tolerance", Warning: true,
			Message: "errors.tolerance=all has no effect on a source yet: a record that cannot be converted stops it",
		})
	}
	if boundary := e.framework.String("transaction.boundary"); boundary == "interval" {
		e.Warnings = append(e.Warnings, settings.Problem{
			Key: "transaction.boundary", Warning: true,
			Message: "transaction.boundary has no effect without exactly-once, which is not there yet",
		})
	}
	creation, problems := kafka.ParseCreation(e.resolved)
	plan.Creation = creation
	e.addAll(problems)
}

// overrides checks the settings of the connector's own Kafka clients.
func (e *Evaluation) overrides() {
	policy := e.env.Worker.String("connector.client.config.override.policy")
	for _, kind := range []string{"producer", "consumer", "admin"} {
		prefix := kind + ".override."
		given := settings.WithPrefix(e.resolved, prefix)
		if len(given) == 0 {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(given)) {
			if !allowed(policy, k) {
				e.report(prefix+k, fmt.Sprintf("The '%s' policy does not allow '%s' to be overridden in the connector configuration.", policy, k))
			}
		}
		merged := e.env.Worker.Client(kind, kafka.Settings())
		if _, set := merged["bootstrap.servers"]; !set {
			merged["bootstrap.servers"] = "127.0.0.1:9092" // the embedded broker
		}
		maps.Copy(merged, given)
		_, problems := kafka.Parse(merged)
		for _, p := range problems {
			if _, own := given[p.Key]; own {
				p.Key = prefix + p.Key
				e.add(p)
			}
		}
	}
}

func allowed(policy, key string) bool {
	policy = strings.TrimSuffix(simpleName(policy), "ConnectorClientConfigOverridePolicy")
	switch strings.ToLower(policy) {
	case "none":
		return false
	case "principal":
		return key == "sasl.jaas.config" || key == "sasl.mechanism" || key == "security.protocol"
	}
	return true
}

// make builds the database or destination.
func (e *Evaluation) make(plan *Plan) settings.Problems {
	var problems settings.Problems
	if e.Plugin.Kind == Source {
		env := e.env.Source
		env.Logger = e.env.Logger(e.Plugin.TaskClass())
		plan.Database, problems = e.Plugin.source.New(e.own, env)
	} else {
		env := e.env.Sink
		env.Logger = e.env.Logger(e.Plugin.TaskClass())
		plan.Destination, problems = e.Plugin.sink.New(e.own, env)
	}
	return problems
}
