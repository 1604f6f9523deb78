package kafka_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// described returns partitions, replicas and the named settings of a topic.
func described(t *testing.T, cl *kgo.Client, topic string, keys ...string) (partitions, replicas int, values []string) {
	t.Helper()
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(t.Context(), topic)
	if err != nil || details[topic].Err != nil {
		t.Fatal(err, details[topic].Err)
	}
	configs, err := adm.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := configs.On(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		for _, kv := range rc.Configs {
			if kv.Key == key {
				values = append(values, kv.MaybeValue())
			}
		}
	}
	return len(details[topic].Partitions), details[topic].Partitions.NumReplicas(), values
}

func testEnsureTopics(t *testing.T, c kafka.Config, name func(string) string) {
	t.Helper()
	cl := producer(t, c)
	specs := []kafka.TopicSpec{
		kafka.ConfigTopic(name("configs"), -1),
		kafka.OffsetTopic(name("offsets"), 25, 1),
		kafka.StatusTopic(name("status"), 5, 1),
		kafka.DeadLetterTopic(name("dlq"), 1),
		{Name: name("data"), Partitions: 3, Replication: 1, Configs: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "1000000", "compression.type": "lz4"}},
		{Name: name("default"), Partitions: -1, Replication: -1},
	}
	created, err := kafka.EnsureTopics(t.Context(), cl, specs...)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{name("configs"), name("data"), name("default"), name("dlq"), name("offsets"), name("status")}
	if slices.Sort(created); !slices.Equal(created, want) {
		t.Errorf("created %v, want %v", created, want)
	}
	fresh := producer(t, c) // cl remembers for a moment what was not there
	for _, tt := range []struct {
		topic      string
		partitions int
		policy     string
	}{{"configs", 1, "compact"}, {"offsets", 25, "compact"}, {"status", 5, "compact"}, {"dlq", 1, "delete"}, {"data", 3, "compact,delete"}, {"default", 1, "delete"}} {
		partitions, replicas, values := described(t, fresh, name(tt.topic), "cleanup.policy")
		if partitions != tt.partitions || replicas != 1 || !slices.Equal(values, []string{tt.policy}) {
			t.Errorf("topic %s has %d partitions, %d copies, cleanup.policy %v, want %d, 1, %s", tt.topic, partitions, replicas, values, tt.partitions, tt.policy)
		}
	}
	if _, _, values := described(t, fresh, name("data"), "retention.ms", "compression.type"); !slices.Equal(values, []string{"1000000", "lz4"}) {
		t.Errorf("topic data has %v", values)
	}
	// Existing ones stay as they are.
	specs[4].Partitions, specs[5].Partitions = 9, 9
	if created, err := kafka.EnsureTopics(t.Context(), fresh, specs...); err != nil || len(created) != 0 {
		t.Errorf("again: created %v, %v", created, err)
	}

	// What is wrong with some does not keep the others from being made.
	created, err = kafka.EnsureTopics(
		t.Context(), fresh,
		kafka.OffsetTopic(name("dlq"), 25, 1),
		kafka.ConfigTopic(name("offsets"), 1),
		kafka.StatusTopic(name("copies"), 5, 3),
		kafka.TopicSpec{Name: name("good"), Partitions: 1, Replication: 1},
	)
	if !slices.Equal(created, []string{name("good")}) {
		t.Errorf("created %v, want the good one", created)
	}
	if !errors.Is(err, kafka.ErrNotCompacted) || !errors.Is(err, kafka.ErrPartitions) || !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Fatalf("error is %v, want all three problems", err)
	}
	for _, says := range []string{
		`use topic ` + name("dlq") + `: topic is not compacted; its cleanup.policy is "delete" and must be "compact"`,
		`--entity-name ` + name("dlq") + ` --add-config cleanup.policy=compact`,
		`use topic ` + name("offsets") + `: wrong number of partitions; it has 25 partitions and must have 1`,
		`create topic ` + name("copies") + `: INVALID_REPLICATION_FACTOR`,
		`status.storage.replication.factor=3 needs as many brokers and the cluster has 1; lower it`,
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("error is\n%v\nwithout %q", err, says)
		}
	}
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	testEnsureTopics(t, config(t, b.Addr()), func(s string) string { return s })
}

