package offsets

import (
	"testing"
)

// FuzzKey checks that any key of the topic is either refused or names a
// partition that leads back to a key for the same partition.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{
		`["cr-pg",{"server":"cr_pg"}]`, `["a", {"b": [1, 2.50, "x\u00e9\ud800"], "a": null}]`, `["\"\\\u0001",null]`, `["a",{"b":1e400}]`, `[`, `["a",{}] `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		connector, partition, err := parseKey(key)
		if err != nil {
			return
		}
		canon, err := canonical(partition)
		if err != nil {
			return
		}
		again, err := appendKey(nil, connector, partition)
		if err != nil {
			t.Fatalf("appendKey(%q, %s): %v", connector, partition, err)
		}
		connector2, partition2, err := parseKey(again)
		if err != nil || connector2 != connector {
			t.Fatalf("parseKey(%s) = %q, %v, want %q", again, connector2, err, connector)
		}
		canon2, err := canonical(partition2)
		if err != nil || canon2 != canon {
			t.Fatalf("canonical(%s) = %s, %v, want %s", partition2, canon2, err, canon)
		}
		if twice, err := canonical([]byte(canon)); err != nil || twice != canon {
			t.Fatalf("canonical(%s) = %s, %v, want itself", canon, twice, err)
		}
	})
}
