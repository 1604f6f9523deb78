package schema_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/schema"
)

func TestAppendUnscaled_Table(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		scale int
		hex   string // empty: an error
	}{
		{"0", 0, "00"},
		{"-0", 3, "00"},
		{"-0", 66, "00"},
		{"-0.0", 66, "00"},
		{"0.00", 2, "00"},
		{"1", 0, "01"},
		{"-1", 0, "ff"},
		{"127", 0, "7f"},
		{"128", 0, "0080"},
		{"-128", 0, "80"},
		{"-129", 0, "ff7f"},
		{"123.45", 2, "3039"},
		{"123.4", 2, "3034"},
		{"123", 2, "300c"},
		{"123.450", 2, "3039"},
		{"+1.5", 1, "0f"},
		{".5", 1, "05"},
		{"5.", 1, "32"},
		{"007", 0, "07"},
		{"1200", -2, "0c"},
		{"-1200.00", -2, "f4"},
		{"0.000", -5, "00"},
		{"99999999999999999999999999999999999999", 0, "4b3b4ca85a86c47a098a223fffffffff"},
		{"-170141183460469231731687303715884105728", 0, "80000000000000000000000000000000"},
		{"170141183460469231731687303715884105728", 0, "0080000000000000000000000000000000"},
		{"", 0, ""},
		{"-", 0, ""},
		{".", 0, ""},
		{"1.2.3", 5, ""},
		{"1e5", 0, ""},
		{"NaN", 0, ""},
		{"1 ", 0, ""},
		{"--1", 0, ""},
		{"123.456", 2, ""},
		{"1", -1, ""},
		{"1", schema.MaxScale + 1, ""},
	} {
		got, err := schema.AppendUnscaled([]byte{0xAA}, []byte(test.text), test.scale)
		if test.hex == "" {
			if !errors.Is(err, schema.ErrDecimal) {
				t.Errorf("%q with scale %d is %x, %v, want an error", test.text, test.scale, got, err)
			}
			continue
		}
		if err != nil || hex.EncodeToString(got) != "aa"+test.hex {
			t.Errorf("%q with scale %d is %x, %v, want %s", test.text, test.scale, got, err, test.hex)
		}
	}
}

func TestAppendDecimal_Table(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		hex   string
		scale int
		text  string // empty: an error
	}{
		{"", 0, "0"},
		{"00", 0, "0"},
		{"00", 2, "0.00"},
		{"00", -3, "0"},
		{"01", 2, "0.01"},
		{"ff", 2, "-0.01"},
		{"3039", 2, "123.45"},
		{"3039", 5, "0.12345"},
		{"3039", 0, "12345"},
		{"0c", -2, "1200"},
		{"f4", -2, "-1200"},
		{"0000000001", 0, "1"},
		{"ffffffffff", 1, "-0.1"},
		{"80000000000000000000000000000000", 0, "-170141183460469231731687303715884105728"},
		{"7fffffffffffffffffffffffffffffff", 38, "1.70141183460469231731687303715884105727"},
		{"008000000000000000000000000000000000", 0, "43556142965880123323311949751266331066368"},
		{"8000000000000000000000000000000000", 0, "-43556142965880123323311949751266331066368"},
		{"01", schema.MaxScale + 1, ""},
		{"01", -schema.MaxScale - 1, ""},
	} {
		unscaled, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := schema.AppendDecimal([]byte("x"), unscaled, test.scale)
		if test.text == "" {
			if !errors.Is(err, schema.ErrDecimal) {
				t.Errorf("%s with scale %d is %s, %v, want an error", test.hex, test.scale, got, err)
			}
			continue
		}
		if err != nil || string(got) != "x"+test.text {
			t.Errorf("%s with scale %d is %s, %v, want %s", test.hex, test.scale, got, err, test.text)
		}
	}
}

// TestDecimal_ThereAndBack compares with big.Int, whichever way the number
// goes: 64 bits, 128 or more.
func TestDecimal_ThereAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`-?(0|[1-9][0-9]{0,80})`).Draw(t, "digits")
		scale := rapid.IntRange(0, 60).Draw(t, "scale")
		n, _ := new(big.Int).SetString(digits, 10)
		unscaled := twosComplement(n)

		text, err := schema.AppendDecimal(nil, unscaled, scale)
		if err != nil {
			t.Fatal(err)
		}
		if _, fraction, _ := strings.Cut(string(text), "."); len(fraction) != scale {
			t.Fatalf("%s has not %d digits after the point", text, scale)
		}
		value, ok := new(big.Rat).SetString(string(text))
		want := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if !ok || value.Cmp(want) != 0 {
			t.Fatalf("%s with scale %d is %s", digits, scale, text)
		}
		back, err := schema.AppendUnscaled(nil, text, scale)
		if err != nil || !bytes.Equal(back, unscaled) {
			t.Fatalf("%s became %x, %v, want %x", text, back, err, unscaled)
		}
	})
}

// twosComplement is Java's BigInteger.toByteArray.
func twosComplement(n *big.Int) []byte {
	m := n
	if n.Sign() < 0 {
		m = new(big.Int).Not(n)
	}
	b := make([]byte, m.BitLen()/8+1)
	m.FillBytes(b)
	if n.Sign() < 0 {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	return b
}

func TestDecimal_DoesNotAllocate(t *testing.T) {
	text := []byte("-12345678901234567890123456789012345.678")
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		unscaled, err := schema.AppendUnscaled(buf, text, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schema.AppendDecimal(unscaled, unscaled, 3); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppendUnscaled(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "123456789012345678901234567890.5", "1e5", "..", "+", "NaN", "0.0000000000000000000000000000000000000000001"} {
		f.Add([]byte(s), 10)
	}
	f.Fuzz(func(t *testing.T, text []byte, scale int) {
		if len(text) > 1000 || scale > 1000 || scale < -1000 {
			return
		}
		unscaled, err := schema.AppendUnscaled(nil, text, scale)
		if err != nil {
			return
		}
		plain, err := schema.AppendDecimal(nil, unscaled, scale)
		if err != nil {
			t.Fatal(err)
		}
		a, okA := new(big.Rat).SetString(string(text))
		b, okB := new(big.Rat).SetString(string(plain))
		if okA && (!okB || a.Cmp(b) != 0) {
			t.Fatalf("%q with scale %d became %s", text, scale, plain)
		}
	})
}
