package worker

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock/penstock/worker/supervisor"
)

// metrics shows what the connectors do. It reads the counters when it is
// asked, so that counting costs the tasks nothing more.
type metrics struct {
	supervisor *supervisor.Supervisor
	build      Build
}

// newMetricsHandler returns the handler of /metrics.
func newMetricsHandler(s *supervisor.Supervisor, b Build) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&metrics{s, b},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, Timeout: 10 * time.Second})
}

var (
	perConnector = []string{"connector", "type"}
	perTask      = []string{"connector", "task"}
	// The labels of the usual exporter rules for Debezium's beans.
	perDebezium = []string{"plugin", "name", "context", "task"}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descBuild     = desc("penstock_build_info", "Version of the program; always 1.", "version", "commit")
	descConnector = desc("penstock_connector_state", "State of a connector: 1 for the one it is in.", append(perConnector, "state")...)
	descTask      = desc("penstock_task_state", "State of a task: 1 for the one it is in.", append(perTask, "state")...)
	descWaiting   = desc("penstock_task_waiting", "1 for a running task that makes no progress because something it needs is away.", perTask...)
	descRestarts  = desc("penstock_task_restarts_total", "Runs of a task after an error that passed.", perTask...)
	descLatency   = desc("penstock_sink_latency_seconds", "From the commit at the source until the destination had the record.", perTask...)
	descWrites    = desc("penstock_sink_write_seconds", "How long writes to the destination took.", perTask...)
	descBytes     = desc("penstock_task_wire_bytes_total", "Bytes written to Kafka by a source, or read from it by a sink.", perTask...)
)

// counter is a metric read from the counters of a task.
type counter struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*supervisor.Stats) (v float64, ok bool)
}

func total(name, help string, value func(*supervisor.Stats) int64) counter {
	return counter{desc(name, help, perTask...), prometheus.CounterValue, func(s *supervisor.Stats) (float64, bool) { return float64(value(s)), true }}
}

func gauge(name, help string, value func(*supervisor.Stats) (float64, bool)) counter {
	return counter{desc(name, help, perTask...), prometheus.GaugeValue, value}
}

// sourceCounters returns the metrics of a source's task.
func sourceCounters() []counter {
	return []counter{
		total("penstock_source_events_total", "Events read at the source.", func(s *supervisor.Stats) int64 { return s.Events.Load() }),
		total("penstock_source_records_total", "Records that Kafka has acknowledged.", func(s *supervisor.Stats) int64 { return s.Records.Load() }),
		total("penstock_source_record_bytes_total", "Bytes of keys and values that Kafka has acknowledged, before compression.", func(s *supervisor.Stats) int64 { return s.RecordBytes.Load() }),
		total("penstock_source_offsets_saved_total", "Offsets saved.", func(s *supervisor.Stats) int64 { return s.Saved.Load() }),
		gauge("penstock_source_behind_seconds", "Age of the last event when it was read, by the source's clock.", func(s *supervisor.Stats) (float64, bool) {
			ms := s.BehindMillis.Load()
			return float64(ms) / 1000, ms >= 0
		}),
		gauge("penstock_source_last_event_timestamp_seconds", "When the last event was read, since 1970.", func(s *supervisor.Stats) (float64, bool) {
			ms := s.LastEventMillis.Load()
			return float64(ms) / 1000, ms > 0
		}),
		gauge("penstock_snapshot_running", "1 while tables are copied, 0 afterwards.", func(s *supervisor.Stats) (float64, bool) {
			p := s.Snapshot.Load()
			return truth(p != nil && !p.Done), p != nil
		}),
		gauge("penstock_snapshot_rows", "Rows copied by the snapshot since this start.", func(s *supervisor.Stats) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return float64(p.Rows), true
		}),
		gauge("penstock_snapshot_rows_estimated", "Estimate of the rows that the snapshot has to copy since this start.", func(s *supervisor.Stats) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil || p.Total < 0 {
				return 0, false
			}
			return float64(p.Total), true
		}),
		gauge("penstock_snapshot_tables", "Tables that the snapshot has to copy.", func(s *supervisor.Stats) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return float64(p.Tables), true
		}),
		gauge("penstock_snapshot_tables_done", "Tables that the snapshot has copied.", func(s *supervisor.Stats) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return float64(p.TablesDone), true
		}),
	}
}

