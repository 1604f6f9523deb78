package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The simulated database: two columns (id, v), a log with one change per
// position, and views of it. It is a model to check the algorithm with, by
// seeds; the real databases are tested in their own packages.
type database struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	tables []*schema.Table
	rows   map[string]map[int64]int64 // table → id → v
	log    []change                   // log[i] is at position i+1
	lost   int                        // positions before this one are lost
	views  int
	scans  map[string]int // "table chunk" → how often it was read to its end
}

type change struct {
	table  *schema.Table
	op     schema.Op
	id, v  int64
	before int64
}

func newDatabase(seed uint64, tables int) *database {
	d := &database{rnd: rand.New(rand.NewPCG(seed, 1)), rows: map[string]map[int64]int64{}, scans: map[string]int{}}
	source := &schema.Schema{Type: schema.TypeStruct, Fields: []schema.Field{
		{Name: "snapshot", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}},
	}}
	i64 := &schema.Schema{Type: schema.TypeInt64}
	for i := range tables {
		t := &schema.Table{
			Schema: "s", Name: "t" + strconv.Itoa(i), Key: []int{0}, Source: source,
			Columns: []schema.Column{{Name: "id", Schema: i64}, {Name: "v", Schema: i64}},
		}
		d.tables = append(d.tables, t)
		d.rows[t.Path()] = map[int64]int64{}
		for id := range int64(d.rnd.IntN(300)) {
			d.rows[t.Path()][id] = d.rnd.Int64()
		}
	}
	return d
}

// write commits n random changes.
func (d *database) write(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		t := d.tables[d.rnd.IntN(len(d.tables))]
		rows, id, v := d.rows[t.Path()], int64(d.rnd.IntN(320)), d.rnd.Int64()
		old, there := rows[id]
		c := change{table: t, op: schema.OpCreate, id: id, v: v, before: old}
		switch {
		case there && d.rnd.IntN(3) == 0:
			c.op = schema.OpDelete
			delete(rows, id)
		case there:
			c.op = schema.OpUpdate
			rows[id] = v
		default:
			rows[id] = v
		}
		d.log = append(d.log, c)
	}
}

func position(n int) schema.Position { return schema.Position(fmt.Sprintf(`{"at":%d}`, n)) }

func parsePosition(p schema.Position) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(string(p), `{"at":`), "}"))
	if err != nil {
		panic(fmt.Sprintf("position %s: %v", p, err))
	}
	return n
}

func (d *database) Now(context.Context) (schema.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return position(len(d.log)), nil
}

func (d *database) Open(_ context.Context, from schema.Position) (capture.Source, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := parsePosition(from)
	if at < d.lost {
		return nil, fmt.Errorf("position %d is gone: %w", at, capture.ErrPositionLost)
	}
	return &stream{d: d, at: at}, nil
}

func (d *database) Scanner() capture.Scanner { return &scanner{d: d} }

type stream struct {
	d  *database
	at int
}

func (s *stream) Next(ctx context.Context, b *schema.Batch) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.at < s.d.lost {
		return capture.Permanent(fmt.Errorf("position %d is gone: %w", s.at, capture.ErrPositionLost))
	}
	for n := 1 + s.d.rnd.IntN(20); n > 0 && s.at < len(s.d.log); n-- {
		c := s.d.log[s.at]
		s.at++
		ev := b.Append()
		ev.Op, ev.Table, ev.Source = c.op, c.table, b.Row(1)
		if c.op != schema.OpDelete {
			ev.After = row(b, c.id, c.v)
		}
		if c.op != schema.OpCreate {
			ev.Before = row(b, c.id, c.before)
		}
	}
	b.End = position(s.at)
	return ctx.Err()
}

func (s *stream) Confirm(_ context.Context, p schema.Position) error {
	if p != nil {
		parsePosition(p) // a position with marks of the snapshot would panic
	}
	return nil
}

func (s *stream) Close(context.Context) error { return nil }

func row(b *schema.Batch, id, v int64) schema.Row {
	r := b.Row(2)
	r[0], r[1] = schema.Int(id), schema.Int(v)
	return r
}

type scanner struct {
	d     *database
	begun bool
}

