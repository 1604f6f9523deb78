package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// recordsAtOnce is how many records of the schema history are on their way at a
// time: one by one, those of thousands of tables would take a minute.
const recordsAtOnce = 1000

// changesAtOnce is how many schema changes a batch has: each is as large as
// hundreds of rows, and many batches are under way.
const changesAtOnce = 100

// introduce returns the statements that a snapshot's schema changes begin
// with, as Debezium's do: those that bring a consumer of schema changes, or
// the schema history, from any state to that of the captured databases. They
// are about all of their tables, since one that is not captured may be given a
// captured name later. journal says that the history is to be written.
func (s *scanner) introduce(ctx context.Context, journal bool) ([]changed, error) {
	var h *history
	if journal {
		var err error
		if h, err = openHistory(ctx, s.db.cfg, s.db.env, nil, s.server); err != nil {
			return nil, err
		}
	}
	journal = h != nil && h.journal != nil
	if !journal && !s.db.cfg.schemaChanges {
		return nil, nil
	}
	list, err := s.introduction(ctx)
	if err == nil && journal {
		for part := range slices.Chunk(list, recordsAtOnce) {
			if err = h.record(ctx, &s.position, true, part...); err != nil {
				break
			}
		}
	}
	return list, errors.Join(err, h.close())
}

func (s *scanner) introduction(ctx context.Context) ([]changed, error) {
	statements := slices.Clone(s.statements)
	slices.SortFunc(statements, func(a, b definedBy) int { return strings.Compare(a.database+"."+a.name, b.database+"."+b.name) })
	r, err := s.main.query(ctx, "SELECT @@GLOBAL.character_set_server, @@GLOBAL.collation_server")
	if err != nil {
		return nil, err
	}
	list := []changed{{sql: fmt.Sprintf("SET character_set_server=%s, collation_server=%s", r.rows[0][0].text, r.rows[0][1].text)}}
	for i := range statements {
		st := &statements[i]
		list = append(list, changed{
			database: st.database, table: &st.name, sql: "DROP TABLE IF EXISTS " + ident(st.database) + "." + ident(st.name),
			changes: []ddl.Change{{Type: ddl.Drop, Database: st.database, Name: st.name}},
		})
	}
	if r, err = s.main.query(ctx, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"); err != nil {
		return nil, err
	}
	charsets := map[string]string{}
	for _, row := range r.rows {
		charsets[row[0].text] = " CHARSET " + row[1].text + " COLLATE " + row[2].text
	}
	for i := range statements {
		st := &statements[i]
		if i == 0 || statements[i-1].database != st.database {
			database := ident(st.database)
			for _, sql := range []string{"DROP DATABASE IF EXISTS " + database, "CREATE DATABASE " + database + charsets[st.database], "USE " + database} {
				list = append(list, changed{database: st.database, sql: sql})
			}
		}
		c := changed{database: st.database, table: &st.name, sql: st.sql}
		if t := s.catalogue.Table(st.database, st.name); t != nil {
			c.changes = []ddl.Change{{Type: ddl.Create, Database: st.database, Name: st.name, Table: t}}
		}
		list = append(list, c)
	}
	return list, nil
}

// preface returns what publishes the statements before a snapshot's rows.
func (s *scanner) preface(list []changed) func(*schema.Batch) bool {
	k := newSchemaChanges(s.db.cfg)
	return func(b *schema.Batch) bool {
		micros := time.Now().Add(s.ahead).UnixMicro()
		for ; len(list) > 0 && !b.Full() && len(b.Events) < changesAtOnce; list = list[1:] {
			source := b.Row(sourceFields)
			copy(source, k.constants(&list[0]))
			source[srcTsMs], source[srcTsUs], source[srcTsNs] = schema.Int(micros/1000), schema.Int(micros), schema.Int(micros*1000)
			source[srcSnapshot], source[srcServerID], source[srcRow] = schema.Text("true"), schema.Int(0), schema.Int(0)
			source[srcFile], source[srcPos] = schema.Text(s.position.File), schema.Int(int64(s.position.Pos))
			k.append(b, source, micros, &list[0])
		}
		return len(list) == 0
	}
}
