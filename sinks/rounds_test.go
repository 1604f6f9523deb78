package sinks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestRounds_EndAsTheLogWithoutTheRefused plays random histories through
// Rounds onto a model of a destination and compares with applying the records
// one after the other.
func TestRounds_EndAsTheLogWithoutTheRefused(t *testing.T) {
	t.Parallel()
	type record struct {
		key   string
		whole bool
		fate  int // 0 applied, 1 refused for good, 2 refused for now, 3 skipped, 4 refused when compiled
	}
	// A row is the list of records that made it.
	apply := func(rows map[string]string, i int, r record) {
		if r.whole {
			rows[r.key] = ""
		}
		rows[r.key] += fmt.Sprintf("%d ", i)
	}
	var rounds Rounds
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n := 1 + rng.IntN(30)
		log := make([]record, n)
		for i := range log {
			log[i] = record{fmt.Sprint(rng.IntN(6)), rng.IntN(3) > 0, 0}
			if rng.IntN(4) == 0 {
				log[i].fate = 1 + rng.IntN(4)
			}
		}
		got := map[string]string{}
		rounds.Reset(n)
		for _, r := range log {
			switch r.fate {
			case 3:
				rounds.Skip()
			case 4:
				rounds.Refuse(errors.New("refused"))
			default:
				rounds.Add([]byte(r.key), r.whole)
			}
		}
		sent := map[int32]int{}
		for {
			round := rounds.Next(nil)
			if len(round) == 0 {
				break
			}
			inRound := map[string]bool{}
			for _, at := range round {
				r := log[at]
				if inRound[r.key] {
					t.Fatalf("seed %d: key %s twice in a round", seed, r.key)
				}
				inRound[r.key] = true
				if sent[at]++; sent[at] > 1 {
					t.Fatalf("seed %d: record %d is sent again", seed, at)
				}
				switch r.fate {
				case 0:
					apply(got, int(at), r)
					rounds.Done(at)
				case 1:
					rounds.Fail(at, errors.New("refused"))
				case 2:
					rounds.Retry(at, errors.New("busy"))
				}
			}
		}
		var e *WriteError
		failed := map[int]RecordError{}
		if err := rounds.Err(); errors.As(err, &e) {
			for i, f := range e.Failed {
				if i > 0 && f.Index <= e.Failed[i-1].Index {
					t.Fatalf("seed %d: failures %v are not in order", seed, e.Failed)
				}
				failed[f.Index] = f
			}
		}
		// The model: what is not named as failed is applied in order. Records
		// that a later whole one made needless may be missing from the end
		// result, but not from the account.
		want := map[string]string{}
		for i, r := range log {
			f, bad := failed[i]
			switch {
			case bad && r.fate == 0 && !errors.Is(f.Err, ErrHeldBack):
				t.Fatalf("seed %d: record %d failed with %v", seed, i, f.Err)
			case bad && f.Retriable != (r.fate == 2 || errors.Is(f.Err, ErrHeldBack)):
				t.Fatalf("seed %d: record %d: retriable %t", seed, i, f.Retriable)
			case r.fate == 4 && !bad:
				t.Fatalf("seed %d: record %d is not named", seed, i)
			case bad || r.fate == 3:
			case r.fate == 0:
				apply(want, i, r)
			case r.fate == 1 || r.fate == 2:
				// Never sent, since a later one made it needless.
				if sent[int32(i)] > 0 {
					t.Fatalf("seed %d: record %d was refused and is not named", seed, i)
				}
				if r.whole {
					want[r.key] = "?"
				}
			}
		}
		for key, w := range want {
			if g := got[key]; g != w {
				t.Fatalf("seed %d: key %s is made of records %q, want %q (%+v)", seed, key, g, w, log)
			}
		}
	}
}

func TestRounds_SendsEachKeyOnce(t *testing.T) {
	t.Parallel()
	var r Rounds
	r.Reset(0)
	for i := range 100 {
		r.Add([]byte{byte(i % 10)}, true)
	}
	if first := r.Next(nil); len(first) != 10 {
		t.Errorf("%d records in the round, want the last of each of 10 keys", len(first))
	} else {
		for _, at := range first {
			if at < 90 {
				t.Errorf("record %d is sent, which a later one replaces", at)
			}
			r.Done(at)
		}
	}
	if next := r.Next(nil); len(next) != 0 || r.Err() != nil {
		t.Errorf("%d records and %v are left", len(next), r.Err())
	}
}

func TestRounds_AllocatesNothing(t *testing.T) {
	var r Rounds
	round := make([]int32, 0, 100)
	key := make([]byte, 8)
	write := func() {
		r.Reset(100)
		for i := range 100 {
			key[0] = byte(i % 80)
			r.Add(key, true)
		}
		round = r.Next(round[:0])
		for _, at := range round {
			r.Done(at)
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
	}
	write()
	if n := testing.AllocsPerRun(100, write); n != 0 {
		t.Errorf("%v allocations for a Write, want 0", n)
	}
}

func BenchmarkRounds(b *testing.B) {
	var r Rounds
	var round []int32
	key := make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(2000)
		for i := range 2000 {
			key[0], key[1] = byte(i), byte(i>>8)
			r.Add(key, true)
		}
		round = r.Next(round[:0])
		for _, at := range round {
			r.Done(at)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
}
