package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listener is the broker's TCP listener under the address that clients are
// told. It stands between the network and the fake, which trusts what it
// reads: it makes room for a request of any announced size, and a request of
// an unknown kind would end the process. Nor does the fake write down a topic
// that is created because a client asks for it, so that a crash would lose the
// topic with all its records: such topics are created before it sees them.
type listener struct {
	net.Listener
	advertised address
	ready      <-chan struct{} // closed when connections may be served
	create     func(topic string)
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
	return &guardedConn{Conn: c, create: l.create}, nil
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
	// maxNamesBytes is the size of the largest request whose topics are
	// created. It is far above what a client asks for at once.
	maxNamesBytes = 1 << 20
)

var errNoKafka = errors.New("not a request of the Kafka protocol")

// guardedConn passes requests on whose first bytes make sense, and ends at
// others. It is read by one goroutine at a time.
type guardedConn struct {
	net.Conn
	create  func(topic string)
	head    [guardedBytes]byte
	pending []byte // what was read of the request and has not been passed on
	body    int64  // bytes of the request that follow it
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
	if key != int16(kmsg.Metadata) || c.body > maxNamesBytes {
		return nil
	}
	whole := make([]byte, guardedBytes+c.body)
	copy(whole, c.head[:])
	n, err := io.ReadFull(c.Conn, whole[guardedBytes:])
	c.pending, c.body = whole[:guardedBytes+n], 0
	if err != nil {
		return nil //nolint:nilerr // it comes again once these bytes have been passed on
	}
	for _, topic := range wantedTopics(version, whole[guardedBytes:]) {
		c.create(topic)
	}
	return nil
}

// wantedTopics returns the topics that a metadata request wants to exist. body
// begins with the correlation id.
func wantedTopics(version int16, body []byte) []string {
	header := kbin.Reader{Src: body}
	header.Int32()          // correlation id
	header.NullableString() // client id
	var req kmsg.MetadataRequest
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&header)
	}
	// What does not make sense is the fake's to refuse.
	if header.Complete() != nil || req.ReadFrom(header.Src) != nil || !req.AllowAutoTopicCreation {
		return nil
	}
	var topics []string
	for i := range req.Topics {
		if t := req.Topics[i].Topic; t != nil && topicName.MatchString(*t) && *t != "." && *t != ".." {
			topics = append(topics, *t)
		}
	}
	return topics
}

// topicName is what Kafka takes for the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// knownRequest reports whether the fake can read the request. A client asks
// which versions there are in the newest version that it knows itself.
func knownRequest(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	return req != nil && version >= 0 && (version <= req.MaxVersion() || key == int16(kmsg.ApiVersions))
}
