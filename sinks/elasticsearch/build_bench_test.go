package elasticsearch

import (
	"testing"

	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestBuilder_AllocatesNothing builds the actions of a batch in memory that is
// used again.
func TestBuilder_AllocatesNothing(t *testing.T) {
	b := newBuilder(&config{indexName: "${topic}", unwrap: true, typed: true, compactMaps: true})
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
	build := newBuilder(&config{indexName: "${topic}", unwrap: true, typed: true, compactMaps: true})
	records := sinkstest.Orders(1000)
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		build.reset()
		body = body[:0]
		for i := range records {
			o, err := build.build(&records[i])
			if err != nil {
				b.Fatal(err)
			}
			body = build.appendAction(body, &o)
		}
	}
	b.SetBytes(int64(len(body)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}
