package worker_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDeadLetters_AskForNoMoreCopiesThanThereCanBe has Kafka Connect's default
// of three copies meet one broker. The embedded one is known to be alone; of
// another Kafka the user has to say that fewer will do.
func TestDeadLetters_AskForNoMoreCopiesThanThereCanBe(t *testing.T) {
	t.Parallel()
	const factor = "errors.deadletterqueue.topic.replication.factor"
	embedded := startWorker(t)
	other := startWorker(t, "CONNECT_BOOTSTRAP_SERVERS="+embedded.Bootstrap, "CONNECT_GROUP_ID=other",
		"CONNECT_CONFIG_STORAGE_TOPIC=other-configs", "CONNECT_OFFSET_STORAGE_TOPIC=other-offsets", "CONNECT_STATUS_STORAGE_TOPIC=other-status")
	if _, err := kadm.NewClient(embedded.kafka).CreateTopic(t.Context(), 1, 1, nil, "in"); err != nil {
		t.Fatal(err)
	}
	if err := embedded.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte("no json")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		worker *testWorker
		factor string
		works  bool
	}{
		{"default", embedded, "", true},
		{"explicit", embedded, "3", false},
		{"brokers", embedded, "-1", true},
		{"elsewhere", other, "", false},
		{"elsewhere-one", other, "1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := map[string]string{
				"connector.class": "file-sink", "topics": "in", "file": filepath.Join(t.TempDir(), "out"),
				"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
				"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "letters-" + c.name,
			}
			if c.factor != "" {
				config[factor] = c.factor
			}
			c.worker.request(t, "PUT", "/connectors/"+c.name+"/config", config, 201)
			if c.works {
				eventually(t, c.worker, "the letter", func() bool {
					ends, err := kadm.NewClient(embedded.kafka).ListEndOffsets(t.Context(), config["errors.deadletterqueue.topic.name"])
					if err != nil {
						return false
					}
					end, _ := ends.Lookup(config["errors.deadletterqueue.topic.name"], 0)
					return end.Offset == 1
				})
				return
			}
			eventually(t, c.worker, "the failure", func() bool {
				state, trace, _ := c.worker.stateOf(t, c.name)
				return state == "FAILED" && strings.Contains(trace, factor+"=3") && strings.Contains(trace, "lower it (1 for a single broker")
			})
		})
	}
}
