package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/worker/config"
	"github.com/penstock/penstock/worker/state"
	"github.com/penstock/penstock/worker/supervisor"
)

func (a *API) target(w http.ResponseWriter, r *http.Request, t state.Target, status int) error {
	err := a.Supervisor.SetTarget(r.Context(), r.PathValue("name"), t)
	if errors.Is(err, supervisor.ErrNotFound) {
		return notFound("Unknown connector %s", r.PathValue("name"))
	}
	if err != nil {
		return err
	}
	return writeEmpty(w, status)
}

// pause is PUT /connectors/{name}/pause.
func (a *API) pause(w http.ResponseWriter, r *http.Request) error {
	return a.target(w, r, state.Paused, http.StatusAccepted)
}

// resume is PUT /connectors/{name}/resume.
func (a *API) resume(w http.ResponseWriter, r *http.Request) error {
	return a.target(w, r, state.Started, http.StatusAccepted)
}

// stop is PUT /connectors/{name}/stop.
func (a *API) stop(w http.ResponseWriter, r *http.Request) error {
	return a.target(w, r, state.Stopped, http.StatusNoContent)
}

// restart is POST /connectors/{name}/restart.
func (a *API) restart(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	is := func(parameter string) bool { return strings.EqualFold(r.URL.Query().Get(parameter), "true") }
	what := state.Restart{IncludeTasks: is("includeTasks"), OnlyFailed: is("onlyFailed")}
	if _, err := a.Supervisor.Info(name); err != nil {
		return notFound("Unknown connector: %s", name)
	}
	if what == (state.Restart{}) {
		err := a.Supervisor.Restart(r.Context(), name)
		var unreadable *config.UnreadableError
		switch {
		case errors.As(err, &unreadable):
			return &failure{http.StatusInternalServerError, unreadable.Error()}
		case errors.Is(err, supervisor.ErrNotFound):
			return notFound("Unknown connector: %s", name)
		case err != nil:
			return err
		}
		return writeEmpty(w, http.StatusNoContent)
	}
	st, err := a.Supervisor.RestartWith(r.Context(), name, what)
	if errors.Is(err, supervisor.ErrNotFound) {
		return notFound("Status for connector %s not found", name)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, newStatus(st))
	return nil
}

// taskNumber reads the task's number; one that is none is the framework's 404.
func taskNumber(r *http.Request) (int, error) {
	id, err := strconv.ParseInt(r.PathValue("task"), 10, 32)
	if err != nil {
		return 0, &failure{http.StatusNotFound, frameworkBody(http.StatusNotFound).Message}
	}
	return int(id), nil
}

type taskJSON struct {
	ID     taskID            `json:"id"`
	Config map[string]string `json:"config"`
}

// listTasks is GET /connectors/{name}/tasks.
func (a *API) listTasks(w http.ResponseWriter, r *http.Request) error {
	tasks, err := a.Supervisor.Tasks(r.PathValue("name"))
	if err != nil {
		return missing(r)
	}
	out := []taskJSON{}
	for id, c := range tasks {
		out = append(out, taskJSON{taskID{r.PathValue("name"), id}, c})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// taskStatus is GET /connectors/{name}/tasks/{task}/status.
func (a *API) taskStatus(w http.ResponseWriter, r *http.Request) error {
	id, err := taskNumber(r)
	if err != nil {
		return err
	}
	st, err := a.Supervisor.Status(r.PathValue("name"))
	if err == nil {
		for _, t := range st.Tasks {
			if t.ID == id {
				writeJSON(w, http.StatusOK, taskStateJSON{t.ID, newState(t.Status)})
				return nil
			}
		}
	}
	return notFound("No status found for task %s-%d", r.PathValue("name"), id)
}

// restartTask is POST /connectors/{name}/tasks/{task}/restart.
func (a *API) restartTask(w http.ResponseWriter, r *http.Request) error {
	id, err := taskNumber(r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	switch err := a.Supervisor.RestartTask(r.Context(), name, id); {
	case errors.Is(err, supervisor.ErrNotFound):
		return notFound("Unknown connector: %s", name)
	case errors.Is(err, supervisor.ErrNoTask):
		return notFound("Unknown task: %s-%d", name, id)
	case errors.Is(err, supervisor.ErrNotAssigned):
		return &failure{http.StatusConflict, "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."}
	case err != nil:
		return err
	}
	return writeEmpty(w, http.StatusNoContent)
}

type topicsJSON struct {
	Topics []string `json:"topics"`
}

// topics is GET /connectors/{name}/topics.
func (a *API) topics(w http.ResponseWriter, r *http.Request) error {
	if !a.Supervisor.Worker.Bool("topic.tracking.enable") {
		return &failure{http.StatusForbidden, "Topic tracking is disabled."}
	}
	name := r.PathValue("name")
	list := a.Supervisor.StatusLog.Topics(name)
	if list == nil {
		list = []string{}
	}
	writeJSON(w, http.StatusOK, map[string]topicsJSON{name: {list}})
	return nil
}

// resetTopics is PUT /connectors/{name}/topics/reset.
func (a *API) resetTopics(w http.ResponseWriter, r *http.Request) error {
	if !a.Supervisor.Worker.Bool("topic.tracking.enable") {
		return &failure{http.StatusForbidden, "Topic tracking is disabled."}
	}
	if !a.Supervisor.Worker.Bool("topic.tracking.allow.reset") {
		return &failure{http.StatusForbidden, "Topic tracking reset is disabled."}
	}
	a.Supervisor.StatusLog.ResetTopics(r.PathValue("name"))
	return writeEmpty(w, http.StatusAccepted)
}
