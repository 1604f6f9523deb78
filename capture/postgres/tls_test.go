package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
)

// TestSource_OverTLS checks the server's certificate, and that reads which end
// at a deadline in the middle of a record go on.
func TestSource_OverTLS(t *testing.T) {
	t.Parallel()
	cert, key := writeCertificate(t)
	server := servers.StartPostgres(t, servers.Config("ssl=on", "ssl_cert_file='"+cert+"'", "ssl_key_file='"+key+"'"))
	b := setup(t, server, "database.sslmode", "verify-full", "database.sslrootcert", cert)
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v text)`)
	wantFindings(t, b.db.Check(t.Context()))
	r := b.stream(nil)
	const rows = 20000
	b.exec(fmt.Sprintf(`INSERT INTO t SELECT g, repeat('x', g %% 300) FROM generate_series(1, %d) g`, rows))
	for i, id := range ids(r.take(rows)) {
		if id != strconv.Itoa(i+1) {
			t.Fatalf("event %d has id %s", i, id)
		}
	}
	if got := b.scalar(`SELECT bool_and(s.ssl) FROM pg_stat_replication r JOIN pg_stat_ssl s USING (pid)`); got != "t" {
		t.Errorf("the stream is encrypted: %s", got)
	}

	other, _ := writeCertificate(t)
	b.raw["database.sslrootcert"] = other
	wantFindings(t, b.open().Check(t.Context()), finding{key: "database.sslmode", text: "certificate"})
}

// writeCertificate makes a server's key and a certificate for the loopback
// address, signed by itself, that the server can read.
func writeCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()) && len(d) > 1; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cert, key = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	write := func(path, kind string, bytes []byte, mode os.FileMode) {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, "CERTIFICATE", public, 0o644)
	write(key, "PRIVATE KEY", secret, 0o600)
	if os.Getuid() == 0 { // the server runs as somebody else then
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		if err := os.Chown(key, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestVersions reads servers other than the usual one.
func TestVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"15", "18"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servers.Postgres(t, servers.Version(version)), "slot.failover", "true")
			b.exec(`CREATE TYPE mood AS ENUM ('sad', 'ok')`,
				`CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL DEFAULT 'a', m mood[], g int GENERATED ALWAYS AS (id + 1) STORED)`,
				`INSERT INTO t VALUES (1, 'copied', '{ok,NULL}')`)
			wantFindings(t, b.db.Check(t.Context()))
			view := b.begin(2, nil)
			if got := copyTables(t, view)["public.t"]; len(got) != 1 || got[0] != `r public.t {id:1 v:"copied" m:array[]schema.Value{"ok", null} g:2}` {
				t.Errorf("copied %v", got)
			}
			r := b.stream(view.Position)
			b.exec(`INSERT INTO t (id) VALUES (2)`, `SELECT pg_logical_emit_message(true, 'p', 'x')`, `UPDATE t SET id = 3 WHERE id = 2`, `DELETE FROM t WHERE id = 3`)
			r.want(`c public.t {id:2 v:"a" m:null}`)
			r.take(1)
			r.want(`u public.t {id:3 v:"a" m:null} before {id:2 v:"a" m:null}`, `d public.t before {id:3 v:"a" m:null}`)
		})
	}
}
