package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/kafka"
	"github.com/penstock/penstock/settings"
)

func TestKeyOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"BOOTSTRAP_SERVERS":        "bootstrap.servers",
		"DATABASE_HOSTNAME":        "database.hostname",
		"A__B":                     "a_b",
		"A___B":                    "a-b",
		"A____B":                   "a-.b",
		"MAX_BATCH__SIZE___BYTES":  "max.batch_size-bytes",
		"_LEADING":                 ".leading",
		"Mixed_Case":               "mixed.case",
		"":                         "",
		"DATABASE_HISTORY_X__Y__Z": "database.history.x_y_z",
	} {
		if got := keyOf(name); got != want {
			t.Errorf("keyOf(%q) = %q instead of %q", name, got, want)
		}
	}
}

func TestKeyTable_FindsKnownKeysInBothReadings(t *testing.T) {
	t.Parallel()
	known := keyTable{"database.tcpkeepalive": "database.tcpKeepAlive", "some-key": "some-key", "other_key": "other_key"}
	for name, want := range map[string]string{
		"DATABASE_TCPKEEPALIVE": "database.tcpKeepAlive",
		"SOME___KEY":            "some-key",
		"SOME__KEY":             "some-key", // the manual's reading, since there is no some_key
		"OTHER__KEY":            "other_key",
		"UNKNOWN__KEY":          "unknown_key",
	} {
		if got, ok := known.match(name); got != want || ok != (name != "UNKNOWN__KEY") {
			t.Errorf("match(%q) = %q, %v instead of %q", name, got, ok, want)
		}
	}
}

func TestParseProperties(t *testing.T) {
	t.Parallel()
	text := "# comment\n! another\n\na=1\nb : 2\nc 3\n  d  =  4 \ne=x\\\n   y\nf=a\\tb\\u0041\ng\\=h=i\nj\nk=\\\\\nl=${file:/x:y}\r\na=last"
	want := map[string]string{
		"a": "last", "b": "2", "c": "3", "d": "4 ", "e": "xy", "f": "a\tbA", "g=h": "i", "j": "", "k": `\`, "l": "${file:/x:y}",
	}
	got, err := ParseProperties(text)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q instead of %q", got, want)
	}
	if _, err := ParseProperties(`a=\u12`); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken escape gives %v", err)
	}
}

func FuzzParseProperties(f *testing.F) {
	for _, seed := range []string{"a=b", "a\\", "\\u00", "a=\\\n\\\n", "=", ":", "a\\ b=c", "\\u0041=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseProperties(text)
		if err != nil {
			return
		}
		// What was read can be written so that it is read again.
		var b strings.Builder
		escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, "=", `\=`, ":", `\:`, " ", `\ `, "#", `\#`, "!", `\!`)
		for k, v := range got {
			b.WriteString(escape.Replace(k) + "=" + escape.Replace(v) + "\n")
		}
		again, err := ParseProperties(b.String())
		if err != nil || !maps.Equal(got, again) {
			t.Errorf("%q is read as %q and then as %q (%v)", text, got, again, err)
		}
	})
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProviders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "secrets.properties", "user=scott\npassword=tiger\n")
	write(t, dir, "token", "abc\n")
	p, problems := NewProviders(map[string]string{
		"config.providers":                             "vault,strict,few",
		"config.providers.vault.class":                 "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.strict.class":                "FileConfigProvider",
		"config.providers.strict.param.allowed.paths":  filepath.Join(dir, "elsewhere"),
		"config.providers.few.class":                   "EnvVarConfigProvider",
		"config.providers.few.param.allowlist.pattern": "^SAFE_.*",
	}, environment([]string{"NAME=value", "SAFE_X=y"}).lookup)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for value, want := range map[string]string{
		"plain": "plain", "${env:NAME}": "value", "a${env:NAME}b${env:NAME}": "avaluebvalue",
		"${file:" + file + ":password}": "tiger", "${vault:" + file + ":user}": "scott",
		"${dir:" + dir + ":token}": "abc", "${few:SAFE_X}": "y", "$5 {}": "$5 {}",
	} {
		if got, err := p.Resolve(value); err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v", value, got, err)
		}
	}
	for value, want := range map[string]string{
		"${env:MISSING}":                  "MISSING is not set",
		"${nope:/x:y}":                    `provider "nope"`,
		"${file:" + file + ":missing}":    `no key "missing"`,
		"${file:/does/not/exist:x}":       "Could not read properties from file /does/not/exist",
		"${dir:" + dir + ":missing}":      "missing",
		"${dir:" + dir + ":../secret}":    "not the name of a file",
		"${strict:" + file + ":password}": "allowed.paths",
		"${few:NAME}":                     "allowlist.pattern",
	} {
		got, err := p.Resolve(value)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Resolve(%q) = %q, %v", value, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "tiger") {
			t.Errorf("the error of %q shows the secret: %v", value, err)
		}
	}
	_, problems = NewProviders(map[string]string{"config.providers": "a,b", "config.providers.a.class": "com.example.Vault"}, nil)
	if len(problems) != 2 {
		t.Errorf("an unknown class and a missing one give %v", problems)
	}
}

