package conformance

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A check says what is wrong with a value that need not be the recorded one.
// The values are as they were written: with quotes if they are texts.
type check func(c *comparison, want, got string) string

// rules are what differs in every run, by path. A path that holds for one kind
// of topic only has the topic and a blank before it.
var rules = map[string]check{
	// When the record was made, and when the change was committed. That the
	// units agree is checked by consistent.
	"value.ts_ms": recent(time.Millisecond), "value.ts_us": recent(time.Microsecond), "value.ts_ns": recent(time.Nanosecond),
	"value.source.ts_ms": recent(time.Millisecond), "value.source.ts_us": recent(time.Microsecond), "value.source.ts_ns": recent(time.Nanosecond),

	"value.source.lsn":       same("lsn"),
	"value.source.sequence":  sequences,
	"value.source.txId":      same("txId"),
	"value.source.gtid":      gtids,
	"value.source.file":      same("file"),
	"value.source.pos":       same("pos"),
	"value.source.server_id": same("server_id"),
	"value.source.thread":    number, // the statements may have been run in several sessions

	"value.transaction.id":          transactions,
	topicTransactions + " key.id":   transactions,
	topicTransactions + " value.id": transactions,

	// One outside of transactions is where its own commit would be.
	topicMessages + " value.source.lsn": same("message lsn"),

	"headers.__debezium_context_runId": runIDs,

	topicHistory + " value.position.ts_sec":         number,
	topicHistory + " value.position.file":           same("file"),
	topicHistory + " value.position.pos":            same("pos"),
	topicHistory + " value.position.gtids":          gtidSets,
	topicHistory + " value.position.server_id":      same("server_id"),
	topicHistory + " value.position.transaction_id": gtids,

	// Defaults that the server computes.
	"g.t_def value.after.d_now":    zoned,
	"g.t_def value.after.d_uuid":   uuids,
	"gold.t_def value.after.d_ts":  zoned,
	"gold.t_def value.after.d_ts3": zoned,
}

func (c *comparison) rule(at string) check {
	if r, ok := rules[c.topic+" "+at]; ok {
		return r
	}
	return rules[at]
}

func (c *comparison) hasRule(at string) bool { return c.rule(at) != nil }

var digits = regexp.MustCompile(`^\d+$`)

// number wants a number where there was one.
func number(_ *comparison, want, got string) string {
	switch {
	case want == "null" && got == "null":
		return ""
	case want == "null" || !digits.MatchString(got):
		return "not a number, or one where there was none"
	}
	return ""
}

// recent wants a time of this run, or null where the recording has that.
func recent(unit time.Duration) check {
	return func(_ *comparison, want, got string) string {
		if want == "null" && got == "null" {
			return ""
		}
		if want == "null" || !digits.MatchString(got) {
			return "not a number, or one where there was none"
		}
		// The recordings are compared with themselves too.
		if got == want {
			return ""
		}
		if since := time.Since(time.Unix(0, 0).Add(time.Duration(number64(got)) * unit)); since < -time.Minute || since > time.Hour {
			return "not a time of this run"
		}
		return ""
	}
}

// same wants what stands for the recorded value everywhere.
func same(kind string) check {
	return func(c *comparison, want, got string) string {
		if (want == "null") != (got == "null") {
			return "one of them is null"
		}
		if want == "null" {
			return ""
		}
		if digits.MatchString(want) && !digits.MatchString(got) {
			return "not a number"
		}
		if (want == "0") != (got == "0") {
			return "one of them is 0"
		}
		return c.pair(kind, want, got)
	}
}

var sequence = regexp.MustCompile(`^"\[(null|\\"(\d+)\\"),(null|\\"(\d+)\\")\]"$`)

func sequences(c *comparison, want, got string) string {
	if want == "null" && got == "null" {
		return ""
	}
	w, g := sequence.FindStringSubmatch(want), sequence.FindStringSubmatch(got)
	if w == nil || g == nil {
		return "not a sequence of two"
	}
	own := "lsn"
	if c.topic == topicMessages {
		own = "message lsn"
	}
	// The end of a commit is the begin of the next transaction only if the
	// server logs nothing in between.
	for i, kind := range map[int]string{2: "commit lsn", 4: own} {
		switch {
		case (w[i] == "") != (g[i] == ""):
			return "one of them is null"
		case w[i] != "":
			if complaint := c.pair(kind, w[i], g[i]); complaint != "" {
				return complaint
			}
		}
	}
	return ""
}

var gtid = regexp.MustCompile(`^"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d+)"$`)

func gtids(c *comparison, want, got string) string {
	if want == "null" && got == "null" {
		return ""
	}
	w, g := gtid.FindStringSubmatch(want), gtid.FindStringSubmatch(got)
	if w == nil || g == nil {
		return "not a GTID"
	}
	if complaint := c.pair("server uuid", w[1], g[1]); complaint != "" {
		return complaint
	}
	return c.pair("gtid", w[2], g[2])
}

var gtidSet = regexp.MustCompile(`^"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):1-(\d+)"$`)

