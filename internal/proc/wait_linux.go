package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitExit returns when pid has ended, leaving it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // ended; or not ours to wait for, which cmd.Wait will report
		}
	}
}
