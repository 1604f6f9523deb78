// Package rest is the HTTP interface: Kafka Connect's REST API with its
// shapes, status codes and texts, so that user interfaces, operators and
// command line tools made for Kafka Connect manage Penstock, and beside it
// the endpoints for metrics and health.
//
// There is no authentication. Bodies and times are bounded.
//
// Where a setting of a connector has no effect, which Kafka Connect does not
// say, the answer carries a header X-Penstock-Warning for each.
package rest
