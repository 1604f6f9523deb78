package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds one start of a server that is already installed. It is
// long because a busy two-core machine starts several servers at once.
const startTimeout = 3 * time.Minute

// A recipe is what the supervisor must know about one kind of server.
type recipe interface {
	// install fetches the program if it is not there and says where it is.
	install(ctx context.Context, st *store, s spec) (tree, error)
	// prepare makes the data directory and the configuration of a new node.
	prepare(ctx context.Context, n *node) error
	// program says how to run it.
	program(n *node) program
	// ready reports whether a started node serves clients.
	ready(ctx context.Context, n *node) bool
	// settle runs after every start, when all nodes are ready.
	settle(ctx context.Context, i *instance) error
	// ports is the number of ports that a node needs; the first is for clients.
	ports() int
	// stopSignal asks for an orderly stop.
	stopSignal() syscall.Signal
}

// recipes is the one list of what can be started.
func recipes() map[kind]recipe {
	return map[kind]recipe{
		kindPostgres:      postgresRecipe{},
		kindMySQL:         mysqlRecipe{},
		kindMariaDB:       mariadbRecipe{},
		kindMongo:         mongoRecipe{},
		kindKafka:         kafkaRecipe{},
		kindElasticsearch: elasticsearchRecipe{},
		kindRegistry:      registryRecipe{},
		kindRedis:         redisRecipe{},
		kindConnect:       connectRecipe{},
	}
}

// tree is an installed program.
type tree struct {
	dir     string
	version string
}

// instance is one server with its data: a single node, or a replica set.
type instance struct {
	id     string
	spec   spec
	tree   tree
	recipe recipe
	place  place
	store  *store
	ports  *ports
	forker *forker
	dir    string
	lease  string // owner, "" when shared
	nodes  []*node

	mu      sync.Mutex // one start, stop or kill at a time
	settled bool       // first start is over
}

// node is one server process and its directory.
type node struct {
	inst  *instance
	index int
	dir   string
	ports []int
	log   string

	mu   sync.Mutex
	proc *process // nil or ended: stopped
}

func (n *node) port() int { return n.ports[0] }

// config is the wanted configuration with its placeholders filled in.
func (n *node) config() []string {
	fill := []string{"{dir}", n.dir, "{port}", strconv.Itoa(n.port())}
	if n.inst.spec.Kind == kindKafka {
		fill = append(fill, "{controller}", strconv.Itoa(n.ports[1]))
	}
	r := strings.NewReplacer(fill...)
	lines := make([]string, len(n.inst.spec.Config))
	for i, line := range n.inst.spec.Config {
		lines[i] = r.Replace(line)
	}
	return lines
}

// process returns the running process or nil.
func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil && n.proc.running() {
		return n.proc
	}
	return nil
}

// create makes directories and configuration; the instance is not running.
func (i *instance) create(ctx context.Context) error {
	if err := mkdirOpen(i.dir); err != nil {
		return err
	}
	for index := range max(1, i.spec.Nodes) {
		n := &node{inst: i, index: index, dir: filepath.Join(i.dir, fmt.Sprintf("node%d", index))}
		n.log = filepath.Join(i.dir, fmt.Sprintf("%s%d.log", i.spec.Kind, index))
		i.nodes = append(i.nodes, n) // before ports are taken, so that discard drops them
		for range i.recipe.ports() {
			port, err := i.ports.take()
			if err != nil {
				return err
			}
			n.ports = append(n.ports, port)
		}
		if err := i.place.own(n.dir); err != nil {
			return err
		}
		for name, content := range i.spec.Files {
			if !filepath.IsLocal(name) || filepath.Base(name) != name {
				return fmt.Errorf("%q is not the name of a file in the server's directory", name)
			}
			if err := i.place.write(filepath.Join(n.dir, name), content); err != nil {
				return err
			}
		}
	}
	for _, n := range i.nodes {
		if err := i.recipe.prepare(ctx, n); err != nil {
			return fmt.Errorf("prepare %s: %w", i.id, err)
		}
	}
	return nil
}

