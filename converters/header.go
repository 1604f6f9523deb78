package converters

import "github.com/penstock/penstock/schema"

// HeaderConverter turns the values of a record's headers into bytes and back.
// It is safe for concurrent use.
type HeaderConverter interface {
	// AppendHeader appends a header's value to dst. null says that the
	// header's value is null, which is not the same as empty.
	AppendHeader(dst []byte, topic, key string, d schema.Data) (value []byte, null bool, err error)
	// DecodeHeader reads a header's value; nil is null. The value lives in the
	// arena or aliases value.
	DecodeHeader(topic, key string, value []byte, a *schema.Arena) (schema.Data, error)
}

// AppendHeader appends a header's value. What a schema compiles to is kept.
func (c *JSON) AppendHeader(dst []byte, _, _ string, d schema.Data) ([]byte, bool, error) {
	if d.Schema == nil && d.Value.IsNull() {
		return dst, true, nil
	}
	c.mu.Lock()
	e := c.headers[d.Schema]
	c.mu.Unlock()
	if e == nil {
		var err error
		if e, err = c.encoder(d.Schema); err != nil {
			return dst, false, err
		}
		c.mu.Lock()
		if c.headers == nil || len(c.headers) >= c.config.CacheSize {
			c.headers = map[*schema.Schema]*jsonEncoder{} // headers have few schemas; start again
		}
		c.headers[d.Schema] = e
		c.mu.Unlock()
	}
	dst, err := e.Append(dst, d.Value)
	return dst, false, err
}

// DecodeHeader reads a header's value.
func (c *JSON) DecodeHeader(topic, _ string, value []byte, a *schema.Arena) (schema.Data, error) {
	return c.decode(topic, value, a)
}

// encodeHeader serves those whose encoders need no preparation.
func encodeHeader(e Encoder, dst []byte, d schema.Data) ([]byte, bool, error) {
	if d.Value.IsNull() {
		return dst, true, nil
	}
	dst, err := e.Append(dst, d.Value)
	return dst, false, err
}
