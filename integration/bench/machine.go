package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load returns the machine's load average over a minute; negative if unknown.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	first, _, _ := strings.Cut(string(b), " ")
	f, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return -1
	}
	return f
}

// calibrate returns how long a fixed piece of work takes. Its spread over a
// run says how quiet the machine was.
func calibrate() time.Duration {
	buf := make([]byte, 1<<20)
	began := time.Now()
	for range 64 {
		sum := sha256.Sum256(buf)
		copy(buf, sum[:])
	}
	return time.Since(began)
}

// machine describes where the run took place.
func machine() string {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "model name") {
				_, name, _ := strings.Cut(line, ":")
				model = strings.TrimSpace(name)
				break
			}
		}
	}
	memory := "unknown"
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		first, _, _ := strings.Cut(string(b), "\n")
		if f := strings.Fields(first); len(f) > 1 {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				memory = fmt.Sprintf("%.0f GB", float64(kib)/(1<<20))
			}
		}
	}
	return fmt.Sprintf("%d cores (%s), %s memory, %s", runtime.NumCPU(), model, memory, runtime.Version())
}

// median of values; of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
