package node

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// held is a process that the kernel keeps for us: it says at once that it has ended, and since Linux 6.15 how, also
// when the one that had started it has asked before. nil is one that cannot be held: of it /proc alone tells.
type held struct {
	f    *os.File
	raw  syscall.RawConn
	gone chan struct{}
}

// hold holds a process.
func hold(pid int) *held {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	h := &held{f: os.NewFile(uintptr(fd), "pidfd"), gone: make(chan struct{})}
	if h.raw, err = h.f.SyscallConn(); err != nil {
		h.release()
		return nil
	}
	go func() {
		if h.raw.Read(hasEnded) == nil {
			close(h.gone)
		}
	}()
	return h
}

// hasEnded reports whether the process of a pidfd has.
func hasEnded(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a file descriptor
	return err == nil && n > 0
}

// ends is closed when the process has ended.
func (h *held) ends() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.gone
}

// release lets the process go.
func (h *held) release() {
	if h != nil {
		_ = h.f.Close()
	}
}

// pidfdInfo is the kernel's struct pidfd_info in its first version.
type pidfdInfo struct {
	mask, cgroup uint64
	ids          [11]uint32
	status       int32
}

const (
	pidfdGetInfo  = 0xC040FF0B // _IOWR(0xFF, 11, struct pidfd_info) with its first size
	pidfdInfoExit = 1 << 3     // status, once the process was reaped
)

// ended is how a process ended that was reaped, as wait(2) has it; ok = the kernel tells.
func (h *held) ended() (status int, ok bool) {
	if h == nil {
		return 0, false
	}
	info := pidfdInfo{mask: pidfdInfoExit}
	err := h.raw.Control(func(fd uintptr) {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, pidfdGetInfo, uintptr(unsafe.Pointer(&info))) //nolint:gosec // no wrapper has it
		ok = errno == 0 && info.mask&pidfdInfoExit != 0
	})
	return int(info.status), err == nil && ok
}
