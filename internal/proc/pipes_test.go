package proc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slow is a writer that takes its time for its first bytes.
type slow struct {
	got     bytes.Buffer
	wait    func()
	writing chan struct{}
}

func (s *slow) Write(b []byte) (int, error) {
	if s.wait != nil {
		wait := s.wait
		s.wait = nil
		close(s.writing)
		wait()
	}
	return s.got.Write(b)
}

// behind are pipes whose writer has the first bytes in hand while more wait, and whose far end somebody keeps open.
func behind(t *testing.T, rest int, wait func()) (*pipes, *slow, *os.File) {
	t.Helper()
	p, w := &pipes{}, &slow{wait: wait, writing: make(chan struct{})}
	child, err := p.to(w)
	require.NoError(t, err)
	fd, err := unix.Dup(int(child.Fd()))
	require.NoError(t, err)
	kept := os.NewFile(uintptr(fd), "kept")
	_, err = kept.WriteString("first")
	require.NoError(t, err)
	p.begin()
	<-w.writing
	_, err = kept.Write(bytes.Repeat([]byte("x"), rest))
	require.NoError(t, err)
	return p, w, kept
}

// We may be stopped, or get no turn, from the child's end until the delay is over: what it has written by then is in
// the pipe.
func TestDrainTakesWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, rest := range []int{1, 60_000} {
		synctest.Test(t, func(t *testing.T) {
			const delay = 200 * time.Millisecond
			p, w, kept := behind(t, rest, func() { time.Sleep(delay + 1) })
			began := time.Now()
			require.NoError(t, p.drain(delay))
			require.Equal(t, delay+1, time.Since(began))
			require.Equal(t, len("first")+rest, w.got.Len())
			_ = kept.Close()
		})
	}
}

// Nobody else's flood is waited for, and no writer for ever; what it has not taken is told.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, _, kept := behind(t, 1, func() { <-release })
		require.ErrorIs(t, p.drain(time.Second), errUntaken)
		close(release)
		p.wg.Wait()
		_ = kept.Close()
	})
	c, cookie := play(t, "flood")
	c.Stdout, c.WaitDelay = io.Discard, 50*time.Millisecond
	_, err := Run(t.Context(), c)
	require.NoError(t, err)
	noneLeft(t, cookie) // it dies of its closed pipe
}

// A writer that fails is told also where somebody keeps the pipe open.
func TestDrainTellsAFailedWriter(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	c, _ := play(t, "leak")
	c.Stdout, c.Stderr, c.WaitDelay = io.Discard, failing{full}, 50*time.Millisecond
	_, err := Run(t.Context(), c)
	require.ErrorIs(t, err, full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
