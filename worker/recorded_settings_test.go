package worker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/worker"
)

// TestValidate_TakesEveryDefaultOfDebezium sets every setting that Debezium
// lists to its default, as generated configurations do: nothing may be said
// about any of them, supported or not.
func TestValidate_TakesEveryDefaultOfDebezium(t *testing.T) {
	t.Parallel()
	my, pg := servers.MySQL(t), servers.Postgres(t)
	my.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY)")
	pg.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY)")
	w := startWorker(t)
	var definitions map[string]json.RawMessage
	if err := json.Unmarshal(unzip(t, "plugins.json"), &definitions); err != nil {
		t.Fatal(err)
	}
	for class, config := range map[string]map[string]string{
		"io.debezium.connector.mysql.MySqlConnector": {
			"database.hostname": my.Host, "database.port": fmt.Sprint(my.Port), "database.user": my.User, "database.password": my.Password,
			"database.server.id": "7401", "database.include.list": my.Database, "topic.prefix": "defaults", "schema.history.internal.kafka.topic": "history.defaults",
		},
		"io.debezium.connector.postgresql.PostgresConnector": {
			"database.hostname": pg.Host, "database.port": fmt.Sprint(pg.Port), "database.user": pg.User, "database.password": pg.Password,
			"database.dbname": pg.Database, "topic.prefix": "defaults", "publication.autocreate.mode": "filtered",
		},
	} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			var defs []struct {
				Name    string
				Default *string `json:"default_value"`
			}
			if err := json.Unmarshal(definitions["config "+class], &defs); err != nil {
				t.Fatal(err)
			}
			all := map[string]string{}
			for _, d := range defs {
				if d.Default != nil {
					all[d.Name] = *d.Default
				}
			}
			const least = 90 // of the about 150
			if len(all) < least {
				t.Fatalf("%d defaults are recorded", len(all))
			}
			delete(all, "topic.creation.groups") // which asks for the settings of a default group
			maps.Copy(all, config)
			all["name"], all["connector.class"] = "defaults", class
			body, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			status, headers, answer := w.do(t, http.MethodPut, "/connector-plugins/"+class+"/config/validate", map[string]string{"Content-Type": "application/json"}, body)
			if status != http.StatusOK {
				t.Fatalf("%d: %s", status, answer)
			}
			var v struct {
				Errors  int `json:"error_count"`
				Configs []struct {
					Value struct {
						Name   string
						Errors []string
					}
				}
			}
			if err := json.Unmarshal(answer, &v); err != nil {
				t.Fatal(err)
			}
			for _, c := range v.Configs {
				if len(c.Value.Errors) > 0 {
					t.Errorf("%s=%s: %s", c.Value.Name, all[c.Value.Name], strings.Join(c.Value.Errors, "; "))
				}
			}
			if v.Errors != 0 {
				t.Errorf("%d errors", v.Errors)
			}
			for _, warning := range headers.Values("X-Penstock-Warning") {
				if strings.Contains(warning, "Unknown configuration") {
					t.Error(warning)
				}
			}
		})
	}
}

// TestDefinitions_KnowWhatDebeziumDoesNotList has the settings that Debezium
// documents and reads without listing them in a validation.
func TestDefinitions_KnowWhatDebeziumDoesNotList(t *testing.T) {
	t.Parallel()
	both := "field.name.adjustment.mode topic.delimiter topic.cache.size topic.transaction topic.heartbeat.name topic.heartbeat.prefix read.only"
	for class, keys := range map[string]string{
		"io.debezium.connector.postgresql.PostgresConnector": both + " money.fraction.digits",
		"io.debezium.connector.mysql.MySqlConnector": both + ` binary.handling.mode schema.history.internal.kafka.topic schema.history.internal.kafka.bootstrap.servers
			schema.history.internal.kafka.recovery.poll.interval.ms schema.history.internal.kafka.recovery.attempts
			schema.history.internal.kafka.query.timeout.ms schema.history.internal.kafka.create.timeout.ms`,
	} {
		own := worker.Catalogue().Definitions(class)[0]
		for key := range strings.FieldsSeq(keys) {
			if _, ok := own.Lookup(key); !ok {
				t.Errorf("%s does not know %s", class, key)
			}
		}
		// The newer name of a setting that is listed under the older one.
		v, problems := own.Parse(map[string]string{"topic.heartbeat.prefix": "beat"})
		if v.String("heartbeat.topics.prefix") != "beat" {
			t.Errorf("%s takes topic.heartbeat.prefix for nothing: %v", class, problems)
		}
	}
}