func TestClient_CreatesNoTopicByAsking(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	cl := producer(t, config(t, b.Addr()), kgo.UnknownTopicRetries(1))
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "misspelt"}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("Produce = %v, want UNKNOWN_TOPIC_OR_PARTITION", err)
	}
}

func TestCreation(t *testing.T) {
	t.Parallel()
	c, problems := kafka.ParseCreation(map[string]string{
		"topic.creation.default.replication.factor": "3",
		"topic.creation.default.partitions":         "10",
		"topic.creation.default.cleanup.policy":     "compact",
		"topic.creation.groups":                     "big, logs,default",
		"topic.creation.big.include":                `shop\.orders.*,shop\.lines`,
		"topic.creation.big.exclude":                `.*_old`,
		"topic.creation.big.partitions":             "50",
		"topic.creation.logs.include":               ".*",
		"topic.creation.logs.exclude":               `shop\..*`,
		"topic.creation.logs.replication.factor":    "-1",
		"topic.creation.logs.retention.ms":          "60000",
		"connector.class":                           "x",
	})
	if err := problems.Err(); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	for topic, want := range map[string]struct {
		partitions  int32
		replication int16
		configs     string
	}{
		"shop.orders":         {50, 3, ""},
		"shop.orders_2":       {50, 3, ""},
		"shop.lines":          {50, 3, ""},
		"shop.orders_old":     {10, 3, "cleanup.policy=compact"},
		"shop.lines_x":        {10, 3, "cleanup.policy=compact"}, // the whole name has to match
		"other":               {10, -1, "retention.ms=60000"},
		"not.shop.orders.but": {10, -1, "retention.ms=60000"},
	} {
		s := c.Spec(topic)
		configs := ""
		for k, v := range s.Configs {
			configs += k + "=" + v
		}
		if s.Name != topic || s.Partitions != want.partitions || s.Replication != want.replication || configs != want.configs {
			t.Errorf("%s: %+v, want %+v", topic, s, want)
		}
	}
	c, problems = kafka.ParseCreation(map[string]string{"name": "x"})
	if s := c.Spec("t"); problems != nil || s.Name != "t" || s.Partitions != -1 || s.Replication != -1 || len(s.Configs) != 0 {
		t.Errorf("without settings: %+v, %v, want the broker's defaults", s, problems)
	}
}

func TestParseCreation_Problems(t *testing.T) {
	t.Parallel()
	_, problems := kafka.ParseCreation(map[string]string{
		"topic.creation.groups":                     "a,b,a",
		"topic.creation.default.replication.factor": "0",
		"topic.creation.default.include":            "x",
		"topic.creation.a.include":                  "(?<!x)y",
		"topic.creation.a.partitions":               "many",
		"topic.creation.c.include":                  "z",
	})
	text := ""
	warnings := 0
	for _, p := range problems {
		text += p.Message + "\n"
		if p.Warning {
			warnings++
		}
	}
	for _, says := range []string{
		"a is named twice",
		"Invalid value 0 for configuration topic.creation.default.replication.factor: it must be 1 or more, or -1",
		`Missing required configuration "topic.creation.default.partitions"`,
		"topic.creation.default.include and .exclude cannot be set",
		"without look-around",
		"Invalid value many for configuration topic.creation.a.partitions",
		`Missing required configuration "topic.creation.b.include"`,
		`topic.creation.c.include has no effect: topic.creation.groups does not name the group "c"`,
	} {
		if !strings.Contains(text, says) {
			t.Errorf("problems are\n%swithout %q", text, says)
		}
	}
	if warnings != 1 || len(problems) != 8 {
		t.Errorf("%d problems with %d warnings, want 8 with 1:\n%s", len(problems), warnings, text)
	}
}
