package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/schema"
)

// mappings sees to it that Elasticsearch knows the types of a row's fields
// before the row comes, so that it does not guess them from the first value.
type mappings struct {
	known map[mappingKey]bool
	// refused are those that the cluster refuses, until the next Write.
	refused map[mappingKey]error
	// there are the indices that are not ours to make and are there.
	there map[int]bool
}

type mappingKey struct {
	index  int
	schema *schema.Schema
}

// ensure makes the index of an action, or adds the fields that it lacks. A
// field that is there keeps its type, which Elasticsearch could not change
// anyhow; documents that do not fit it are refused one by one.
func (m *mappings) ensure(ctx context.Context, s *sink, o *op) error {
	if o.doc.to == o.doc.from {
		return nil
	}
	if !s.config.create {
		return m.find(ctx, s, o.index)
	}
	key := mappingKey{o.index, o.schema}
	if m.known[key] {
		return nil
	}
	if err := m.refused[key]; err != nil {
		return err
	}
	index := s.build.indices[o.index]
	var err error
	if o.schema == nil {
		err = m.createDynamic(ctx, s, index)
	} else {
		p := s.build.encoder.planOf(o.schema)
		err = m.create(ctx, s, index, p)
		for tries := 0; isMappingRace(causeOf(err)) && tries < maxMappingTries; tries++ {
			err = m.create(ctx, s, index, p) // the other's field is there now
		}
	}
	if err != nil {
		err = fmt.Errorf("prepare index %s: %w", index, err)
		if m.refused == nil {
			m.refused = map[mappingKey]error{}
		}
		m.refused[key] = err
		return err
	}
	if m.known == nil || len(m.known) >= maxPlans {
		m.known = map[mappingKey]bool{}
	}
	m.known[key] = true
	return nil
}

// forget has every index looked for again.
func (m *mappings) forget() { m.known, m.there = nil, nil }

// find sees that an index is there which is not ours to make: Elasticsearch
// would make it with the first document, and guess.
func (m *mappings) find(ctx context.Context, s *sink, index int) error {
	if m.there[index] {
		return nil
	}
	if err := s.client.find(ctx, s.build.indices[index]); err != nil {
		return err
	}
	if m.there == nil {
		m.there = map[int]bool{}
	}
	m.there[index] = true
	return nil
}

// dynamicMapping says how types are guessed where there is no schema. What the
// defaults get wrong is that a column's first value does not tell its range:
// doubles would be floats, and a date that a source has beyond the range of
// dates (an infinity is text then) would be refused for ever after. Such
// values stay in the document and are not indexed.
const dynamicMapping = `{"mappings":{"dynamic_templates":[` +
	`{"doubles":{"match_mapping_type":"double","mapping":{"type":"double","ignore_malformed":true}}},` +
	`{"dates":{"match_mapping_type":"date","mapping":{"type":"date","ignore_malformed":true}}}]}}`

// createDynamic makes the index of documents without a schema.
func (m *mappings) createDynamic(ctx context.Context, s *sink, index string) error {
	path := "/" + url.PathEscape(index)
	known, err := m.fields(ctx, s, path)
	if err != nil || known != nil {
		return err
	}
	err = s.ask(ctx, http.MethodPut, path, []byte(dynamicMapping), nil)
	var status *statusError
	if errors.As(err, &status) && status.kind == "resource_already_exists_exception" {
		return nil // another task was first
	}
	return err
}

func (m *mappings) create(ctx context.Context, s *sink, index string, p *valuePlan) error {
	path := "/" + url.PathEscape(index)
	known, err := m.fields(ctx, s, path)
	if err != nil {
		return err
	}
	if known == nil {
		body := append([]byte(`{"mappings":{"properties":`), s.build.encoder.properties(nil, p, nil)...)
		err := s.ask(ctx, http.MethodPut, path, append(body, "}}"...), nil)
		var status *statusError
		if err == nil || !errors.As(err, &status) || status.kind != "resource_already_exists_exception" {
			return err
		}
		// Another task was first.
		if known, err = m.fields(ctx, s, path); err != nil {
			return err
		}
	}
	properties := s.build.encoder.properties(nil, p, known)
	if len(properties) == len("{}") {
		return nil
	}
	body := append([]byte(`{"properties":`), properties...)
	return s.ask(ctx, http.MethodPut, path+"/_mapping", append(body, '}'), nil)
}

// fields returns the fields that an index has, nil if there is no index. An
// alias answers for its indices.
func (m *mappings) fields(ctx context.Context, s *sink, path string) (map[string]bool, error) {
	var indices map[string]struct {
		Mappings struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"mappings"`
	}
	err := s.ask(ctx, http.MethodGet, path+"/_mapping", nil, &indices)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the mapping: %w", err)
	}
	known := map[string]bool{}
	for _, i := range indices {
		for name := range i.Mappings.Properties {
			known[name] = true
		}
	}
	return known, nil
}
