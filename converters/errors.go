package converters

// DataError says that a record's bytes cannot be read, or that a value cannot
// be written with its schema. It stands for Kafka Connect's DataException: the
// record is at fault and trying again does not help.
type DataError struct {
	// Message is Connect's sentence, which the dead letter queue's header
	// __connect.errors.exception.message carries and clients match on.
	Message string
	// Field is the path of the field at fault, with dots, if there is one.
	Field string
	// Cause says more, if there is more to say.
	Cause error
}

// Error returns the message with field and cause.
func (e *DataError) Error() string {
	text := e.Message
	if e.Field != "" {
		text += " (field " + e.Field + ")"
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *DataError) Unwrap() error { return e.Cause }

// inField puts the name of the struct field in front of the error's path.
func inField(err error, name []byte) error {
	if e, ok := err.(*DataError); ok { //nolint:errorlint // only our own, just made, may be changed
		if e.Field != "" {
			e.Field = string(name) + "." + e.Field
		} else {
			e.Field = string(name)
		}
	}
	return err
}
