package main

import (
	"bytes"
	"context"
	_ "embed" // what to fetch
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/penstock/penstock/integration/servers"
)

// A real Debezium on Kafka Connect, fetched by Maven.
const (
	kafkaVersion    = "4.1.1"
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

// fetchPeer returns the folder with libs and plugins; what is there is kept.
func fetchPeer(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, "connect-"+kafkaVersion+"-debezium-"+debeziumVersion)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("fetch Debezium: there is no mvn: apt-get install --no-install-recommends maven default-jre-headless")
	}
	one := func(pom, out string, values map[string]string) error {
		work, err := os.MkdirTemp("", "penstock-peer-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(work) }() // scratch
		t, err := template.New("pom").Parse(pom)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, values); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(work, "pom.xml"), b.Bytes(), 0o644); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, out))
		cmd.Dir = work
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("fetch %s: %w\n%s", out, err, text)
		}
		return nil
	}
	if err := one(connectPOM, "libs", map[string]string{"Kafka": kafkaVersion}); err != nil {
		return "", err
	}
	for _, db := range []string{"postgres", "mysql"} {
		if err := one(connectorPOM, filepath.Join("plugins", "debezium-"+db), map[string]string{"Database": db, "Debezium": debeziumVersion}); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644)
}

// startPeer starts a Kafka Connect worker with Debezium's connectors, with the
// heap and collector of Kafka's own scripts.
func startPeer(ctx context.Context, dir, cache, rest string, kafka *servers.KafkaServer) (*worker, error) {
	libs, err := fetchPeer(ctx, cache)
	if err != nil {
		return nil, err
	}
	t, err := template.New("connect").Parse(connectProperties)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{
		"Brokers": strings.Join(kafka.Brokers(), ","), "Rest": rest, "Plugins": filepath.Join(libs, "plugins"),
	})
	if err != nil {
		return nil, err
	}
	properties, logging := filepath.Join(dir, "connect.properties"), filepath.Join(dir, "log4j2.properties")
	if err := os.WriteFile(properties, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(logging, []byte(connectLogging), 0o600); err != nil {
		return nil, err
	}
	return launch(ctx, theirs, rest, filepath.Join(dir, "connect.log"), nil, []string{
		"java", "-Xms256m", "-Xmx2g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-Dlog4j2.configurationFile=" + logging, "-cp", filepath.Join(libs, "libs", "*"),
		"org.apache.kafka.connect.cli.ConnectDistributed", properties,
	})
}
