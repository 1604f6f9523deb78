package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long one measurement may take.
const patience = 30 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 2 && os.Args[1] == "raw" {
		err = rawMain(ctx, os.Args[2:])
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is what the environment asks for.
type plan struct {
	rows, rounds int
	cases        []benchCase
	peer         bool // Debezium takes part
	out          string
}

func readPlan() (plan, error) {
	p := plan{rows: 1_000_000, rounds: 3, out: ".cache/bench"}
	v := os.Getenv("PEER")
	p.peer = v != "" && v != "0"
	for name, to := range map[string]*int{"ROWS": &p.rows, "ROUNDS": &p.rounds} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, fmt.Errorf("%s=%s: give a whole number from 1", name, text)
		}
		*to = n
	}
	if v := os.Getenv("OUT"); v != "" {
		p.out = v
	}
	all := allCases()
	if os.Getenv("CASES") == "" {
		p.cases = all
		return p, nil
	}
	for name := range strings.SplitSeq(os.Getenv("CASES"), ",") {
		i := slices.IndexFunc(all, func(c benchCase) bool { return c.name == name })
		if i < 0 {
			var names []string
			for _, c := range all {
				names = append(names, c.name)
			}
			return p, fmt.Errorf("CASES: there is no case %q; there are %s", name, strings.Join(names, ", "))
		}
		p.cases = append(p.cases, all[i])
	}
	return p, nil
}

func run(ctx context.Context) (err error) {
	p, err := readPlan()
	if err != nil {
		return err
	}
	s, err := open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var failed []error
	for round := 1; round <= p.rounds && ctx.Err() == nil; round++ {
		for _, c := range p.cases {
			fmt.Fprintf(os.Stderr, "round %d, %s\n", round, c.name)
			caseCtx, cancel := context.WithTimeout(ctx, patience)
			err := c.run(caseCtx, s, measurement{suite: s, name: c.name, round: round})
			cancel()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
				s.report.Results = append(s.report.Results, result{Case: c.name, Contestant: ours, Round: round, Error: err.Error(), LoadBefore: load(), LoadAfter: load()})
			}
			if err := s.report.save(p.out); err != nil {
				return fmt.Errorf("save the results: %w", err)
			}
		}
	}
	fmt.Print(s.report.markdown())
	return errors.Join(append(failed, ctx.Err())...)
}
