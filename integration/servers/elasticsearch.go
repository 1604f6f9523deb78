package servers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ElasticsearchServer is a one-node Elasticsearch, without accounts unless
// [ElasticsearchAccounts] asks for them.
type ElasticsearchServer struct {
	Address
	// Prefix is this test's own; [ElasticsearchServer.Index] puts it before a name.
	Prefix string
	*Process
	scheme string
}

// ElasticsearchAccounts asks for an Elasticsearch that checks logins. The
// account is admin; writer and reader may write and read indices, and nothing
// in the cluster. All have the password sesame.
func ElasticsearchAccounts() Option {
	const hash = ":$2a$04$MiO6Y0.qMVBJxVa65zBCUOsX4.4OafJjVqh6b3OCEY4bg.tWh.opi\n"
	return func(s *spec) {
		Config(
			"xpack.security.enabled: true", "xpack.security.autoconfiguration.enabled: false",
			"xpack.security.transport.ssl.enabled: false", "xpack.security.http.ssl.enabled: false",
		)(s)
		File(elasticsearchUsers, elasticsearchAdmin+hash+"writer"+hash+"reader"+hash)(s)
		File("users_roles", "superuser:"+elasticsearchAdmin+"\nwriting:writer\nreading:reader\n")(s)
		File("roles.yml", `
writing:
  indices:
    - names: ["*"]
      privileges: [create_index, index, delete, read, manage]
reading:
  indices:
    - names: ["*"]
      privileges: [read]
`)(s)
	}
}

const (
	elasticsearchUsers    = "users" // the file of accounts
	elasticsearchAdmin    = "admin"
	elasticsearchPassword = "sesame"
)

// Elasticsearch finds or starts the shared server.
func (r *Run) Elasticsearch(ctx context.Context, opts ...Option) (*ElasticsearchServer, error) {
	a, u, ok, err := given(kindElasticsearch, "9200")
	if err != nil {
		return nil, err
	}
	if ok {
		return &ElasticsearchServer{Address: a, Process: &Process{}, scheme: httpScheme(u)}, nil
	}
	return r.elasticsearch(ctx, false, opts)
}

// StartElasticsearch starts a server for the caller alone.
func (r *Run) StartElasticsearch(ctx context.Context, opts ...Option) (*ElasticsearchServer, error) {
	return r.elasticsearch(ctx, true, opts)
}

func (r *Run) elasticsearch(ctx context.Context, own bool, opts []Option) (*ElasticsearchServer, error) {
	spec := newSpec(kindElasticsearch, opts)
	a, p, _, err := r.obtain(ctx, spec, own)
	if err != nil {
		return nil, err
	}
	a.User, a.Password = "", ""
	if spec.Files[elasticsearchUsers] != "" {
		a.User, a.Password = elasticsearchAdmin, elasticsearchPassword
	}
	return &ElasticsearchServer{Address: a, Process: p, scheme: "http"}, nil
}

// httpScheme is https only where the environment says so.
func httpScheme(u *url.URL) string {
	if u.Scheme == "https" {
		return "https"
	}
	return "http"
}

// URL is the server's address for clients.
func (s *ElasticsearchServer) URL() string {
	u := url.URL{Scheme: s.scheme, User: s.userinfo(), Host: s.Addr()}
	return u.String()
}

// Index returns the test's own name for an index, template or alias.
func (s *ElasticsearchServer) Index(name string) string {
	return s.Prefix + "-" + strings.ToLower(name)
}

// Fresh makes a new Prefix and returns the function that deletes the indices
// and index templates that start with it.
func (s *ElasticsearchServer) Fresh(_ context.Context, hint string) (drop func(context.Context) error, err error) {
	// An index must not start with an underscore; fresh names start with t.
	s.Prefix = fresh(hint)
	return func(ctx context.Context) error {
		names, err := s.indices(ctx)
		if err != nil {
			return err
		}
		for _, name := range names { // by name: servers may forbid patterns
			if _, err := s.do(ctx, http.MethodDelete, "/"+name); err != nil {
				return err
			}
		}
		_, err = s.do(ctx, http.MethodDelete, "/_index_template/"+s.Prefix+"*")
		return err
	}, nil
}

// indices lists those that start with Prefix.
func (s *ElasticsearchServer) indices(ctx context.Context) ([]string, error) {
	body, err := s.do(ctx, http.MethodGet, "/_cat/indices/"+s.Prefix+"*?h=index&expand_wildcards=all")
	if err != nil {
		return nil, err
	}
	return strings.Fields(body), nil
}

// do makes a request; 404 is no error, since there may be nothing to delete.
func (s *ElasticsearchServer) do(ctx context.Context, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("make request for Elasticsearch: %w", err)
	}
	// A connection kept for later would look like a leak to goleak.
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask Elasticsearch: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("read the answer of Elasticsearch: %w", err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, body)
	}
	return string(body), nil
}
