package config

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseProperties reads the text of a Java properties file: comments with #
// or !, keys and values parted by =, : or blanks, a backslash at the end of a
// line to continue it, and Java's escapes. Of a key given twice the last
// counts.
func ParseProperties(text string) (map[string]string, error) {
	out := map[string]string{}
	for line, lines := range logicalLines(text) {
		key, value, err := property(lines)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		out[key] = value
	}
	return out, nil
}

// logicalLines calls yield with each line that is neither blank nor a
// comment, continued lines joined, and the number of its first line.
func logicalLines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		natural := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
		for i := 0; i < len(natural); i++ {
			line := trimBlanks(natural[i])
			if line == "" || line[0] == '#' || line[0] == '!' {
				continue
			}
			first := i + 1
			for continued(line) {
				line = line[:len(line)-1]
				if i++; i == len(natural) {
					break
				}
				line += trimBlanks(natural[i])
			}
			if !yield(first, line) {
				return
			}
		}
	}
}

func trimBlanks(s string) string { return strings.TrimLeft(s, " \t\f") }

// continued reports whether a line ends in an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

func property(line string) (key, value string, err error) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := trimBlanks(line[end:])
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = trimBlanks(rest[1:])
	}
	if key, err = unescapeProperty(line[:end]); err != nil {
		return "", "", err
	}
	value, err = unescapeProperty(rest)
	return key, value, err
}

func unescapeProperty(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+5 > len(s) {
				return "", fmt.Errorf(`\u needs four hexadecimal digits`)
			}
			r, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`\u needs four hexadecimal digits`)
			}
			b.WriteRune(rune(r))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
