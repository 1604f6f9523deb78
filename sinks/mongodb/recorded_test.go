package mongodb_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestSink_TakesRecordedEvents applies everything that was recorded from
// Debezium, of every type that there is. What cannot be applied is refused
// record by record, for a reason that lies in the record; the rest is there.
func TestSink_TakesRecordedEvents(t *testing.T) {
	t.Parallel()
	faces := map[string]map[string]string{
		"Short": nil,
		"Java": {
			"connector.class":             "com.mongodb.kafka.connect.MongoSinkConnector",
			"change.data.capture.handler": "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
		},
	}
	for _, source := range []string{"postgres", "mysql"} {
		for _, schemas := range []bool{true, false} {
			for face, raw := range faces {
				t.Run(fmt.Sprintf("%s/Schemas=%t/%s", source, schemas, face), func(t *testing.T) {
					t.Parallel()
					srv := servers.Mongo(t)
					raw := maps.Clone(raw)
					records := sinkstest.Recorded(t, "../../integration/testdata/debezium/"+source+"/events.schemas.jsonl.gz", schemas)
					err := open(t, srv, raw).Write(t.Context(), records)
					var some *sinks.WriteError
					if err != nil && !errors.As(err, &some) {
						t.Fatal(err)
					}
					refused := map[int]bool{}
					for _, f := range some.Failed {
						refused[f.Index] = true
						table := records[f.Index].Topic
						table = table[strings.LastIndexByte(table, '.')+1:]
						switch text := f.Err.Error(); {
						case strings.HasPrefix(table, "nopk") && strings.Contains(text, "has no key"):
						case (table == "t_num" || table == "t_dec") && strings.Contains(text, "Decimal128"):
						default:
							t.Errorf("a record of %s was refused: %v", table, f.Err)
						}
					}
					db := connect(t, srv)
					for topic, rows := range sinkstest.Fold(records, func(i int) bool { return refused[i] }) {
						n, err := db.Collection(topic).CountDocuments(t.Context(), bson.D{})
						if err != nil {
							t.Fatal(err)
						}
						if int(n) != len(rows) {
							t.Errorf("%s has %d documents, want %d", topic, n, len(rows))
						}
					}
				})
			}
		}
	}
}
