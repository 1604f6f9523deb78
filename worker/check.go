package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/worker/catalogue"
)

// Report is what Check found out about a connector.
type Report struct {
	Name string
	// Errors and Warnings are texts that name the remedy.
	Errors, Warnings []string
}

// checkTimeout bounds the look at one connector's system.
const checkTimeout = 30 * time.Second

// Check judges every declared connector and looks at the real databases and
// destinations, all at a time. It starts nothing and needs no Kafka, so what a
// connector keeps there (a schema history) is not looked at.
//
// The error is about the worker's own configuration.
func Check(ctx context.Context, o Options) ([]Report, error) {
	if o.Catalogue == nil {
		o.Catalogue = Catalogue()
	}
	cfg, problems := LoadConfig(o)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var reports []Report
	if len(problems) > 0 {
		r := Report{Name: "worker"}
		for _, p := range problems {
			r.Warnings = append(r.Warnings, p.Message)
		}
		reports = append(reports, r)
	}
	quiet := slog.New(slog.DiscardHandler)
	env := catalogue.Env{
		Worker: cfg,
		Source: capture.Env{Journal: func(context.Context, string, map[string]string) (capture.Journal, error) {
			return nil, errors.New("not opened by a check")
		}},
		Logger: func(string) *slog.Logger { return quiet },
	}
	first := len(reports)
	reports = append(reports, make([]Report, len(cfg.Connectors))...)
	var wg sync.WaitGroup
	for i, c := range cfg.Connectors {
		raw := map[string]*string{"name": &c.Name}
		for k, v := range c.Config {
			raw[k] = &v
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			reports[first+i] = checkOne(ctx, o.Catalogue, env, c.Name, raw)
		}()
	}
	wg.Wait()
	if len(reports) == 0 {
		return nil, &settings.InvalidError{Lines: []string{"no connectors are declared: set PENSTOCK_CONNECTOR_<NAME>__CONNECTOR_CLASS and so on, or PENSTOCK_CONNECTORS_DIR"}}
	}
	return reports, nil
}

func checkOne(ctx context.Context, c *catalogue.Catalogue, env catalogue.Env, name string, raw map[string]*string) Report {
	r := Report{Name: name}
	e, err := c.Evaluate(env, raw)
	if err != nil {
		r.Errors = []string{err.Error()}
		return r
	}
	if e.Plan != nil {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		e.Add(e.Plan.Check(ctx))
	}
	r.Errors = e.Errors()
	for _, w := range e.Warnings {
		r.Warnings = append(r.Warnings, w.Message)
	}
	return r
}
