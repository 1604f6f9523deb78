package postgres

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/capture"
)

func TestConnector_RefusesBadSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, text string }{
		{"slot.name", "My-Slot", "only digits, lowercase characters"},
		{"topic.prefix", "a b", "invalid format"},
		{"database.port", "x", "Not a number"},
		{"time.precision.mode", "adaptiv", "Value must be one of"},
		{"table.include.list", "(", "missing closing )"},
		{"table.exclude.list", "public.b", `"table.include.list" is already specified`},
		{"unavailable.value.placeholder", "hex:0x", "pairs of hexadecimal digits"},
		{"message.prefix.include.list", "(", "missing closing )"},
		{"snapshot.mode", "custom", "a Java class cannot be loaded"},
		{"snapshot.mode", "recovery", "Value must be one of always, initial"},
		{"flush.lsn.source", "false", "leave it true"},
		{"replica.identity.autoset.values", "public.t:FULL", "ALTER TABLE"},
		{"message.key.columns", "public.t", "write <table>:<column>"},
		{"event.processing.failure.handling.mode", "skip", "never passed over"},
	} {
		t.Run(c.key, func(t *testing.T) {
			t.Parallel()
			raw := map[string]string{
				"topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d", "table.include.list": "public.a",
			}
			raw[c.key] = c.value
			connector := Connector()
			v, problems := connector.Settings.Parse(raw)
			if problems.Err() == nil {
				_, problems = connector.New(v, capture.Env{})
			}
			if len(problems) == 0 || problems[0].Key != c.key || !strings.Contains(problems[0].Message, c.text) {
				t.Errorf("got %v", problems)
			}
		})
	}
}

func TestConnConfig_TakesNothingFromTheEnvironment(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGUSER", "somebody")
	t.Setenv("PGPASSWORD", "secret")
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGOPTIONS", "-c work_mem=1")
	c := newTestSource(t, "database.sslmode", "verify-full", "database.user", `o'neill \x`)
	cfg, err := c.connConfig()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != "h" || cfg.User != `o'neill \x` || cfg.Password != "" || cfg.TLSConfig == nil || cfg.RuntimeParams["options"] != "" {
		t.Errorf("host %q user %q password %q TLS %v options %q", cfg.Host, cfg.User, cfg.Password, cfg.TLSConfig != nil, cfg.RuntimeParams["options"])
	}
	for _, f := range cfg.Fallbacks {
		if f.TLSConfig == nil {
			t.Error("verify-full falls back to no TLS")
		}
	}
}

func TestSplitStatements(t *testing.T) {
	t.Parallel()
	if got := strings.Join(splitStatements(" SET a = 1; ;SELECT ';;' ;"), "|"); got != "SET a = 1|SELECT ';'" {
		t.Errorf("got %s", got)
	}
}
