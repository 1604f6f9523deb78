package snapshot_test

import (
	"context"
	"slices"
	"testing"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
	"github.com/penstock/penstock/snapshot"
)

// prefaced is a database whose views have two batches of records before the
// rows.
type prefaced struct{ *database }

func (p prefaced) Scanner() capture.Scanner { return prefacedScanner{p.database.Scanner()} }

type prefacedScanner struct{ capture.Scanner }

func (s prefacedScanner) Begin(ctx context.Context, n int, from schema.Position) (*capture.View, error) {
	view, err := s.Scanner.Begin(ctx, n, from)
	if err != nil {
		return nil, err
	}
	left := 2
	view.Preface = func(b *schema.Batch) bool {
		b.Append().Record = &schema.Record{Topic: "definitions"}
		left--
		return left == 0
	}
	return view, nil
}

// Introduce implements capture.Introducer.
func (p introducing) Introduce(ctx context.Context) (*capture.View, error) {
	at, err := p.Now(ctx)
	if err != nil {
		return nil, err
	}
	view := &capture.View{Position: at}
	view.Preface = func(b *schema.Batch) bool {
		b.Append().Record = &schema.Record{Topic: "definitions"}
		return true
	}
	return view, nil
}

type introducing struct{ *database }

func TestSnapshot_HandsOverThePrefaceWithoutASnapshot(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := introducing{newDatabase(7, 3)}
	src, err := snapshot.Wrap(db, config(snapshot.NoData, 1))(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.write(3)
	var ops []schema.Op
	for len(ops) < 4 {
		var b schema.Batch
		if err := src.Next(ctx, &b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Events {
			ops = append(ops, b.Events[i].Op)
		}
	}
	if ops[0] != schema.OpRecord || slices.Contains(ops[1:], schema.OpRecord) {
		t.Errorf("operations %q", ops)
	}
}

// TestSnapshot_HandsOverThePrefaceFirst reads it before any row, again after a
// stop before the first chunk was complete, and not after a later one.
func TestSnapshot_HandsOverThePrefaceFirst(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := prefaced{newDatabase(7, 3)}
	var from schema.Position
	for _, c := range []struct {
		name     string
		chunks   int // complete before the stop
		prefaces int
	}{{"first start", 0, 2}, {"second start", 1, 2}, {"third start", 1, 0}} {
		src, err := snapshot.Wrap(db, config(snapshot.Initial, 1))(ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		var b schema.Batch
		prefaces, rows, chunks := 0, 0, 0
		var saved schema.Position
		for chunks < c.chunks || prefaces < c.prefaces || saved == nil && from == nil {
			b.Reset()
			if err := src.Next(ctx, &b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Events {
				if b.Events[i].Op != schema.OpRecord {
					rows++
					continue
				}
				if prefaces++; rows > 0 {
					t.Errorf("%s: a record of the preface after %d rows", c.name, rows)
				}
			}
			if b.End != nil {
				if chunks++; saved == nil && from == nil {
					chunks = 0 // the beginning's
				}
				saved = b.End
				confirm(t, src, saved)
			}
		}
		if prefaces != c.prefaces {
			t.Errorf("%s: %d records of the preface, want %d", c.name, prefaces, c.prefaces)
		}
		if saved != nil {
			from = saved
		}
		if err := src.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
