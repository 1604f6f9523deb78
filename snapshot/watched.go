package snapshot

import (
	"context"
	"errors"

	"github.com/penstock/penstock/capture"
	"github.com/penstock/penstock/schema"
)

// watched is a source whose log may turn out to be lost after it was opened:
// while it is read, or when it is to be read after a long copy.
//
// Where the mode has the tables copied again then, that is written into the
// position, which is saved like any other after all that was read before
// (I1, I3), and the task ends with an error that passes (I8): it is opened
// again and copies. Killed before the position is saved, it meets the same
// loss again; killed after it, it copies, even if the log could be opened.
type watched struct {
	capture.Source
	*wrapped
	at   schema.Position // the newest End, or where the source was opened
	lost bool            // it was written into the position
	why  error
}

// againError ends the task so that it is opened again. It hides the loss,
// which would end the task for good.
type againError struct{ lost error }

// Error says what happens next, and why.
func (e *againError) Error() string { return "the tables are copied again: " + e.lost.Error() }

// Next implements capture.Source.
func (w *watched) Next(ctx context.Context, b *schema.Batch) error {
	if w.lost {
		return &againError{w.why}
	}
	err := w.Source.Next(ctx, b)
	if err == nil && b.End != nil {
		w.at = b.End
	}
	if !errors.Is(err, capture.ErrPositionLost) || !w.OnLoss {
		return w.ended(err)
	}
	w.Logger.Warn("the log is lost; copying the tables again", "connector", w.Name, "error", err)
	w.lost, w.why = true, err
	b.Reset()
	b.End, err = again(w.at)
	return err
}

// Confirm implements capture.Source.
func (w *watched) Confirm(ctx context.Context, p schema.Position) error {
	if w.lost {
		return nil // there is nobody to tell
	}
	return w.Source.Confirm(ctx, p)
}
