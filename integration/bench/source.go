package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/integration/daemon"
)

// source is a database with the tables stage, full, and bench.
type source interface {
	// config is what a connector needs to read bench; id is unique to it.
	config(id string) map[string]string
	// table is bench as the topic's name has it after the prefix.
	table() string
	// exec runs one statement.
	exec(ctx context.Context, statement string) error
	// queue empties bench and returns the function that then loads all rows in
	// transactions of per rows. What the log has from queue on is kept.
	queue(ctx context.Context) (load func(ctx context.Context, per int) error, err error)
	// rawLog reads what was logged since queue and does nothing with it.
	rawLog(ctx context.Context) (name string, run func() (measured, error), err error)
	// rawTable reads bench and does nothing with it.
	rawTable(ctx context.Context) (name string, run func() (measured, error))
	// clean drops what a connector left in the server.
	clean(ctx context.Context) error
	close() error
}

// opener finds or opens one of the suite's sources.
type opener func(ctx context.Context, s *suite) (source, error)

// marker is the first row, by which a connector shows that it reads the log.
const marker = "INSERT INTO bench SELECT * FROM stage WHERE id = 0"

// streamCase drains queued inserts.
func streamCase(open opener, per int) func(context.Context, *suite, measurement) error {
	return func(ctx context.Context, s *suite, m measurement) (err error) {
		src, err := open(ctx, s)
		if err != nil {
			return err
		}
		load, err := src.queue(ctx)
		if err != nil {
			return err
		}
		all, err := m.runners(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release(all), src.clean(context.WithoutCancel(ctx))) }()
		for _, r := range all {
			if err := s.topic(ctx, r.topic(src)); err != nil {
				return err
			}
			// The table is empty yet.
			if err := r.create(ctx, src, map[string]string{"snapshot.mode": "initial"}); err != nil {
				return err
			}
			if _, err := r.Await(ctx, r.id, daemon.Status.Running); err != nil {
				return err
			}
		}
		if err := src.exec(ctx, marker); err != nil {
			return err
		}
		for _, r := range all {
			if err := reach(ctx, r.Daemon, r.id, 50*time.Millisecond, 1, s.counter(r.topic(src))); err != nil {
				return err
			}
			if err := halt(ctx, r.Daemon, r.id); err != nil {
				return err
			}
		}
		if err := load(ctx, per); err != nil {
			return err
		}
		name, raw, err := src.rawLog(ctx)
		if err != nil {
			return err
		}
		contestants := []func() error{func() error { return m.baseline(name, raw) }}
		for _, r := range all {
			contestants = append(contestants, func() error {
				return m.runner(r, s.rows,
					func() error { return r.Call(ctx, http.MethodPut, "/connectors/"+r.id+"/resume", nil, nil) },
					func(*result) error {
						return reach(ctx, r.Daemon, r.id, 20*time.Millisecond, s.rows+1, s.counter(r.topic(src)))
					})
			})
		}
		return m.each(contestants...)
	}
}

// snapshotCase copies a full table.
func snapshotCase(open opener) func(context.Context, *suite, measurement) error {
	return func(ctx context.Context, s *suite, m measurement) (err error) {
		src, err := open(ctx, s)
		if err != nil {
			return err
		}
		load, err := src.queue(ctx)
		if err != nil {
			return err
		}
		if err := load(ctx, 10_000); err != nil {
			return err
		}
		all, err := m.runners(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release(all), src.clean(context.WithoutCancel(ctx))) }()
		name, raw := src.rawTable(ctx)
		contestants := []func() error{func() error { return m.baseline(name, raw) }}
		for _, r := range all {
			if err := s.topic(ctx, r.topic(src)); err != nil {
				return err
			}
			contestants = append(contestants, func() error {
				return m.runner(r, s.rows,
					func() error { return r.create(ctx, src, nil) },
					func(*result) error {
						return reach(ctx, r.Daemon, r.id, 20*time.Millisecond, s.rows, s.counter(r.topic(src)))
					})
			})
		}
		return m.each(contestants...)
	}
}

// wrap names a statement that failed.
func wrap(err error, statement string) error {
	if err != nil {
		return fmt.Errorf("run %.80q: %w", statement, err)
	}
	return nil
}
