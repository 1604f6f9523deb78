// Demo shows Penstock at work on real servers and proves what it did.
//
// It fills a MySQL and a Postgres with the same sample shop, starts the daemon
// with nothing but environment variables and its embedded broker, lets it
// mirror MySQL to MongoDB and Postgres to Elasticsearch, changes rows and
// tables while it does, and compares every row with every document at the end.
// It exits with 1 when one differs.
//
//	make demo          # or: go run ./integration/demo
//	KEEP=1 make demo   # leaves everything running to look around
package main
