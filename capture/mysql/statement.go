package mysql

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
	"github.com/penstock/penstock/schema"
)

// The bits of sql_mode that change how statements are read.
const (
	modeANSIQuotes         = 1 << 2
	modeNoBackslashEscapes = 1 << 20
)

// mode is how the statement is to be read.
func (q *queryEvent) mode() ddl.Mode {
	mode := q.sqlMode()
	return ddl.Mode{ANSIQuotes: mode&modeANSIQuotes != 0, NoBackslashEscapes: mode&modeNoBackslashEscapes != 0}
}

// statement takes a QUERY event: the beginning or end of a transaction, or a
// statement that the server logs as text.
func (s *source) statement(ctx context.Context, b *schema.Batch, e *event) error {
	q, err := parseQuery(e.body, e.typ == evExecuteLoadQuery)
	if err != nil {
		return err
	}
	if e.typ == evMariaQueryCompressed {
		if q.sql, err = s.inflater.inflate(q.sql); err != nil {
			return capture.Permanent(err)
		}
	}
	switch {
	case string(q.sql) == "BEGIN":
		s.beginWith(&q)
		s.beginTransaction(b)
		return nil
	case string(q.sql) == "COMMIT", string(q.sql) == "ROLLBACK":
		return s.commit(b)
	}
	if verb, xid, ok := xaStatement(q.sql); ok {
		switch verb {
		case "START":
			s.beginWith(&q)
			s.tx.xid = xid
			return nil
		case "COMMIT", "ROLLBACK":
			return s.endXA(ctx, b, &q, verb, xid)
		}
	}
	if !s.skipsThis() || s.tx.events >= s.skip.events {
		if err := s.apply(ctx, b, &q); err != nil {
			return err
		}
	}
	if s.tx.explicit {
		s.tx.events++
		return nil
	}
	return s.commit(b)
}

// beginWith begins a transaction with a statement, after the GTID if there is
// one.
func (s *source) beginWith(q *queryEvent) {
	if !s.tx.open {
		s.start(&gtidEvent{})
	}
	s.tx.explicit, s.tx.thread, s.tx.hasThread, s.tx.events = true, q.thread, true, 1
}

// apply takes a statement that may be about tables.
func (s *source) apply(ctx context.Context, b *schema.Batch, q *queryEvent) error {
	parse := q.mode()
	database, sql := string(q.database), string(q.sql)
	for _, t := range ddl.Targets(database, sql, parse) {
		if s.cfg.filter.Table(t.Database, "", t.Name) {
			return capture.Permanent(fmt.Errorf("a change of table %s.%s was logged as a statement and not as rows: "+
				"run SET GLOBAL binlog_format = ROW, restart the sessions that use another format, and copy the tables again (snapshot.mode=when_needed, after a reset of the offsets)",
				t.Database, t.Name))
		}
	}
	at := s.recordedAt()
	st, err := s.history.tables.Apply(database, sql, parse)
	if err != nil {
		return s.unreadable(st.Database, err)
	}
	if st.Kind == ddl.OtherStatement {
		return nil
	}
	if st.Kind != ddl.TruncateStatement && s.history.wanted(&st) {
		for _, c := range changedBy(&st, sql) {
			if err := s.history.record(ctx, at, false, c); err != nil {
				return err
			}
			if s.cfg.schemaChanges {
				s.publish(b, &c)
			}
		}
	}
	// The numbers of tables may stand for other definitions now.
	clear(s.tables)
	for _, c := range st.Changes {
		if c.Type == ddl.Truncate {
			s.truncated(b, &c)
			continue
		}
		delete(s.versions, c.Database+"\x00"+c.Name)
		if c.PreviousName != "" {
			delete(s.versions, c.PreviousDatabase+"\x00"+c.PreviousName)
		}
	}
	return nil
}

// recordedAt is the current statement's place as Debezium's history records it,
// see position.before.
func (s *source) recordedAt() *position {
	p := &position{File: s.file, Pos: s.end, GTIDs: s.done.String(), ServerID: s.serverID, TimeSeconds: int64(s.time)}
	if s.tx.explicit {
		p.Pos, p.Event, p.Transaction = s.tx.begin, s.tx.events, string(s.tx.text)
	}
	return p
}

// unreadable decides about a statement about tables that cannot be read.
func (s *source) unreadable(database string, err error) error {
	if !s.cfg.filter.Namespace(database) || s.cfg.skipBadDDL {
		s.cfg.logger.Warn("a statement that alters tables cannot be read and is passed over", "database", database, "err", err)
		return nil
	}
	return capture.Permanent(fmt.Errorf("a statement that alters tables of database %s cannot be read: %w; "+
		"set schema.history.internal.skip.unparseable.ddl=true to pass over such statements if they do not concern captured tables", database, err))
}

// truncated hands out the event of a truncated table.
func (s *source) truncated(b *schema.Batch, c *ddl.Change) {
	if !s.cfg.filter.Table(c.Database, "", c.Name) {
		return
	}
	table := &schema.Table{Database: c.Database, Name: c.Name}
	if v := s.versions[c.Database+"\x00"+c.Name]; v != nil && !v.plan.skip {
		table = v.plan.table
	} else if c.Table != nil {
		if sh, err := fromDDL(c.Table).shape(s.cfg); err == nil {
			table = sh.table
		}
	}
	if table.Source == nil {
		table.Source = sourceSchema(s.cfg, c.Database, c.Name)
	}
	out := b.Append()
	out.Op, out.Table, out.TimeMicros = schema.OpTruncate, table, s.micros()
	constant := make(schema.Row, sourceFields)
	constants(constant, table.Source)
	out.Source = s.sourceRow(b, constant, 0)
	out.Transaction = s.transactionBlock(b)
}
