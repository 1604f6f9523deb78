package mongodb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
)

// Error codes of MongoDB (src/mongo/base/error_codes.yml).
const (
	codeUnauthorized     = 13
	codeTooDeep          = 15
	codeAuthentication   = 18
	codeInvalidBSON      = 22
	codeInvalidNamespace = 73
	codeUnknownConcern   = 79
	codeConcern          = 100 // more members than there are
	codeView             = 166
	codeAtlas            = 8000
	codeTooLarge         = 10334
	codeDuplicateKey     = 11000
)

// passing are the codes of single writes that say nothing of the write and all
// of the server: a lock, a full disk, a change of the primary in the middle of
// a command.
var passing = map[int]bool{
	6: true, 7: true, 24: true, 46: true, 50: true, 63: true, 64: true, 89: true, 91: true, 112: true, 117: true, 133: true, 134: true,
	150: true, 189: true, 234: true, 262: true, 9001: true, 10107: true, 11600: true, 11602: true, 13388: true, 13435: true, 13436: true,
	14031: true, // OutOfDiskSpace
	146:   true, // ExceededMemoryLimit
	202:   true, // NetworkInterfaceExceededTimeLimit
	290:   true, // TransactionExceededLifetimeLimitSeconds
	314:   true, // ObjectIsBusy
}

func isPassing(code int) bool { return passing[code] }

// isDuplicateID reports whether the duplicate key is that of _id and not of
// another unique index.
func isDuplicateID(e mongo.WriteError) bool {
	if pattern, err := e.Raw.LookupErr("keyPattern"); err == nil {
		if doc, ok := pattern.DocumentOK(); ok {
			_, err := doc.LookupErr(fieldID)
			return err == nil
		}
	}
	return strings.Contains(e.Message, "_id_")
}

// writeError is MongoDB's answer about one write, under the name by which
// users of MongoDB's connector know it.
type writeError struct{ mongo.WriteError }

// Error returns code and message.
func (e *writeError) Error() string {
	return fmt.Sprintf("MongoDB refused the write: code %d: %s", e.Code, e.Message)
}

// Unwrap returns the driver's error.
func (e *writeError) Unwrap() error { return e.WriteError }

// JavaClass implements sinks.JavaError.
func (e *writeError) JavaClass() string { return "com.mongodb.kafka.connect.sink.dlq.WriteException" }

// isUnconfirmable reports whether the set, as it is configured, never does what
// the write concern asks.
func isUnconfirmable(e *mongo.WriteConcernError) bool {
	return e != nil && (e.Code == codeUnknownConcern || e.Code == codeConcern)
}

// refusal returns the error of a command that MongoDB does not carry out
// because of what it holds, and would not later either; otherwise nil.
func refusal(err error) error {
	var command mongo.CommandError
	if !errors.As(err, &command) {
		return nil
	}
	switch command.Code {
	case codeTooDeep, codeInvalidBSON, codeTooLarge:
		return err
	case codeInvalidNamespace, codeView:
		return fmt.Errorf("%w; name another collection with collection, collection.name.format or topic.override.<topic>.collection", err)
	default:
		return nil
	}
}

// classify says what was being done when an error came, and marks what waiting
// does not mend.
func classify(doing string, err error) error {
	var command mongo.CommandError
	var login *auth.Error
	var write mongo.WriteException
	refused := errors.As(err, &command)
	text := fmt.Errorf("%s: %w", doing, err)
	switch {
	case errors.As(err, &write) && isUnconfirmable(write.WriteConcernError):
		// It passes when the set gets the members.
		return fmt.Errorf("%w; the set cannot confirm writes as w in connection.uri asks; change it, or the set's members", text)
	case refused && command.Code == codeUnauthorized:
		// MongoDB's own text holds the whole command with its documents.
		return sinks.Permanent(fmt.Errorf("%s: MongoDB does not allow it (code %d); give the user of connection.uri the role readWrite on the database", doing, command.Code))
	case refused && (command.Code == codeAuthentication || command.Code == codeAtlas),
		// The login's error wraps whatever kept it from succeeding; only an
		// answer of the server is about the password.
		errors.As(err, &login) && strings.Contains(login.Error(), "AuthenticationFailed"):
		return sinks.Permanent(fmt.Errorf("%w; check user, password and authSource in connection.uri", text))
	default:
		return text
	}
}
