package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/spf13/cobra"
)

// version is set by the release build (-ldflags -X main.version=…); other
// builds take what the Go toolchain recorded.
var version string

func newVersionCmd(h host) *cobra.Command {
	form := ""
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cmdline.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := cmdline.CheckOutput(form); err != nil {
				return exit.ByUser(err)
			}
			if form == cmdline.JSON {
				return cmdline.WriteJSON(h.stdout, map[string]any{
					"schema": 1, "version": buildVersion(), "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version(),
				})
			}
			_, err := io.WriteString(h.stdout, versionLine())
			return err
		},
	}
	cmdline.AddOutput(cmd.Flags(), &form)
	return cmd
}

// versionLine is what 'version' and '--version' print.
func versionLine() string {
	return fmt.Sprintf("ci-disagg %s %s/%s %s\n", buildVersion(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// buildVersion is the linked version, else the module version or the commit
// from build info, else "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
