package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
)

type destination struct {
	config config
	logger *slog.Logger
}

func newDestination(v settings.Values, env sinks.Env) (sinks.Destination, settings.Problems) {
	c, problems := parseConfig(v)
	if problems.Err() != nil {
		return nil, problems
	}
	if env.Logger == nil {
		env.Logger = slog.New(slog.DiscardHandler)
	}
	return &destination{config: c, logger: env.Logger}, problems
}

// Check implements sinks.Destination.
func (d *destination) Check(ctx context.Context) settings.Problems {
	c, err := newClient(&d.config)
	if err != nil {
		return settings.Problems{{Key: "connection.url", Message: err.Error()}}
	}
	defer func() { _ = c.close(context.WithoutCancel(ctx)) }() // nothing was written
	err = d.reach(ctx, c)
	var status *statusError
	switch {
	case err == nil:
		return append(d.checkIndices(ctx, c), d.checkRights(ctx, c)...)
	case errors.As(err, &status) && (status.status == http.StatusUnauthorized || status.status == http.StatusForbidden):
		return settings.Problems{{Key: d.login(), Message: err.Error()}}
	default:
		return settings.Problems{{Key: "connection.url", Message: err.Error()}}
	}
}

// checkIndices looks for the indices that have to be there.
func (d *destination) checkIndices(ctx context.Context, c *client) (problems settings.Problems) {
	for _, topic := range slices.Sorted(maps.Keys(d.config.external)) {
		if err := c.find(ctx, d.config.external[topic]); err != nil {
			problems = append(problems, settings.Problem{Key: "topic.to.external.resource.mapping", Message: err.Error()})
		}
	}
	return problems
}

// login returns the setting that says who logs in.
func (d *destination) login() string {
	if d.config.apiKey != "" {
		return "connection.api.key"
	}
	return "connection.username"
}

// checkRights asks what the user may do with the indices, as far as their
// names are known. With a placeholder in index.name a user may have the rights
// on all indices that there will be and yet not on all that there could be:
// that is worth a warning, if the name says anything else at all.
func (d *destination) checkRights(ctx context.Context, c *client) (problems settings.Problems) {
	names := slices.Sorted(maps.Values(d.config.external))
	rights := []string{"index", "delete", "read"}
	if d.config.create {
		names = []string{indexName(strings.NewReplacer("${topic}", "*", "${table}", "*").Replace(d.config.indexName))}
		rights = []string{"create_index", "index", "delete", "read", "manage"}
	}
	for _, name := range names {
		missing, err := c.missingRights(ctx, name, rights)
		switch {
		case name[0] == '*' || err == nil && len(missing) == 0:
		case err != nil:
			problems = append(problems, settings.Problem{Key: d.login(), Message: fmt.Sprintf("ask what the user may do with index %s: %v", name, err)})
		default:
			problems = append(problems, settings.Problem{Key: d.login(), Warning: strings.Contains(name, "*"), Message: fmt.Sprintf(
				"the user of %s lacks the privileges %s on index %s; grant them to one of the user's roles", d.login(), strings.Join(missing, ", "), name)})
		}
	}
	return problems
}

// reach asks for the cluster's health, which every cluster answers, and looks
// whether what answers is Elasticsearch. Who may not see the health may write
// nevertheless, and is asked for instead.
func (d *destination) reach(ctx context.Context, c *client) error {
	answer, err := c.do(ctx, http.MethodGet, "/_cluster/health", "", nil)
	where := d.config.urls[0].String()
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusForbidden {
		answer, err = c.do(ctx, http.MethodGet, "/_security/_authenticate", "", nil)
	}
	if err != nil {
		err = classify(fmt.Errorf("reach Elasticsearch at %s: %w", where, err))
		if sinks.IsPermanent(err) || errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%w; check connection.url and that the server runs", err)
	}
	var known struct {
		Cluster string `json:"cluster_name"`
		User    string `json:"username"`
	}
	if json.Unmarshal(answer, &known) != nil || known.Cluster == "" && known.User == "" {
		return sinks.Permanent(fmt.Errorf("what answers at %s is not Elasticsearch; check connection.url", where))
	}
	return nil
}

// Open implements sinks.Destination.
func (d *destination) Open(ctx context.Context) (sinks.Sink, error) {
	c, err := newClient(&d.config)
	if err != nil {
		return nil, sinks.Permanent(err)
	}
	if err := d.reach(ctx, c); err != nil {
		_ = c.close(context.WithoutCancel(ctx)) // nothing was written
		return nil, err
	}
	return &sink{client: c, config: &d.config, logger: d.logger, build: newBuilder(&d.config)}, nil
}
