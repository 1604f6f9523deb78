package servers

import "context"

// MariaDB finds or starts the shared MariaDB server.
func (r *Run) MariaDB(ctx context.Context, opts ...Option) (*MySQLServer, error) {
	return r.mysqlShared(ctx, kindMariaDB, opts)
}

// StartMariaDB starts a server for the caller alone.
func (r *Run) StartMariaDB(ctx context.Context, opts ...Option) (*MySQLServer, error) {
	return r.mysql(ctx, kindMariaDB, true, opts)
}
