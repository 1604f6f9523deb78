//go:build !unix

package kafka

import (
	"errors"
	"runtime"
)

type dirLock struct{}

func lockDir(string) (*dirLock, error) {
	return nil, errors.New("it does not run on " + runtime.GOOS + "; set bootstrap.servers to a Kafka cluster")
}

func (*dirLock) release() error { return nil }
