package conformance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A finding is one place where a record differs from the recorded one.
type finding struct {
	topic     string // as in entry.topic
	index     int    // of the record in its topic
	path      string
	want, got string
}

// entry says which findings a deviation or a pending entry is about. The
// patterns are those of path.Match for names between points; ** stands for
// everything below.
type entry struct {
	// system is the database's: postgres or mysql; configuration the
	// recording's: default, schemas or variant1.
	system, configuration string
	// topic is the topic's name without the prefix, or what kind of topic it
	// is: see topicName.
	topic string
	// path is key, value or headers, and then names of fields. The words
	// payload and fields are left out, schema stands for the part of a message
	// that describes the other.
	path string
}

func (e *entry) covers(system, configuration, topic, at string) bool {
	return matches(e.system, system) && matches(e.configuration, configuration) && matches(e.topic, topic) && matches(e.path, at)
}

func matches(pattern, name string) bool {
	slashes := strings.NewReplacer(".", "/")
	pattern, name = slashes.Replace(pattern), slashes.Replace(name)
	if head, ok := strings.CutSuffix(pattern, "/**"); ok {
		depth := strings.Count(head, "/") + 1
		parts := strings.SplitN(name, "/", depth+1)
		pattern, name = head, strings.Join(parts[:min(depth, len(parts))], "/")
	}
	ok, err := path.Match(pattern, name)
	if err != nil {
		panic(err) // a mistake in a table
	}
	return ok
}

// tally is how many records of a topic are how.
type tally struct{ recorded, got, equal, deviating, pending, different int }

// comparison compares the records of one configuration.
type comparison struct {
	system, configuration, prefix string
	deviations                    *usage[deviation]
	pending                       *usage[pendingEntry]

	schemas  map[string]*node  // by their text
	twins    map[string]*twins // by what kind of number they are
	orders   map[string]int64  // last data_collection_order, by transaction and topic
	totals   map[string][]int64
	tallies  map[string]*tally
	findings []finding

	// The record at hand.
	record            *record
	topic             string
	index             int
	deviated, excused bool
	phase             string // of the record at hand, a prefix for kinds of twins
}

func newComparison(system, configuration, prefix string, d *usage[deviation], p *usage[pendingEntry]) *comparison {
	return &comparison{
		system: system, configuration: configuration, prefix: prefix, deviations: d, pending: p,
		schemas: map[string]*node{}, twins: map[string]*twins{}, orders: map[string]int64{}, totals: map[string][]int64{}, tallies: map[string]*tally{},
	}
}

// The kinds of topics beside those of tables.
const (
	topicTransactions = "transaction"
	topicMessages     = "message"
	topicHeartbeats   = "heartbeat"
	topicChanges      = "schema changes"
	topicHistory      = "history"
)

// topicName is the topic's name without the prefix.
func topicName(prefix, topic string) string {
	switch topic {
	case prefix:
		return topicChanges
	case "schemahistory." + prefix:
		return topicHistory
	case "__debezium-heartbeat." + prefix:
		return topicHeartbeats
	}
	return strings.TrimPrefix(topic, prefix+".")
}

// compare compares all topics.
func (c *comparison) compare(want, got topics) {
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, topic := range slices.Sorted(maps.Keys(all)) {
		c.topic = topicName(c.prefix, topic)
		if c.topic == topicHistory && len(want[topic]) == 0 {
			continue // it was kept of one configuration only
		}
		t := &tally{recorded: len(want[topic]), got: len(got[topic])}
		c.tallies[c.topic] = t
		w, g := want[topic], got[topic]
		if c.topic == topicHeartbeats && len(g) > len(w) {
			g = g[:len(w)] // only three were kept
		}
		if len(w) != len(g) {
			c.index, c.deviated, c.excused = 0, false, false
			c.report("count", fmt.Sprint(len(w)), fmt.Sprint(len(g)))
			// Which record is which is not known.
			if c.excused {
				t.pending = len(w)
			} else {
				t.different = len(w)
			}
			continue
		}
		c.compareTopic(t, w, g)
	}
	c.index, c.topic = 0, ""
	c.whole()
}

func (c *comparison) compareTopic(t *tally, want, got []record) {
	var last *node
	for i := range min(len(want), len(got)) {
		c.index, c.record, c.deviated, c.excused = i, &got[i], false, false
		before := len(c.findings)
		value := c.compareRecord(&want[i], &got[i])
		c.consistent(value, last)
		if !value.isNull() {
			last = value
		}
		switch {
		case len(c.findings) > before:
			t.different++
		case c.excused:
			t.pending++
		case c.deviated:
			t.deviating++
		default:
			t.equal++
		}
	}
}

// compareRecord returns the payload of what was got.
func (c *comparison) compareRecord(want, got *record) *node {
	if got.Partition != want.Partition {
		c.report("partition", fmt.Sprint(want.Partition), fmt.Sprint(got.Partition))
	}
	c.compareHeaders(want, got)
	c.compareText("key", want.Key, got.Key)
	return c.compareText("value", want.Value, got.Value)
}

