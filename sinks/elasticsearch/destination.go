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
		return d.checkIndices(ctx, c)
	case errors.As(err, &status) && (status.status == http.StatusUnauthorized || status.status == http.StatusForbidden):
		return settings.Problems{{Key: "connection.username", Message: err.Error()}}
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

// reach asks for the cluster's health, which every cluster answers, and looks
// whether what answers is Elasticsearch.
func (d *destination) reach(ctx context.Context, c *client) error {
	answer, err := c.do(ctx, http.MethodGet, "/_cluster/health", "", nil)
	where := d.config.urls[0].String()
	if err != nil {
		err = classify(fmt.Errorf("reach Elasticsearch at %s: %w", where, err))
		if sinks.IsPermanent(err) || errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%w; check connection.url and that the server runs", err)
	}
	var health struct {
		Cluster string `json:"cluster_name"`
	}
	if json.Unmarshal(answer, &health) != nil || health.Cluster == "" {
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
