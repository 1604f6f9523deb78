package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// selectionTimeout is how long a write waits for a primary before the task
// says that it waits, and waits on.
const selectionTimeout = 10 * time.Second

type destination struct {
	config config
	logger *slog.Logger
}

func newDestination(v settings.Values, env sinks.Env) (sinks.Destination, settings.Problems) {
	c, problems := parseConfig(v)
	if problems.Err() != nil {
		return nil, problems
	}
	if c.client.ServerSelectionTimeout == nil {
		c.client.SetServerSelectionTimeout(selectionTimeout)
	}
	return &destination{config: c, logger: env.Logger}, problems
}

// Check implements sinks.Destination.
func (d *destination) Check(ctx context.Context) settings.Problems {
	client, err := d.connect(ctx)
	if err != nil {
		return settings.Problems{{Key: "connection.uri", Message: err.Error()}}
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // nothing was written
	return append(d.checkRights(ctx, client), d.checkConcern(ctx, client)...)
}

// checkConcern counts the members that can confirm a write.
func (d *destination) checkConcern(ctx context.Context, client *mongo.Client) settings.Problems {
	concern := d.config.client.WriteConcern
	if concern == nil {
		return nil
	}
	w, ok := concern.W.(int)
	if !ok {
		return nil // majority, or a mode of the set's own
	}
	var hello struct {
		Hosts    []string `bson:"hosts"`
		Passives []string `bson:"passives"`
	}
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return settings.Problems{{Key: "connection.uri", Message: fmt.Sprintf("ask MongoDB for the set's members: %v", err)}}
	}
	members := len(hello.Hosts) + len(hello.Passives)
	if members == 0 || w <= members { // without members it is no set
		return nil
	}
	return settings.Problems{{Key: "connection.uri", Message: fmt.Sprintf(
		"the set cannot confirm writes as w in connection.uri asks: it wants %d members that hold data, and there are %d; lower w, or leave it away for a majority", w, members)}}
}

// checkRights asks the server what the user may do, without writing.
func (d *destination) checkRights(ctx context.Context, client *mongo.Client) settings.Problems {
	var status struct {
		AuthInfo struct {
			Users      []bson.Raw `bson:"authenticatedUsers"`
			Privileges []struct {
				Resource struct {
					DB          *string `bson:"db"`
					Collection  *string `bson:"collection"`
					AnyResource bool    `bson:"anyResource"`
				} `bson:"resource"`
				Actions []string `bson:"actions"`
			} `bson:"authenticatedUserPrivileges"`
		} `bson:"authInfo"`
	}
	command := bson.D{{Key: "connectionStatus", Value: 1}, {Key: "showPrivileges", Value: true}}
	if err := client.Database("admin").RunCommand(ctx, command).Decode(&status); err != nil {
		return settings.Problems{{Key: "connection.uri", Message: fmt.Sprintf("ask MongoDB for the user's privileges: %v", err)}}
	}
	if len(status.AuthInfo.Users) == 0 {
		// Without a login either everything is allowed, or nothing: ask.
		err := client.Database(d.config.database).RunCommand(ctx, bson.D{{Key: "listCollections", Value: 1}, {Key: "nameOnly", Value: true}}).Err()
		if err != nil {
			return settings.Problems{{Key: "connection.uri", Message: fmt.Sprintf("MongoDB asks for a login (%v); put user and password into connection.uri: mongodb://user:password@host/", err)}}
		}
		return nil
	}
	may := map[string]bool{}
	for _, p := range status.AuthInfo.Privileges {
		db, coll := p.Resource.DB, p.Resource.Collection
		if p.Resource.AnyResource || db != nil && (*db == "" || *db == d.config.database) && (coll == nil || *coll == "" || *coll == d.config.collection) {
			for _, a := range p.Actions {
				may[a] = true
			}
		}
	}
	for _, action := range []string{"insert", "update", "remove"} {
		if !may[action] {
			return settings.Problems{{Key: "connection.uri", Message: fmt.Sprintf(
				"the user of connection.uri may not %s in database %s; grant it: db.grantRolesToUser(<user>, [{role: \"readWrite\", db: %q}])", action, d.config.database, d.config.database)}}
		}
	}
	return nil
}

// Open implements sinks.Destination.
func (d *destination) Open(ctx context.Context) (sinks.Sink, error) {
	client, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &sink{client: client, config: &d.config, build: newBuilder(&d.config)}, nil
}

func (d *destination) connect(ctx context.Context) (*mongo.Client, error) {
	client, err := mongo.Connect(d.config.client)
	if err != nil {
		return nil, sinks.Permanent(fmt.Errorf("use connection.uri: %w", err))
	}
	if err := client.Ping(ctx, readpref.Primary()); err != nil {
		_ = client.Disconnect(context.WithoutCancel(ctx)) // it never connected
		err = classify("reach MongoDB at "+hosts(d.config.client.Hosts), err)
		if !sinks.IsPermanent(err) && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w; check connection.uri and that the server runs", err)
		}
		return nil, err
	}
	return client, nil
}

func hosts(list []string) string {
	text := ""
	for i, h := range list {
		if i > 0 {
			text += ","
		}
		text += h
	}
	return text
}
