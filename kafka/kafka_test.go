package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKafka_EnsureTopics(t *testing.T) {
	t.Parallel()
	srv := servers.Kafka(t)
	testEnsureTopics(t, config(t, srv.Addr()), srv.Topic)
}

// testLog is about everything that a consumer would not deliver: markers,
// aborted records, a topic that ends in them.
func testLog(t *testing.T, c kafka.Config, topic string) {
	t.Helper()
	cl := producer(t, c)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.OffsetTopic(topic, 3, 1)); err != nil {
		t.Fatal(err)
	}
	reader := producer(t, c)
	log := kafka.NewLog(reader, topic)
	var got []string
	expect := func(when string, want ...string) {
		t.Helper()
		err := log.ReadToEnd(t.Context(), func(r *kgo.Record) error {
			got = append(got, string(r.Value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: read %q, want %q", when, got, want)
		}
		got = nil
	}
	expect("empty")
	var batch []*kgo.Record
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprintf("%04d", i))
		batch = append(batch, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: []byte(all[i])})
	}
	produce(t, cl, batch...)
	expect("first", all...)
	expect("nothing new")

	txn := producer(t, c, kgo.TransactionalID(topic))
	transaction(t, txn, "a", topic, topic)
	produce(t, cl, &kgo.Record{Topic: topic, Key: []byte("a"), Value: []byte("behind")})
	// It must neither miss what is behind an open transaction nor read what
	// is in it, so it waits.
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	err := log.ReadToEnd(short, func(r *kgo.Record) error { return fmt.Errorf("read %s", r.Value) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadToEnd before an open transaction = %v, want it to wait", err)
	}
	end(t, txn, kgo.TryCommit)
	expect("committed", "a", "a", "behind")
	transaction(t, txn, "b", topic, topic)
	end(t, txn, kgo.TryAbort)
	expect("aborted")
	transaction(t, txn, "c", topic)
	produce(t, cl, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("beside")})
	end(t, txn, kgo.TryAbort)
	expect("beside an aborted one", "beside")

	stop := errors.New("stop")
	err = kafka.NewLog(reader, topic).ReadToEnd(t.Context(), func(*kgo.Record) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("ReadToEnd = %v, want the error of the callback", err)
	}

	// What a Log has not read yet may be deleted; what it has read may be too.
	late := kafka.NewLog(reader, topic)
	adm := kadm.NewClient(reader)
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	recreated := ends.Offsets()
	if r, err := adm.DeleteRecords(t.Context(), recreated); err == nil && r.Error() == nil {
		expect("deleted")
		err := late.ReadToEnd(t.Context(), func(r *kgo.Record) error { return fmt.Errorf("read %s", r.Value) })
		if err != nil {
			t.Errorf("after everything was deleted: %v", err)
		}
	} else if !errors.Is(errors.Join(err, r.Error()), kerr.PolicyViolation) { // Kafka refuses it for compacted topics
		t.Errorf("DeleteRecords = %v, %v", err, r.Error())
	}
}

func TestLog_OnEmbeddedBroker(t *testing.T) {
	t.Parallel()
	testLog(t, config(t, embedded(t)), "log")
}

func TestKafka_Log(t *testing.T) {
	t.Parallel()
	srv := servers.Kafka(t)
	testLog(t, config(t, srv.Addr()), srv.Topic("log"))
}

