package capture

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/settings"
)

// ColumnRule is what a setting says about the columns that it names, such as
// to mask them (io.debezium.relational.mapping).
type ColumnRule struct {
	patterns []pattern
	byType   bool // the patterns end in the column's type instead of its name
	// Of these one is set: mask, hash, cut or describe.
	mask     *schema.Value
	hash     *hashing
	cut      bool
	most     int // characters that cut leaves
	describe bool
}

// The settings that name columns, in the order in which Debezium asks them:
// the first that matches a column decides.
var columnSettings = []struct {
	key  *regexp.Regexp
	make func(r *ColumnRule, args []string) error
}{
	{regexp.MustCompile(`^column\.truncate\.to\.(\d+)\.chars$`), func(r *ColumnRule, args []string) (err error) {
		r.cut = true
		r.most, err = count(args[0])
		return err
	}},
	{regexp.MustCompile(`^column\.mask\.with\.(\d+)\.chars$`), func(r *ColumnRule, args []string) error {
		n, err := count(args[0])
		v := schema.Text(strings.Repeat("*", n))
		r.mask = &v
		return err
	}},
	{regexp.MustCompile(`^column\.propagate\.source\.type$`), func(r *ColumnRule, _ []string) error {
		r.describe = true
		return nil
	}},
	{regexp.MustCompile(`^datatype\.propagate\.source\.type$`), func(r *ColumnRule, _ []string) error {
		r.describe, r.byType = true, true
		return nil
	}},
	{regexp.MustCompile(`^column\.mask\.hash\.([^.]+)\.with\.salt\.(.+)$`), func(r *ColumnRule, args []string) (err error) {
		r.hash, err = newHashing(args[0], args[1], javaObject)
		return err
	}},
	{regexp.MustCompile(`^column\.mask\.hash\.v2\.([^.]+)\.with\.salt\.(.+)$`), func(r *ColumnRule, args []string) (err error) {
		r.hash, err = newHashing(args[0], args[1], func(dst, text []byte) []byte { return append(dst, text...) })
		return err
	}},
}

// count reads the number in a setting's key.
func count(digits string) (int, error) {
	const most = 1 << 20
	n, err := strconv.Atoi(digits)
	if err != nil || n > most {
		return 0, fmt.Errorf("%s is more than %d characters", digits, most)
	}
	return n, nil
}

// ParseColumnRules reads the settings that say what to do with single columns.
func ParseColumnRules(raw map[string]string) ([]ColumnRule, settings.Problems) {
	var rules []ColumnRule
	var problems settings.Problems
	known := map[string]bool{}
	for _, s := range columnSettings {
		for _, key := range slices.Sorted(maps.Keys(raw)) {
			args := s.key.FindStringSubmatch(key)
			if args == nil {
				continue
			}
			known[key] = true
			var r ColumnRule
			var err error
			if r.patterns, err = parsePatterns(raw[key]); err == nil {
				err = s.make(&r, args[1:])
			}
			if err != nil {
				problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("The '%s' value is invalid: %s", key, err)})
				continue
			}
			rules = append(rules, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		// What was to be masked must not slip through.
		if !known[key] && (strings.HasPrefix(key, "column.mask.") || strings.HasPrefix(key, "column.truncate.")) {
			problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf(
				"The '%s' setting is not known. Write column.mask.with.<n>.chars, column.mask.hash.<algorithm>.with.salt.<salt>, column.mask.hash.v2.<algorithm>.with.salt.<salt> or column.truncate.to.<n>.chars.", key)})
		}
	}
	return rules, problems
}

// ruleFor returns the rule for a column, nil if there is none.
func ruleFor(rules []ColumnRule, t *schema.Table, c *schema.Column) *ColumnRule {
	for i := range rules {
		name := c.Name
		if rules[i].byType {
			name = c.Origin.Type
		}
		if name != "" && matchesAny(rules[i].patterns, t.Path()+"."+name) {
			return &rules[i]
		}
	}
	return nil
}

