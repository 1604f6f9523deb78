package kafka_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// with returns a map of settings: those of a client that works and more.
func with(pairs ...string) map[string]string {
	m := map[string]string{"bootstrap.servers": "kafka:9092"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

const plainJAAS = `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="the-secret";`

func TestParse_Defaults(t *testing.T) {
	t.Parallel()
	c, err := kafka.ParseClient(with())
	if err != nil {
		t.Fatal(err)
	}
	if c.Producer.Acks != kgo.AllISRAcks() || !c.Producer.Idempotent || c.Producer.DeliveryTimeout != 0 || c.Producer.Retries != -1 {
		t.Errorf("producer is %+v, want acks=all, idempotent, without a limit on retries", c.Producer)
	}
	if c.Producer.Linger != 0 || c.Producer.MaxBatchBytes != 1<<20 || c.Producer.MaxBufferedBytes != 32<<20 {
		t.Errorf("producer is %+v", c.Producer)
	}
	if c.Consumer.SessionTimeout != 45*time.Second || c.Consumer.MaxPollRecords != 500 || c.Consumer.Isolation != kgo.ReadCommitted() || len(c.Consumer.Balancers) != 2 {
		t.Errorf("consumer is %+v", c.Consumer)
	}
	if c.TLS != nil || c.SASL != nil || c.RequestTimeout != 30*time.Second || c.APITimeout != 0 {
		t.Errorf("client is %+v", c)
	}
}

func TestParse_ReadsSettings(t *testing.T) {
	t.Parallel()
	c, err := kafka.ParseClient(with(
		"bootstrap.servers", " PLAINTEXT://a:1 , [::1]:9092,b:65535",
		"client.id", "me", "request.timeout.ms", "5000", "retry.backoff.ms", "20", "default.api.timeout.ms", "7000",
		"security.protocol", "sasl_ssl", "sasl.mechanism", "scram-sha-512",
		"sasl.jaas.config", `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p" tokenauth="true";`,
		"acks", "1", "linger.ms", "3", "compression.type", "zstd", "max.request.size", "2097152", "delivery.timeout.ms", "120000",
		"group.id", "g", "auto.offset.reset", "latest", "isolation.level", "read_uncommitted",
		"partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
		"batch.size", "1", "metric.reporters", "x", "unknown.to.kafka", "is for others",
	))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.BootstrapServers), "[a:1 [::1]:9092 b:65535]"; got != want {
		t.Errorf("bootstrap servers %s, want %s", got, want)
	}
	if c.TLS == nil || c.SASL == nil || c.SASL.Mechanism != "SCRAM-SHA-512" || c.SASL.Username != "u" || c.SASL.Password.Reveal() != "p" || !c.SASL.Token {
		t.Errorf("security is %+v, %+v", c.TLS, c.SASL)
	}
	if c.Producer.Acks != kgo.LeaderAck() || c.Producer.Idempotent || c.Producer.DeliveryTimeout != 2*time.Minute || c.Producer.MaxBatchBytes != 2<<20 || c.Producer.Linger != 3*time.Millisecond {
		t.Errorf("producer is %+v, want acks=1 to switch idempotence off", c.Producer)
	}
	if c.Consumer.Isolation != kgo.ReadUncommitted() || len(c.Consumer.Balancers) != 1 || c.Consumer.Group != "g" {
		t.Errorf("consumer is %+v", c.Consumer)
	}
	if c.RequestTimeout != 5*time.Second || c.RetryBackoff != 20*time.Millisecond || c.APITimeout != 7*time.Second || c.ClientID != "me" {
		t.Errorf("client is %+v", c)
	}
}

func TestParse_Problems(t *testing.T) {
	t.Parallel()
	sasl := []string{"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN"}
	tests := []struct {
		name  string
		given map[string]string
		want  []string // each in a line of its own
	}{
		{"nothing", map[string]string{}, []string{`Missing required configuration "bootstrap.servers"`}},
		{"empty servers", with("bootstrap.servers", " , "), []string{"bootstrap.servers"}},
		{"no port", with("bootstrap.servers", "kafka"), []string{`"kafka" is not host:port; write for instance kafka.example.org:9092`}},
		{"bad port", with("bootstrap.servers", "a:1,kafka:99999"), []string{`"kafka:99999" has no port between 1 and 65535`}},
		{"not a number", with("request.timeout.ms", "soon"), []string{"Invalid value soon for configuration request.timeout.ms: Not a number of type INT"}},
		{"out of range", with("request.timeout.ms", "5"), []string{"Value must be between 100 and 900000"}},
		{"protocol", with("security.protocol", "TLS"), []string{"PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"}},
		{"Kerberos", with("security.protocol", "SASL_SSL", "sasl.mechanism", "GSSAPI", "sasl.jaas.config", plainJAAS), []string{"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"}},
		{"Java code", with("interceptor.classes", "a.B"), []string{"cannot load"}},
		{"no mechanism, no login", with("security.protocol", "SASL_SSL"), []string{"sasl.mechanism is not set", "sasl.jaas.config is not set"}},
		{"wrong module", with(append(sasl, "sasl.jaas.config", strings.ReplaceAll(plainJAAS, "plain.PlainLogin", "scram.ScramLogin"))...), []string{"does not fit sasl.mechanism=PLAIN"}},
		{"no password", with(append(sasl, "sasl.jaas.config", `a.PlainLoginModule required username="u";`)...), []string{"there is no password in it"}},
		{"torn login", with(append(sasl, "sasl.jaas.config", `a.PlainLoginModule required username="u" password="the-secret`)...), []string{"does not end"}},
		{"acks against idempotence", with("acks", "1", "enable.idempotence", "true"), []string{"enable.idempotence=true needs acks=all"}},
		{"acks against transactions", with("acks", "0", "transactional.id", "x"), []string{"transactional.id needs acks=all"}},
		{"heartbeat", with("heartbeat.interval.ms", "9000", "session.timeout.ms", "9000"), []string{"below session.timeout.ms=9000"}},
		{"assignor", with("partition.assignment.strategy", "range,best"), []string{`"best" is not known`}},
		{"partitioner", with("partitioner.class", "com.example.Mine"), []string{"take the setting away"}},
		{"auto commit", with("enable.auto.commit", "true"), []string{"enable.auto.commit"}},
		{"no trust store", with("security.protocol", "SSL", "ssl.truststore.location", "/not/there"), []string{"Invalid value /not/there for configuration ssl.truststore.location: no such file"}},
		{"half a key", with("security.protocol", "SSL", "ssl.keystore.key", "the-secret"), []string{"set both"}},
		{"old TLS", with("security.protocol", "SSL", "ssl.enabled.protocols", "TLSv1"), []string{"use TLSv1.3, TLSv1.2 or both"}},
		{"all at once", with("acks", "7", "linger.ms", "-1", "compression.type", "rar"), []string{"configuration acks", "configuration linger.ms", "configuration compression.type"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(tt.given)
			_, err := kafka.ParseClient(tt.given)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			for _, want := range tt.want {
				found := false
				for _, line := range lines {
					found = found || strings.Contains(line, want)
				}
				if !found {
					t.Errorf("error is\n%v\nwithout %q", err, want)
				}
			}
			if len(lines) < len(tt.want) {
				t.Errorf("%d problems, want %d:\n%v", len(lines), len(tt.want), err)
			}
			if strings.Contains(err.Error(), "the-secret") {
				t.Errorf("error shows a secret: %v", err)
			}
			if !maps.Equal(before, tt.given) {
				t.Error("Parse changed what it was given")
			}
		})
	}
}

func TestSecret_IsNeverShown(t *testing.T) {
	t.Parallel()
	c, err := kafka.ParseClient(with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN", "sasl.jaas.config", plainJAAS))
	if err != nil {
		t.Fatal(err)
	}
	if c.SASL.Password.Reveal() != "the-secret" {
		t.Fatalf("password was not read")
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "sasl", c.SASL, "password", c.SASL.Password)
	text, err := json.Marshal(c.SASL)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(*c.SASL), fmt.Sprintf("%+v", *c.SASL), fmt.Sprintf("%#v", *c.SASL), fmt.Sprintf("%s %q %x", c.SASL.Password, c.SASL.Password, c.SASL.Password), log.String(), string(text),
	} {
		if strings.Contains(shown, "the-secret") || strings.Contains(shown, fmt.Sprintf("%x", "the-secret")) {
			t.Errorf("secret is shown: %s", shown)
		}
	}
}

// TestPartitioner_IsJavas uses the test values of Kafka's own Utils.murmur2
// tests: a key has to land where a Java producer puts it.
func TestPartitioner_IsJavas(t *testing.T) {
	t.Parallel()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	cl := producer(t, config(t, b.Addr()))
	for _, n := range []int32{1, 3, 25} {
		if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: fmt.Sprint("t", n), Partitions: n, Replication: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{1, 3, 25} {
			r := &kgo.Record{Topic: fmt.Sprint("t", n), Key: []byte(key)}
			produce(t, cl, r)
			if want := int32(uint32(hash)&0x7fffffff) % n; r.Partition != want {
				t.Errorf("key %q of %d partitions is in %d, want %d", key, n, r.Partition, want)
			}
		}
	}
}
