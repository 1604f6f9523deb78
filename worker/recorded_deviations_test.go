package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// absent are recorded connectors that do not exist here, because they were
// refused or need what is not there yet. Waits for them are left out and
// lists compared without them; that each is answered with 404 is in the table
// of deviations.
var absent = map[string]struct{}{
	"slash/in": {}, "per%cent": {}, "back\\slash": {},
	"cr-pred": {}, "cr-tc": {},
	"fl-tf": {}, "fl-tfs": {}, "fl-pub": {}, "fl-mode": {},
	"dq-transform": {}, "dq-src": {},
	"ow-x": {}, "ow-pg": {},
}

// Why answers differ from the recorded ones. The first are defects that are
// not to be copied, the second group asks for what is not there yet, and the
// third is meant to be better; docs/compatibility.md has all of them.
const (
	unreachableName = "a name with /, % or \\ is refused, because no URL reaches the connector afterwards"
	countedErrors   = "an invalid connector gets the counted list of errors, where Debezium 3.6.1 makes Kafka Connect fail with a NullPointerException"
	oneName         = "a connector cannot be renamed by a patch, which would leave it under two names"
	providerGone    = "a connector whose reference cannot be read is FAILED with a trace, where Kafka Connect leaves it RESTARTING for ever"
	checkedOffset   = "an offset that the connector could not go on at is refused"
	notFoundPlugin  = "a class that is no plugin is not found, where Kafka Connect tries to make one of it"
	saysOnce        = "an error is said once, where Debezium says some twice"

	noTransforms  = "there are no transforms and predicates yet; a connector that names one is refused"
	noExactlyOnce = "there is no exactly-once yet, and asking for it is an error"
	noConnector   = "there is no MongoDB source yet"
	noGTIDFilter  = "there are no filters of GTIDs yet, and asking for one is an error"

	atOnce          = "a configuration that cannot work is refused at once instead of failing later"
	unknownProvider = "a reference to a provider that is not configured is an error of its own, where Kafka Connect takes its text for the value"
	waitsForKafka   = "a task waits for a Kafka that is not there instead of failing"
	commitApplied   = "a failing sink task commits what was applied before the record that failed"
	serverID        = "the offset has its server_id from the start"
)

// deviation is an answer that is not the recorded one: why, and what it is
// instead. The text of an error is compared as a recorded one would be.
type deviation struct {
	reason string
	// status and body are the whole answer: the message of an error, or JSON.
	// Placeholders are those of the recording.
	status int
	body   string
	// but is for answers that are the recorded one but for these differences;
	// each begins with one of the texts, and each text begins one.
	but []string
	// waits is part of what /readyz says that the connector's task waits for.
	waits string
}

// differences returns how an answer is not what it is to be, given how it
// differs from the recording.
func (d deviation) differences(c *conversation, e exchange, got answer, fromRecording []string) []string {
	if d.but != nil {
		return unexpected(fromRecording, d.but)
	}
	want := e
	want.Status = d.status
	want.ResponseHeaders = map[string]string{"Content-Type": "application/json"}
	want.ResponseBody = json.RawMessage(d.body)
	if d.status >= http.StatusBadRequest {
		message, err := json.Marshal(map[string]any{"error_code": d.status, "message": d.body})
		if err != nil {
			c.t.Fatal(err)
		}
		want.ResponseBody = message
	}
	out := c.differences(want, got)
	if d.waits != "" {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Path, "/connectors/"), "/")
		if _, _, waits := c.worker.stateOf(c.t, name); !strings.Contains(waits, d.waits) {
			out = append(out, fmt.Sprintf("the task waits for %q, which has no %q", waits, d.waits))
		}
	}
	return out
}

// unexpected returns the differences that were not expected, and which of
// those that were are not there.
func unexpected(differences, expected []string) []string {
	var out []string
	seen := make([]bool, len(expected))
	for _, d := range differences {
		known := false
		for i, begin := range expected {
			if strings.HasPrefix(d, begin) {
				known, seen[i] = true, true
			}
		}
		if !known {
			out = append(out, d)
		}
	}
	for i, begin := range expected {
		if !seen[i] {
			out = append(out, "no longer differs: "+begin)
		}
	}
	return out
}

