package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// terminal writes for a person: in place and with a little colour on a
// terminal, plain lines at intervals anywhere else.
type terminal struct {
	out  io.Writer
	live bool // a terminal
	// every is the interval of status lines that are not written in place.
	every time.Duration

	mu      sync.Mutex
	pending bool // the current line is a status
	last    time.Time
}

func newTerminal(f *os.File) *terminal {
	info, err := f.Stat()
	live := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &terminal{out: f, live: live, every: 3 * time.Second}
}

func (t *terminal) colour(code, s string) string {
	if !t.live || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *terminal) bold(s string) string { return t.colour("1", s) }
func (t *terminal) dim(s string) string  { return t.colour("2", s) }
func (t *terminal) good(s string) string { return t.colour("32", s) }
func (t *terminal) bad(s string) string  { return t.colour("31", s) }

// say writes lines that stay.
func (t *terminal) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// step opens a part of the demo.
func (t *terminal) step(format string, args ...any) {
	t.say("\n%s", t.bold(fmt.Sprintf(format, args...)))
}

// status shows what is going on; the next line takes its place.
func (t *terminal) status(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.live {
		if time.Since(t.last) < t.every {
			return
		}
		t.last = time.Now()
		fmt.Fprintf(t.out, "  "+format+"\n", args...)
		return
	}
	t.clear()
	fmt.Fprintf(t.out, "  "+format, args...)
	t.pending = true
}

func (t *terminal) clear() {
	if t.pending {
		fmt.Fprint(t.out, "\r\x1b[2K")
		t.pending = false
	}
}

// bar draws how far done is on the way to total.
func bar(done, total int) string {
	const width = 24
	if total <= 0 {
		return ""
	}
	filled := min(width, done*width/total)
	return "[" + strings.Repeat("=", filled) + strings.Repeat(" ", width-filled) + "]"
}

// thousands groups digits by commas.
func thousands[N int | int64](n N) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// millis renders a latency, or a dash when there is none yet.
func millis(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
