package sinks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/converters"
)

func writeErrorText(e *WriteError) string {
	if len(e.Failed) == 1 {
		return fmt.Sprintf("record %d of the batch: %v", e.Failed[0].Index, e.Failed[0].Err)
	}
	return fmt.Sprintf("%d records of the batch, the first of them %d: %v", len(e.Failed), e.Failed[0].Index, e.Failed[0].Err)
}

// ErrHeldBack is the error of a record that was not tried because an earlier
// one of the same key was not applied. It is always Retriable, and waiting for
// the other does not use up errors.retry.timeout.
var ErrHeldBack = errors.New("held back behind an earlier record of the same key")

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

// IsPermanent reports whether an error in the chain was marked by Permanent or
// is a *RecordFailure: the task is FAILED until somebody restarts it.
func IsPermanent(err error) bool {
	var p *permanentError
	var r *RecordFailure
	return errors.As(err, &p) || errors.As(err, &r)
}

// refusedError marks an error about some record's content.
type refusedError struct{ err error }

// Refused marks an error of Write that says that the content of one or more
// of the records is refused for good, by a destination that does not say which
// ones. The task finds them by writing ever smaller parts of the batch.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return &refusedError{err}
}

// Error returns the error's own text.
func (e *refusedError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *refusedError) Unwrap() error { return e.err }

// The stages at which a record may fail, by Kafka Connect's names for them
// (org.apache.kafka.connect.runtime.errors.Stage).
const (
	StagePut             = "TASK_PUT"
	StageTransformation  = "TRANSFORMATION"
	StageKeyConverter    = "KEY_CONVERTER"
	StageValueConverter  = "VALUE_CONVERTER"
	StageHeaderConverter = "HEADER_CONVERTER"
)

// Java's names of the classes that Kafka Connect would show in their place.
// Tools that read a dead letter queue match on them.
const (
	classSinkTask         = "org.apache.kafka.connect.sink.SinkTask"
	classDataException    = "org.apache.kafka.connect.errors.DataException"
	classConnectException = "org.apache.kafka.connect.errors.ConnectException"
)

// JavaError is an error that knows which Java class Kafka Connect's users know
// it by.
type JavaError interface {
	error
	JavaClass() string
}

// RecordFailure is the error of a task that ended because a record failed and
// failures are not tolerated. The record's offset is not passed.
type RecordFailure struct { //nolint:errname // the failure of a record, which ends a task
	Topic     string
	Partition int32
	Offset    int64
	// Stage is where it failed, and Class the Java name of what failed there.
	Stage, Class string
	Err          error
}

// Error names the record and the cause.
func (e *RecordFailure) Error() string {
	return fmt.Sprintf("record at topic %s, partition %d, offset %d failed in stage %s: %v", e.Topic, e.Partition, e.Offset, e.Stage, e.Err)
}

// Unwrap returns the cause.
func (e *RecordFailure) Unwrap() error { return e.Err }

// Trace renders the error in the shape of Kafka Connect's traces: the first
// line is what ended the task, the last "Caused by" the root of it.
func (e *RecordFailure) Trace() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: Tolerance exceeded in error handler: record at topic %s, partition %d, offset %d failed in stage %s (%s)\n",
		classConnectException, e.Topic, e.Partition, e.Offset, e.Stage, e.Class)
	writeChain(&b, "Caused by: ", e.Stage, e.Err)
	return b.String()
}

// exception returns what a record's error is shown as: a Java class and the
// message.
func exception(stage string, err error) (class, message string) {
	var data *converters.DataError
	if errors.As(err, &data) {
		return classDataException, data.Message
	}
	var j JavaError
	if errors.As(err, &j) {
		return j.JavaClass(), err.Error()
	}
	if stage == StagePut {
		return classConnectException, err.Error()
	}
	return classDataException, err.Error()
}

// stackTrace renders an error as Java prints a stack trace, with a line for
// each error of the chain in place of the frames that there are not.
func stackTrace(stage string, err error) string {
	var b strings.Builder
	writeChain(&b, "", stage, err)
	return b.String()
}

func writeChain(b *strings.Builder, prefix, stage string, err error) {
	class, message := exception(stage, err)
	fmt.Fprintf(b, "%s%s: %s\n", prefix, class, message)
	var data *converters.DataError
	if errors.As(err, &data) {
		if data.Field != "" {
			fmt.Fprintf(b, "\tat field %s\n", data.Field)
		}
		err = data
	}
	last := message
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		text := cause.Error()
		if text == last {
			continue // only a mark around the next
		}
		last = text
		fmt.Fprintf(b, "Caused by: %s: %s\n", causeClass(cause), text)
	}
}

func causeClass(err error) string {
	// Asked of this one error only, not of the chain below it.
	if j, ok := err.(JavaError); ok { //nolint:errorlint // each error of the chain is shown by its own class
		return j.JavaClass()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
}
