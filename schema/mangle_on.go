//go:build invariants

package schema

// mangle overwrites text that its owner gave back, so that an alias kept
// against the rule shows up as garbage in a test.
func mangle(b []byte) {
	for i := range b {
		b[i] = 0xCC
	}
}
