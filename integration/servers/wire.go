package servers

// The supervisor's protocol: one request line, then any number of progress
// lines and one final line, all JSON.

// protocolVersion is part of the socket's name: a supervisor left over from
// another revision of this package is not talked to, it ends by itself.
const protocolVersion = 4

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
