package servers

import (
	"fmt"
	"strings"
)

// An Option says which server is wanted, for [MySQL], [Run.StartMySQL] and
// all the others.
type Option func(*spec)

// Version asks for a version by its first number, such as "15". Only
// PostgreSQL has several: "15", "17" (the default) and "18".
func Version(v string) Option { return func(s *spec) { s.Version = v } }

// Config adds lines in the server's own language: my.cnf, postgresql.conf,
// server.properties or elasticsearch.yml; for mongod and redis-server,
// command-line arguments such as "--oplogSize=16". Later lines win over
// earlier ones and over the launcher's. Users of a shared server who give the
// same lines share one server among themselves.
func Config(lines ...string) Option {
	return func(s *spec) { s.Config = append(s.Config, lines...) }
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
)

// spec is one wanted server, as sent to the supervisor.
type spec struct {
	Kind    kind     `json:"kind"`
	Version string   `json:"version,omitempty"`
	Config  []string `json:"config,omitempty"`
	Nodes   int      `json:"nodes,omitempty"`
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
	return fmt.Sprintf("%s/%s/%d/%s", s.Kind, s.Version, s.Nodes, strings.Join(s.Config, "\n"))
}

// wire protocol of the supervisor: one request line, then any number of
// progress lines and one final line, all JSON.

// protocolVersion is part of the socket's name: a supervisor left over from
// another revision of this package is not talked to, it ends by itself.
const protocolVersion = 1

type request struct {
	Op     string `json:"op"`
	Lease  string `json:"lease,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Spec   spec   `json:"spec,omitzero"`
	Server string `json:"server,omitempty"`
	Node   int    `json:"node,omitempty"` // -1: all
	Force  bool   `json:"force,omitempty"`
}

const (
	opLease   = "lease"   // answers Lease, which lasts as long as the connection
	opShared  = "shared"  // find or start the shared server of Spec
	opOwn     = "own"     // start a server that belongs to Lease
	opStop    = "stop"    // orderly stop of Server (one Node or all)
	opKill    = "kill"    // SIGKILL
	opStart   = "start"   // start again on the same data and ports
	opRelease = "release" // kill Server and delete its data
	opInstall = "install" // fetch what Spec needs, start nothing
	opPort    = "port"    // a free port, kept for Lease
	opStatus  = "status"  // list leases and servers
	opHold    = "hold"    // stay up without leases
	opDown    = "down"    // end the hold; with Force, end everything now
)

type reply struct {
	Progress string       `json:"progress,omitempty"`
	Done     bool         `json:"done,omitempty"`
	Err      string       `json:"err,omitempty"`
	Closing  bool         `json:"closing,omitempty"` // supervisor is on its way out: ask the next one
	Lease    string       `json:"lease,omitempty"`
	Server   *serverInfo  `json:"server,omitempty"`
	Port     int          `json:"port,omitempty"`
	Servers  []serverInfo `json:"servers,omitempty"`
	Leases   []int        `json:"leases,omitempty"` // process ids
	Held     bool         `json:"held,omitempty"`
}

type serverInfo struct {
	ID      string     `json:"id"`
	Kind    kind       `json:"kind"`
	Version string     `json:"version"`
	Own     bool       `json:"own,omitempty"`
	Config  []string   `json:"config,omitempty"`
	Nodes   []nodeInfo `json:"nodes"`
	// Program starts a program that came with the server, such as mysqlbinlog:
	// append its name to the last element.
	Program []string `json:"program,omitempty"`
}

type nodeInfo struct {
	Port int    `json:"port"`
	Log  string `json:"log"`
	PID  int    `json:"pid,omitempty"` // 0 when not running
}
