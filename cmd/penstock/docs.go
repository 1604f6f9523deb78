package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/penstock/penstock/worker"
)

// docs writes the reference of all settings from their definitions, so that
// it cannot disagree with them. `make generate` runs it.
func (p *program) docs(_ context.Context, f *flag.FlagSet, args []string) error {
	if err := p.parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() != 1 {
		f.Usage()
		return errUsage
	}
	dir := f.Arg(0)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the reference: %w", err)
	}
	for name, text := range worker.Reference(worker.Catalogue()) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("write the reference: %w", err)
		}
	}
	return nil
}
