package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// opens counts how often a file is opened from now on. What is closed in between keeps the kernel from making one event
// of two.
func opens(t *testing.T, path string) (count func() int) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_CLOSE)
	require.NoError(t, err)
	return func() (n int) {
		buf := make([]byte, 1<<16)
		size, err := unix.Read(fd, buf)
		require.NoError(t, err)
		for at := 0; at < size; {
			if binary.NativeEndian.Uint32(buf[at+4:])&unix.IN_OPEN != 0 {
				n++
			}
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:]))
		}
		return n
	}
}

// A report is made of one state of a run that may go on meanwhile: its record is read once.
func TestReportReadsTheRecordOnce(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := plantedRun(t, base)
	writeRecorded(t, filepath.Join(base, "ci-disagg.yaml"), []byte("stage: nightly\nperf: {allow_no_baseline: true}\n"))
	count := opens(t, dir.RunFile())
	var out bytes.Buffer
	h := newHost()
	h.stdout, h.stderr = &out, &out
	h.getenv, h.environ = func(string) string { return "" }, func() []string { return nil }
	code := run(context.Background(), h, []string{"report", "-c", filepath.Join(base, "ci-disagg.yaml"), string(dir)})
	require.Zero(t, code, out.String())
	require.Equal(t, 1, count(), "times that run.json was opened")
}
