package servers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Endpoint is a shared server as a person wants to see it.
type Endpoint struct {
	Name, Version string
	// URL holds user and password where there are any.
	URL string
	// Variable is the PENSTOCK_TEST_ variable that takes URL; empty for a
	// second version of a server, since each kind has but one.
	Variable string
	// Try is a command line of the usual client.
	Try string
}

// Names lists the servers that can be had, in the order they are shown.
func Names() []string {
	names := make([]string, len(endpoints))
	for i, e := range endpoints {
		names[i] = string(e.kind)
	}
	return names
}

// endpoint tells how a kind of server is shown.
type endpoint struct {
	kind kind
	open func(ctx context.Context, r *Run, opts ...Option) (a Address, url, try string, err error)
}

var endpoints = []endpoint{
	{kindPostgres, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Postgres(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		return s.Address, s.URL(), "psql '" + s.URL() + "'", nil
	}},
	{kindMySQL, mysqlEndpoint((*Run).MySQL)},
	{kindMariaDB, mysqlEndpoint((*Run).MariaDB)},
	{kindMongo, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Mongo(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		return s.Address, s.URI(), "mongosh '" + s.URI() + "'", nil
	}},
	{kindKafka, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Kafka(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		list := strings.Join(s.Brokers(), ",")
		return s.Address, list, "kcat -b " + list + " -L", nil
	}},
	{kindElasticsearch, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Elasticsearch(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		return s.Address, s.URL(), "curl " + s.URL() + "/_cat/indices", nil
	}},
	{kindRegistry, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Registry(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		return s.Address, s.URL(), "curl " + s.URL() + "/subjects", nil
	}},
	{kindRedis, func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := r.Redis(ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		return s.Address, s.URL(), "redis-cli -u " + s.URL(), nil
	}},
}

func mysqlEndpoint(open func(*Run, context.Context, ...Option) (*MySQLServer, error)) func(context.Context, *Run, ...Option) (Address, string, string, error) {
	return func(ctx context.Context, r *Run, opts ...Option) (Address, string, string, error) {
		s, err := open(r, ctx, opts...)
		if err != nil {
			return Address{}, "", "", err
		}
		try := fmt.Sprintf("mysql -h %s -P %d -u %s -p%s", s.Host, s.Port, s.User, s.Password)
		return s.Address, s.URL(), try, nil
	}
}

// Endpoints starts shared servers, two at a time, and returns where they are
// in the order of names. A name may end in a version, as in postgres:15; no
// names mean all servers.
func (r *Run) Endpoints(ctx context.Context, names ...string) ([]Endpoint, error) {
	if len(names) == 0 {
		names = Names()
	}
	result := make([]Endpoint, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2) // more only compete for processors and memory
	named := make(map[string]bool)
	for i, name := range names {
		base, version, _ := strings.Cut(name, ":")
		at := slices.IndexFunc(endpoints, func(e endpoint) bool { return string(e.kind) == base })
		if at < 0 {
			return nil, fmt.Errorf("unknown server %q; there are %s", name, strings.Join(Names(), ", "))
		}
		if !named[base] {
			named[base] = true
			result[i].Variable = environment(kind(base))
		}
		g.Go(func() error {
			var opts []Option
			if version != "" {
				opts = append(opts, Version(version))
			}
			a, url, try, err := endpoints[at].open(ctx, r, opts...)
			if err != nil {
				return err
			}
			result[i] = Endpoint{Name: name, Version: a.Version, URL: url, Try: try, Variable: result[i].Variable}
			return nil
		})
	}
	return result, g.Wait()
}
