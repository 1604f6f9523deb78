// Package worker is the daemon: it reads the configuration, starts the
// embedded broker where no Kafka is given, opens the internal topics, runs the
// connectors and answers over HTTP.
//
// It is the one place that knows every part; the parts do not know each other.
// Below it, config reads the configuration, catalogue knows the plugins and
// judges configurations, state keeps what must be remembered in Kafka's
// topics, supervisor runs the connectors, and rest answers requests; each
// imports only those named before it.
package worker
