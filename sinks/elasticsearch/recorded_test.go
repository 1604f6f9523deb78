package elasticsearch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestSink_TakesRecordedEvents applies everything that was recorded from
// Debezium, of every type that there is. What cannot be applied is refused
// record by record, for a reason that lies in the record; the rest is there.
func TestSink_TakesRecordedEvents(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"postgres", "mysql"} {
		for _, schemas := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/Schemas=%t", source, schemas), func(t *testing.T) {
				t.Parallel()
				srv := servers.Elasticsearch(t)
				records := sinkstest.Recorded(t, "../../integration/testdata/debezium/"+source+"/events.schemas.jsonl.gz", schemas)
				s := open(t, srv, map[string]string{"index.name": srv.Index("${topic}")})
				err := s.Write(t.Context(), records)
				var some *sinks.WriteError
				if err != nil && !errors.As(err, &some) {
					t.Fatal(err)
				}
				refused := map[int]bool{}
				if some != nil {
					for _, f := range some.Failed {
						refused[f.Index] = true
						if !strings.Contains(f.Err.Error(), "has no key") {
							t.Errorf("a record of %s was refused: %v", records[f.Index].Topic, f.Err)
						}
					}
				}
				for topic, rows := range sinkstest.Fold(records, func(i int) bool { return refused[i] }) {
					if len(rows) == 0 {
						continue // there need not be an index
					}
					if n := len(documents(t, srv, srv.Index(topic))); n != len(rows) {
						t.Errorf("%s has %d documents, want %d", topic, n, len(rows))
					}
				}
			})
		}
	}
}
