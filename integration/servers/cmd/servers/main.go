// Servers starts, lists and stops the real servers that Penstock is tested
// and shown with.
//
//	servers up [name...]        start servers (all of them) and keep them up
//	servers up -f [name...]     the same in the foreground, until Ctrl-C
//	servers down [-force]       stop them
//	servers status              list what runs and who uses it
//	servers env [name...]       print addresses as PENSTOCK_TEST_* exports
//	servers install [name...]   download only
//
// A name is mysql, mariadb, mongodb, kafka, elasticsearch, registry, redis or
// postgres, the last one also with a version: postgres:15. A worker of Kafka
// Connect with Debezium's connectors (connect) can be installed; only tests
// start it.
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

	"github.com/penstock/penstock/integration/servers"
)

const usage = `usage: servers up [-f] [name...]     start servers and keep them up; -f: until Ctrl-C
       servers down [-force]        stop them; -force: even while tests use them
       servers status               list what runs and who uses it
       servers env [name...]        print addresses as PENSTOCK_TEST_* exports
       servers install [name...]    download only
names: postgres[:15|:17|:18] mysql mariadb mongodb kafka elasticsearch registry redis
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "servers: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong arguments")

// command runs one subcommand.
func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var foreground, force bool
	switch name {
	case "up":
		flags.BoolVar(&foreground, "f", false, "")
	case "down":
		flags.BoolVar(&force, "force", false, "")
	case "supervise": // started by package servers, not by people
		return servers.Supervise(ctx, func() {
			_, _ = fmt.Fprintln(out, "ready")
			_ = os.Stdout.Close() // whoever started us waits for no more
		})
	}
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	run, err := servers.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }()
	run.Progress = func(line string) { fmt.Fprintln(os.Stderr, line) }
	switch name {
	case "up":
		return up(ctx, run, flags.Args(), foreground, out)
	case "down":
		return down(ctx, run, force, out)
	case "status":
		return status(ctx, run, out)
	case "env":
		return env(ctx, run, flags.Args(), out)
	case "install":
		return install(ctx, run, flags.Args(), out)
	default:
		return errUsage
	}
}

// up starts servers and shows how to reach them.
func up(ctx context.Context, run *servers.Run, names []string, foreground bool, out io.Writer) error {
	endpoints, err := run.Endpoints(ctx, names...)
	if err != nil {
		return err
	}
	if !foreground {
		if err := run.Hold(ctx); err != nil {
			return err
		}
	}
	if err := table(out, endpoints); err != nil {
		return err
	}
	if !foreground {
		fmt.Fprintln(out, "\nThey stay up. Stop them with: make servers-down")
		return nil
	}
	fmt.Fprintln(out, "\nCtrl-C stops them.")
	<-ctx.Done()
	// ctx is over, and stopping needs one.
	return down(context.WithoutCancel(ctx), run, false, out)
}

func down(ctx context.Context, run *servers.Run, force bool, out io.Writer) error {
	users, err := run.Down(ctx, force)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		fmt.Fprintf(out, "The servers stop when processes %v have ended (at once: servers down -force).\n", users)
		return nil
	}
	fmt.Fprintln(out, "All servers are stopped.")
	return nil
}

func install(ctx context.Context, run *servers.Run, names []string, out io.Writer) error {
	if len(names) == 0 {
		names = append(servers.Names(), "postgres:15", "postgres:18", "connect") // all that tests use
	}
	for _, name := range names {
		if err := run.Install(ctx, name); err != nil {
			return err
		}
		fmt.Fprintln(out, name, "is installed")
	}
	return nil
}
