package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/terminal"
)

// ignoringOutputLoss is h with outputs whose loss ends nothing, for as long as the process lives. SIGPIPE comes with
// such a loss, SIGXFSZ with a log at its limit, SIGXCPU once a second at a limit of processor time: they are taken and
// have no effect. They are not ignored, since what this process starts would inherit that.
func (h host) ignoringOutputLoss() host {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGXCPU)
	h.stdout, h.stderr = terminal.Lossy{W: h.stdout}, terminal.Lossy{W: h.stderr}
	return h
}
