package snapshot_test

import (
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/capture/mysql"
	"github.com/penstock/penstock/capture/postgres"
	"github.com/penstock/penstock/snapshot"
)

func TestConfigured(t *testing.T) {
	t.Parallel()
	const based = "snapshot.mode.configuration.based."
	for _, connector := range []capture.Connector{postgres.Connector(), mysql.Connector()} {
		for name, c := range map[string]struct {
			raw  map[string]string
			want snapshot.Config
		}{
			"defaults": {nil, snapshot.Config{Mode: snapshot.Initial}},
			"sessions": {
				map[string]string{"snapshot.mode": "when_needed", "snapshot.max.threads": "1"},
				snapshot.Config{Mode: snapshot.WhenNeeded, Sessions: 1},
			},
			"rules": {
				map[string]string{"snapshot.mode": "configuration_based", based + "snapshot.data": "true", based + "snapshot.schema": "true", based + "snapshot.on.data.error": "true"},
				snapshot.Config{Mode: snapshot.ConfigurationBased, Based: snapshot.Rules{Data: true, OnLoss: true}},
			},
			"schema": {
				map[string]string{"snapshot.mode": "configuration_based", based + "start.stream": "true", based + "snapshot.on.schema.error": "true"},
				snapshot.Config{Mode: snapshot.ConfigurationBased, Based: snapshot.Rules{Stream: true, Restore: true}},
			},
			"stream": {
				map[string]string{"snapshot.mode": "configuration_based", based + "start.stream": "true"},
				snapshot.Config{Mode: snapshot.ConfigurationBased, Based: snapshot.Rules{Stream: true}},
			},
		} {
			t.Run(connector.Name+", "+name, func(t *testing.T) {
				t.Parallel()
				v, problems := connector.Settings.Parse(c.raw)
				for _, p := range problems {
					if _, given := c.raw[p.Key]; given {
						t.Error(p.Message)
					}
				}
				if got := snapshot.Configured(v); got.Mode != c.want.Mode || got.Based != c.want.Based || got.Sessions != c.want.Sessions {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if again := c.want.Mode == snapshot.WhenNeeded || c.want.Based.OnLoss; capture.CopiesAgain(v) != again {
					t.Errorf("CopiesAgain is %v", !again)
				}
			})
		}
	}
}