func (s *scanner) Begin(_ context.Context, n int, from schema.Position) (*capture.View, error) {
	if from != nil && parsePosition(from) < s.d.lost {
		return nil, capture.ErrPositionLost
	}
	at := position(len(s.d.log))
	if from != nil {
		at = from
	}
	// Commits between the position and the view: what it is for that the
	// position comes first.
	s.d.write(s.d.rnd.IntN(5))
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.begun = true
	s.d.views++
	v := &capture.View{Position: at}
	frozen := map[string]map[int64]int64{}
	for _, t := range s.d.tables {
		frozen[t.Path()] = maps.Clone(s.d.rows[t.Path()])
		scan := capture.TableScan{Table: t, Rows: int64(len(frozen[t.Path()]))}
		// Each view cuts the table elsewhere; the ledger's bounds must hold.
		for bound := int64(s.d.rnd.IntN(60)); bound < 320 && len(scan.Bounds) < 6; bound += 1 + int64(s.d.rnd.IntN(90)) {
			scan.Bounds = append(scan.Bounds, strconv.FormatInt(bound, 10))
		}
		v.Tables = append(v.Tables, scan)
	}
	for range n {
		v.Sessions = append(v.Sessions, &session{d: s.d, rows: frozen})
	}
	return v, nil
}

func (s *scanner) Close(context.Context) error { return nil }

type session struct {
	d    *database
	rows map[string]map[int64]int64
}

func (s *session) Scan(_ context.Context, t *schema.Table, lower, upper string) (capture.Rows, error) {
	r := &rows{d: s.d, t: t, key: t.Path() + " " + lower + ".." + upper, of: s.rows[t.Path()]}
	for id := range r.of {
		if (lower == "" || id >= atoi(lower)) && (upper == "" || id < atoi(upper)) {
			r.ids = append(r.ids, id)
		}
	}
	slices.Sort(r.ids)
	return r, nil
}

func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

type rows struct {
	d   *database
	t   *schema.Table
	key string
	of  map[int64]int64
	ids []int64
}

func (r *rows) Next(ctx context.Context, b *schema.Batch) (bool, error) {
	r.d.mu.Lock()
	n := 1 + r.d.rnd.IntN(30)
	emptyEnd := r.d.rnd.IntN(3) == 0
	r.d.mu.Unlock()
	source := b.Row(1) // events share it
	source[0] = schema.Text("true")
	for ; n > 0 && len(r.ids) > 0; n-- {
		ev := b.Append()
		ev.Op, ev.Table, ev.Source = schema.OpRead, r.t, source
		ev.After = row(b, r.ids[0], r.of[r.ids[0]])
		r.ids = r.ids[1:]
	}
	done := len(r.ids) == 0 && (n > 0 || !emptyEnd)
	if done {
		r.d.mu.Lock()
		r.d.scans[r.key]++
		r.d.mu.Unlock()
	}
	return done, ctx.Err()
}

func (r *rows) Close() error { return nil }

// consumer folds what a topic would hold.
type consumer struct {
	state   map[string]map[int64]int64
	markers []string
	reads   int
}

func newConsumer() *consumer { return &consumer{state: map[string]map[int64]int64{}} }

func (c *consumer) apply(b *schema.Batch) {
	for i := range b.Events {
		ev := &b.Events[i]
		t := c.state[ev.Table.Path()]
		if t == nil {
			t = map[int64]int64{}
			c.state[ev.Table.Path()] = t
		}
		if ev.Op == schema.OpDelete {
			delete(t, ev.Before[0].Int())
		} else {
			t[ev.After[0].Int()] = ev.After[1].Int()
		}
		if ev.Op == schema.OpRead {
			c.reads++
			c.markers = append(c.markers, ev.Table.Name+" "+string(ev.Source[0].Bytes()))
		}
	}
}

// lacks names a row that is not there as the database has it.
func (c *consumer) lacks(d *database) string {
	for _, t := range d.tables {
		got := c.state[t.Path()]
		for id, v := range d.rows[t.Path()] {
			if w, ok := got[id]; !ok || w != v {
				return fmt.Sprintf("%s: row %d is %d (%v), want %d", t.Path(), id, w, ok, v)
			}
		}
	}
	return ""
}