func (c *comparison) compareHeaders(want, got *record) {
	names := func(r *record) string {
		list := make([]string, len(r.Headers))
		for i, h := range r.Headers {
			list[i] = *h[0]
		}
		return strings.Join(list, " ")
	}
	if names(want) != names(got) {
		c.report("headers", names(want), names(got))
		return
	}
	for i := range want.Headers {
		at := "headers." + strings.ReplaceAll(*want.Headers[i][0], ".", "_")
		w, g := text(want.Headers[i][1]), text(got.Headers[i][1])
		if w == g && !c.hasRule(at) || w != g && c.deviates(at, &node{raw: g}) {
			continue
		}
		c.compareScalar(at, w, g)
	}
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// compareText compares a key or a value.
func (c *comparison) compareText(part string, want, got []byte) *node {
	wantSchema, want := split(want)
	gotSchema, got := split(got)
	c.phase = ""
	w, err := parse(want)
	if err != nil {
		c.report(part, "what was recorded", err.Error())
		return &node{raw: "null"}
	}
	g, err := parse(got)
	if err != nil {
		c.report(part, w.raw, err.Error())
		return &node{raw: "null"}
	}
	if state := g.at("source", "snapshot").str(); state != "" && state != "false" {
		// The log goes on where the snapshot is, at the same place or behind it.
		c.phase = "snapshot "
	}
	if !bytes.Equal(wantSchema, gotSchema) {
		w, err := c.schema(wantSchema)
		if err != nil {
			c.report(part+".schema", "what was recorded", err.Error())
			return g
		}
		g, err := c.schema(gotSchema)
		if err != nil {
			c.report(part+".schema", w.raw, err.Error())
			return &node{raw: "null"}
		}
		c.walk(part+".schema", true, w, g)
	}
	c.walk(part, false, w, g)
	return g
}

// split takes a message with a schema apart. What is none is all payload.
func split(text []byte) (schema, payload []byte) {
	const begin, middle = `{"schema":`, `,"payload":`
	if !bytes.HasPrefix(text, []byte(begin)) || !bytes.HasSuffix(text, []byte("}")) {
		return nil, text
	}
	var schemaText json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text[len(begin):]))
	if d.Decode(&schemaText) != nil {
		return nil, text
	}
	rest := text[len(begin)+int(d.InputOffset()):]
	if !bytes.HasPrefix(rest, []byte(middle)) {
		return nil, text
	}
	return schemaText, rest[len(middle) : len(rest)-1]
}

// schema parses a schema, once for all records that have the same.
func (c *comparison) schema(text []byte) (*node, error) {
	if n, ok := c.schemas[string(text)]; ok {
		return n, nil
	}
	n, err := parse(text)
	if err == nil {
		c.schemas[string(text)] = n
	}
	return n, err
}

// walk compares two values of one place.
func (c *comparison) walk(at string, inSchema bool, want, got *node) {
	if want.raw == got.raw && !c.hasRule(at) {
		return
	}
	if want.raw != got.raw && c.deviates(at, got) {
		return
	}
	if want.kind != got.kind {
		c.report(at, want.raw, got.raw)
		return
	}
	if want.kind == 's' || c.hasRule(at) {
		c.compareScalar(at, want.raw, got.raw)
		return
	}
	listOfFields := inSchema && want.kind == '[' && strings.HasSuffix(at, ".fields")
	if listOfFields {
		at = strings.TrimSuffix(at, ".fields")
	}
	wantNames, gotNames := want.memberNames(listOfFields), got.memberNames(listOfFields)
	var common, commonGot []string
	for i, name := range wantNames {
		at := at + "." + name
		j := slices.Index(gotNames, name)
		if j < 0 {
			if !c.deviates(at, &node{raw: missing}) {
				c.report(at, want.kids[i].raw, missing)
			}
			continue
		}
		common = append(common, name)
		c.walk(at, inSchema, want.kids[i], got.kids[j])
	}
	for j, name := range gotNames {
		if slices.Contains(wantNames, name) {
			commonGot = append(commonGot, name)
		} else if !c.deviates(at+"."+name, got.kids[j]) {
			c.report(at+"."+name, missing, got.kids[j].raw)
		}
	}
	if !slices.Equal(common, commonGot) {
		c.report(at, "the order "+strings.Join(common, " "), strings.Join(commonGot, " "))
	}
}

// missing is how a finding shows a field that is not there.
const missing = "(nothing)"

// memberNames names the parts of an object or a list: its fields; the places
// of its elements; or, if they describe fields, the names of those.
func (n *node) memberNames(listOfFields bool) []string {
	if n.kind == '{' {
		return n.names
	}
	names := make([]string, len(n.kids))
	for i, kid := range n.kids {
		names[i] = strconv.Itoa(i)
		if listOfFields {
			names[i] = kid.field("field").str()
		}
	}
	return names
}

