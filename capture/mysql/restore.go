package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// Restore implements capture.Restorer: it writes today's definitions to a lost
// or damaged schema history as those of the saved position. That they are the
// same is not taken on trust: the log from the position on says what has been
// altered since.
func (d *database) Restore(ctx context.Context, at schema.Position) (err error) {
	if d.env.Journal == nil {
		return nil
	}
	s := &scanner{db: d}
	defer func() { err = transient(errors.Join(err, s.Close(ctx))) }()
	if s.position, err = parsePosition(at); err != nil {
		return err
	}
	if s.main, err = s.connect(ctx); err != nil {
		return err
	}
	if s.server, err = inspect(ctx, s.main); err != nil {
		return err
	}
	if err := s.server.readable(d.cfg); err != nil {
		return err
	}
	h, err := openHistory(ctx, d.cfg, d.env, &s.position, s.server)
	if err != nil {
		return err
	}
	if err := h.close(); err != nil {
		return fmt.Errorf("close the schema history %s: %w", d.cfg.history.topic, err)
	}
	if h.introduced && h.damaged == nil {
		return nil
	}
	d.cfg.logger.Warn("the schema history is lost or damaged and is made anew", "topic", d.cfg.history.topic, "damage", h.damaged)
	if err := s.listTables(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.define(ctx, s.captured), s.define(ctx, s.others)); err != nil {
		return err
	}
	from := s.position
	v := survey{scanner: s, capturedOnly: true, catalogue: s.catalogue.Clone(), seen: map[string]bool{}, fresh: map[tableName]bool{}}
	defer v.inner.close()
	if err := v.read(ctx, &from); err != nil {
		return fmt.Errorf("read the log from the saved position on: %w", err)
	}
	if v.altered != "" {
		return capture.Permanent(fmt.Errorf("the schema history %s cannot be made anew: %s was altered after the saved position, so that nobody knows its definition there: %w", d.cfg.history.topic, v.altered, capture.ErrPositionLost))
	}
	s.statements = slices.DeleteFunc(s.statements, func(d definedBy) bool { return v.fresh[v.fold(d.database, d.name)] })
	_, err = s.introduce(ctx, true)
	return err
}
