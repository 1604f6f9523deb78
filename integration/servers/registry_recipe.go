package servers

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
)

const registryVersion = "2.6.13.Final"

// registryRecipe runs Apicurio Registry, which speaks the API of Confluent's
// schema registry. It keeps its schemas in memory: a restart forgets them.
type registryRecipe struct{}

func (registryRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("registry-" + registryVersion), version: registryVersion}
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
			coordinates: "io.apicurio:apicurio-registry-app:" + registryVersion + ":tar.gz:all",
			file:        "apicurio-registry-app-" + registryVersion + "-all.tar.gz",
			sum:         "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
		}.fetch(ctx, st, dir)
		if err != nil {
			return err
		}
		return st.untar(ctx, file, tmp)
	})
}

func (registryRecipe) prepare(context.Context, *node) error { return nil }

func (registryRecipe) program(n *node) program {
	argv := []string{
		javaCommand(), "-Xmx384m",
		"-Dquarkus.http.host=127.0.0.1",
		fmt.Sprintf("-Dquarkus.http.port=%d", n.port()),
		"-Djava.io.tmpdir=" + n.dir,
	}
	for _, line := range n.config() {
		argv = append(argv, "-D"+strings.TrimPrefix(line, "-D"))
	}
	jar := "apicurio-registry-app-" + registryVersion + "-runner.jar"
	return program{argv: append(argv, "-jar", filepath.Join(n.inst.tree.dir, jar)), dir: n.dir}
}

func (registryRecipe) ready(ctx context.Context, n *node) bool {
	return httpOK(ctx, fmt.Sprintf("http://127.0.0.1:%d%s/subjects", n.port(), registryPath))
}

// registryPath is where the schema registry's API begins.
const registryPath = "/apis/ccompat/v7"

// settle sets the compatibility level that Confluent's registry starts with;
// Apicurio starts with none.
func (registryRecipe) settle(ctx context.Context, i *instance) error {
	url := fmt.Sprintf("http://127.0.0.1:%d%s/config", i.nodes[0].port(), registryPath)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(`{"compatibility":"BACKWARD"}`))
	if err != nil {
		return fmt.Errorf("make request for the registry: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("set the compatibility level: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("set the compatibility level: %s", resp.Status)
	}
	return nil
}

func (registryRecipe) ports() int                 { return 1 }
func (registryRecipe) stopSignal() syscall.Signal { return syscall.SIGTERM }