// pick returns one node, or all for a negative index.
func (i *instance) pick(index int) ([]*node, error) {
	if index < 0 {
		return i.nodes, nil
	}
	if index >= len(i.nodes) {
		return nil, fmt.Errorf("%s has no node %d", i.id, index)
	}
	return i.nodes[index : index+1], nil
}

// start starts the nodes that are not running and waits until they serve.
func (i *instance) start(ctx context.Context, index int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	nodes, err := i.pick(index)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.process() != nil {
			continue
		}
		p, err := launch(i.forker, i.place.as, i.recipe.program(n), n.log)
		if err != nil {
			return fmt.Errorf("start %s: %w", i.id, err)
		}
		n.mu.Lock()
		n.proc = p
		n.mu.Unlock()
	}
	for _, n := range nodes {
		p := n.process()
		if p == nil {
			p = n.proc // ended at once: waitFor says why
		}
		if err := p.waitFor(ctx, func() bool { return i.recipe.ready(ctx, n) }); err != nil {
			return fmt.Errorf("start %s on port %d: %w", i.id, n.port(), err)
		}
	}
	if err := i.recipe.settle(ctx, i); err != nil {
		return fmt.Errorf("start %s: %w", i.id, err)
	}
	i.settled = true
	return nil
}

// stop stops in an orderly way.
func (i *instance) stop(ctx context.Context, index int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	nodes, err := i.pick(index)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if p := n.process(); p != nil {
			if err := p.stop(ctx, i.recipe.stopSignal()); err != nil {
				return fmt.Errorf("stop %s: %w", i.id, err)
			}
		}
	}
	return nil
}

// kill ends the processes with SIGKILL.
func (i *instance) kill(index int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	nodes, err := i.pick(index)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if p := n.process(); p != nil {
			p.kill()
		}
	}
	return nil
}

// discard kills the instance and deletes all it had.
func (i *instance) discard() error {
	err := i.kill(-1)
	for _, n := range i.nodes {
		for _, port := range n.ports {
			i.ports.drop(port)
		}
	}
	if e := os.RemoveAll(i.dir); err == nil && e != nil {
		err = fmt.Errorf("delete the data of %s: %w", i.id, e)
	}
	return err
}

func (i *instance) info() serverInfo {
	s := serverInfo{ID: i.id, Kind: i.spec.Kind, Version: i.tree.version, Own: i.lease != "", Config: i.spec.Config}
	for _, n := range i.nodes {
		ni := nodeInfo{Port: n.port(), Log: n.log}
		if p := n.process(); p != nil {
			ni.PID = p.pid
		}
		s.Nodes = append(s.Nodes, ni)
	}
	if t, ok := i.recipe.(interface{ tools(tree) []string }); ok {
		s.Program = t.tools(i.tree)
	}
	return s
}

// template returns a directory that init has filled once for this version of
// the server. Later servers copy it, which is ten times faster than letting
// each initialise its own data directory.
func (n *node) template(ctx context.Context, name string, init func(dir string) error) (string, error) {
	st := n.inst.store
	dir := filepath.Join(st.place.cache, "templates", name+"-"+n.inst.tree.version)
	return dir, st.once(ctx, dir, func(tmp string) error {
		if err := st.place.own(tmp); err != nil {
			return err
		}
		return init(tmp)
	})
}

// copyTemplate makes dst a copy of a template; owners and modes are kept.
func copyTemplate(ctx context.Context, template, dst string) error {
	return run(exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", template, dst))
}

// runAs runs a server's own tool (initdb and the like) as the servers' user.
func (n *node) runAs(ctx context.Context, stdin string, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = n.dir
	cmd.Env = environ(n.dir)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: n.inst.place.as}
	return run(cmd)
}

// run runs a command to its end; its output goes into the error.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.String(), err, lastLines(string(out), 20))
	}
	return nil
}
