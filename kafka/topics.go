package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicSpec describes a topic to be created if it does not exist.
type TopicSpec struct {
	Name string
	// Partitions; -1 leaves the number to the broker (num.partitions).
	Partitions int32
	// Replication is the number of copies; -1 leaves it to the broker
	// (default.replication.factor).
	Replication int16
	// ReplicationSetting is the setting that Replication comes from, for
	// errors; empty if it comes from none.
	ReplicationSetting string
	// Configs are the topic's own settings, such as cleanup.policy.
	Configs map[string]string
	// MustCompact says that the topic holds the last value of each key for
	// ever: an existing topic with another cleanup.policy is refused, as Kafka
	// Connect refuses it, because it would forget.
	MustCompact bool
	// MustHavePartitions, if positive, is how many partitions an existing
	// topic has to have.
	MustHavePartitions int32
}

const (
	cleanupPolicy = "cleanup.policy"
	compact       = "compact"
)

// ConfigTopic describes Connect's topic of connector configurations
// (config.storage.topic): one partition, because its records are read in the
// order in which they were written.
func ConfigTopic(name string, replication int16) TopicSpec {
	s := internalTopic(name, 1, replication, "config.storage.replication.factor")
	s.MustHavePartitions = 1
	return s
}

// OffsetTopic describes Connect's topic of source offsets
// (offset.storage.topic), by default of 25 partitions.
func OffsetTopic(name string, partitions int32, replication int16) TopicSpec {
	return internalTopic(name, partitions, replication, "offset.storage.replication.factor")
}

// StatusTopic describes Connect's topic of states (status.storage.topic), by
// default of 5 partitions.
func StatusTopic(name string, partitions int32, replication int16) TopicSpec {
	return internalTopic(name, partitions, replication, "status.storage.replication.factor")
}

func internalTopic(name string, partitions int32, replication int16, setting string) TopicSpec {
	return TopicSpec{
		Name: name, Partitions: partitions, Replication: replication, ReplicationSetting: setting,
		Configs:     map[string]string{cleanupPolicy: compact},
		MustCompact: true,
	}
}

// DeadLetterTopic describes a sink's topic of failed records
// (errors.deadletterqueue.topic.name): one partition, and by default
// 3 copies.
func DeadLetterTopic(name string, replication int16) TopicSpec {
	return TopicSpec{
		Name: name, Partitions: 1, Replication: replication,
		ReplicationSetting: "errors.deadletterqueue.topic.replication.factor",
	}
}

// EnsureTopics creates those topics that do not exist, in one request, and
// returns their names. It leaves existing topics as they are but checks
// MustCompact and MustHavePartitions. What is wrong with one topic does not
// keep another from being created; the error joins a *TopicError for each.
func EnsureTopics(ctx context.Context, cl *kgo.Client, specs ...TopicSpec) (created []string, err error) {
	if len(specs) == 0 {
		return nil, nil
	}
	adm := kadm.NewClient(cl)
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].Name
	}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var missing, existing []TopicSpec
	var errs []error
	for _, s := range specs {
		switch err := details[s.Name].Err; {
		case err == nil:
			existing = append(existing, s)
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			missing = append(missing, s)
		default:
			errs = append(errs, &TopicError{Topic: s.Name, Doing: "describe", Err: err, Hint: topicHint(s, err, 0)})
		}
	}
	// A topic that somebody else creates meanwhile is an existing one.
	made, raced, more := createTopics(ctx, adm, missing)
	errs = append(errs, more...)
	awaitTopics(ctx, cl, made)
	existing = append(existing, raced...)
	errs = append(errs, verifyTopics(ctx, adm, existing, details)...)
	return made, errors.Join(errs...)
}

func createTopics(ctx context.Context, adm *kadm.Client, specs []TopicSpec) (made []string, raced []TopicSpec, errs []error) {
	// kadm sends one set of configurations to all topics of a call.
	for _, group := range byConfigs(specs) {
		names := make([]string, len(group))
		bySpec := make(map[string]TopicSpec, len(group))
		for i, s := range group {
			names[i] = s.Name
			bySpec[s.Name] = s
		}
		s := group[0]
		responses, err := adm.CreateTopics(ctx, s.Partitions, s.Replication, configPointers(s.Configs), names...)
		if err != nil {
			errs = append(errs, fmt.Errorf("create topics %s: %w", strings.Join(names, ", "), err))
			continue
		}
		for _, r := range responses.Sorted() {
			switch {
			case r.Err == nil:
				made = append(made, r.Topic)
			case errors.Is(r.Err, kerr.TopicAlreadyExists):
				raced = append(raced, bySpec[r.Topic])
			default:
				brokers := 0
				if errors.Is(r.Err, kerr.InvalidReplicationFactor) {
					if list, err := adm.ListBrokers(ctx); err == nil {
						brokers = len(list)
					}
				}
				spec := bySpec[r.Topic]
				errs = append(errs, &TopicError{Topic: r.Topic, Doing: "create", Err: r.Err, Detail: r.ErrMessage, Hint: topicHint(spec, r.Err, brokers)})
			}
		}
	}
	slices.Sort(made)
	return made, raced, errs
}

