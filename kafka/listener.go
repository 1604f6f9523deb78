package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listener is the broker's TCP listener under the address that clients are
// told. It stands between the network and the fake, which trusts what it
// reads: it makes room for a request of any announced size, and a request of
// an unknown kind would end the process.
type listener struct {
	net.Listener
	advertised address
	ready      <-chan struct{} // closed when connections may be served
}

// Addr returns the advertised address, which the fake puts into metadata.
func (l *listener) Addr() net.Addr { return l.advertised }

// Accept returns connections that are guarded.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	<-l.ready
	return &guardedConn{Conn: c}, nil
}

// address is host:port of TCP.
type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

const (
	// maxRequestBytes is Kafka's socket.request.max.bytes, with room for the
	// largest message.
	maxRequestBytes = maxMessageBytes + 4<<20
	// guardedBytes of a request are looked at: its size, kind and version.
	guardedBytes = 8
)

var errNoKafka = errors.New("not a request of the Kafka protocol")

// guardedConn passes requests on whose first bytes make sense, and ends at
// others. It is read by one goroutine at a time.
type guardedConn struct {
	net.Conn
	head    [guardedBytes]byte
	pending []byte // part of head that has not been passed on
	body    int64  // bytes of the request that follow head
	err     error
}

// Read implements io.Reader.
func (c *guardedConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.pending) == 0 && c.body == 0 {
		if c.err == nil {
			c.err = c.next()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.body)])
	c.body -= int64(n)
	return n, err
}

// next reads and checks the beginning of a request.
func (c *guardedConn) next() error {
	if _, err := io.ReadFull(c.Conn, c.head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(c.head[:]))
	key := int16(binary.BigEndian.Uint16(c.head[4:]))
	version := int16(binary.BigEndian.Uint16(c.head[6:]))
	// A kind, a version and a correlation id are in every request.
	if size < 8 || size > maxRequestBytes || !knownRequest(key, version) {
		return errNoKafka
	}
	c.pending = c.head[:]
	c.body = size - (guardedBytes - 4)
	return nil
}

// knownRequest reports whether the fake can read the request. A client asks
// which versions there are in the newest version that it knows itself.
func knownRequest(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	return req != nil && version >= 0 && (version <= req.MaxVersion() || key == int16(kmsg.ApiVersions))
}