func (c *consumer) differs(d *database) string {
	if lacks := c.lacks(d); lacks != "" {
		return lacks
	}
	for _, t := range d.tables {
		want, got := d.rows[t.Path()], c.state[t.Path()]
		for id := range got {
			if _, ok := want[id]; !ok {
				return fmt.Sprintf("%s: row %d is gone at the source", t.Path(), id)
			}
		}
	}
	return ""
}

var quiet = slog.New(slog.DiscardHandler)

func config(mode snapshot.Mode, sessions int) snapshot.Config {
	return snapshot.Config{Name: "sim", Mode: mode, Sessions: sessions, Logger: quiet}
}

// TestSnapshot_ConvergesOverInterruptions cuts the copy and the stream at
// random places, forgets what was handed over since the last saved position,
// writes all the while, and folds what a consumer would have seen.
func TestSnapshot_ConvergesOverInterruptions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	resumed := 0
	for seed := range uint64(120) {
		d := newDatabase(seed, 1+int(seed%4))
		rnd := rand.New(rand.NewPCG(seed, 2))
		c := newConsumer()
		var saved schema.Position
		for round := 0; ; round++ {
			src, err := snapshot.Wrap(d, config(snapshot.Initial, 1+rnd.IntN(3)))(ctx, saved)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			last := round > 5 // then nothing interrupts
			if !last {
				d.write(rnd.IntN(30))
			}
			stop := rnd.IntN(40)
			for n := 0; last || n < stop; n++ {
				var b schema.Batch
				if err := src.Next(ctx, &b); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				c.apply(&b)
				if b.End != nil && rnd.IntN(3) > 0 {
					saved = b.End
				}
				confirm(t, src, saved)
				if !last && rnd.IntN(4) == 0 {
					d.write(rnd.IntN(4))
				}
				if last && string(b.End) == string(position(len(d.log))) {
					break
				}
			}
			if strings.Contains(string(saved), "penstock_snapshot") {
				resumed++
			}
			if err := src.Close(ctx); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if last {
				break
			}
		}
		if diff := c.differs(d); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
	if resumed < 60 {
		t.Errorf("only %d interruptions fell into a snapshot", resumed)
	}
}

// lose makes the database forget its log but for the newest position.
func (d *database) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = len(d.log)
}

