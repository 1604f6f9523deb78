package servers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const elasticsearchVersion = "8.19.7"

// elasticsearchRecipe runs the distribution that plugin authors test with: the
// real server with few modules. It has no painless, no scaled_float, no
// update or delete by query, no ingest processors and no answer to GET /.
type elasticsearchRecipe struct{}

func (elasticsearchRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("elasticsearch-" + elasticsearchVersion), version: elasticsearchVersion}
	if err := st.java(ctx); err != nil {
		return t, err
	}
	return t, st.once(ctx, t.dir, func(tmp string) error {
		dir, remove, err := st.scratch()
		if err != nil {
			return err
		}
		defer remove()
		file, err := artifact{
			coordinates: "org.elasticsearch.distribution.integ-test-zip:elasticsearch:" + elasticsearchVersion + ":zip",
			file:        "elasticsearch-" + elasticsearchVersion + ".zip",
			sum:         "cb7f86fb6e68e85ef6f531ae5c68458ecfe42371150403b22b2ed21381581cbb",
		}.fetch(ctx, st, dir)
		if err != nil {
			return err
		}
		return unzip(file, func(name string) string {
			_, rest, _ := strings.Cut(name, "/") // below elasticsearch-<version>
			if rest == "" || !filepath.IsLocal(rest) {
				return ""
			}
			return filepath.Join(tmp, rest)
		})
	})
}

func (elasticsearchRecipe) prepare(ctx context.Context, n *node) error {
	config := filepath.Join(n.dir, "config")
	if err := copyTemplate(ctx, filepath.Join(n.inst.tree.dir, "config"), config); err != nil {
		return err
	}
	// The server makes a keystore there, so all of it must be its own.
	if err := filepath.WalkDir(config, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return n.inst.place.chown(path)
	}); err != nil {
		return fmt.Errorf("hand over the configuration: %w", err)
	}
	if err := n.inst.place.own(filepath.Join(n.dir, "tmp")); err != nil {
		return err
	}
	lines := []string{
		"cluster.name: penstock",
		"node.name: node0",
		"network.host: 127.0.0.1",
		fmt.Sprintf("http.port: %d", n.ports[0]),
		fmt.Sprintf("transport.port: %d", n.ports[1]),
		"discovery.type: single-node",
		"xpack.security.enabled: false",
		"cluster.routing.allocation.disk.threshold_enabled: false",
		"action.destructive_requires_name: false",
		"path.data: " + filepath.Join(n.dir, "data"),
		"path.logs: " + filepath.Join(n.dir, "logs"),
	}
	lines = overrideYAML(lines, n.config())
	// It reads files in its configuration only: users, roles.yml.
	for name, content := range n.inst.spec.Files {
		if err := n.inst.place.write(filepath.Join(config, name), content); err != nil {
			return err
		}
	}
	return n.inst.place.write(filepath.Join(config, "elasticsearch.yml"), strings.Join(lines, "\n")+"\n")
}

// overrideYAML appends lines and removes earlier ones with the same key, which
// the server would refuse.
func overrideYAML(lines, extra []string) []string {
	for _, line := range extra {
		key, _, _ := strings.Cut(line, ":")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+":") })
		lines = append(lines, line)
	}
	return lines
}

// elasticsearchJVM trades top speed for a start in less than half the time:
// no second compiler, no parallel collector, no log of collections.
const elasticsearchJVM = "-Xms256m -Xmx512m -XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC" +
	" -Xlog:disable -Xlog:all=warning:stderr:utctime,level,tags"

func (elasticsearchRecipe) program(n *node) program {
	return program{
		argv: []string{filepath.Join(n.inst.tree.dir, "bin", "elasticsearch")},
		env: []string{
			"ES_JAVA_HOME=" + javaHome(),
			"ES_JAVA_OPTS=" + elasticsearchJVM,
			"ES_PATH_CONF=" + filepath.Join(n.dir, "config"),
			"ES_TMPDIR=" + filepath.Join(n.dir, "tmp"),
			"CLI_JAVA_OPTS=-Xmx64m",
		},
		dir: n.dir,
	}
}

// ready asks the server itself. Its log says started before the shards of an
// earlier run are back.
func (elasticsearchRecipe) ready(ctx context.Context, n *node) bool {
	var login *url.Userinfo
	if n.inst.spec.Files[elasticsearchUsers] != "" {
		login = url.UserPassword(elasticsearchAdmin, elasticsearchPassword)
	}
	u := url.URL{Scheme: "http", User: login, Host: fmt.Sprintf("127.0.0.1:%d", n.port()), Path: "/_cluster/health", RawQuery: "wait_for_status=yellow&timeout=1s"}
	return httpOK(ctx, u.String())
}

// httpOK reports whether a GET answers 200. The process is checked beside it,
// and the port is kept by us, so nobody else answers.
func httpOK(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (elasticsearchRecipe) settle(context.Context, *instance) error { return nil }
func (elasticsearchRecipe) ports() int                              { return 2 }
func (elasticsearchRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }
