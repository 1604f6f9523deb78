package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// The read-ahead of a connection: so much memory it takes, and so far the
// server can be ahead of us. Over TLS a read brings 16 KiB at most, so it is
// the number of buffers that lets a batch fill up while the last one is on its
// way.
const (
	chunkBytes = 32 << 10
	chunkCount = 48
)

// maxPayload is the most that one protocol packet carries; a longer payload is
// continued in the next.
const maxPayload = 1<<24 - 1

// keepAssembled is how large a buffer for payloads that did not arrive in one
// piece may stay.
const keepAssembled = 1 << 20

// packets cuts what a server sends into the payloads of the protocol's
// packets. A goroutine reads ahead of the user into a few buffers that go round
// in a circle, so that reading and decoding overlap, a user who is slow slows
// the server by way of TCP, and nothing is allocated in the steady state.
type packets struct {
	conn net.Conn
	full chan chunk
	free chan []byte
	quit chan struct{}
	wg   sync.WaitGroup
	stop sync.Once

	cur  []byte // the buffer that rest is in, to be given back
	rest []byte // read and not yet cut
	err  error

	// A payload that did not arrive in one piece.
	assembled []byte
	header    [4]byte
	headerLen int
	missing   int  // bytes of the current packet that have not come
	more      bool // the current packet is continued in the next
	handedOut bool // assembled was returned and is the caller's until the next call
	sequence  byte // of the last packet
}

// chunk is what one read brought.
type chunk struct {
	bytes []byte
	err   error
}

func newPackets(conn net.Conn) *packets {
	p := &packets{
		conn: conn, quit: make(chan struct{}),
		full: make(chan chunk, chunkCount+1), free: make(chan []byte, chunkCount),
	}
	for range chunkCount {
		p.free <- nil // made when it is needed
	}
	p.wg.Add(1)
	go p.read()
	return p
}

// read fills buffers until the connection fails or is closed. It never blocks
// on a channel but for a free buffer, since full holds all there are and an
// error.
func (p *packets) read() {
	defer p.wg.Done()
	for {
		var b []byte
		select {
		case b = <-p.free:
		case <-p.quit:
			return
		}
		if b == nil {
			b = make([]byte, chunkBytes)
		}
		n, err := p.conn.Read(b)
		if n > 0 {
			p.full <- chunk{bytes: b[:n]}
		}
		if err != nil {
			p.full <- chunk{err: err}
			return
		}
	}
}

// close closes the connection and waits for the reader to end. It may be
// called again.
func (p *packets) close() error {
	var err error
	p.stop.Do(func() {
		close(p.quit)
		err = p.conn.Close()
		p.wg.Wait()
	})
	return err
}

// poll returns the next payload if it is there already. The payload is valid
// until the next call.
func (p *packets) poll() (payload []byte, ok bool, err error) {
	for {
		if payload, ok = p.cut(); ok {
			return payload, true, nil
		}
		select {
		case c := <-p.full:
			p.refill(c)
		default:
			return nil, false, p.err
		}
		if p.err != nil {
			return nil, false, p.err
		}
	}
}

// next waits for the next payload, which is valid until the next call. If
// until fires first, ok is false and there is no error.
func (p *packets) next(ctx context.Context, until <-chan time.Time) (payload []byte, ok bool, err error) {
	for {
		if payload, ok = p.cut(); ok {
			return payload, true, nil
		}
		if p.err != nil {
			return nil, false, p.err
		}
		select {
		case c := <-p.full:
			p.refill(c)
		case <-until:
			return nil, false, nil
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

func (p *packets) refill(c chunk) {
	if c.err != nil {
		if errors.Is(c.err, io.EOF) {
			c.err = io.ErrUnexpectedEOF
		}
		p.err = fmt.Errorf("connection to the server lost: %w", c.err)
		return
	}
	if p.cur != nil {
		p.free <- p.cur[:chunkBytes] // never blocks: it has room for all there are
	}
	p.cur, p.rest = c.bytes, c.bytes
}

// cut takes a payload off what has been read. It returns the bytes where they
// are if all of them are there, and otherwise collects them.
func (p *packets) cut() ([]byte, bool) {
	if p.handedOut {
		p.handedOut = false
		if cap(p.assembled) > keepAssembled {
			p.assembled = nil
		}
		p.assembled = p.assembled[:0]
	}
	if p.headerLen == 0 && len(p.assembled) == 0 && len(p.rest) >= 4 {
		n := int(p.rest[0]) | int(p.rest[1])<<8 | int(p.rest[2])<<16
		if n < maxPayload && len(p.rest) >= 4+n {
			p.sequence = p.rest[3]
			payload := p.rest[4 : 4+n : 4+n]
			p.rest = p.rest[4+n:]
			return payload, true
		}
	}
	for {
		if p.headerLen < 4 {
			if len(p.rest) == 0 {
				return nil, false
			}
			n := copy(p.header[p.headerLen:], p.rest)
			p.rest = p.rest[n:]
			if p.headerLen += n; p.headerLen < 4 {
				return nil, false
			}
			p.missing = int(p.header[0]) | int(p.header[1])<<8 | int(p.header[2])<<16
			p.more = p.missing == maxPayload
			p.sequence = p.header[3]
		}
		// The buffer grows with what has come, not with what was announced.
		n := min(p.missing, len(p.rest))
		p.assembled = append(p.assembled, p.rest[:n]...)
		p.rest = p.rest[n:]
		if p.missing -= n; p.missing > 0 {
			return nil, false
		}
		p.headerLen = 0
		if !p.more {
			p.handedOut = true
			return p.assembled, true
		}
	}
}
