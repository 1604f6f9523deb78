package main

import (
	"bytes"
	"context"
	_ "embed" // what to fetch, and how it is told
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/penstock/penstock/integration/daemon"
)

// The peer is a real Debezium on Kafka Connect, fetched by Maven.
const (
	connectVersion  = "4.1.1"
	debeziumVersion = "3.6.1.Final"
)

//go:embed peer/connect.pom.xml
var connectPOM string

//go:embed peer/connector.pom.xml
var connectorPOM string

//go:embed peer/connect.properties
var connectProperties string

//go:embed peer/log4j2.properties
var connectLogging string

// fetchPeer returns the folder of the peer's libraries and plugins, which it
// fills at the first call.
func fetchPeer(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	dir := filepath.Join(cache, "penstock", "debezium-"+debeziumVersion+"-connect-"+connectVersion)
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("the peer needs %s: apt-get install --no-install-recommends default-jre-headless maven: %w", program, err)
		}
	}
	fmt.Fprintln(os.Stderr, "fetching Debezium", debeziumVersion, "and Kafka Connect", connectVersion)
	if err := fetchJars(ctx, connectPOM, filepath.Join(dir, "libs"), map[string]string{"Kafka": connectVersion}); err != nil {
		return "", err
	}
	for _, database := range []string{"postgres", "mysql"} {
		err := fetchJars(ctx, connectorPOM, filepath.Join(dir, "plugins", "debezium-"+database), map[string]string{"Database": database, "Debezium": debeziumVersion})
		if err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(complete, nil, 0o644)
}

// fetchJars copies what a pom needs at run time into a folder.
func fetchJars(ctx context.Context, pom, into string, values map[string]string) (err error) {
	scratch, err := os.MkdirTemp("", "penstock-peer-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := writeTemplate(filepath.Join(scratch, "pom.xml"), pom, values); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+into)
	cmd.Dir = scratch
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch %s: %w\n%s", filepath.Base(into), err, out)
	}
	return nil
}

func writeTemplate(path, text string, values map[string]string) error {
	t, err := template.New(filepath.Base(path)).Option("missingkey=error").Parse(text)
	if err != nil {
		return fmt.Errorf("read the template of %s: %w", path, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return fmt.Errorf("fill in %s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// startPeer starts a Connect worker with the collector of Kafka's own scripts
// and the heap of 2 GB that they give it.
func (s *suite) startPeer(ctx context.Context) (*daemon.Daemon, error) {
	jars, err := fetchPeer(ctx)
	if err != nil {
		return nil, err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("the peer needs java: apt-get install --no-install-recommends default-jre-headless: %w", err)
	}
	dir, err := os.MkdirTemp(s.dir, "peer")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	port, err := s.servers.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	rest := fmt.Sprintf("127.0.0.1:%d", port)
	properties, logging := filepath.Join(dir, "connect.properties"), filepath.Join(dir, "log4j2.properties")
	err = errors.Join(
		writeTemplate(properties, connectProperties, map[string]string{
			"Brokers": strings.Join(s.kafka.Brokers(), ","), "REST": rest, "Plugins": filepath.Join(jars, "plugins"),
		}),
		os.WriteFile(logging, []byte(connectLogging), 0o600),
	)
	if err != nil {
		return nil, err
	}
	d := &daemon.Daemon{Path: java, Dir: dir, REST: rest, Args: []string{
		"-Xms256m", "-Xmx2g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-Dlog4j2.configurationFile=" + logging, "-cp", filepath.Join(jars, "libs", "*"),
		"org.apache.kafka.connect.cli.ConnectDistributed", properties,
	}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		return nil, errors.Join(err, d.Kill())
	}
	return d, nil
}

// peerSettings are what the peer's connectors need and Penstock's do not.
func peerSettings(brokers []string, id string) map[string]string {
	return map[string]string{
		"topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
		"schema.history.internal.kafka.bootstrap.servers": strings.Join(brokers, ","), "schema.history.internal.kafka.topic": "history." + id,
	}
}