func gtidSets(c *comparison, want, got string) string {
	w, g := gtidSet.FindStringSubmatch(want), gtidSet.FindStringSubmatch(got)
	if w == nil || g == nil {
		return "not a set of GTIDs"
	}
	return c.pair("server uuid", w[1], g[1])
}

var transaction = regexp.MustCompile(`^"(\d+):(\d+)"$`)

// transactions are the ids of transaction metadata.
func transactions(c *comparison, want, got string) string {
	if c.system != "postgres" {
		return gtids(c, want, got)
	}
	w, g := transaction.FindStringSubmatch(want), transaction.FindStringSubmatch(got)
	if w == nil || g == nil {
		return "not a transaction and its place"
	}
	if complaint := c.pair("txId", w[1], g[1]); complaint != "" {
		return complaint
	}
	if c.topic == topicTransactions && bytes.Contains(c.record.Value, []byte(`"status":"END"`)) {
		return c.pair("commit lsn", w[2], g[2])
	}
	return c.pair("lsn", w[2], g[2])
}

var uuidV7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func runIDs(c *comparison, want, got string) string {
	if !uuidV7.MatchString(got) {
		return "not a UUID of version 7"
	}
	return c.pair("runId", want, got)
}

var (
	zonedTimestamp = regexp.MustCompile(`^"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z"$`)
	uuid           = regexp.MustCompile(`^"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"$`)
)

func zoned(_ *comparison, want, got string) string {
	if want != got && !zonedTimestamp.MatchString(got) {
		return "not a time"
	}
	return ""
}

func uuids(_ *comparison, _, got string) string {
	if !uuid.MatchString(got) {
		return "not a UUID"
	}
	return ""
}

// consistent checks what must hold within a value, and between it and the one
// before it in its topic.
func (c *comparison) consistent(value, last *node) {
	for _, block := range []*node{value, value.at("source")} {
		ms, us, ns := block.at("ts_ms").int(), block.at("ts_us").int(), block.at("ts_ns").int()
		if block.at("ts_us") != nil && (ms != us/1000 || us != ns/1000) {
			c.report("value.ts", "ts_ms, ts_us and ts_ns of one moment", fmt.Sprint(ms, " ", us, " ", ns))
		}
	}
	source := value.at("source")
	if source == nil {
		return
	}
	if made, changed := value.at("ts_ms").int(), source.at("ts_ms").int(); made < changed {
		c.report("value.ts", "a record made after its change", fmt.Sprintf("made at %d, changed at %d", made, changed))
	}
	if seq := source.at("sequence"); !seq.isNull() {
		parts := sequence.FindStringSubmatch(seq.raw)
		switch {
		case parts == nil || parts[4] != source.at("lsn").str():
			c.report("value.source.sequence", "the lsn "+source.at("lsn").str(), seq.raw)
		case parts[2] != "" && number64(parts[2]) > number64(parts[4]):
			c.report("value.source.sequence", "a commit before the change", seq.raw)
		}
	}
	for _, field := range []string{"ts_ms", "lsn", "pos"} {
		before, now := last.at("source", field), source.at(field)
		if !before.isNull() && !now.isNull() && before.int() > now.int() && last.at("source", "file").str() == source.at("file").str() {
			c.report("value.source."+field, "not before "+before.raw, now.raw)
		}
	}
	if tx := value.at("transaction"); !tx.isNull() {
		c.inTransaction(tx, source)
	}
}

// inTransaction takes note of an event's place in its transaction.
func (c *comparison) inTransaction(tx, source *node) {
	id := tx.at("id").str()
	if c.system == "postgres" {
		// Its second half is the event's own place.
		xid, place, _ := strings.Cut(id, ":")
		if place != source.at("lsn").str() || xid != source.at("txId").str() {
			c.report("value.transaction.id", source.at("txId").raw+":"+source.at("lsn").raw, tx.at("id").raw)
		}
		id = xid
	} else if id != source.at("gtid").str() {
		c.report("value.transaction.id", source.at("gtid").raw, tx.at("id").raw)
	}
	c.totals[id] = append(c.totals[id], tx.at("total_order").int())
	inTopic := id + " " + c.topic
	c.orders[inTopic]++
	if order := tx.at("data_collection_order").int(); order != c.orders[inTopic] {
		c.report("value.transaction", fmt.Sprint("data_collection_order ", c.orders[inTopic]), fmt.Sprint(order))
	}
}

// whole checks what must hold for all topics together.
func (c *comparison) whole() {
	for id, list := range c.totals {
		slices.Sort(list)
		for i, n := range list {
			if n != int64(i+1) {
				c.report("value.transaction", "total_order 1 and up in "+id, fmt.Sprint(list))
				break
			}
		}
	}
	for _, kind := range []string{"lsn", "commit lsn", "message lsn", "txId", "gtid", "pos"} {
		c.inOrder(kind)
	}
}

// int returns a number, or that of a text.
func (n *node) int() int64 { return number64(strings.Trim(n.str(), `"`)) }

func number64(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}
