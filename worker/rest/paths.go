package rest

import (
	"net/url"
	"strings"
)

// normalise prepares a path for the ServeMux, which would redirect paths with
// dots or double slashes: each segment is one resource or name, whatever it
// holds, and a slash at the end does not count. It returns what is wrong with
// a path that cannot be served.
func normalise(u *url.URL) (why string) {
	escaped := u.EscapedPath()
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	var path, raw strings.Builder
	for _, s := range segments {
		name, err := url.PathUnescape(s)
		if err != nil {
			return "Ambiguous URI path encoding"
		}
		if why := ambiguous(name); why != "" {
			return why
		}
		path.WriteString("/" + name)
		encoded := url.PathEscape(name)
		if name == "." || name == ".." {
			encoded = strings.ReplaceAll(name, ".", "%2E")
		}
		raw.WriteString("/" + encoded)
	}
	u.Path, u.RawPath = path.String(), raw.String()
	return ""
}

// ambiguous says why a name cannot be in a path, as Kafka Connect's server
// refuses it: proxies in front disagree about such paths.
func ambiguous(name string) string {
	for _, r := range name {
		switch {
		case r == '/':
			return "Ambiguous URI path separator"
		case r == '%':
			return "Ambiguous URI path encoding"
		case r == '\\' || r < ' ' || r == 0x7f:
			return "Suspicious Path Character"
		}
	}
	return ""
}

// location returns the path of a connector's URL with the escapes of Kafka
// Connect, which leaves more characters as they are than url.PathEscape.
func location(name string) string {
	const kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/%"
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("/connectors/")
	for i := range len(name) {
		if c := name[i]; strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
