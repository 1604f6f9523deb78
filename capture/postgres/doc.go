// Package postgres reads PostgreSQL 10 and later: its log, by logical
// replication through the server's own output plugin pgoutput, and its tables,
// by COPY from one exported snapshot.
//
// [Connector] is what the worker's catalogue lists. Names, settings, topics,
// schemas and values are those of Debezium's PostgreSQL connector.
//
// # The log
//
// A replication slot keeps the log from the last confirmed position on; a
// publication says which tables are sent. Both are made if they are missing. A
// position is the end of a committed transaction, so that a source opened at
// it repeats at most a transaction of which only a part had been published. The server
// is told of a position only by Confirm, in all three of the status
// message's fields: what is merely received may still be lost here, and what
// it has forgotten it cannot send again. For the same reason a stored position
// before the slot's own is refused as lost: the server would skip the
// difference without a word.
//
// # Table definitions
//
// pgoutput describes a table when it is first changed and after each change of
// its definition: names, types, and which columns identify a row. Nullability,
// primary key, defaults, enumeration members and the base types of domains
// come from the catalogue at the moment the description arrives. They are as
// of now and not as of the log's position, which only matters for a table that
// has been altered since; columns are matched by name, and what the
// catalogue no longer knows is taken as nullable.
//
// # Values
//
// Stream and snapshot both carry PostgreSQL's text format, written under the
// same session settings, so there is one decoder per type and no difference
// between the two. types.go has one row for each type.
package postgres