// sinkCounters returns the metrics of a sink's task.
func sinkCounters() []counter {
	return []counter{
		total("penstock_sink_records_read_total", "Records taken up for writing.", func(s *supervisor.Stats) int64 { return s.Sink.Read.Load() }),
		total("penstock_sink_records_applied_total", "Records that the destination has.", func(s *supervisor.Stats) int64 { return s.Sink.Applied.Load() }),
		total("penstock_sink_records_filtered_total", "Records that a transform dropped.", func(s *supervisor.Stats) int64 { return s.Sink.Filtered.Load() }),
		total("penstock_sink_records_dead_lettered_total", "Failed records that the dead letter queue has.", func(s *supervisor.Stats) int64 { return s.Sink.DeadLettered.Load() }),
		total("penstock_sink_records_skipped_total", "Failed records that were tolerated without a dead letter queue, or left out by the connector's own settings.", func(s *supervisor.Stats) int64 { return s.Sink.Skipped.Load() }),
		total("penstock_sink_records_abandoned_total", "Records given back before they were applied; some task reads them again.", func(s *supervisor.Stats) int64 { return s.Sink.Abandoned.Load() }),
		total("penstock_sink_record_failures_total", "Failed attempts at records.", func(s *supervisor.Stats) int64 { return s.Sink.Failures.Load() }),
		total("penstock_sink_record_errors_total", "Records that failed for good.", func(s *supervisor.Stats) int64 { return s.Sink.Errors.Load() }),
		total("penstock_sink_retries_total", "Attempts after the first.", func(s *supervisor.Stats) int64 { return s.Sink.Retries.Load() }),
		total("penstock_sink_dlq_requests_total", "Writes to the dead letter queue.", func(s *supervisor.Stats) int64 { return s.Sink.DLQRequests.Load() }),
		total("penstock_sink_dlq_failures_total", "Failed writes to the dead letter queue.", func(s *supervisor.Stats) int64 { return s.Sink.DLQFailures.Load() }),
		total("penstock_sink_batches_total", "Batches finished.", func(s *supervisor.Stats) int64 { return s.Sink.Batches.Load() }),
		total("penstock_sink_commits_total", "Commits of the group's offsets.", func(s *supervisor.Stats) int64 { return s.Sink.Commits.Load() }),
		total("penstock_sink_commit_failures_total", "Failed commits of the group's offsets.", func(s *supervisor.Stats) int64 { return s.Sink.CommitFailures.Load() }),
		gauge("penstock_sink_lag_records", "Records that the assigned partitions hold beyond those finished.", func(s *supervisor.Stats) (float64, bool) { return float64(s.Sink.Lag.Load()), true }),
		gauge("penstock_sink_partitions", "Partitions assigned.", func(s *supervisor.Stats) (float64, bool) { return float64(s.Sink.Partitions.Load()), true }),
		gauge("penstock_sink_active_records", "Records in batches.", func(s *supervisor.Stats) (float64, bool) { return float64(s.Sink.Active.Load()), true }),
		gauge("penstock_sink_last_error_timestamp_seconds", "When a record failed last, since 1970.", func(s *supervisor.Stats) (float64, bool) {
			ms := s.Sink.LastErrorMillis.Load()
			return float64(ms) / 1000, ms > 0
		}),
	}
}

// debeziumGauge is one of Debezium's attributes, under the name that the
// usual exporter rules give it, so that dashboards made for Debezium work.
type debeziumGauge struct {
	desc    *prometheus.Desc
	context string
	value   func(s *supervisor.Stats, running bool) (float64, bool)
}

