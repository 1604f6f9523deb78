package mongodb

import (
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

var bigTen = big.NewInt(10)

func decimal128(b []byte) bson.Decimal128 {
	return bson.NewDecimal128(binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b))
}

func TestAppendDecimal_IsExact(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0", "-0", "0.00", "1", "-1", "10", "1.0", "0.10", "-12345.678900", "100000000000000000000000000000000000000000",
		"9999999999999999999999999999999999", "-0.9999999999999999999999999999999999", "0.0000000000000000000000000000000000000000000001",
		"1234567890123456789012345678901234000", strings.Repeat("0", 50) + "1",
	} {
		b, err := appendDecimal(nil, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want, err := bson.ParseDecimal128(text)
		if err != nil {
			t.Fatal(err)
		}
		got := decimal128(b)
		gotInt, gotExp, err1 := got.BigInt()
		wantInt, wantExp, err2 := want.BigInt()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		// The driver may keep fewer zeros at the end; the number is the same.
		for ; gotExp < wantExp; gotExp++ {
			gotInt.Div(gotInt, bigTen)
		}
		for ; wantExp < gotExp; wantExp++ {
			wantInt.Div(wantInt, bigTen)
		}
		if gotInt.Cmp(wantInt) != 0 {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestAppendDecimal_KeepsTheScale(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1.50": "1.50", "-0.10": "-0.10", "5": "5", "1000": "1000", "0.00": "0.00"} {
		b, err := appendDecimal(nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := decimal128(b).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestAppendDecimal_RefusesToRound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"12345678901234567890123456789012345", "1234567890123456789012345678.0123456789", "1" + strings.Repeat("0", 7000), "0." + strings.Repeat("0", 6176) + "1",
	} {
		if _, err := appendDecimal(nil, []byte(text)); !errors.Is(err, errDecimal) {
			t.Errorf("%.40s: %v, want it refused", text, err)
		}
	}
	for _, text := range []string{"", "-", ".", "x", "1e5", "1.2.3", "NaN"} {
		if _, err := appendDecimal(nil, []byte(text)); err == nil {
			t.Errorf("%q was taken for a number", text)
		}
	}
}

func FuzzAppendDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "99999999999999999999999999999999999", "1.", ".5", "--1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := appendDecimal(nil, []byte(text))
		if err != nil {
			return
		}
		if len(b) != 16 {
			t.Fatalf("%q has %d bytes", text, len(b))
		}
		want, err := bson.ParseDecimal128(text)
		if err != nil {
			t.Fatalf("%q was taken for a number: %v", text, err)
		}
		if got := decimal128(b); got.IsNaN() || got.IsInf() != want.IsInf() {
			t.Fatalf("%q is %s, want %s", text, got, want)
		}
	})
}

func BenchmarkAppendDecimal(b *testing.B) {
	text := []byte("12345678.90")
	dst := make([]byte, 0, 16)
	rng := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		text[0] = '1' + byte(rng.IntN(9))
		if _, err := appendDecimal(dst, text); err != nil {
			b.Fatal(err)
		}
	}
}
