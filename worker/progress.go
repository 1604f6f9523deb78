package worker

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/snapshot"
)

// logEvery is how often a snapshot's progress is logged where nobody sees a
// bar.
const logEvery = 10 * time.Second

// progress shows how far snapshots are: as a bar for each on a terminal, as
// log lines now and then elsewhere.
type progress struct {
	log *slog.Logger
	// terminal is nil where there is none.
	terminal io.Writer

	mu     sync.Mutex
	states map[string]progressState
	lines  int // drawn, and still at the bottom of the screen
}

type progressState struct {
	snapshot.Progress
	logged time.Time
}

func newProgress(log *slog.Logger, terminal io.Writer) *progress {
	return &progress{log: log, terminal: terminal, states: map[string]progressState{}}
}

// update takes note of a connector's progress and shows it.
func (p *progress) update(connector string, s snapshot.Progress) {
	p.mu.Lock()
	next := progressState{s, p.states[connector].logged}
	due := s.Done || p.terminal == nil && time.Since(next.logged) >= logEvery
	if due {
		next.logged = time.Now()
	}
	p.states[connector] = next
	if s.Done {
		delete(p.states, connector)
	}
	if p.terminal != nil {
		p.draw()
	}
	p.mu.Unlock()
	if due {
		p.logLine(connector, s) // unlocked: the log is written through Write
	}
}

func (p *progress) logLine(connector string, s snapshot.Progress) {
	args := []any{
		"connector", connector, "tables", s.TablesDone, "of", s.Tables, "rows", s.Rows,
		"rows_per_second", int64(rate(s)), "elapsed", s.Elapsed.Round(time.Second).String(),
	}
	if left, ok := timeLeft(s); ok && !s.Done {
		args = append(args, "left", left.String())
	}
	if s.Done {
		p.log.Info("the tables are copied", args...)
		return
	}
	p.log.Info("copying tables", args...)
}

// Write passes the log on to the terminal, above the bars.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	n, err := p.terminal.Write(b)
	p.draw()
	return n, err
}

// clear removes the bars from the screen.
func (p *progress) clear() {
	if p.terminal != nil && p.lines > 0 {
		fmt.Fprintf(p.terminal, "\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}

func (p *progress) draw() {
	p.clear()
	for _, name := range slices.Sorted(maps.Keys(p.states)) {
		fmt.Fprintln(p.terminal, bar(name, p.states[name].Progress))
		p.lines++
	}
}

const barWidth = 30

// bar renders one line: name, bar, rows, rate, time left.
func bar(name string, s snapshot.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s ", name)
	if s.Total > 0 {
		done := min(1, float64(s.Rows)/float64(s.Total))
		full := int(done * barWidth)
		fmt.Fprintf(&b, "[%s%s] %3.0f%% ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*done)
	}
	fmt.Fprintf(&b, "%s rows  %s rows/s  table %d of %d", count(s.Rows), count(int64(rate(s))), min(s.TablesDone+1, s.Tables), s.Tables)
	if left, ok := timeLeft(s); ok {
		fmt.Fprintf(&b, "  %s left", left)
	}
	return b.String()
}

func rate(s snapshot.Progress) float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Rows) / s.Elapsed.Seconds()
}

func timeLeft(s snapshot.Progress) (time.Duration, bool) {
	r := rate(s)
	if s.Total < s.Rows || r <= 0 {
		return 0, false
	}
	return time.Duration(float64(s.Total-s.Rows) / r * float64(time.Second)).Round(time.Second), true
}

// count writes a number with thousands apart.
func count(n int64) string {
	text := fmt.Sprint(n)
	var b strings.Builder
	for i, r := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}
