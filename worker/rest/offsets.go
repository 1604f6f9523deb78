package rest

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/penstock/penstock/offsets"
	"github.com/penstock/penstock/worker/supervisor"
)

type offsetsJSON struct {
	Offsets []offsetJSON `json:"offsets"`
}

type offsetJSON struct {
	Partition object `json:"partition"`
	Offset    object `json:"offset"`
}

// object is a JSON object, kept as text, or null.
type object struct{ text json.RawMessage }

// UnmarshalJSON refuses everything else.
func (o *object) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	o.text = append(json.RawMessage{}, b...)
	return nil
}

// MarshalJSON gives the text back.
func (o object) MarshalJSON() ([]byte, error) {
	if o.text == nil {
		return []byte("null"), nil
	}
	return o.text, nil
}

// getOffsets is GET /connectors/{name}/offsets.
func (a *API) getOffsets(w http.ResponseWriter, r *http.Request) error {
	list, err := a.Supervisor.Offsets(r.Context(), r.PathValue("name"))
	if errors.Is(err, supervisor.ErrNotFound) {
		return missing(r)
	}
	if err != nil {
		return err
	}
	out := offsetsJSON{Offsets: []offsetJSON{}}
	for _, o := range list {
		out.Offsets = append(out.Offsets, offsetJSON{object{o.Partition}, object{o.Offset}})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// alterOffsets is PATCH /connectors/{name}/offsets.
func (a *API) alterOffsets(w http.ResponseWriter, r *http.Request) error {
	var body offsetsJSON
	if present, err := decode(r, &body); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	if len(body.Offsets) == 0 {
		return badRequest("Partitions / offsets need to be provided for an alter offsets request")
	}
	list := make([]supervisor.Offset, len(body.Offsets))
	for i, o := range body.Offsets {
		list[i] = supervisor.Offset{Partition: o.Partition.text, Offset: o.Offset.text}
	}
	elsewhere, err := a.Supervisor.AlterOffsets(r.Context(), r.PathValue("name"), list)
	if err != nil {
		return offsetFailure(r, err)
	}
	message(w, "altered", elsewhere)
	return nil
}

// resetOffsets is DELETE /connectors/{name}/offsets.
func (a *API) resetOffsets(w http.ResponseWriter, r *http.Request) error {
	elsewhere, err := a.Supervisor.ResetOffsets(r.Context(), r.PathValue("name"))
	if err != nil {
		return offsetFailure(r, err)
	}
	message(w, "reset", elsewhere)
	return nil
}

func message(w http.ResponseWriter, done string, elsewhere bool) {
	text := "The offsets for this connector have been " + done + " successfully"
	if elsewhere {
		text = "The Connect framework-managed offsets for this connector have been " + done +
			" successfully. However, if this connector manages offsets externally, they will need to be manually " + done +
			" in the system that the connector uses."
	}
	writeJSON(w, http.StatusOK, map[string]string{"message": text})
}

func offsetFailure(r *http.Request, err error) error {
	var refused *supervisor.OffsetError
	switch {
	case errors.Is(err, supervisor.ErrNotFound):
		return missing(r)
	case errors.Is(err, supervisor.ErrNotStopped):
		return badRequest("Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", r.PathValue("name"))
	case errors.As(err, &refused) && refused.Internal:
		return &failure{http.StatusInternalServerError, refused.Message}
	case errors.As(err, &refused):
		return badRequest("%s", refused.Message)
	case errors.Is(err, offsets.ErrPartition), errors.Is(err, offsets.ErrPosition):
		return badRequest("%s", err.Error())
	}
	return err
}
