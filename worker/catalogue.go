package worker

import (
	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/file"
	"github.com/penstock/penstock/capture/mysql"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/elasticsearch"
	filesink "github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/sinks/mongodb"
	"github.com/penstock/penstock/worker/catalogue"
)

// Catalogue returns everything that a configuration can name.
func Catalogue() *catalogue.Catalogue {
	return catalogue.New(
		[]capture.Connector{
			mysql.Connector(),
			mysql.MariaDB(),
			postgres.Connector(),
			file.Connector(),
		},
		[]sinks.Connector{
			mongodb.Connector(),
			elasticsearch.Connector(),
			filesink.Connector(),
		},
		converters.Plugins(),
	)
}
