package catalogue

import (
	"context"
	"slices"
	"strings"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

// Plan is a connector that is ready to be started.
type Plan struct {
	Plugin *Plugin
	// Common are the settings that every connector has, Own the others.
	Common, Own settings.Values
	// Resolved is the whole configuration with references replaced. It holds
	// secrets.
	Resolved map[string]string
	// One of the two is set, by the plugin's kind.
	Database    capture.Database
	Destination sinks.Destination

	Key, Value converters.Converter
	Header     converters.HeaderConverter
	// Classes are the converters' Java classes.
	Classes sinks.Classes
	// Creation is for sources.
	Creation kafka.Creation

	redact *redactor
}

// Check looks at the real database or destination.
func (p *Plan) Check(ctx context.Context) settings.Problems {
	if p.Database != nil {
		return p.Database.Check(ctx)
	}
	return p.Destination.Check(ctx)
}

// Redact returns text without the secrets of the configuration.
func (p *Plan) Redact(text string) string { return p.redact.text(text) }

// Secrets returns the texts that Redact hides.
func (p *Plan) Secrets() []string { return p.redact.secrets }

// redactor knows what must not be shown.
type redactor struct {
	replacer *strings.Replacer
	secrets  []string
}

// leastSecret and leastReferred are the lengths from which passwords and what
// references stand for are looked for in texts. Shorter ones would turn up in
// words that have nothing to do with them.
const (
	leastSecret   = 4
	leastReferred = 6
)

// redactor hides passwords and what references stand for. A text that is in
// the configuration in the clear as well, such as a password that is the
// user's name, is no secret, and hiding it would hide that too.
func (e *Evaluation) redactor() *redactor {
	clear := strings.Join(append(slices.Clone(e.Plugin.Classes), e.Plugin.Name), " ")
	for k, v := range e.raw {
		if v != nil && !e.secret(k) {
			clear += " " + settings.HideLogins(*v)
		}
	}
	var secrets []string
	add := func(text string, least int) {
		if len(text) >= least && !strings.Contains(clear, text) && !slices.Contains(secrets, text) {
			secrets = append(secrets, text)
		}
	}
	for k, v := range e.resolved {
		if e.secret(k) {
			add(v, leastSecret)
		}
	}
	for _, v := range e.raw {
		if v != nil {
			for _, login := range settings.Logins(*v) {
				add(login, leastSecret)
			}
		}
	}
	for _, v := range e.referred {
		add(v, leastReferred)
	}
	// The longest first, since one may hold another.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, hidden)
	}
	return &redactor{strings.NewReplacer(pairs...), secrets}
}

func (e *Evaluation) secret(key string) bool {
	for _, s := range []*settings.Set{e.Plugin.Settings, frameworkOf(e.Plugin.Kind)} {
		if d, ok := s.Lookup(key); ok {
			return d.Type == settings.Password
		}
	}
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			if d, ok := kafka.Settings().Lookup(rest); ok {
				return d.Type == settings.Password
			}
		}
	}
	return sounds(key)
}

func (r *redactor) text(s string) string {
	if r == nil {
		return s
	}
	return r.replacer.Replace(s)
}

// redact hides secrets in the message of a setting's problem. A value that
// stands behind a reference is shown as the reference.
func (e *Evaluation) redact(key, message string) string {
	if raw := e.raw[key]; raw != nil && *raw != e.resolved[key] && e.resolved[key] != "" {
		message = strings.ReplaceAll(message, "Invalid value "+e.resolved[key]+" for", "Invalid value "+*raw+" for")
		if len(e.resolved[key]) >= leastSecret {
			message = strings.ReplaceAll(message, e.resolved[key], *raw)
		}
	}
	return e.redactor().text(message)
}
