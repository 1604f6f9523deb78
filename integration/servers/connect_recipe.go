package servers

import (
	"context"
	_ "embed" // the worker's poms and checksums
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// connectVersion names Kafka's release and Debezium's.
const connectVersion = kafkaVersion + "+debezium-3.6.1.Final"

//go:embed connect.pom.xml
var connectPOM string

//go:embed connect_plugin.pom.xml
var connectPluginPOM string

// connectSums is the output of sha256sum over the jars that the poms stand
// for.
//
//go:embed connect.sum
var connectSums string

// connectRecipe runs one worker of Kafka Connect with Debezium's connectors
// for PostgreSQL and MySQL. Its brokers, its group and its topics are the
// user's to say.
type connectRecipe struct{}

func (connectRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("connect-" + connectVersion), version: connectVersion}
	if err := st.java(ctx); err != nil {
		return t, err
	}
	return t, st.once(ctx, t.dir, func(tmp string) error {
		st.say("fetching Kafka Connect and Debezium %s", connectVersion)
		if err := st.jars(ctx, connectPOM, filepath.Join(tmp, "libs")); err != nil {
			return fmt.Errorf("fetch Kafka Connect: %w", err)
		}
		for _, connector := range []string{"mysql", "postgres"} {
			pom := strings.ReplaceAll(connectPluginPOM, "CONNECTOR", connector)
			if err := st.jars(ctx, pom, filepath.Join(tmp, "plugins", "debezium-"+connector)); err != nil {
				return fmt.Errorf("fetch Debezium for %s: %w", connector, err)
			}
		}
		return verifyAll(tmp, connectSums)
	})
}

func (connectRecipe) prepare(_ context.Context, n *node) error {
	if err := n.inst.place.write(filepath.Join(n.dir, "log4j2.properties"), kafkaLogging); err != nil {
		return err
	}
	lines := []string{
		fmt.Sprintf("listeners=http://127.0.0.1:%d", n.port()),
		"rest.advertised.host.name=127.0.0.1",
		"plugin.path=" + filepath.Join(n.inst.tree.dir, "plugins"),
		"plugin.discovery=service_load",
		"config.storage.replication.factor=1",
		"offset.storage.replication.factor=1",
		"offset.storage.partitions=1",
		"status.storage.replication.factor=1",
		"status.storage.partitions=1",
	}
	return n.inst.place.write(filepath.Join(n.dir, "connect.properties"), strings.Join(append(lines, n.config()...), "\n")+"\n")
}

func (connectRecipe) program(n *node) program {
	return program{
		argv: []string{
			javaCommand(), "-Xmx512m", "-Dlog4j2.configurationFile=" + filepath.Join(n.dir, "log4j2.properties"),
			"-cp", filepath.Join(n.inst.tree.dir, "libs", "*"),
			"org.apache.kafka.connect.cli.ConnectDistributed", filepath.Join(n.dir, "connect.properties"),
		},
		dir: n.dir,
	}
}

func (connectRecipe) ready(ctx context.Context, n *node) bool {
	return httpOK(ctx, fmt.Sprintf("http://127.0.0.1:%d/connectors", n.port()))
}

func (connectRecipe) settle(context.Context, *instance) error { return nil }
func (connectRecipe) ports() int                              { return 1 }
func (connectRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }
