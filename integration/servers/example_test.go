package servers_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/penstock/penstock/integration/servers"
)

// A program that is no test, such as a demonstration, asks a Run.
func ExampleOpen() {
	ctx := context.Background()
	run, err := servers.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = run.Close() }()
	db, err := run.StartPostgres(ctx, servers.Version("18"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := db.Fresh(ctx, "shop"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(db.URL())
}

// A test of what happens when a server dies starts one of its own.
func ExampleStartMySQL() {
	_ = func(t *testing.T) {
		db := servers.StartMySQL(t, servers.Config("binlog_row_image=MINIMAL"))
		db.MustExec(t, "CREATE TABLE a (id int PRIMARY KEY)")
		if err := db.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Start(t.Context()); err != nil { // same data, same port
			t.Fatal(err)
		}
	}
}
