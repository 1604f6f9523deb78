// Package ddl keeps the definitions of tables up to date by reading the
// statements that MySQL and MariaDB log when a database or a table is created,
// altered, renamed or dropped.
//
// It reads what a server has executed, so it checks nothing: of a statement it
// understands what decides how rows are written and shown (columns, types,
// character sets, nullability, defaults, keys) and steps over everything else,
// whatever the server's version. A statement that is not about tables or
// databases is not looked at. A [Catalogue] is not safe for concurrent use; a
// [Table] never changes, an altered one is a new one.
package ddl
