package worker_test

// absent are recorded connectors that do not exist here, because they were
// refused or need what is not there yet. Waits for them are left out and
// lists compared without them.
var absent = map[string]struct{}{
	"slash/in": {}, "per%cent": {}, "back\\slash": {},
	"cr-pred": {}, "cr-tc": {},
	"fl-tf": {}, "fl-tfs": {}, "fl-pub": {}, "fl-mode": {},
	"dq-transform": {}, "dq-src": {},
	"ow-x": {}, "ow-pg": {},
}

// Why answers differ from the recorded ones.
const (
	unreachableName = "a name with /, % or \\ is refused, because no URL reaches the connector afterwards"
	noTransforms    = "there are no transforms and predicates yet; a connector that names one is refused"
	followsAbsent   = "the connector does not exist here"
	oneName         = "a connector cannot be renamed by a patch, which would leave it under two names"
	atOnce          = "a configuration that cannot work is refused at once instead of failing later"
	unknownProvider = "a reference to an unknown provider is an error of its own"
	countedErrors   = "an invalid connector gets the counted list of errors, where Debezium 3.6.1 makes Kafka Connect fail with a NullPointerException"
	notFoundPlugin  = "a class that is no plugin is not found, where Kafka Connect tries to make one"
	commitApplied   = "a failing sink task commits what was applied before the record that failed"
	noExactlyOnce   = "there is no exactly-once yet, and asking for it is an error"
	noConnector     = "there is no MongoDB source yet"
	ownSink         = "Debezium's MongoDB sink is taken by the sink that is here, which needs to know the server"
	saysOnce        = "an error is said once, where Debezium says some twice"
	atTheSetting    = "a refused login is reported at the user, where Debezium reports it at the host name"
	otherErrors     = "settings that are not supported are errors, and errors of settings that Debezium does not list are shown"
	serverID        = "the binlog file is the server's, and the offset has its server_id from the start"
	waitsForKafka   = "a task waits for a Kafka that is not there instead of failing"
	checkedOffset   = "an offset that the connector could not go on at is refused"
	providerGone    = "a connector whose reference cannot be read is FAILED with a trace, where Kafka Connect leaves it RESTARTING for ever"
)

// deviations are all exchanges whose answers are not compared, with the
// reason. The test fails if one of them equals the recording after all.
var deviations = deviationTable(map[string][]int{
	unreachableName: {133, 138, 148},
	oneName:         {269, 274},
	noTransforms: {
		58, 60, 570, 356, 358, 401, 407, 542, 543, 544, 545, 546, 547, 548, 549, 554,
	},
	notFoundPlugin:  {561},
	unknownProvider: {77},
	atOnce:          {68, 379, 385},
	waitsForKafka:   {81},
	noExactlyOnce:   {648, 649},
	noConnector:     {653},
	ownSink:         {654},
	saysOnce:        {569},
	atTheSetting:    {573},
	otherErrors:     {574},
	serverID:        {657},
	checkedOffset:   {513, 514, 515, 517},
	providerGone:    {366, 368, 387},
	countedErrors:   {69, 70, 71},
	commitApplied:   {418},
	followsAbsent:   {80, 82, 96, 98, 357, 359, 380, 386, 391, 392, 396, 398, 410, 416, 422, 428, 658, 659, 661, 663, 664},
})

func deviationTable(byReason map[string][]int) map[int]deviation {
	out := map[int]deviation{}
	for reason, seqs := range byReason {
		for _, s := range seqs {
			if _, twice := out[s]; twice {
				panic("an exchange is listed twice")
			}
			out[s] = deviation{reason: reason}
		}
	}
	return out
}

// deviation says why an answer is not the recorded one.
type deviation struct{ reason string }

// settled are requests before which the recording slept until a connector had
// saved an offset.
var settled = map[int]string{382: "fl-slot"}
