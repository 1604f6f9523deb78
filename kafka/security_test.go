package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"software.sslmate.com/src/go-pkcs12"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{sign(t, template, template, key, key), key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue returns a certificate for a host and its key.
func (a *authority) issue(t *testing.T, host string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	return sign(t, template, a.cert, key, a.key), key
}

func certPEM(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fake(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// serverTLS is how a broker with a certificate of a for host listens. With
// clients it asks for a certificate that a has signed.
func (a *authority) serverTLS(t *testing.T, host string, clients bool) *tls.Config {
	t.Helper()
	cert, key := a.issue(t, host)
	c := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	if clients {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(a.cert)
	}
	return c
}

// TestClient_LogsIn uses kfake, which closes the connection where Kafka says
// that it refuses the login; TestKafka_RefusesLogin has the other answer.
func TestClient_LogsIn(t *testing.T) {
	t.Parallel()
	addr := fake(t, kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "p", `pl"ai\n`), kfake.Superuser("SCRAM-SHA-256", "s", "s256"), kfake.Superuser("SCRAM-SHA-512", "s", "s512"))
	login := func(mechanism, module, user, password string) []string {
		return []string{
			"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism,
			"sasl.jaas.config", "org.apache.kafka.common.security." + module + ` required username="` + user + `" password="` + password + `";`,
		}
	}
	tests := []struct {
		name    string
		given   []string
		setting string // of the error; empty for none
		says    string
	}{
		{"PLAIN", login("PLAIN", "plain.PlainLoginModule", "p", `pl\"ai\\n`), "", ""},
		{"SCRAM-SHA-256", login("SCRAM-SHA-256", "scram.ScramLoginModule", "s", "s256"), "", ""},
		{"SCRAM-SHA-512", login("SCRAM-SHA-512", "scram.ScramLoginModule", "s", "s512"), "", ""},
		{"PLAIN, wrong password", login("PLAIN", "plain.PlainLoginModule", "p", "the-secret"), "security.protocol", `the user "p" and password in sasl.jaas.config`},
		{"SCRAM, wrong password", login("SCRAM-SHA-256", "scram.ScramLoginModule", "s", "the-secret"), "security.protocol", `the user "s" and password in sasl.jaas.config`},
		{"SCRAM, unknown user", login("SCRAM-SHA-512", "scram.ScramLoginModule", "nobody", "the-secret"), "security.protocol", `the user "nobody" and password in sasl.jaas.config`},
		{"no login", nil, "security.protocol", "expect another protocol than PLAINTEXT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cl, err := config(t, addr, tt.given...).NewClient(t.Context())
			if tt.setting == "" {
				if err != nil {
					t.Fatal(err)
				}
				cl.Close()
				return
			}
			expectConnectError(t, err, tt.setting, tt.says)
		})
	}
}

// embedded runs a broker, which closes what is not Kafka, as Kafka does; kfake
// by itself waits for the rest of it.
func embedded(t *testing.T) string {
	t.Helper()
	b, _ := start(t, kafka.BrokerConfig{DataDir: t.TempDir()})
	return b.Addr()
}

func expectConnectError(t *testing.T, err error, setting, says string) {
	t.Helper()
	e, ok := errors.AsType[*kafka.ConnectError](err)
	if !ok {
		t.Fatalf("error is %v, want a ConnectError", err)
	}
	if e.Setting != setting || !strings.HasPrefix(e.Error(), setting+": ") || !strings.Contains(e.Error(), says) {
		t.Errorf("error is %v, want one of %s with %q", err, setting, says)
	}
	if strings.Contains(e.Error(), "the-secret") {
		t.Errorf("error shows a secret: %v", e)
	}
	// What closes the connection may be a broker that is being restarted.
	if want := setting == "bootstrap.servers" || strings.Contains(says, "another protocol") || strings.Contains(says, "and password in"); e.Retriable() != want {
		t.Errorf("Retriable() = %v for %v", e.Retriable(), e)
	}
}

func TestClient_SpeaksTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	other := newAuthority(t)
	clientCert, clientKey := ca.issue(t, "client")
	trustP12, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	keyP12, err := pkcs12.Modern.Encode(clientKey, clientCert, []*x509.Certificate{ca.cert}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	var (
		good    = fake(t, kfake.TLS(ca.serverTLS(t, "127.0.0.1", false)))
		misname = fake(t, kfake.TLS(ca.serverTLS(t, "elsewhere.example.org", false)))
		mutual  = fake(t, kfake.TLS(ca.serverTLS(t, "127.0.0.1", true)))
		clear   = embedded(t)
		trust   = []string{"security.protocol", "SSL", "ssl.truststore.location", file(t, "ca.pem", []byte(certPEM(ca.cert)))}
	)
	oneLine := strings.ReplaceAll(strings.TrimSpace(certPEM(ca.cert)), "\n", `\n`)
	tests := []struct {
		name, addr    string
		given         []string
		setting, says string
	}{
		{"PEM file", good, trust, "", ""},
		{"PEM text", good, []string{"security.protocol", "SSL", "ssl.truststore.certificates", certPEM(ca.cert)}, "", ""},
		{"PEM text in one line", good, []string{"security.protocol", "SSL", "ssl.truststore.certificates", oneLine}, "", ""},
		{"PEM text with blanks", good, []string{"security.protocol", "SSL", "ssl.truststore.certificates", strings.ReplaceAll(oneLine, `\n`, " ")}, "", ""},
		{"PKCS12 named jks", good, []string{"security.protocol", "SSL", "ssl.truststore.location", file(t, "trust.jks", trustP12), "ssl.truststore.password", "changeit", "ssl.truststore.type", "JKS"}, "", ""},
		{"client certificate, PEM", mutual, append(trust, "ssl.keystore.location", file(t, "key.pem", []byte(certPEM(clientCert)+keyPEM(t, clientKey)))), "", ""},
		{"client certificate, texts", mutual, append(trust, "ssl.keystore.certificate.chain", certPEM(clientCert), "ssl.keystore.key", keyPEM(t, clientKey)), "", ""},
		{"client certificate, PKCS12", mutual, append(trust, "ssl.keystore.location", file(t, "key.p12", keyP12), "ssl.keystore.password", "changeit"), "", ""},
		{"other name, not checked", misname, append(trust, "ssl.endpoint.identification.algorithm", ""), "", ""},

		{"unknown authority", good, []string{"security.protocol", "SSL", "ssl.truststore.certificates", certPEM(other.cert)}, "ssl.truststore.location", "authority that is not trusted"},
		{"unknown authority, name not checked", good, []string{"security.protocol", "SSL", "ssl.truststore.certificates", certPEM(other.cert), "ssl.endpoint.identification.algorithm", ""}, "ssl.truststore.location", "authority that is not trusted"},
		{"other name", misname, trust, "ssl.endpoint.identification.algorithm", "is for another host (elsewhere.example.org)"},
		{"no client certificate", mutual, trust, "ssl.keystore.location", "breaks off the TLS handshake"},
		{"TLS to a clear port", clear, trust, "security.protocol", "another protocol than SSL"},
		{"clear to a TLS port", good, nil, "security.protocol", "another protocol than PLAINTEXT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cl, err := config(t, tt.addr, tt.given...).NewClient(t.Context())
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

func TestParse_Stores(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t, "client")
	p12, err := pkcs12.Modern.Encode(key, cert, nil, "the-secret")
	if err != nil {
		t.Fatal(err)
	}
	jks := file(t, "s.jks", []byte{0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2})
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	for name, tt := range map[string]struct{ key, value, says string }{
		"JKS trust store":      {"ssl.truststore.location", jks, "keytool -exportcert -rfc -keystore " + jks},
		"JKS key store":        {"ssl.keystore.location", jks, "keytool -importkeystore -srckeystore " + jks},
		"neither":              {"ssl.truststore.location", file(t, "x", []byte("hello")), "neither PEM nor PKCS12"},
		"wrong password":       {"ssl.keystore.location", file(t, "k.p12", p12), "ssl.keystore.password does not open it"},
		"encrypted key":        {"ssl.keystore.location", file(t, "k.pem", []byte(certPEM(cert)+encrypted)), "openssl pkey -in key.pem -out plain.pem"},
		"no certificate":       {"ssl.truststore.certificates", "-----BEGIN X-----\n-----END X-----", "no certificate"},
		"PEM without a key":    {"ssl.keystore.location", file(t, "c.pem", []byte(certPEM(cert))), "private key"},
		"a directory, no file": {"ssl.truststore.location", t.TempDir(), "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := kafka.ParseClient(with("security.protocol", "SSL", tt.key, tt.value, "ssl.keystore.password", "wrong"))
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.key) {
				t.Errorf("error is %v, want one of %s with %q", err, tt.key, tt.says)
			}
		})
	}
}

func TestClient_SaysWhyItCannotReach(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = config(t, closed).NewClient(t.Context())
	expectConnectError(t, err, "bootstrap.servers", "cannot reach "+closed+": connection refused; check")
	_, err = config(t, "does-not-exist.invalid:9092").NewClient(t.Context())
	expectConnectError(t, err, "bootstrap.servers", "cannot reach does-not-exist.invalid:9092: ")
	_, err = config(t, closed+",does-not-exist.invalid:9092").NewClient(t.Context())
	expectConnectError(t, err, "bootstrap.servers", "cannot reach "+closed+": connection refused; cannot reach does-not-exist.invalid:9092: ")

	// One of two answers: good enough.
	cl, err := config(t, closed+","+fake(t)).NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cl.Close()
}

// TestClient_GivesUpOnSilence connects to a listener that never answers.
func TestClient_GivesUpOnSilence(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // the end of the test
	_, err = config(t, ln.Addr().String(), "request.timeout.ms", "100").NewClient(t.Context())
	expectConnectError(t, err, "bootstrap.servers", "cannot reach "+ln.Addr().String()+": no answer in time")
}

func TestConfig_OptionsAreAccepted(t *testing.T) {
	t.Parallel()
	c := config(t, fake(t), "group.id", "g", "group.instance.id", "i", "client.rack", "r", "client.id", "c",
		"connections.max.idle.ms", "99999999", "metadata.max.age.ms", "99999999", "fetch.max.wait.ms", "0", "max.poll.interval.ms", "1",
		"delivery.timeout.ms", "10", "retries", "3", "acks", "0", "max.in.flight.requests.per.connection", "1", "default.api.timeout.ms", "1000",
		"fetch.max.bytes", "2147483647", "max.request.size", "1073741824")
	c.Consumer.MaxBytes = 1 << 30 // the most that franz-go takes
	producer(t, c)
	consumer(t, c, kgo.ConsumeTopics("t"))
	c = config(t, c.BootstrapServers[0], "transactional.id", "x", "group.id", "g", "group.protocol", "consumer")
	producer(t, c)
	consumer(t, c, kgo.ConsumeTopics("t"))
}
