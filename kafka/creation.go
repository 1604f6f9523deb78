package kafka

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Creation decides how a source connector's topics are created, by Kafka
// Connect's settings topic.creation.*. The zero Creation creates topics as a
// broker creates them by itself, with its num.partitions and
// default.replication.factor.
type Creation struct {
	rules []creationRule // in the order of topic.creation.groups, default last
}

type creationRule struct {
	group            string
	include, exclude []*regexp.Regexp // nil include matches all
	spec             TopicSpec        // without Name
}

const (
	creationPrefix = "topic.creation."
	defaultGroup   = "default"
)

// ParseCreation reads topic.creation.* from a connector's configuration and
// leaves all other keys to others.
func ParseCreation(raw map[string]string) (Creation, settings.Problems) {
	p := creationParser{given: settings.WithPrefix(raw, creationPrefix)}
	if len(p.given) == 0 {
		return Creation{}, nil
	}
	fallback := p.rule(defaultGroup, TopicSpec{Partitions: -1, Replication: -1})
	var c Creation
	known := []string{defaultGroup}
	for _, group := range settings.SplitList(p.given["groups"]) {
		switch {
		case group == defaultGroup: // always there, always last
		case slices.Contains(known, group):
			p.report("groups", "Invalid value %s for configuration topic.creation.groups: %s is named twice", p.given["groups"], group)
		default:
			known = append(known, group)
			c.rules = append(c.rules, p.rule(group, fallback.spec))
		}
	}
	c.rules = append(c.rules, fallback)
	p.strangers(known)
	slices.SortFunc(p.problems, func(a, b settings.Problem) int { return strings.Compare(a.Key, b.Key) })
	return c, p.problems
}

// Spec returns how the topic is to be created.
func (c Creation) Spec(topic string) TopicSpec {
	for _, r := range c.rules {
		if r.matches(topic) {
			s := r.spec
			s.Name = topic
			s.Configs = maps.Clone(s.Configs)
			return s
		}
	}
	return TopicSpec{Name: topic, Partitions: -1, Replication: -1}
}

func (r *creationRule) matches(topic string) bool {
	match := func(re *regexp.Regexp) bool { return re.MatchString(topic) }
	if r.include != nil && !slices.ContainsFunc(r.include, match) {
		return false
	}
	return !slices.ContainsFunc(r.exclude, match)
}

type creationParser struct {
	given    map[string]string // without topic.creation.
	problems settings.Problems
}

func (p *creationParser) report(key, format string, args ...any) {
	p.problems = append(p.problems, settings.Problem{Key: creationPrefix + key, Message: fmt.Sprintf(format, args...)})
}

// rule reads the settings of one group. Numbers that it does not give are
// those of base; the default group has to give them.
func (p *creationParser) rule(group string, base TopicSpec) creationRule {
	r := creationRule{group: group, spec: TopicSpec{
		Partitions: base.Partitions, Replication: base.Replication, ReplicationSetting: base.ReplicationSetting,
		Configs: map[string]string{},
	}}
	isDefault := group == defaultGroup
	number := func(key string, bits int, into func(int64)) {
		full := group + "." + key
		text, ok := p.given[full]
		if !ok {
			if isDefault {
				p.report(full, "Missing required configuration %q which has no default value.", creationPrefix+full)
			}
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, bits)
		if err != nil || n < 1 && n != -1 {
			p.report(full, "Invalid value %s for configuration %s%s: it must be 1 or more, or -1 for the broker's default", text, creationPrefix, full)
			return
		}
		into(n)
	}
	number("replication.factor", 16, func(n int64) {
		r.spec.Replication, r.spec.ReplicationSetting = int16(n), creationPrefix+group+".replication.factor"
	})
	number("partitions", 32, func(n int64) { r.spec.Partitions = int32(n) })
	r.include = p.patterns(group + ".include")
	r.exclude = p.patterns(group + ".exclude")
	switch {
	case isDefault && (r.include != nil || r.exclude != nil):
		p.report(group+".include", "topic.creation.default.include and .exclude cannot be set: the default group is for all topics that match no other group")
		r.include, r.exclude = nil, nil
	case !isDefault && p.given[group+".include"] == "":
		p.report(group+".include", "Missing required configuration %q which has no default value.", creationPrefix+group+".include")
	}
	for key, value := range p.given {
		setting, ok := strings.CutPrefix(key, group+".")
		switch {
		case !ok:
		case setting == "include", setting == "exclude", setting == "partitions", setting == "replication.factor":
		default:
			r.spec.Configs[setting] = value
		}
	}
	return r
}

func (p *creationParser) patterns(key string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, text := range settings.SplitList(p.given[key]) {
		re, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil {
			p.report(key, "Invalid value %s for configuration %s%s: %v; write the pattern without look-around and back references", text, creationPrefix, key, err)
			continue
		}
		list = append(list, re)
	}
	return list
}

// strangers reports settings of groups that topic.creation.groups does not
// name: they would have no effect.
func (p *creationParser) strangers(known []string) {
	for key := range p.given {
		group, _, _ := strings.Cut(key, ".")
		if key == "groups" || key == "enable" || slices.Contains(known, group) {
			continue
		}
		// A group's name may contain dots.
		if slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(key, k+".") }) {
			continue
		}
		p.problems = append(p.problems, settings.Problem{Key: creationPrefix + key, Warning: true, Message: fmt.Sprintf(
			"%s%s has no effect: topic.creation.groups does not name the group %q", creationPrefix, key, group)})
	}
}
