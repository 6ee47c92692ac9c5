package proc

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pipes carry a child's outputs to its writers.
type pipes struct {
	list []pipe
	wg   sync.WaitGroup
	mu   sync.Mutex
	err  error // the first error of a writer
}

type pipe struct {
	r, w *os.File
	to   io.Writer
}

// to is the file that the child writes to so that it reaches w. A file is given
// to the child as it is.
func (p *pipes) to(w io.Writer) (*os.File, error) {
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	r, child, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.list = append(p.list, pipe{r: r, w: child, to: w})
	return child, nil
}

// begin starts to copy, once the child has its own descriptors.
func (p *pipes) begin() {
	for _, one := range p.list {
		_ = one.w.Close()
		p.wg.Go(func() {
			from := &source{r: one.r}
			_, err := io.Copy(one.to, from)
			if err != nil && !errors.Is(err, os.ErrClosed) {
				p.mu.Lock()
				p.err = errors.Join(p.err, err)
				p.mu.Unlock()
				_, _ = io.Copy(io.Discard, from) // a writer that fails must not block the child
			}
			_ = one.r.Close()
		})
	}
}

// source reads a pipe to its end or, once its deadline has passed, what is in it at that moment.
type source struct {
	r    *os.File
	late bool
	left int // how much of it may still be from the child
}

func (s *source) Read(b []byte) (int, error) {
	if !s.late {
		n, err := s.r.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		s.late, s.left = true, pipeRoom
		_ = s.r.SetReadDeadline(time.Time{})
	}
	return s.now(b[:min(len(b), s.left)])
}

// now reads without waiting. At a pipe that is empty, or has given all that it can have held, it is at the end.
func (s *source) now(b []byte) (n int, err error) {
	raw, err := s.r.SyscallConn()
	if err != nil || len(b) == 0 {
		return 0, errors.Join(err, io.EOF)
	}
	rawErr := raw.Read(func(fd uintptr) bool {
		for {
			if n, err = unix.Read(int(fd), b); !errors.Is(err, unix.EINTR) {
				return true
			}
		}
	})
	switch {
	case rawErr != nil:
		return 0, rawErr
	case err == nil && n > 0:
		s.left -= n
		return n, nil
	case err == nil || errors.Is(err, unix.EAGAIN):
		return 0, io.EOF
	}
	return 0, err
}

const (
	pipeRoom  = 1 << 20     // what a pipe holds at most, by /proc/sys/fs/pipe-max-size
	takeBound = time.Minute // for writers to take the rest: only a slow disk or a slow machine needs it
)

var errUntaken = errors.New("output was not taken in time")

// drain waits until everything that the child wrote has reached the writers. Behind a pipe that somebody keeps open it
// waits for delay and takes what is in it by then: until now we may not have had our turn. A writer that blocks is
// waited for no longer than takeBound.
func (p *pipes) drain(delay time.Duration) error {
	done := make(chan struct{})
	go func() { p.wg.Wait(); close(done) }()
	if !within(done, delay) {
		for _, one := range p.list {
			_ = one.r.SetReadDeadline(time.Unix(1, 0))
		}
		if !within(done, takeBound) {
			for _, one := range p.list {
				_ = one.r.Close()
			}
			return errUntaken
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// within reports whether done is closed within d.
func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func (p *pipes) closeAll() {
	for _, one := range p.list {
		_ = one.r.Close()
		_ = one.w.Close()
	}
}
