package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/worker"
)

// badConfiguration is a configuration with one thing wrong, and what every
// message about it has to say.
type badConfiguration struct {
	name   string
	config map[string]string
	// says are parts of the message: what is wrong, and the remedy.
	says []string
	// passes says that the trouble may pass, so that the task waits for it
	// instead of failing.
	passes bool
	// warning says that it is a warning, and the connector runs.
	warning bool
}

// TestBadConfiguration has each mistake explained in the three places where
// people meet it: `penstock check`, the REST API's validation, and the start
// of a declared connector.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	var cases []badConfiguration
	cases = append(cases, badPostgres(t)...)
	cases = append(cases, badMySQL(t)...)
	env := []string{}
	for _, c := range cases {
		env = append(env, declare(t, c.name, c.config))
	}
	w := startWorker(t, env...)
	reports, err := worker.Check(t.Context(), worker.Options{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(reports, func(r worker.Report) bool { return r.Name == c.name })
			if i < 0 {
				t.Fatal("check says nothing about it")
			}
			if c.warning {
				c.explained(t, "check", strings.Join(reports[i].Warnings, "\n"))
			} else {
				c.explained(t, "check", strings.Join(reports[i].Errors, "\n"))
			}
			c.validated(t, w)
			c.started(t, w)
		})
	}
}

// declare returns the variable that declares a connector.
func declare(t *testing.T, name string, config map[string]string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		t.Fatal(err)
	}
	return "PENSTOCK_CONNECTOR_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "=" + string(text)
}

// explained checks a message.
func (c badConfiguration) explained(t *testing.T, where, message string) {
	t.Helper()
	for _, part := range c.says {
		if !strings.Contains(message, part) {
			t.Errorf("%s does not say %q:\n%s", where, part, message)
		}
	}
	for _, secret := range []string{"canary-4711", "sesame", "mellon"} {
		if strings.Contains(message, secret) {
			t.Errorf("%s shows %q:\n%s", where, secret, message)
		}
	}
	if strings.Contains(message, "goroutine ") || strings.Contains(message, ".go:") {
		t.Errorf("%s shows a stack trace of Go:\n%s", where, message)
	}
}

// validated asks the REST API.
func (c badConfiguration) validated(t *testing.T, w *testWorker) {
	t.Helper()
	config := maps.Clone(c.config)
	config["name"] = c.name
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	contentType := map[string]string{"Content-Type": "application/json"}
	status, headers, answer := w.do(t, http.MethodPut, "/connector-plugins/"+config["connector.class"]+"/config/validate", contentType, body)
	if status != http.StatusOK {
		t.Fatalf("validation answers %d: %s", status, answer)
	}
	var v struct {
		ErrorCount int `json:"error_count"`
		Configs    []struct {
			Value struct{ Errors []string }
		}
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatal(err)
	}
	var errs []string
	for _, c := range v.Configs {
		errs = append(errs, c.Value.Errors...)
	}
	if c.warning {
		c.explained(t, "the header of the validation", strings.Join(headers.Values("X-Penstock-Warning"), "\n"))
		if v.ErrorCount != 0 {
			t.Errorf("a warning counts as an error: %s", strings.Join(errs, "\n"))
		}
		return
	}
	c.explained(t, "validation", strings.Join(errs, "\n"))
	if v.ErrorCount != len(errs) || len(errs) != 1 {
		t.Errorf("one mistake gives %d errors, and error_count %d:\n%s", len(errs), v.ErrorCount, strings.Join(errs, "\n"))
	}
	create, err := json.Marshal(map[string]any{"name": "new-" + c.name, "config": c.config})
	if err != nil {
		t.Fatal(err)
	}
	status, _, answer = w.do(t, http.MethodPost, "/connectors", contentType, create)
	if status != http.StatusBadRequest {
		t.Errorf("POST answers %d: %s", status, answer)
	}
	var failure struct{ Message string }
	if err := json.Unmarshal(answer, &failure); err != nil {
		t.Fatal(err)
	}
	c.explained(t, "POST", failure.Message)
}