// TestKafka_Security logs in to a Kafka over TLS, rightly and wrongly.
func TestKafka_Security(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t, "127.0.0.1")
	clear, controller, port := servers.FreePort(t), servers.FreePort(t), servers.FreePort(t)
	line := func(text string) string { return strings.ReplaceAll(text, "\n", `\n`) } // as properties have it
	servers.StartKafka(t, servers.Config(
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d,SECURE://127.0.0.1:%d", clear, controller, port),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d,SECURE://127.0.0.1:%d", clear, port),
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
		"listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
		`listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="wonderland";`,
		"listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.secure.ssl.keystore.type=PEM",
		"listener.name.secure.ssl.keystore.certificate.chain="+line(certPEM(cert)),
		"listener.name.secure.ssl.keystore.key="+line(keyPEM(t, key)),
	))
	adm, err := kafka.NewAdmin(t.Context(), config(t, fmt.Sprintf("127.0.0.1:%d", clear)))
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	altered, err := adm.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
		{User: "bob", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "builder"},
	})
	if err != nil || altered.Error() != nil {
		t.Fatal(err, altered.Error())
	}
	secure := fmt.Sprintf("127.0.0.1:%d", port)
	given := func(mechanism, module, user, password string) []string {
		return []string{
			"security.protocol", "SASL_SSL", "ssl.truststore.certificates", certPEM(ca.cert), "sasl.mechanism", mechanism,
			"sasl.jaas.config", "org.apache.kafka.common.security." + module + ` required username="` + user + `" password="` + password + `";`,
		}
	}
	const plain, scram = "plain.PlainLoginModule", "scram.ScramLoginModule"
	withoutTLS := func(given []string) []string { return append(given[4:], "security.protocol", "SASL_PLAINTEXT") }
	for name, tt := range map[string]struct {
		given         []string
		setting, says string
	}{
		"PLAIN":                 {given("PLAIN", plain, "alice", "wonderland"), "", ""},
		"SCRAM":                 {given("SCRAM-SHA-256", scram, "bob", "builder"), "", ""},
		"PLAIN, wrong password": {given("PLAIN", plain, "alice", "the-secret"), "sasl.jaas.config", `refuses the user "alice" with sasl.mechanism=PLAIN`},
		"SCRAM, wrong password": {given("SCRAM-SHA-256", scram, "bob", "the-secret"), "sasl.jaas.config", `refuses the user "bob" with sasl.mechanism=SCRAM-SHA-256`},
		"SCRAM, unknown user":   {given("SCRAM-SHA-256", scram, "nobody", "the-secret"), "sasl.jaas.config", `refuses the user "nobody"`},
		"not enabled":           {given("SCRAM-SHA-512", scram, "bob", "the-secret"), "sasl.mechanism", "does not have SCRAM-SHA-512 enabled"},
		"without TLS":           {withoutTLS(given("PLAIN", plain, "alice", "wonderland")), "security.protocol", "and password in sasl.jaas.config"},
		"without a login":       {given("PLAIN", plain, "alice", "wonderland")[2:4], "security.protocol", "another protocol"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			cl, err := config(t, secure, tt.given...).NewClient(t.Context())
			if tt.setting == "" {
				if err != nil {
					t.Fatal(err)
				}
				cl.Close()
				return
			}
			if err == nil {
				cl.Close()
			}
			expectConnectError(t, err, tt.setting, tt.says)
		})
	}
}

// TestKafka_ProducerOutlivesRestart writes through a kill of the broker.
func TestKafka_ProducerOutlivesRestart(t *testing.T) {
	t.Parallel()
	srv := servers.StartKafka(t)
	c := config(t, srv.Addr())
	cl := producer(t, c)
	if _, err := kafka.EnsureTopics(t.Context(), cl, kafka.TopicSpec{Name: "t", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	var want []string
	var failed kgo.FirstErrPromise
	write := func(n int) {
		for range n {
			want = append(want, fmt.Sprint(len(want)))
			cl.Produce(t.Context(), &kgo.Record{Topic: "t", Value: []byte(want[len(want)-1])}, failed.Promise())
		}
	}
	write(100)
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(1000)
	if _, err := c.NewClient(t.Context()); !kafka.IsConnectError(err) {
		t.Errorf("a new client without a broker: %v", err)
	}
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(100)
	if err := failed.Err(); err != nil {
		t.Fatal(err)
	}
	expectAll(t, c, "t", want...)
}
