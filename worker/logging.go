package worker

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/worker/rest"
)

// Names of the program's own loggers.
const (
	rootLogger      = "root"
	logWorker       = "penstock.worker"
	logBroker       = "penstock.broker"
	logKafka        = "penstock.kafka"
	logConnectors   = "penstock.connectors"
	logREST         = "penstock.rest"
	levelTrace      = slog.LevelDebug - 4
	levelFatal      = slog.LevelError + 4
	levelOff        = slog.Level(math.MaxInt32)
	levelEverything = slog.Level(math.MinInt32)
)

// logs are the loggers and their levels, which can be changed while they are
// used. A logger without a level of its own has that of the nearest one above
// it in the dotted name.
type logs struct {
	out slog.Handler

	mu       sync.Mutex
	levels   map[string]rest.Level
	snapshot atomic.Pointer[map[string]slog.Level]

	secrets atomic.Pointer[strings.Replacer]
	hidden  map[string]bool
}

// newLogs returns loggers that write to w, as JSON or as text.
func newLogs(w io.Writer, asJSON bool, level string) *logs {
	o := &slog.HandlerOptions{Level: levelEverything, ReplaceAttr: nameLevels}
	l := &logs{levels: map[string]rest.Level{}, hidden: map[string]bool{}}
	if asJSON {
		l.out = slog.NewJSONHandler(w, o)
	} else {
		l.out = slog.NewTextHandler(w, o)
	}
	l.levels[rootLogger] = rest.Level{Level: strings.ToUpper(level)}
	l.know([]string{logWorker, logBroker, logKafka, logConnectors, logREST})
	return l
}

// know adds loggers with the root's level, so that they are listed.
func (l *logs) know(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.levels[name] = rest.Level{Level: l.levels[rootLogger].Level}
	}
	l.publish()
}

// nameLevels writes the levels that slog does not know by their names.
func nameLevels(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.LevelKey {
		return a
	}
	switch level, _ := a.Value.Any().(slog.Level); {
	case level < slog.LevelDebug:
		a.Value = slog.StringValue("TRACE")
	case level >= levelFatal:
		a.Value = slog.StringValue("FATAL")
	}
	return a
}

func parseLevel(name string) (slog.Level, bool) {
	switch strings.ToUpper(name) {
	case "TRACE":
		return levelTrace, true
	case "DEBUG":
		return slog.LevelDebug, true
	case "INFO":
		return slog.LevelInfo, true
	case "WARN":
		return slog.LevelWarn, true
	case "ERROR":
		return slog.LevelError, true
	case "FATAL":
		return levelFatal, true
	case "OFF":
		return levelOff, true
	case "ALL":
		return levelEverything, true
	}
	return 0, false
}

// publish makes the levels known to the handlers. The caller holds mu, or is
// alone.
func (l *logs) publish() {
	m := make(map[string]slog.Level, len(l.levels))
	for name, v := range l.levels {
		m[name], _ = parseLevel(v.Level)
	}
	l.snapshot.Store(&m)
}

// Levels implements rest.Loggers.
func (l *logs) Levels() map[string]rest.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.levels)
}

// SetLevel implements rest.Loggers.
func (l *logs) SetLevel(name, level string) ([]string, error) {
	level = strings.ToUpper(level)
	if _, ok := parseLevel(level); !ok {
		return nil, &rest.LevelError{Level: level}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.levels[name]; !known {
		l.levels[name] = rest.Level{Level: l.inherited(name)}
	}
	var changed []string
	now := time.Now().UnixMilli()
	for other, v := range l.levels {
		if name != rootLogger && other != name && !strings.HasPrefix(other, name+".") || v.Level == level {
			continue
		}
		l.levels[other] = rest.Level{Level: level, LastModified: &now}
		changed = append(changed, other)
	}
	slices.Sort(changed)
	l.publish()
	return changed, nil
}

func (l *logs) inherited(name string) string {
	for {
		at := strings.LastIndexByte(name, '.')
		if at < 0 {
			return l.levels[rootLogger].Level
		}
		name = name[:at]
		if v, ok := l.levels[name]; ok {
			return v.Level
		}
	}
}

// level returns the level that counts for a logger.
func (l *logs) level(name string) slog.Level {
	m := *l.snapshot.Load()
	for {
		if v, ok := m[name]; ok {
			return v
		}
		at := strings.LastIndexByte(name, '.')
		if at < 0 {
			return m[rootLogger]
		}
		name = name[:at]
	}
}

// hide keeps texts out of everything that is logged from now on.
func (l *logs) hide(secrets []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range secrets {
		l.hidden[s] = true
	}
	pairs := make([]string, 0, 2*len(l.hidden))
	// The longest first, since one may hold another.
	for _, s := range slices.SortedFunc(maps.Keys(l.hidden), func(a, b string) int { return len(b) - len(a) }) {
		pairs = append(pairs, s, "[hidden]")
	}
	l.secrets.Store(strings.NewReplacer(pairs...))
}

// logger returns the logger of a name.
func (l *logs) logger(name string) *slog.Logger {
	return slog.New(&logHandler{logs: l, name: name, next: l.out})
}

// logHandler knows its logger's level and hides secrets.
type logHandler struct {
	logs *logs
	name string
	next slog.Handler
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.level(h.name)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	replacer := h.logs.secrets.Load()
	if replacer == nil {
		return h.next.Handle(ctx, r)
	}
	clean := slog.NewRecord(r.Time, r.Level, replacer.Replace(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(hideIn(replacer, a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// hideIn replaces secrets in texts, errors and whatever else is printed.
func hideIn(replacer *strings.Replacer, a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, replacer.Replace(v.String()))
	case slog.KindGroup:
		attrs := make([]slog.Attr, 0, len(v.Group()))
		for _, inner := range v.Group() {
			attrs = append(attrs, hideIn(replacer, inner))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(attrs...)}
	case slog.KindAny:
		return slog.String(a.Key, replacer.Replace(v.String()))
	default:
		return a
	}
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if replacer := h.logs.secrets.Load(); replacer != nil {
		clean := make([]slog.Attr, 0, len(attrs))
		for _, a := range attrs {
			clean = append(clean, hideIn(replacer, a))
		}
		attrs = clean
	}
	return &logHandler{h.logs, h.name, h.next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.logs, h.name, h.next.WithGroup(name)}
}
