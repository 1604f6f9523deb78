package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// host makes sure that a command of the host exists, installing the Debian
// package that has it when we may.
func (st *store) host(ctx context.Context, command, pkg string) error {
	if _, err := exec.LookPath(command); err == nil {
		return nil
	}
	return st.hostPackage(ctx, pkg, "the command "+command)
}

// hostPackage installs a package on the host.
func (st *store) hostPackage(ctx context.Context, pkg, what string) error {
	if st.place.as == nil {
		return fmt.Errorf("%s is missing; run: sudo apt-get install --no-install-recommends %s", what, pkg)
	}
	unlock, err := lock(ctx, filepath.Join(st.place.cache, "apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	st.say("installing %s on this machine for %s", pkg, what)
	for _, args := range [][]string{
		{"update", "-qq"},
		{"install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", pkg},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := run(cmd); err != nil {
			return fmt.Errorf("install %s (repeat by hand: apt-get install --no-install-recommends %s): %w", what, pkg, err)
		}
	}
	return nil
}

// debroot unpacks packages of any Debian suite into a directory and runs
// programs there with the suite's own loader and C library. The host's apt
// sources, package lists, dpkg status and libraries are not touched, and root
// is not needed. Debian's signatures are checked by apt as always.
type debroot struct {
	suite    string
	packages []string       // unpacked always
	want     *regexp.Regexp // names of dependencies that are unpacked too
	skip     *regexp.Regexp // of those, the ones that are not; may be nil
}

const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// unpack fills dir.
func (d debroot) unpack(ctx context.Context, st *store, dir string) error {
	state := filepath.Join(st.place.cache, "debroot", d.suite)
	for _, sub := range []string{"lists/partial", "archives/partial", "pool"} {
		if err := mkdirOpen(filepath.Join(state, sub)); err != nil {
			return err
		}
	}
	unlock, err := lock(ctx, state+".lock") // one apt-get at a time on these lists
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.sources(state); err != nil {
		return err
	}
	st.say("reading the package list of Debian %s", d.suite)
	if _, err := d.apt(ctx, state, "update"); err != nil {
		return err
	}
	names, err := d.closure(ctx, state)
	if err != nil {
		return err
	}
	st.say("fetching %d packages of Debian %s for %s", len(names), d.suite, strings.Join(d.packages, ", "))
	pool, err := os.MkdirTemp(filepath.Join(state, "pool"), "")
	if err != nil {
		return fmt.Errorf("create package pool: %w", err)
	}
	defer func() { _ = os.RemoveAll(pool) }()
	if _, err := d.aptIn(ctx, pool, state, append([]string{"download"}, names...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(pool, "*.deb"))
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	for _, deb := range debs {
		if err := run(exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir)); err != nil {
			return err
		}
	}
	return nil
}

// sources writes the private source list and the empty dpkg status.
func (d debroot) sources(state string) error {
	mirror, err := debianMirror()
	if err != nil {
		return err
	}
	line := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", debianKeyring, mirror, d.suite)
	if err := os.WriteFile(filepath.Join(state, "sources.list"), []byte(line), 0o644); err != nil {
		return fmt.Errorf("write package sources: %w", err)
	}
	if err := os.WriteFile(filepath.Join(state, "status"), nil, 0o644); err != nil {
		return fmt.Errorf("write package status: %w", err)
	}
	return nil
}

// closure lists the wanted packages and those of their dependencies that the
// patterns let in. The dpkg status is empty, so it holds the C library too.
func (d debroot) closure(ctx context.Context, state string) ([]string, error) {
	out, err := d.apt(ctx, state, append([]string{"install", "-y", "--print-uris"}, d.packages...)...)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(d.packages)
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // 'URI' name_version_arch.deb size hash
		if len(f) < 2 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		name, _, _ := strings.Cut(f[1], "_")
		if d.want.MatchString(name) && (d.skip == nil || !d.skip.MatchString(name)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d debroot) apt(ctx context.Context, state string, args ...string) (string, error) {
	return d.aptIn(ctx, state, state, args...)
}

// aptIn runs apt-get on the private state; dir is where downloads land.
func (d debroot) aptIn(ctx context.Context, dir, state string, args ...string) (string, error) {
	options := []string{"-qq"}
	for _, o := range []string{
		"Dir::Etc::sourcelist=" + filepath.Join(state, "sources.list"),
		"Dir::Etc::sourceparts=/dev/null",
		"Dir::Etc::preferences=/dev/null",
		"Dir::Etc::preferencesparts=/dev/null",
		"Dir::State=" + state,
		"Dir::State::lists=" + filepath.Join(state, "lists"),
		"Dir::State::status=" + filepath.Join(state, "status"),
		"Dir::Cache=" + state,
		"Dir::Cache::archives=" + filepath.Join(state, "archives"),
		"APT::Install-Recommends=false",
		"APT::Architecture=amd64",
		"APT::Sandbox::User=root",
		"Acquire::Languages=none",
		"Acquire::Retries=3",
		// A mirror that lags will do: the signatures hold all the same, and
		// these programs need not be the newest.
		"Acquire::Check-Valid-Until=false",
		// Pictures and descriptions of desktop programs are half of an index.
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	} {
		options = append(options, "-o", o)
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("apt-get %s of Debian %s: %w\n%s", args[0], d.suite, err, lastLines(errs.String(), 20))
	}
	return string(out), nil
}

// debianMirror reads the host's package sources for the mirror it uses.
func debianMirror() (string, error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	for _, file := range append(files, "/etc/apt/sources.list") {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if m := mirrorIn(string(b)); m != "" {
			return m, nil
		}
	}
	return "", errors.New("no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d; this server comes from Debian's packages: run on Debian, or give a server's address (PENSTOCK_TEST_MYSQL and the like)")
}

// mirrorIn finds the first Debian archive in either format of apt sources.
func mirrorIn(sources string) string {
	for line := range strings.Lines(sources) {
		f := strings.Fields(line)
		if len(f) < 2 || (f[0] != "URIs:" && f[0] != "deb") {
			continue
		}
		for _, w := range f[1:] {
			if strings.Contains(w, "://") && strings.HasSuffix(strings.TrimSuffix(w, "/"), "/debian") {
				return w
			}
		}
	}
	return ""
}

// debLoader is the command line that runs a program of a tree by the tree's
// own loader; the program's path comes after it. A program that such a program
// starts itself would get the host's loader, so it must not start any.
// Releases before Debian 13 have the C library in /lib, later ones in /usr/lib.
func debLoader(tree string) []string {
	lib, usr := filepath.Join(tree, "lib/x86_64-linux-gnu"), filepath.Join(tree, "usr/lib/x86_64-linux-gnu")
	const loader = "ld-linux-x86-64.so.2"
	for _, dir := range []string{lib, usr} {
		if path := filepath.Join(dir, loader); exists(path) {
			return []string{path, "--library-path", usr + ":" + lib}
		}
	}
	return []string{filepath.Join(usr, loader), "--library-path", usr} // not there: to start it will fail and say so
}

// missingLibraries asks the loader what a program of a tree lacks.
func missingLibraries(ctx context.Context, tree, program string) ([]string, error) {
	l := debLoader(tree)
	argv := append([]string{l[0], "--list"}, append(l[1:], filepath.Join(tree, program))...)
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	var missing []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "not found") {
			missing = append(missing, strings.Fields(line)[0])
		}
	}
	if len(missing) == 0 && err != nil {
		return nil, fmt.Errorf("list the libraries of %s: %w\n%s", program, err, out)
	}
	return missing, nil
}