// TestSnapshot_CopiesAgainWhenThePositionIsLostLater loses the log at random
// places, during the copy and during the stream, and opens the source again
// after errors as the supervisor does.
func TestSnapshot_CopiesAgainWhenThePositionIsLostLater(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for seed := range uint64(120) {
		d := newDatabase(seed, 1+int(seed%3))
		rnd := rand.New(rand.NewPCG(seed, 3))
		open := snapshot.Wrap(d, config(snapshot.WhenNeeded, 1+rnd.IntN(3)))
		c := newConsumer()
		var saved schema.Position
		losses, opened := 1+rnd.IntN(3), 0
		for done := false; !done; {
			if opened++; opened > 20 {
				t.Fatalf("seed %d: the source does not get beyond the loss", seed)
			}
			src, err := open(ctx, saved)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			unsaved := saved
			for !done {
				var b schema.Batch
				if err := src.Next(ctx, &b); err != nil {
					if capture.IsPermanent(err) || errors.Is(err, capture.ErrPositionLost) {
						t.Fatalf("seed %d: %v would end the task", seed, err)
					}
					break
				}
				c.apply(&b)
				if b.End != nil {
					unsaved = b.End
				}
				if rnd.IntN(3) > 0 && unsaved != nil {
					saved = unsaved
					confirm(t, src, saved)
				}
				if losses > 0 && rnd.IntN(25) == 0 {
					losses--
					d.write(1 + rnd.IntN(20))
					d.lose()
				}
				done = losses == 0 && string(b.End) == string(position(len(d.log)))
			}
			if rnd.IntN(4) > 0 { // otherwise the process was killed
				saved = unsaved
			}
			if err := src.Close(ctx); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		// Rows that were deleted in what is lost stay: nobody knows of them.
		if missing := c.lacks(d); missing != "" {
			t.Fatalf("seed %d: %s", seed, missing)
		}
	}
}

// TestSnapshot_ALossThatShowsLaterIsPermanent is for the modes that do not
// copy again.
func TestSnapshot_ALossThatShowsLaterIsPermanent(t *testing.T) {
	t.Parallel()
	for _, copied := range []bool{false, true} { // lost during the copy, and after it
		d := newDatabase(1, 2)
		d.write(5)
		src, err := snapshot.Wrap(d, config(snapshot.Initial, 2))(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if copied {
			run(t, d, src)
		}
		d.write(5)
		d.lose()
		for err = nil; err == nil; {
			var b schema.Batch
			if err = src.Next(context.Background(), &b); b.End != nil {
				confirm(t, src, b.End)
			}
		}
		if !capture.IsPermanent(err) || !errors.Is(err, capture.ErrPositionLost) || !strings.Contains(err.Error(), "snapshot.mode=when_needed") {
			t.Errorf("copied=%v: %v", copied, err)
		}
		if err := src.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// confirm says that a position is durable, as the task does, or that none is.
func confirm(t *testing.T, src capture.Source, p schema.Position) {
	t.Helper()
	if err := src.Confirm(context.Background(), p); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot_HandsOverNoRowBeforeItsPositionIsSaved(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := newDatabase(1, 2)
	src, err := snapshot.Wrap(d, config(snapshot.Initial, 2))(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	confirm(t, src, nil)
	var first schema.Batch
	if err := src.Next(ctx, &first); err != nil || first.End == nil || len(first.Events) > 0 {
		t.Fatalf("the first batch: %v, %d events, end %s", err, len(first.Events), first.End)
	}
	confirm(t, src, nil)
	confirm(t, src, position(0)) // an older one, as when snapshot.mode=always begins again
	for range 5 {
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil || len(b.Events) > 0 {
			t.Fatalf("%v, %d rows before the position was saved", err, len(b.Events))
		}
	}
	confirm(t, src, first.End)
	if c := run(t, d, src); c.reads == 0 {
		t.Error("no rows after it was saved")
	}
	if err := src.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// run reads until the source has nothing more.
func run(t *testing.T, d *database, src capture.Source) *consumer {
	t.Helper()
	c := newConsumer()
	for {
		var b schema.Batch
		if err := src.Next(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		c.apply(&b)
		if b.End != nil {
			confirm(t, src, b.End)
		}
		if string(b.End) == string(position(len(d.log))) {
			return c
		}
	}
}

func TestSnapshot_DoesNotCopyAFinishedChunkAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := newDatabase(7, 3)
	open := snapshot.Wrap(d, config(snapshot.Initial, 1))
	src, err := open(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var saved schema.Position
	for range 12 {
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil {
			t.Fatal(err)
		}
		if b.End != nil {
			saved = b.End
			confirm(t, src, saved)
		}
	}
	if err := src.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(saved), `\"chunks\":\"0`) {
		t.Fatalf("no chunk was finished: %s", saved)
	}
	before := maps.Clone(d.scans)
	src, err = open(ctx, saved)
	if err != nil {
		t.Fatal(err)
	}
	run(t, d, src)
	if err := src.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again := 0
	for k, n := range d.scans {
		if n > 1 {
			again++
		}
		delete(before, k)
	}
	// What was read ahead of the saved position is read again, no more.
	if again > 4 {
		t.Errorf("%d chunks were copied twice", again)
	}
	if d.views != 2 {
		t.Errorf("%d views, want 2", d.views)
	}
}

func TestSnapshot_MarksFirstAndLastRows(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		d := newDatabase(seed, 3)
		src, err := snapshot.Wrap(d, config(snapshot.Initial, 1+int(seed%3)))(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := run(t, d, src)
		if err := src.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(c.markers) == 0 {
			continue
		}
		if _, last, _ := strings.Cut(c.markers[len(c.markers)-1], " "); last != "last" {
			t.Errorf("seed %d: ends with %q", seed, last)
		}
		perTable := map[string][]string{}
		for _, m := range c.markers {
			table, mark, _ := strings.Cut(m, " ")
			perTable[table] = append(perTable[table], mark)
		}
		left := len(c.markers)
		for place, table := range d.tables {
			got := perTable[table.Name]
			if len(got) == 0 {
				continue
			}
			left -= len(got)
			want := slices.Repeat([]string{"true"}, len(got))
			want[0] = "first_in_data_collection"
			want[len(want)-1] = "last_in_data_collection"
			if place == 0 {
				want[0] = "first"
			}
			if left == 0 {
				want[len(want)-1] = "last"
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: the rows of table %d are marked %q, want %q", seed, place, got, want)
			}
		}
	}
}

// restored notes what it is to restore.
type restored struct {
	*database
	at  []string
	err error
}

func (r *restored) Restore(_ context.Context, at schema.Position) error {
	r.at = append(r.at, string(at))
	return r.err
}

func TestSnapshot_Recovery(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		mode snapshot.Mode
		from schema.Position
		want []string
		err  error
	}{
		{"a position", snapshot.Recovery, schema.Position(`{"at":3}`), []string{`{"at":3}`}, nil},
		{"a copy's end", snapshot.Recovery, schema.Position(`{"last_snapshot_record":true,"at":3,"snapshot":"INITIAL","snapshot_completed":true}`), []string{`{"at":3}`}, nil},
		{"nothing to restore for", snapshot.Recovery, nil, nil, nil},
		{"another mode", snapshot.Initial, schema.Position(`{"at":3}`), nil, nil},
		{"impossible", snapshot.Recovery, schema.Position(`{"at":3}`), []string{`{"at":3}`}, capture.ErrPositionLost},
	} {
		d := newDatabase(1, 2)
		d.write(10)
		r := &restored{database: d, err: tc.err}
		src, err := snapshot.Wrap(r, config(tc.mode, 2))(t.Context(), tc.from)
		if !errors.Is(err, tc.err) || !slices.Equal(r.at, tc.want) {
			t.Errorf("%s: restored at %q, want %q; error %v", tc.name, r.at, tc.want, err)
		}
		if err == nil {
			if err := src.Close(t.Context()); err != nil {
				t.Errorf("%s: close: %v", tc.name, err)
			}
		}
	}
}

func TestSnapshot_Modes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	streaming := position(3)
	complete := schema.Position(`{"at":3,"last_snapshot_record":true,"snapshot":"INITIAL","snapshot_completed":true}`)
	foreign := schema.Position(`{"at":3,"last_snapshot_record":false,"snapshot":"INITIAL","snapshot_completed":false}`)
	unfinished := schema.Position(`{"at":3,"last_snapshot_record":false,"snapshot":"INITIAL","snapshot_completed":false,"penstock_snapshot":"{\"tables\":{}}"}`)
	based := func(r snapshot.Rules) snapshot.Config {
		c := config(snapshot.ConfigurationBased, 2)
		c.Based = r
		return c
	}
	for _, tc := range []struct {
		name    string
		c       snapshot.Config
		from    schema.Position
		lost    bool
		copies  bool
		streams bool
		err     error
	}{
		{"initial, first start", config(snapshot.Initial, 2), nil, false, true, true, nil},
		{"initial, streaming", config(snapshot.Initial, 2), streaming, false, false, true, nil},
		{"initial, complete", config(snapshot.Initial, 2), complete, false, false, true, nil},
		{"initial, another's interrupted", config(snapshot.Initial, 2), foreign, false, true, true, nil},
		{"initial, position lost", config(snapshot.Initial, 2), streaming, true, false, true, capture.ErrPositionLost},
		{"initial, position of an unfinished snapshot lost", config(snapshot.Initial, 2), unfinished, true, false, true, capture.ErrPositionLost},
		{"when_needed, position of an unfinished snapshot lost", config(snapshot.WhenNeeded, 2), unfinished, true, true, true, nil},
		{"when_needed, position lost", config(snapshot.WhenNeeded, 2), streaming, true, true, true, nil},
		{"when_needed, streaming", config(snapshot.WhenNeeded, 2), streaming, false, false, true, nil},
		{"no_data, first start", config(snapshot.NoData, 2), nil, false, false, true, nil},
		{"no_data, streaming", config(snapshot.NoData, 2), streaming, false, false, true, nil},
		{"always, streaming", config(snapshot.Always, 2), streaming, false, true, true, nil},
		{"initial_only, first start", config(snapshot.InitialOnly, 2), nil, false, true, false, nil},
		{"initial_only, complete", config(snapshot.InitialOnly, 2), complete, false, false, false, nil},
		{"configuration_based, as initial_only at each start", based(snapshot.Rules{Data: true}), complete, false, true, false, nil},
		{"configuration_based, as always", based(snapshot.Rules{Data: true, Stream: true}), streaming, false, true, true, nil},
		{"configuration_based, as no_data", based(snapshot.Rules{Stream: true}), nil, false, false, true, nil},
		{"configuration_based, as no_data, streaming", based(snapshot.Rules{Stream: true}), streaming, false, false, true, nil},
		{"configuration_based, position lost", based(snapshot.Rules{Stream: true}), streaming, true, false, true, capture.ErrPositionLost},
		{"configuration_based, as when_needed without a first copy", based(snapshot.Rules{Stream: true, OnLoss: true}), nil, false, false, true, nil},
		{"configuration_based, as when_needed, position lost", based(snapshot.Rules{Stream: true, OnLoss: true}), streaming, true, true, true, nil},
		{"configuration_based, position of an unfinished snapshot", based(snapshot.Rules{Stream: true, OnLoss: true}), unfinished, false, true, true, nil},
		{"configuration_based, neither copies nor streams", based(snapshot.Rules{OnLoss: true}), nil, false, false, false, snapshot.ErrMode},
		{"custom", config("custom", 2), nil, false, false, false, snapshot.ErrMode},
		{"recovery, first start", config(snapshot.Recovery, 2), nil, false, false, true, nil},
		{"recovery, streaming", config(snapshot.Recovery, 2), streaming, false, false, true, nil},
		{"recovery, position lost", config(snapshot.Recovery, 2), streaming, true, false, true, capture.ErrPositionLost},
	} {
		d := newDatabase(1, 2)
		d.write(10)
		if tc.lost {
			d.lost = 5
		}
		src, err := snapshot.Wrap(d, tc.c)(ctx, tc.from)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.err)
		}
		if tc.err != nil {
			if !capture.IsPermanent(err) {
				t.Errorf("%s: %v would be tried again", tc.name, err)
			}
			continue
		}
		d.write(5) // so that a stream has something to end with
		c := newConsumer()
		for done := false; !done; {
			var b schema.Batch
			if err := src.Next(ctx, &b); err != nil {
				t.Fatal(err)
			}
			c.apply(&b)
			if b.End != nil {
				confirm(t, src, b.End)
			}
			done = string(b.End) == string(position(len(d.log)))
			if !tc.streams {
				done = !tc.copies || strings.Contains(string(b.End), `"snapshot_completed":true`)
			}
		}
		if (c.reads > 0) != tc.copies {
			t.Errorf("%s: %d rows were copied", tc.name, c.reads)
		}
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil || len(b.Events) > 0 {
			t.Errorf("%s: afterwards: %v, %d events", tc.name, err, len(b.Events))
		}
		if err := src.Close(ctx); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestSnapshot_InitialOnlyEndsIdle(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := newDatabase(3, 2)
	open := snapshot.Wrap(d, config(snapshot.InitialOnly, 2))
	src, err := open(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newConsumer()
	var end schema.Position
	for !strings.Contains(string(end), `"snapshot_completed":true`) {
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil {
			t.Fatal(err)
		}
		c.apply(&b)
		if end = b.End; end != nil {
			confirm(t, src, end)
		}
	}
	d.write(3)
	for range 2 {
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil || len(b.Events) > 0 {
			t.Fatalf("after the copy: %v, %d events", err, len(b.Events))
		}
	}
	if err := src.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if src, err = open(ctx, end); err != nil {
		t.Fatal(err)
	}
	var b schema.Batch
	if err := src.Next(ctx, &b); err != nil || len(b.Events) > 0 {
		t.Fatalf("after a restart: %v, %d events", err, len(b.Events))
	}
}
