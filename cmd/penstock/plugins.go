package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/worker"
	"github.com/penstock/penstock/worker/config"
)

func (p *program) plugins(_ context.Context, f *flag.FlagSet, args []string) error {
	if err := p.parse(f, args, 1); err != nil {
		return err
	}
	c := worker.Catalogue()
	if f.NArg() == 0 {
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tKIND\tCLASSES")
		for _, plugin := range c.Plugins() {
			fmt.Fprintf(w, "%s\t%s\t%s\n", plugin.Name, plugin.Kind, strings.Join(plugin.Classes, ", "))
		}
		return w.Flush()
	}
	name := f.Arg(0)
	if name == "worker" {
		return table(p.stdout, config.Settings())
	}
	plugin, ok := c.Find(name)
	if !ok {
		return fmt.Errorf("there is no plugin %q; `penstock plugins` lists them", name)
	}
	sets := []*settings.Set{plugin.Settings}
	if all := c.Definitions(plugin.Class()); all != nil {
		sets = all
	}
	return table(p.stdout, sets...)
}

// table prints the settings that do something.
func table(out io.Writer, sets ...*settings.Set) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tTYPE\tDEFAULT\tWHAT IT DOES")
	for _, s := range sets {
		for _, d := range s.Defs() {
			if d.Ignored != "" || d.Unsupported != "" {
				continue
			}
			fallback := d.Default
			if d.Required {
				fallback = "(required)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Key, strings.ToLower(string(d.Type)), fallback, d.Doc)
		}
	}
	return w.Flush()
}
