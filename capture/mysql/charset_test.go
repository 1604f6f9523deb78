package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

// codes lists for each kind of character set what may be the code of a
// character, as ranges.
var codes = map[string][][2]int{
	"one":  {{0x00, 0xff}},
	"two":  {{0x00, 0xff}, {0x8140, 0xfefe}},
	"ujis": {{0x00, 0xff}, {0x8ea1, 0xfefe}, {0x8fa1a1, 0x8ffefe}},
	// 0x8130xxxx to 0x8431xxxx, of which most are in sequence.
	"gb18030": {{0x00, 0xff}, {0x8140, 0xfefe}, {0x81308130, 0x8130fe39}, {0x8135f430, 0x8135f439}, {0x8431a430, 0x8431a439}, {0x90308130, 0x90308139}},
}

// TestCharsets_AreTheServers compares every character of every character set
// with the server's own conversion.
func TestCharsets_AreTheServers(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB, ...servers.Option) *servers.MySQLServer{"MySQL": servers.MySQL, "MariaDB": servers.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			c, err := client.ConnectWithContext(t.Context(), s.Addr(), s.User, s.Password, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, sql := range []string{"SET NAMES utf8mb4", "SET SESSION sql_mode = '', group_concat_max_len = 1000000"} {
				if _, err := c.Execute(sql); err != nil {
					t.Fatal(err)
				}
			}
			list, err := c.Execute("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS ORDER BY 1")
			if err != nil {
				t.Fatal(err)
			}
			for i := range list.RowNumber() {
				set, _ := list.GetString(i, 0)
				length, _ := list.GetString(i, 1)
				set = strings.Clone(set)
				if set != "binary" {
					compareCharset(t, c, set, length)
				}
			}
		})
	}
}

func compareCharset(t *testing.T, c *client.Conn, set, length string) {
	t.Helper()
	cs, err := charsetOf(set)
	if err != nil {
		t.Error(err)
		return
	}
	ranges := codes["two"]
	switch {
	case strings.HasPrefix(set, "utf") || set == "ucs2":
		compareText(t, c, set, cs)
		return
	case length == "1":
		ranges = codes["one"]
	case set == "ujis" || set == "eucjpms":
		ranges = codes["ujis"]
	case set == "gb18030":
		ranges = codes["gb18030"]
	}
	compared := 0
	for _, r := range ranges {
		// As "code:code read as text:text" for each code; what is not well
		// formed is cut off in the second.
		rows, err := c.Execute(fmt.Sprintf("SELECT GROUP_CONCAT(code, ':', HEX(v), ':', HEX(CONVERT(v USING utf8mb4))) FROM "+
			"(SELECT a, code, CONVERT(UNHEX(code) USING %s) v FROM (SELECT a, LPAD(HEX(a * 256 + b), %d, '0') code FROM %s p, %s q) c) d GROUP BY a",
			set, len(fmt.Sprintf("%02x", r[1])), sequence("a", r[0]>>8, r[1]>>8), sequence("b", 0, 255)))
		if err != nil {
			t.Errorf("%s: %v", set, err)
			return
		}
		for i := range rows.RowNumber() {
			list, _ := rows.GetString(i, 0)
			for entry := range strings.SplitSeq(list, ",") {
				part := strings.Split(entry, ":")
				// A question mark is what the server has no character for;
				// where others have one, it is better than none.
				if len(part) != 3 || part[0] != part[1] || part[2] == "3F" && part[0] != "3F" || part[2] == "EFBFBD" {
					continue
				}
				raw, want := unhex(t, part[0]), unhex(t, part[2])
				if len([]rune(string(want))) != 1 {
					continue
				}
				compared++
				if got, ok := cs.decode(&schema.Arena{}, raw); !ok || string(got) != string(want) {
					t.Errorf("%s: %s is %q %t, want %q", set, part[0], got, ok, want)
				}
			}
		}
	}
	if compared < 100 {
		t.Errorf("%s: only %d characters were compared", set, compared)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sequence is a table of numbers.
func sequence(name string, from, to int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(SELECT %d %s", from, name)
	for n := from + 1; n <= to; n++ {
		fmt.Fprintf(&b, " UNION ALL SELECT %d", n)
	}
	return b.String() + ")"
}

// compareText compares the Unicode sets by a text.
func compareText(t *testing.T, c *client.Conn, set string, cs *charset) {
	t.Helper()
	text := "a ~é€日本\u2028\ufffd"
	if set != "ucs2" && set != "utf8mb3" && set != "utf8" {
		text += "😀\U0010ffff"
	}
	rows, err := c.Execute(fmt.Sprintf("SELECT HEX(CONVERT('%s' USING %s))", text, set))
	if err != nil {
		t.Error(err)
		return
	}
	theirs, _ := rows.GetString(0, 0)
	raw, err := hex.DecodeString(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := cs.decode(&schema.Arena{}, raw); !ok || string(got) != text {
		t.Errorf("%s: got %q %t, want %q", set, got, ok, text)
	}
}

func TestCharsets_TellWhatIsNoText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, text string }{
		{"utf8mb4", "a\xff"},
		{"utf8mb4", "\xe6\x97"},
		{"utf8mb3", "\xc3"},
		{"ascii", "\x80"},
		{"utf16", "\x00"},
		{"utf16", "\xd8\x00\x00\x41"},
		{"utf16le", "\x00\xdc"},
		{"ucs2", "\x00\x41\x00"},
		{"utf32", "\x00\x11\x00\x00"},
		{"utf32", "\x00\x00\x00"},
		{"gbk", "a\x81"},
		{"gbk", "\x81\x20"},
		{"sjis", "\x81"},
		{"cp932", "\xfd"},
		{"ujis", "\x8f\xa1"},
		{"eucjpms", "\xa1"},
		{"euckr", "\xff"},
		{"big5", "\xa1\x20"},
		{"gb18030", "\x81\x30\x81"},
		{"gb2312", "\xa1"},
		{"hebrew", "\xfb"},
		{"swe7", "\x7f"},
	} {
		cs, err := charsetOf(c.set)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := cs.decode(&schema.Arena{}, []byte(c.text)); ok {
			t.Errorf("%s: %q is %q", c.set, c.text, got)
		}
	}
}

func FuzzCharsets(f *testing.F) {
	names := []string{"utf8mb4", "utf16", "utf16le", "utf32", "ucs2", "latin1", "gbk", "gb18030", "gb2312", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr", "swe7", "geostd8"}
	for i := range names {
		f.Add(uint8(i), []byte("a\x81\x30\x81\x30\x8f\xa1\xa1\xd8\x3d\xde\x00"))
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		cs, err := charsetOf(names[int(which)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		out, ok := cs.decode(&schema.Arena{}, text)
		if ok && strings.ToValidUTF8(string(out), "") != string(out) {
			t.Errorf("%q became %q", text, out)
		}
	})
}
