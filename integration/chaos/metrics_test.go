package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// metrics are the samples of /metrics by name and labels.
type metrics map[string]float64

func sample(name, connector string) string {
	return fmt.Sprintf("%s{connector=%q,task=\"0\"}", name, connector)
}

// of returns a metric of a connector's only task, 0 if there is none.
func (m metrics) of(name, connector string) float64 { return m[sample(name, connector)] }

func (m metrics) has(name, connector string) bool {
	_, ok := m[sample(name, connector)]
	return ok
}

// metrics asks the daemon.
func (p *pipeline) metrics(ctx context.Context) (m metrics, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.REST+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics answers %s", resp.Status)
	}
	m = metrics{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if m[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			return nil, fmt.Errorf("/metrics: %w", err)
		}
	}
	return m, lines.Err()
}

func (p *pipeline) mustMetrics(ctx context.Context, t *testing.T) metrics {
	t.Helper()
	m, err := p.metrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkAccounts makes sure that the last run of the daemon accounts for every
// record that its sinks have read. What was given back to the group was read
// again; that happens only where Kafka was away.
func (p *pipeline) checkAccounts(ctx context.Context, t *testing.T, kafkaStayed bool) {
	t.Helper()
	m := p.mustMetrics(ctx, t)
	for _, s := range sinks {
		for _, name := range []string{"read", "applied", "filtered", "dead_lettered", "skipped", "abandoned"} {
			if !m.has("penstock_sink_records_"+name+"_total", s) {
				t.Errorf("%s does not count the records %s", s, name)
			}
		}
		in, abandoned := m.of("penstock_sink_records_read_total", s), m.of("penstock_sink_records_abandoned_total", s)
		applied, filtered := m.of("penstock_sink_records_applied_total", s), m.of("penstock_sink_records_filtered_total", s)
		dead, skipped := m.of("penstock_sink_records_dead_lettered_total", s), m.of("penstock_sink_records_skipped_total", s)
		t.Logf("%s: read %v (%v of them given back), applied %v", s, in, abandoned, applied)
		if in == 0 || in-abandoned != applied+filtered+dead+skipped {
			t.Errorf("%s: read %v, given back %v, but applied %v + filtered %v + dead-lettered %v + skipped %v", s, in, abandoned, applied, filtered, dead, skipped)
		}
		if filtered+dead+skipped > 0 {
			t.Errorf("%s: filtered %v, dead-lettered %v, skipped %v, and the load gives no reason for any", s, filtered, dead, skipped)
		}
		if kafkaStayed && abandoned > 0 {
			t.Errorf("%s: %v records were given back, although Kafka was there all the time", s, abandoned)
		}
		if n := m.of("penstock_sink_active_records", s); n != 0 {
			t.Errorf("%s: %v records are still being written", s, n)
		}
	}
}
