package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/sinks"
	"golang.org/x/sync/errgroup"
)

// maxRetryAfter bounds how long one answer can make a Write wait. The task
// waits for longer, and says so.
const maxRetryAfter = 30 * time.Second

type sink struct {
	client  *client
	config  *config
	logger  *slog.Logger
	build   *builder
	mapping mappings
	ops     []op
	rounds  sinks.Rounds
	round   []int32
	bodies  [][]byte // of the requests in flight, used again
}

// Write implements sinks.Sink.
func (s *sink) Write(ctx context.Context, records []schema.Record) error {
	var failed []sinks.RecordError
	clear(s.mapping.refused)
	for from := 0; from < len(records); {
		// A truncate stands between what was before it and what comes after.
		n, truncate := s.compile(records[from:])
		err := s.apply(ctx)
		var some *sinks.WriteError
		switch {
		case err == nil:
		case errors.As(err, &some):
			passing := false
			for _, f := range some.Failed {
				f.Index += from
				failed = append(failed, f)
				passing = passing || f.Retriable
			}
			if passing {
				return &sinks.WriteError{Failed: heldBack(failed, from+n, len(records))}
			}
		default:
			return err
		}
		from += n
		if truncate == nil {
			continue
		}
		index := s.build.indices[truncate.index]
		err = s.truncate(ctx, truncate)
		switch {
		case err == nil:
		case errors.As(err, &some):
			f := sinks.RecordError{Index: from, Err: fmt.Errorf("empty index %s: %w", index, some), Retriable: some.Failed[0].Retriable, Dropped: some.Failed[0].Dropped}
			failed = append(failed, f)
			if f.Retriable {
				return &sinks.WriteError{Failed: heldBack(failed, from+1, len(records))}
			}
		default:
			return classify(fmt.Errorf("empty index %s: %w", index, err))
		}
		from++
	}
	if len(failed) > 0 {
		return &sinks.WriteError{Failed: failed}
	}
	return nil
}

// heldBack adds the records that have to wait for one that failed.
func heldBack(failed []sinks.RecordError, from, to int) []sinks.RecordError {
	for i := from; i < to; i++ {
		failed = append(failed, sinks.RecordError{Index: i, Err: sinks.ErrHeldBack, Retriable: true})
	}
	return failed
}

// compile makes the actions of the records up to the first truncate, which it
// returns.
func (s *sink) compile(records []schema.Record) (n int, truncate *op) {
	s.build.reset()
	clear(s.ops)
	s.ops = s.ops[:0]
	s.rounds.Reset(len(records))
	for i := range records {
		from := len(s.build.mem)
		o, err := s.build.build(&records[i])
		switch {
		case err != nil:
			s.build.mem = s.build.mem[:from]
			s.rounds.Refuse(err)
			if s.config.dropInvalid {
				s.logger.Warn("a record cannot be made a document and is dropped", "topic", records[i].Topic, "partition", records[i].Partition, "offset", records[i].Offset, "error", err)
				s.rounds.Drop(int32(i))
			}
		case o.kind == opTruncate:
			return i, &o
		case o.kind == opSkip:
			s.rounds.Skip()
		default:
			s.rounds.Add(s.build.bytes(o.key), o.whole)
		}
		s.ops = append(s.ops, o)
	}
	return len(records), nil
}

// apply sends the compiled actions, round by round, and again what the cluster
// is too busy for.
func (s *sink) apply(ctx context.Context) error {
	for attempt := 0; ; {
		s.round = s.rounds.Next(s.round[:0])
		if len(s.round) == 0 {
			return s.rounds.Err()
		}
		if err := s.prepare(ctx); err != nil {
			return classify(err)
		}
		if err := s.fillIn(ctx); err != nil {
			return classify(err)
		}
		busy, err := s.send(ctx)
		if err != nil {
			return err
		}
		if busy == nil {
			attempt = 0
			continue
		}
		// The cluster is overloaded. That is no record's fault: after some
		// tries here the task waits, however long it takes.
		if attempt++; attempt > s.config.maxRetries || busy.retryAfter > maxRetryAfter {
			return fmt.Errorf("write to Elasticsearch: it is too busy: %w", busy)
		}
		if err := s.pause(ctx, attempt, busy); err != nil {
			return err
		}
	}
}

