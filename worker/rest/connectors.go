package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/state"
	"github.com/penstock/penstock/worker/supervisor"
)

type infoJSON struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
	Tasks  []taskID          `json:"tasks"`
	Type   string            `json:"type"`
}

type taskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

func newInfo(i supervisor.Info) infoJSON {
	out := infoJSON{Name: i.Name, Config: i.Config, Tasks: []taskID{}, Type: i.Type}
	for id := range i.Tasks {
		out.Tasks = append(out.Tasks, taskID{i.Name, id})
	}
	return out
}

// listConnectors is GET /connectors.
func (a *API) listConnectors(w http.ResponseWriter, r *http.Request) error {
	names := a.Supervisor.Names()
	expand, expanded := r.URL.Query()["expand"]
	if !expanded {
		writeJSON(w, http.StatusOK, names)
		return nil
	}
	out := map[string]map[string]any{}
	for _, name := range names {
		entry := map[string]any{}
		if slices.Contains(expand, "info") {
			info, err := a.Supervisor.Info(name)
			if err != nil {
				continue // deleted meanwhile
			}
			entry["info"] = newInfo(info)
		}
		if slices.Contains(expand, "status") {
			st, err := a.Supervisor.Status(name)
			if err != nil {
				continue
			}
			entry["status"] = newStatus(st)
		}
		out[name] = entry
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

type createJSON struct {
	Name         scalar    `json:"name"`
	Config       configMap `json:"config"`
	InitialState *string   `json:"initial_state"`
}

// createConnector is POST /connectors.
func (a *API) createConnector(w http.ResponseWriter, r *http.Request) error {
	var body createJSON
	if present, err := decode(r, &body); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	target, err := initialState(body.InitialState)
	if err != nil {
		return err
	}
	if body.Config == nil {
		return &failure{http.StatusInternalServerError, `The body has no "config"`}
	}
	name := ""
	if body.Name.text != nil {
		name = trimName(*body.Name.text)
	}
	if err := a.check(w, r, name, body.Config); err != nil {
		return err
	}
	info, _, err := a.Supervisor.Put(r.Context(), name, body.Config.values(), target, true)
	if errors.Is(err, supervisor.ErrExists) {
		return &failure{http.StatusConflict, fmt.Sprintf("Connector %s already exists", name)}
	}
	if err != nil {
		return err
	}
	a.created(w, info)
	return nil
}

func (a *API) created(w http.ResponseWriter, info supervisor.Info) {
	w.Header().Set("Location", a.URL+location(info.Name))
	writeJSON(w, http.StatusCreated, newInfo(info))
}

func initialState(s *string) (state.Target, error) {
	if s == nil {
		return "", nil
	}
	switch strings.ToUpper(*s) {
	case "RUNNING":
		return state.Started, nil
	case "PAUSED":
		return state.Paused, nil
	case "STOPPED":
		return state.Stopped, nil
	}
	return "", &failure{http.StatusInternalServerError, fmt.Sprintf("The body cannot be read: initial_state is %q and must be RUNNING, PAUSED or STOPPED", *s)}
}

// trimName takes away what Java's String.trim does.
func trimName(name string) string {
	return strings.TrimFunc(name, func(r rune) bool { return r <= ' ' })
}

// check judges the configuration of a connector that is to be stored and puts
// its name into it.
func (a *API) check(w http.ResponseWriter, r *http.Request, name string, config configMap) error {
	if inner, given := config["name"]; given && inner != nil && *inner != name {
		return badRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *inner, name)
	}
	config["name"] = &name
	return a.judge(w, r, config)
}

func (a *API) judge(w http.ResponseWriter, r *http.Request, raw configMap) error {
	e, err := a.evaluate(w, r, raw)
	var unreadable *config.UnreadableError
	var noClass *catalogue.NoClassError
	switch {
	case errors.As(err, &unreadable):
		return &failure{http.StatusInternalServerError, unreadable.Error()}
	case errors.As(err, &noClass):
		return badRequest("%s", noClass.Error())
	case err != nil:
		return err
	}
	for _, p := range e.Warnings {
		a.Logger.Warn("about a connector's configuration", "connector", raw.values()["name"], "setting", p.Key, "problem", p.Message)
	}
	if lines := e.Errors(); len(lines) > 0 {
		return badRequest("Connector configuration is invalid and contains the following %d error(s):\n%s\n"+
			"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`", len(lines), strings.Join(lines, "\n"))
	}
	return nil
}

func missing(r *http.Request) error {
	return notFound("Connector %s not found", r.PathValue("name"))
}

// getConnector is GET /connectors/{name}.
func (a *API) getConnector(w http.ResponseWriter, r *http.Request) error {
	info, err := a.Supervisor.Info(r.PathValue("name"))
	if err != nil {
		return missing(r)
	}
	writeJSON(w, http.StatusOK, newInfo(info))
	return nil
}

// deleteConnector is DELETE /connectors/{name}.
func (a *API) deleteConnector(w http.ResponseWriter, r *http.Request) error {
	err := a.Supervisor.Delete(r.Context(), r.PathValue("name"))
	if errors.Is(err, supervisor.ErrNotFound) {
		return missing(r)
	}
	if err != nil {
		return err
	}
	return writeEmpty(w, http.StatusNoContent)
}

// getConfig is GET /connectors/{name}/config.
func (a *API) getConfig(w http.ResponseWriter, r *http.Request) error {
	info, err := a.Supervisor.Info(r.PathValue("name"))
	if err != nil {
		return missing(r)
	}
	writeJSON(w, http.StatusOK, info.Config)
	return nil
}

// putConfig is PUT /connectors/{name}/config.
func (a *API) putConfig(w http.ResponseWriter, r *http.Request) error {
	var body configMap
	if present, err := decode(r, &body); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	name := r.PathValue("name")
	if err := a.check(w, r, name, body); err != nil {
		return err
	}
	return a.put(w, r, name, body)
}

func (a *API) put(w http.ResponseWriter, r *http.Request, name string, c configMap) error {
	info, created, err := a.Supervisor.Put(r.Context(), name, c.values(), "", false)
	if err != nil {
		return err
	}
	if created {
		a.created(w, info)
		return nil
	}
	writeJSON(w, http.StatusOK, newInfo(info))
	return nil
}

// patchConfig is PATCH /connectors/{name}/config.
func (a *API) patchConfig(w http.ResponseWriter, r *http.Request) error {
	var patch configMap
	if present, err := decode(r, &patch); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	name := r.PathValue("name")
	info, err := a.Supervisor.Info(name)
	if err != nil {
		return missing(r)
	}
	merged := configMap{}
	for k, v := range info.Config {
		merged[k] = &v
	}
	for k, v := range patch {
		if merged[k] = v; v == nil {
			delete(merged, k)
		}
	}
	// Kafka Connect takes another name and has a connector under two then.
	if inner := merged["name"]; inner != nil && *inner != name {
		return badRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *inner, name)
	}
	if err := a.judge(w, r, merged); err != nil {
		return err
	}
	return a.put(w, r, name, merged)
}

