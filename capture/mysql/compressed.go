package mysql

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxEventBytes is the largest event that a server can write.
const maxEventBytes = 1 << 30

// payload reads the events of a compressed transaction one by one, so that
// memory holds the compressed form and one event. It is reused.
type payload struct {
	decoder *zstd.Decoder
	src     bytes.Reader
	in      io.Reader
	buf     []byte
	open    bool
	outer   event
}

// start begins with a TRANSACTION_PAYLOAD event, whose body must stay valid
// until the last event is read.
func (p *payload) start(e event) error {
	w := wire{p: e.body}
	const endMark, compression = 0, 2
	const algorithmZstd, algorithmNone = 0, 255
	algorithm := uint64(algorithmNone)
	for {
		field, _ := w.lenenc()
		if w.bad {
			return fmt.Errorf("compressed transaction: %w", errShort)
		}
		if field == endMark {
			break
		}
		value := wire{p: w.text()}
		if field == compression {
			algorithm, _ = value.lenenc()
		}
	}
	p.src.Reset(w.p)
	p.outer, p.open = e, true
	switch algorithm {
	case algorithmNone:
		p.in = &p.src
	case algorithmZstd:
		if p.decoder == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
			if err != nil {
				return fmt.Errorf("compressed transaction: %w", err)
			}
			p.decoder = d
		}
		if err := p.decoder.Reset(&p.src); err != nil {
			return fmt.Errorf("compressed transaction: %w", err)
		}
		p.in = p.decoder
	default:
		return fmt.Errorf("compressed transaction: the server used the method %d, which is not known", algorithm)
	}
	return nil
}

// next returns the next event; ok is false at the end.
func (p *payload) next() (e event, ok bool, err error) {
	var header [eventHeaderBytes]byte
	if _, err := io.ReadFull(p.in, header[:]); err != nil {
		p.open = false
		if errors.Is(err, io.EOF) {
			return e, false, nil
		}
		return e, false, fmt.Errorf("compressed transaction: %w", err)
	}
	size := int(binary.LittleEndian.Uint32(header[9:]))
	if size < eventHeaderBytes || size > maxEventBytes {
		return e, false, fmt.Errorf("compressed transaction: event of %d bytes", size)
	}
	p.buf = append(p.buf[:0], header[:]...)
	if p.buf, err = readMore(p.buf, p.in, size-eventHeaderBytes); err != nil {
		return e, false, fmt.Errorf("compressed transaction: %w", err)
	}
	e, err = parseEvent(p.buf, false)
	e.inner = true
	return e, err == nil, err
}

// close gives the decoder's memory back.
func (p *payload) close() {
	if p.decoder != nil {
		p.decoder.Close()
	}
}

// readMore appends exactly n bytes. The buffer grows with what comes, not with
// what was announced.
func readMore(dst []byte, r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	for n > 0 {
		part := min(n, step)
		at := len(dst)
		if cap(dst)-at < part {
			dst = append(dst, make([]byte, part)...)
		} else {
			dst = dst[:at+part]
		}
		if _, err := io.ReadFull(r, dst[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
		n -= part
	}
	return dst, nil
}

// inflater undoes MariaDB's compression of single events. It is reused.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
	buf []byte
}

// inflate returns the original bytes, valid until the next call.
func (f *inflater) inflate(b []byte) ([]byte, error) {
	w := wire{p: b}
	head := w.uint8()
	n := w.big(int(head & 7))
	if w.bad || head>>4&7 != 0 || n > maxEventBytes {
		return nil, fmt.Errorf("compressed event: %w", errShort)
	}
	f.src.Reset(w.p)
	var err error
	if f.z == nil {
		f.z, err = zlib.NewReader(&f.src)
	} else {
		err = f.z.(zlib.Resetter).Reset(&f.src, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("compressed event: %w", err)
	}
	if f.buf, err = readMore(f.buf[:0], f.z, int(n)); err != nil {
		return nil, fmt.Errorf("compressed event: %w", err)
	}
	return f.buf, nil
}
