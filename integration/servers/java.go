package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// minJava is the oldest Java that Kafka 4 and Elasticsearch 8 run on.
const minJava = 17

// java makes sure that the host has a Java runtime that is new enough.
func (st *store) java(ctx context.Context) error {
	if err := st.host(ctx, "java", "default-jre-headless"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask java for its version: %w\n%s", err, out)
	}
	if v := javaMajor(string(out)); v < minJava {
		return fmt.Errorf("java in PATH is version %d, at least %d is needed: put a newer one first in PATH (apt-get install default-jre-headless)", v, minJava)
	}
	return nil
}

var javaVersion = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// javaMajor reads the answer of java -version; 0 when it is not understood.
func javaMajor(text string) int {
	m := javaVersion.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return v
}

// javaCommand is the host's java by its full path, symbolic links resolved,
// because servers get an environment of their own.
func javaCommand() string {
	path, err := exec.LookPath("java")
	if err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return path
		}
	}
	return "/usr/bin/java" // install has checked; the start will say if it is gone
}

// javaHome is the directory above bin/java.
func javaHome() string { return filepath.Dir(filepath.Dir(javaCommand())) }