// load loads a configuration with one connector class, "shop".
func load(t *testing.T, file string, env ...string) (*Worker, settings.Problems) {
	t.Helper()
	set := settings.NewSet([]settings.Def{
		{Key: "connector.class", Type: settings.String},
		{Key: "database.hostname", Type: settings.String},
		{Key: "database.password", Type: settings.Password},
		{Key: "database.tcpKeepAlive", Type: settings.Boolean},
	})
	return Load(Source{Environ: env, File: file, Client: kafka.Settings(), Connector: func(class string) []*settings.Set {
		if class == "shop" {
			return []*settings.Set{set}
		}
		return nil
	}})
}

func TestLoad_EnvironmentWinsOverFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "worker.properties", "group.id=file\nstatus.storage.topic=file\noffset.storage.topic=file\nconfig.storage.topic=file\n")
	secret := write(t, dir, "jaas", "PlainLoginModule required username=\"u\" password=\"p\";\n")
	w, problems := load(t, file,
		"GROUP_ID=plain", "CONNECT_GROUP_ID=connect", "PENSTOCK_GROUP_ID=penstock",
		"STATUS_STORAGE_TOPIC=plain", "CONNECT_STATUS_STORAGE_TOPIC=connect",
		"OFFSET_STORAGE_TOPIC=plain",
		"PENSTOCK_DATA_DIR=/data", "PENSTOCK_MEMORY_LIMIT=512MiB", "CONNECT_LOG4J_ROOT_LOGLEVEL=WARN",
		"CONNECT_SASL_JAAS_CONFIG_FILE="+secret, "CONNECT_PRODUCER_LINGER_MS=5",
		"PENSTOCK_TEST_MYSQL=ignored", "PENSTOCK_SERVERS_DIR=ignored", "HOME=/root",
	)
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	for key, want := range map[string]string{
		"group.id": "penstock", "status.storage.topic": "connect", "offset.storage.topic": "plain", "config.storage.topic": "file",
		"penstock.data.dir": "/data", "penstock.log.level": "WARN",
	} {
		if got := w.String(key); got != want {
			t.Errorf("%s = %q instead of %q", key, got, want)
		}
	}
	if got := w.Client("producer", kafka.Settings()); got["linger.ms"] != "5" || !strings.Contains(got["sasl.jaas.config"], `password="p"`) || got["group.id"] != "" {
		t.Errorf("the producer's settings are %v", got)
	}
	if got := w.Client("consumer", kafka.Settings()); got["linger.ms"] != "" {
		t.Errorf("the consumer has the producer's settings: %v", got)
	}
	if strings.Contains(w.Given["sasl.jaas.config"], "PlainLoginModule") {
		t.Error("the secret was given as a reference and is kept in the clear")
	}
}

func TestLoad_ReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, problems := load(t, "/does/not/exist.properties",
		"PENSTOCK_GROUP_IDD=x", "PENSTOCK_OFFSET_FLUSH_INTERVAL_MS=abc", "PENSTOCK_LISTENERS=ftp://x",
		"PENSTOCK_KEY_CONVERTER_FILE=/does/not/exist", "PENSTOCK_CONNECTOR_A={", "PENSTOCK_CONNECTORS_DIR=/does/not/exist",
		"PENSTOCK_STATUS_STORAGE_TOPIC=${env:MISSING}", "PENSTOCK_PRODUCER_LINGR_MS=1", "PENSTOCK_MEMORY_LIMIT=lots",
		"PENSTOCK_EXACTLY_ONCE_SOURCE_SUPPORT=enabled",
	)
	var text strings.Builder
	for _, p := range problems {
		text.WriteString(p.Message + "\n")
	}
	for _, want := range []string{
		"/does/not/exist.properties", `did you mean "group.id"`, "Not a number of type LONG", "ftp://x is not an address",
		"PENSTOCK_KEY_CONVERTER_FILE names the file", "PENSTOCK_CONNECTOR_A: it is not a JSON object", "penstock.connectors.dir=/does/not/exist",
		"MISSING is not set", `did you mean "linger.ms"`, "not a size", "exactly-once is not there yet",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is nothing about %q in\n%s", want, text.String())
		}
	}
}

