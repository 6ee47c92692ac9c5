package trtllm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// The precheck of the network as upstream's drafts run it: they call a function that
// is in another file, which upstream's generator puts above them
// (docs/facts/trtllm.md#precheck-gate-of-a-draft).
const (
	gateFile = "slurm_ct_precheck_gate.sh"
	gateCall = "run_cache_transceiver_precheck"
)

// notBash is what bash itself has against the syntax of a draft, which it does not run; nil where there is no bash to
// ask.
func notBash(draft []byte) error {
	res, err := proc.Run(context.Background(), proc.Command{
		Argv: []string{"/bin/bash", "-n"}, Env: []string{"LC_ALL=C"}, Stdin: bytes.NewReader(draft), Timeout: time.Minute,
	})
	if _, refused := errors.AsType[*proc.ExitError](err); !refused {
		return nil
	}
	said, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(res.Stderr), "/bin/bash: "), "\n")
	return errors.New("not a bash script: " + said)
}

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
	if f, err := parse(string(draft)); err == nil {
		syntax.Walk(f, look)
	} else if err := notBash(draft); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
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
