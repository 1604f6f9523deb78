package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A node is a JSON value with everything that a map would lose: the order of
// fields, fields that come twice, the spelling of scalars.
type node struct {
	kind  byte     // '{', '[' or, for a scalar, 's'
	raw   string   // as it was written
	names []string // of an object's fields
	kids  []*node
}

// parse reads one JSON value. Empty text stands for a record's null.
func parse(text []byte) (*node, error) {
	if len(text) == 0 {
		text = []byte("null")
	}
	p := parser{text: text, d: json.NewDecoder(bytes.NewReader(text))}
	p.d.UseNumber()
	n, err := p.value()
	if err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, text)
	}
	if _, err := p.d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the value: %.200s", text)
	}
	return n, nil
}

type parser struct {
	text []byte
	d    *json.Decoder
}

func (p *parser) value() (*node, error) {
	from := p.d.InputOffset()
	token, err := p.d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{kind: 's'}
	if delim, ok := token.(json.Delim); ok {
		n.kind = byte(delim)
		for p.d.More() {
			if n.kind == '{' {
				name, err := p.d.Token()
				if err != nil {
					return nil, err
				}
				n.names = append(n.names, name.(string))
			}
			kid, err := p.value()
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, kid)
		}
		if _, err := p.d.Token(); err != nil {
			return nil, err
		}
	}
	// What separates it from the token before is not part of it.
	n.raw = strings.TrimLeft(string(p.text[from:p.d.InputOffset()]), " \t\r\n:,")
	return n, nil
}

// field returns an object's field, nil if it has none of that name.
func (n *node) field(name string) *node {
	if n == nil || n.kind != '{' {
		return nil
	}
	for i, have := range n.names {
		if have == name {
			return n.kids[i]
		}
	}
	return nil
}

// at follows the names of fields.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		n = n.field(name)
	}
	return n
}

// str returns a text's content, or what was written of anything else.
func (n *node) str() string {
	if n == nil {
		return ""
	}
	var s string
	if json.Unmarshal([]byte(n.raw), &s) != nil {
		return n.raw
	}
	return s
}

func (n *node) isNull() bool { return n == nil || n.raw == "null" }