// started looks at what became of the declared connector.
func (c badConfiguration) started(t *testing.T, w *testWorker) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		state, trace, waits := w.stateOf(t, c.name)
		switch {
		case c.warning && state == "RUNNING" && waits == "" && strings.Contains(w.log.String(), c.logged()):
			return
		case c.passes && state == "RUNNING" && waits != "":
			c.explained(t, "/readyz", waits)
			return
		case !c.passes && !c.warning && state == "FAILED":
			c.explained(t, "the trace", trace)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("the task is %s, waits for %q and has the trace %s\n%s", state, waits, trace, w.tail())
			return
		}
	}
}

// logged is how the log writes the first part of the message.
func (c badConfiguration) logged() string {
	return strings.ReplaceAll(c.says[0], `"`, `\"`)
}

// stateOf returns the state of a connector's task, or of the connector if it
// has none, its trace, and what it waits for.
func (w *testWorker) stateOf(t *testing.T, name string) (state, trace, waits string) {
	t.Helper()
	type one struct {
		State, Trace string
	}
	var st struct {
		Connector one
		Tasks     []one
	}
	status, _, body := w.do(t, http.MethodGet, "/connectors/"+name+"/status", nil, nil)
	if status != http.StatusOK {
		return "", "", ""
	}
	if err := json.Unmarshal(body, &st); err != nil {
		t.Fatal(err)
	}
	var ready struct {
		Connectors map[string]struct {
			Tasks []struct {
				WaitsFor string `json:"waits_for"`
			}
		}
	}
	_, _, body = w.do(t, http.MethodGet, "/readyz", nil, nil)
	if err := json.Unmarshal(body, &ready); err != nil {
		t.Fatal(err)
	}
	if tasks := ready.Connectors[name].Tasks; len(tasks) > 0 {
		waits = tasks[0].WaitsFor
	}
	if len(st.Tasks) > 0 {
		return st.Tasks[0].State, st.Tasks[0].Trace, waits
	}
	return st.Connector.State, st.Connector.Trace, waits
}

// with returns a configuration with some settings changed; a value of "-"
// takes one away.
func with(base map[string]string, changes ...string) map[string]string {
	out := maps.Clone(base)
	for i := 0; i < len(changes); i += 2 {
		out[changes[i]] = changes[i+1]
		if changes[i+1] == "-" {
			delete(out, changes[i])
		}
	}
	return out
}

