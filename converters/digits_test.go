package converters

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendInt_EqualsStrconv(t *testing.T) {
	t.Parallel()
	check := func(n int64) {
		t.Helper()
		want := "x" + strconv.FormatInt(n, 10)
		if got := string(appendInt([]byte("x"), n)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for n := int64(0); n < 20_000; n++ {
		check(n)
	}
	for power := int64(1); power <= math.MaxInt64/10; power *= 10 {
		for _, n := range []int64{power - 1, power, power + 1, 10*power - 1, -power} {
			check(n)
		}
	}
	check(math.MaxInt64)
	check(math.MinInt64)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n") >> rapid.IntRange(0, 63).Draw(t, "shift")
		if got, want := string(appendInt(nil, n)), strconv.FormatInt(n, 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

// TestDigits8_EveryPart tries every value of each four-digit half.
func TestDigits8_EveryPart(t *testing.T) {
	t.Parallel()
	for n := range uint32(10_000) {
		for _, n := range []uint32{n, n*10_000 + 9999 - n} {
			text := strconv.Itoa(int(n))
			for len(text) < 8 {
				text = "0" + text
			}
			d := digits8(n)
			for i := range 8 {
				if byte(d>>(8*i)) != text[i]-'0' {
					t.Fatalf("digits of %s: %016x", text, d)
				}
			}
		}
	}
}

func BenchmarkAppendInt(b *testing.B) {
	for _, n := range []int64{7, 744, 24023200, 1763872265200, 1763872265200111222} {
		b.Run(strconv.FormatInt(n, 10), func(b *testing.B) {
			buf := make([]byte, 0, 32)
			for b.Loop() {
				buf = appendInt(buf[:0], n)
			}
		})
	}
}

func BenchmarkAppendIntStrconv(b *testing.B) {
	for _, n := range []int64{7, 744, 24023200, 1763872265200, 1763872265200111222} {
		b.Run(strconv.FormatInt(n, 10), func(b *testing.B) {
			buf := make([]byte, 0, 32)
			for b.Loop() {
				buf = strconv.AppendInt(buf[:0], n, 10)
			}
		})
	}
}
