package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/integration/servers"
)

// TestMain lets the test binary play a user of the servers in a process of its
// own, since leases belong to processes.
func TestMain(m *testing.M) {
	if os.Getenv("SERVERS_TEST_USER") != "" {
		if err := user(context.Background()); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections() // of this package's tests
	// Users of the package must be able to look for leaks of their own, so it
	// may not leave goroutines itself.
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// user prints where the shared Redis and an own one are, then waits for the
// end of its input.
func user(ctx context.Context) error {
	run, err := servers.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }()
	shared, err := run.Redis(ctx)
	if err != nil {
		return err
	}
	own, err := run.StartRedis(ctx)
	if err != nil {
		return err
	}
	fmt.Println(shared.Port, own.Port)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child is a running user.
type child struct {
	cmd         *exec.Cmd
	stdin       io.Closer
	shared, own int // ports
}

// begin starts users in a run directory of the test, all at once.
func begin(t *testing.T, dir string, n int) []*child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	children := make([]*child, n)
	outs := make([]io.Reader, n)
	for i := range children {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), "SERVERS_TEST_USER=1", "PENSTOCK_SERVERS_DIR="+dir,
			"PENSTOCK_SERVERS_LINGER=100ms", "PENSTOCK_TEST_REDIS=")
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if outs[i], err = cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children[i] = &child{cmd: cmd, stdin: stdin}
		t.Cleanup(func() { // of a failed test
			_ = stdin.Close()
			_ = cmd.Wait()
		})
	}
	for i, c := range children {
		line, err := bufio.NewReader(outs[i]).ReadString('\n')
		if err != nil {
			t.Fatalf("user %d: %v", i, err)
		}
		if _, err := fmt.Sscan(line, &c.shared, &c.own); err != nil {
			t.Fatalf("user %d said %q", i, line)
		}
	}
	return children
}

// runDirectory makes a run directory that the servers' user can reach, which
// the directories of testing.T are not.
func runDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "penstock-servers-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSupervisor_ServersEndWithTheirUsers(t *testing.T) {
	t.Parallel()
	dir := runDirectory(t)
	users := begin(t, dir, 2)
	if users[0].shared != users[1].shared {
		t.Errorf("two processes that came at once got two shared servers: %d and %d", users[0].shared, users[1].shared)
	}
	if users[0].own == users[1].own {
		t.Errorf("two processes share an own server: %d", users[0].own)
	}
	// What kill -9 of a test must leave: nothing of its own, all that is shared.
	if err := users[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = users[0].cmd.Wait()
	until(t, "the killed user's own server is gone", func() bool { return !redisAt(users[0].own) })
	if !redisAt(users[0].shared) || !redisAt(users[1].own) {
		t.Error("a server of the living user ended with the killed one")
	}
	// The last user takes all with it.
	_ = users[1].stdin.Close()
	if err := users[1].cmd.Wait(); err != nil {
		t.Error(err)
	}
	until(t, "the shared server is gone", func() bool { return !redisAt(users[1].shared) })
	until(t, "the supervisor has cleaned up", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "v*"))
		return err == nil && len(left) == 1 && strings.HasSuffix(left[0], ".lock")
	})
}

func TestSupervisor_ServersEndWhenItIsKilled(t *testing.T) {
	t.Parallel()
	dir := runDirectory(t)
	users := begin(t, dir, 1)
	if err := syscall.Kill(supervisorOf(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "its servers are gone", func() bool { return !redisAt(users[0].own) && !redisAt(users[0].shared) })
	_ = users[0].stdin.Close()
	_ = users[0].cmd.Wait()
	// What it left behind does not disturb the next.
	next := begin(t, dir, 1)
	if !redisAt(next[0].own) || !redisAt(next[0].shared) {
		t.Error("no servers after a supervisor was killed")
	}
	_ = next[0].stdin.Close()
	if err := next[0].cmd.Wait(); err != nil {
		t.Error(err)
	}
	until(t, "the servers are gone", func() bool { return !redisAt(next[0].own) && !redisAt(next[0].shared) })
}

// supervisorOf finds the process whose program lies in the run directory.
func supervisorOf(t *testing.T, dir string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if exe, err := os.Readlink(l); err == nil && exe == filepath.Join(dir, "servers") {
			var pid int
			if _, err := fmt.Sscanf(l, "/proc/%d/exe", &pid); err == nil {
				return pid
			}
		}
	}
	t.Fatalf("no supervisor of %s", dir)
	return 0
}

// redisAt reports whether a Redis answers, if only to ask for the password.
func redisAt(port int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s := &servers.RedisServer{Address: servers.Address{Host: "127.0.0.1", Port: port}}
	_, err := s.Do(ctx, "PING")
	return err == nil || strings.Contains(err.Error(), "NOAUTH")
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestEnvironment_GivesTheServer(t *testing.T) {
	s := servers.Redis(t)
	t.Setenv("PENSTOCK_TEST_REDIS", s.URL())
	given := servers.Redis(t)
	if given.Addr() != s.Addr() || given.Password != s.Password || given.Prefix == s.Prefix {
		t.Errorf("got %+v, want the server at %s", given, s.Addr())
	}
	if _, err := given.Do(t.Context(), "PING"); err != nil {
		t.Error(err)
	}
	if err := given.Kill(t.Context()); !errors.Is(err, servers.ErrShared) {
		t.Errorf("a server out of the environment may be killed: %v", err)
	}

	run, err := servers.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"PENSTOCK_TEST_POSTGRES":      "postgres://u:secret@db.example:6543/shop",
		"PENSTOCK_TEST_MYSQL":         "u:secret@db.example",
		"PENSTOCK_TEST_MONGODB":       "mongodb://u:secret@m1.example:27018,m2.example:27019/?replicaSet=x",
		"PENSTOCK_TEST_KAFKA":         "k1.example:9093,k2.example:9093",
		"PENSTOCK_TEST_ELASTICSEARCH": "https://u:secret@es.example:9243",
		"PENSTOCK_TEST_REGISTRY":      "http://sr.example:8081/",
	} {
		t.Setenv(variable, value)
	}
	endpoints, err := run.Endpoints(t.Context(), "postgres", "mysql", "mongodb", "kafka", "elasticsearch", "registry")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"postgres://u:secret@db.example:6543/shop?sslmode=disable",
		"mysql://u:secret@db.example:3306/",
		"mongodb://u:secret@m1.example:27018,m2.example:27019/?replicaSet=x",
		"k1.example:9093,k2.example:9093",
		"https://u:secret@es.example:9243",
		"http://sr.example:8081",
	} {
		if endpoints[i].URL != want {
			t.Errorf("%s is at %s, want %s", endpoints[i].Name, endpoints[i].URL, want)
		}
	}
	t.Setenv("PENSTOCK_TEST_MYSQL", "mysql://u:secret@db.example:port")
	if _, err := run.MySQL(t.Context()); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "PENSTOCK_TEST_MYSQL") {
		t.Errorf("a malformed address: %v", err)
	}
}
