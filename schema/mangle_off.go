//go:build !invariants

package schema

func mangle([]byte) {}