func badPostgres(t *testing.T) []badConfiguration {
	db := servers.Postgres(t)
	db.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text)", "INSERT INTO customers VALUES (1, 'a')")
	// A user who may do everything but read the log.
	user := "u_" + db.Database
	if len(user) > 60 {
		user = user[:60]
	}
	db.MustExec(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'canary-4711'", user), "CREATE TABLE theirs (id int PRIMARY KEY)",
		"ALTER TABLE theirs OWNER TO "+user, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", db.Database, user))
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		err := db.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active",
			"DROP OWNED BY "+user, "DROP ROLE "+user)
		if err != nil {
			t.Error(err)
		}
	})
	replica := servers.Postgres(t, servers.Config("wal_level=replica"))
	replica.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text)")
	base := func(db *servers.PostgresServer, slot string) map[string]string {
		return map[string]string{
			"connector.class": "postgres", "database.hostname": db.Host, "database.port": fmt.Sprint(db.Port), "database.user": db.User,
			"database.password": db.Password, "database.dbname": db.Database, "topic.prefix": slot, "plugin.name": "pgoutput",
			"slot.name":        "bad_" + slot + "_" + db.Database[len(db.Database)-8:], // slots are the whole server's
			"publication.name": "bad_" + slot, "publication.autocreate.mode": "filtered", "table.include.list": "public.customers",
		}
	}
	return []badConfiguration{
		{name: "pg-password", config: with(base(db, "a"), "database.password", "wrong-password"), says: []string{"password", "database.password"}},
		{name: "pg-wal-level", config: base(replica, "b"), says: []string{"wal_level", "logical", "ALTER SYSTEM SET wal_level"}},
		{name: "pg-privilege", config: with(base(db, "c"), "database.user", user, "database.password", "canary-4711", "table.include.list", "public.theirs"), says: []string{"REPLICATION", "ALTER ROLE"}},
		{name: "pg-table", config: with(base(db, "d"), "table.include.list", "public.nothing"), says: []string{"public.nothing"}},
		{name: "pg-database", config: with(base(db, "e"), "database.dbname", "nothing"), says: []string{`database "nothing" does not exist`}},
		{name: "pg-host", config: with(base(db, "f"), "database.port", "1"), says: []string{"127.0.0.1:1"}, passes: true},
		{name: "pg-name", config: with(base(db, "g"), "database.hostname", "nobody.invalid"), says: []string{"nobody.invalid"}, passes: true},
		{name: "pg-misspelt", config: with(base(db, "h"), "database.hostname", "-", "database.hostnam", "x"), says: []string{"database.hostname", `"database.hostnam"`}},
		{name: "pg-unknown", config: with(base(db, "i"), "slot.drop.on.stopp", "true"), says: []string{`did you mean "slot.drop.on.stop"`}, warning: true},
	}
}

func badMySQL(t *testing.T) []badConfiguration {
	db := servers.MySQL(t)
	db.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text)", "INSERT INTO customers VALUES (1, 'a')")
	user := "u" + db.Database
	if len(user) > 30 {
		user = user[len(user)-30:]
	}
	db.MustExec(t, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'canary-4711'", user), fmt.Sprintf("GRANT SELECT, RELOAD, LOCK TABLES, REPLICATION CLIENT, SHOW DATABASES ON *.* TO '%s'@'%%'", user))
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := db.Exec(ctx, fmt.Sprintf("DROP USER '%s'@'%%'", user)); err != nil {
			t.Error(err)
		}
	})
	statement := servers.MySQL(t, servers.Config("binlog_format=STATEMENT"))
	statement.MustExec(t, "CREATE TABLE customers (id int PRIMARY KEY, name text)")
	id := 7100
	base := func(db *servers.MySQLServer, prefix string) map[string]string {
		id++
		return map[string]string{
			"connector.class": "mysql", "database.hostname": db.Host, "database.port": fmt.Sprint(db.Port), "database.user": db.User,
			"database.password": db.Password, "database.server.id": fmt.Sprint(id), "topic.prefix": prefix,
			"database.include.list": db.Database, "schema.history.internal.kafka.topic": "history." + prefix,
		}
	}
	return []badConfiguration{
		{name: "my-password", config: with(base(db, "ma"), "database.password", "wrong-password"), says: []string{"Access denied", "database.password"}},
		{name: "my-format", config: base(statement, "mb"), says: []string{"binlog_format", "STATEMENT", "ROW"}},
		{name: "my-privilege", config: with(base(db, "mc"), "database.user", user, "database.password", "canary-4711"), says: []string{"REPLICATION", "GRANT"}},
		{name: "my-table", config: with(base(db, "md"), "table.include.list", db.Database+".nothing"), says: []string{"No table matches"}, warning: true},
		{name: "my-host", config: with(base(db, "me"), "database.port", "1"), says: []string{"127.0.0.1:1"}, passes: true},
		{name: "my-misspelt", config: with(base(db, "mf"), "database.user", "-", "database.usr", "x"), says: []string{"database.user", `"database.usr"`}},
		{name: "my-unknown", config: with(base(db, "mg"), "snapshot.fetch.sise", "1"), says: []string{`did you mean "snapshot.fetch.size"`}, warning: true},
	}
}
