package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"
)

// lossy is an output whose reader may die (`run … | head`) or whose disk may be full:
// what cannot be written is dropped. A run has jobs to see to and a report to write,
// and its exit code says how that went, not how its log did.
type lossy struct{ w io.Writer }

func (l lossy) Write(b []byte) (int, error) {
	_, _ = l.w.Write(b)
	return len(b), nil
}

// deafened is h with outputs whose loss ends nothing, for as long as the process
// lives. SIGPIPE comes with such a loss, SIGXFSZ with a log at its limit, SIGXCPU once
// a second at a limit of processor time: they are taken and have no effect. They are
// not ignored, since what this process starts would inherit that.
func (h host) deafened() host {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGXCPU)
	h.stdout, h.stderr = lossy{h.stdout}, lossy{h.stderr}
	return h
}

// file is the file behind an output, nil = it is none.
func file(w io.Writer) *os.File {
	if l, ok := w.(lossy); ok {
		w = l.w
	}
	f, _ := w.(*os.File)
	return f
}
