package kafka

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/penstock/penstock/settings"
	"software.sslmate.com/src/go-pkcs12"
)

// storeFormat is how a key store or trust store is written, by its content:
// people name a PEM or PKCS12 file .jks and leave ssl.*.type at its default.
type storeFormat int

const (
	formatUnknown storeFormat = iota
	formatPEM
	formatPKCS12
	formatJKS
)

func formatOf(data []byte) storeFormat {
	switch {
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return formatPEM
	case len(data) >= 4 && binary.BigEndian.Uint32(data) == 0xFEEDFEED:
		return formatJKS
	case len(data) >= 2 && data[0] == 0x30 && data[1]&0x80 != 0: // a DER sequence with a long length
		return formatPKCS12
	}
	return formatUnknown
}

// tlsConfig builds the configuration of a TLS connection from ssl.*.
func tlsConfig(v settings.Values, report func(key, format string, args ...any)) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	tlsVersions(v, c, report)
	trust(v, c, report)
	identify(v, c, report)
	switch algorithm := strings.ToLower(v.String("ssl.endpoint.identification.algorithm")); algorithm {
	case "https":
	case "":
		verifyWithoutName(c)
	default:
		report("ssl.endpoint.identification.algorithm",
			"Invalid value %s for configuration ssl.endpoint.identification.algorithm: use https, or an empty value to accept a broker whose certificate names another host", algorithm)
	}
	return c
}

func tlsVersions(v settings.Values, c *tls.Config, report func(key, format string, args ...any)) {
	numbers := map[string]uint16{"TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13}
	var lowest, highest uint16
	for _, name := range v.List("ssl.enabled.protocols") {
		n, ok := numbers[strings.ToUpper(name)]
		if !ok {
			report("ssl.enabled.protocols", "Invalid value %s for configuration ssl.enabled.protocols: use TLSv1.3, TLSv1.2 or both; older protocols are not safe", name)
			return
		}
		if lowest == 0 || n < lowest {
			lowest = n
		}
		highest = max(highest, n)
	}
	if lowest != 0 {
		c.MinVersion, c.MaxVersion = lowest, highest
	}
}

// trust reads the authorities that may sign a broker's certificate; without
// any, those of the system.
func trust(v settings.Values, c *tls.Config, report func(key, format string, args ...any)) {
	inline, location := v.String("ssl.truststore.certificates"), v.String("ssl.truststore.location")
	switch {
	case inline != "" && location != "":
		report("ssl.truststore.certificates", "ssl.truststore.certificates and ssl.truststore.location are both set: keep one")
	case inline != "":
		certs, err := certificatesPEM(newlines(inline))
		if err != nil {
			report("ssl.truststore.certificates", "Invalid value for configuration ssl.truststore.certificates: %v; give the authority's certificates in PEM", err)
			return
		}
		c.RootCAs = pool(certs)
	case location != "":
		certs, err := trustStore(location, v.String("ssl.truststore.password"))
		if err != nil {
			report("ssl.truststore.location", "Invalid value %s for configuration ssl.truststore.location: %v", location, err)
			return
		}
		c.RootCAs = pool(certs)
	}
}

func trustStore(location, password string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(location)
	if err != nil {
		return nil, readError(err)
	}
	switch formatOf(data) {
	case formatPEM:
		return certificatesPEM(data)
	case formatPKCS12:
		certs, err := pkcs12.DecodeTrustStore(data, password)
		if errors.Is(err, pkcs12.ErrIncorrectPassword) {
			return nil, errors.New("ssl.truststore.password does not open it; set the password it was made with")
		}
		if err != nil {
			return nil, fmt.Errorf("read PKCS12 trust store: %w; convert it: openssl pkcs12 -in %s -nokeys -out truststore.pem", err, location)
		}
		return certs, nil
	case formatJKS:
		return nil, fmt.Errorf("it is a Java key store (JKS); convert it: keytool -exportcert -rfc -keystore %s -alias <alias> -file truststore.pem", location)
	case formatUnknown:
	}
	return nil, errors.New("it is neither PEM nor PKCS12; give the authority's certificates in PEM")
}

// identify reads the client's own certificate and key, if it has any.
func identify(v settings.Values, c *tls.Config, report func(key, format string, args ...any)) {
	chain, key := v.String("ssl.keystore.certificate.chain"), v.String("ssl.keystore.key")
	location := v.String("ssl.keystore.location")
	var cert tls.Certificate
	var err error
	name := "ssl.keystore.location"
	switch {
	case location != "" && (chain != "" || key != ""):
		report(name, "ssl.keystore.location is set beside ssl.keystore.certificate.chain or ssl.keystore.key: keep the file or the two texts")
		return
	case chain != "" || key != "":
		name = "ssl.keystore.key"
		if chain == "" || key == "" {
			report(name, "ssl.keystore.certificate.chain and ssl.keystore.key go together: set both")
			return
		}
		cert, err = certificateAndKey(newlines(chain), newlines(key))
	case location != "":
		cert, err = keyStore(location, v.String("ssl.keystore.password"))
	default:
		return
	}
	if err != nil {
		where := ""
		if name == "ssl.keystore.location" {
			where = location + " "
		}
		report(name, "Invalid value %sfor configuration %s: %v", where, name, err)
		return
	}
	c.Certificates = []tls.Certificate{cert}
}

func keyStore(location, password string) (tls.Certificate, error) {
	data, err := os.ReadFile(location)
	if err != nil {
		return tls.Certificate{}, readError(err)
	}
	switch formatOf(data) {
	case formatPEM:
		return certificateAndKey(data, data)
	case formatPKCS12:
		key, leaf, chain, err := pkcs12.DecodeChain(data, password)
		if errors.Is(err, pkcs12.ErrIncorrectPassword) {
			return tls.Certificate{}, errors.New("ssl.keystore.password does not open it; set the password it was made with")
		}
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("read PKCS12 key store: %w; convert it: openssl pkcs12 -in %s -nodes -out keystore.pem", err, location)
		}
		cert := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
		for _, ca := range chain {
			cert.Certificate = append(cert.Certificate, ca.Raw)
		}
		return cert, nil
	case formatJKS:
		return tls.Certificate{}, fmt.Errorf("it is a Java key store (JKS); convert it: keytool -importkeystore -srckeystore %s -destkeystore keystore.p12 -deststoretype PKCS12", location)
	case formatUnknown:
	}
	return tls.Certificate{}, errors.New("it is neither PEM nor PKCS12; give the certificate chain and the private key in PEM")
}

