package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// MongoServer is a MongoDB replica set, of one member unless [Nodes] says
// more. The account is root and its password is checked.
type MongoServer struct {
	Address
	Members  []string // host:port of each
	Database string
	*Process
	uri string // as given by the environment
}

// Mongo finds or starts the shared replica set.
func (r *Run) Mongo(ctx context.Context, opts ...Option) (*MongoServer, error) {
	// A list of members, as mongodb:// URLs may have, is not a URL to Go.
	first := func(v string) string {
		before, after, _ := strings.Cut(v, ",")
		if i := strings.IndexByte(after, '/'); i >= 0 {
			before += after[i:]
		}
		return before
	}
	a, uri, ok, err := givenAs(kindMongo, "27017", first)
	if err != nil {
		return nil, err
	}
	if ok {
		return &MongoServer{Address: a, Members: []string{a.Addr()}, Process: &Process{}, uri: uri}, nil
	}
	return r.mongo(ctx, false, opts)
}

// StartMongo starts a replica set for the caller alone.
func (r *Run) StartMongo(ctx context.Context, opts ...Option) (*MongoServer, error) {
	return r.mongo(ctx, true, opts)
}

func (r *Run) mongo(ctx context.Context, own bool, opts []Option) (*MongoServer, error) {
	a, p, info, err := r.obtain(ctx, newSpec(kindMongo, opts), own)
	if err != nil {
		return nil, err
	}
	s := &MongoServer{Address: a, Process: p}
	for _, n := range info.Nodes {
		s.Members = append(s.Members, net.JoinHostPort(a.Host, strconv.Itoa(n.Port)))
	}
	return s, nil
}

// URI is the connection string of the replica set.
func (s *MongoServer) URI() string {
	if s.uri != "" {
		return s.uri
	}
	u := url.URL{
		Scheme: "mongodb", User: s.userinfo(), Host: strings.Join(s.Members, ","), Path: "/",
		RawQuery: "replicaSet=" + replicaSet + "&authSource=admin",
	}
	return u.String()
}

// Fresh makes the name of an empty database Database and returns the function
// that drops it. MongoDB creates it with the first write.
func (s *MongoServer) Fresh(_ context.Context, hint string) (drop func(context.Context) error, err error) {
	s.Database = fresh(hint)
	return func(ctx context.Context) error {
		c, err := mongo.Connect(options.Client().ApplyURI(s.URI()))
		if err != nil {
			return fmt.Errorf("connect to MongoDB: %w", err)
		}
		return errors.Join(c.Database(s.Database).Drop(ctx), c.Disconnect(context.WithoutCancel(ctx)))
	}, nil
}
