package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// TestSource_WaitsUntilATransactionIsVisible holds a transaction that alters a
// table between its place in the log, from which the server sends it, and the
// moment when the catalogue shows it: its session waits for a standby that
// there is not.
func TestSource_WaitsUntilATransactionIsVisible(t *testing.T) {
	t.Parallel()
	server := servers.StartPostgres(t, servers.Config("synchronous_standby_names=nobody", "synchronous_commit=local"))
	b := setup(t, server)
	b.exec(`CREATE TABLE t (id int PRIMARY KEY)`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1)`)
	r.want(`c public.t {id:1}`)

	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	committed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `SET synchronous_commit = on; BEGIN; INSERT INTO t VALUES (2); ALTER TABLE t ADD COLUMN y int NOT NULL DEFAULT 7; INSERT INTO t VALUES (3, 8); COMMIT`,
			pgx.QueryExecModeSimpleProtocol)
		committed <- err
	}()
	released := make(chan error, 1)
	go func() { released <- release(t.Context(), server, conn.PgConn().PID()) }()
	var last *schema.Table
	r.each = func(ev *schema.Event) { last = ev.Table }
	r.want(`c public.t {id:2}`, `c public.t {id:3 y:8}`)
	if s := last.Columns[1].Schema; s.Optional || s.Default == nil || s.Default.Int() != 7 {
		t.Errorf("schema of the new column: %+v", s)
	}
	if err := errors.Join(<-released, <-committed); err != nil {
		t.Fatal(err)
	}
}

// release ends a session's waiting for a standby once another session has
// asked whether its transaction is visible.
func release(ctx context.Context, server *servers.PostgresServer, pid uint32) error {
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(patience / 3)
	defer timeout.Stop()
	asked := false
	for late := false; !asked && !late; {
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep')
AND EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%txid_visible_in_snapshot%')`, pid).Scan(&asked)
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			late = true
		}
	}
	if _, err := conn.Exec(ctx, `SELECT pg_cancel_backend($1::int)`, pid); err != nil {
		return err
	}
	if !asked {
		return errors.New("nobody asks whether the transaction is visible")
	}
	return nil
}
