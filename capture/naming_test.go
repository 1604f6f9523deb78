package capture

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/schema"
)

func TestNaming(t *testing.T) {
	t.Parallel()
	n := Naming{Prefix: "p", Delimiter: ".", HeartbeatPrefix: "__debezium-heartbeat"}
	for _, tc := range []struct{ got, want string }{
		{n.Table(&schema.Table{Database: "gold", Schema: "g", Name: "Mixed Case-é"}), "p.g.Mixed_Case-_"},
		{n.Table(&schema.Table{Database: "gold", Name: "orders"}), "p.gold.orders"},
		{n.Topic("transaction"), "p.transaction"},
		{n.HeartbeatTopic(), "__debezium-heartbeat.p"},
		{Naming{Heartbeat: "beat"}.HeartbeatTopic(), "beat"},
		{n.Table(&schema.Table{Database: "gold", Name: "or😀"}), "p.gold.or__"},
		{SanitizeTopic("."), "_"},
		{SanitizeTopic(".."), "__"},
		{SanitizeTopic(strings.Repeat("x", 300)), strings.Repeat("x", 249)},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestAdjust(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ mode, in, name, field string }{
		{"none", "a-b.c", "a-b.c", "a-b.c"},
		{"avro", "a-b.c", "a_b.c", "a_b_c"},
		{"avro", "9lives", "_9lives", "_9lives"},
		{"avro_unicode", "a_b-c", "a_u005fb_u002dc", "a_u005fb_u002dc"},
		{"avro_unicode", "é漢", "_u00e9_u6f22", "_u00e9_u6f22"},
		{"avro_unicode", "ħ\t", "_u127_u009", "_u127_u009"},
		{"avro_unicode", "a😀", "a_ud83d_ude00", "a_ud83d_ude00"},
		{"avro", "a😀", "a__", "a__"},
		{"avro", "٣a٣", "_٣a_", "_٣a_"},
	} {
		if got := adjustName(tc.mode, tc.in); got != tc.name {
			t.Errorf("%s: name %q is %q, want %q", tc.mode, tc.in, got, tc.name)
		}
		if got := adjustField(tc.mode, tc.in); got != tc.field {
			t.Errorf("%s: field %q is %q, want %q", tc.mode, tc.in, got, tc.field)
		}
	}
}

func TestParseKeyColumns_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"table", "table:", "(:a"} {
		if _, err := ParseKeyColumns(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
