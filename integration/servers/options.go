package servers

import "fmt"

// An Option says which server is wanted, for [MySQL], [Run.StartMySQL] and
// all the others.
type Option func(*spec)

// Version asks for a version by its first number, such as "15". Only
// PostgreSQL has several: "15", "17" (the default) and "18".
func Version(v string) Option { return func(s *spec) { s.Version = v } }

// Config adds lines in the server's own language: my.cnf, postgresql.conf,
// server.properties, a Connect worker's properties or elasticsearch.yml; for mongod and redis-server,
// command-line arguments such as "--oplogSize=16". Later lines win over
// earlier ones and over the launcher's. Users of a shared server who give the
// same lines share one server among themselves.
//
// In a line, {port} stands for the server's port, {controller} for that of a
// Kafka's controller and {dir} for the directory that [File] writes to.
func Config(lines ...string) Option {
	return func(s *spec) { s.Config = append(s.Config, lines...) }
}

// File puts a file into the server's directory before it starts, readable by
// the server alone: a certificate, a key, a list of users.
func File(name, content string) Option {
	return func(s *spec) {
		if s.Files == nil {
			s.Files = make(map[string]string)
		}
		s.Files[name] = content
	}
}

// Nodes asks for a MongoDB replica set of n members instead of one.
func Nodes(n int) Option { return func(s *spec) { s.Nodes = n } }

// kind names a sort of server, on the wire and on the command line.
type kind string

const (
	kindPostgres      kind = "postgres"
	kindMySQL         kind = "mysql"
	kindMariaDB       kind = "mariadb"
	kindMongo         kind = "mongodb"
	kindKafka         kind = "kafka"
	kindElasticsearch kind = "elasticsearch"
	kindRegistry      kind = "registry"
	kindRedis         kind = "redis"
	kindConnect       kind = "connect"
)

// spec is one wanted server, as sent to the supervisor.
type spec struct {
	Kind    kind     `json:"kind"`
	Version string   `json:"version,omitempty"`
	Config  []string `json:"config,omitempty"`
	Nodes   int      `json:"nodes,omitempty"`
	// Files are written to each node's directory, by name.
	Files map[string]string `json:"files,omitempty"`
	// Durable servers sync to disk before they acknowledge, because their
	// tests kill them. Shared servers live for one run and skip that.
	Durable bool `json:"durable,omitempty"`
}

func newSpec(k kind, opts []Option) spec {
	s := spec{Kind: k, Nodes: 1}
	for _, o := range opts {
		o(&s)
	}
	return s
}

// key is equal for specs that may share one server.
func (s spec) key() string {
	return fmt.Sprintf("%s/%s/%d/%q/%q", s.Kind, s.Version, s.Nodes, s.Config, s.Files) // maps print in order of their keys
}
