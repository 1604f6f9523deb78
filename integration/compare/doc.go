// Package compare proves that a destination holds what its source holds: every
// row of a table against every document of a collection or index, field by
// field, in both directions.
//
// The demo ends with it and the tests that kill, restart and poison end with
// it, so it must never call a difference equal. It knows nothing of how
// Penstock reads or writes: it asks the databases with their ordinary clients
// and has rules of its own for what denotes the same value (see Equal). A
// column type that it has no rule for is an error, not a match.
//
//	report, err := compare.MySQLToMongo(ctx, mysql.DSN(), mongo.URI(), "shop", []compare.Pair{
//		{Table: "orders", Target: "orders"},
//	})
//	if err != nil || !report.Equal() {
//		t.Fatalf("%v\n%v", err, report)
//	}
//
// Both sides must be at rest; a row that changes in between is a difference.
package compare
