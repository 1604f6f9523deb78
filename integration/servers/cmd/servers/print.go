package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/penstock/penstock/integration/servers"
)

// table shows addresses and a client command for each.
func table(out io.Writer, endpoints []servers.Endpoint) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tVERSION\tADDRESS\tTRY")
	for _, e := range endpoints {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Name, e.Version, e.URL, e.Try)
	}
	return w.Flush()
}

// env prints lines for a shell to eval.
func env(ctx context.Context, run *servers.Run, names []string, out io.Writer) error {
	endpoints, err := run.Endpoints(ctx, names...)
	if err != nil {
		return err
	}
	for _, e := range endpoints {
		if e.Variable == "" {
			continue // a second version of a server that has one variable
		}
		// URLs of servers hold no single quotes: url.URL escapes them.
		fmt.Fprintf(out, "export %s='%s'\n", e.Variable, e.URL)
	}
	return nil
}

func status(ctx context.Context, run *servers.Run, out io.Writer) error {
	st, err := run.Status(ctx)
	if err != nil {
		return err
	}
	if len(st.Servers) == 0 && len(st.Users) == 0 && !st.Held {
		fmt.Fprintln(out, "Nothing runs.")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tVERSION\tPORT\tPID\tUSE\tSETTINGS\tLOG")
	for _, s := range st.Servers {
		use := "shared"
		if s.Own {
			use = "one test's"
		}
		pid := fmt.Sprint(s.PID)
		if s.PID == 0 {
			pid = "stopped"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Kind, s.Version, s.Port, pid, use, strings.Join(s.Config, " "), s.Log)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nused by processes %v", st.Users)
	if st.Held {
		fmt.Fprint(out, ", and held up until servers down")
	}
	fmt.Fprintln(out)
	return nil
}
