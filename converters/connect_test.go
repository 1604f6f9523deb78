package converters_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

// connectCase is a line of testdata/connect.jsonl: what Kafka Connect's own
// converters were asked and what they answered (see testdata/README.md).
type connectCase struct {
	Class  string            `json:"class"`
	Config map[string]string `json:"config"`
	Header bool              `json:"header"`

	// One of these is the question.
	Read    *string `json:"read"`  // bytes, hexadecimal; null with IsRead
	Write   *string `json:"write"` // schema and value as the JSON converter has them
	Double  string  `json:"double"`
	Float   string  `json:"float"`
	Text    *string `json:"text"`
	Decimal string  `json:"decimal"`
	Scale   int     `json:"scale"`

	// The answer: Value to Read, Bytes to the others, Error with Message.
	Value   *string `json:"value"`
	Bytes   *string `json:"bytes"`
	Error   string  `json:"error"`
	Message string  `json:"message"`

	// Ours is set where Penstock differs on purpose: the beginning of the
	// value, or of the error's message. Why says why.
	Ours *string `json:"ours"`
	Why  string  `json:"why"`

	isRead bool
}

func connectCases(t *testing.T) (cases []connectCase, lines []string) {
	t.Helper()
	f, err := os.Open("testdata/connect.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		var c connectCase
		var keys map[string]json.RawMessage
		if err := errors.Join(json.Unmarshal(in.Bytes(), &c), json.Unmarshal(in.Bytes(), &keys)); err != nil {
			t.Fatal(err)
		}
		_, c.isRead = keys["read"]
		cases = append(cases, c)
		lines = append(lines, in.Text())
	}
	if in.Err() != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), in.Err())
	}
	return cases, lines
}

func unhex(t *testing.T, text *string) []byte {
	t.Helper()
	if text == nil {
		return nil
	}
	b, err := hex.DecodeString(*text)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

// TestConverters_AnswerLikeConnect asks our converters what Connect's were
// asked.
func TestConverters_AnswerLikeConnect(t *testing.T) {
	t.Parallel()
	plain := converters.NewJSON(converters.JSONConfig{Schemas: true, KeepNulls: true})
	cases, lines := connectCases(t)
	for i, c := range cases {
		var a schema.Arena
		var got *string
		var err error
		if c.isRead {
			got, err = c.readOurs(t, plain, &a)
		} else {
			got, err = c.writeOurs(t, plain, &a)
		}
		c.compare(t, i+1, lines[i], got, err)
	}
}

func (c *connectCase) compare(t *testing.T, line int, text string, got *string, err error) {
	t.Helper()
	show := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	if c.Ours != nil {
		answer := show(got)
		if err != nil {
			answer = message(err)
		}
		if !strings.HasPrefix(answer, *c.Ours) {
			t.Errorf("line %d: %s\ngot  %s\nours %s", line, text, answer, *c.Ours)
		}
		return
	}
	want := c.Value
	if !c.isRead && c.Bytes != nil {
		b := string(unhex(t, c.Bytes))
		want = &b
	}
	switch {
	case c.Error == "" && err != nil:
		t.Errorf("line %d: %s\ngot the error %v", line, text, err)
	case c.Error == "" && show(got) != show(want):
		t.Errorf("line %d: %s\ngot  %s\nwant %s", line, text, show(got), show(want))
	case c.Error != "" && err == nil:
		t.Errorf("line %d: %s\ngot %s, want the error %s", line, text, show(got), c.Message)
	case c.Error != "" && message(err) != c.Message:
		t.Errorf("line %d: %s\ngot the error %q", line, text, message(err))
	}
}

func message(err error) string {
	var data *converters.DataError
	if errors.As(err, &data) {
		return data.Message
	}
	return err.Error()
}

func (c *connectCase) readOurs(t *testing.T, plain *converters.JSON, a *schema.Arena) (*string, error) {
	t.Helper()
	var d schema.Data
	var err error
	if c.Header {
		h, problems := converters.NewHeader(c.Class, c.Config)
		if problems.Err() != nil {
			t.Fatal(problems.Err())
		}
		d, err = h.DecodeHeader("t", "h", unhex(t, c.Read), a)
	} else {
		r, problems := converters.New(c.Class, c.Config, false)
		if problems.Err() != nil {
			t.Fatal(problems.Err())
		}
		d, err = r.Decode(t.Context(), "t", unhex(t, c.Read), a)
	}
	if err != nil {
		return nil, err
	}
	if d.Schema == nil && d.Value.IsNull() {
		return nil, nil
	}
	return encode(t, plain, d)
}

func encode(t *testing.T, c converters.Converter, d schema.Data) (*string, error) {
	t.Helper()
	e, err := c.Encoder(t.Context(), "t", d.Schema)
	if err != nil {
		return nil, err
	}
	b, err := e.Append(nil, d.Value)
	text := string(b)
	return &text, err
}

func (c *connectCase) writeOurs(t *testing.T, plain *converters.JSON, a *schema.Arena) (*string, error) {
	t.Helper()
	d := c.input(t, plain, a)
	if c.Header {
		h, problems := converters.NewHeader(c.Class, c.Config)
		if problems.Err() != nil {
			t.Fatal(problems.Err())
		}
		b, null, err := h.AppendHeader(nil, "t", "h", d)
		if null {
			return nil, err
		}
		text := string(b)
		return &text, err
	}
	w, problems := converters.New(c.Class, c.Config, false)
	if problems.Err() != nil {
		t.Fatal(problems.Err())
	}
	if _, isJSON := w.(*converters.JSON); d.Value.IsNull() && !isJSON {
		return nil, nil // a tombstone, which is never encoded
	}
	return encode(t, w, d)
}

// input returns the value that a case is about.
func (c *connectCase) input(t *testing.T, plain *converters.JSON, a *schema.Arena) schema.Data {
	t.Helper()
	switch {
	case c.Double != "":
		return schema.Data{Schema: &schema.Schema{Type: schema.TypeFloat64}, Value: schema.Float(math.Float64frombits(unbits(t, c.Double)))}
	case c.Float != "":
		f := math.Float32frombits(uint32(unbits(t, c.Float)))
		return schema.Data{Schema: &schema.Schema{Type: schema.TypeFloat32}, Value: schema.Float(float64(f))}
	case c.Text != nil:
		return schema.Data{Schema: &schema.Schema{Type: schema.TypeString}, Value: schema.String(unhex(t, c.Text))}
	case c.Decimal != "":
		s := &schema.Schema{Type: schema.TypeBytes, Name: schema.NameDecimal, Version: 1, Parameters: []schema.Parameter{
			{Name: schema.ParamScale, Value: strconv.Itoa(c.Scale)},
		}}
		return schema.Data{Schema: s, Value: schema.Decimal([]byte(c.Decimal))}
	}
	d, err := plain.Decode(t.Context(), "t", []byte(*c.Write), a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func unbits(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
