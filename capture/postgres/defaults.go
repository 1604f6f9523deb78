package postgres

import (
	"strings"

	"github.com/penstock/penstock/schema"
)

// defaultOf returns the default that a column's schema carries: the value of a
// literal, the type's neutral value for what only the server can compute, and
// nil where there is none.
func defaultOf(expression string, t valueType) *schema.Value {
	if expression == "" || t.zero == nil {
		return nil
	}
	text, kind := literalOf(expression)
	switch kind {
	case literalNull:
		return nil
	case literalNone:
		return t.zero
	default:
	}
	if t.scale > 0 {
		var ok bool
		if text, ok = withScale(text, t.scale); !ok {
			return nil
		}
	}
	var owned schema.Arena // the value outlives every batch
	v, err := t.decode(&owned, []byte(text))
	if err != nil {
		return nil // the type has changed since
	}
	return &v
}

type literalKind int

const (
	literalNone literalKind = iota // something else
	literalText
	literalNull
)

// literalOf reads an expression as the catalogue writes it: a quoted text, a
// number, a boolean or NULL, with casts behind it.
func literalOf(expression string) (text string, kind literalKind) {
	e := strings.TrimSpace(expression)
	for strings.HasPrefix(e, "(") && strings.HasSuffix(e, ")") && strings.Count(e, "(") == 1 {
		e = e[1 : len(e)-1]
	}
	if quoted, ok := strings.CutPrefix(e, "'"); ok {
		var b strings.Builder
		for i := 0; i < len(quoted); i++ {
			if quoted[i] != '\'' {
				b.WriteByte(quoted[i])
				continue
			}
			if i+1 < len(quoted) && quoted[i+1] == '\'' {
				b.WriteByte('\'')
				i++
				continue
			}
			if isCasts(quoted[i+1:]) {
				return b.String(), literalText
			}
			return "", literalNone
		}
		return "", literalNone
	}
	word, casts, found := strings.Cut(e, "::")
	if found && !isCasts("::"+casts) {
		return "", literalNone
	}
	word = strings.Trim(strings.TrimSpace(word), "()")
	switch strings.ToLower(word) {
	case "null":
		return "", literalNull
	case "true":
		return "t", literalText
	case "false":
		return "f", literalText
	}
	if validDecimal([]byte(word)) {
		return word, literalText
	}
	return "", literalNone
}

// isCasts reports whether what follows a literal is nothing but casts.
func isCasts(rest string) bool {
	return rest == "" || strings.HasPrefix(rest, "::") && !strings.ContainsAny(strings.ReplaceAll(rest, "::", ""), "|+*/<>=:")
}

// withScale gives a decimal number a fixed number of digits after the point;
// false if it has more.
func withScale(number string, scale int) (string, bool) {
	whole, fraction, _ := strings.Cut(number, ".")
	if len(fraction) > scale {
		return "", false
	}
	return whole + "." + fraction + strings.Repeat("0", scale-len(fraction)), true
}
