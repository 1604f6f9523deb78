package postgres_test

import (
	"testing"

	"github.com/penstock/penstock/integration/servers"
)

func TestSource_StreamsChanges(t *testing.T) {
	t.Parallel()
	b := setup(t, servers.Postgres(t))
	b.exec(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2))`)
	r := b.stream(nil)
	b.exec(`INSERT INTO t VALUES (1, 'a', 1.5), (2, NULL, NULL)`,
		`UPDATE t SET v = 'b' WHERE id = 1`,
		`UPDATE t SET id = 3 WHERE id = 2`,
		`DELETE FROM t WHERE id = 1`,
		`TRUNCATE t`)
	r.want(
		`c public.t {id:1 v:"a" n:"1.50"}`,
		`c public.t {id:2 v:null n:null}`,
		`u public.t {id:1 v:"b" n:"1.50"}`,
		`u public.t {id:3 v:null n:null} before {id:2 v:null n:null}`,
		`d public.t before {id:1 v:null n:null}`,
		`t public.t`,
	)
}
