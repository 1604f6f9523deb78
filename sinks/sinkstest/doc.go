// Package sinkstest is what every sink has to pass: Run applies histories of a
// table to a real destination, in all the ways in which a task may deliver
// them, and compares what is there afterwards.
package sinkstest
