package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ConnectError says that none of the bootstrap servers could be used.
type ConnectError struct {
	// Setting is the one to look at first.
	Setting string
	// Message says what happened and what to do, with the addresses.
	Message string
	// Err is the cause at the first address, by name.
	Err error

	retriable bool
}

// Error begins with the setting.
func (e *ConnectError) Error() string { return e.Setting + ": " + e.Message }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Retriable reports whether the same configuration may work later: a broker
// that does not answer may come back, a wrong password does not mend itself.
func (e *ConnectError) Retriable() bool { return e.retriable }

// connectError explains why no broker could be reached. failed holds the
// errors of the addresses that were tried; err is the last one.
func (c Config) connectError(err error, failed map[string]error) error {
	if len(failed) == 0 {
		failed = map[string]error{strings.Join(c.BootstrapServers, ","): err}
	}
	addresses := slices.Sorted(maps.Keys(failed))
	// An answer from one broker says more than the silence of another.
	for _, addr := range addresses {
		if e := c.refusal(addr, failed[addr]); e != nil {
			return e
		}
	}
	var parts []string
	for _, addr := range addresses {
		parts = append(parts, fmt.Sprintf("cannot reach %s: %s", addr, dialReason(failed[addr])))
	}
	return &ConnectError{
		Setting:   "bootstrap.servers",
		Message:   strings.Join(parts, "; ") + "; check that the address is right, the broker runs and no firewall is between",
		Err:       failed[addresses[0]],
		retriable: true,
	}
}

// refusal explains an error that comes from a broker that is there but cannot
// be talked to; nil if err is not of that kind.
func (c Config) refusal(addr string, err error) error {
	problem := func(setting, format string, args ...any) error {
		return &ConnectError{Setting: setting, Message: fmt.Sprintf(format, args...), Err: err}
	}
	protocol := c.protocol()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) { // EOF also within kgo.ErrFirstReadEOF
		// A broker or a proxy that is being restarted does this too.
		later := func(err error) error {
			if e, ok := errors.AsType[*ConnectError](err); ok {
				e.retriable = true
			}
			return err
		}
		if c.SASL != nil {
			return later(problem("security.protocol", "%s closes the connection at the login; check that %s is the protocol of its listener, and the user %q and password in sasl.jaas.config", addr, protocol, c.user()))
		}
		return later(problem("security.protocol", "%s closes the connection at once; it may expect another protocol than %s: set the one of its listener (PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL)", addr, protocol))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return problem("security.protocol", "%s does not speak TLS, which %s needs: set the protocol of its listener (PLAINTEXT or SASL_PLAINTEXT), or another port", addr, protocol)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return problem("ssl.truststore.location", "the certificate of %s is signed by an authority that is not trusted: set ssl.truststore.location (or ssl.truststore.certificates) to that authority's certificate in PEM", addr)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return problem("ssl.endpoint.identification.algorithm", "the certificate of %s is for another host (%s): use the name in the certificate in bootstrap.servers, or set ssl.endpoint.identification.algorithm to an empty value", addr, strings.Join(names(e.Certificate), ", "))
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return problem("ssl.truststore.location", "the certificate of %s is not valid: %v; renew the broker's certificate", addr, e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // what crypto/tls makes of an alert
		return problem("ssl.keystore.location", "%s breaks off the TLS handshake (%v); if it asks for a client certificate, set ssl.keystore.location to one that it trusts", addr, e.Err)
	}
	if errors.Is(err, kerr.UnsupportedSaslMechanism) {
		return problem("sasl.mechanism", "%s does not have %s enabled: use one of the mechanisms of its listener", addr, c.mechanismName())
	}
	if errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), "invalid server scram") {
		return problem("sasl.jaas.config", "%s refuses the user %q with sasl.mechanism=%s: check user and password, and that the user exists for this mechanism", addr, c.user(), c.mechanismName())
	}
	if errors.Is(err, kerr.IllegalSaslState) {
		return problem("security.protocol", "%s does not take a login with %s: set the protocol of its listener", addr, protocol)
	}
	return nil
}

// protocol returns security.protocol as it was set.
func (c Config) protocol() string {
	switch {
	case c.TLS != nil && c.SASL != nil:
		return "SASL_SSL"
	case c.TLS != nil:
		return "SSL"
	case c.SASL != nil:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

func (c Config) mechanismName() string {
	if c.SASL == nil {
		return "none"
	}
	return c.SASL.Mechanism
}

func (c Config) user() string {
	if c.SASL == nil {
		return ""
	}
	return c.SASL.Username
}

// dialReason says why a connection could not be opened, without the address
// that net puts into its errors.
func dialReason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "no such host"
		}
		return "the name cannot be resolved (" + dns.Err + ")"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if op.Timeout() {
			return "no answer in time"
		}
		return op.Err.Error()
	}
	return err.Error()
}

func names(cert *x509.Certificate) []string {
	list := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		list = []string{cert.Subject.CommonName}
	}
	return list
}
