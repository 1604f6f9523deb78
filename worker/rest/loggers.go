package rest

import (
	"errors"
	"net/http"
	"strings"
)

// LevelError says that a level is none.
type LevelError struct{ Level string }

// Error is Kafka Connect's sentence.
func (e *LevelError) Error() string { return "invalid log level '" + e.Level + "'." }

// listLoggers is GET /admin/loggers.
func (a *API) listLoggers(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, a.Loggers.Levels())
	return nil
}

// getLogger is GET /admin/loggers/{logger}.
func (a *API) getLogger(w http.ResponseWriter, r *http.Request) error {
	l, ok := a.Loggers.Levels()[r.PathValue("logger")]
	if !ok {
		return notFound("Logger %s not found.", r.PathValue("logger"))
	}
	writeJSON(w, http.StatusOK, l)
	return nil
}

// setLogger is PUT /admin/loggers/{logger}.
func (a *API) setLogger(w http.ResponseWriter, r *http.Request) error {
	var body configMap
	if present, err := decode(r, &body); err != nil {
		return err
	} else if !present {
		return noBody()
	}
	level := body["level"]
	if level == nil {
		return badRequest("Desired 'level' parameter was not specified in request.")
	}
	if *level == "" {
		return &failure{http.StatusInternalServerError, "Illegal null or empty Level name."}
	}
	name := r.PathValue("logger")
	if strings.EqualFold(r.URL.Query().Get("scope"), "cluster") {
		if !ValidLevel(*level) {
			return notFound("%s", (&LevelError{*level}).Error())
		}
		if err := a.Supervisor.ConfigLog.SetLevel(r.Context(), name, strings.ToUpper(*level)); err != nil {
			return err
		}
		return writeEmpty(w, http.StatusNoContent)
	}
	changed, err := a.Loggers.SetLevel(name, *level)
	var bad *LevelError
	if errors.As(err, &bad) {
		return notFound("%s", bad.Error())
	}
	if err != nil {
		return err
	}
	if changed == nil {
		changed = []string{}
	}
	writeJSON(w, http.StatusOK, changed)
	return nil
}

// ValidLevel reports whether there is a level of this name.
func ValidLevel(level string) bool {
	switch strings.ToUpper(level) {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF", "ALL":
		return true
	}
	return false
}
