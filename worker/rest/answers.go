package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// maxBody bounds the body of a request.
const maxBody = 8 << 20

// failure is an error with the status of its answer.
type failure struct {
	status  int
	message string
}

// Error returns the message.
func (f *failure) Error() string { return f.message }

func badRequest(format string, args ...any) error {
	return &failure{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &failure{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

type errorJSON struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func writeError(w http.ResponseWriter, err error) {
	f := &failure{http.StatusInternalServerError, err.Error()}
	errors.As(err, &f)
	writeJSON(w, f.status, errorJSON{f.status, f.message})
}

// frameworkError writes what Kafka Connect's web framework says by itself:
// JSON without a Content-Type.
func frameworkError(w http.ResponseWriter, status int) {
	w.Header()["Content-Type"] = nil
	w.WriteHeader(status)
	_, _ = w.Write(encode(frameworkBody(status))) // the client is gone if this fails
}

func frameworkBody(status int) errorJSON {
	text := http.StatusText(status)
	return errorJSON{status, fmt.Sprintf("HTTP %d %s", status, text)}
}

// badPath writes what Kafka Connect's web server says before a path reaches
// its API: a page to who may look at it, otherwise nothing but the status.
func badPath(w http.ResponseWriter, r *http.Request, why string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		w.Header().Set("Content-Type", "text/html;charset=iso-8859-1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "<html>\n<head><title>Error %d %s</title></head>\n<body><h2>%[2]s</h2></body>\n</html>\n", http.StatusBadRequest, why) // the client is gone if this fails
	default:
		_ = writeEmpty(w, http.StatusBadRequest) // never fails
	}
}

// mediaError says that a body is not declared as JSON.
type mediaError struct{ undeclared bool }

// Error returns the framework's text.
func (*mediaError) Error() string { return frameworkBody(http.StatusUnsupportedMediaType).Message }

func (e *mediaError) write(w http.ResponseWriter) {
	if e.undeclared {
		writeJSON(w, http.StatusUnsupportedMediaType, frameworkBody(http.StatusUnsupportedMediaType))
		return
	}
	frameworkError(w, http.StatusUnsupportedMediaType)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v)) // the client is gone if this fails
}

// encode does not escape <, > and &.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("rest: %T does not become JSON: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func writeEmpty(w http.ResponseWriter, status int) error {
	w.Header()["Content-Type"] = nil
	w.WriteHeader(status)
	return nil
}

func options(w http.ResponseWriter, methods resource) {
	var names []string
	for _, m := range []string{http.MethodHead, http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		_, has := methods[m]
		_, gets := methods[http.MethodGet]
		if has || m == http.MethodOptions || m == http.MethodHead && gets {
			names = append(names, m)
		}
	}
	text := strings.Join(names, ", ")
	w.Header().Set("Allow", text)
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, text)
}

// acceptsJSON reports whether the client takes JSON.
func acceptsJSON(r *http.Request) bool {
	headers := r.Header.Values("Accept")
	if len(headers) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		if media == "*/*" || media == "application/*" || media == "application/json" {
			return true
		}
	}
	return false
}

// decode reads the body into v, refusing unknown fields. present is false for
// JSON's null and for no body at all. A body that cannot be read is a 500, as
// in Kafka Connect.
func decode(r *http.Request, v any) (present bool, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return false, &mediaError{undeclared: r.Header.Get("Content-Type") == ""}
	}
	text, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return false, &failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes", tooLarge.Limit)}
	case err != nil:
		return false, badRequest("The body ended early: %v", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 || string(text) == "null" {
		return false, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil && d.More() {
		err = errors.New("there is something after the JSON value")
	}
	if err != nil {
		return false, &failure{http.StatusInternalServerError, "The body cannot be read: " + unreadable(err)}
	}
	return true, nil
}

// unreadable says what is wrong with a body, without the names of Go's types.
func unreadable(err error) string {
	var kind *json.UnmarshalTypeError
	if !errors.As(err, &kind) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	what := "it"
	if kind.Field != "" {
		what = strconv.Quote(kind.Field)
	}
	return fmt.Sprintf("%s cannot be a JSON %s", what, kind.Value)
}

// noBody is the error of a request that needs a body and has none.
func noBody() error {
	return &failure{http.StatusInternalServerError, "The body is empty or null; it must be a JSON object"}
}

// configMap is a configuration in a body. Numbers and booleans become text,
// null is nil.
type configMap map[string]*string

// UnmarshalJSON reads an object of scalars.
func (m *configMap) UnmarshalJSON(text []byte) error {
	var fields map[string]scalar
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	*m = nil
	if fields == nil {
		return nil
	}
	*m = make(configMap, len(fields))
	for k, v := range fields {
		(*m)[k] = v.text
	}
	return nil
}

// values returns the settings that are not null.
func (m configMap) values() map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v != nil {
			out[k] = *v
		}
	}
	return out
}

// scalar is a string, number, boolean or null, as text.
type scalar struct{ text *string }

// UnmarshalJSON refuses objects and arrays.
func (s *scalar) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '{':
		return errors.New("a text is expected, not an object")
	case '[':
		return errors.New("a text is expected, not an array")
	case 'n':
		s.text = nil
	case '"':
		return json.Unmarshal(b, &s.text)
	default:
		t := string(b)
		s.text = &t
	}
	return nil
}

// headerText makes text fit for a header.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
}