func TestLoad_DeclaredConnectors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := t.TempDir()
	password := write(t, dir, "password", "hunter2\n")
	write(t, folder, "flat.json", `{"name":"flat","connector.class":"shop","tasks.max":2,"x":true}`)
	write(t, folder, "nested.json", `{"name":"inner","config":{"connector.class":"shop"}}`)
	write(t, folder, "byfile.json", `{"connector.class":"shop"}`)
	write(t, folder, "shop-one.json", `{"connector.class":"from the folder"}`)
	write(t, folder, ".hidden.json", `{`)
	write(t, folder, "notes.txt", `{`)
	w, problems := load(t, "",
		"PENSTOCK_CONNECTORS_DIR="+folder,
		"PENSTOCK_CONNECTOR_SHOP_ONE__CONNECTOR_CLASS=shop",
		"PENSTOCK_CONNECTOR_SHOP_ONE__DATABASE_HOSTNAME=db",
		"PENSTOCK_CONNECTOR_SHOP_ONE__DATABASE_PASSWORD=hunter2",
		"PENSTOCK_CONNECTOR_SHOP_ONE__DATABASE_TCPKEEPALIVE=false",
		"PENSTOCK_CONNECTOR_SHOP_ONE__FILE=/a/file",
		"PENSTOCK_CONNECTOR_TWO__CONNECTOR_CLASS=shop",
		"PENSTOCK_CONNECTOR_TWO__NAME=two_named",
		"PENSTOCK_CONNECTOR_TWO__DATABASE_PASSWORD_FILE="+password,
		`PENSTOCK_CONNECTOR_WHOLE={"config":{"connector.class":"shop","a.b":"c"},"name":"whole.json"}`,
		"PENSTOCK_CONNECTOR_WHOLE__DATABASE_HOSTNAME=added",
	)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, c := range w.Connectors {
		got[c.Name] = c.Config
	}
	want := map[string]map[string]string{
		"shop-one": {
			"connector.class": "shop", "database.hostname": "db", "database.password": "${env:PENSTOCK_CONNECTOR_SHOP_ONE__DATABASE_PASSWORD}",
			"database.tcpKeepAlive": "false", "file": "/a/file",
		},
		"two_named":  {"connector.class": "shop", "name": "two_named", "database.password": "${dir:" + dir + ":password}"},
		"whole.json": {"connector.class": "shop", "a.b": "c", "database.hostname": "added"},
		"flat":       {"name": "flat", "connector.class": "shop", "tasks.max": "2", "x": "true"},
		"inner":      {"connector.class": "shop"},
		"byfile":     {"connector.class": "shop"},
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("connectors %v", names)
	}
	for name := range want {
		if !maps.Equal(got[name], want[name]) {
			t.Errorf("%s: %v\ninstead of %v", name, got[name], want[name])
		}
	}
	resolved, err := w.Providers.ResolveAll(got["two_named"])
	if err != nil || resolved["database.password"] != "hunter2" {
		t.Errorf("the password resolves to %q, %v", resolved["database.password"], err)
	}
	resolved, err = w.Providers.ResolveAll(got["shop-one"])
	if err != nil || resolved["database.password"] != "hunter2" {
		t.Errorf("the password resolves to %q, %v", resolved["database.password"], err)
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		want []string
	}{
		{nil, []string{"127.0.0.1:8083"}},
		{[]string{"CONNECT_LISTENERS=http://:8083,http://10.0.0.1:80"}, []string{":8083", "10.0.0.1:80"}},
		{[]string{"CONNECT_REST_PORT=9000"}, []string{"127.0.0.1:9000"}},
		{[]string{"CONNECT_REST_PORT=9000", "REST_HOST_NAME=0.0.0.0"}, []string{"0.0.0.0:9000"}},
	} {
		w, problems := load(t, "", c.env...)
		if err := problems.Err(); err != nil {
			t.Error(err)
		}
		if got := w.Listeners(); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v instead of %v", c.env, got, c.want)
		}
	}
	if _, err := ParseListener("https://x:1"); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("https gives %v", err)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 0, "1": 1, "2k": 2048, "3 MiB": 3 << 20, "1GiB": 1 << 30, "4mb": 4 << 20} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "-1", "1x", "9999999999999GiB", "1.5G"} {
		if _, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) is taken", text)
		}
	}
}
