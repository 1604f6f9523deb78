package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// mysqlRecipe runs Oracle's MySQL out of Debian's unstable suite, which is the
// only registry that carries the server. The version is therefore whatever
// that suite has on the day of the download; tests log it.
type mysqlRecipe struct{}

var (
	// mysqlLibraries are what mysqld links to. The whole closure would be half
	// as large again for nothing: perl, kerberos, ldap.
	mysqlLibraries = regexp.MustCompile(`^(libc6|libgcc-s1|libstdc\+\+6|zlib1g|libzstd1|liblz4-1|libxxhash0|libssl3.*|libicu.*|libprotobuf-lite.*|libaio1.*|libnuma1|libgoogle-perftools.*|libtcmalloc.*|libunwind8|liblzma5)$`)
	anyPackage     = regexp.MustCompile(`.`)
	perlPackages   = regexp.MustCompile(`^(perl|libperl)`)
)

const mysqld = "usr/sbin/mysqld"

func (mysqlRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("mysql")}
	err := st.once(ctx, t.dir, func(tmp string) error {
		d := debroot{suite: "sid", packages: []string{"mysql-server-core"}, want: mysqlLibraries}
		if err := d.unpack(ctx, st, tmp); err != nil {
			return err
		}
		missing, err := missingLibraries(ctx, tmp, mysqld)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			st.say("mysqld now needs %s as well: fetching all dependencies", strings.Join(missing, ", "))
			d.want, d.skip = anyPackage, perlPackages
			if err := d.unpack(ctx, st, tmp); err != nil {
				return err
			}
		}
		return recordVersion(ctx, tmp, "Ver", mysqld, "--no-defaults", "--version")
	})
	if err != nil {
		return t, err
	}
	t.version, err = recordedVersion(t.dir)
	return t, err
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+[-\w]*`)

// recordVersion asks a program of a tree for its version, which it says after
// the text that is given, and notes it in the tree.
func recordVersion(ctx context.Context, dir, after, program string, args ...string) error {
	argv := append(append(debLoader(dir), filepath.Join(dir, program)), args...)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w\n%s", program, err, out)
	}
	// The path of the program comes first and may hold digits too.
	_, text, _ := strings.Cut(string(out), after)
	v := versionNumber.FindString(text)
	if v == "" {
		return fmt.Errorf("%s did not say its version: %s", program, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(v), 0o644); err != nil {
		return fmt.Errorf("note version: %w", err)
	}
	return nil
}

func recordedVersion(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "VERSION"))
	if err != nil {
		return "", fmt.Errorf("read the version of an unpacked server (delete %s to fetch it anew): %w", dir, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// mysqlAccount makes the account of all tests. It may do everything, replicate
// included, from any address.
const mysqlAccount = `CREATE USER '` + serverUser + `'@'%' IDENTIFIED BY '` + serverPassword + `';
GRANT ALL PRIVILEGES ON *.* TO '` + serverUser + `'@'%' WITH GRANT OPTION;
`

func (r mysqlRecipe) prepare(ctx context.Context, n *node) error {
	template, err := n.template(ctx, "mysql", func(dir string) error {
		init := filepath.Join(n.dir, "init.sql")
		if err := n.inst.place.write(init, mysqlAccount); err != nil {
			return err
		}
		conf := filepath.Join(n.dir, "init.cnf")
		if err := n.inst.place.write(conf, r.config(n, filepath.Join(dir, "data"), nil)); err != nil {
			return err
		}
		argv := append(debLoader(n.inst.tree.dir), filepath.Join(n.inst.tree.dir, mysqld),
			"--defaults-file="+conf, "--initialize-insecure", "--init-file="+init, "--skip-log-bin")
		if err := n.runAs(ctx, "", argv); err != nil {
			return err
		}
		// It holds the server's identity, which copies must not share.
		return os.Remove(filepath.Join(dir, "data", "auto.cnf"))
	})
	if err != nil {
		return err
	}
	data := filepath.Join(n.dir, "data")
	if err := copyTemplate(ctx, filepath.Join(template, "data"), data); err != nil {
		return err
	}
	return n.inst.place.write(filepath.Join(n.dir, "my.cnf"), r.config(n, data, n.config()))
}

func (mysqlRecipe) config(n *node, data string, extra []string) string {
	share := filepath.Join(n.inst.tree.dir, "usr/share/mysql")
	lines := []string{
		"[mysqld]",
		"basedir=" + filepath.Join(n.inst.tree.dir, "usr"),
		"lc-messages-dir=" + share,
		"character-sets-dir=" + filepath.Join(share, "charsets"),
		"plugin-dir=" + filepath.Join(n.inst.tree.dir, "usr/lib/mysql/plugin"),
		"secure-file-priv=NULL", // Debian compiles in a directory that is not there
		"datadir=" + data,
		"pid-file=" + filepath.Join(n.dir, "pid"),
		// A relative socket stays below the 107 bytes that a socket's path may have.
		"socket=mysqld.sock",
		fmt.Sprintf("port=%d", n.port()),
		"bind-address=127.0.0.1",
		"mysqlx=OFF",
		"skip-name-resolve",
		"max_connections=300",
		"server-id=1",
		"log_bin=binlog",
		"binlog_format=ROW",
		"binlog_row_image=FULL",
		"binlog_row_metadata=FULL",
		"binlog_rows_query_log_events=ON",
		"gtid_mode=ON",
		"enforce_gtid_consistency=ON",
		"innodb_buffer_pool_size=64M",
		"innodb_redo_log_capacity=64M",
		"performance_schema=OFF",
	}
	if !n.inst.spec.Durable {
		lines = append(lines, "sync_binlog=0", "innodb_flush_log_at_trx_commit=0", "innodb_doublewrite=OFF")
	}
	return strings.Join(append(lines, extra...), "\n") + "\n"
}

func (mysqlRecipe) program(n *node) program {
	return program{
		argv: append(debLoader(n.inst.tree.dir), filepath.Join(n.inst.tree.dir, mysqld),
			"--defaults-file="+filepath.Join(n.dir, "my.cnf")),
		dir: n.dir,
	}
}

func (mysqlRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged("ready for connections")
}

func (mysqlRecipe) settle(context.Context, *instance) error { return nil }
func (mysqlRecipe) ports() int                              { return 1 }
func (mysqlRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }

// tools lets benchmarks run mysqlbinlog, which comes in the same package.
func (mysqlRecipe) tools(t tree) []string {
	return append(debLoader(t.dir), filepath.Join(t.dir, "usr/bin")+"/")
}
