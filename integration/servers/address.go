package servers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Address is where a server is and how to log in.
type Address struct {
	Host string
	Port int
	// User and Password are empty where the server has no accounts.
	User, Password string
	// Version of the server, empty when its address came from the environment.
	Version string
	// Log is the path of the server's log, as long as it exists.
	Log string
}

// Addr returns host:port.
func (a Address) Addr() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// userinfo is nil where the server has no accounts.
func (a Address) userinfo() *url.Userinfo {
	if a.User == "" {
		return nil
	}
	return url.UserPassword(a.User, a.Password)
}

// Process controls a server that a Start function started. Its data and its
// ports survive all but Release. On a shared server every method returns
// [ErrShared]. Methods act on all members of a replica set, except for those
// that name a node.
type Process struct {
	run *Run
	id  string // "" when shared
}

// ErrShared is returned when a shared server is to be stopped.
var ErrShared = errors.New("the server is shared with other tests: start one of your own (servers.StartMySQL and the like) to stop or kill it")

// Stop asks the server to shut down in an orderly way and waits until it has.
func (p *Process) Stop(ctx context.Context) error { return p.control(ctx, opStop, -1) }

// Kill ends the server and its children with SIGKILL and waits until they are gone.
func (p *Process) Kill(ctx context.Context) error { return p.control(ctx, opKill, -1) }

// Start starts a stopped or killed server on its old data and port, and waits
// until it serves clients. It does nothing to a running one.
func (p *Process) Start(ctx context.Context) error { return p.control(ctx, opStart, -1) }

// Restart is Stop and Start.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// StopNode is Stop for one member of a replica set, counted from 0.
func (p *Process) StopNode(ctx context.Context, node int) error { return p.control(ctx, opStop, node) }

// KillNode is Kill for one member of a replica set.
func (p *Process) KillNode(ctx context.Context, node int) error { return p.control(ctx, opKill, node) }

// StartNode is Start for one member of a replica set.
func (p *Process) StartNode(ctx context.Context, node int) error {
	return p.control(ctx, opStart, node)
}

// Release kills the server and deletes its data. Closing the Run does the same.
func (p *Process) Release(ctx context.Context) error { return p.control(ctx, opRelease, -1) }

func (p *Process) control(ctx context.Context, op string, node int) error {
	if p == nil || p.id == "" {
		return ErrShared
	}
	_, err := p.run.call(ctx, request{Op: op, Server: p.id, Node: node})
	return err
}

// obtain finds the shared server of a spec, or starts one of one's own.
func (r *Run) obtain(ctx context.Context, s spec, own bool) (Address, *Process, serverInfo, error) {
	op := opShared
	if own {
		op = opOwn
	}
	rep, err := r.call(ctx, request{Op: op, Spec: s})
	if err != nil {
		return Address{}, nil, serverInfo{}, fmt.Errorf("%s is not to be had: %w\nAfter the cause is gone, go run ./integration/servers/cmd/servers install %s tries again. To use a server that runs already, set %s",
			s.Kind, err, s.Kind, environment(s.Kind))
	}
	a := Address{
		Host: "127.0.0.1", Port: rep.Server.Nodes[0].Port, User: serverUser, Password: serverPassword,
		Version: rep.Server.Version, Log: rep.Server.Nodes[0].Log,
	}
	p := &Process{run: r}
	if own {
		p.id = rep.Server.ID
	}
	return a, p, *rep.Server, nil
}

// environment is the variable that holds the address of a server to be used
// instead of a shared one.
func environment(k kind) string { return "PENSTOCK_TEST_" + strings.ToUpper(string(k)) }

// given reads an address from the environment. Both a URL and plain host:port
// are understood; the path of a URL is left to the caller.
func given(k kind, defaultPort string) (a Address, u *url.URL, ok bool, err error) {
	v := os.Getenv(environment(k))
	if v == "" {
		return a, nil, false, nil
	}
	a, u, err = parseAddress(k, v, defaultPort)
	return a, u, true, err
}

// givenAs is given for servers whose address may be a list: first picks what
// becomes the Address, and the whole text is returned too.
func givenAs(k kind, defaultPort string, first func(string) string) (a Address, text string, ok bool, err error) {
	text = os.Getenv(environment(k))
	if text == "" {
		return a, "", false, nil
	}
	a, _, err = parseAddress(k, first(text), defaultPort)
	return a, text, true, err
}

func parseAddress(k kind, v, defaultPort string) (a Address, u *url.URL, err error) {
	if !strings.Contains(v, "://") {
		v = string(k) + "://" + v
	}
	if u, err = url.Parse(v); err != nil {
		// The error of the parser holds the whole text, password included.
		return a, nil, fmt.Errorf("%s holds no address: want host:port or a URL", environment(k))
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	a.Host = u.Hostname()
	if a.Port, err = strconv.Atoi(port); err != nil || a.Host == "" {
		return a, nil, fmt.Errorf("%s holds no address: want host:port or a URL", environment(k))
	}
	a.User = u.User.Username()
	a.Password, _ = u.User.Password()
	return a, u, nil
}

// fresh makes a name that no other test has, out of lower-case letters,
// digits and underscores, at most 40 bytes long: fit for a database, a topic
// and an index.
func fresh(hint string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(hint) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			c = '_'
		}
		b.WriteRune(c)
	}
	name := strings.TrimPrefix(b.String(), "test")
	name = strings.Trim(name[:min(len(name), 28)], "_")
	return fmt.Sprintf("t_%s_%08x", name, rand.Uint32())
}
