package capture

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a bug that showed as a panic in one of a task's goroutines.
// It is permanent.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says that it is a bug.
func (e *PanicError) Error() string {
	return fmt.Sprintf("a bug in Penstock stopped the task: %v", e.Value)
}

// PanicStack returns the goroutine's stack.
func (e *PanicError) PanicStack() string { return string(e.Stack) }

// Guard calls f and returns a panic as an error, so that a bug in one
// connector fails its task and not the process with all others. Every
// goroutine that runs for a task goes through it.
func Guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Permanent(&PanicError{Value: p, Stack: debug.Stack()})
		}
	}()
	return f()
}
