package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// mariadbRecipe runs MariaDB 10.11 out of Debian 12, unpacked beside the host.
type mariadbRecipe struct{}

var (
	libraries     = regexp.MustCompile(`^lib`)
	noPerlNoTools = regexp.MustCompile(`^(libperl|libdb5|libgdbm|libpython)`)
)

const mariadbd = "usr/sbin/mariadbd"

func (mariadbRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("mariadb")}
	err := st.once(ctx, t.dir, func(tmp string) error {
		d := debroot{suite: "bookworm", packages: []string{"mariadb-server-core"}, want: libraries, skip: noPerlNoTools}
		if err := d.unpack(ctx, st, tmp); err != nil {
			return err
		}
		return recordVersion(ctx, tmp, "Ver", mariadbd, "--no-defaults", "--version")
	})
	if err != nil {
		return t, err
	}
	t.version, err = recordedVersion(t.dir)
	return t, err
}

func (r mariadbRecipe) prepare(ctx context.Context, n *node) error {
	template, err := n.template(ctx, "mariadb", func(dir string) error { return r.initialize(ctx, n, dir) })
	if err != nil {
		return err
	}
	data := filepath.Join(n.dir, "data")
	if err := copyTemplate(ctx, filepath.Join(template, "data"), data); err != nil {
		return err
	}
	return n.inst.place.write(filepath.Join(n.dir, "my.cnf"), r.config(n, data, n.config()))
}

// initialize does what mariadb-install-db does. That is a shell script, and
// the server that it starts would get the host's loader.
func (r mariadbRecipe) initialize(ctx context.Context, n *node, dir string) error {
	data := filepath.Join(dir, "data")
	for _, d := range []string{data, filepath.Join(data, "mysql")} {
		if err := n.inst.place.own(d); err != nil {
			return err
		}
	}
	script := strings.Builder{}
	script.WriteString("CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n")
	share := filepath.Join(n.inst.tree.dir, "usr/share/mysql")
	for _, name := range []string{"system_tables", "performance_tables", "system_tables_data"} {
		b, err := os.ReadFile(filepath.Join(share, "mysql_"+name+".sql"))
		if err != nil {
			return fmt.Errorf("read MariaDB's system tables: %w", err)
		}
		script.Write(b)
		script.WriteString("\n")
	}
	// Accounts can be made only once the tables that hold them are loaded.
	script.WriteString("FLUSH PRIVILEGES;\n" + mysqlAccount)
	conf := filepath.Join(n.dir, "init.cnf")
	if err := n.inst.place.write(conf, r.config(n, data, nil)); err != nil {
		return err
	}
	return n.runAs(ctx, script.String(), append(r.command(n), "--defaults-file="+conf, "--bootstrap", "--skip-log-bin"))
}

func (mariadbRecipe) command(n *node) []string {
	return append(debLoader(n.inst.tree.dir), filepath.Join(n.inst.tree.dir, mariadbd))
}

func (mariadbRecipe) config(n *node, data string, extra []string) string {
	usr := filepath.Join(n.inst.tree.dir, "usr")
	share := filepath.Join(usr, "share/mysql")
	lines := []string{
		"[mariadbd]",
		"basedir=" + usr,
		"lc-messages-dir=" + share,
		"character-sets-dir=" + filepath.Join(share, "charsets"),
		"plugin-dir=" + filepath.Join(usr, "lib/mysql/plugin"),
		"datadir=" + data,
		"pid-file=" + filepath.Join(n.dir, "pid"),
		"socket=mariadbd.sock",
		fmt.Sprintf("port=%d", n.port()),
		"bind-address=127.0.0.1",
		"skip-name-resolve",
		"max-connections=300",
		"server-id=2",
		"gtid-domain-id=0",
		"gtid-strict-mode=ON",
		"log-bin=mybin",
		"binlog-format=ROW",
		"binlog-row-image=FULL",
		"binlog-row-metadata=FULL",
		"binlog-annotate-row-events=ON",
		"innodb-buffer-pool-size=64M",
	}
	if n.inst.spec.Durable {
		lines = append(lines, "sync-binlog=1")
	} else {
		lines = append(lines, "innodb-flush-log-at-trx-commit=0", "innodb-doublewrite=OFF")
	}
	return strings.Join(append(lines, extra...), "\n") + "\n"
}

func (r mariadbRecipe) program(n *node) program {
	return program{argv: append(r.command(n), "--defaults-file="+filepath.Join(n.dir, "my.cnf")), dir: n.dir}
}

func (mariadbRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged("ready for connections")
}

func (mariadbRecipe) settle(context.Context, *instance) error { return nil }
func (mariadbRecipe) ports() int                              { return 1 }
func (mariadbRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }
