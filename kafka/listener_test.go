package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// readConn is a connection that only reads.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func request(size uint32, key, version int16, body ...byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, size)
	p = binary.BigEndian.AppendUint16(p, uint16(key))
	p = binary.BigEndian.AppendUint16(p, uint16(version))
	return append(p, body...)
}

func TestGuardedConn(t *testing.T) {
	t.Parallel()
	metadata := request(12, int16(kmsg.Metadata), 1, 1, 2, 3, 4, 5, 6, 7, 8)
	newest := request(8, int16(kmsg.ApiVersions), 99, 1, 2, 3, 4)
	tests := []struct {
		name string
		in   []byte
		want []byte
		err  error
	}{
		{"nothing", nil, nil, io.EOF},
		{"one", metadata, metadata, io.EOF},
		{"two", append(bytes.Clone(metadata), newest...), append(bytes.Clone(metadata), newest...), io.EOF},
		{"cut off in the body", metadata[:10], metadata[:10], io.EOF},
		{"cut off in the head", metadata[:6], nil, io.ErrUnexpectedEOF},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), nil, errNoKafka},
		{"TLS", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc}, nil, errNoKafka},
		{"unknown kind", request(12, 999, 0, metadata...), nil, errNoKafka},
		{"negative kind", request(12, -1, 0, metadata...), nil, errNoKafka},
		{"unknown version", request(12, int16(kmsg.Metadata), 99, metadata...), nil, errNoKafka},
		{"negative version", request(12, int16(kmsg.ApiVersions), -1, metadata...), nil, errNoKafka},
		{"too large", request(1<<31, int16(kmsg.Metadata), 1, metadata...), nil, errNoKafka},
		{"too small", request(4, int16(kmsg.Metadata), 1), nil, errNoKafka},
		{"nonsense after one", append(bytes.Clone(metadata), "GET / HTTP"...), metadata, errNoKafka},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, chunk := range []int{1, 3, 7, 4096} {
				c := &guardedConn{Conn: readConn{Reader: bytes.NewReader(tt.in)}, create: func(string) {}}
				got, err := readChunks(c, chunk)
				if !bytes.Equal(got, tt.want) || !errors.Is(err, tt.err) {
					t.Errorf("by %d: got %x, %v, want %x, %v", chunk, got, err, tt.want, tt.err)
				}
				if n, again := c.Read(make([]byte, 1)); n != 0 || !errors.Is(again, tt.err) {
					t.Errorf("by %d: reading on gives %d, %v, want the same error", chunk, n, again)
				}
			}
		})
	}
}

func readChunks(r io.Reader, size int) (got []byte, err error) {
	for {
		p := make([]byte, size)
		n, err := r.Read(p)
		got = append(got, p[:n]...)
		if err != nil {
			return got, err
		}
	}
}

// FuzzGuardedConn checks that what passes is the beginning of what came in, but
// for the limit of a fetch, and consists of requests that the fake can read.
func FuzzGuardedConn(f *testing.F) {
	f.Add(request(12, 3, 1, 1, 2, 3, 4, 5, 6, 7, 8), uint8(3))
	f.Add(append(request(8, 18, 4, 0, 0, 0, 0), request(8, 18, -4)...), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(200))
	f.Add(fetchRequest(4, 1<<30), uint8(9))
	f.Add(fetchRequest(18, 1<<30), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		got, err := readChunks(&guardedConn{Conn: readConn{Reader: bytes.NewReader(in)}, create: func(string) {}}, int(chunk)+1)
		if err == nil || len(got) > len(in) {
			t.Fatalf("passed %x, %v of %x", got, err, in)
		}
		for len(got) > 0 {
			if len(got) < guardedBytes {
				t.Fatalf("passed a beginning of %d bytes", len(got))
			}
			size := int64(binary.BigEndian.Uint32(got))
			key, version := int16(binary.BigEndian.Uint16(got[4:])), int16(binary.BigEndian.Uint16(got[6:]))
			if size < 8 || size > maxRequestBytes || !knownRequest(key, version) {
				t.Fatalf("passed a request of kind %d, version %d, %d bytes", key, version, size)
			}
			n := min(int64(len(got)), 4+size)
			if key != int16(kmsg.Fetch) && !bytes.Equal(got[:n], in[:n]) {
				t.Fatalf("passed %x instead of %x", got[:n], in[:n])
			}
			got, in = got[n:], in[n:]
		}
	})
}

func TestGuardedConn_CreatesTheTopicsThatAreWanted(t *testing.T) {
	t.Parallel()
	ask := func(version int16, auto bool, names ...string) []byte {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(version)
		req.AllowAutoTopicCreation = auto
		for _, n := range names {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(n)
			req.Topics = append(req.Topics, topic)
		}
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 7)
	}
	long := strings.Repeat("x", 249)
	for version := int16(4); version <= kmsg.NewPtrMetadataRequest().MaxVersion(); version++ {
		in := slices.Concat(
			ask(version, true, "a.b_c-D1", long),
			ask(version, false, "not.wanted"),
			ask(version, true, "", ".", "..", "a/b", "ä", long+"x", "last"),
		)
		var created []string
		c := &guardedConn{Conn: readConn{Reader: bytes.NewReader(in)}, create: func(topic string) { created = append(created, topic) }}
		if got, err := readChunks(c, 5); !bytes.Equal(got, in) || !errors.Is(err, io.EOF) {
			t.Errorf("version %d: passed on %q (%v), want %q", version, got, err, in)
		}
		if want := []string{"a.b_c-D1", long, "last"}; !slices.Equal(created, want) {
			t.Errorf("version %d: created %q, want %q", version, created, want)
		}
	}
}

func fetchRequest(version int16, maxBytes int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(version)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 1, maxBytes
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 7)
}

func TestGuardedConn_LimitsFetches(t *testing.T) {
	t.Parallel()
	for version := int16(4); version <= kmsg.NewPtrFetchRequest().MaxVersion(); version++ {
		in := slices.Concat(fetchRequest(version, 50<<20), fetchRequest(version, 1000), fetchRequest(version, -1))
		want := slices.Concat(fetchRequest(version, fetchBytes), fetchRequest(version, 1000), fetchRequest(version, fetchBytes))
		c := &guardedConn{Conn: readConn{Reader: bytes.NewReader(in)}}
		if got, err := readChunks(c, 5); !bytes.Equal(got, want) || !errors.Is(err, io.EOF) {
			t.Errorf("version %d: passed on %q (%v), want %q", version, got, err, want)
		}
	}
}
