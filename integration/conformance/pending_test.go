package conformance

// A pendingEntry is about records that are not equal yet.
type pendingEntry struct {
	entry
	reason string
}

// pending is meant to stay empty.
var pending = []pendingEntry{}

// withheld are settings of the recorded configurations that are refused so
// far, and therefore not posted, by system.
var withheld = map[string][]string{}
