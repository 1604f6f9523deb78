package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaServer is an Apache Kafka broker. Topics are not created by use.
type KafkaServer struct {
	Address
	// Prefix is this test's own; [KafkaServer.Topic] puts it before a name.
	Prefix string
	*Process
	brokers []string
}

// Kafka finds or starts the shared broker.
func (r *Run) Kafka(ctx context.Context, opts ...Option) (*KafkaServer, error) {
	first := func(v string) string {
		v, _, _ = strings.Cut(v, ",")
		return v
	}
	a, list, ok, err := givenAs(kindKafka, "9092", first)
	if err != nil {
		return nil, err
	}
	if ok {
		a.User, a.Password = "", ""
		return &KafkaServer{Address: a, Process: &Process{}, brokers: strings.Split(list, ",")}, nil
	}
	return r.kafka(ctx, false, opts)
}

// StartKafka starts a broker for the caller alone.
func (r *Run) StartKafka(ctx context.Context, opts ...Option) (*KafkaServer, error) {
	return r.kafka(ctx, true, opts)
}

func (r *Run) kafka(ctx context.Context, own bool, opts []Option) (*KafkaServer, error) {
	a, p, _, err := r.obtain(ctx, newSpec(kindKafka, opts), own)
	if err != nil {
		return nil, err
	}
	a.User, a.Password = "", ""
	return &KafkaServer{Address: a, Process: p, brokers: []string{a.Addr()}}, nil
}

// Brokers is the list of bootstrap servers.
func (s *KafkaServer) Brokers() []string { return s.brokers }

// Topic returns the test's own name for a topic or a consumer group.
func (s *KafkaServer) Topic(name string) string { return s.Prefix + "." + name }

// Fresh makes a new Prefix and returns the function that deletes the topics
// and consumer groups that start with it.
func (s *KafkaServer) Fresh(_ context.Context, hint string) (drop func(context.Context) error, err error) {
	s.Prefix = fresh(hint)
	return s.deletePrefix, nil
}

func (s *KafkaServer) deletePrefix(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	admin := kadm.NewClient(c)
	defer admin.Close()
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	var errs []error
	if own := withPrefix(topics.Names(), s.Prefix); len(own) > 0 {
		_, err := admin.DeleteTopics(ctx, own...)
		errs = append(errs, err)
	}
	if own := withPrefix(groups.Groups(), s.Prefix); len(own) > 0 {
		// A group that still has members stays; the next run never sees it.
		_, err := admin.DeleteGroups(ctx, own...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func withPrefix(names []string, prefix string) []string {
	var own []string
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			own = append(own, n)
		}
	}
	return own
}
