package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listener is the broker's TCP listener under the address that clients are
// told. It stands between the network and the fake, which trusts what it
// reads: it makes room for a request of any announced size, and a request of
// an unknown kind would end the process. It fills an answer with as much as a
// client is ready to take, and keeps as much room for the next one. Nor does it
// write down a topic that is created because a client asks for it, so that a
// crash would lose the topic with all its records: such topics are created
// before it sees them.
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
	// maxReadBytes is the size of the largest request that is read as a whole.
	// It is far above that of a client's questions.
	maxReadBytes = 1 << 20
	// fetchBytes is how much one answer to a fetch holds, unless a single batch
	// is larger. Clients ask for 50 MiB and take less.
	fetchBytes = 2 << 20
)

var errNoKafka = errors.New("not a request of the Kafka protocol")

// guardedConn passes requests on whose first bytes make sense, and ends at
// others. It is read by one goroutine at a time.
type guardedConn struct {
	net.Conn
	create  func(topic string)
	head    [guardedBytes]byte
	whole   []byte // of a request that is read as a whole
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
	if key != int16(kmsg.Metadata) && key != int16(kmsg.Fetch) || c.body > maxReadBytes {
		return nil
	}
	c.whole = append(c.whole[:0], c.head[:]...)
	c.whole = slices.Grow(c.whole, int(c.body))[:guardedBytes+c.body]
	n, err := io.ReadFull(c.Conn, c.whole[guardedBytes:])
	c.pending, c.body = c.whole[:guardedBytes+n], 0
	if err != nil {
		return nil //nolint:nilerr // it comes again once these bytes have been passed on
	}
	// What does not make sense is the fake's to refuse.
	header := kbin.Reader{Src: c.whole[guardedBytes:]}
	header.Int32()                // correlation id
	header.UnsafeNullableString() // client id
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&header)
	}
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		limitFetch(version, header.Src)
	case *kmsg.MetadataRequest:
		if req.ReadFrom(header.Src) == nil && req.AllowAutoTopicCreation {
			c.createTopics(req)
		}
	}
	return nil
}

// limitFetch lowers what a fetch request is ready to take.
func limitFetch(version int16, req []byte) {
	at := 8 // behind the longest wait and the least bytes
	if version <= 14 {
		at += 4 // and the replica's id
	}
	if version < 3 || len(req) < at+4 {
		return
	}
	if most := req[at:]; binary.BigEndian.Uint32(most) > fetchBytes {
		binary.BigEndian.PutUint32(most, fetchBytes)
	}
}

// createTopics creates the topics that a metadata request wants to exist.
func (c *guardedConn) createTopics(req *kmsg.MetadataRequest) {
	for i := range req.Topics {
		if t := req.Topics[i].Topic; t != nil && topicName.MatchString(*t) && *t != "." && *t != ".." {
			c.create(*t)
		}
	}
}

// topicName is what Kafka takes for the name of a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// knownRequest reports whether the fake can read the request. A client asks
// which versions there are in the newest version that it knows itself.
func knownRequest(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	return req != nil && version >= 0 && (version <= req.MaxVersion() || key == int16(kmsg.ApiVersions))
}
