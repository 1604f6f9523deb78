package mongodb

import (
	"testing"

	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestBuilder_AllocatesNothing builds the writes of a batch in memory that is
// used again.
func TestBuilder_AllocatesNothing(t *testing.T) {
	b := newBuilder(&config{database: "d", unwrap: true, typed: true, deleteOnNull: true})
	records := sinkstest.Orders(100)
	build := func() {
		b.reset()
		for i := range records {
			if _, err := b.build(&records[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	build()
	if n := testing.AllocsPerRun(20, build); n != 0 {
		t.Errorf("%v allocations for 100 records, want 0", n)
	}
}

func BenchmarkBuilder(b *testing.B) {
	build := newBuilder(&config{database: "d", unwrap: true, typed: true, deleteOnNull: true})
	records := sinkstest.Orders(1000)
	ops := make([]op, len(records))
	at := make([]int32, len(records))
	var command []byte
	b.ReportAllocs()
	for b.Loop() {
		build.reset()
		for i := range records {
			var err error
			if ops[i], err = build.build(&records[i]); err != nil {
				b.Fatal(err)
			}
			ops[i].kind, at[i] = opReplace, int32(i)
		}
		command = appendCommand(command[:0], build, "orders", ops, at, false, nil)
	}
	b.SetBytes(int64(len(command)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}
