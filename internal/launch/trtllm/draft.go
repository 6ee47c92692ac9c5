package trtllm

import (
	"fmt"
	"path/filepath"

	"mvdan.cc/sh/v3/syntax"
)

// The precheck of the network as upstream's drafts run it: they call a function that
// is in another file, which upstream's generator puts above them
// (docs/facts/trtllm.md#precheck-gate-of-a-draft).
const (
	gateFile = "slurm_ct_precheck_gate.sh"
	gateCall = "run_cache_transceiver_precheck"
)

// ReadDraft reads a team's own launch draft. One that calls upstream's precheck gate
// gets it put above itself, from the file beside the draft. Both are read by read.
func ReadDraft(read func(string) ([]byte, error), path string) ([]byte, error) {
	draft, err := read(path)
	if err != nil {
		return nil, err
	}
	called, declared := false, false
	look := func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			called = called || len(n.Args) > 0 && program(n.Args[0]) == gateCall
		case *syntax.FuncDecl:
			declared = declared || n.Name.Value == gateCall
		}
		return true
	}
	if f, err := parse(string(draft)); err == nil { // else bash will say so, at the line where it stands
		syntax.Walk(f, look)
	}
	if !called || declared {
		return draft, nil
	}
	gate, err := read(filepath.Join(filepath.Dir(path), gateFile))
	if err != nil {
		return nil, fmt.Errorf("%s calls %s, which upstream's %s defines: put that file beside the draft: %w", path, gateCall, gateFile, err)
	}
	off := "\n[ \"${ctPrecheckEnabled:-0}\" = 1 ] || unset -f " + gateCall + " # as where there is no gate\n"
	return append(append(gate, off...), draft...), nil
}