// certificateAndKey is tls.X509KeyPair with an error that says what to do
// about an encrypted key.
func certificateAndKey(chain, key []byte) (tls.Certificate, error) {
	for rest := key; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return tls.Certificate{}, errors.New("the private key is encrypted, which is not supported in PEM; decrypt it into a file only this user can read: openssl pkey -in key.pem -out plain.pem")
		}
	}
	return tls.X509KeyPair(chain, key)
}

func certificatesPEM(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return certs, nil
}

// newlines restores the line ends of a PEM text that was squeezed into one
// line, with "\n" written out, as is usual in environments and properties.
func newlines(text string) []byte {
	text = strings.ReplaceAll(text, `\n`, "\n")
	for _, mark := range []string{"-----BEGIN ", "-----END "} {
		text = strings.ReplaceAll(text, " "+mark, "\n"+mark)
	}
	// A header on the line of its data: break after the closing dashes.
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "-----BEGIN "); ok {
			if label, body, ok := strings.Cut(rest, "----- "); ok {
				line = "-----BEGIN " + label + "-----\n" + strings.ReplaceAll(body, " ", "\n")
			}
		}
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// verifyWithoutName makes a connection accept any host name in the broker's
// certificate while its chain is still verified, which is what an empty
// ssl.endpoint.identification.algorithm means.
func verifyWithoutName(c *tls.Config) {
	c.InsecureSkipVerify = true // VerifyConnection below verifies the chain
	c.VerifyConnection = func(state tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: pool(state.PeerCertificates[1:])}
		_, err := state.PeerCertificates[0].Verify(opts)
		return err
	}
}

// readError takes the operation and path out of an error of os, for messages
// that name the path themselves.
func readError(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%w; give the path of a file that this process can read", pe.Err)
	}
	return err
}
