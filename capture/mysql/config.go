package mysql

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/settings"
	"software.sslmate.com/src/go-pkcs12"
)

// flavor is the kind of server: they differ in GTIDs, in a few statements and
// in the names that Debezium's connectors give themselves.
type flavor struct {
	connector  string // in the source block
	sourceInfo string // the schema name of the source block
	mariaDB    bool
}

// config is a parsed configuration.
type config struct {
	flavor         flavor
	logger         *slog.Logger
	prefix         string
	host           string
	port           int
	user, password string
	serverID       uint32
	connectTimeout time.Duration
	queryTimeout   time.Duration
	lockTimeout    time.Duration
	netWrite       int64 // seconds
	netRead        int64 // seconds; 0 for the server's default
	tls            *tls.Config
	tlsOptional    bool
	statements     []string // to run on new connections that do not read the log
	values         valueModes
	filter         *capture.Filter
	ignoreGTID     bool
	includeQuery   bool
	schemaChanges  bool
	transactions   bool // provide.transaction.metadata
	skipBadDDL     bool
	onlyTables     bool
	onlyDatabases  bool
	lock           bool // snapshots lock all tables for a moment
	orderByRows    string
	history        historyConfig
}

// historyConfig says where the schema history is.
type historyConfig struct {
	topic  string
	client map[string]string
}

// addr is the server's address for the network.
func (c *config) addr() string { return net.JoinHostPort(c.host, strconv.Itoa(c.port)) }

func newConfig(v settings.Values, f flavor, env capture.Env) (*config, settings.Problems) {
	filter, problems := capture.NewFilter(v, "database", systemDatabase)
	c := &config{
		flavor: f, filter: filter, logger: env.Logger,
		prefix: v.String("topic.prefix"), host: v.String("database.hostname"), port: int(v.Int("database.port")),
		user: v.String("database.user"), password: v.String("database.password"), serverID: uint32(v.Int("database.server.id")),
		connectTimeout: v.Millis("connect.timeout.ms"), queryTimeout: v.Millis("database.query.timeout.ms"),
		lockTimeout: v.Millis("snapshot.lock.timeout.ms"),
		netWrite:    cmp.Or(v.Int("binlog.net.write.timeout"), 600), netRead: v.Int("binlog.net.read.timeout"),
		statements: splitStatements(v.String("database.initial.statements")),
		ignoreGTID: v.Bool("gtid.ignore.on.recovery"), includeQuery: v.Bool("include.query"),
		schemaChanges: v.Bool("include.schema.changes"),
		transactions:  v.Bool("provide.transaction.metadata"),
		skipBadDDL:    v.Bool("schema.history.internal.skip.unparseable.ddl"),
		onlyTables:    v.Bool("schema.history.internal.store.only.captured.tables.ddl"),
		onlyDatabases: v.Bool("schema.history.internal.store.only.captured.databases.ddl"),
		lock:          v.String("snapshot.locking.mode") != "none",
		orderByRows:   v.String("snapshot.tables.order.by.row.count"),
		values: valueModes{
			decimals: v.String("decimal.handling.mode"), times: v.String("time.precision.mode"),
			bigUnsigned: v.String("bigint.unsigned.handling.mode"), binary: v.String("binary.handling.mode"),
			adjustYears: v.Bool("enable.time.adjuster"), comments: v.Bool("include.schema.comments"),
		},
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	c.values.logger = c.logger
	// Debezium's connector for MariaDB takes one setting for the other.
	c.values.comments = c.values.comments || f.mariaDB && c.schemaChanges
	c.history.topic = v.String(keyHistoryTopic)
	if c.history.topic == "" {
		c.history.topic = "schemahistory." + c.prefix
	}
	c.history.client = historyClient(v.Raw())
	c.tlsConfig(v, func(key string, err error) {
		problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf("The '%s' value is invalid: %v", key, err)})
	})
	return c, problems
}

// historyClient collects the settings of the Kafka client that reads and
// writes the schema history. Debezium has one set each for producer and
// consumer; they name the same cluster.
func historyClient(raw map[string]string) map[string]string {
	client := map[string]string{}
	for _, kind := range []string{"consumer.", "producer."} {
		for k, v := range settings.WithPrefix(raw, prefixHistory+kind) {
			client[k] = v
		}
	}
	if b := strings.TrimSpace(raw[keyHistoryBootstrap]); b != "" {
		client["bootstrap.servers"] = b
	}
	return client
}

// systemDatabase tells the server's own databases.
func systemDatabase(name string) bool {
	switch strings.ToLower(name) {
	case "mysql", "information_schema", "performance_schema", "sys":
		return true
	}
	return false
}

// splitStatements splits at semicolons; two of them stand for one.
func splitStatements(text string) []string {
	const mark = "\x00"
	var list []string
	for s := range strings.SplitSeq(strings.ReplaceAll(text, ";;", mark), ";") {
		if s = strings.TrimSpace(strings.ReplaceAll(s, mark, ";")); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// tlsConfig reads database.ssl.*.
func (c *config) tlsConfig(v settings.Values, report func(key string, err error)) {
	mode := v.String("database.ssl.mode")
	if mode == "disabled" {
		return
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.host}
	c.tls, c.tlsOptional = t, mode == "preferred"
	if path := v.String("database.ssl.truststore"); path != "" {
		pool, err := authorities(path, v.String("database.ssl.truststore.password"))
		if err != nil {
			report("database.ssl.truststore", err)
		}
		t.RootCAs = pool
	}
	if path := v.String("database.ssl.keystore"); path != "" {
		cert, err := keyPair(path, v.String("database.ssl.keystore.password"))
		if err != nil {
			report("database.ssl.keystore", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	switch mode {
	case "verify_identity":
	case "verify_ca":
		// Who signed the certificate is checked, but not whom it is for.
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error {
			opts := x509.VerifyOptions{Roots: t.RootCAs, Intermediates: x509.NewCertPool()}
			for _, cert := range s.PeerCertificates[1:] {
				opts.Intermediates.AddCert(cert)
			}
			_, err := s.PeerCertificates[0].Verify(opts)
			return err
		}
	default: // preferred, required: encryption against listeners, no more
		t.InsecureSkipVerify = true
	}
}

func readStore(path string) (data []byte, isPEM bool, err error) {
	data, err = os.ReadFile(path)
	if err != nil {
		return nil, false, err
	}
	if strings.Contains(string(data), "-----BEGIN ") {
		return data, true, nil
	}
	if len(data) > 4 && string(data[:4]) == "\xfe\xed\xfe\xed" {
		return nil, false, fmt.Errorf("%s is a Java key store (JKS); convert it: keytool -importkeystore -srckeystore %s -destkeystore store.p12 -deststoretype PKCS12", path, path)
	}
	return data, false, nil
}

func authorities(path, password string) (*x509.CertPool, error) {
	data, isPEM, err := readStore(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if isPEM {
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", path)
		}
		return pool, nil
	}
	certs, err := pkcs12.DecodeTrustStore(data, password)
	if err != nil {
		return nil, fmt.Errorf("read %s as PKCS12: %w (see database.ssl.truststore.password)", path, err)
	}
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

func keyPair(path, password string) (tls.Certificate, error) {
	data, isPEM, err := readStore(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	if isPEM {
		return tls.X509KeyPair(data, data)
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read %s as PKCS12: %w (see database.ssl.keystore.password)", path, err)
	}
	cert := tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}
