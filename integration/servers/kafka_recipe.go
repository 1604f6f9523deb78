package servers

import (
	"context"
	_ "embed" // the broker's pom and checksums
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

const kafkaVersion = "4.1.1"

//go:embed kafka.pom.xml
var kafkaPOM string

// kafkaSums is the output of sha256sum over the jars that the pom stands for.
//
//go:embed kafka.sum
var kafkaSums string

// kafkaRecipe runs one broker that is its own controller (KRaft).
type kafkaRecipe struct{}

func (kafkaRecipe) install(ctx context.Context, st *store, _ spec) (tree, error) {
	t := tree{dir: st.tree("kafka-" + kafkaVersion), version: kafkaVersion}
	if err := st.java(ctx); err != nil {
		return t, err
	}
	return t, st.once(ctx, t.dir, func(tmp string) error {
		st.say("fetching Apache Kafka %s", kafkaVersion)
		if err := st.jars(ctx, kafkaPOM, tmp); err != nil {
			return fmt.Errorf("fetch Apache Kafka: %w", err)
		}
		return verifyAll(tmp, kafkaSums)
	})
}

const kafkaLogging = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c{1})%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
`

func (r kafkaRecipe) prepare(ctx context.Context, n *node) error {
	logging := filepath.Join(n.dir, "log4j2.properties")
	if err := n.inst.place.write(logging, kafkaLogging); err != nil {
		return err
	}
	template, err := n.template(ctx, "kafka", func(dir string) error {
		conf := filepath.Join(n.dir, "format.properties")
		if err := n.inst.place.write(conf, r.config(n, filepath.Join(dir, "data"), nil)); err != nil {
			return err
		}
		return n.runAs(ctx, "", r.java(n, "-Xmx128m", "kafka.tools.StorageTool", "format",
			"-t", "cGVuc3RvY2stdGVzdHMtMQ", "-c", conf))
	})
	if err != nil {
		return err
	}
	data := filepath.Join(n.dir, "data")
	if err := copyTemplate(ctx, filepath.Join(template, "data"), data); err != nil {
		return err
	}
	return n.inst.place.write(filepath.Join(n.dir, "server.properties"), r.config(n, data, n.config()))
}

func (kafkaRecipe) config(n *node, data string, extra []string) string {
	broker, controller := n.ports[0], n.ports[1]
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller),
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", broker, controller),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", broker),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + data,
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"min.insync.replicas=1",
		"group.initial.rebalance.delay.ms=0",
		// A killed broker may come back only when its old session is over.
		"broker.session.timeout.ms=2000",
		"broker.heartbeat.interval.ms=500",
	}
	return strings.Join(append(lines, extra...), "\n") + "\n"
}

func (kafkaRecipe) java(n *node, heap string, args ...string) []string {
	return append([]string{
		javaCommand(), heap, "-Dlog4j2.configurationFile=" + filepath.Join(n.dir, "log4j2.properties"),
		"-cp", filepath.Join(n.inst.tree.dir, "*"),
	}, args...)
}

func (r kafkaRecipe) program(n *node) program {
	return program{
		argv: r.java(n, "-Xmx512m", "kafka.Kafka", filepath.Join(n.dir, "server.properties")),
		dir:  n.dir,
	}
}

func (kafkaRecipe) ready(_ context.Context, n *node) bool {
	p := n.process()
	return p != nil && p.logged("Kafka Server started")
}

func (kafkaRecipe) settle(context.Context, *instance) error { return nil }
func (kafkaRecipe) ports() int                              { return 2 }
func (kafkaRecipe) stopSignal() syscall.Signal              { return syscall.SIGTERM }
