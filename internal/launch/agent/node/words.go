package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// twice is after how many looks a helper first tells that a health check is not answered well.
const twice = 2

// Events are those of a helper's file.
func Events(text []byte) (out []rundir.NodeEvent) {
	for line := range bytes.Lines(text) {
		var e rundir.NodeEvent
		if json.Unmarshal(line, &e) == nil { // the last one may be cut off
			out = append(out, e)
		}
	}
	return out
}

// Heard takes what a helper tells as it comes, in pieces. Its word is evidence at most: what cannot be read is left
// out.
type Heard struct {
	Take func(rundir.NodeEvent)
	part []byte
}

// Write implements io.Writer.
func (h *Heard) Write(b []byte) (int, error) {
	h.part = append(h.part, b...)
	end := bytes.LastIndexByte(h.part, '\n') + 1
	for _, e := range Events(h.part[:end]) {
		h.Take(e)
	}
	if h.part = h.part[end:]; len(h.part) > rundir.MaxNodeFile {
		h.part = nil
	}
	return len(b), nil
}

// Again reports whether a helper had told this before: that it lasts is no news.
func Again(e rundir.NodeEvent) bool { return e.What != rundir.NodePortGone && e.Looks > twice }

// Words is what was seen of a server, "" for what is as it should be.
func Words(e rundir.NodeEvent) string {
	switch e.What {
	case rundir.NodeBlind:
		if e.Role == "" {
			return e.Text
		}
		return "its server cannot be watched: " + e.Text
	case rundir.NodePortGone:
		return fmt.Sprintf("nobody listens on its server's port %d any more", e.Port)
	case rundir.NodeGone:
		return lead("its server's process has gone; ", e.Text)
	case rundir.NodeEnded:
		return "its server: " + rundir.Ending{Exit: e.Exit, Signal: e.Signal}.String()
	case rundir.NodeStood:
		return fmt.Sprintf("its server stood still for %v: somebody had stopped it", e.For.D().Round(100*time.Millisecond))
	case rundir.NodeSick:
		return fmt.Sprintf("its server answers its health check with %d", e.Status)
	case rundir.NodeRefused:
		return "nobody listens at its server's address any more"
	case rundir.NodeSilent:
		return "its server does not answer: " + e.Text
	default:
		return ""
	}
}

// lead is what is known beside an event, behind what it is about; "" = nothing.
func lead(words, text string) string {
	if text == "" {
		return ""
	}
	return words + text
}

// Told reports whether a server ended as one that its test told to does: well, of the signal, or with the exit status
// that stands for it.
func Told(e rundir.NodeEvent) bool {
	signal := syscall.Signal(e.Signal)
	if signal == 0 && e.Exit > 128 {
		signal = syscall.Signal(e.Exit - 128)
	}
	return e.What == rundir.NodeEnded && (signal == 0 && e.Exit == 0 || signal == syscall.SIGTERM || signal == syscall.SIGINT)
}

// Stalls are the times for which servers stood still.
func Stalls(seen []rundir.NodeEvent) (out []rundir.Stall) {
	for _, e := range seen {
		if e.What == rundir.NodeStood {
			out = append(out, rundir.Stall{At: e.At, For: e.For, Role: e.Role})
		}
	}
	return out
}

// Read is what the helper on a node has written, and that there is none: it could not be started (failed), or had ended
// before it was let go (early).
func Read(files *rundir.Tree, run rundir.RunDir, name string, failed error, early bool) (out []rundir.NodeEvent) {
	text, err := files.ReadFile(run.NodeFile(name), rundir.MaxNodeFile)
	if why := cmp.Or(failed, err); why != nil {
		out = append(out, rundir.NodeEvent{What: rundir.NodeBlind, Text: fmt.Sprintf("no helper on %s: %v", name, why)})
	}
	if early {
		out = append(out, rundir.NodeEvent{What: rundir.NodeBlind, Text: "the helper on " + name + " ended while the run went on: servers there were not watched to the end"})
	}
	return append(out, Events(text)...)
}
