package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// redisRecipe runs Redis 7 out of Debian 12, unpacked beside the host:
// installing the package would start a service.
type redisRecipe struct{}

const redisServer = "usr/bin/redis-server"

func (redisRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("redis")}
	err := st.once(ctx, t.dir, func(tmp string) error {
		d := debroot{
			suite: "bookworm", packages: []string{"redis-server", "redis-tools"},
			want: libraries, skip: noPerlNoTools,
		}
		if err := d.unpack(ctx, st, tmp); err != nil {
			return err
		}
		return recordVersion(ctx, tmp, "v=", redisServer, "--version")
	})
	if err != nil {
		return t, err
	}
	t.version, err = recordedVersion(t.dir)
	return t, err
}

func (redisRecipe) prepare(context.Context, *node) error { return nil }

func (redisRecipe) program(n *node) program {
	argv := append(debLoader(n.inst.tree.dir),
		filepath.Join(n.inst.tree.dir, redisServer),
		"--bind", "127.0.0.1",
		"--port", fmt.Sprint(n.port()),
		"--dir", n.dir,
		"--requirepass", serverPassword,
		"--databases", "64",
	)
	if n.inst.spec.Durable {
		argv = append(argv, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		argv = append(argv, "--save", "")
	}
	for _, line := range n.config() {
		argv = append(argv, strings.Fields(strings.Replace(line, "=", " ", 1))...)
	}
	return program{argv: argv, dir: n.dir}
}

func (redisRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged("Ready to accept connections")
}

func (redisRecipe) settle(context.Context, *instance) error { return nil }
func (redisRecipe) ports() int                              { return 1 }
func (redisRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }
