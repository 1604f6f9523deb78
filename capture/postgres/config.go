package postgres

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
)

// config is a connector's configuration, read.
type config struct {
	prefix, messageTopic           string
	host, user, password, dbname   string
	port                           int64
	sslMode, sslCert, sslKey       string
	sslRootCert, sslPassword       string
	keepAlive                      bool
	initialStatements              []string
	queryTimeout, checkTimeout     time.Duration
	slot, publication, autocreate  string
	viaRoot, failover, dropSlot    bool
	copiesAgain                    bool // a lost log leads to a new snapshot
	statusEvery                    time.Duration
	filter                         *capture.Filter
	keys                           []capture.KeyColumns // message.key.columns
	orderByRows                    string               // snapshot.tables.order.by.row.count
	values                         valueConfig
	unconvertible                  string // event.converting.failure.handling.mode
	omitted                        string // penstock.unsupported.columns.handling.mode
	messageInclude, messageExclude []*regexp.Regexp
	transactions                   bool // provide.transaction.metadata
}

// valueConfig is what decides how values appear.
type valueConfig struct {
	decimals, times, binary, intervals, hstore string // the *.mode settings
	unknown                                    bool   // include.unknown.datatypes
	moneyDigits                                int    // money.fraction.digits
	placeholder                                []byte
}

// systemSchema tells the schemas that belong to the server.
func systemSchema(name string) bool {
	return name == "pg_catalog" || name == "information_schema" || name == "pg_toast" ||
		strings.HasPrefix(name, "pg_temp") || strings.HasPrefix(name, "pg_toast_temp")
}

func newConfig(v settings.Values) (*config, settings.Problems) {
	filter, problems := capture.NewFilter(v, "schema", systemSchema)
	c := &config{
		prefix:       v.String("topic.prefix"),
		messageTopic: v.String("topic.prefix") + ".message", // whatever topic.delimiter is
		host:         v.String("database.hostname"), port: v.Int("database.port"), dbname: v.String("database.dbname"),
		user: v.String("database.user"), password: v.String("database.password"),
		sslMode: v.String("database.sslmode"), sslCert: v.String("database.sslcert"), sslKey: v.String("database.sslkey"),
		sslRootCert: v.String("database.sslrootcert"), sslPassword: v.String("database.sslpassword"),
		keepAlive:         v.Bool("database.tcpKeepAlive"),
		initialStatements: splitStatements(v.String("database.initial.statements")),
		queryTimeout:      v.Millis("database.query.timeout.ms"),
		checkTimeout:      v.Millis("connection.validation.timeout.ms"),
		slot:              v.String("slot.name"),
		publication:       v.String("publication.name"),
		autocreate:        v.String("publication.autocreate.mode"),
		viaRoot:           v.Bool("publish.via.partition.root"),
		failover:          v.Bool("slot.failover"),
		dropSlot:          v.Bool("slot.drop.on.stop"),
		copiesAgain:       capture.CopiesAgain(v),
		statusEvery:       v.Millis("status.update.interval.ms"),
		filter:            filter,
		orderByRows:       v.String("snapshot.tables.order.by.row.count"),
		transactions:      v.Bool("provide.transaction.metadata"),
		values: valueConfig{
			decimals:  v.String("decimal.handling.mode"),
			times:     v.String("time.precision.mode"),
			binary:    v.String("binary.handling.mode"),
			intervals: v.String("interval.handling.mode"),
			hstore:    v.String("hstore.handling.mode"),
			unknown:   v.Bool("include.unknown.datatypes"), moneyDigits: int(v.Int("money.fraction.digits")),
		},
		unconvertible: v.String("event.converting.failure.handling.mode"),
		omitted:       v.String("penstock.unsupported.columns.handling.mode"),
	}
	invalid := func(key, format string, args ...any) {
		problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("The '%s' value is invalid: %s", key, fmt.Sprintf(format, args...))})
	}
	if c.statusEvery <= 0 || c.statusEvery > maxStatusEvery {
		c.statusEvery = maxStatusEvery
	}
	placeholder := v.String("unavailable.value.placeholder")
	c.values.placeholder = []byte(placeholder)
	if digits, isHex := strings.CutPrefix(placeholder, "hex:"); isHex {
		b, err := hex.DecodeString(digits)
		if err != nil {
			invalid("unavailable.value.placeholder", "after hex: only pairs of hexadecimal digits are allowed")
		}
		c.values.placeholder = b
	}
	messages := func(key string) []*regexp.Regexp {
		var list []*regexp.Regexp
		for _, text := range v.List(key) {
			re, err := regexp.Compile(`^(?:` + text + `)$`)
			if err != nil {
				invalid(key, "%v", err)
				continue
			}
			list = append(list, re)
		}
		return list
	}
	var err error
	if c.keys, err = capture.ParseKeyColumns(v.String("message.key.columns")); err != nil {
		invalid("message.key.columns", "%v", err)
	}
	c.messageInclude = messages("message.prefix.include.list")
	c.messageExclude = messages("message.prefix.exclude.list")
	if len(c.messageInclude) > 0 && len(c.messageExclude) > 0 {
		invalid("message.prefix.exclude.list", "%q is already specified", "message.prefix.include.list")
	}
	return c, problems
}

// splitStatements splits at single semicolons; a doubled one stands for one.
func splitStatements(text string) []string {
	var list []string
	for _, s := range strings.Split(strings.ReplaceAll(text, ";;", "\x00"), ";") {
		if s = strings.TrimSpace(strings.ReplaceAll(s, "\x00", ";")); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// publishesMessage reports whether logical messages with a prefix are events.
func (c *config) publishesMessage(prefix []byte) bool {
	matches := func(list []*regexp.Regexp) bool {
		for _, re := range list {
			if re.Match(prefix) {
				return true
			}
		}
		return false
	}
	if len(c.messageInclude) > 0 {
		return matches(c.messageInclude)
	}
	return !matches(c.messageExclude)
}