func debeziumGauges() []debeziumGauge {
	g := func(name, context, help string, value func(*supervisor.Stats, bool) (float64, bool)) debeziumGauge {
		return debeziumGauge{desc("debezium_metrics_"+name, help, perDebezium...), context, value}
	}
	return []debeziumGauge{
		g("Connected", "streaming", "1 while the source is read.", func(_ *supervisor.Stats, running bool) (float64, bool) { return truth(running), true }),
		g("MilliSecondsBehindSource", "streaming", "Age of the last event when it was read; -1 before the first.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			return float64(s.BehindMillis.Load()), true
		}),
		g("TotalNumberOfEventsSeen", "streaming", "Events read at the source.", func(s *supervisor.Stats, _ bool) (float64, bool) { return float64(s.Events.Load()), true }),
		g("MilliSecondsSinceLastEvent", "streaming", "Since the last event was read; -1 before the first.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			last := s.LastEventMillis.Load()
			if last == 0 {
				return -1, true
			}
			return float64(time.Now().UnixMilli() - last), true
		}),
		g("SnapshotRunning", "snapshot", "1 while tables are copied.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			p := s.Snapshot.Load()
			return truth(p != nil && !p.Done), true
		}),
		g("SnapshotCompleted", "snapshot", "1 once tables are copied.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			p := s.Snapshot.Load()
			return truth(p != nil && p.Done), true
		}),
		g("TotalTableCount", "snapshot", "Tables to copy.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return float64(p.Tables), true
		}),
		g("RemainingTableCount", "snapshot", "Tables still to copy.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return float64(p.Tables - p.TablesDone), true
		}),
		g("SnapshotDurationInSeconds", "snapshot", "How long the snapshot has taken.", func(s *supervisor.Stats, _ bool) (float64, bool) {
			p := s.Snapshot.Load()
			if p == nil {
				return 0, false
			}
			return p.Elapsed.Seconds(), true
		}),
	}
}

// The tables never change.
var (
	sourceMetrics   = sourceCounters()
	sinkMetrics     = sinkCounters()
	debeziumMetrics = debeziumGauges()
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descConnector, descTask, descWaiting, descRestarts, descBytes, descLatency, descWrites} {
		out <- d
	}
	for _, c := range append(append([]counter{}, sourceMetrics...), sinkMetrics...) {
		out <- c.desc
	}
	for _, g := range debeziumMetrics {
		out <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	set(descBuild, prometheus.GaugeValue, 1, m.build.Version, m.build.Commit)
	waiting := m.supervisor.Health()
	running := map[string]bool{}
	for _, name := range m.supervisor.Names() {
		st, err := m.supervisor.Status(name)
		if err != nil {
			continue
		}
		set(descConnector, prometheus.GaugeValue, 1, name, st.Type, st.Connector.State)
		for _, t := range st.Tasks {
			id := strconv.Itoa(t.ID)
			_, waits := waiting[name][t.ID]
			running[name+"/"+id] = t.State == "RUNNING" && !waits
			set(descTask, prometheus.GaugeValue, 1, name, id, t.State)
			set(descWaiting, prometheus.GaugeValue, truth(waits), name, id)
		}
	}
	for _, t := range m.supervisor.Stats() {
		id := strconv.Itoa(t.ID)
		set(descRestarts, prometheus.CounterValue, float64(t.Stats.Restarts.Load()), t.Connector, id)
		set(descBytes, prometheus.CounterValue, float64(t.Stats.Bytes.Load()), t.Connector, id)
		counters := sourceMetrics
		if t.Sink {
			counters = sinkMetrics
			for d, h := range map[*prometheus.Desc]*supervisor.Histogram{descLatency: &t.Stats.Latency, descWrites: &t.Stats.Writes} {
				n, sum, buckets := h.Read()
				out <- prometheus.MustNewConstHistogram(d, n, sum, buckets, t.Connector, id)
			}
		}
		for _, c := range counters {
			if v, ok := c.value(t.Stats); ok {
				set(c.desc, c.kind, v, t.Connector, id)
			}
		}
		if t.Debezium == "" {
			continue
		}
		for _, g := range debeziumMetrics {
			if v, ok := g.value(t.Stats, running[t.Connector+"/"+id]); ok {
				set(g.desc, prometheus.GaugeValue, v, t.Debezium, t.Server, g.context, id)
			}
		}
	}
}
