package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ours and theirs are names of contestants.
const (
	ours   = "Penstock"
	theirs = "Debezium"
)

// result is one contestant in one round of one case.
type result struct {
	Case              string  `json:"case"`
	Contestant        string  `json:"contestant"`
	Round             int     `json:"round"`
	Rows              int     `json:"rows,omitempty"`
	WallSeconds       float64 `json:"wall_seconds,omitempty"`
	RowsPerSecond     float64 `json:"rows_per_second,omitempty"`
	CPUSeconds        float64 `json:"cpu_seconds"`
	PeakMB            float64 `json:"peak_mb"`
	P50Millis         float64 `json:"p50_ms,omitempty"`
	P99Millis         float64 `json:"p99_ms,omitempty"`
	MaxMillis         float64 `json:"max_ms,omitempty"`
	LoadBefore        float64 `json:"load_before"`
	LoadAfter         float64 `json:"load_after"`
	CalibrationMillis float64 `json:"calibration_ms"`
	At                string  `json:"at"`
	Error             string  `json:"error,omitempty"`
}

// report is everything that was measured.
type report struct {
	Machine string            `json:"machine"`
	Version string            `json:"version"`
	Rows    int               `json:"rows"`
	Rounds  int               `json:"rounds"`
	Servers map[string]string `json:"servers"`
	Results []result          `json:"results"`
}

// save writes the report into a folder.
func (r *report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.markdown()), 0o644)
}

// cell summarises one contestant in one case over all rounds.
type cell struct {
	rows, perSecond, cpuPerMillion, peak, p50, p99 float64
	slowest, fastest                               float64
	latency                                        bool
	rounds                                         int
	errors                                         []string
}

func (r *report) cell(name, contestant string) (cell, bool) {
	var c cell
	var perSecond, cpu, peak, p50, p99 []float64
	for _, x := range r.Results {
		if x.Case != name || x.Contestant != contestant {
			continue
		}
		if x.Error != "" {
			c.errors = append(c.errors, x.Error)
			continue
		}
		c.rounds++
		c.rows = float64(x.Rows)
		c.latency = c.latency || x.P50Millis > 0
		perSecond = append(perSecond, x.RowsPerSecond)
		cpu = append(cpu, x.CPUSeconds/float64(max(1, x.Rows))*1e6)
		peak = append(peak, x.PeakMB)
		p50, p99 = append(p50, x.P50Millis), append(p99, x.P99Millis)
	}
	if c.rounds == 0 {
		return c, len(c.errors) > 0
	}
	c.perSecond, c.cpuPerMillion, c.peak, c.p50, c.p99 = median(perSecond), median(cpu), slices.Max(peak), median(p50), median(p99)
	c.slowest, c.fastest = slices.Min(perSecond), slices.Max(perSecond)
	return c, true
}

// markdown renders medians over the rounds.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Machine: %s. Penstock %s. %s rows, %d rounds, medians (slowest to fastest round); the peak is the largest.\n", r.Machine, r.Version, group(float64(r.Rows)), r.Rounds)
	var names []string
	for name, version := range r.Servers {
		names = append(names, name+" "+version)
	}
	slices.Sort(names)
	fmt.Fprintf(&b, "Servers: %s.\n", strings.Join(names, ", "))
	var loads, calibrations []float64
	for _, x := range r.Results {
		loads, calibrations = append(loads, x.LoadBefore, x.LoadAfter), append(calibrations, x.CalibrationMillis)
	}
	if len(loads) > 0 {
		fmt.Fprintf(&b, "Load average (one minute) before and after each measurement: median %.1f, at most %.1f. A fixed piece of work took %.0f to %.0f ms between measurements.\n",
			median(loads), slices.Max(loads), slices.Min(calibrations), slices.Max(calibrations))
	}
	b.WriteString("\n| case | program | rows/s | of the baseline | CPU-s per million | peak MB | p50/p99 ms |\n|---|---|---:|---:|---:|---:|---:|\n")
	var cases []string
	for _, x := range r.Results {
		if !slices.Contains(cases, x.Case) {
			cases = append(cases, x.Case)
		}
	}
	for _, name := range cases {
		baseline := 0.0
		for _, contestant := range r.contestants(name) {
			c, ok := r.cell(name, contestant)
			switch {
			case !ok:
				continue
			case c.rounds == 0:
				fmt.Fprintf(&b, "| %s | %s | failed: %s | | | | |\n", name, contestant, strings.ReplaceAll(firstLine(c.errors[0]), "|", "/"))
				continue
			case c.latency:
				fmt.Fprintf(&b, "| %s | %s | | | %.1f | %.0f | %.1f / %.1f |\n", name, contestant, c.cpuPerMillion, c.peak, c.p50, c.p99)
				continue
			}
			ratio := ""
			if baseline == 0 {
				baseline = c.perSecond
			} else {
				ratio = fmt.Sprintf("%.2f", c.perSecond/baseline)
			}
			fmt.Fprintf(&b, "| %s | %s | %s (%s to %s) | %s | %.2f | %.0f | |\n", name, contestant, group(c.perSecond), group(c.slowest), group(c.fastest), ratio, c.cpuPerMillion, c.peak)
		}
	}
	return b.String()
}

// contestants of a case, the baseline first, then Penstock, then the peer.
func (r *report) contestants(name string) []string {
	var found []string
	for _, x := range r.Results {
		if x.Case == name && !slices.Contains(found, x.Contestant) {
			found = append(found, x.Contestant)
		}
	}
	rank := func(s string) int {
		switch s {
		case ours:
			return 1
		case theirs:
			return 2
		default:
			return 0
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return rank(a) - rank(b) })
	return found
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// group writes a number with thousands parted.
func group(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
