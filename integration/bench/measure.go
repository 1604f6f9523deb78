package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/penstock/penstock/integration/daemon"
)

// measurement is one case in one round.
type measurement struct {
	suite *suite
	name  string
	round int
}

// id names what belongs to this measurement: connector, topic prefix, slot.
func (m measurement) id() string {
	return fmt.Sprintf("bench_%s_%d", strings.ReplaceAll(m.name, "-", "_"), m.round)
}

// each measures the contestants one after the other, in an order that moves on
// with the round. One that fails does not keep the others from their turn.
func (m measurement) each(contestants ...func() error) error {
	var errs []error
	for i := range contestants {
		errs = append(errs, contestants[(i+m.round-1)%len(contestants)]())
	}
	return errors.Join(errs...)
}

// runner is a contestant that runs connectors: Penstock or, with PEER=1,
// Debezium on Kafka Connect.
type runner struct {
	name string
	*daemon.Daemon
	id string // its connector, the prefix of its topics, its slot
	// extra is what its connectors need beside what all are told.
	extra map[string]string
	// end gives back what the measurement used.
	end func() error
}

// runners are the contestants of one measurement: a fresh Penstock, so that
// the peak is the measurement's, and the peer, which stays, so that it is warm.
func (m measurement) runners(ctx context.Context) ([]runner, error) {
	s := m.suite
	d, err := s.start(ctx, m.id())
	if err != nil {
		return nil, err
	}
	all := []runner{{name: ours, Daemon: d, id: m.id(), end: func() error { return end(d) }}}
	if s.peer != nil {
		r := runner{name: theirs, Daemon: s.peer, id: m.id() + "_peer", extra: peerSettings(s.kafka.Brokers(), m.id()+"_peer")}
		r.end = func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := r.Call(ctx, http.MethodDelete, "/connectors/"+r.id, nil, nil)
			if status := (*daemon.StatusError)(nil); errors.As(err, &status) && status.Code == http.StatusNotFound {
				return nil
			}
			return err
		}
		all = append(all, r)
	}
	return all, nil
}

// release ends what runners returned.
func release(all []runner) error {
	var errs []error
	for _, r := range all {
		errs = append(errs, r.end())
	}
	return errors.Join(errs...)
}

// create makes the runner's connector for a source.
func (r runner) create(ctx context.Context, src source, more map[string]string) error {
	config := maps.Clone(src.config(r.id))
	maps.Copy(config, r.extra)
	maps.Copy(config, more)
	return create(ctx, r.Daemon, r.id, config)
}

func (r runner) topic(src source) string { return r.id + "." + src.table() }

// fresh returns a result with what is known before it is measured.
func (m measurement) fresh(contestant string) result {
	return result{
		Case: m.name, Contestant: contestant, Round: m.round, LoadBefore: load(),
		CalibrationMillis: calibrate().Seconds() * 1e3, At: time.Now().UTC().Format(time.RFC3339),
	}
}

func (m measurement) keep(r result) {
	r.LoadAfter = load()
	if r.WallSeconds > 0 {
		r.RowsPerSecond = float64(r.Rows) / r.WallSeconds
	}
	m.suite.report.Results = append(m.suite.report.Results, r)
}

// baseline measures a program that does nothing with the rows.
func (m measurement) baseline(name string, f func() (measured, error)) error {
	r := m.fresh(name)
	got, err := f()
	if err == nil && got.Rows != 0 && got.Rows < m.suite.rows {
		err = fmt.Errorf("it got %d of %d rows", got.Rows, m.suite.rows)
	}
	if err != nil {
		r.Error = err.Error()
		m.keep(r)
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Rows, r.WallSeconds, r.CPUSeconds, r.PeakMB = m.suite.rows, got.Wall.Seconds(), got.CPU.Seconds(), float64(got.Peak)/1e6
	m.keep(r)
	return nil
}

// runner measures a runner from begin until finish returns; finish may fill in
// the result's latencies. What fails is a result as well.
func (m measurement) runner(c runner, rows int, begin func() error, finish func(*result) error) error {
	r := m.fresh(c.name)
	err := m.clock(&r, c.Daemon, begin, finish)
	if err != nil {
		r.WallSeconds, r.Error = 0, err.Error()
		err = fmt.Errorf("%s: %w", c.name, err)
	} else {
		r.Rows = rows
	}
	m.keep(r)
	return err
}

func (m measurement) clock(r *result, d *daemon.Daemon, begin func() error, finish func(*result) error) error {
	if err := d.ForgetPeak(); err != nil {
		return err
	}
	before, err := d.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := begin(); err != nil {
		return err
	}
	if err := finish(r); err != nil {
		return err
	}
	r.WallSeconds = time.Since(began).Seconds()
	after, err := d.Usage()
	if err != nil {
		return err
	}
	r.CPUSeconds, r.PeakMB = (after.CPU - before.CPU).Seconds(), float64(after.PeakRSS)/1e6
	return nil
}

// create makes a connector, or changes it.
func create(ctx context.Context, d *daemon.Daemon, name string, config map[string]string) error {
	return d.Call(ctx, http.MethodPut, "/connectors/"+name+"/config", config, nil)
}

// halt stops a connector's tasks, its offsets saved.
func halt(ctx context.Context, d *daemon.Daemon, name string) error {
	if err := d.Call(ctx, http.MethodPut, "/connectors/"+name+"/stop", nil, nil); err != nil {
		return err
	}
	_, err := d.Await(ctx, name, func(s daemon.Status) bool { return s.Connector.State == "STOPPED" && len(s.Tasks) == 0 })
	return err
}

// end stops a daemon for good.
func end(d *daemon.Daemon) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		return errors.Join(err, d.Kill())
	}
	return nil
}

func version(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask the program for its version: %w", err)
	}
	return firstLine(strings.TrimPrefix(strings.TrimSpace(string(out)), "penstock ")), nil
}
