// Package mysql captures MySQL (5.7 to 9.x) and MariaDB (10.5 and later): it
// streams the binary log and copies tables, as Debezium's connectors of these
// names do.
//
// # Positions
//
// A position is the place where a transaction begins, or the set of GTIDs of
// completed transactions, with the number of events and rows of the next
// transaction that have been handed out already; see position. A server cannot
// be asked to begin inside a transaction, so after a restart those are read
// again and dropped.
//
// # XA transactions
//
// An XA transaction is in the log when it is prepared, with its rows, and
// again, without, when it is committed or rolled back. Its rows belong to the
// commit: until then its place is part of the position, and at the commit it
// is read again from there, over a second connection unless it is small; see
// replay.
//
// # Table definitions
//
// Rows in the log are decoded by the definition that the table had at their
// place. With binlog_row_metadata=FULL the log says what that is. Without, it
// is kept up to date by reading the statements that alter tables (package
// ddl), which are also kept in the schema history: see history.
//
// # Memory
//
// The log is decoded where the connection's reader put it, into the arena of
// the caller's batch, with nothing allocated for a row. What is held is a few
// buffers of the connection, one event, and the batch.
package mysql
