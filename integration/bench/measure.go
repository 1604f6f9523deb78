package main

import (
	"context"
	"errors"
	"fmt"
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

// both measures the baseline and Penstock, in an order that depends on the
// round.
func (m measurement) both(baseline, penstock func() error) error {
	if m.round%2 == 0 {
		return errors.Join(penstock(), baseline())
	}
	return errors.Join(baseline(), penstock())
}

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
	if err != nil {
		return err
	}
	r.Rows, r.WallSeconds, r.CPUSeconds, r.PeakMB = m.suite.rows, got.Wall.Seconds(), got.CPU.Seconds(), float64(got.Peak)/1e6
	m.keep(r)
	return nil
}

// daemon measures the daemon from begin until finish returns; finish may fill
// in the result's latencies.
func (m measurement) daemon(d *daemon.Daemon, rows int, begin func() error, finish func(*result) error) error {
	r := m.fresh(ours)
	before, err := d.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := begin(); err != nil {
		return err
	}
	if err := finish(&r); err != nil {
		return err
	}
	r.WallSeconds = time.Since(began).Seconds()
	after, err := d.Usage()
	if err != nil {
		return err
	}
	r.Rows, r.CPUSeconds, r.PeakMB = rows, (after.CPU - before.CPU).Seconds(), float64(after.PeakRSS)/1e6
	m.keep(r)
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
