package converters

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/schema"
)

// seeds are texts of every kind, good and bad.
var seeds = []string{
	``, ` `, `null`, `true`, `false`, `0`, `-0`, `-12`, `007`, `1.5`, `1e3`, `1E-7`, `123456789012345678901234567890`, `""`, `"a\"b\\\u00e9\ud83d\ude00"`,
	`[]`, `[1,[2,[]],{"a":null}]`, `{}`, `{"a":1,"b":{"c":[true,false]},"a":2}`, "\uFEFF1", `"\ud83d"`, "\"\xff\"", `[1,`, `{"a"`, `tru`, `1 2`, "\"\x00\"",
	`{"schema":null,"payload":1}`, `{"payload":"x","schema":{"type":"string"}}`,
	`{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"},{"type":"string","optional":true,"default":"d","field":"s"},` +
		`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"optional":true,"field":"d"},` +
		`{"type":"map","keys":{"type":"string"},"values":{"type":"int8"},"optional":true,"field":"m"},` +
		`{"type":"map","keys":{"type":"int32"},"values":{"type":"double"},"optional":true,"field":"p"},` +
		`{"type":"array","items":{"type":"bytes","optional":true},"optional":true,"field":"a"}]},` +
		`"payload":{"id":1,"d":"MDk=","m":{"k":1},"p":[[1,2.5],[2,"NaN"]],"a":["AQI=",null],"x":[{}]}}`,
	`{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"30000"}},"payload":1e20000}`,
}

// FuzzJSON_Decode reads anything, with and without schemas. What can be read
// can be written, and that reads and writes the same again.
func FuzzJSON_Decode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, config := range []JSONConfig{{}, {Schemas: true}, {Schemas: true, NumericDecimals: true, KeepNulls: true}} {
			c := NewJSON(config)
			var a schema.Arena
			d, err := c.Decode(t.Context(), "t", bytes.Clone(data), &a)
			if err != nil {
				continue
			}
			first, err := again(t, c, d)
			if err != nil {
				// A number of more digits than its schema's scale, or one
				// that a default is not there for.
				continue
			}
			d, err = c.Decode(t.Context(), "t", bytes.Clone(first), &a)
			if err != nil {
				t.Fatalf("%+v: wrote %q of %q, which cannot be read: %v", config, first, data, err)
			}
			second, err := again(t, c, d)
			if err != nil || !bytes.Equal(first, second) {
				t.Fatalf("%+v: %q became %q, then %q, %v", config, data, first, second, err)
			}
			if !json.Valid(first) {
				t.Fatalf("%+v: wrote %q of %q", config, first, data)
			}
		}
	})
}

func again(t *testing.T, c *JSON, d schema.Data) ([]byte, error) {
	t.Helper()
	e, err := c.Encoder(t.Context(), "t", d.Schema)
	if err != nil {
		return nil, err
	}
	return e.Append(nil, d.Value)
}

// FuzzJSON_AgreesWithStandardLibrary compares what is read without schemas
// with what encoding/json reads.
func FuzzJSON_AgreesWithStandardLibrary(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a schema.Arena
		d, err := NewJSON(JSONConfig{}).Decode(t.Context(), "t", []byte(text), &a)
		var want any
		in := json.NewDecoder(strings.NewReader(text))
		in.UseNumber()
		wantErr := in.Decode(&want)
		if _, end := in.Token(); wantErr == nil && !errors.Is(end, io.EOF) {
			wantErr = errors.New("text after the value")
		}
		if err != nil {
			// It is stricter about UTF-8, numbers beyond float64 and depth.
			return
		}
		if wantErr != nil {
			if strings.TrimSpace(text) == "" || leadingZero.MatchString(text) || strings.HasPrefix(text, "\uFEFF") {
				return // nothing at all, leading zeros and byte order marks are allowed
			}
			t.Fatalf("%q is read as %#v, but is an error to the standard library: %v", text, d.Value, wantErr)
		}
		if !same(d.Value, want) {
			t.Fatalf("%q is read as %#v, want %#v", text, d.Value, want)
		}
	})
}

var leadingZero = regexp.MustCompile(`(^|[^0-9.eE+-])-?0[0-9]`)

// same compares a value with what encoding/json read, numbers exactly.
func same(v schema.Value, want any) bool {
	switch want := want.(type) {
	case nil:
		return v.IsNull()
	case bool:
		return v.Kind() == schema.KindBool && v.Bool() == want
	case string:
		return v.Kind() == schema.KindString && string(v.Bytes()) == want
	case json.Number:
		switch v.Kind() {
		case schema.KindFloat:
			f, err := want.Float64()
			return err == nil && v.Float() == f
		case schema.KindInt, schema.KindDecimal:
			text, _ := appendJSONAny(nil, &v)
			a, okA := new(big.Int).SetString(string(text), 10)
			b, okB := new(big.Int).SetString(want.String(), 10)
			return okA && okB && a.Cmp(b) == 0
		default:
			return false
		}
	case []any:
		elems := v.Elems()
		if v.Kind() != schema.KindArray || len(elems) != len(want) {
			return false
		}
		for i := range elems {
			if !same(elems[i], want[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		pairs := v.Elems()
		if v.Kind() != schema.KindMap || len(pairs) != 2*len(want) {
			return false
		}
		for i := 0; i < len(pairs); i += 2 {
			w, ok := want[string(pairs[i].Bytes())]
			if !ok || !same(pairs[i+1], w) {
				return false
			}
		}
		return true
	}
	return false
}

// FuzzSimpleHeaders_Decode reads any header; what was read is written as text
// that is read as the same.
func FuzzSimpleHeaders_Decode(f *testing.F) {
	for _, s := range append([]string{"2019-08-23", "14:34:54.346Z", "2019-08-23T14:34:54.346Z", "+7", "-", "3.4e38", "{\"a\":\"\n\"}"}, seeds...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a schema.Arena
		d, err := SimpleHeaders{}.DecodeHeader("t", "h", data, &a)
		if err != nil {
			t.Fatal(err)
		}
		text, null, err := SimpleHeaders{}.AppendHeader(nil, "t", "h", d)
		if err != nil || null != d.Value.IsNull() {
			t.Fatalf("%q read as %#v: %v", data, d.Value, err)
		}
		if null {
			return
		}
		if _, err := (SimpleHeaders{}).DecodeHeader("t", "h", text, &a); err != nil {
			t.Fatal(err)
		}
	})
}
