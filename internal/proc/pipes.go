package proc

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
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
			_, err := io.Copy(one.to, one.r)
			if err != nil && !errors.Is(err, os.ErrClosed) {
				p.mu.Lock()
				p.err = errors.Join(p.err, err)
				p.mu.Unlock()
				_, _ = io.Copy(io.Discard, one.r) // a writer that fails must not block the child
			}
			_ = one.r.Close()
		})
	}
}

// drain waits until everything that was written has reached the writers. Behind
// a pipe that somebody keeps open it waits for delay and gives up.
func (p *pipes) drain(delay time.Duration) error {
	done := make(chan struct{})
	go func() { p.wg.Wait(); close(done) }()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		for _, one := range p.list {
			_ = one.r.Close()
		}
		return exec.ErrWaitDelay // a writer that blocks is not waited for either
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pipes) closeAll() {
	for _, one := range p.list {
		_ = one.r.Close()
		_ = one.w.Close()
	}
}
