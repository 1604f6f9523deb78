// Package conformance compares Penstock's events with those that a real
// Debezium recorded (integration/testdata/debezium): the same database, the
// same statements and the same connector configurations, posted over REST.
//
// Every record is compared: topic, partition, order within the topic, headers,
// key and value, token by token, so that the order of fields and the spelling
// of numbers count as well. Three tables say what may differ:
//
//   - rules: what is different in every run, such as positions and times, and
//     what must hold for it instead;
//   - deviations: values that Debezium loses or mangles, what Penstock has in
//     their place, and why. Each is a line of docs/compatibility.md;
//   - pending: what is not equal yet. It is meant to become empty.
//
// An entry of one of the latter two that nothing needs fails the test.
package conformance
