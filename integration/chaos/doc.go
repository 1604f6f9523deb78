// Package chaos kills and restarts what a pipeline consists of, under load,
// and then compares every row of the sources with the destinations.
//
// Its tests are the short runs of `make test`; CHAOS_KILLS makes them longer.
package chaos
