package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes with an optional unit: KiB, MiB, GiB, and
// K, M, G for the same. Empty is 0.
func ParseSize(text string) (int64, error) {
	t := strings.TrimSpace(text)
	if t == "" {
		return 0, nil
	}
	digits := strings.TrimRight(strings.ToLower(t), "kmgib ")
	unit := strings.ToLower(strings.TrimSpace(t[len(digits):]))
	shift, ok := map[string]uint{"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30, "gib": 30}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size such as 536870912 or 512MiB", text)
	}
	return n << shift, nil
}

func checkSize(v string) error {
	_, err := ParseSize(v)
	return err
}