// is is an error or, below 400, a body.
func is(reason string, status int, body string) deviation {
	return deviation{reason: reason, status: status, body: body}
}

// refused is the 400 that counts what is wrong with a configuration.
func refused(reason string, lines ...string) deviation {
	return is(reason, http.StatusBadRequest, fmt.Sprintf(
		"Connector configuration is invalid and contains the following %d error(s):\n%s\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		len(lines), strings.Join(lines, "\n")))
}

// but is the recorded answer with differences.
func but(reason string, differences ...string) deviation {
	return deviation{reason: reason, but: differences}
}

// noSuch are the answers about a connector that was refused.
func noSuch(reason, name string) deviation {
	return is(reason, http.StatusNotFound, "Connector "+name+" not found")
}

func noStatus(reason, name string) deviation {
	return is(reason, http.StatusNotFound, "No status found for connector "+name)
}

func noPlugin(reason, class string) deviation {
	return is(reason, http.StatusNotFound, "Unknown plugin "+class+".")
}

func noTransform(alias string) deviation {
	return refused(noTransforms, "Invalid value org.apache.kafka.connect.transforms.Cast$Value for configuration transforms."+alias+".type: Penstock has no transforms yet; leave it out")
}

func unreachable(name string) deviation {
	return refused(unreachableName, "Invalid value "+name+` for configuration name: no URL reaches a connector with /, % or \ in its name; use another name`)
}

// deviations are all exchanges whose answers are not the recorded ones. The
// test fails if one of them is after all.
var deviations = map[int]deviation{
	133: unreachable("slash/in"), 138: unreachable("per%cent"), 148: unreachable(`back\slash`),

	69: refused(
		countedErrors, "The 'topic.prefix' value is invalid: A value is required", "The 'database.hostname' value is invalid: A value is required",
		"The 'database.user' value is invalid: A value is required", "The 'database.dbname' value is invalid: A value is required",
	),
	70: refused(countedErrors, "Error while validating connector config: Connection to 127.0.0.1:1 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections."),
	71: refused(
		countedErrors, "The 'decimal.handling.mode' value is invalid: Value must be one of precise, double, string",
		"The 'snapshot.mode' value is invalid: Value must be one of always, initial, initial_only, no_data, when_needed, configuration_based, custom",
	),

	269: is(oneName, http.StatusBadRequest, "Connector name configuration (other) doesn't match connector name in the URL (pc)"),
	274: but(oneName, `.name: "pc" instead of "other"`),

	366: is(providerGone, http.StatusOK, providerGoneStatus),
	368: is(providerGone, http.StatusOK, providerGoneStatus),
	387: but(
		providerGone, `.fl-c.status.connector.state: "FAILED" instead of "RESTARTING"`, `.fl-c.status.connector.trace: too much: `+providerGoneTrace,
		`.fl-c.status.connector.version: 4.1.1 instead of <nil>`, `.fl-c.status.tasks[0].state: "FAILED" instead of "RESTARTING"`,
		`.fl-c.status.tasks[0].trace: too much: `+providerGoneTrace, `.fl-c.status.tasks[0].version: 4.1.1 instead of <nil>`,
	),

	513: is(checkedOffset, http.StatusBadRequest, `The connector could not go on at the offset {"nope":1}: it needs the key "lsn"`),
	514: is(checkedOffset, http.StatusBadRequest, `The connector has no partition {"nope":1}; its partition is {"server":"op"}`),
	515: is(checkedOffset, http.StatusOK, `{"offsets": [{"partition": {"server": "op"}, "offset": {"last_snapshot_record": true, "lsn": 1, "txId": 1, "ts_usec": 1, "snapshot": "INITIAL", "snapshot_completed": true}}]}`),
	517: is(checkedOffset, http.StatusOK, `{"offsets": []}`),

	561: noPlugin(notFoundPlugin, "java.lang.String"),
	569: but(saysOnce, `database.port.errors: [The 'database.port' value is invalid: An integer is expected] instead of [The 'database.port' value is invalid: An integer is expected The`, "error_count: 8 instead of 9"),

	58: noTransform("t"), 356: noTransform("c"), 358: noTransform("c"), 401: noTransform("c"), 407: noTransform("c"),
	60: noTransform("t"), 80: noStatus(noTransforms, "cr-pred"), 98: noSuch(noTransforms, "cr-pred"),
	357: noStatus(noTransforms, "fl-tf"), 391: noSuch(noTransforms, "fl-tf"),
	359: noStatus(noTransforms, "fl-tfs"), 392: noSuch(noTransforms, "fl-tfs"),
	410: noStatus(noTransforms, "dq-transform"), 422: noSuch(noTransforms, "dq-transform"),
	416: noStatus(noTransforms, "dq-src"), 428: noSuch(noTransforms, "dq-src"),
	542: noPlugin(noTransforms, "org.apache.kafka.connect.transforms.RegexRouter"),
	543: noPlugin(noTransforms, "org.apache.kafka.connect.transforms.Cast$Value"),
	544: noPlugin(noTransforms, "org.apache.kafka.connect.transforms.InsertField$Value"),
	545: noPlugin(noTransforms, "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
	546: noPlugin(noTransforms, "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
	547: noPlugin(noTransforms, "io.debezium.transforms.ExtractNewRecordState"),
	548: noPlugin(noTransforms, "io.debezium.transforms.outbox.EventRouter"),
	549: noPlugin(noTransforms, "io.debezium.transforms.ByLogicalTableRouter"),
	554: noPlugin(noTransforms, "RegexRouter"),
	570: but(
		noTransforms, "transforms.u.type.recommended_values: [] instead of [", "predicates.p.type.recommended_values: [] instead of [",
		"transforms.u.type.errors: [Invalid value io.debezium.transforms.ExtractNewRecordState for configuration transforms.u.type: Penstock has no transforms yet; leave it out] instead of []",
		"predicates.p.type.errors: [Invalid value org.apache.kafka.connect.transforms.predicates.TopicNameMatches for configuration predicates.p.type: Penstock has no predicates yet; leave it out] instead of []",
		"configs: without transforms.u.plugin.version transforms.u.negate transforms.u.predicate transforms.u.delete.tombstone.handling.mode transforms.u.add.fields "+
			"transforms.u.add.fields.prefix transforms.u.add.headers transforms.u.add.headers.prefix transforms.u.drop.fields.from.key transforms.u.drop.fields.header.name "+
			"transforms.u.drop.fields.keep.schema.compatible transforms.u.route.by.field predicates.p.plugin.version predicates.p.pattern; with nothing besides",
		"error_count: 2 instead of 0",
	),

	648: refused(noExactlyOnce, "This worker does not have exactly-once source support enabled."), 664: noSuch(noExactlyOnce, "ow-x"),
	649: refused(noExactlyOnce, "This worker does not have exactly-once source support enabled."), 663: noSuch(noExactlyOnce, "ow-pg"),
	658: noSuch(noExactlyOnce, "ow-pg"), 659: noSuch(noExactlyOnce, "ow-pg"),
	653: is(noConnector, http.StatusBadRequest, "Failed to find any class that implements Connector and which name matches io.debezium.connector.mongodb.MongoDbConnector, available connectors are: …"),
	574: but(
		noGTIDFilter, // and what Debezium says twice
		"database.server.id.errors: [The 'database.server.id' value is invalid: A long value is expected] instead of [The 'database.server.id' value is invalid: A long value is expected The",
		"snapshot.locking.mode.errors: [The 'snapshot.locking.mode' value is invalid: Value must be one of ",
		"gtid.source.includes.errors: [The 'gtid.source.includes' value is invalid: all servers' transactions count; leave it out] instead of []",
		`gtid.source.excludes.errors[0]: "The 'gtid.source.excludes' value is invalid: all servers' transactions count; leave it out" instead of `,
		"configs: without nothing; with binary.handling.mode besides",
	),

	68: refused(
		atOnce, "Invalid value 0 for configuration topic.creation.default.partitions: it must be 1 or more, or -1 for the broker's default",
		`Missing required configuration "topic.creation.default.replication.factor" which has no default value.`,
		`Missing required configuration "topic.creation.g.include" which has no default value.`,
	),
	82: noStatus(atOnce, "cr-tc"), 96: noSuch(atOnce, "cr-tc"),
	379: refused(atOnce, `Publication fl_pub_pub does not exist and publication.autocreate.mode is disabled. Run: CREATE PUBLICATION "fl_pub_pub" FOR TABLE …;`),
	380: noStatus(atOnce, "fl-pub"), 396: noSuch(atOnce, "fl-pub"),
	385: refused(atOnce, "No table of database @DATABASE@ is captured: nothing matches public.none. Names are written as schema.table, each expression must match the whole name."),
	386: noStatus(atOnce, "fl-mode"), 398: noSuch(atOnce, "fl-mode"),
	654: refused(atOnce, `Missing required configuration "connection.uri" which has no default value.`, `Missing required configuration "database" which has no default value.`),
	661: noSuch(atOnce, "ow-a"),

	77: refused(unknownProvider, `Invalid value ${nope:/x:y} for configuration errors.tolerance: ${nope:/x:y} refers to the provider "nope", which is not configured: there are dir, env, file; others go into config.providers`),
	81: {
		reason: waitsForKafka, status: http.StatusOK, waits: "bootstrap.servers: cannot reach x:1: no such host",
		body: `{"name": "cr-ovr", "connector": {"state": "RUNNING", "worker_id": "@WORKER@", "version": "4.1.1"}, "tasks": [{"id": 0, "state": "RUNNING", "worker_id": "@WORKER@", "version": "4.1.1"}], "type": "source"}`,
	},
	418: is(commitApplied, http.StatusOK, `{"offsets": [{"partition": {"kafka_partition": 0, "kafka_topic": "dq"}, "offset": {"kafka_offset": 1}}]}`),
	657: but(serverID, ".offsets[0].offset.server_id: too much: "),
}

const (
	providerGoneTrace  = "org.apache.kafka.common.config.ConfigException: Could not read properties from file "
	providerGoneStatus = `{"name": "fl-c", "connector": {"state": "FAILED", "worker_id": "@WORKER@", "version": "4.1.1", "trace": "` + providerGoneTrace + `@DIR@/fl-c.properties"},
		"tasks": [{"id": 0, "state": "FAILED", "worker_id": "@WORKER@", "version": "4.1.1", "trace": "` + providerGoneTrace + `@DIR@/fl-c.properties"}], "type": "source"}`
)

// settled are requests before which the recording slept until a connector had
// saved an offset.
var settled = map[int]string{382: "fl-slot"}

// TestDeviations_NameRecordedExchanges makes sure that the table of deviations
// has no entry for an exchange that is not there, and none that takes any
// answer.
func TestDeviations_NameRecordedExchanges(t *testing.T) {
	t.Parallel()
	known := map[int]bool{}
	for _, e := range recorded(t) {
		known[e.Seq] = true
	}
	if all := 664; len(known) != all {
		t.Errorf("there are %d recorded exchanges instead of %d", len(known), all)
	}
	for seq, d := range deviations {
		if !known[seq] || d.reason == "" {
			t.Errorf("exchange %d is not recorded or has no reason", seq)
		}
		if whole := d.status != 0 && d.body != ""; whole == (len(d.but) > 0) {
			t.Errorf("exchange %d does not say what the answer is: %+v", seq, d)
		}
	}
}
