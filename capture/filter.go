package capture

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Filter says which databases, schemas, tables and columns are captured, by
// Debezium's include and exclude lists: regular expressions without regard to
// case, each of which must match the whole of a name. A nil list includes all.
// A Filter never changes and may be used concurrently.
type Filter struct {
	builtin                     func(namespace string) bool
	namespaces, tables, columns rule
	snapshot                    []pattern
	keys                        []KeyColumns
	selects                     map[string]string
}

// rule is an include list or an exclude list.
type rule struct {
	include, exclude []pattern
}

type pattern struct {
	text string
	re   *regexp.Regexp
}

func (p pattern) matches(name string) bool { return p.re.MatchString(name) }

func matchesAny(ps []pattern, name string) bool {
	return slices.ContainsFunc(ps, func(p pattern) bool { return p.matches(name) })
}

func (r rule) allows(name string) bool {
	if len(r.include) > 0 {
		return matchesAny(r.include, name)
	}
	return !matchesAny(r.exclude, name)
}

// NewFilter reads the lists of a configuration. namespace is what the source
// calls the part of a table's name before the point: "schema" or "database";
// the lists <namespace>.include.list and <namespace>.exclude.list select by it.
// builtin tells the namespaces that belong to the database system itself; they
// are left out unless table.ignore.builtin is false.
func NewFilter(v settings.Values, namespace string, builtin func(name string) bool) (*Filter, settings.Problems) {
	f := &Filter{}
	var problems settings.Problems
	list := func(key string) []pattern {
		// The list as it was written: splitting at every comma, as for other
		// lists, would tear expressions that hold an escaped one.
		ps, err := parsePatterns(rawList(v, key))
		if err != nil {
			problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("The '%s' value is invalid: %s", key, err)})
		}
		return ps
	}
	both := func(include, exclude string) rule {
		r := rule{include: list(include), exclude: list(exclude)}
		if len(r.include) > 0 && len(r.exclude) > 0 {
			problems = append(problems, settings.Problem{
				Key: exclude, Message: fmt.Sprintf("The '%s' value is invalid: %q is already specified", exclude, include),
			})
		}
		return r
	}
	f.namespaces = both(namespace+".include.list", namespace+".exclude.list")
	f.tables = both("table.include.list", "table.exclude.list")
	f.columns = both("column.include.list", "column.exclude.list")
	f.snapshot = list("snapshot.include.collection.list")
	if v.Bool("table.ignore.builtin") {
		f.builtin = builtin
	}
	f.keys, _ = ParseKeyColumns(v.Raw()["message.key.columns"]) // its own check reports what is wrong
	_, invalid := ParseColumnRules(v.Raw())
	problems = append(problems, invalid...)
	f.selects, invalid = parseSelects(v.Raw())
	return f, append(problems, invalid...)
}

const selectSetting = "snapshot.select.statement.overrides"

// parseSelects reads the statements that a snapshot reads tables by.
func parseSelects(raw map[string]string) (map[string]string, settings.Problems) {
	selects := map[string]string{}
	var problems settings.Problems
	for name := range strings.SplitSeq(raw[selectSetting], ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		sql := strings.TrimRight(strings.TrimSpace(raw[selectSetting+"."+name]), "; \t\n")
		if sql == "" {
			problems = append(problems, settings.Problem{Key: selectSetting, Message: fmt.Sprintf(
				"The '%s' value is invalid: there is no %[1]s.%s with the SELECT for that table", selectSetting, name)})
			continue
		}
		selects[name] = sql
	}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		// Else rows that were to be left out would be copied.
		if name, ok := strings.CutPrefix(key, selectSetting+"."); ok && selects[name] == "" && strings.TrimSpace(raw[key]) != "" {
			problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("The '%s' setting has no effect unless %s lists %s", key, selectSetting, name)})
		}
	}
	return selects, problems
}

