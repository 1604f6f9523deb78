package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/integration/compare"
	"github.com/penstock/penstock/integration/servers"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	liveFor   = 20 * time.Second
	shopRate  = 60 // transactions a second in each database
	probeRate = 50 // probes a second in each database
	// patience is how long a phase may take, and standstill how long the first
	// copy may go without another row, before the demo gives up.
	patience   = 10 * time.Minute
	standstill = 90 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := newTerminal(os.Stdout)
	d := &demo{t: t, keep: os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0"}
	err := d.run(ctx)
	switch {
	case errors.Is(err, errDifferent):
		t.say("\n%s", t.bad("The demo found differences; see above."))
		os.Exit(1)
	case ctx.Err() != nil:
		t.say("\nStopped; everything is cleaned up.")
		os.Exit(130)
	case err != nil:
		t.say("\n%s %v", t.bad("The demo failed:"), err)
		os.Exit(1)
	}
}

var errDifferent = errors.New("source and destination differ")

// mirror is one source, its topics and one sink.
type mirror struct {
	title   string
	db      database
	store   store
	group   string // the sink's consumer group
	prefix  string // of its topics
	compare func(ctx context.Context, pairs []compare.Pair) (*compare.Report, error)

	copied  time.Duration // from the daemon's start to the last row in the sink
	traffic traffic
	watch   *stopwatch
	caught  time.Duration // from the last change to lag 0
	records int64         // in the topics
	report  *compare.Report
}

type demo struct {
	t    *terminal
	keep bool

	run0     *servers.Run
	mysql    *servers.MySQLServer
	postgres *servers.PostgresServer
	mongo    *servers.MongoServer
	elastic  *servers.ElasticsearchServer
	tables   []shopTable
	mirrors  []*mirror
	daemon   *daemon
	kafka    *kadm.Client
	dir      string
}

