package kafka

import (
	"errors"
	"fmt"
	"strings"
)

// A jaasEntry is one login module of a JAAS configuration in the form that
// Kafka takes in sasl.jaas.config:
//
//	org.apache.kafka.common.security.plain.PlainLoginModule required
//	    username="u" password="p";
type jaasEntry struct {
	module  string // class name
	flag    string // required, requisite, sufficient or optional, in lower case
	options map[string]string
}

// jaasForm is the remedy in errors of parseJAAS.
const jaasForm = `expected <login module class> required username="..." password="...";`

// parseJAAS reads the value of sasl.jaas.config, which holds exactly one
// entry. Its errors name a place, never a part of the text, which may be the
// password.
func parseJAAS(text string) (jaasEntry, error) {
	s := jaasScanner{text: text}
	e := jaasEntry{options: map[string]string{}}
	var err error
	if e.module, _, err = s.word(); err != nil {
		return e, err
	}
	if e.module == "" {
		return e, errors.New("no login module; " + jaasForm)
	}
	flag, _, err := s.word()
	if err != nil {
		return e, err
	}
	e.flag = strings.ToLower(flag)
	switch e.flag {
	case "required", "requisite", "sufficient", "optional":
	default:
		return e, errors.New("no control flag (required) after the login module; " + jaasForm)
	}
	for !s.take(';') {
		at := s.pos
		key, quoted, err := s.word()
		if err != nil {
			return e, err
		}
		if key == "" || quoted {
			return e, fmt.Errorf("expected an option or ';' at character %d; %s", at+1, jaasForm)
		}
		if !s.take('=') {
			return e, fmt.Errorf("expected '=' at character %d; %s", s.pos+1, jaasForm)
		}
		value, quoted, err := s.word()
		if err != nil {
			return e, err
		}
		if value == "" && !quoted {
			return e, fmt.Errorf("expected a value at character %d; %s", s.pos+1, jaasForm)
		}
		e.options[key] = value
	}
	if s.skip(); s.pos < len(s.text) {
		return e, fmt.Errorf("more than one login module (text after ';' at character %d); keep the one for this client", s.pos+1)
	}
	return e, nil
}

// jaasScanner reads words as java.io.StreamTokenizer does with Kafka's
// settings: separated by blanks, = and ;, or quoted with Java's escapes.
type jaasScanner struct {
	text string
	pos  int
}

// skip passes blanks and comments.
func (s *jaasScanner) skip() {
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case s.text[s.pos] <= ' ':
			s.pos++
		case strings.HasPrefix(rest, "//"):
			s.passUntil("\n")
		case strings.HasPrefix(rest, "/*"):
			s.passUntil("*/")
		default:
			return
		}
	}
}

func (s *jaasScanner) passUntil(end string) {
	if i := strings.Index(s.text[s.pos:], end); i >= 0 {
		s.pos += i + len(end)
		return
	}
	s.pos = len(s.text)
}

// take passes c if it is next.
func (s *jaasScanner) take(c byte) bool {
	s.skip()
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// word returns the next word and whether it was quoted; "" if the next
// character is not one of a word.
func (s *jaasScanner) word() (word string, quoted bool, err error) {
	s.skip()
	if s.pos == len(s.text) {
		return "", false, errors.New("ends too early, without ';'; " + jaasForm)
	}
	if q := s.text[s.pos]; q == '"' || q == '\'' {
		word, err = s.quoted(q)
		return word, true, err
	}
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos] > ' ' && !strings.ContainsRune(`=;"'`, rune(s.text[s.pos])) {
		s.pos++
	}
	return s.text[from:s.pos], false, nil
}

func (s *jaasScanner) quoted(q byte) (string, error) {
	from := s.pos
	var b strings.Builder
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; c {
		case q:
			s.pos++
			return b.String(), nil
		case '\n', '\r':
			return "", fmt.Errorf("the quotation that begins at character %d does not end on its line", from+1)
		case '\\':
			if s.pos+1 == len(s.text) {
				continue
			}
			s.pos++
			b.WriteByte(s.escape())
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the quotation that begins at character %d does not end", from+1)
}

// escape returns what the escape whose character after the backslash is at
// pos stands for, and leaves pos at its last character.
func (s *jaasScanner) escape() byte {
	switch c := s.text[s.pos]; c {
	case 'a':
		return 7
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return 11
	case '0', '1', '2', '3', '4', '5', '6', '7':
		// Up to three octal digits, two if the first is above 3.
		most := 3
		if c > '3' {
			most = 2
		}
		n := c - '0'
		for i := 1; i < most && s.pos+1 < len(s.text) && s.text[s.pos+1] >= '0' && s.text[s.pos+1] <= '7'; i++ {
			s.pos++
			n = n*8 + s.text[s.pos] - '0'
		}
		return n
	default:
		return c
	}
}
