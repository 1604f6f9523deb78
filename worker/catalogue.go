package worker

import (
	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/elasticsearch"
	"github.com/penstock/penstock/sinks/mongodb"
	"github.com/penstock/penstock/worker/catalogue"
)

// Catalogue returns everything that a configuration can name.
func Catalogue() *catalogue.Catalogue {
	return catalogue.New(
		[]capture.Connector{
			postgres.Connector(),
		},
		[]sinks.Connector{
			mongodb.Connector(),
			elasticsearch.Connector(),
		},
		converters.Plugins(),
	)
}