// cuts reports whether the rule may shorten a column's values. The length that
// the column was declared with may exclude that.
func (r *ColumnRule) cuts(o schema.Origin) bool { return r.cut && (o.Length < 0 || o.Length > r.most) }

// schemaOf returns the schema of a column's field.
func (r *ColumnRule) schemaOf(c *schema.Column) *schema.Schema {
	s := *c.Schema
	s.Parameters = slices.Clip(s.Parameters)
	add := func(name, value string) {
		s.Parameters = append(s.Parameters, schema.Parameter{Name: name, Value: value})
	}
	switch {
	case r.mask != nil, r.hash != nil:
		add("masked", "true")
	case r.cuts(c.Origin):
		add("truncateLength", strconv.Itoa(r.most))
	case r.describe:
		const prefix = "__debezium.source.column."
		add(prefix+"type", strings.ToUpper(c.Origin.Type))
		if c.Origin.Length >= 0 {
			add(prefix+"length", strconv.Itoa(c.Origin.Length))
		}
		if c.Origin.Scale >= 0 {
			add(prefix+"scale", strconv.Itoa(c.Origin.Scale))
		}
		if c.Origin.Comment != "" {
			add(prefix+"comment", c.Origin.Comment)
		}
		add(prefix+"name", c.Name)
	}
	return &s
}

// cellChange changes the values of one column.
type cellChange struct {
	at     int // the column's place
	mask   *schema.Value
	hash   *hashing
	most   int // characters that are left, -1 for all
	absent *schema.Value
}

// changeOf returns what the rule does to a column's values, and whether it
// does anything to them.
func (r *ColumnRule) changeOf(c *schema.Column, at int) (cellChange, bool) {
	change := cellChange{at: at, mask: r.mask, hash: r.hash, most: -1, absent: c.Absent}
	switch {
	case r.mask != nil:
		return change, c.Schema.Type == schema.TypeString
	case r.hash != nil:
		if c.Origin.Length > 0 {
			change.most = c.Origin.Length
		}
		return change, c.Schema.Type == schema.TypeString
	case r.cuts(c.Origin):
		change.most = r.most
		return change, c.Schema.Type == schema.TypeString || c.Schema.Type == schema.TypeBytes
	}
	return change, false
}

// apply returns the changed value. What it needs memory for it appends to
// text, which the value aliases.
func (c *cellChange) apply(text *[]byte, v schema.Value) schema.Value {
	if c.mask != nil {
		return *c.mask // also in place of null, as in Debezium
	}
	if v.Kind() == schema.KindAbsent && c.absent != nil {
		v = *c.absent
	}
	if c.hash != nil && v.Kind() == schema.KindString {
		v = c.hash.of(text, v.Bytes())
	}
	if c.most < 0 {
		return v
	}
	switch v.Kind() {
	case schema.KindString:
		return schema.String(firstUnits(v.Bytes(), c.most))
	case schema.KindBytes:
		return schema.Bytes(v.Bytes()[:min(len(v.Bytes()), c.most)])
	default:
		return v
	}
}

// equal reports whether two values of the column are published alike.
func (c *cellChange) equal(a, b schema.Value) bool {
	switch {
	case c.mask != nil:
		return true
	case c.hash != nil:
		return a.Equal(b)
	}
	var none []byte
	return c.apply(&none, a).Equal(c.apply(&none, b))
}

// firstUnits returns the beginning of a text that has at most n UTF-16 units,
// which is what Java counts. It does not cut a character in two.
func firstUnits(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	units := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if units++; r > 0xffff {
			units++
		}
		if units > n {
			return text[:i]
		}
		i += size
	}
	return text
}

// hashing replaces texts by their salted hash in hexadecimal digits.
type hashing struct {
	salt []byte
	sum  func(dst, data []byte) []byte
	// form is what of a text is hashed.
	form func(dst, text []byte) []byte
}

