//go:build !linux

package postgres

import "net"

// setLowWater does nothing here.
func setLowWater(net.Conn, int) {}
