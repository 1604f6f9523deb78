package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/integration/servers"
)

// manyTables is a database of many tables, every fiftieth of which is small_n
// and has three rows; the others are t_n and empty.
type manyTables struct {
	connector map[string]string
	all, some string // values of table.include.list
	topic     string // of a table, behind the prefix and before its name
	insert    func(t *testing.T, table string)
}

const smallEvery = 50

func tableOf(n int) string {
	if n%smallEvery == 0 {
		return fmt.Sprintf("small_%d", n/smallEvery)
	}
	return fmt.Sprintf("t_%d", n)
}

func manyTablesInPostgres(t *testing.T, tables int) manyTables {
	t.Helper()
	pg := servers.StartPostgres(t)
	// A transaction for each thousand: each table's locks have to fit.
	for from := 0; from < tables; from += 1000 {
		pg.MustExec(t, fmt.Sprintf(`DO $$ BEGIN FOR i IN %d..%d LOOP
			IF i %% %d = 0 THEN
				EXECUTE format('CREATE TABLE small_%%s (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, at TIMESTAMP)', i / %[3]d);
				EXECUTE format('INSERT INTO small_%%s SELECT n, ''name '' || n FROM generate_series(1, 3) n', i / %[3]d);
			ELSE
				EXECUTE format('CREATE TABLE t_%%s (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, at TIMESTAMP)', i);
			END IF;
		END LOOP; END $$`, from, min(from+1000, tables)-1, smallEvery))
	}
	return manyTables{
		connector: map[string]string{
			"connector.class": "postgres", "database.hostname": pg.Host, "database.port": strconv.Itoa(pg.Port),
			"database.user": pg.User, "database.password": pg.Password, "database.dbname": pg.Database,
			"publication.autocreate.mode": "filtered",
		},
		all: `public\..*`, some: `public\.small_[0-9]*[02468]`, topic: ".public.",
		insert: func(t *testing.T, table string) { pg.MustExec(t, "INSERT INTO "+table+" VALUES (4, 'late')") },
	}
}

func manyTablesInMySQL(t *testing.T, tables int) manyTables {
	t.Helper()
	my := servers.StartMySQL(t)
	var g errgroup.Group
	const sessions = 4
	for s := range sessions {
		g.Go(func() error {
			var statements []string
			for n := s; n < tables; n += sessions {
				statements = append(statements, "CREATE TABLE "+tableOf(n)+" (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, at DATETIME)")
				if n%smallEvery == 0 {
					statements = append(statements, "INSERT INTO "+tableOf(n)+" (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
				}
			}
			return my.Exec(t.Context(), statements...)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return manyTables{
		connector: map[string]string{
			"connector.class": "mysql", "database.hostname": my.Host, "database.port": strconv.Itoa(my.Port),
			"database.user": my.User, "database.password": my.Password, "database.include.list": my.Database,
			"database.server.id": strconv.Itoa(100_000 + rand.IntN(1_000_000)),
		},
		all: my.Database + `\..*`, some: my.Database + `\.small_[0-9]*[02468]`, topic: "." + my.Database + ".",
		insert: func(t *testing.T, table string) {
			my.MustExec(t, "INSERT INTO "+table+" (id, name) VALUES (4, 'late')")
		},
	}
}

// TestChaos_ManyTables starts on a database of many tables, with half of those
// that have rows captured and with all, and holds the daemon's peak resident
// set under bounds. MySQL takes a minute to make the ten thousand that they are
// meant for, so a fifth of that is what is made unless CHAOS_TABLES says so.
func TestChaos_ManyTables(t *testing.T) {
	tables := int(number(t, "CHAOS_TABLES", 1_000, 2_000, "fewer tables fit into the bounds whatever is done with them"))
	some, all := 150_000_000, 500_000_000
	if tables < 10_000 {
		some, all = 100_000_000, 180_000_000
	}
	for name, make := range map[string]func(*testing.T, int) manyTables{"postgres": manyTablesInPostgres, "mysql": manyTablesInMySQL} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			m := make(t, tables)
			t.Logf("%d tables made in %v", tables, time.Since(began).Round(time.Millisecond))
			small := tables / smallEvery
			for _, c := range []struct {
				name, include, late string
				rows, bound         int
			}{
				{"some", m.some, "small_0", 3 * small / 2, some},
				{"all", m.all, "small_1", 3*small + 1, all}, // with the one that came late to small_0
			} {
				t.Run(c.name, func(t *testing.T) { m.start(t, c.name, c.include, c.late, small, c.rows, c.bound) })
			}
		})
	}
}

// start captures tables and waits for all rows of theirs, and for one that
// another table is given then.
func (m *manyTables) start(t *testing.T, name, include, late string, small, rows, bound int) {
	ctx := t.Context()
	kafka := servers.Kafka(t)
	prefix := kafka.Topic("many")
	connector := map[string]string{
		"table.include.list": include, "schema.history.internal.kafka.topic": prefix + "-history",
		"schema.history.internal.kafka.bootstrap.servers": strings.Join(kafka.Brokers(), ","),
	}
	for k, v := range m.connector {
		connector[k] = v
	}
	if m.connector["connector.class"] == "postgres" {
		delete(connector, "schema.history.internal.kafka.topic")
		delete(connector, "schema.history.internal.kafka.bootstrap.servers")
		connector["slot.name"] = "many_" + name
		connector["publication.name"] = connector["slot.name"]
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var topics []string
	for n := range small {
		topics = append(topics, prefix+m.topic+"small_"+strconv.Itoa(n))
	}
	began := time.Now()
	d := alone(t, kafka, prefix, connector)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(3 * time.Minute)
	await := func(what string, want int64) {
		for {
			ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
			if err != nil {
				t.Fatal(err)
			}
			var records int64
			ends.Each(func(o kadm.ListedOffset) {
				if o.Err == nil {
					records += max(0, o.Offset)
				}
			})
			if records == want {
				return
			}
			if records > want {
				t.Fatalf("%d records, want %d of %s", records, want, what)
			}
			select {
			case <-deadline:
				t.Fatalf("%d of %d records of %s\n%s", records, want, what, d.Tail())
			case <-d.Done():
				t.Fatalf("the daemon ended by itself:\n%s", d.Tail())
			case <-tick.C:
			}
		}
	}
	await("the snapshot", int64(rows))
	copied := time.Since(began)
	m.insert(t, late)
	await("the stream", int64(rows)+1)
	usage, err := d.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("copied %v after the start, streamed after %v, %.2f CPU-seconds, peak resident set %.1f MB",
		copied.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), usage.CPU.Seconds(), float64(usage.PeakRSS)/1e6)
	if usage.PeakRSS >= int64(bound) {
		t.Errorf("the daemon's peak resident set is %.1f MB, the bound %.1f MB", float64(usage.PeakRSS)/1e6, float64(bound)/1e6)
	}
}