// Select returns the statement that a snapshot reads a table's rows by and its
// setting; both are empty if the table has none.
func (f *Filter) Select(database, schema, table string) (sql, setting string) {
	name := namespaceOf(database, schema) + "." + table
	if sql = f.selects[name]; sql == "" && schema != "" {
		name = database + "." + name
		sql = f.selects[name]
	}
	if sql == "" {
		return "", ""
	}
	return sql, selectSetting + "." + name
}

// rawList returns a list's text; v.List would have split it.
func rawList(v settings.Values, key string) string {
	if !v.IsSet(key) {
		return ""
	}
	return v.Raw()[key]
}

// parsePatterns reads a comma-separated list of regular expressions; a comma
// inside one is written with a backslash before it.
func parsePatterns(list string) ([]pattern, error) {
	var ps []pattern
	for _, text := range splitUnescaped(list) {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		re, err := regexp.Compile(`(?i)^(?:` + strings.ReplaceAll(text, `\,`, `,`) + `)$`)
		if err != nil {
			return nil, fmt.Errorf("A comma-separated list of valid regular expressions is expected, but %w", err) //nolint:staticcheck // the form of Debezium's sentence
		}
		ps = append(ps, pattern{text: text, re: re})
	}
	return ps, nil
}

// splitUnescaped splits at commas that have no backslash before them.
func splitUnescaped(list string) []string {
	var parts []string
	from := 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '\\':
			i++
		case ',':
			parts = append(parts, list[from:i])
			from = i + 1
		}
	}
	return append(parts, list[from:])
}

// Namespace reports whether tables of a schema (or of a database, where the
// source has no schemas) can be captured at all.
func (f *Filter) Namespace(name string) bool {
	return (f.builtin == nil || !f.builtin(name)) && f.namespaces.allows(name)
}

// Table reports whether a table is captured. schema is empty where the source
// has no schemas.
func (f *Filter) Table(database, schema, table string) bool {
	namespace := namespaceOf(database, schema)
	return f.Namespace(namespace) && f.tables.allows(namespace+"."+table)
}

// KeyColumn reports whether message.key.columns makes a column a part of the
// key, so that it is needed even if Column leaves it out of rows.
func (f *Filter) KeyColumn(database, schema, table, column string) bool {
	return slices.ContainsFunc(KeyColumnsOf(f.keys, database, namespaceOf(database, schema)+"."+table), func(k string) bool {
		return strings.EqualFold(k, column)
	})
}

// Column reports whether a column of a captured table is in the rows of its
// events. In keys it is regardless of that.
func (f *Filter) Column(database, schema, table, column string) bool {
	if len(f.columns.include) == 0 && len(f.columns.exclude) == 0 {
		return true
	}
	return f.columns.allows(namespaceOf(database, schema) + "." + table + "." + column)
}

// Snapshot reports whether a snapshot copies the rows of a captured table.
func (f *Filter) Snapshot(database, schema, table string) bool {
	if len(f.snapshot) == 0 {
		return true
	}
	short := namespaceOf(database, schema) + "." + table
	return matchesAny(f.snapshot, short) || schema != "" && matchesAny(f.snapshot, database+"."+short)
}

// Rank is the place of the first expression of table.include.list that matches
// a captured table: Debezium's snapshot goes by it, then by name.
func (f *Filter) Rank(database, schema, table string) int {
	name := namespaceOf(database, schema) + "." + table
	return max(0, slices.IndexFunc(f.tables.include, func(p pattern) bool { return p.matches(name) }))
}

// Unmatched returns the expressions of table.include.list that match none of
// the tables, whose names are as in [schema.Table.Path]: probably misspelt.
func (f *Filter) Unmatched(paths []string) []string {
	var none []string
	for _, p := range f.tables.include {
		if !slices.ContainsFunc(paths, p.matches) {
			none = append(none, p.text)
		}
	}
	return none
}

func namespaceOf(database, schema string) string {
	if schema != "" {
		return schema
	}
	return database
}
