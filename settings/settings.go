package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a setting, by Kafka's name for it
// (org.apache.kafka.common.config.ConfigDef.Type).
type Type string

// Kafka's setting types.
const (
	Boolean  Type = "BOOLEAN"
	String   Type = "STRING"
	Int      Type = "INT"
	Short    Type = "SHORT"
	Long     Type = "LONG"
	Double   Type = "DOUBLE"
	List     Type = "LIST"
	Class    Type = "CLASS"
	Password Type = "PASSWORD"
)

// Importance is how much a setting matters, by Kafka's name for it.
type Importance string

// Kafka's degrees of importance.
const (
	High   Importance = "HIGH"
	Medium Importance = "MEDIUM"
	Low    Importance = "LOW"
)

// Def defines one setting.
type Def struct {
	Key  string
	Type Type
	// Default is the value's text when it is not set; Required says that
	// there is none and one must be given. An empty Default without Required
	// means "not set".
	Default  string
	Required bool
	// Doc says in plain words what the setting does and, for numbers, in
	// which unit.
	Doc         string
	Importance  Importance
	Group       string
	DisplayName string
	Width       string // NONE, SHORT, MEDIUM or LONG
	// OneOf lists the allowed values of an enumeration, in the order of the
	// documentation; case does not matter. The parsed value is the one listed.
	OneOf []string
	// Check says what is wrong with a value that parses, as an error that
	// names the remedy; nil means nothing can be.
	Check func(value string) error
	// Aliases are former or other names of the setting.
	Aliases []string
	// Unsupported, when not empty, says why Penstock does not have the
	// setting yet. Any value but the default is then an error, never silently
	// ignored.
	Unsupported string
	// Hidden says that listings and validation leave the setting out, as Kafka
	// Connect does with those that only a plugin of a plugin reads.
	Hidden bool
	// Ignored, when not empty, says why the setting has no effect here (for
	// instance the Java heap's), so that it is accepted without a warning.
	Ignored string
}

// Set is a table of definitions, in the order in which they are shown.
type Set struct {
	defs  []Def
	byKey map[string]int // keys and aliases
}

// NewSet returns the table of these definitions; those of later lists follow
// the former. It panics on a key defined twice, which is a mistake in the code.
func NewSet(lists ...[]Def) *Set {
	s := &Set{byKey: map[string]int{}}
	for _, defs := range lists {
		for _, d := range defs {
			at := len(s.defs)
			s.defs = append(s.defs, d)
			for _, k := range append([]string{d.Key}, d.Aliases...) {
				if _, twice := s.byKey[k]; twice {
					panic("settings: " + k + " is defined twice")
				}
				s.byKey[k] = at
			}
		}
	}
	return s
}

// Defs returns the definitions in order. They must not be changed.
func (s *Set) Defs() []Def { return s.defs }

// Lookup returns the definition of a key or alias.
func (s *Set) Lookup(key string) (*Def, bool) {
	at, ok := s.byKey[key]
	if !ok {
		return nil, false
	}
	return &s.defs[at], true
}

// Problem is something wrong with a setting.
type Problem struct { //nolint:errname // it is a finding, and an error only by the way
	Key string
	// Message says what is wrong and how to mend it, with the value unless it
	// is a secret.
	Message string
	// Warning says that the connector runs nevertheless.
	Warning bool
}

// Error returns the message.
func (p Problem) Error() string { return p.Message }

// Problems are all that is wrong with a configuration.
type Problems []Problem

// Err returns nil if none of the problems is more than a warning, otherwise
// an error with a line for each that is.
func (ps Problems) Err() error {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.Message)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &InvalidError{Lines: lines}
}

// InvalidError says that a configuration cannot be used.
type InvalidError struct{ Lines []string }

// Error returns one line for each problem.
func (e *InvalidError) Error() string { return strings.Join(e.Lines, "\n") }

// Values are the settings of a Set with defaults filled in. The getters panic
// on a key that the Set does not define or defines with another type: a
// mistake in the code, not in a configuration.
type Values struct {
	set    *Set
	parsed []parsed
	raw    map[string]string
}

type parsed struct {
	set     bool
	text    string
	number  int64
	float   float64
	boolean bool
	list    []string
}

// Parse reads a configuration. Keys that the set does not define are left to
// others (see Unknown); a problem with one setting does not hide another's.
func (s *Set) Parse(raw map[string]string) (Values, Problems) {
	v := Values{set: s, parsed: make([]parsed, len(s.defs)), raw: raw}
	var problems Problems
	for i := range s.defs {
		d := &s.defs[i]
		text, isSet := d.given(raw)
		if !isSet {
			if d.Required {
				problems = append(problems, Problem{Key: d.Key, Message: fmt.Sprintf(
					"Missing required configuration %q which has no default value.", d.Key)})
				continue
			}
			text = d.Default
		}
		p, err := d.parse(text, isSet)
		p.set = isSet
		v.parsed[i] = p
		if err != nil {
			problems = append(problems, Problem{Key: d.Key, Message: err.Error()})
			continue
		}
		if isSet && d.Unsupported != "" && !d.isDefault(p.text) {
			problems = append(problems, Problem{Key: d.Key, Message: fmt.Sprintf(
				"Invalid value %s for configuration %s: %s", d.show(text), d.Key, d.Unsupported)})
		}
	}
	return v, problems
}

func (d *Def) given(raw map[string]string) (string, bool) {
	if text, ok := raw[d.Key]; ok {
		return text, true
	}
	for _, a := range d.Aliases {
		if text, ok := raw[a]; ok {
			return text, true
		}
	}
	return "", false
}

func (d *Def) show(text string) string {
	if d.Type == Password {
		return hidden
	}
	return HideLogins(text)
}

const hidden = "[hidden]"

