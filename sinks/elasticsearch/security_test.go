package elasticsearch_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
)

// TestDestination_ChecksTheAccount has a real Elasticsearch with accounts that
// may not look at the cluster, which the sink must not need.
func TestDestination_ChecksTheAccount(t *testing.T) {
	t.Parallel()
	srv := servers.Elasticsearch(t, servers.ElasticsearchAccounts())
	index := srv.Index("t")
	tab := sinkstest.NewTable("t")
	records := []schema.Record{
		tab.Event(schema.OpCreate, 1, &sinkstest.Row{Body: "large"}), tab.Truncate(),
		tab.Event(schema.OpCreate, 2, &sinkstest.Row{Body: "large"}), tab.Event(schema.OpUpdate, 2, &sinkstest.Row{Body: sinkstest.Missing}),
		tab.Event(schema.OpDelete, 3, nil),
	}
	for _, c := range []struct {
		what, user, password, name string
		key, says                  string
	}{
		{"may write", "writer", "sesame", index, "", ""},
		{"may write, by table", "writer", "sesame", srv.Index("${table}"), "", ""},
		{"may read", "reader", "sesame", index, "connection.username", "create_index"},
		{"wrong password", "writer", "simsim", index, "connection.username", "check connection.username and connection.password"},
		{"nobody", "nobody", "sesame", index, "connection.username", "check connection.username and connection.password"},
	} {
		d := destination(t, srv, map[string]string{"connection.url": "http://" + srv.Addr(), "connection.username": c.user, "connection.password": c.password, "index.name": c.name})
		problems := d.Check(t.Context())
		if c.key == "" && len(problems) > 0 || c.key != "" && (len(problems) != 1 || problems[0].Key != c.key || !strings.Contains(problems[0].Message, c.says)) {
			t.Errorf("%s: Check: %v, want %q at %s", c.what, problems, c.says, c.key)
		}
		s, err := d.Open(t.Context())
		if err == nil {
			err = s.Write(t.Context(), records)
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if c.key == "" && err != nil || c.key != "" && (!sinks.IsPermanent(err) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: Open and Write: %v, want a permanent error that says %q", c.what, err, c.says)
		}
		if err != nil && (strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "simsim")) {
			t.Errorf("%s: %v shows the password", c.what, err)
		}
	}
	request(t, srv, http.MethodPost, "/_refresh", "", nil)
	if docs := documents(t, srv, index); len(docs) != 1 || docs[0].Source["body"] != "large" {
		t.Errorf("documents %v", docs)
	}
}
