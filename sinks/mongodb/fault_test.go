package mongodb_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"github.com/penstock/penstock/sinks/sinkstest"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// failing returns a MongoDB that can be told to fail. It is not shared, since
// it would fail for everybody.
func failing(t *testing.T) *servers.MongoServer {
	t.Helper()
	return servers.StartMongo(t, servers.Config("--setParameter=enableTestCommands=1"))
}

// failOnce has the next of the commands fail in a way that data says.
func failOnce(t *testing.T, db *mongo.Database, commands bson.A, data ...bson.E) {
	t.Helper()
	err := db.Client().Database("admin").RunCommand(t.Context(), bson.D{
		{Key: "configureFailPoint", Value: "failCommand"},
		{Key: "mode", Value: bson.D{{Key: "times", Value: 1}}},
		{Key: "data", Value: append(bson.D{{Key: "failCommands", Value: commands}}, data...)},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSink_SendsAgainWhatMayBeRolledBack has writes that the primary has done
// and the set has not confirmed, with and without others that it refuses: none
// of them may count as applied.
func TestSink_SendsAgainWhatMayBeRolledBack(t *testing.T) {
	t.Parallel()
	srv := failing(t)
	db := connect(t, srv)
	below := bson.D{{Key: "n", Value: bson.D{{Key: "$lt", Value: 100}}}}
	if err := db.RunCommand(t.Context(), bson.D{{Key: "create", Value: "t"}, {Key: "validator", Value: below}}).Err(); err != nil {
		t.Fatal(err)
	}
	tab := sinkstest.NewTable("t")
	good, bad := &sinkstest.Row{N: 1}, &sinkstest.Row{N: 100}
	for _, ordered := range []string{"false", "true"} {
		// The driver looks whether the primary has changed before it goes on,
		// and looks every ten seconds if it is not told otherwise.
		s := open(t, srv, map[string]string{"bulk.write.ordered": ordered, "connection.uri": srv.URI() + "&heartbeatFrequencyMS=500"})
		for _, c := range []struct {
			what    string
			records []schema.Record
			refused []int
		}{
			{"inserts", []schema.Record{tab.Event(schema.OpCreate, 1, good), tab.Event(schema.OpCreate, 2, good)}, nil},
			{"updates", []schema.Record{tab.Event(schema.OpUpdate, 1, good), tab.Event(schema.OpUpdate, 2, good)}, nil},
			{"a refused one among them", []schema.Record{tab.Event(schema.OpUpdate, 1, good), tab.Event(schema.OpUpdate, 3, bad), tab.Event(schema.OpUpdate, 2, good)}, []int{1}},
			{"deletes", []schema.Record{tab.Event(schema.OpDelete, 1, nil)}, nil},
			{"a truncate", []schema.Record{tab.Truncate()}, nil},
		} {
			for _, code := range []int{64, 189} { // a time limit, a change of the primary
				failOnce(t, db, bson.A{"insert", "update", "delete"},
					bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: code}, {Key: "errmsg", Value: "the set did not confirm it"}}})
				err := s.Write(t.Context(), c.records)
				var some *sinks.WriteError
				if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "the set did not confirm it") {
					t.Errorf("ordered=%s, %s, code %d: Write: %v, want an error about the destination", ordered, c.what, code, err)
				}
			}
			var refused []int
			err := s.Write(t.Context(), c.records)
			var some *sinks.WriteError
			if errors.As(err, &some) {
				for _, f := range some.Failed {
					refused = append(refused, f.Index)
				}
			} else if err != nil {
				t.Fatalf("%s: afterwards: %v", c.what, err)
			}
			if len(refused) != len(c.refused) || len(refused) > 0 && refused[0] != c.refused[0] {
				t.Errorf("ordered=%s, %s: afterwards: %v, want %v refused", ordered, c.what, err, c.refused)
			}
		}
	}
}

// TestSink_SaysThatTheSetCannotConfirm asks for more members than there are.
func TestSink_SaysThatTheSetCannotConfirm(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	tab := sinkstest.NewTable("t")
	for _, w := range []string{"2", "nowhere"} {
		raw := map[string]string{"connection.uri": srv.URI() + "&w=" + w}
		problems := destination(t, srv, raw).Check(t.Context())
		if w == "2" && (len(problems) != 1 || problems[0].Key != "connection.uri" || !strings.Contains(problems[0].Message, "there are 1")) {
			t.Errorf("w=%s: Check: %v, want one that counts the members", w, problems)
		}
		s := open(t, srv, raw)
		for what, record := range map[string]schema.Record{"a row": tab.Event(schema.OpUpdate, 1, &sinkstest.Row{}), "a truncate": tab.Truncate()} {
			err := s.Write(t.Context(), []schema.Record{record})
			var some *sinks.WriteError
			if err == nil || errors.As(err, &some) || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "w in connection.uri") {
				t.Errorf("w=%s, %s: Write: %v, want one that passes and names w in connection.uri", w, what, err)
			}
		}
	}
}

// TestSink_NeverShowsDocumentsInErrors has a user who may not write: MongoDB's
// answer holds the whole command.
func TestSink_NeverShowsDocumentsInErrors(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	s := open(t, srv, map[string]string{"connection.uri": account(t, srv, "reader", "read")})
	tab := sinkstest.NewTable("t")
	for what, r := range map[string]schema.Record{"an update": tab.Event(schema.OpUpdate, 1, &sinkstest.Row{Name: "canary-4711"}), "a truncate": tab.Truncate()} {
		err := s.Write(t.Context(), []schema.Record{r})
		if !sinks.IsPermanent(err) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "{") {
			t.Errorf("%s: Write: %v, want a permanent error without the command", what, err)
			continue
		}
		for _, want := range []string{srv.Database + ".t", "connection.uri", "readWrite"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Write: %v does not say %s", what, err, want)
			}
		}
	}
}

// TestSink_RefusesRecordsOfTopicsWithoutANamespace has a topic whose name is
// none for a collection.
func TestSink_RefusesRecordsOfTopicsWithoutANamespace(t *testing.T) {
	t.Parallel()
	srv := servers.Mongo(t)
	s := open(t, srv, nil)
	tab := sinkstest.NewTable(strings.Repeat("x", 249))
	for what, r := range map[string]schema.Record{"a row": tab.Event(schema.OpUpdate, 1, &sinkstest.Row{}), "a truncate": tab.Truncate()} {
		err := s.Write(t.Context(), []schema.Record{r})
		var some *sinks.WriteError
		if !errors.As(err, &some) || some.Failed[0].Retriable || !strings.Contains(err.Error(), "collection.name.format") {
			t.Errorf("%s: Write: %v, want it refused for good, with the remedy", what, err)
		}
	}
}
