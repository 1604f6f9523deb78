package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/kafka"
)

// event is what the tests look at of an event.
type event struct {
	Op            string
	Before, After *version
	Source        place
}

// version is the part of a row that says which of its versions it is: every
// update counts Version up by one, and Text is another at random.
type version struct {
	Version int64
	// Text is one of these columns.
	Customer, SKU, Name string
}

func (v version) String() string {
	return fmt.Sprintf("%d %s%s%s", v.Version, v.Customer, v.SKU, v.Name)
}

// place is where an event is in the log of its database.
type place struct {
	LSN      uint64
	File     string
	Pos, Row int64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.LSN, q.LSN), strings.Compare(p.File, q.File), cmp.Compare(p.Pos, q.Pos), cmp.Compare(p.Row, q.Row))
}

// history is what the log has said about a row, in order and without what was
// published again.
type history struct {
	events []event
	places map[place]int // of each in events
	at     int           // the last that was published
	back   int           // how often it was begun again somewhere
}

// next takes the next event of the row. What is published again has to be a
// part of the history without a gap, that begins where a restart did, and
// what is new has to follow the last there was: I2 and I6.
func (h *history) next(e event) error {
	if i, again := h.places[e.Source]; again {
		switch old := h.events[i]; {
		case old.Op != e.Op:
			return fmt.Errorf("%s at %+v was %s before", e.Op, e.Source, old.Op)
		case i == h.at+1:
		case i <= h.at:
			h.back++
		default:
			return fmt.Errorf("what is repeated leaves out events %d to %d", h.at+1, i-1)
		}
		h.at = i
		return nil
	}
	if len(h.events) > 0 {
		last := h.events[len(h.events)-1]
		if h.at != len(h.events)-1 {
			return fmt.Errorf("%s at %+v is new, though events %d to %d were not repeated", e.Op, e.Source, h.at+1, len(h.events)-1)
		}
		if last.Source.compare(e.Source) >= 0 {
			return fmt.Errorf("%s at %+v comes after %s at %+v", e.Op, e.Source, last.Op, last.Source)
		}
		if err := follows(last, e); err != nil {
			return err
		}
	}
	h.places[e.Source] = len(h.events)
	h.events = append(h.events, e)
	h.at = len(h.events) - 1
	return nil
}

// seam says why a row that was copied does not fit what the log says from the
// snapshot's position on: it is what was there before the first event, or what
// one of the events has made of it.
func (h *history) seam(copied *version) error {
	first := h.events[0]
	if first.Op == "u" && first.After.Version == copied.Version+1 || first.Op == "d" && (first.Before == nil || first.Before.Version <= 0 || first.Before.Version == copied.Version) {
		return nil
	}
	for _, e := range h.events {
		if e.Op != "d" && e.After.Version == copied.Version {
			return nil
		}
	}
	return fmt.Errorf("version %d was copied, and the log begins with %+v", copied.Version, first)
}

// follows says why an event cannot be the next of its row.
func follows(last, e event) error {
	switch {
	case e.Op == "c" && last.Op != "d":
		return fmt.Errorf("a row is inserted after %s, without a deletion between", last.Op)
	case e.Op != "c" && last.Op == "d":
		return fmt.Errorf("%s follows a deletion", e.Op)
	case e.Op == "u" && e.After.Version != last.After.Version+1:
		return fmt.Errorf("version %d follows version %d", e.After.Version, last.After.Version)
	case e.Op == "d" && e.Before != nil && e.Before.Version > 0 && e.Before.Version != last.After.Version:
		return fmt.Errorf("version %d is deleted after version %d", e.Before.Version, last.After.Version)
	}
	return nil
}

// checkTopics reads the topics of all tables from their beginning. Folded by
// key they have to equal the tables; and of each key the changes have to be in
// the order of the log, without a gap and without a step back, but for the
// repetition of what came last before a restart, of which there were at most
// restarts.
func (p *pipeline) checkTopics(ctx context.Context, t *testing.T, restarts int) {
	t.Helper()
	for i, source := range sources {
		for _, table := range tables {
			rows, err := p.loads[i].rows(ctx, table)
			if err != nil {
				t.Fatal(err)
			}
			f := newFold()
			topic := p.topicsOf(source) + "." + table.name
			if err := f.read(ctx, p.kafka, topic); err != nil {
				t.Fatalf("read %s: %v", topic, err)
			}
			f.compare(t, topic, rows, restarts)
		}
	}
}

// fold is a topic, read to its end.
type fold struct {
	rows      map[string]string     // the last of each key
	histories map[string]*history   // by key
	copied    int                   // rows of the snapshot, with repetitions
	copies    map[string][]*version // those rows, by key
	problems  []string
}

func newFold() *fold {
	return &fold{rows: map[string]string{}, histories: map[string]*history{}, copies: map[string][]*version{}}
}

func (f *fold) read(ctx context.Context, cl *kgo.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return kafka.NewLog(cl, topic).ReadToEnd(ctx, func(r *kgo.Record) error {
		key := string(r.Key)
		if r.Value == nil {
			delete(f.rows, key) // the tombstone after a deletion
			return nil
		}
		var e event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return fmt.Errorf("%s: %w", r.Value, err)
		}
		f.take(key, e)
		return nil
	})
}

