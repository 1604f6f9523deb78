package postgres

import (
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/schema"
)

// defaultOf returns the default that a column's schema carries: the value of a
// literal, the type's neutral value for what a function computes, and nil for
// any other expression and where there is none.
func defaultOf(expression string, t valueType) *schema.Value {
	if expression == "" || !t.literals {
		return nil
	}
	if computed(expression) {
		return t.computed
	}
	text, ok := literalOf(expression)
	if !ok {
		return nil
	}
	if t.scaled {
		if text, ok = withScale(text, t.scale); !ok {
			return nil
		}
	}
	var owned schema.Arena // the value outlives every batch
	v, err := t.decode(&owned, []byte(text))
	if err != nil {
		return nil // the type has changed since, or has no form for it
	}
	return &v
}

// call is what Debezium takes for a call of a function.
var call = regexp.MustCompile(`^\(?[A-Za-z0-9_.]+\(.*\)`)

// clocks are functions that are written like constants.
var clocks = []string{"current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"}

// computed reports whether a function makes the default.
func computed(expression string) bool {
	return call.MatchString(expression) || slices.Contains(clocks, strings.ToLower(expression))
}

// number is one as the catalogue writes it, but for those in quotes.
var number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// literalOf reads an expression as the catalogue writes it: a number, a
// boolean, or a text in quotes, which may have casts behind it and parentheses
// around. NULL is no literal: there is no default then.
func literalOf(expression string) (text string, ok bool) {
	e := strings.TrimSpace(expression)
	if e == "true" || e == "false" {
		return e[:1], true
	}
	if number.MatchString(e) {
		return e, true
	}
	e = strings.TrimLeft(e, "(")
	e = strings.TrimPrefix(e, "B") // of a bit string
	quoted, ok := strings.CutPrefix(e, "'")
	if !ok {
		return "", false
	}
	var b strings.Builder
	for {
		part, rest, closed := strings.Cut(quoted, "'")
		b.WriteString(part)
		if !closed {
			return "", false
		}
		if quoted, ok = strings.CutPrefix(rest, "'"); !ok {
			return b.String(), isCasts(rest)
		}
		b.WriteByte('\'')
	}
}

// isCasts reports whether what follows a literal is nothing but casts and
// parentheses that end before one.
func isCasts(rest string) bool {
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, ")"); ok {
			rest = after
			continue
		}
		after, ok := strings.CutPrefix(rest, "::")
		if !ok {
			return false
		}
		if rest, ok = cutType(after); !ok {
			return false
		}
	}
	return true
}

// typeName is the name of a type as the catalogue writes it: words, parts in
// double quotes, a schema before a point, a modifier, brackets.
var typeName = regexp.MustCompile(`^(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")(?:[. ](?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+"))*(?:\([0-9, -]+\))?(?: [a-z ]+)?(?:\[\])*`)

// cutType returns what follows a type's name.
func cutType(e string) (rest string, ok bool) {
	name := typeName.FindString(e)
	return e[len(name):], name != ""
}

// withScale gives a decimal number a fixed number of digits after the point;
// false if it has more.
func withScale(number string, scale int) (string, bool) {
	if !validDecimal([]byte(number)) {
		return number, true // it is judged by whoever decodes it
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if len(fraction) > scale {
		if strings.Trim(fraction[scale:], "0") != "" {
			return "", false
		}
		fraction = fraction[:scale]
	}
	if scale == 0 {
		return whole, true
	}
	return whole + "." + fraction + strings.Repeat("0", scale-len(fraction)), true
}
