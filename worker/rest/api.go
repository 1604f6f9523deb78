package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/penstock/penstock/worker/catalogue"
	"github.com/penstock/penstock/worker/supervisor"
)

// Loggers are the levels of the log. Errors of SetLevel are *LevelError.
type Loggers interface {
	// Levels returns the level of each logger that has one of its own.
	Levels() map[string]Level
	// SetLevel sets a logger's level and those of the loggers below it, and
	// returns the names of those that it changed.
	SetLevel(name, level string) ([]string, error)
}

// Level is a logger's level and when it was set, in milliseconds since 1970;
// nil for never.
type Level struct {
	Level        string `json:"level"`
	LastModified *int64 `json:"last_modified"`
}

// API answers the requests. All fields are required.
type API struct {
	Supervisor *supervisor.Supervisor
	Loggers    Loggers
	// URL is the worker's own, as others know it: http://host:port.
	URL string
	// ClusterID is that of the Kafka cluster, Commit that of the program.
	ClusterID, Commit string
	// Ready reports whether the worker has started; Healthy says what is wrong
	// with it now, if anything.
	Ready   func() bool
	Healthy func(ctx context.Context) error
	// Metrics serves /metrics.
	Metrics http.Handler
	Logger  *slog.Logger
}

// requestTimeout is Kafka Connect's.
const requestTimeout = 90 * time.Second

// The methods of a resource.
type resource map[string]handler

// handler answers a request or returns why it cannot.
type handler func(w http.ResponseWriter, r *http.Request) error

// Handler returns the handler of all requests.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	at := func(pattern string, r resource) { mux.Handle(pattern, a.serve(r)) }

	at("/{$}", resource{http.MethodGet: a.root})
	at("/health", resource{http.MethodGet: a.health})
	at("/connectors", resource{http.MethodGet: a.listConnectors, http.MethodPost: a.createConnector})
	at("/connectors/{name}", resource{http.MethodGet: a.getConnector, http.MethodDelete: a.deleteConnector})
	at("/connectors/{name}/config", resource{http.MethodGet: a.getConfig, http.MethodPut: a.putConfig, http.MethodPatch: a.patchConfig})
	at("/connectors/{name}/status", resource{http.MethodGet: a.getStatus})
	at("/connectors/{name}/restart", resource{http.MethodPost: a.restart})
	at("/connectors/{name}/pause", resource{http.MethodPut: a.pause})
	at("/connectors/{name}/resume", resource{http.MethodPut: a.resume})
	at("/connectors/{name}/stop", resource{http.MethodPut: a.stop})
	at("/connectors/{name}/fence", resource{http.MethodPut: internal})
	at("/connectors/{name}/tasks", resource{http.MethodGet: a.listTasks, http.MethodPost: internal})
	at("/connectors/{name}/tasks/{task}/status", resource{http.MethodGet: a.taskStatus})
	at("/connectors/{name}/tasks/{task}/restart", resource{http.MethodPost: a.restartTask})
	at("/connectors/{name}/topics", resource{http.MethodGet: a.topics})
	at("/connectors/{name}/topics/reset", resource{http.MethodPut: a.resetTopics})
	at("/connectors/{name}/offsets", resource{http.MethodGet: a.getOffsets, http.MethodPatch: a.alterOffsets, http.MethodDelete: a.resetOffsets})
	at("/connector-plugins", resource{http.MethodGet: a.listPlugins})
	at("/connector-plugins/{plugin}/config", resource{http.MethodGet: a.pluginConfig})
	at("/connector-plugins/{plugin}/config/validate", resource{http.MethodPut: a.validate})
	at("/admin/loggers", resource{http.MethodGet: a.listLoggers})
	at("/admin/loggers/{logger}", resource{http.MethodGet: a.getLogger, http.MethodPut: a.setLogger})
	at("/", nil)

	mux.Handle("GET /metrics", a.Metrics)
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	return a.guard(mux)
}

// guard bounds every request and survives a bug in its handling.
func (a *API) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		defer func() {
			if p := recover(); p != nil {
				a.Logger.Error("a bug in Penstock broke a request", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				writeError(w, &failure{http.StatusInternalServerError, "a bug in Penstock broke the request; the log says more"})
			}
		}()
		if why := normalise(r.URL); why != "" {
			badPath(w, r, why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve chooses the method's handler and writes its error.
func (a *API) serve(methods resource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h := methods[method]
		switch {
		case methods == nil:
			frameworkError(w, http.StatusNotFound)
		case r.Method == http.MethodOptions:
			options(w, methods)
		case h == nil:
			frameworkError(w, http.StatusMethodNotAllowed)
		case !acceptsJSON(r):
			frameworkError(w, http.StatusNotAcceptable)
		default:
			if err := h(w, r); err != nil {
				a.fail(w, r, err)
			}
		}
	})
}

// fail writes an error that a handler returned.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	var media *mediaError
	var unknown *catalogue.UnknownClassError
	switch {
	case errors.As(err, &media):
		media.write(w)
	case errors.As(err, &f):
		writeError(w, f)
	case errors.As(err, &unknown):
		writeError(w, &failure{http.StatusBadRequest, err.Error()})
	case errors.Is(err, context.DeadlineExceeded):
		writeError(w, &failure{http.StatusInternalServerError, "Request timed out. The worker did not finish it within 90 seconds."})
	default:
		a.Logger.Warn("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		writeError(w, &failure{http.StatusInternalServerError, err.Error()})
	}
}

// evaluate judges a configuration, and if there is nothing wrong with it so
// far, has the connector look at the real database or destination. Warnings
// go into the answer's headers.
func (a *API) evaluate(w http.ResponseWriter, r *http.Request, config configMap) (*catalogue.Evaluation, error) {
	e, err := a.Supervisor.Catalogue.Evaluate(a.Supervisor.Env, config)
	if err != nil {
		return nil, err
	}
	if e.Plan != nil {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		e.Add(e.Plan.Check(ctx))
	}
	for _, p := range e.Warnings {
		w.Header().Add("X-Penstock-Warning", headerText(p.Message))
	}
	return e, nil
}

// checkTimeout bounds the look at a real system.
const checkTimeout = 60 * time.Second
