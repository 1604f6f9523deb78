package sinks

import (
	"errors"
	"fmt"
)

func writeErrorText(e *WriteError) string {
	if len(e.Failed) == 1 {
		return fmt.Sprintf("record %d of the batch: %v", e.Failed[0].Index, e.Failed[0].Err)
	}
	return fmt.Sprintf("%d records of the batch, the first of them %d: %v", len(e.Failed), e.Failed[0].Index, e.Failed[0].Err)
}

// permanentError marks an error that a retry does not mend.
type permanentError struct{ err error }

// Permanent marks an error of Open or Write that trying again cannot mend: bad
// configuration, refused credentials. The task is FAILED then.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Error returns the error's own text.
func (e *permanentError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent reports whether an error in the chain was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}
