// Package chaos kills and restarts what a pipeline consists of, under load.
// Afterwards every row of the sources is compared with the destinations, the
// topics between them are read from their beginning, and the daemon's own
// accounts have to balance.
//
// Its tests are the short runs of `make test`. `make chaos` makes more and
// longer ones: CHAOS_RUNS is how many, CHAOS_KILLS how often each is killed, and
// CHAOS_SEED repeats the schedule and the load of a run, which logs its seed.
package chaos
