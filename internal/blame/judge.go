package blame

import (
	"cmp"
	"slices"
)

// The kinds of finding.
const (
	KindCrash        = "role-crash"
	KindEarlyExit    = "early-exit" // exit 0 before the client was through
	KindHang         = "hang"
	KindReadyTimeout = "ready-timeout"
	KindTimeout      = "phase-timeout"
	KindWalltime     = "walltime"
	KindTestFailed   = "test-failed"
	KindCancelled    = "cancelled"
	KindPreempted    = "preempted"
	KindNodeFail     = "node-fail"
	KindInstall      = "install-failed"
	KindNeverStarted = "never-started"
	KindNoResult     = "no-result"
	KindStorage      = "storage"
	KindUnattributed = "unattributed"
)

// SortLines puts the lines of one log into the order of the file.
func SortLines(lines []Line) {
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Compare(a.Number, b.Number) })
}

// Judge names the root cause. See the package documentation for the rules.
func Judge(ev Evidence) Finding {
	for _, e := range ev.Events {
		if e.Kind == RoleEnd && !e.ByUs && e.Exit != 0 {
			return Finding{Root: e.Role, Class: Test, Kind: KindCrash, Rule: "stub", Message: "[" + e.Role + "] ended"}
		}
	}
	return Finding{Class: Unknown, Kind: KindUnattributed, Message: "nothing is proven"}
}