func (d *demo) run(ctx context.Context) (err error) {
	began := time.Now()
	d.tables = shop()
	d.t.say("%s", d.t.bold("Penstock: MySQL to MongoDB and Postgres to Elasticsearch, through Kafka topics, in one process"))

	d.dir, err = os.MkdirTemp("", "penstock-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	d.run0, err = servers.Open(ctx)
	if err != nil {
		return err
	}
	defer d.run0.Close()

	defer d.close()
	for _, phase := range []func(context.Context) error{
		d.startServers, d.loadShops, d.connectStores, d.startDaemon, d.copy, d.live, d.catchUp, d.prove,
	} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	d.summary(time.Since(began))
	for _, m := range d.mirrors {
		if !m.report.Equal() {
			return errDifferent
		}
	}
	for i := len(d.mirrors) - 1; i >= 0; i-- {
		if err := d.mirrors[i].store.show(ctx, d.t); err != nil {
			return err
		}
	}
	if d.keep {
		d.lookAround()
		<-ctx.Done()
		d.t.say("\nStopping.")
		return nil
	}
	d.t.say("\n%s", d.t.dim("Run it with KEEP=1 to leave everything running and look around."))
	return nil
}

// close ends what the phases opened, in the other order. The servers end with
// the lease.
func (d *demo) close() {
	if d.kafka != nil {
		d.kafka.Close()
	}
	if d.daemon != nil {
		d.daemon.stop()
	}
	for _, m := range d.mirrors {
		if s, ok := m.store.(*mongoStore); ok && s != nil {
			_ = s.db.Client().Disconnect(context.Background()) // nothing is under way
		}
	}
}

// together runs functions at the same time and waits for all. The first error
// cancels the others.
func together(ctx context.Context, fs ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (d *demo) startServers(ctx context.Context) error {
	d.t.step("Starting four real servers")
	began := time.Now()
	d.run0.Progress = func(line string) { d.t.status("%s", line) }
	started := func(name string, a servers.Address) {
		d.t.say("  %-14s %-10s %s  %s", name, a.Version, a.Addr(), d.t.dim(seconds(time.Since(began))))
	}
	err := together(ctx,
		func(ctx context.Context) (err error) {
			if d.mysql, err = d.run0.StartMySQL(ctx); err != nil {
				return err
			}
			started("MySQL", d.mysql.Address)
			if err := d.mysql.Exec(ctx, "CREATE DATABASE shop"); err != nil {
				return err
			}
			d.mysql.Database = "shop"
			return nil
		},
		func(ctx context.Context) (err error) {
			if d.postgres, err = d.run0.StartPostgres(ctx); err != nil {
				return err
			}
			started("Postgres", d.postgres.Address)
			if err := d.postgres.Exec(ctx, "CREATE DATABASE shop"); err != nil {
				return err
			}
			d.postgres.Database = "shop"
			return nil
		},
		func(ctx context.Context) (err error) {
			if d.mongo, err = d.run0.StartMongo(ctx); err != nil {
				return err
			}
			started("MongoDB", d.mongo.Address)
			return nil
		},
		func(ctx context.Context) (err error) {
			if d.elastic, err = d.run0.StartElasticsearch(ctx); err != nil {
				return err
			}
			started("Elasticsearch", d.elastic.Address)
			return nil
		},
	)
	return err
}

func (d *demo) loadShops(ctx context.Context) error {
	rows := rowCount(d.tables)
	d.t.step("Filling both databases with the same shop of %s rows", thousands(rows))
	d.mirrors = []*mirror{
		{title: "MySQL → MongoDB", db: mysqlShop{d.mysql}, group: "connect-mongo", prefix: "mysql.shop."},
		{title: "Postgres → Elasticsearch", db: postgresShop{d.postgres}, group: "connect-search", prefix: "postgres.public."},
	}
	var loaded [2]atomic.Int64
	var loads []func(context.Context) error
	for i, m := range d.mirrors {
		loads = append(loads, func(ctx context.Context) error {
			began := time.Now()
			err := m.db.load(ctx, d.tables, func(n int) {
				loaded[i].Store(int64(n))
				d.t.status("MySQL %s  Postgres %s of %s rows", thousands(loaded[0].Load()), thousands(loaded[1].Load()), thousands(rows))
			})
			if err == nil {
				d.t.say("  %-9s %s rows in %s tables in %s", m.db.dialect().name, thousands(rows), thousands(len(d.tables)), seconds(time.Since(began)))
			}
			return err
		})
	}
	return together(ctx, loads...)
}

func (d *demo) connectStores(context.Context) error {
	mongo, err := openMongo(d.mongo, "shop")
	if err != nil {
		return err
	}
	d.mirrors[0].store = mongo
	d.mirrors[0].compare = func(ctx context.Context, pairs []compare.Pair) (*compare.Report, error) {
		return compare.MySQLToMongo(ctx, d.mysql.DSN(), d.mongo.URI(), "shop", pairs)
	}
	d.mirrors[1].store = &elasticStore{server: d.elastic}
	d.mirrors[1].compare = func(ctx context.Context, pairs []compare.Pair) (*compare.Report, error) {
		return compare.PostgresToElasticsearch(ctx, d.postgres.URL(), d.elastic.URL(), pairs)
	}
	return nil
}

// variables is the whole configuration of the daemon.
func (d *demo) variables(rest, broker string) *environment {
	e := &environment{}
	e.worker("data.dir", filepath.Join(d.dir, "data"))
	e.worker("broker.listen", broker)
	e.worker("listeners", "http://"+rest)

	const shopMySQL, mongo, shopPostgres, search = "shop-mysql", "mongo", "shop-postgres", "search"
	e.connector(shopMySQL, "connector.class", "mysql")
	e.connector(shopMySQL, "database.hostname", d.mysql.Host)
	e.connector(shopMySQL, "database.port", strconv.Itoa(d.mysql.Port))
	e.connector(shopMySQL, "database.user", d.mysql.User)
	e.connector(shopMySQL, "database.password", d.mysql.Password)
	e.connector(shopMySQL, "database.server.id", "5401")
	e.connector(shopMySQL, "database.include.list", "shop")
	e.connector(shopMySQL, "topic.prefix", "mysql")

	e.connector(mongo, "connector.class", "mongodb-sink")
	e.connector(mongo, "topics.regex", `mysql\.shop\..*`)
	e.connector(mongo, "connection.uri", d.mongo.URI())
	e.connector(mongo, "database", "shop")
	e.connector(mongo, "collection.name.format", "${table}")

	e.connector(shopPostgres, "connector.class", "postgres")
	e.connector(shopPostgres, "database.hostname", d.postgres.Host)
	e.connector(shopPostgres, "database.port", strconv.Itoa(d.postgres.Port))
	e.connector(shopPostgres, "database.user", d.postgres.User)
	e.connector(shopPostgres, "database.password", d.postgres.Password)
	e.connector(shopPostgres, "database.dbname", "shop")
	e.connector(shopPostgres, "schema.include.list", "public")
	e.connector(shopPostgres, "topic.prefix", "postgres")

	e.connector(search, "connector.class", "elasticsearch-sink")
	e.connector(search, "topics.regex", `postgres\.public\..*`)
	e.connector(search, "connection.url", d.elastic.URL())
	e.connector(search, "index.name", "shop-${table}")
	return e
}

func (d *demo) startDaemon(ctx context.Context) error {
	d.t.step("Starting the daemon, configured by its environment alone")
	bin := filepath.Join(d.dir, "penstock")
	d.t.status("building")
	if err := build(ctx, bin); err != nil {
		return err
	}
	var at [2]string
	for i := range at {
		port, err := d.run0.FreePort(ctx)
		if err != nil {
			return err
		}
		at[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	e := d.variables(at[0], at[1])
	for _, line := range e.lines() {
		d.t.say("  %s", d.t.dim(line))
	}
	var err error
	d.daemon, err = start(ctx, bin, d.dir, at[0], at[1], e.vars)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(at[1]))
	if err != nil {
		return fmt.Errorf("connect to the embedded broker: %w", err)
	}
	d.kafka = kadm.NewClient(client)
	return nil
}

// copy waits until every row is in its sink.
func (d *demo) copy(ctx context.Context) error {
	rows := rowCount(d.tables)
	d.t.step("First copy")
	began := time.Now()
	counts := make([]int, len(d.mirrors))
	progress := func() string {
		var parts []string
		for i, m := range d.mirrors {
			parts = append(parts, fmt.Sprintf("%s %s %s", m.title, bar(counts[i], rows), thousands(counts[i])))
		}
		return strings.Join(parts, "   ")
	}
	sum, moved := 0, began
	return poll(ctx, patience, 250*time.Millisecond, func() (bool, error) {
		if err := d.daemon.healthy(ctx); err != nil {
			return false, err
		}
		missing, before := false, sum
		sum = 0
		for i, m := range d.mirrors {
			if m.copied > 0 {
				continue
			}
			var err error
			if counts[i], err = m.store.count(ctx, d.tables); err != nil {
				return false, err
			}
			if counts[i] < rows {
				missing = true
				sum += counts[i]
				continue
			}
			m.copied = time.Since(began)
			d.t.say("  %-25s %s rows in %s, %s a second", m.title, thousands(rows), seconds(m.copied), thousands(int(float64(rows)/m.copied.Seconds())))
		}
		d.t.status("%s", progress())
		if sum != before {
			moved = time.Now()
		}
		if missing && time.Since(moved) > standstill {
			return false, fmt.Errorf("no row has come for %s; %s", standstill, d.daemon.account(ctx))
		}
		return !missing, nil
	})
}

// live lets customers shop while everything is mirrored.
func (d *demo) live(ctx context.Context) error {
	d.t.step("%d seconds of inserts, updates, deletes, changed keys, and an ALTER TABLE in both", int(liveFor.Seconds()))
	watching, stop := context.WithCancel(ctx)
	defer stop()
	opened := make(chan struct{}, len(d.mirrors))
	parts := []func(context.Context) error{func(ctx context.Context) error {
		defer stop()
		for range d.mirrors { // a probe that nobody watches for would be waited for
			select {
			case <-opened:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := d.trade(ctx); err != nil {
			return err
		}
		return d.lastProbes(ctx)
	}}
	for _, m := range d.mirrors {
		m.watch = newStopwatch()
		parts = append(parts, func(context.Context) error { return m.store.watch(watching, m.watch, func() { opened <- struct{}{} }) })
	}
	if err := together(ctx, parts...); err != nil {
		return err
	}
	for _, m := range d.mirrors {
		l := m.watch.latencies()
		d.t.say("  %-25s %s transactions with %s statements; %s probes, commit to sink p50 %s, p99 %s", m.title,
			thousands(m.traffic.transactions.Load()), thousands(m.traffic.statements.Load()), thousands(len(l)), millis(percentile(l, 50)), millis(percentile(l, 99)))
	}
	return nil
}

// trade changes both databases, and says how it goes.
func (d *demo) trade(ctx context.Context) error {
	var busy []func(context.Context) error
	for _, m := range d.mirrors {
		busy = append(busy,
			func(ctx context.Context) error { return m.traffic.run(ctx, m.db, shopRate, liveFor) },
			func(ctx context.Context) error { return m.watch.insert(ctx, m.db, probeRate, liveFor) },
		)
	}
	over := make(chan struct{})
	return together(ctx,
		func(ctx context.Context) error {
			defer close(over)
			return together(ctx, busy...)
		},
		func(ctx context.Context) error {
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			altered := false
			for {
				select {
				case <-over:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-tick.C:
				}
				if err := d.daemon.healthy(ctx); err != nil {
					return err
				}
				if a := d.mirrors[0].traffic.altered.Load() && d.mirrors[1].traffic.altered.Load(); a && !altered {
					altered = true
					d.t.say("  ALTER TABLE customers ADD COLUMN loyalty_points INT, and rows that use it")
				}
				var parts []string
				for _, m := range d.mirrors {
					parts = append(parts, fmt.Sprintf("%s %s transactions, p50 %s", m.title, thousands(m.traffic.transactions.Load()), millis(percentile(m.watch.latencies(), 50))))
				}
				d.t.status("%s", strings.Join(parts, "   "))
			}
		},
	)
}

// lastProbes commits one more probe after everything else and waits until all
// are in their sinks.
func (d *demo) lastProbes(ctx context.Context) error {
	ended := time.Now()
	for _, m := range d.mirrors {
		s, err := m.db.connect(ctx)
		if err != nil {
			return err
		}
		err = m.watch.one(ctx, s)
		s.close()
		if err != nil {
			return err
		}
	}
	err := poll(ctx, patience, 20*time.Millisecond, func() (bool, error) {
		missing := 0
		for _, m := range d.mirrors {
			n := len(m.watch.missing())
			if n == 0 && m.caught == 0 {
				m.caught = time.Since(ended)
			}
			missing += n
		}
		if missing == 0 {
			return true, nil
		}
		d.t.status("waiting for %s probes", thousands(missing))
		return false, d.daemon.healthy(ctx)
	})
	if err != nil {
		return fmt.Errorf("wait for the last changes to arrive: %w", err)
	}
	return nil
}

// catchUp waits until the sinks have committed all there is in their topics.
func (d *demo) catchUp(ctx context.Context) error {
	for _, m := range d.mirrors {
		err := poll(ctx, patience, 100*time.Millisecond, func() (bool, error) {
			if err := d.daemon.healthy(ctx); err != nil {
				return false, err
			}
			topics, err := d.kafka.ListTopics(ctx)
			if err != nil {
				return false, fmt.Errorf("list the topics: %w", err)
			}
			var names []string
			for _, n := range topics.Names() {
				if strings.HasPrefix(n, m.prefix) {
					names = append(names, n)
				}
			}
			starts, err := d.kafka.ListStartOffsets(ctx, names...)
			if err != nil {
				return false, fmt.Errorf("ask for the topics' first offsets: %w", err)
			}
			ends, err := d.kafka.ListEndOffsets(ctx, names...)
			if err != nil {
				return false, fmt.Errorf("ask for the topics' last offsets: %w", err)
			}
			committed, err := d.kafka.FetchOffsets(ctx, m.group)
			if err != nil {
				return false, fmt.Errorf("ask for the offsets of the group %s: %w", m.group, err)
			}
			m.records = 0
			var lag int64
			ends.Each(func(o kadm.ListedOffset) {
				first := int64(0)
				if s, ok := starts.Lookup(o.Topic, o.Partition); ok {
					first = s.Offset
				}
				at := first
				if c, ok := committed.Lookup(o.Topic, o.Partition); ok {
					at = c.At
				}
				m.records += o.Offset - first
				lag += o.Offset - at
			})
			d.t.status("%s: %s records behind", m.title, thousands(lag))
			return lag == 0, nil
		})
		if err != nil {
			return fmt.Errorf("wait for %s to catch up: %w", m.title, err)
		}
	}
	return nil
}

// prove compares all rows with all documents.
func (d *demo) prove(ctx context.Context) error {
	d.t.step("Comparing every row, field by field")
	for _, m := range d.mirrors {
		d.t.status("%s", m.title)
		var err error
		if m.report, err = m.compare(ctx, pairs(m.store, d.tables)); err != nil {
			return err
		}
		d.t.say("  %s", d.t.bold(m.title))
		for line := range strings.Lines(m.report.String()) {
			d.t.say("  %s", strings.TrimRight(line, "\n"))
		}
	}
	return nil
}

func (d *demo) summary(total time.Duration) {
	d.t.step("Summary")
	row := func(name string, value func(m *mirror) string) {
		line := fmt.Sprintf("  %-28s", name)
		for _, m := range d.mirrors {
			line += fmt.Sprintf(" %26s", value(m))
		}
		d.t.say("%s", line)
	}
	rows := rowCount(d.tables)
	row("", func(m *mirror) string { return m.title })
	row("rows of the first copy", func(*mirror) string { return thousands(rows) })
	row("first copy, into the sink", func(m *mirror) string { return seconds(m.copied) })
	row("rows a second", func(m *mirror) string { return thousands(int(float64(rows) / m.copied.Seconds())) })
	row("events in the topics", func(m *mirror) string { return thousands(m.records) })
	row("of them while live", func(m *mirror) string { return thousands(m.records - int64(rows)) })
	row("events a second while live", func(m *mirror) string {
		return thousands(int(float64(m.records-int64(rows)) / (liveFor + m.caught).Seconds()))
	})
	row("commit to sink, p50", func(m *mirror) string { return millis(percentile(m.watch.latencies(), 50)) })
	row("commit to sink, p99", func(m *mirror) string { return millis(percentile(m.watch.latencies(), 99)) })
	row("rows compared", func(m *mirror) string { return thousands(m.report.Rows()) })
	row("differences", func(m *mirror) string { return thousands(m.report.Total) })
	cpu, peak := d.daemon.usage()
	d.t.say("  The daemon with its embedded broker took %s of CPU and at most %d MB; all of this took %s.", seconds(cpu), peak>>20, total.Round(time.Second))
	different := 0
	for _, m := range d.mirrors {
		different += m.report.Total
	}
	if different == 0 {
		d.t.say("  %s", d.t.good("Every row is in its sink, field by field: 0 differences."))
	} else {
		d.t.say("  %s", d.t.bad(thousands(different)+" differences."))
	}
}

func (d *demo) lookAround() {
	d.t.step("Everything runs on until Ctrl-C. Look around:")
	for _, l := range [][2]string{
		{"connectors", "curl -s " + d.daemon.rest + "/connectors?expand=status"},
		{"metrics", "curl -s " + d.daemon.rest + "/metrics"},
		{"topics", "kafka-console-consumer --bootstrap-server " + d.daemon.broker + " --topic mysql.shop.orders --from-beginning"},
		{"", "kcat -b " + d.daemon.broker + " -t postgres.public.reviews -e"},
		{"MySQL", fmt.Sprintf("mysql -h %s -P %d -u %s -p%s shop", d.mysql.Host, d.mysql.Port, d.mysql.User, d.mysql.Password)},
		{"Postgres", fmt.Sprintf("psql '%s'", d.postgres.URL())},
		{"MongoDB", fmt.Sprintf("mongosh '%s' (then: use shop)", d.mongo.URI())},
		{"Elasticsearch", fmt.Sprintf("curl -s '%s/%s/_search?q=body:quiet&pretty'", d.elastic.URL(), d.mirrors[1].store.target("reviews"))},
		{"log", "tail -f " + d.daemon.log},
		{"try", "change a row in MySQL or Postgres and read it in MongoDB or Elasticsearch"},
	} {
		d.t.say("  %-14s %s", l[0], l[1])
	}
}