// prepare sees to the indices of the round. Rows that an index cannot be made
// for leave the round, refused.
func (s *sink) prepare(ctx context.Context) error {
	var failed error
	s.round = slices.DeleteFunc(s.round, func(at int32) bool {
		if failed != nil {
			return false
		}
		err := s.mapping.ensure(ctx, s, &s.ops[at])
		var status *statusError
		if errors.As(err, &status) && status.status == http.StatusBadRequest && !isStateOfIndex(status.kind) {
			s.rounds.Fail(at, err)
			return true
		}
		failed = err
		return false
	})
	return failed
}

// pause waits before a retry: as long as the answer says, or doubling.
func (s *sink) pause(ctx context.Context, attempt int, busy *statusError) error {
	d := min(s.config.backoff<<min(attempt-1, 10), maxRetryAfter)
	d += rand.N(d/2 + 1)
	if busy.retryAfter > 0 {
		d = busy.retryAfter
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask sends a request and reads the answer, unless that is nil. While the
// cluster is too busy the request is sent again.
func (s *sink) ask(ctx context.Context, method, path string, body []byte, answer any) error {
	for attempt := 1; ; attempt++ {
		text, err := s.client.do(ctx, method, path, "application/json", body)
		if err == nil && answer != nil {
			err = json.Unmarshal(text, answer)
		}
		if err == nil {
			return nil
		}
		var status *statusError
		if !errors.As(err, &status) || !isBusy(status.status) || attempt > s.config.maxRetries || status.retryAfter > maxRetryAfter {
			return err
		}
		if err := s.pause(ctx, attempt, status); err != nil {
			return err
		}
	}
}

// request is one bulk request of a round.
type request struct {
	ops     []int32
	results []result // in the order of ops; nil: all are done
	refused *statusError
	busy    *statusError
}

// send sends the round's actions in requests that run at the same time. busy
// is set if some were not taken for now; those are not answered to the rounds.
func (s *sink) send(ctx context.Context) (busy *statusError, err error) {
	requests, err := s.sendAll(ctx, s.round)
	if err != nil {
		return nil, classify(fmt.Errorf("write to Elasticsearch: %w", err))
	}
	for i := range requests {
		r := &requests[i]
		switch {
		case r.busy != nil:
			busy = r.busy
		case r.refused != nil:
			if err := s.refuse(r); err != nil {
				return nil, err
			}
		default:
			b, err := s.answer(r)
			if err != nil {
				return nil, err
			}
			if b != nil {
				busy = b
			}
		}
	}
	return busy, nil
}

func (s *sink) sendAll(ctx context.Context, ops []int32) ([]request, error) {
	var requests []request
	// Several requests at a time keep more than one of the cluster's cores
	// busy, as long as each is large enough to be worth it.
	most := min(s.config.batchDocuments, max(minRequest, (len(ops)+s.config.inFlight-1)/s.config.inFlight))
	for len(ops) > 0 {
		n := s.fit(ops, most)
		requests = append(requests, request{ops: ops[:n]})
		ops = ops[n:]
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.config.inFlight)
	for len(s.bodies) < len(requests) {
		s.bodies = append(s.bodies, nil)
	}
	for i := range requests {
		g.Go(func() error {
			return sinks.Guard(func() error {
				body := s.bodies[i][:0]
				for _, at := range requests[i].ops {
					body = s.build.appendAction(body, &s.ops[at])
				}
				if cap(body) <= keepMemory {
					s.bodies[i] = body
				}
				return s.bulk(ctx, &requests[i], body)
			})
		})
	}
	return requests, g.Wait()
}

// minRequest is how many documents a request should have, if there are as many.
const minRequest = 500

func (s *sink) fit(ops []int32, most int) int {
	size := 0
	for i, at := range ops {
		size += s.ops[at].doc.to - s.ops[at].doc.from + 100
		if i > 0 && (size > s.config.batchBytes || i == most) {
			return i
		}
	}
	return len(ops)
}

// result is what is asked about one action of a bulk request.
type result struct {
	Status int    `json:"status"`
	Error  *cause `json:"error"`
}

func (r *result) err() *statusError {
	e := &statusError{status: r.Status}
	if r.Error != nil {
		e.kind, e.reason = r.Error.Type, r.Error.Reason
	}
	return e
}

const bulkPath = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"

func (s *sink) bulk(ctx context.Context, r *request, body []byte) error {
	answer, err := s.client.do(ctx, http.MethodPost, bulkPath, "application/x-ndjson", body)
	var status *statusError
	switch {
	case errors.As(err, &status) && isBusy(status.status):
		r.busy = status
		return nil
	case errors.As(err, &status) && (status.status == http.StatusRequestEntityTooLarge || status.status == http.StatusBadRequest):
		r.refused = status
		return nil
	case err != nil:
		return err
	}
	// Mostly there is nothing to tell, and then it says so first.
	if bytes.HasPrefix(answer, []byte(`{"errors":false`)) {
		return nil
	}
	var items struct {
		Items []map[string]result `json:"items"` // each has one, by its action
	}
	if err := json.Unmarshal(answer, &items); err != nil {
		return fmt.Errorf("read the answer to a bulk request: %w", err)
	}
	for _, item := range items.Items {
		for _, res := range item {
			if res.Status == 0 {
				return errors.New("the answer to a bulk request leaves out what became of an action")
			}
			r.results = append(r.results, res)
		}
	}
	if len(r.results) != len(r.ops) {
		return fmt.Errorf("the answer to a bulk request of %d actions tells of %d", len(r.ops), len(r.results))
	}
	return nil
}

// refuse deals with a request that was refused as a whole: too large, or not
// to be read. By itself a document is refused for good; in company the task
// finds out which.
func (s *sink) refuse(r *request) error {
	if len(r.ops) == 1 {
		s.rounds.Fail(r.ops[0], r.refused)
		return nil
	}
	return sinks.Refused(fmt.Errorf("write to Elasticsearch: %w", r.refused))
}

// answer tells the rounds what became of the actions of one request.
func (s *sink) answer(r *request) (busy *statusError, err error) {
	if r.results == nil {
		for _, at := range r.ops {
			s.rounds.Done(at)
		}
		return nil, nil
	}
	for i, at := range r.ops {
		o, res := &s.ops[at], &r.results[i]
		switch {
		case res.Status/100 == 2:
			s.rounds.Done(at)
		case res.Status == http.StatusConflict && o.kind != opUpdate:
			// What is there is as new or newer, or this record's own
			// document: a repeated record.
			s.rounds.Done(at)
		case res.Status == http.StatusNotFound && o.kind == opDelete:
			s.rounds.Done(at)
		case isBusy(res.Status), res.Error != nil && res.Error.Type == "cluster_block_exception",
			res.Status == http.StatusConflict: // an update that others were quicker than
			busy = res.err()
		case res.Status == http.StatusUnauthorized || res.Status == http.StatusForbidden:
			return nil, classify(res.err())
		case res.Error != nil && isStateOfIndex(res.Error.Type):
			s.mapping.forget()
			return nil, fmt.Errorf("write to index %s: %w", s.build.indices[o.index], res.err())
		case isMappingRace(res.Error) && o.tries < maxMappingTries:
			o.tries++ // and is sent again
		case res.Status >= 500:
			s.rounds.Retry(at, newDocumentError(res.Status, res.Error))
		default:
			s.malformed(at, newDocumentError(res.Status, res.Error))
		}
	}
	return busy, nil
}

// isStateOfIndex reports whether an answer is about the index as it is now, and
// so no record's fault: it is closed, it was removed, or the cluster has as many
// shards as it may (which is a validation_exception).
func isStateOfIndex(kind string) bool {
	switch kind {
	case "index_closed_exception", "index_not_found_exception", "validation_exception":
		return true
	default:
		return false
	}
}

// maxMappingTries bounds how often a document is sent again because of others
// that change the mapping at the same time.
const maxMappingTries = 3

// isMappingRace reports whether a document was refused because, at the same
// time, another one was the first to have a field, and the two would have
// given it different types. Only the text tells. The second time the type is
// there, and the document is judged by it.
func isMappingRace(c *cause) bool {
	return c != nil && c.Type == "illegal_argument_exception" && strings.Contains(c.Reason, "cannot be changed from type")
}

// malformed deals with a document that is refused for its content.
func (s *sink) malformed(at int32, err error) {
	s.rounds.Fail(at, err)
	switch s.config.onMalformed {
	case "ignore":
		s.rounds.Drop(at)
	case "warn":
		s.logger.Warn("a document was refused and is left out", "index", s.build.indices[s.ops[at].index], "error", err)
		s.rounds.Drop(at)
	default:
	}
}

// documentError is Elasticsearch's answer about one document.
type documentError struct {
	status int
	text   string
}

func newDocumentError(status int, c *cause) *documentError {
	if c == nil {
		return &documentError{status: status}
	}
	return &documentError{status: status, text: c.text()}
}

// Error returns status and reason.
func (e *documentError) Error() string {
	return fmt.Sprintf("Elasticsearch refused the document: status %d: %s", e.status, e.text)
}

// fillIn completes the round's documents whose rows lack values: from what is
// there. See the package's documentation for why this is no update.
func (s *sink) fillIn(ctx context.Context) error {
	var partial []int32
	for _, at := range s.round {
		if len(s.ops[at].missing) > 0 {
			partial = append(partial, at)
		}
	}
	if len(partial) == 0 {
		return nil
	}
	body := []byte(`{"docs":[`)
	for i, at := range partial {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"_index":`...)
		body = appendString(body, s.build.indices[s.ops[at].index])
		body = append(body, `,"_id":`...)
		body = append(body, s.build.bytes(s.ops[at].id)...)
		body = append(body, '}')
	}
	body = append(body, "]}"...)
	var found struct {
		Docs []struct {
			Found   bool                       `json:"found"`
			Version int64                      `json:"_version"`
			Source  map[string]json.RawMessage `json:"_source"`
			Error   *struct {
				Type   string `json:"type"`
				Reason string `json:"reason"`
			} `json:"error"`
		} `json:"docs"`
	}
	err := s.ask(ctx, http.MethodPost, "/_mget", body, &found)
	if err == nil && len(found.Docs) != len(partial) {
		err = fmt.Errorf("the answer has %d of %d documents", len(found.Docs), len(partial))
	}
	if err != nil {
		return fmt.Errorf("read documents that rows with missing values belong to: %w", err)
	}
	done := map[int32]bool{}
	for i, at := range partial {
		d, o := &found.Docs[i], &s.ops[at]
		switch {
		case d.Error != nil && d.Error.Type != "index_not_found_exception":
			// A shard that is recovering, for instance: not to be taken for a
			// document that is not there.
			return fmt.Errorf("read a document of index %s that a row with missing values belongs to: %s: %s", s.build.indices[o.index], d.Error.Type, d.Error.Reason)
		case !d.Found:
			// The row's own values are all there is.
		case d.Version >= o.version:
			s.rounds.Done(at) // repeated
			done[at] = true
		default:
			s.complete(o, d.Source)
		}
	}
	if len(done) > 0 {
		s.round = slices.DeleteFunc(s.round, func(at int32) bool { return done[at] })
	}
	return nil
}

// complete adds the missing fields to an op's document.
func (s *sink) complete(o *op, source map[string]json.RawMessage) {
	b := s.build
	from := len(b.mem)
	b.mem = append(b.mem, b.mem[o.doc.from:o.doc.to-1]...)
	for _, name := range o.missing {
		value, ok := source[name]
		if !ok {
			continue
		}
		if len(b.mem) > from+1 {
			b.mem = append(b.mem, ',')
		}
		b.mem = appendString(b.mem, name)
		b.mem = append(b.mem, ':')
		b.mem = append(b.mem, value...)
	}
	b.mem = append(b.mem, '}')
	o.doc, o.missing = part{from, len(b.mem)}, nil
}

// Close implements sinks.Sink.
func (s *sink) Close(ctx context.Context) error { return s.client.close(ctx) }
