// Package servers fetches, verifies and starts the real servers that
// Penstock is tested and shown with: PostgreSQL, MySQL, MariaDB, MongoDB,
// Apache Kafka, Elasticsearch, a schema registry and Redis, and the Debezium on
// Kafka Connect that it is compared with. No container runtime is needed, and
// no host package is changed beyond a Java runtime.
//
// A test asks for a server and gets its address and a database of its own:
//
//	db := servers.MySQL(t)                  // shared, with a fresh database
//	db.MustExec(t, "CREATE TABLE ...")
//
//	own := servers.StartMySQL(t, servers.Config("binlog_format=STATEMENT"))
//	err := own.Kill(t.Context())            // its own process, so it may be killed
//
// Other programs call [Open] and the methods of [Run].
//
// # How servers live and die
//
// go test runs every package in a process of its own, so no test process can
// own a server that others share. A supervisor does: a small detached process
// that the first user starts (under a file lock, so exactly once) and that
// talks over a unix socket in the run directory. Every user holds a lease,
// which is nothing but an open connection to that socket. The kernel closes
// it however the user ends, kill -9 included, so leases cannot leak:
//
//   - servers that a lease started for itself ([Run.StartMySQL] and the like)
//     end with the lease, and their data with them;
//   - shared servers and the supervisor end some seconds after the last lease
//     (PENSTOCK_SERVERS_LINGER, default 15s), unless `servers up` holds them;
//   - should the supervisor be killed itself, the kernel kills its children.
//
// # Guarantees
//
//   - Shared servers listen on the loopback interface, on ports below the
//     range that the kernel hands out to outgoing connections.
//   - A server counts as started when it says so itself, in its log or by its
//     protocol; never because something accepted a connection.
//   - What is downloaded is verified: pinned SHA-256 sums for Maven's and
//     PyPI's files, Debian's signatures for Debian's. It is kept per user, so
//     later runs need no network.
//   - An address in PENSTOCK_TEST_MYSQL, PENSTOCK_TEST_POSTGRES and so on is
//     used instead of a shared server. Own instances are always started here.
//   - A server that cannot be had is an error that names the remedy; tests
//     fail with it and are never skipped.
package servers
