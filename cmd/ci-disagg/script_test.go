package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes copies of the test binary play the commands that scripts run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ci-disagg": func() { os.Exit(run(context.Background(), newHost(), os.Args[1:])) },
		"measure":   measure,
	})
}

// TestScripts runs testdata/script/*.txtar, named <verb>_<what>.txtar: the real
// program as a real process. -testscript.update rewrites the golden files.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"program": program,
		},
	})
}
