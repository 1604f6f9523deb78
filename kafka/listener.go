package kafka

import "net"

// listener is the broker's TCP listener under the address that clients are
// told.
type listener struct {
	net.Listener
	advertised address
}

// Addr returns the advertised address, which the fake puts into metadata.
func (l *listener) Addr() net.Addr { return l.advertised }

// address is host:port of TCP.
type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

// String implements net.Addr.
func (a address) String() string { return string(a) }
