package ddl

import (
	"strings"
)

// kind is the kind of a token.
type kind uint8

const (
	end    kind = iota
	word        // a keyword or an identifier without quotes
	quoted      // an identifier in quotes
	text        // a string; tok.text is its value
	number
	bitText // b'0101'; tok.text is the digits
	hexText // x'4D' or 0x4D; tok.text is the bytes
	punct   // a single character
)

type token struct {
	kind kind
	text string
	from int // place in the statement
	to   int
}

// Mode is what of the session's sql_mode changes how statements are read.
type Mode struct {
	ANSIQuotes         bool
	NoBackslashEscapes bool
}

// lex cuts a statement into tokens. Comments are dropped, but what is in an
// executable comment (/*!80000 … */, /*M! … */) counts. It never fails: what is
// not closed ends with the statement.
func lex(sql string, mode Mode) []token {
	l := lexer{sql: sql, mode: mode, tokens: make([]token, 0, len(sql)/5+8)}
	for l.at < len(l.sql) {
		l.next()
	}
	return l.tokens
}

type lexer struct {
	sql    string
	at     int
	mode   Mode
	tokens []token
	// inside counts the executable comments that are open.
	inside int
}

func (l *lexer) emit(k kind, text string, from int) {
	l.tokens = append(l.tokens, token{kind: k, text: text, from: from, to: l.at})
}

