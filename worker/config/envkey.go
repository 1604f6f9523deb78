package config

import "strings"

// keyOf turns the part of a variable's name that stands for a setting into
// the setting's key: lower case, with runs of one, two and three underscores
// read as ".", "_" and "-".
func keyOf(name string) string { return unescape(name, "_", "-") }

// otherKeyOf reads runs of two and three underscores the other way round,
// which is how the manual of the Confluent images has it and their code does
// not. It serves only to find known keys.
func otherKeyOf(name string) string { return unescape(name, "-", "_") }

func unescape(name, two, three string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		if name[i] != '_' {
			b.WriteByte(name[i])
			i++
			continue
		}
		run := 0
		for i < len(name) && name[i] == '_' && run < 3 {
			run++
			i++
		}
		b.WriteString([]string{".", two, three}[run-1])
	}
	return strings.ToLower(b.String())
}

// A keyTable finds known keys without regard to case.
type keyTable map[string]string

// match returns the key that a variable's name stands for, in the spelling of
// the definition if there is one.
func (known keyTable) match(name string) (key string, isKnown bool) {
	key = keyOf(name)
	if k, ok := known[key]; ok {
		return k, true
	}
	if k, ok := known[otherKeyOf(name)]; ok {
		return k, true
	}
	return key, false
}
