package mysql

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql/internal/ddl"
)

// history holds the table definitions at one place in the log, and keeps in a
// journal the statements that led to them, in the form of Debezium's schema
// history. A statement is in the journal before any later event is handed out,
// so that a restart finds the definitions that its position needs.
type history struct {
	cfg     *config
	tables  *ddl.Catalogue
	journal capture.Journal // nil if there is none
	// found says that there is something for the position, introduced that it
	// has the definitions that a snapshot begins with. damaged is a record that
	// cannot be read, with no such definitions after it.
	found, introduced bool
	damaged           error
	// applied holds, during the replay, what has been applied: a statement
	// that was met again after a crash may be in a journal twice, and altering
	// a table twice is not the same as once. ahead holds what the journal has
	// for places after the position, so that it is not written again.
	applied, ahead map[recordKey]bool
}

// recordKey tells a statement at its place in the log from others.
type recordKey [sha256.Size]byte

func keyOf(p *position, database, sql string) recordKey {
	place := p.GTIDs
	if place == "" {
		place = fmt.Sprintf("%s:%d", p.File, p.Pos)
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s", place, p.Event, database, sql))
}

// historyRecord is one record of the journal.
type historyRecord struct {
	Source       map[string]string `json:"source"`
	Position     json.RawMessage   `json:"position"`
	TimeMillis   int64             `json:"ts_ms"`
	Database     string            `json:"databaseName"`
	DDL          string            `json:"ddl"`
	TableChanges []tableChange     `json:"tableChanges"`
}

// openHistory opens the journal and reads what was there at a position; nil
// stands for the beginning.
func openHistory(ctx context.Context, cfg *config, env capture.Env, at *position, server *serverInfo) (*history, error) {
	h := &history{cfg: cfg, tables: &ddl.Catalogue{FoldCase: server.foldCase, MariaDB: cfg.flavor.mariaDB, Charset: server.charset}}
	if env.Journal == nil {
		return h, nil
	}
	var err error
	if h.journal, err = env.Journal(ctx, cfg.history.topic, cfg.history.client); err != nil {
		return nil, fmt.Errorf("open the schema history %s: %w", cfg.history.topic, err)
	}
	if at == nil {
		return h, nil
	}
	h.applied, h.ahead = map[recordKey]bool{}, map[recordKey]bool{}
	err = h.journal.Replay(ctx, func(record []byte) error { return h.replay(record, at) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the schema history %s: %w", cfg.history.topic, err), h.close())
	}
	h.applied = nil
	return h, nil
}

// replay applies a record that belongs before a position. Later ones will be
// met again in the log.
func (h *history) replay(record []byte, at *position) error {
	if len(record) == 0 {
		return nil
	}
	var r historyRecord
	if err := json.Unmarshal(record, &r); err != nil {
		h.damaged = fmt.Errorf("record %s: %w", brief(string(record)), err)
		return nil
	}
	if r.Source["server"] != "" && r.Source["server"] != h.cfg.prefix {
		return nil // Debezium lets connectors share a topic
	}
	var p struct {
		position
		Snapshot any `json:"snapshot"`
	}
	if err := json.Unmarshal(r.Position, &p); err != nil {
		h.damaged = fmt.Errorf("record %s: position: %w", brief(string(record)), err)
		return nil
	}
	there := p.before(at, h.cfg.flavor)
	if p.Snapshot != nil {
		there = p.atOrBefore(at, h.cfg.flavor)
	}
	charset, isCharset := serverCharset(r.DDL)
	if there && p.Snapshot != nil && isCharset {
		h.introduced, h.damaged = true, nil
	}
	key := keyOf(&p.position, r.Database, r.DDL)
	switch {
	case !there:
		h.ahead[key] = true
		return nil
	case h.applied[key] && p.Snapshot == nil: // what a snapshot begins with makes everything anew
		return nil
	}
	h.applied[key], h.found = true, true
	if isCharset {
		h.tables.Charset = charset
		return nil
	}
	if _, err := h.tables.Apply(r.Database, r.DDL, ddl.Mode{}); err != nil {
		// Whoever needs this table will miss it, and say so.
		h.cfg.logger.Warn("a statement of the schema history cannot be read", "topic", h.cfg.history.topic, "err", err)
	}
	return nil
}

// serverCharset reads the statement by which Debezium records the server's
// default character set.
func serverCharset(sql string) (string, bool) {
	rest, ok := strings.CutPrefix(sql, "SET character_set_server=")
	if !ok {
		return "", false
	}
	charset, _, _ := strings.Cut(rest, ",")
	return strings.ToLower(strings.TrimSpace(charset)), true
}

// record makes statements durable. snapshot marks the definitions that a
// snapshot begins with.
func (h *history) record(ctx context.Context, p *position, snapshot bool, list ...changed) error {
	if h.journal == nil {
		return nil
	}
	at := *p
	if !h.cfg.transactions {
		at.Transaction = ""
	}
	pos := at.encode()
	if snapshot {
		pos = append(pos[:len(pos)-1], `,"snapshot":"INITIAL"}`...)
	}
	var records [][]byte
	for i := range list {
		c := &list[i]
		if h.ahead[keyOf(p, c.database, c.sql)] {
			continue
		}
		r := historyRecord{
			Source: map[string]string{"server": h.cfg.prefix}, Position: json.RawMessage(pos), TimeMillis: time.Now().UnixMilli(),
			Database: c.database, DDL: c.sql, TableChanges: make([]tableChange, len(c.changes)),
		}
		for i := range c.changes {
			r.TableChanges[i] = newTableChange(&c.changes[i], h.cfg.values.comments)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(&r); err != nil {
			return fmt.Errorf("write the schema history %s: %w", h.cfg.history.topic, err)
		}
		records = append(records, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
	if len(records) == 0 {
		return nil
	}
	if err := h.journal.Append(ctx, records...); err != nil {
		return fmt.Errorf("write the schema history %s: %w", h.cfg.history.topic, err)
	}
	return nil
}

func (h *history) close() error {
	if h == nil || h.journal == nil {
		return nil
	}
	return h.journal.Close()
}

// wanted reports whether the schema history keeps a statement.
func (h *history) wanted(st *ddl.Statement) bool {
	if systemDatabase(st.Database) && len(st.Changes) == 0 {
		return false
	}
	captured := func(database string) bool { return h.cfg.filter.Namespace(database) }
	switch {
	case h.cfg.onlyTables:
		for _, c := range st.Changes {
			if h.cfg.filter.Table(c.Database, "", c.Name) ||
				c.PreviousName != "" && h.cfg.filter.Table(c.PreviousDatabase, "", c.PreviousName) {
				return true
			}
		}
		return len(st.Changes) == 0 && captured(st.Database)
	case h.cfg.onlyDatabases:
		for _, c := range st.Changes {
			if captured(c.Database) {
				return true
			}
		}
		return captured(st.Database)
	default:
		return !systemDatabase(st.Database)
	}
}
