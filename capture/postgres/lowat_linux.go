package postgres

import (
	"net"
	"syscall"
)

// setLowWater makes the kernel wake this process only when n bytes have
// gathered in the socket; 1 is the default. A read that is made anyway takes
// what is there.
func setLowWater(conn net.Conn, n int) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// It only saves work; the deadline of the read bounds the wait.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n)
	})
}
