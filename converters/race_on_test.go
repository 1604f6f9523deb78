//go:build race

package converters_test

// poolAllocations is how many allocations a call may do for what it borrows
// from a sync.Pool: the race detector makes pools forget at random.
const poolAllocations = 4
