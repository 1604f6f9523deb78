package daemon

import "syscall"

// deathSignal has the process killed when the test that started it dies, so
// that none is left behind.
func deathSignal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
