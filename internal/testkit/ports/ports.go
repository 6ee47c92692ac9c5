// Package ports gives servers of a test ports that stay theirs, also while nobody listens on them. For tests only.
package ports

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Range is a range of ports, which is handed out in blocks of N. It should lie below the ports
// that roles take (10000 and more) and that the kernel hands out: a server that is started again finds its own free.
type Range struct {
	Name     string // of what they are for
	From, To int
	N        int
}

// Reserve finds a block that nobody listens on and that no other test binary of this machine is about to use. It is
// reserved until the file is closed. What reserves is an abstract socket, which has the scope of the ports themselves,
// whoever runs the tests and wherever their TMPDIR is, and which goes with the process.
func (r Range) Reserve() (int, *os.File, error) {
	for port := r.From; port+r.N <= r.To; port += r.N {
		lock, err := hold("@ci-disagg-test-port-" + strconv.Itoa(port))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
		case err != nil:
			return 0, nil, fmt.Errorf("%s: %w", r.Name, err)
		case r.free(port):
			return port, lock, nil
		default:
			_ = lock.Close()
		}
	}
	return 0, nil, fmt.Errorf("%s: no free ports between %d and %d; is an old server still up?", r.Name, r.From, r.To)
}

func hold(name string) (*os.File, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // the file goes on holding the name
	return l.File()
}

func (r Range) free(base int) bool {
	for port := base; port < base+r.N; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
