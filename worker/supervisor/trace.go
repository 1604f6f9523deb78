package supervisor

import (
	"errors"
	"strings"

	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
)

// Java's classes of exceptions, which begin a trace.
const (
	classConnect = "org.apache.kafka.connect.errors.ConnectException"
	classConfig  = "org.apache.kafka.common.config.ConfigException"
)

// trace renders an error in the shape of Kafka Connect's traces: "class:
// message", then "Caused by" with the root. Secrets of the plan's
// configuration are not in it.
func trace(err error, plan *catalogue.Plan) string {
	text := traceOf(err)
	if plan != nil {
		text = plan.Redact(text)
	}
	return text
}

func traceOf(err error) string {
	var record *sinks.RecordFailure
	if errors.As(err, &record) {
		return record.Trace()
	}
	if stack, bug := isPanic(err); bug {
		return classConnect + ": " + err.Error() + "\n" + stack
	}
	class := classConnect
	var invalid *configError
	var reference *config.UnreadableError
	if errors.As(err, &invalid) || errors.As(err, &reference) {
		class = classConfig
	}
	var b strings.Builder
	b.WriteString(class + ": " + err.Error() + "\n")
	if root := rootOf(err); root != err && root.Error() != err.Error() { //nolint:errorlint // identity is meant
		b.WriteString("Caused by: " + classConnect + ": " + root.Error() + "\n")
	}
	return b.String()
}

// rootOf follows the chain to its end.
func rootOf(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
