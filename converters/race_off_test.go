//go:build !race

package converters_test

const poolAllocations = 0
