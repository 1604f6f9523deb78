package supervisor

import (
	"fmt"
	"log/slog"
	"maps"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/worker/config"
)

// Clients makes the configurations of Kafka clients: the worker's settings
// for them with what a connector overrides on top.
type Clients struct {
	Worker *config.Worker
	// Embedded is the address of the embedded broker, empty if there is none.
	Embedded string
	Logger   *slog.Logger
}

// Kinds of clients, as in the prefixes of their settings.
const (
	Producer = "producer"
	Consumer = "consumer"
	Admin    = "admin"
)

// Config returns the configuration of a client of a kind. Of settings given
// in several places the order is: defaults, the worker's, the connector's
// with <kind>.override., fixed.
func (c Clients) Config(kind string, defaults, connector, fixed map[string]string) (kafka.Config, error) {
	raw := maps.Clone(defaults)
	if raw == nil {
		raw = map[string]string{}
	}
	if c.Embedded != "" {
		raw["bootstrap.servers"] = c.Embedded
	}
	maps.Copy(raw, c.Worker.Client(kind, kafka.Settings()))
	overrides := settings.WithPrefix(connector, kind+".override.")
	maps.Copy(raw, overrides)
	for k, v := range fixed {
		if _, overridden := overrides[k]; !overridden {
			raw[k] = v
		}
	}
	out, err := kafka.ParseClient(raw)
	if err != nil {
		return out, fmt.Errorf("settings of the %s: %w", kind, err)
	}
	out.Logger = c.Logger
	return out, nil
}
