// Package ports gives servers of a test ports that stay theirs, also while nobody listens on them. For tests only.
package ports

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Range is a range of ports, which is handed out in blocks of N. It should lie below the ports that the kernel hands out.
type Range struct {
	Name     string // of what they are for
	From, To int
	N        int
}

// Reserve finds a block that nobody listens on and that no other test binary of this machine is about to use. It is
// reserved until the file is closed.
func (r Range) Reserve() (int, *os.File, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s-ports-%d", r.Name, os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	for port := r.From; port+r.N <= r.To; port += r.N {
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && r.free(port) {
			return port, lock, nil
		}
		_ = lock.Close()
	}
	return 0, nil, fmt.Errorf("%s: no free ports between %d and %d; is an old server still up?", r.Name, r.From, r.To)
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
