package kafka_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/penstock/penstock/kafka"
	"go.uber.org/goleak"
)

// brokerDirEnv makes the test binary run a broker on that directory instead of
// tests, until its standard input ends or it is killed.
const brokerDirEnv = "PENSTOCK_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDirEnv); dir != "" {
		if err := runBroker(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func runBroker(dir string) error {
	b, err := kafka.StartBroker(context.Background(), kafka.BrokerConfig{
		DataDir: dir, Listen: "127.0.0.1:0",
		// Compact all the time, so that kills hit that too.
		MaintenanceEvery: 20 * time.Millisecond, CompactAtLeast: 1,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, b.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return b.Close(ctx)
}
