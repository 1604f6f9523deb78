package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// place says where things are kept and who the servers run as.
type place struct {
	cache string // downloads, unpacked trees, data directory templates: kept
	run   string // socket, locks, data of running servers: gone with the run
	// as is the identity of server processes, nil for our own. PostgreSQL and
	// Elasticsearch refuse to run as root, so when we are root no server does.
	as *syscall.Credential
}

// locate finds the place from the environment and creates its directories.
func locate() (place, error) {
	var p place
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return p, fmt.Errorf("find the user that servers run as: %w", err)
		}
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		if err != nil {
			return p, fmt.Errorf("user id of nobody: %w", err)
		}
		gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
		if err != nil {
			return p, fmt.Errorf("group id of nobody: %w", err)
		}
		p.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	base, err := os.UserCacheDir() // $XDG_CACHE_HOME or ~/.cache
	if err != nil {
		return p, fmt.Errorf("find the cache directory (set XDG_CACHE_HOME): %w", err)
	}
	p.cache = filepath.Join(base, "penstock")
	if p.as != nil && !searchable(p.cache) {
		// Root's home is closed to the user that the servers run as, and a
		// server must be able to reach its own program and data.
		p.cache = "/var/cache/penstock"
	}
	p.run = filepath.Join(p.cache, "run")
	if dir := os.Getenv("PENSTOCK_SERVERS_DIR"); dir != "" {
		if p.run, err = filepath.Abs(dir); err != nil {
			return p, fmt.Errorf("PENSTOCK_SERVERS_DIR=%s: %w", dir, err)
		}
		if p.as != nil && !searchable(p.run) {
			return p, fmt.Errorf("PENSTOCK_SERVERS_DIR=%s: servers run as nobody and cannot get there; choose a directory whose parents are all open to others (chmod o+x)", dir)
		}
	}
	if n := len(p.socket()); n > 100 { // sun_path has 108 bytes
		return p, fmt.Errorf("the path of the socket %s is too long; set PENSTOCK_SERVERS_DIR to a shorter one", p.socket())
	}
	for _, dir := range []string{p.cache, p.run} {
		if err := mkdirOpen(dir); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p place) socket() string {
	return filepath.Join(p.run, fmt.Sprintf("v%d.sock", protocolVersion))
}

// searchable reports whether others may pass through every existing parent.
func searchable(path string) bool {
	for {
		if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}

// mkdirOpen makes dir and opens it to others, whatever the umask.
func mkdirOpen(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	if fi, err := os.Stat(dir); err == nil && fi.Mode().Perm()&0o001 != 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("open %s to the servers' user: %w", dir, err)
	}
	return nil
}

// own makes a private directory for a server process.
func (p place) own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	return p.chown(dir)
}

// chown hands a file to the servers' user.
func (p place) chown(path string) error {
	if p.as == nil {
		return nil
	}
	if err := os.Chown(path, int(p.as.Uid), int(p.as.Gid)); err != nil {
		return fmt.Errorf("hand %s to the servers' user: %w", path, err)
	}
	return nil
}

// write creates a file of the servers' user that nobody else reads.
func (p place) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return p.chown(path)
}

// lock takes an exclusive lock on a file, which the kernel drops when this
// process ends, and returns the function that gives it back.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("wait for lock %s: %w", path, ctx.Err())
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
