package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/state"
)

type rootJSON struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	ClusterID string `json:"kafka_cluster_id"`
}

// root is GET /. The version is that of the Kafka Connect whose API this is,
// since clients decide by it what they may ask for.
func (a *API) root(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, rootJSON{catalogue.KafkaVersion(), a.Commit, a.ClusterID})
	return nil
}

type healthJSON struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

const healthTimeout = 10 * time.Second

// health is GET /health.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	status, body := a.judgeHealth(r.Context())
	writeJSON(w, status, body)
	return nil
}

func (a *API) judgeHealth(ctx context.Context) (int, healthJSON) {
	if !a.Ready() {
		return http.StatusServiceUnavailable, healthJSON{"starting", "Worker is still starting up."}
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := a.Healthy(ctx); err != nil {
		return http.StatusInternalServerError, healthJSON{"unhealthy", "Worker was unable to handle this request: " + err.Error()}
	}
	return http.StatusOK, healthJSON{"healthy", "Worker has completed startup and is ready to handle requests."}
}

// healthz says that the process answers, which is all that a supervisor of
// processes should restart it for.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

type readyJSON struct {
	Status     string               `json:"status"`
	Message    string               `json:"message"`
	Connectors map[string]readyConn `json:"connectors"`
}

type readyConn struct {
	State string      `json:"state"`
	Tasks []readyTask `json:"tasks"`
}

type readyTask struct {
	ID    int    `json:"id"`
	State string `json:"state"`
	// WaitsFor says why a task that is RUNNING makes no progress.
	WaitsFor string `json:"waits_for,omitempty"`
}

// readyz says whether the worker has started and reaches Kafka, and what each
// connector does. A failed connector does not make the worker unready: a
// restart would not mend it.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	status, h := a.judgeHealth(r.Context())
	if status == http.StatusInternalServerError {
		status = http.StatusServiceUnavailable
	}
	out := readyJSON{Status: h.Status, Message: h.Message, Connectors: map[string]readyConn{}}
	waiting := a.Supervisor.Health()
	for _, name := range a.Supervisor.Names() {
		st, err := a.Supervisor.Status(name)
		if err != nil {
			out.Connectors[name] = readyConn{State: state.StatusUnassigned, Tasks: []readyTask{}}
			continue
		}
		c := readyConn{State: st.Connector.State, Tasks: []readyTask{}}
		for _, t := range st.Tasks {
			c.Tasks = append(c.Tasks, readyTask{t.ID, t.State, waiting[name][t.ID]})
		}
		out.Connectors[name] = c
	}
	writeJSON(w, status, out)
}
