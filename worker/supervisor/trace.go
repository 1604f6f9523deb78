package supervisor

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
)

// Java's classes of exceptions, which begin a trace.
const (
	classConnect  = "org.apache.kafka.connect.errors.ConnectException"
	classConfig   = "org.apache.kafka.common.config.ConfigException"
	classDebezium = "io.debezium.DebeziumException"
)

// trace renders an error in the shape of Kafka Connect's traces: "class:
// message", then "Caused by" with the root. Secrets of the plan's
// configuration are not in it.
func trace(err error, plan *catalogue.Plan) string {
	text := traceOf(err, plan)
	if plan != nil {
		text = plan.Redact(text)
	}
	return text
}

func traceOf(err error, plan *catalogue.Plan) string {
	var record *sinks.RecordFailure
	if errors.As(err, &record) {
		return record.Trace()
	}
	if stack, bug := isPanic(err); bug {
		return classConnect + ": " + err.Error() + "\n" + stack
	}
	class, message := exception(err, plan)
	var b strings.Builder
	b.WriteString(class + ": " + message + "\n")
	if class, cause := rootOf(err); cause != nil && cause.Error() != message {
		b.WriteString("Caused by: " + class + ": " + cause.Error() + "\n")
	}
	return b.String()
}

// exception returns the class and the message that stand for an error. The
// messages begin as Kafka Connect's and Debezium's do, since people are
// alerted by them.
func exception(err error, plan *catalogue.Plan) (class, message string) {
	var invalid *configError
	var reference *config.UnreadableError
	var java sinks.JavaError
	switch {
	case errors.As(err, &invalid), errors.As(err, &reference):
		return classConfig, err.Error()
	case errors.Is(err, capture.ErrPositionLost) && plan != nil && strings.HasPrefix(plan.Plugin.Class(), "io.debezium."):
		return classDebezium, "The connector is trying to read change stream starting at its saved offset, but this is no longer available on the server. " +
			"Reconfigure the connector to use a snapshot mode when needed. " + err.Error()
	case errors.As(err, &java):
		return java.JavaClass(), java.Error()
	}
	return classConnect, err.Error()
}

// rootOf returns what Kafka has said; otherwise the last error of the chain
// below err that has a class, and if none has, the last one.
func rootOf(err error) (class string, root error) {
	var code *kerr.Error
	if errors.As(err, &code) {
		return kafkaClass(code.Message), code
	}
	class = classConnect
	known := false
	for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
		if java, ok := err.(sinks.JavaError); ok { //nolint:errorlint // each error of the chain is looked at
			class, root, known = java.JavaClass(), err, true
		} else if !known {
			root = err
		}
	}
	return class, root
}

// kafkaClass returns the class of Kafka's clients for an error code, which
// for most is the code's name: INVALID_REPLICATION_FACTOR is an
// InvalidReplicationFactorException.
func kafkaClass(code string) string {
	code = strings.TrimSuffix(strings.TrimSuffix(code, "_FAILED"), "_EXCEPTION")
	var b strings.Builder
	b.WriteString("org.apache.kafka.common.errors.")
	for word := range strings.SplitSeq(code, "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	b.WriteString("Exception")
	return b.String()
}
