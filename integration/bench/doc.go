// Bench measures how fast Penstock moves changes, beside the fastest program
// that reads or writes the same thing and does nothing with it, and, with
// PEER=1, beside a real Debezium on Kafka Connect.
//
//	make bench                       # 1,000,000 rows, 3 rounds
//	make bench ROWS=100000 ROUNDS=1  # a few minutes
//	make bench CASES=pg-stream-1000,mysql-latency
//	make bench PEER=1                # fetches Debezium by Maven; takes Java
//
// The servers are started for the run alone. The contestants read the
// same queued data one after the other, in an order that changes with each
// round. What counts is the ratio within a run: seconds differ between machines
// and hours. Topics exist before a clock runs. Wall time runs from the request
// that starts or resumes a connector to the moment when the topic or store has
// the last row. CPU is user and system time of the contestant's process in that
// time, memory the most that it had resident. Penstock's process is fresh in
// each measurement, the peer's is not, so that it is warm. A baseline's memory
// is at least that of this program, from which it was forked.
//
// Results go to standard output as Markdown and to OUT (.cache/bench) as
// results.md and results.json.
package main
