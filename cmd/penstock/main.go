// Command penstock captures changes of databases into Kafka topics and
// applies topics to other stores: Debezium and Kafka Connect in one program.
//
//	penstock run        run the daemon
//	penstock check      look at the real sources and destinations
//	penstock plugins    list connectors and converters, or one's settings
//	penstock version    say which version this is
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/worker"
)

// Set by the linker: -X main.version=… -X main.commit=….
var version, commit string

func main() {
	// The second signal ends the program at once: the first gives the default
	// behaviour back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	p := program{stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), terminal: isTerminal(os.Stderr)}
	os.Exit(p.main(ctx, os.Args[1:]))
}

// program is what a command works with.
type program struct {
	stdout, stderr io.Writer
	environ        []string
	terminal       bool // stderr is one
}

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

type command struct {
	name, args, summary string
	run                 func(p *program, ctx context.Context, f *flag.FlagSet, args []string) error
}

func commands() []command {
	return []command{
		{"run", "[--config FILE]", "run the daemon", (*program).run},
		{"check", "[--config FILE]", "look at the real source or destination of every declared connector", (*program).check},
		{"plugins", "[NAME]", "list connectors and converters, or the settings of one", (*program).plugins},
		{"version", "", "say which version this is", (*program).version},
		{"docs", "DIR", "write the reference of all settings", (*program).docs},
	}
}

// errUsage says that the command line is wrong, which has been explained.
var errUsage = errors.New("wrong usage")

func (p *program) main(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.usage(p.stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		p.usage(p.stdout)
		return exitOK
	case "-version", "--version":
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		f := flag.NewFlagSet("penstock "+c.name, flag.ContinueOnError)
		f.SetOutput(p.stderr)
		f.Usage = func() {
			fmt.Fprintf(p.stderr, "usage: penstock %s %s\n\n%s\n", c.name, c.args, c.summary)
			f.PrintDefaults()
		}
		err := c.run(p, ctx, f, args[1:])
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.Is(err, errUsage):
			return exitUsage
		}
		p.explain(err)
		return exitFailed
	}
	fmt.Fprintf(p.stderr, "penstock: there is no command %q\n\n", args[0])
	p.usage(p.stderr)
	return exitUsage
}

// explain prints an error, each line of a wrong configuration by itself.
func (p *program) explain(err error) {
	var invalid *settings.InvalidError
	if errors.As(err, &invalid) {
		for _, line := range invalid.Lines {
			fmt.Fprintln(p.stderr, "penstock: "+line)
		}
		return
	}
	if !errors.Is(err, errFindings) { // they are printed
		fmt.Fprintln(p.stderr, "penstock: "+err.Error())
	}
}

func (p *program) usage(w io.Writer) {
	fmt.Fprint(w, "penstock captures changes of databases into Kafka topics and applies topics to other stores.\n\nusage:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  penstock %-8s %-16s %s\n", c.name, c.args, c.summary)
	}
	fmt.Fprint(w, "\nThe configuration comes from the environment: PENSTOCK_BOOTSTRAP_SERVERS, PENSTOCK_CONNECTOR_<NAME>__<KEY> …\n"+
		"`penstock plugins worker` lists the worker's settings.\n")
}

func (p *program) parse(f *flag.FlagSet, args []string, most int) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage // Parse has said it
	}
	if f.NArg() > most {
		fmt.Fprintf(p.stderr, "penstock: too many arguments: %q\n", f.Args()[most:])
		f.Usage()
		return errUsage
	}
	return nil
}

func (p *program) build() worker.Build { return worker.NewBuild(version, commit) }

func (p *program) version(_ context.Context, f *flag.FlagSet, args []string) error {
	if err := p.parse(f, args, 0); err != nil {
		return err
	}
	b := p.build()
	fmt.Fprintf(p.stdout, "penstock %s", b.Version)
	if b.Commit != "" {
		fmt.Fprintf(p.stdout, " (commit %s)", b.Commit)
	}
	fmt.Fprintf(p.stdout, ", %s\n", b.Go)
	return nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