type statusJSON struct {
	Name      string          `json:"name"`
	Connector stateJSON       `json:"connector"`
	Tasks     []taskStateJSON `json:"tasks"`
	Type      string          `json:"type"`
}

type stateJSON struct {
	State    string  `json:"state"`
	WorkerID string  `json:"worker_id"`
	Version  *string `json:"version"`
	Trace    string  `json:"trace,omitempty"`
}

type taskStateJSON struct {
	ID int `json:"id"`
	stateJSON
}

func newState(s state.Status) stateJSON {
	out := stateJSON{State: s.State, WorkerID: s.WorkerID, Trace: s.Trace}
	if s.Version != "" {
		out.Version = &s.Version
	}
	return out
}

func newStatus(s supervisor.Status) statusJSON {
	out := statusJSON{Name: s.Name, Connector: newState(s.Connector), Tasks: []taskStateJSON{}, Type: s.Type}
	for _, t := range s.Tasks {
		out.Tasks = append(out.Tasks, taskStateJSON{t.ID, newState(t.Status)})
	}
	return out
}

// getStatus is GET /connectors/{name}/status.
func (a *API) getStatus(w http.ResponseWriter, r *http.Request) error {
	st, err := a.Supervisor.Status(r.PathValue("name"))
	if err != nil {
		return notFound("No status found for connector %s", r.PathValue("name"))
	}
	writeJSON(w, http.StatusOK, newStatus(st))
	return nil
}

// internal is what workers ask each other.
func internal(http.ResponseWriter, *http.Request) error {
	return badRequest("Internal request missing required signature")
}
