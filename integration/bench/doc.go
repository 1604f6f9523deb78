// Bench measures how fast Penstock moves changes, beside the fastest program
// that reads or writes the same thing and does nothing with it.
//
//	make bench                       # 1,000,000 rows, 3 rounds
//	make bench ROWS=100000 ROUNDS=1  # a few minutes
//	make bench CASES=pg-stream-1000,mysql-latency
//
// The servers are started for the run alone. A baseline and Penstock read the
// same queued data one after the other, in an order that changes with each
// round. What counts is the ratio within a run: seconds differ between machines
// and hours. Wall time runs from the request that starts or resumes a connector
// to the moment when the topic or store has the last row. CPU is user and
// system time of the daemon's process in that time, memory the most that the
// process, fresh in each measurement, had resident.
//
// Results go to standard output as Markdown and to OUT (.cache/bench) as
// results.md and results.json.
package main
