package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/penstock/penstock/worker"
)

// errFindings says that check has printed errors.
var errFindings = errors.New("there are errors")

func (p *program) check(ctx context.Context, f *flag.FlagSet, args []string) error {
	file := f.String("config", "", "a properties `file` with worker settings; the environment wins over it")
	if err := p.parse(f, args, 0); err != nil {
		return err
	}
	reports, err := worker.Check(ctx, worker.Options{Environ: p.environ, ConfigFile: *file})
	if err != nil {
		return err
	}
	failed := false
	for _, r := range reports {
		verdict := "ok"
		if len(r.Errors) > 0 {
			failed, verdict = true, "NOT OK"
		}
		fmt.Fprintf(p.stdout, "%s: %s\n", r.Name, verdict)
		for _, e := range r.Errors {
			fmt.Fprintf(p.stdout, "  error: %s\n", e)
		}
		for _, e := range r.Warnings {
			fmt.Fprintf(p.stdout, "  warning: %s\n", e)
		}
	}
	if failed {
		return errFindings
	}
	return nil
}
