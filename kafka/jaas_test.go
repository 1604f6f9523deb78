package kafka

import (
	"maps"
	"strings"
	"testing"
)

func TestParseJAAS(t *testing.T) {
	t.Parallel()
	const module = "org.apache.kafka.common.security.plain.PlainLoginModule"
	options := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	tests := []struct {
		name, text string
		want       map[string]string
		err        string
	}{
		{"usual", module + ` required username="u" password="p";`, options("username", "u", "password", "p"), ""},
		{"over lines", module + " required\n\tusername=\"u\"\r\n  password=\"p\" ;\n", options("username", "u", "password", "p"), ""},
		{"without quotes", module + ` required username=u password=p4$w-rd;`, options("username", "u", "password", "p4$w-rd"), ""},
		{"single quotes", module + ` required username='u"' password='=;';`, options("username", `u"`, "password", "=;"), ""},
		{"blanks around =", module + ` Required username = "u" password ="p";`, options("username", "u", "password", "p"), ""},
		{"escapes", module + ` required password="a\"b\\c\td\101\0";`, options("password", "a\"b\\c\tdA\x00"), ""},
		{"empty value", module + ` required password="";`, options("password", ""), ""},
		{"unicode", module + ` required password="пароль";`, options("password", "пароль"), ""},
		{"comments", "/* a */ " + module + " // b\n required username=u;", options("username", "u"), ""},
		{"no options", module + ` required;`, options(), ""},
		{"empty", ``, nil, "without ';'"},
		{"only a module", module, nil, "without ';'"},
		{"no flag", module + ` username="u";`, nil, "no control flag"},
		{"no semicolon", module + ` required username="u"`, nil, "without ';'"},
		{"no value", module + ` required username=;`, nil, "expected a value"},
		{"no =", module + ` required username "u";`, nil, "expected '='"},
		{"no key", module + ` required ="u";`, nil, "expected an option"},
		{"open quotation", module + ` required username="u;`, nil, "does not end"},
		{"line end in quotation", module + " required username=\"u\n\";", nil, "does not end on its line"},
		{"two entries", module + ` required a=b; ` + module + ` required a=b;`, nil, "more than one login module"},
		{"backslash at the end", module + ` required a="\`, nil, "does not end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseJAAS(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error is %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.module != module || got.flag != "required" || !maps.Equal(got.options, tt.want) {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzParseJAAS looks for panics, for passwords in errors, and for values that
// do not survive being quoted.
func FuzzParseJAAS(f *testing.F) {
	f.Add(`a.PlainLoginModule required username="u" password="p";`, "p")
	f.Add(`a.PlainLoginModule required a='\101\8' // x`, `"\`)
	f.Add(`/* */;=`, "\x00\xff")
	f.Fuzz(func(t *testing.T, text, password string) {
		if e, err := parseJAAS(text); err == nil && (e.module == "" || e.flag == "") {
			t.Errorf("parseJAAS(%q) = %+v", text, e)
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(password)
		e, err := parseJAAS(`a.B required password="` + quoted + `";`)
		if err != nil || e.options["password"] != password {
			t.Errorf("password %q was read as %q, %v", password, e.options["password"], err)
		}
		if len(password) < 8 || strings.Contains(jaasForm, password) {
			return
		}
		if _, err := parseJAAS(`a.B required password="` + quoted + `" x`); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("error shows the password %q: %v", password, err)
		}
	})
}
