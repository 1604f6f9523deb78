package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/schema"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Names of the headers that say where and why a record failed, as Kafka
// Connect writes them, in its order.
const (
	headerTopic      = "__connect.errors.topic"
	headerPartition  = "__connect.errors.partition"
	headerOffset     = "__connect.errors.offset"
	headerConnector  = "__connect.errors.connector.name"
	headerTask       = "__connect.errors.task.id"
	headerStage      = "__connect.errors.stage"
	headerClass      = "__connect.errors.class.name"
	headerException  = "__connect.errors.exception.class.name"
	headerMessage    = "__connect.errors.exception.message"
	headerStackTrace = "__connect.errors.exception.stacktrace"
)

const (
	// dlqRecordBytes is the most that a record of the dead letter queue may
	// have: what Kafka takes at most in one request (socket.request.max.bytes).
	// A record is often there just because it is large, and wherever it was
	// read from it has been taken once.
	dlqRecordBytes = 100 << 20
	// dlqGroupBytes is how much is sent at once. It stays below a broker's
	// default limit of a batch, so that a record that is small enough by
	// itself is not refused for its company.
	dlqGroupBytes = 512 << 10
)

// deadLetters writes failed records to the dead letter queue.
type deadLetters struct {
	client *kgo.Client
	*run
}

// openDeadLetters makes the topic if it is missing.
func (r *run) openDeadLetters(ctx context.Context) (*deadLetters, error) {
	topic := r.Errors.DLQ
	cl, err := r.Producer(
		ctx,
		kgo.ClientID(fmt.Sprintf("connector-dlq-producer-%s-%d", r.Connector, r.ID)),
		kgo.ProducerBatchMaxBytes(dlqRecordBytes),
		kgo.MaxBufferedBytes(2*dlqRecordBytes),
	)
	if err != nil {
		return nil, fmt.Errorf("make the producer of the dead letter queue: %w", err)
	}
	spec := kafka.DeadLetterTopic(topic, r.Errors.DLQReplication)
	spec.Configs = map[string]string{"max.message.bytes": strconv.Itoa(dlqRecordBytes)}
	if _, err := kafka.EnsureTopics(ctx, cl, spec); err != nil {
		cl.Close()
		err = fmt.Errorf("Could not initialize dead letter queue with topic=%s: %w", topic, err) //nolint:staticcheck // Kafka Connect's sentence
		var passing interface{ Retriable() bool }
		if errors.As(err, &passing) && !passing.Retriable() {
			err = Permanent(err)
		}
		return nil, err
	}
	return &deadLetters{client: cl, run: r}, nil
}

func (d *deadLetters) close() { d.client.Close() }

// write writes failed records in order and returns when the topic has all of
// them. Those that it has are settled also if it returns an error.
func (d *deadLetters) write(ctx context.Context, failures []*failure) error {
	most := dlqGroupBytes
	for len(failures) > 0 {
		records, n := d.group(failures, most)
		err := d.send(ctx, records, failures[:n])
		switch {
		case err == nil:
			failures = failures[n:]
		case n > 1 && errors.Is(err, kerr.MessageTooLarge):
			// The topic takes less than others do: one by one from here on.
			most = 0
			failures = slices.DeleteFunc(failures, func(f *failure) bool { return f.settled })
		default:
			return err
		}
	}
	return nil
}

// group makes the records of the first failures, as many as have most bytes
// together, and at least one.
func (d *deadLetters) group(failures []*failure, most int) (records []*kgo.Record, n int) {
	size := 0
	for _, f := range failures {
		k := d.record(f)
		size += len(k.Key) + len(k.Value)
		for _, h := range k.Headers {
			size += len(h.Key) + len(h.Value)
		}
		if len(records) > 0 && size > most {
			break
		}
		records = append(records, k)
	}
	return records, len(records)
}

// letterPatience is how long letters may take before the task says that it
// waits for them.
const letterPatience = 5 * time.Second

// send writes records and returns the first error that there is. It does not
// outlast ctx: franz-go does not let go of a record that it has sent, however
// long the broker is away, since it may have been written. Its failure is not
// settled then, and there may be a second letter later.
func (d *deadLetters) send(ctx context.Context, records []*kgo.Record, failures []*failure) (err error) {
	d.Stats.DLQRequests.Add(int64(len(records)))
	type result struct {
		record *kgo.Record
		err    error
	}
	results := make(chan result, len(records))
	for _, k := range records {
		d.client.Produce(ctx, k, func(k *kgo.Record, err error) { results <- result{k, err} })
	}
	late := time.NewTimer(letterPatience)
	defer late.Stop()
	for n := 0; n < len(records); {
		select {
		case res := <-results:
			n++
			f := failures[slices.Index(records, res.record)] // they come in any order
			if res.err == nil {
				f.settled = true
				d.Stats.DeadLettered.Add(1)
				continue
			}
			d.Stats.DLQFailures.Add(1)
			if err == nil {
				err = d.problem(f, res.err)
			}
		case <-late.C:
			waits := fmt.Errorf("the dead letter queue %s has not taken %d records yet; see whether Kafka runs", d.Errors.DLQ, len(records)-n)
			d.Logger.Warn("waiting for the dead letter queue", "error", waits)
			d.waits.say(waitsToBury, waits)
			defer d.waits.say(waitsToBury, nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// problem says that a letter was not taken. What Kafka answers about the letter
// or the right to write it stays so; a broker that is away comes back.
func (d *deadLetters) problem(f *failure, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var refused *kerr.Error
	hint := ""
	if errors.Is(err, kerr.MessageTooLarge) {
		hint = fmt.Sprintf("; raise max.message.bytes of the topic %s", d.Errors.DLQ)
	}
	text := fmt.Errorf("write the record at topic %s, partition %d, offset %d, which failed with %s, to the dead letter queue %s: %w%s",
		f.record.Topic, f.record.Partition, f.record.Offset, strconv.Quote(f.err.Error()), d.Errors.DLQ, err, hint)
	if errors.As(err, &refused) && !refused.Retriable {
		return Permanent(text)
	}
	return text
}

// record makes the dead letter: the record as it was, and headers after its
// own. The partition is left to the key's hash.
func (d *deadLetters) record(f *failure) *kgo.Record {
	r := &f.record
	k := &kgo.Record{Topic: d.Errors.DLQ, Key: r.RawKey, Value: r.RawValue, Timestamp: time.UnixMilli(r.TimestampMillis)}
	for _, h := range r.RawHeaders {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if d.Errors.DLQHeaders {
		k.Headers = appendContext(k.Headers, r, d.Connector, d.ID, f)
	}
	return k
}

func appendContext(dst []kgo.RecordHeader, r *schema.Record, connector string, task int, f *failure) []kgo.RecordHeader {
	class, message := exception(f.stage, f.err)
	for _, h := range [...][2]string{
		{headerTopic, r.Topic},
		{headerPartition, strconv.Itoa(int(r.Partition))},
		{headerOffset, strconv.FormatInt(r.Offset, 10)},
		{headerConnector, connector},
		{headerTask, strconv.Itoa(task)},
		{headerStage, f.stage},
		{headerClass, f.class},
		{headerException, class},
		{headerMessage, message},
		{headerStackTrace, stackTrace(f.stage, f.err)},
	} {
		dst = append(dst, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return dst
}