func (f *fold) take(key string, e event) {
	if e.Op == "d" {
		delete(f.rows, key)
	} else {
		f.rows[key] = e.After.String()
	}
	if e.Op == "r" {
		// A copied row may be newer than what the log says next, see
		// docs/decisions/20261123-position-before-snapshot.md.
		f.copied++
		f.copies[key] = append(f.copies[key], e.After)
		return
	}
	h := f.histories[key]
	if h == nil {
		h = &history{places: map[place]int{}}
		f.histories[key] = h
	}
	if err := h.next(e); err != nil {
		f.problems = append(f.problems, key+": "+err.Error())
	}
}

func (f *fold) compare(t *testing.T, topic string, rows map[string]string, restarts int) {
	t.Helper()
	events, back := 0, 0
	for key, h := range f.histories {
		events += len(h.events)
		back = max(back, h.back)
		for _, c := range f.copies[key] {
			if err := h.seam(c); err != nil {
				f.problems = append(f.problems, key+": "+err.Error())
			}
		}
		if h.at != len(h.events)-1 {
			f.problems = append(f.problems, fmt.Sprintf("%s: the topic ends with event %d of %d", key, h.at+1, len(h.events)))
		}
	}
	for key, want := range rows {
		if got, ok := f.rows[key]; !ok || got != want {
			f.problems = append(f.problems, fmt.Sprintf("%s: the row is %q and the topic ends with %q", key, want, got))
		}
	}
	for key, got := range f.rows {
		if _, ok := rows[key]; !ok {
			f.problems = append(f.problems, fmt.Sprintf("%s: there is no such row and the topic ends with %q", key, got))
		}
	}
	t.Logf("%s: %d rows copied, %d changes of %d keys; of one key at most %d repetitions", topic, f.copied, events, len(f.histories), back)
	if back > restarts {
		f.problems = append(f.problems, fmt.Sprintf("the changes of one key were repeated %d times, and there were %d restarts", back, restarts))
	}
	if len(rows) == 0 || f.copied == 0 {
		f.problems = append(f.problems, "nothing is compared")
	}
	const most = 10
	if n := len(f.problems); n > most {
		f.problems = append(f.problems[:most], fmt.Sprintf("and %d more", n-most))
	}
	if f.problems != nil {
		t.Errorf("%s:\n  %s", topic, strings.Join(f.problems, "\n  "))
	}
}

// TestHistory_TakesRepetitionsWithoutGaps is about the check itself.
func TestHistory_TakesRepetitionsWithoutGaps(t *testing.T) {
	t.Parallel()
	type at struct{ place, version uint64 }
	for name, c := range map[string]struct {
		events []at
		want   string // of the last
	}{
		"in order":          {[]at{{1, 1}, {2, 2}, {3, 3}}, ""},
		"once more":         {[]at{{1, 1}, {2, 2}, {2, 2}}, ""},
		"a suffix":          {[]at{{1, 1}, {2, 2}, {3, 3}, {2, 2}, {3, 3}, {4, 4}}, ""},
		"two restarts":      {[]at{{1, 1}, {2, 2}, {3, 3}, {2, 2}, {2, 2}, {3, 3}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}, ""},
		"a gap":             {[]at{{1, 1}, {2, 2}, {3, 3}, {1, 1}, {3, 3}}, "leaves out"},
		"new too early":     {[]at{{1, 1}, {2, 2}, {3, 3}, {1, 1}, {4, 4}}, "not repeated"},
		"a step back":       {[]at{{1, 1}, {3, 2}, {2, 3}}, "comes after"},
		"a lost change":     {[]at{{1, 1}, {3, 3}}, "version 3 follows version 1"},
		"lost and repeated": {[]at{{1, 1}, {2, 2}, {1, 1}, {3, 3}}, "not repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &history{places: map[place]int{}}
			for i, e := range c.events {
				err := h.next(event{Op: "u", After: &version{Version: int64(e.version)}, Source: place{LSN: e.place}})
				if i < len(c.events)-1 || c.want == "" {
					if err != nil {
						t.Errorf("event %d: %v", i, err)
					}
				} else if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("event %d: %v, want %q", i, err, c.want)
				}
			}
		})
	}
	for _, c := range []struct {
		last, next event
		want       string
	}{
		{event{Op: "d"}, event{Op: "c", After: &version{Version: 1}}, ""},
		{event{Op: "c", After: &version{Version: 1}}, event{Op: "c", After: &version{Version: 1}}, "without a deletion"},
		{event{Op: "d"}, event{Op: "u", After: &version{Version: 2}}, "follows a deletion"},
		{event{Op: "u", After: &version{Version: 2}}, event{Op: "d", Before: &version{Version: 1}}, "version 1 is deleted after version 2"},
		{event{Op: "u", After: &version{Version: 2}}, event{Op: "d", Before: &version{}}, ""},
	} {
		err := follows(c.last, c.next)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s after %s: %v, want %q", c.next.Op, c.last.Op, err, c.want)
		}
	}
}
