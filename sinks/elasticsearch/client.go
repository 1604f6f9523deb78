package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/penstock/penstock/sinks"
)

// client sends requests to the cluster's nodes in turn.
type client struct {
	transport *elastictransport.Client
	pool      *http.Transport
	// limit is how long a whole request may take. The pool's own limit of
	// read.timeout.ms is for the time between the request and the answer.
	limit time.Duration
}

func newClient(c *config) (*client, error) {
	pool := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: c.connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       c.tls,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: c.readTimeout,
		IdleConnTimeout:       c.idleTimeout,
		MaxIdleConnsPerHost:   c.inFlight,
		ForceAttemptHTTP2:     true,
	}
	options := []elastictransport.Option{
		elastictransport.WithURLs(c.urls...),
		elastictransport.WithTransport(pool),
		// Whether and when to send again is decided here, where it is known
		// what is in a request.
		elastictransport.WithDisableRetry(),
		elastictransport.WithUserAgent("penstock"),
	}
	if c.username != "" {
		options = append(options, elastictransport.WithBasicAuth(c.username, c.password))
	}
	if c.apiKey != "" {
		options = append(options, elastictransport.WithAPIKey(c.apiKey))
	}
	if c.compress {
		options = append(options, elastictransport.WithCompression(1))
	}
	t, err := elastictransport.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	// To be sent, to be answered, and for the answer to be read.
	return &client{transport: t, pool: pool, limit: c.connectTimeout + 3*c.readTimeout}, nil
}

func (c *client) close(ctx context.Context) error {
	err := c.transport.Close(ctx)
	c.pool.CloseIdleConnections()
	return err
}

// statusError is an answer with a status other than 2xx.
type statusError struct {
	status     int
	kind       string
	reason     string
	retryAfter time.Duration
}

// Error returns the status with Elasticsearch's reason.
func (e *statusError) Error() string {
	text := fmt.Sprintf("status %d", e.status)
	if e.kind != "" {
		text += " " + e.kind
	}
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

// RetryAfter returns when the cluster asks to come back.
func (e *statusError) RetryAfter() time.Duration { return e.retryAfter }

// parseRetryAfter reads a header that has seconds, or a date.
func parseRetryAfter(text string) time.Duration {
	if n, err := strconv.Atoi(text); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// maxAnswer bounds an answer. A bulk request of the largest size asks for some
// hundred kilobytes of status.
const maxAnswer = 256 << 20

// do sends a request and returns the answer's body; a status other than 2xx is
// a *statusError.
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, path, nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.transport.Perform(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode/100 == 2 {
		return answer, nil
	}
	e := &statusError{status: res.StatusCode, retryAfter: parseRetryAfter(res.Header.Get("Retry-After"))}
	var problem struct {
		Error json.RawMessage `json:"error"`
	}
	var detail cause
	if json.Unmarshal(answer, &problem) == nil && json.Unmarshal(problem.Error, &detail) == nil {
		e.kind, e.reason = detail.Type, detail.Reason
	} else {
		e.reason = strings.TrimSpace(string(answer[:min(len(answer), 300)]))
	}
	return nil, e
}

// find returns a permanent error if there is no index or alias of a name.
func (c *client) find(ctx context.Context, index string) error {
	_, err := c.do(ctx, http.MethodHead, "/"+url.PathEscape(index), "", nil)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusForbidden {
		return nil // who may write need not be allowed to look
	}
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return sinks.Permanent(fmt.Errorf("there is no index or alias %s, and external.resource.usage keeps the sink from making one; "+
			"create it, or correct topic.to.external.resource.mapping or index.name", index))
	}
	if err != nil {
		return fmt.Errorf("look for index %s: %w", index, err)
	}
	return nil
}

// missingRights returns those of the rights that the user lacks on an index; none
// where there is no security to ask.
func (c *client) missingRights(ctx context.Context, index string, rights []string) (missing []string, err error) {
	body := append(appendString([]byte(`{"index":[{"names":[`), index), `],"privileges":["`+strings.Join(rights, `","`)+`"]}]}`...)
	answer, err := c.do(ctx, http.MethodPost, "/_security/user/_has_privileges", "application/json", body)
	var status *statusError
	if errors.As(err, &status) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var has struct {
		Index map[string]map[string]bool `json:"index"`
	}
	if err := json.Unmarshal(answer, &has); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	for _, right := range rights {
		if granted, known := has.Index[index][right]; known && !granted {
			missing = append(missing, right)
		}
	}
	return missing, nil
}

// causeOf returns the cluster's reason for an error; nil if it gave none.
func causeOf(err error) *cause {
	var status *statusError
	if !errors.As(err, &status) {
		return nil
	}
	return &cause{Type: status.kind, Reason: status.reason}
}

// cause is an error as Elasticsearch describes it.
type cause struct {
	Type     string `json:"type"`
	Reason   string `json:"reason"`
	CausedBy *cause `json:"caused_by"`
}

// text returns the reasons, from the outside to the root.
func (c *cause) text() string {
	text := c.Type + ": " + c.Reason
	for in := c.CausedBy; in != nil; in = in.CausedBy {
		text += "; caused by " + in.Type + ": " + in.Reason
	}
	return text
}

// isBusy reports whether a status means that the same may succeed soon.
func isBusy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// classify marks what waiting does not mend.
func classify(err error) error {
	var s *statusError
	if !errors.As(err, &s) {
		return err
	}
	switch s.status {
	case http.StatusUnauthorized:
		return sinks.Permanent(fmt.Errorf("%w; check connection.username and connection.password, or connection.api.key", err))
	case http.StatusForbidden:
		if s.kind == "cluster_block_exception" {
			return err
		}
		return sinks.Permanent(fmt.Errorf("%w; give the user the privileges create_index, index, delete, read and manage on the sink's indices", err))
	default:
		return err
	}
}
