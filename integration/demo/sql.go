package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dialect renders values as SQL literals. Both databases are told the same
// story in the same statements; these are the places where they differ.
type dialect struct {
	name  string
	bytes func([]byte) string
	list  func([]string) string
}

var (
	mysqlDialect = dialect{
		name:  "MySQL",
		bytes: func(b []byte) string { return "X'" + hex.EncodeToString(b) + "'" },
		list: func(l []string) string {
			b, err := json.Marshal(l)
			if err != nil {
				panic(err) // of strings, never
			}
			return quote(string(b))
		},
	}
	postgresDialect = dialect{
		name:  "Postgres",
		bytes: func(b []byte) string { return `'\x` + hex.EncodeToString(b) + "'" },
		list:  func(l []string) string { return quote(arrayText(l)) },
	}
)

// quote works in both as long as the text has no backslash.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func arrayText(l []string) string { return `{"` + strings.Join(l, `","`) + `"}` }

func (d dialect) literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case []byte:
		return d.bytes(v)
	case []string:
		return d.list(v)
	case int64, float64, bool, decimal:
		return plain(v)
	default:
		return quote(plain(v))
	}
}

// plain renders what both databases read alike.
func plain(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case decimal:
		return string(v)
	case string:
		return v
	case document:
		return string(v)
	case date:
		return time.Time(v).Format(time.DateOnly)
	case stamp:
		return time.Time(v).UTC().Format("2006-01-02 15:04:05.000000")
	default:
		panic(fmt.Sprintf("no literal for a %T", v))
	}
}

// insert returns one INSERT of many rows.
func (d dialect) insert(t shopTable, rows [][]any) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", t.name, strings.Join(t.columns, ", "))
	for i, row := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		for j, v := range row {
			if j == 0 {
				b.WriteByte('(')
			} else {
				b.WriteString(", ")
			}
			b.WriteString(d.literal(v))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// copyLine appends a row as COPY reads it.
func copyLine(dst []byte, row []any) []byte {
	for i, v := range row {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := v.(type) {
		case nil:
			dst = append(dst, `\N`...)
		case []byte:
			dst = append(dst, `\\x`...)
			dst = hex.AppendEncode(dst, v)
		case []string:
			dst = append(dst, arrayText(v)...)
		default:
			for _, c := range []byte(plain(v)) {
				switch c {
				case '\\':
					dst = append(dst, `\\`...)
				case '\t':
					dst = append(dst, `\t`...)
				case '\n':
					dst = append(dst, `\n`...)
				default:
					dst = append(dst, c)
				}
			}
		}
	}
	return append(dst, '\n')
}