func (l *lexer) peek(i int) byte {
	if l.at+i < len(l.sql) {
		return l.sql[l.at+i]
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord tells the characters of identifiers without quotes; every byte of a
// character beyond ASCII is one.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

func (l *lexer) next() {
	c, from := l.sql[l.at], l.at
	switch {
	case isSpace(c):
		l.at++
	case c == '#', c == '-' && l.peek(1) == '-' && (l.at+2 == len(l.sql) || isSpace(l.peek(2))):
		if n := strings.IndexByte(l.sql[l.at:], '\n'); n >= 0 {
			l.at += n + 1
		} else {
			l.at = len(l.sql)
		}
	case c == '/' && l.peek(1) == '*':
		l.comment()
	case c == '*' && l.peek(1) == '/' && l.inside > 0:
		l.inside--
		l.at += 2
	case c == '`':
		s := l.quotedBy('`', false)
		l.emit(quoted, s, from)
	case c == '"' && l.mode.ANSIQuotes:
		s := l.quotedBy('"', false)
		l.emit(quoted, s, from)
	case c == '\'' || c == '"':
		s := l.quotedBy(c, !l.mode.NoBackslashEscapes)
		// Strings side by side are one.
		if n := len(l.tokens); n > 0 && l.tokens[n-1].kind == text {
			l.tokens[n-1].text += s
			l.tokens[n-1].to = l.at
			return
		}
		l.emit(text, s, from)
	case (c == 'b' || c == 'B') && l.peek(1) == '\'':
		l.at++
		l.emit(bitText, l.quotedBy('\'', false), from)
	case (c == 'x' || c == 'X') && l.peek(1) == '\'':
		l.at++
		l.emit(hexText, unhex(l.quotedBy('\'', false)), from)
	case (c == 'n' || c == 'N') && l.peek(1) == '\'':
		l.at++
		l.emit(text, l.quotedBy('\'', !l.mode.NoBackslashEscapes), from)
	case isDigit(c) || c == '.' && isDigit(l.peek(1)) && !l.afterName():
		l.number()
	case isWord(c):
		for l.at < len(l.sql) && isWord(l.sql[l.at]) {
			l.at++
		}
		s := l.sql[from:l.at]
		if s[0] == '_' && (l.peek(0) == '\'' || l.peek(0) == '"' || l.peek(0) == ' ' && l.peek(1) == '\'') {
			return // the character set of the string that follows
		}
		l.emit(word, s, from)
	default:
		l.at++
		l.emit(punct, l.sql[from:l.at], from)
	}
}

// afterName reports whether the last token is a name directly before, so that
// a point is the one between database and table.
func (l *lexer) afterName() bool {
	n := len(l.tokens)
	return n > 0 && l.tokens[n-1].to == l.at && (l.tokens[n-1].kind == word || l.tokens[n-1].kind == quoted)
}

func (l *lexer) comment() {
	rest := l.sql[l.at:]
	skip := 0
	switch {
	case strings.HasPrefix(rest, "/*!"):
		skip = 3
	case strings.HasPrefix(rest, "/*M!"):
		skip = 4
	}
	if skip == 0 {
		if n := strings.Index(rest, "*/"); n >= 0 {
			l.at += n + 2
		} else {
			l.at = len(l.sql)
		}
		return
	}
	for skip < len(rest) && isDigit(rest[skip]) {
		skip++
	}
	l.at += skip
	l.inside++
}

// quotedBy reads up to the closing quote; two quotes stand for one.
func (l *lexer) quotedBy(q byte, escapes bool) string {
	l.at++
	from := l.at
	plain := true
	for l.at < len(l.sql) {
		switch c := l.sql[l.at]; {
		case c == '\\' && escapes:
			plain = false
			l.at++
		case c == q && l.peek(1) == q:
			plain = false
			l.at++
		case c == q:
			s := l.sql[from:l.at]
			l.at++
			if plain {
				return s
			}
			return unquote(s, q, escapes)
		}
		l.at++
	}
	l.at = len(l.sql)
	return l.sql[min(from, len(l.sql)):]
}

func unquote(s string, q byte, escapes bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == q && i+1 < len(s) && s[i+1] == q:
			i++
		case c == '\\' && escapes && i+1 < len(s):
			i++
			switch c = s[i]; c {
			case '0':
				c = 0
			case 'b':
				c = '\b'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'Z':
				c = 0x1a
			case '%', '_':
				b.WriteByte('\\')
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func unhex(s string) string {
	value := func(c byte) byte {
		switch {
		case isDigit(c):
			return c - '0'
		case c >= 'a' && c <= 'f':
			return c - 'a' + 10
		case c >= 'A' && c <= 'F':
			return c - 'A' + 10
		}
		return 0
	}
	if len(s)%2 == 1 {
		s = "0" + s
	}
	b := make([]byte, len(s)/2)
	for i := range b {
		b[i] = value(s[2*i])<<4 | value(s[2*i+1])
	}
	return string(b)
}

func (l *lexer) number() {
	from := l.at
	if l.sql[l.at] == '0' && (l.peek(1) == 'x' || l.peek(1) == 'b') && isWord(l.peek(2)) {
		k := hexText
		if l.peek(1) == 'b' {
			k = bitText
		}
		l.at += 2
		for l.at < len(l.sql) && isWord(l.sql[l.at]) {
			l.at++
		}
		s := l.sql[from+2 : l.at]
		if k == hexText {
			s = unhex(s)
		}
		l.emit(k, s, from)
		return
	}
	for l.at < len(l.sql) && (isDigit(l.sql[l.at]) || l.sql[l.at] == '.') {
		l.at++
	}
	if c := l.peek(0); (c == 'e' || c == 'E') && (isDigit(l.peek(1)) || (l.peek(1) == '-' || l.peek(1) == '+') && isDigit(l.peek(2))) {
		for l.at += 2; l.at < len(l.sql) && isDigit(l.sql[l.at]); {
			l.at++
		}
		l.emit(number, l.sql[from:l.at], from)
		return
	}
	// An identifier may begin with digits.
	if l.at < len(l.sql) && isWord(l.sql[l.at]) {
		for l.at < len(l.sql) && isWord(l.sql[l.at]) {
			l.at++
		}
		l.emit(word, l.sql[from:l.at], from)
		return
	}
	l.emit(number, l.sql[from:l.at], from)
}