// awaitTopics waits for new topics to be known where clients ask for them,
// which is a moment after they have been created. It gives up in the end:
// clients ask again by themselves.
func awaitTopics(ctx context.Context, cl *kgo.Client, names []string) {
	if len(names) == 0 {
		return
	}
	// Not by kadm, whose answers may be as old as the client's metadata.
	req := kmsg.NewMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTopicsFor)
	defer cancel()
	for {
		m, err := req.RequestWith(ctx, cl)
		if err == nil && !slices.ContainsFunc(m.Topics, func(t kmsg.MetadataResponseTopic) bool { return !hasLeaders(&t) }) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(awaitTopicsEvery):
		}
	}
}

const (
	awaitTopicsFor   = 10 * time.Second
	awaitTopicsEvery = 5 * time.Millisecond
)

func hasLeaders(t *kmsg.MetadataResponseTopic) bool {
	for i := range t.Partitions {
		if t.Partitions[i].ErrorCode != 0 || t.Partitions[i].Leader < 0 {
			return false
		}
	}
	return t.ErrorCode == 0 && len(t.Partitions) > 0
}

// byConfigs groups topics that can be created by one call.
func byConfigs(specs []TopicSpec) [][]TopicSpec {
	var groups [][]TopicSpec
	for _, s := range specs {
		i := slices.IndexFunc(groups, func(g []TopicSpec) bool {
			return g[0].Partitions == s.Partitions && g[0].Replication == s.Replication && maps.Equal(g[0].Configs, s.Configs)
		})
		if i < 0 {
			groups = append(groups, []TopicSpec{s})
			continue
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

func configPointers(configs map[string]string) map[string]*string {
	out := make(map[string]*string, len(configs))
	for k, v := range configs {
		out[k] = &v
	}
	return out
}

func verifyTopics(ctx context.Context, adm *kadm.Client, specs []TopicSpec, details kadm.TopicDetails) (errs []error) {
	var compacted []string
	for _, s := range specs {
		if n := int32(len(details[s.Name].Partitions)); n > 0 && s.MustHavePartitions > 0 && n != s.MustHavePartitions {
			errs = append(errs, &TopicError{
				Topic: s.Name, Doing: "use", Err: ErrPartitions,
				Hint: fmt.Sprintf("it has %d partitions and must have %d; name another topic, or delete this one if nothing needs it", n, s.MustHavePartitions),
			})
		}
		if s.MustCompact {
			compacted = append(compacted, s.Name)
		}
	}
	if len(compacted) == 0 {
		return errs
	}
	configs, err := adm.DescribeTopicConfigs(ctx, compacted...)
	if err != nil {
		return append(errs, fmt.Errorf("describe configuration of topics %s: %w", strings.Join(compacted, ", "), err))
	}
	for _, rc := range configs {
		// Without the right to look, Connect goes on too.
		if errors.Is(rc.Err, kerr.TopicAuthorizationFailed) || errors.Is(rc.Err, kerr.ClusterAuthorizationFailed) {
			continue
		}
		if rc.Err != nil {
			errs = append(errs, &TopicError{Topic: rc.Name, Doing: "describe configuration of", Err: rc.Err})
			continue
		}
		for _, kv := range rc.Configs {
			if kv.Key == cleanupPolicy && kv.MaybeValue() != compact {
				errs = append(errs, &TopicError{Topic: rc.Name, Doing: "use", Err: ErrNotCompacted, Hint: fmt.Sprintf(
					"its cleanup.policy is %q and must be %q, or it would forget; change it: kafka-configs.sh --bootstrap-server <broker> --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact",
					kv.MaybeValue(), compact, rc.Name)})
			}
		}
	}
	return errs
}

var (
	// ErrNotCompacted says that an internal topic is not compacted.
	ErrNotCompacted = errors.New("topic is not compacted")
	// ErrPartitions says that a topic has the wrong number of partitions.
	ErrPartitions = errors.New("wrong number of partitions")
)

// TopicError is a topic that could not be created or used.
type TopicError struct {
	Topic string
	Doing string // create, describe, use
	Err   error
	// Detail is what the broker said beside its error code.
	Detail string
	// Hint is what to do about it.
	Hint string
}

// Error says what failed, why and what to do.
func (e *TopicError) Error() string {
	text := fmt.Sprintf("%s topic %s: %v", e.Doing, e.Topic, e.Err)
	if e.Detail != "" {
		text += " (" + strings.TrimSuffix(e.Detail, ".") + ")"
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns Err.
func (e *TopicError) Unwrap() error { return e.Err }

// Retriable reports whether creating or using the topic may work later.
func (e *TopicError) Retriable() bool { return kerr.IsRetriable(e.Err) }

func topicHint(s TopicSpec, err error, brokers int) string {
	switch {
	case errors.Is(err, kerr.InvalidReplicationFactor):
		setting := cmp.Or(s.ReplicationSetting, "the replication factor")
		have := "the cluster has fewer brokers"
		if brokers > 0 {
			have = fmt.Sprintf("the cluster has %d", brokers)
		}
		return fmt.Sprintf("%s=%d needs as many brokers and %s; lower it (1 for a single broker, -1 for the broker's default)", setting, s.Replication, have)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "allow this user to CREATE and DESCRIBE the topic, or create it beforehand"
	case errors.Is(err, kerr.InvalidTopicException):
		return "a topic's name has at most 249 letters, digits, '.', '_' and '-', and may not differ from another's only in '.' against '_'"
	case errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidConfig):
		return "change its settings (topic.creation.*), or create it beforehand"
	}
	return ""
}
