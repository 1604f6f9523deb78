package main

import (
	"context"
	"flag"

	"github.com/penstock/penstock/worker"
)

func (p *program) run(ctx context.Context, f *flag.FlagSet, args []string) error {
	file := f.String("config", "", "a properties `file` with worker settings; the environment wins over it")
	if err := p.parse(f, args, 0); err != nil {
		return err
	}
	w, err := worker.Start(ctx, worker.Options{
		Environ: p.environ, ConfigFile: *file, Log: p.stderr, Terminal: p.terminal, Build: p.build(),
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped while it was starting, as it was told
		}
		return err
	}
	return w.Wait()
}
