package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/schema"
)

// version is Debezium's release whose events are matched.
const version = "3.6.1.Final"

// The fields of the source block, by their place.
const (
	sourceVersion = iota
	sourceConnector
	sourceName
	sourceMillis
	sourceSnapshot
	sourceDatabase
	sourceSequence
	sourceMicros
	sourceNanos
	sourceSchema
	sourceTableName
	sourceXID
	sourceLSN
	sourceXmin
	sourceOrigin
	sourceOriginLSN
	sourceFields
)

// sourceBlock returns the shape of a table's source block and the values that
// are the same in all of its events.
func (c *config) sourceBlock(namespace, table string) (*schema.Schema, schema.Row) {
	text := &schema.Schema{Type: schema.TypeString}
	long := &schema.Schema{Type: schema.TypeInt64}
	fields := make([]schema.Field, sourceFields)
	row := make(schema.Row, sourceFields)
	fixed := func(at int, name string, s *schema.Schema, v schema.Value) {
		fields[at] = schema.Field{Name: name, Schema: s, Const: constant(v)}
		row[at] = v
	}
	field := func(at int, name string, s *schema.Schema) { fields[at] = schema.Field{Name: name, Schema: s} }
	fixed(sourceVersion, "version", text, schema.Text(version))
	fixed(sourceConnector, "connector", text, schema.Text("postgresql"))
	fixed(sourceName, "name", text, schema.Text(c.prefix))
	field(sourceMillis, "ts_ms", long)
	field(sourceSnapshot, "snapshot", &schema.Schema{
		Type: schema.TypeString, Optional: true, Name: schema.NameDebeziumEnum, Version: 1,
		Parameters: []schema.Parameter{{Name: "allowed", Value: "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}},
		Default:    constant(schema.Text("false")),
	})
	row[sourceSnapshot] = schema.Text("false")
	fixed(sourceDatabase, "db", text, schema.Text(c.dbname))
	field(sourceSequence, "sequence", text.AsOptional())
	field(sourceMicros, "ts_us", long.AsOptional())
	field(sourceNanos, "ts_ns", long.AsOptional())
	fixed(sourceSchema, "schema", text, schema.Text(namespace))
	fixed(sourceTableName, "table", text, schema.Text(table))
	field(sourceXID, "txId", long.AsOptional())
	field(sourceLSN, "lsn", long.AsOptional())
	fixed(sourceXmin, "xmin", long.AsOptional(), schema.Value{})
	field(sourceOrigin, "origin", text.AsOptional())
	field(sourceOriginLSN, "origin_lsn", long.AsOptional())
	return &schema.Schema{Type: schema.TypeStruct, Name: "io.debezium.connector.postgresql.Source", Version: 1, Fields: fields}, row
}

// plan is how the rows of one version of a table become events.
type plan struct {
	table *schema.Table // nil: the table is not captured
	// columns are those of the wire, in its order.
	columns []planColumn
	// source are the values of the source block that do not vary.
	source schema.Row
	// unknown stand in an old row for the columns that the log does not have.
	unknown schema.Row
	// wide is the table of rows that have a null where the schema of table has
	// none: in an array of a column of narrow. It is nil if there are none.
	wide   *schema.Table
	narrow []int
	// omitted are the columns that events do not have for their type.
	omitted []omittedColumn
	// unconvertible is event.converting.failure.handling.mode.
	unconvertible string
	log           *slog.Logger
}

type planColumn struct {
	name     string
	to       int // its place in the table's columns; -1 if it is left out
	decode   decoder
	required bool
	warned   *atomic.Bool // of a value without a form
}

// omittedColumn is a column that is left out for its type.
type omittedColumn struct {
	name, typ string
	why       lack
}

// newPlan compiles the plan of a captured table. columns are those of the
// wire; info is what the catalogue says of the table, nil if it does not know
// it; infos are the types.
func (c *config) newPlan(log *slog.Logger, namespace, name string, columns []columnInfo, info *tableInfo, infos map[uint32]*typeInfo) (*plan, error) {
	p := &plan{columns: make([]planColumn, len(columns)), unconvertible: c.unconvertible, log: log}
	t := &schema.Table{Database: c.dbname, Schema: namespace, Name: name}
	t.Source, p.source = c.sourceBlock(namespace, name)
	var key []string
	if info != nil && !slices.ContainsFunc(info.key, func(k string) bool {
		return !slices.ContainsFunc(columns, func(c columnInfo) bool { return c.name == k })
	}) {
		key = info.key
	}
	wide := map[int]*schema.Schema{}
	for i, col := range columns {
		p.columns[i] = planColumn{name: col.name, to: -1}
		keyOnly := !c.filter.Column(c.dbname, namespace, name, col.name)
		if keyOnly && !slices.Contains(key, col.name) && !c.filter.KeyColumn(c.dbname, namespace, name, col.name) {
			continue
		}
		vt, why, err := c.values.resolve(infos, col.oid, col.mod)
		if err != nil {
			return nil, fmt.Errorf("column %s of table %s.%s: %w", col.name, namespace, name, err)
		}
		if why != lackNothing {
			p.omitted = append(p.omitted, omittedColumn{name: col.name, typ: infos[col.oid].name, why: why})
			continue
		}
		s := col.of(vt.schema)
		s.Default = defaultOf(col.fallback, vt)
		p.columns[i] = planColumn{name: col.name, to: len(t.Columns), decode: vt.decode, required: !s.Optional, warned: new(atomic.Bool)}
		if vt.wide != nil {
			wide[len(t.Columns)] = col.of(vt.wide)
			p.narrow = append(p.narrow, len(t.Columns))
		}
		var unknown schema.Value
		absent := vt.absent
		if col.notNull {
			// What a schema requires cannot be null; Debezium writes the
			// default or the type's neutral value.
			neutral := vt.neutral
			if s.Default != nil {
				neutral = *s.Default
			}
			if absent == nil {
				absent = &neutral
			}
			if col.unlogged {
				unknown = neutral
			}
		}
		t.Columns = append(t.Columns, schema.Column{Name: col.name, Schema: s, Absent: absent, Unlogged: col.unlogged, Origin: originOf(infos, col.oid, col.mod), KeyOnly: keyOnly})
		p.unknown = append(p.unknown, unknown)
	}
	if len(p.omitted) > 0 && c.omitted == "fail" {
		return nil, fmt.Errorf("%w", &omittedError{table: t.Path(), columns: p.omitted})
	}
	for _, k := range key {
		if i := t.Index(k); i >= 0 {
			t.Key = append(t.Key, i)
		}
	}
	if len(t.Key) != len(key) {
		t.Key = nil // a key of a type that events do not have
	}
	p.table = t
	if p.narrow != nil {
		p.wide = widened(t, wide)
	}
	return p, nil
}

// of returns a schema as a column has it.
func (c *columnInfo) of(s *schema.Schema) *schema.Schema {
	own := *s
	own.Optional = own.Optional || !c.notNull
	return &own
}

// widened returns the table with other schemas for some columns.
func widened(t *schema.Table, schemas map[int]*schema.Schema) *schema.Table {
	w := *t
	w.Columns = slices.Clone(t.Columns)
	for at, s := range schemas {
		w.Columns[at].Schema = s
	}
	return &w
}

// tableOf returns the table of an event with these rows.
func (p *plan) tableOf(before, after schema.Row) *schema.Table {
	for _, at := range p.narrow {
		if before != nil && hasNull(before[at]) || after != nil && hasNull(after[at]) {
			return p.wide
		}
	}
	return p.table
}

// adopt takes over the former version's tables where nothing that events show
// has changed: encoders keep what they have compiled for the pointers.
func (p *plan) adopt(former *plan) {
	if former != nil && former.table != nil && former.table.Equal(p.table) && former.wide.Equal(p.wide) {
		p.table, p.wide = former.table, former.wide
	}
}

// mend judges the error of a column's decoder. A value that events have no
// form for becomes null, unless the configuration or the schema forbids it.
func (p *plan) mend(c *planColumn, err error) error {
	var form *formError
	if !errors.As(err, &form) || c.required || p.unconvertible == "fail" {
		return p.columnError(c, err)
	}
	if p.unconvertible == "warn" && !c.warned.Swap(true) {
		p.log.Warn("values of a column have no form in events and are null there; event.converting.failure.handling.mode=fail would stop at them",
			"table", p.table.Path(), "column", c.name, "problem", form.problem)
	}
	return nil
}

func (p *plan) columnError(c *planColumn, err error) error {
	return fmt.Errorf("column %s of table %s: %w", c.name, p.table.Path(), err)
}

// warnOmitted says what events of the table lack.
func (p *plan) warnOmitted() {
	if len(p.omitted) > 0 {
		p.log.Warn("columns are left out of events", "table", p.table.Path(), "problem", &omittedError{table: p.table.Path(), columns: p.omitted})
	}
}

// omittedError says which columns are left out for their type, and the ways to
// have them.
type omittedError struct {
	table   string // schema.name
	columns []omittedColumn
}

// Error names the remedies.
func (e *omittedError) Error() string {
	var names []string
	unknown := true
	for _, c := range e.columns {
		names = append(names, fmt.Sprintf("%s.%s (%s)", e.table, c.name, c.typ))
		unknown = unknown && c.why == lackUnknown
	}
	return omission(names, len(names), unknown)
}

// omission says that columns are left out and names at most some of them;
// unknown says that include.unknown.datatypes would bring all of them.
func omission(names []string, most int, unknown bool) string {
	include := ""
	if unknown {
		include = "set include.unknown.datatypes=true to have their text as bytes, "
	}
	return fmt.Sprintf("Events do not have the columns %s, since Debezium has no form for their types. Name them in column.exclude.list, %sor change their types (ALTER TABLE … ALTER COLUMN … TYPE text USING …::text)",
		atMost(most, names), include)
}