// digests are the algorithms that Java calls by these names.
var digests = map[string]func(dst, data []byte) []byte{
	"MD5":         func(dst, data []byte) []byte { s := md5.Sum(data); return append(dst, s[:]...) },
	"SHA":         func(dst, data []byte) []byte { s := sha1.Sum(data); return append(dst, s[:]...) },
	"SHA-1":       func(dst, data []byte) []byte { s := sha1.Sum(data); return append(dst, s[:]...) },
	"SHA-224":     func(dst, data []byte) []byte { s := sha256.Sum224(data); return append(dst, s[:]...) },
	"SHA-256":     func(dst, data []byte) []byte { s := sha256.Sum256(data); return append(dst, s[:]...) },
	"SHA-384":     func(dst, data []byte) []byte { s := sha512.Sum384(data); return append(dst, s[:]...) },
	"SHA-512":     func(dst, data []byte) []byte { s := sha512.Sum512(data); return append(dst, s[:]...) },
	"SHA-512/224": func(dst, data []byte) []byte { s := sha512.Sum512_224(data); return append(dst, s[:]...) },
	"SHA-512/256": func(dst, data []byte) []byte { s := sha512.Sum512_256(data); return append(dst, s[:]...) },
	"SHA3-224":    func(dst, data []byte) []byte { s := sha3.Sum224(data); return append(dst, s[:]...) },
	"SHA3-256":    func(dst, data []byte) []byte { s := sha3.Sum256(data); return append(dst, s[:]...) },
	"SHA3-384":    func(dst, data []byte) []byte { s := sha3.Sum384(data); return append(dst, s[:]...) },
	"SHA3-512":    func(dst, data []byte) []byte { s := sha3.Sum512(data); return append(dst, s[:]...) },
}

func newHashing(algorithm, salt string, form func(dst, text []byte) []byte) (*hashing, error) {
	sum, ok := digests[strings.ToUpper(algorithm)]
	if !ok {
		return nil, fmt.Errorf("the hash algorithm %s is not known; use one of %s", algorithm, strings.Join(slices.Sorted(maps.Keys(digests)), ", "))
	}
	return &hashing{salt: []byte(salt), sum: sum, form: form}, nil
}

func (h *hashing) of(text *[]byte, v []byte) schema.Value {
	from := len(*text)
	*text = h.form(append(*text, h.salt...), v)
	hashed := len(*text)
	*text = h.sum(*text, (*text)[from:])
	digits := len(*text)
	*text = hex.AppendEncode(*text, (*text)[hashed:])
	return schema.String((*text)[digits:len(*text):len(*text)])
}

// javaObject appends a text as Java serializes a String
// (java.io.ObjectOutputStream), which is what Debezium's first version of
// hashing hashes.
func javaObject(dst, text []byte) []byte {
	dst = append(dst, 0xac, 0xed, 0, 5)
	head := len(dst)
	dst = append(dst, 0x74, 0, 0)
	body := len(dst)
	dst = appendModifiedUTF8(dst, text)
	n := len(dst) - body
	if n <= 0xffff {
		binary.BigEndian.PutUint16(dst[head+1:], uint16(n))
		return dst
	}
	dst = slices.Insert(dst, body, 0, 0, 0, 0, 0, 0)
	dst[head] = 0x7c
	binary.BigEndian.PutUint64(dst[head+1:], uint64(n))
	return dst
}

// appendModifiedUTF8 writes zero in two bytes, and characters beyond the basic
// plane as two surrogates of three (java.io.DataOutput).
func appendModifiedUTF8(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == 0:
			dst = append(dst, 0xc0, 0x80)
		case r > 0xffff:
			r -= 0x10000
			for _, unit := range [2]rune{0xd800 | r>>10, 0xdc00 | r&0x3ff} {
				dst = append(dst, 0xe0|byte(unit>>12), 0x80|byte(unit>>6)&0xbf, 0x80|byte(unit)&0xbf)
			}
		default:
			dst = append(dst, text[i:i+size]...)
		}
		i += size
	}
	return dst
}
