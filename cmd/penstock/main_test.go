package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
)

// invoke runs a command in this process.
func invoke(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	p := program{stdout: &out, stderr: &err, environ: environ}
	code = p.main(ctx, args)
	return code, out.String(), err.String()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		env    []string
		code   int
		stdout string
		stderr string
	}{
		{args: nil, code: exitUsage, stderr: "usage:"},
		{args: []string{"help"}, code: exitOK, stdout: "penstock run"},
		{args: []string{"nonsense"}, code: exitUsage, stderr: `no command "nonsense"`},
		{args: []string{"version"}, code: exitOK, stdout: "penstock "},
		{args: []string{"--version"}, code: exitOK, stdout: "penstock "},
		{args: []string{"version", "extra"}, code: exitUsage, stderr: "too many arguments"},
		{args: []string{"run", "--nonsense"}, code: exitUsage, stderr: "nonsense"},
		{args: []string{"run", "-h"}, code: exitOK, stderr: "-config"},
		{args: []string{"plugins"}, code: exitOK, stdout: "io.debezium.connector.postgresql.PostgresConnector"},
		{args: []string{"plugins", "postgres"}, code: exitOK, stdout: "slot.name"},
		{args: []string{"plugins", "MongoSink"}, code: exitOK, stdout: "connection.uri"},
		{args: []string{"plugins", "json"}, code: exitOK, stdout: "schemas.enable"},
		{args: []string{"plugins", "worker"}, code: exitOK, stdout: "penstock.data.dir"},
		{args: []string{"plugins", "nonsense"}, code: exitFailed, stderr: `no plugin "nonsense"`},
		{args: []string{"docs"}, code: exitUsage, stderr: "usage: penstock docs DIR"},
		{args: []string{"check"}, code: exitFailed, stderr: "no connectors are declared"},
		{args: []string{"check"}, env: []string{"PENSTOCK_LISTENERS=x", "PENSTOCK_REST_PORT=y"}, code: exitFailed, stderr: "penstock: Invalid value y for configuration rest.port"},
		{
			args: []string{"check"}, env: []string{`PENSTOCK_CONNECTOR_A={"connector.class":"file-source","topic":"t"}`, "PENSTOCK_GROUP_IDD=x"},
			code: exitOK, stdout: "worker: ok\n  warning: Unknown configuration \"group.idd\": did you mean \"group.id\"?\na: ok\n",
		},
		{
			args: []string{"check"}, env: []string{`PENSTOCK_CONNECTOR_A={"connector.class":"file-source"}`},
			code: exitFailed, stdout: "a: NOT OK\n  error: Missing required configuration \"topic\"",
		},
		{
			args: []string{"check"}, env: []string{`PENSTOCK_CONNECTOR_A={"connector.class":"nonsense"}`},
			code: exitFailed, stdout: "available connectors are: ",
		},
	} {
		code, stdout, stderr := invoke(t, c.env, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("penstock %s with %v: code %d, stdout:\n%s\nstderr:\n%s", strings.Join(c.args, " "), c.env, code, stdout, stderr)
		}
	}
}

// TestRun_EndsOnSIGTERM runs the real program.
func TestRun_EndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+"/penstock", ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	log := &logWatch{seen: make(chan struct{})}
	cmd := exec.CommandContext(ctx, dir+"/penstock", "run")
	cmd.Stderr = log
	cmd.Env = []string{"PENSTOCK_DATA_DIR=" + dir + "/data", "PENSTOCK_LISTENERS=http://127.0.0.1:0", "PENSTOCK_BROKER_LISTEN=127.0.0.1:" + port(t)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-log.seen:
	case <-ctx.Done():
		t.Errorf("it does not start: %s", log.text.String())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v: %s", err, log.text.String())
	}
	if !strings.Contains(log.text.String(), `"msg":"stopped"`) {
		t.Errorf("the log is no JSON or does not say that it stopped: %s", log.text.String())
	}
}

// logWatch says when the program answers requests.
type logWatch struct {
	text bytes.Buffer
	seen chan struct{}
	done bool
}

// Write is called by one goroutine, which cmd.Wait waits for.
func (l *logWatch) Write(b []byte) (int, error) {
	l.text.Write(b)
	if !l.done && strings.Contains(l.text.String(), "answering requests") {
		l.done = true
		close(l.seen)
	}
	return len(b), nil
}

func port(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(servers.FreePort(t))
}
