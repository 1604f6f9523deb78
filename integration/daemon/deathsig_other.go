//go:build !linux

package daemon

import "syscall"

func deathSignal() *syscall.SysProcAttr { return nil }