// login is the user and the password in a URL. A password may have anything in
// it; what ends it is the last @.
var login = regexp.MustCompile(`://([^\s,]*)@`)

// HideLogins hides the user and the password in the URLs of a text.
func HideLogins(text string) string { return login.ReplaceAllString(text, "://"+hidden+"@") }

// Logins returns what HideLogins hides: each user with a password, and each
// password alone.
func Logins(text string) []string {
	var found []string
	for _, m := range login.FindAllStringSubmatch(text, -1) {
		if _, password, ok := strings.Cut(m[1], ":"); ok {
			found = append(found, m[1], password)
		}
	}
	return found
}

func (d *Def) isDefault(text string) bool {
	return text == d.Default || d.Type == Boolean && strings.EqualFold(text, d.Default)
}

func (d *Def) parse(text string, isSet bool) (parsed, error) {
	invalid := func(why string) error {
		return fmt.Errorf("Invalid value %s for configuration %s: %s", d.show(text), d.Key, why) //nolint:staticcheck // Kafka's sentence, which clients match on
	}
	p := parsed{text: text}
	if d.Type != String && d.Type != Password {
		p.text = strings.TrimSpace(text)
	}
	// An empty text is a value that was not given; one that was given must not
	// be taken for false, 0 or no choice where the default is another.
	blank := p.text == "" && !d.Required && (!isSet || d.Default == "")
	var err error
	switch d.Type {
	case Boolean:
		switch strings.ToLower(p.text) {
		case "true":
			p.boolean = true
		case "false":
		default:
			if !blank {
				return p, invalid("Expected value to be either true or false")
			}
		}
	case Int, Short, Long:
		if blank {
			break
		}
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[d.Type]
		if p.number, err = strconv.ParseInt(p.text, 10, bits); err != nil {
			return p, invalid("Not a number of type " + string(d.Type))
		}
	case Double:
		if blank {
			break
		}
		if p.float, err = strconv.ParseFloat(p.text, 64); err != nil {
			return p, invalid("Not a number of type " + string(d.Type))
		}
	case List:
		p.list = SplitList(p.text)
	case String, Class, Password:
	}
	if len(d.OneOf) > 0 && !blank {
		i := slices.IndexFunc(d.OneOf, func(o string) bool { return strings.EqualFold(o, strings.TrimSpace(p.text)) })
		if i < 0 {
			return p, invalid("Value must be one of " + strings.Join(d.OneOf, ", "))
		}
		p.text = d.OneOf[i]
	}
	if d.Required && p.text == "" {
		return p, invalid("A value is required")
	}
	if d.Check != nil {
		if err := d.Check(p.text); err != nil {
			return p, invalid(err.Error())
		}
	}
	return p, nil
}

// SplitList splits a comma-separated list and trims its elements; empty ones
// are left out.
func SplitList(text string) []string {
	var list []string
	for e := range strings.SplitSeq(text, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}

func (v Values) get(key string, types ...Type) parsed {
	at, ok := v.set.byKey[key]
	if !ok {
		panic("settings: " + key + " is not defined")
	}
	if d := &v.set.defs[at]; !slices.Contains(types, d.Type) {
		panic(fmt.Sprintf("settings: %s is a %s", key, d.Type))
	}
	return v.parsed[at]
}

// String returns the value of a String, Class or Password setting. An
// enumeration's value has the spelling of its definition.
func (v Values) String(key string) string { return v.get(key, String, Class, Password).text }

// Int returns the value of an Int, Short or Long setting.
func (v Values) Int(key string) int64 { return v.get(key, Int, Short, Long).number }

// Millis returns the value of an Int or Long setting in milliseconds as a
// duration.
func (v Values) Millis(key string) time.Duration {
	return time.Duration(v.get(key, Int, Long).number) * time.Millisecond
}

// Float returns the value of a Double setting.
func (v Values) Float(key string) float64 { return v.get(key, Double).float }

// Bool returns the value of a Boolean setting.
func (v Values) Bool(key string) bool { return v.get(key, Boolean).boolean }

// List returns the elements of a List setting.
func (v Values) List(key string) []string { return v.get(key, List).list }

// IsSet reports whether the configuration gave the setting (or an alias).
func (v Values) IsSet(key string) bool {
	at, ok := v.set.byKey[key]
	return ok && v.parsed[at].set
}

// Raw returns the configuration as it was given. It must not be changed.
func (v Values) Raw() map[string]string { return v.raw }

// WithPrefix returns the settings whose key begins with prefix, without it.
func WithPrefix(raw map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, val := range raw {
		if rest, ok := strings.CutPrefix(k, prefix); ok && rest != "" {
			out[rest] = val
		}
	}
	return out
}

// Unknown returns a warning for every key that none of the sets defines and
// that does not begin with one of the prefixes (those of converters,
// transforms, client overrides), naming the nearest known key.
func Unknown(raw map[string]string, prefixes []string, sets ...*Set) Problems {
	var problems Problems
	for key := range raw {
		known := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) ||
			slices.ContainsFunc(sets, func(s *Set) bool { _, ok := s.Lookup(key); return ok })
		if known {
			continue
		}
		message := fmt.Sprintf("Unknown configuration %q.", key)
		if near := nearest(key, sets); near != "" {
			message = fmt.Sprintf("Unknown configuration %q: did you mean %q?", key, near)
		}
		problems = append(problems, Problem{Key: key, Message: message, Warning: true})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return problems
}

// nearest returns the defined key with the fewest edits from key, if it is
// near enough to have been meant.
func nearest(key string, sets []*Set) string {
	best, least := "", max(3, len(key)/4)
	for _, s := range sets {
		for k := range s.byKey {
			if d := distance(key, k); d < least || d == least && best != "" && k < best {
				best, least = k, d
			}
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