func (c *comparison) compareScalar(at, want, got string) {
	if check := c.rule(at); check != nil {
		if complaint := check(c, want, got); complaint != "" {
			c.report(at, want, got+" ("+complaint+")")
		}
		return
	}
	if want != got {
		c.report(at, want, got)
	}
}

// deviates reports whether a place has what a deviation says in place of the
// recorded value.
func (c *comparison) deviates(at string, got *node) bool {
	for i := range c.deviations.entries {
		d := &c.deviations.entries[i]
		if !d.covers(c.system, c.configuration, c.topic, at) {
			continue
		}
		want, ok := d.want["*"]
		for _, name := range []string{c.key(), fmt.Sprintf("[%d]", c.index)} {
			if w, exact := d.want[name]; exact {
				want, ok = w, true
			}
		}
		if ok && want == got.raw {
			c.deviations.used[i]++
			c.deviated = true
			return true
		}
	}
	return false
}

// key is the record's key, without its schema.
func (c *comparison) key() string {
	_, payload := split(c.record.Key)
	n, err := parse(payload)
	if err != nil {
		return ""
	}
	return n.raw
}

func (c *comparison) report(at, want, got string) {
	for i := range c.pending.entries {
		if c.pending.entries[i].covers(c.system, c.configuration, c.topic, at) {
			c.pending.used[i]++
			c.excused = true
			return
		}
	}
	c.findings = append(c.findings, finding{c.topic, c.index, at, want, got})
}

// usage counts how often each entry of a table was needed.
type usage[E any] struct {
	entries []E
	used    []int
}

func newUsage[E any](entries []E) *usage[E] {
	return &usage[E]{entries: entries, used: make([]int, len(entries))}
}

// show fails the test for what was found, one line for each place of a topic,
// and logs the counts.
func (c *comparison) show(t *testing.T) {
	t.Helper()
	type place struct{ topic, path string }
	times := map[place]int{}
	for _, f := range c.findings {
		times[place{f.topic, f.path}]++
	}
	for _, f := range c.findings {
		n := times[place{f.topic, f.path}]
		if n == 0 {
			continue // shown
		}
		times[place{f.topic, f.path}] = 0
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" (and %d more)", n-1)
		}
		t.Errorf("%s[%d] %s%s\n  recorded %s\n  got      %s", f.topic, f.index, f.path, more, short(f.want, f.got), short(f.got, f.want))
	}
	var table strings.Builder
	sum := tally{}
	fmt.Fprintf(&table, "%-16s %8s %8s %8s %9s %8s %9s\n", "topic", "recorded", "got", "equal", "deviating", "pending", "different")
	line := func(name string, y *tally) {
		fmt.Fprintf(&table, "%-16s %8d %8d %8d %9d %8d %9d\n", name, y.recorded, y.got, y.equal, y.deviating, y.pending, y.different)
	}
	for _, topic := range slices.Sorted(maps.Keys(c.tallies)) {
		y := c.tallies[topic]
		line(topic, y)
		sum.recorded += y.recorded
		sum.got += y.got
		sum.equal += y.equal
		sum.deviating += y.deviating
		sum.pending += y.pending
		sum.different += y.different
	}
	line("all", &sum)
	t.Logf("%s, %s\n%s", c.system, c.configuration, &table)
}

// short cuts a value, and what it has in common with the other one before.
func short(s, other string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	same := 0
	for same < min(len(s), len(other)) && s[same] == other[same] {
		same++
	}
	from := max(0, same-most/4)
	s = s[from:]
	if from > 0 {
		s = "…" + s
	}
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// twins are numbers or texts that vary from run to run, and what stands for
// each in the other run: one for one, and in the same order.
type twins struct{ ours, theirs map[string]string }

// pair notes that got stands for want, and says whether that contradicts what
// was noted before.
func (c *comparison) pair(kind, want, got string) string {
	kind = c.phase + kind
	w := c.twins[kind]
	if w == nil {
		w = &twins{ours: map[string]string{}, theirs: map[string]string{}}
		c.twins[kind] = w
	}
	ours, known := w.ours[want]
	theirs, taken := w.theirs[got]
	switch {
	case known && ours != got:
		return fmt.Sprintf("%s %s has been %s before", kind, want, ours)
	case taken && theirs != want:
		return fmt.Sprintf("%s %s has stood for %s before", kind, got, theirs)
	}
	w.ours[want], w.theirs[got] = got, want
	return ""
}

// inOrder reports where the order of numbers is another in the two runs.
func (c *comparison) inOrder(kind string) {
	w := c.twins[kind]
	if w == nil {
		return
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	list := slices.SortedFunc(maps.Keys(w.ours), func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	for i := 1; i < len(list); i++ {
		if number(w.ours[list[i-1]]) >= number(w.ours[list[i]]) {
			c.report("order of "+kind, list[i-1]+" "+list[i], w.ours[list[i-1]]+" "+w.ours[list[i]])
		}
	}
}
