package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/generic"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
)

// Look looks whether the programs of a case's roles are on at, this machine, without running them: as its commands
// name them, on PATH or in the directory where they run. The error says that nothing could be looked at.
func (s Suite) Look(ctx context.Context, at host.Host, c Case) (Check, error) {
	var missing []string
	for _, b := range c.Builds {
		for _, r := range b.Roles {
			gone, err := absent(ctx, at, dirOf(r.Dir, c.Workdir), generic.Programs(r.Command))
			if err != nil {
				return Check{}, err
			}
			for _, program := range gone {
				missing = append(missing, fmt.Sprintf("%s (%s)", program, r.Name))
			}
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	switch {
	case len(missing) == 0:
		return Check{OK: true, Answer: "the programs of all roles are here"}, nil
	case c.Builds[0].Setup != "" || c.Builds[0].Install != "":
		return Check{OK: true, Answer: "not here: " + strings.Join(missing, ", ") + "; workload.setup or install may bring them"}, nil
	}
	return Check{Answer: "not on this machine: " + strings.Join(missing, ", ")}, nil
}

func dirOf(dir, workdir string) string {
	if dir != "" {
		return dir
	}
	return workdir
}

// absent are those of the programs that bash would not find in dir.
func absent(ctx context.Context, at host.Host, dir string, programs []string) ([]string, error) {
	const look = `cd -- "${1:-/}" 2>/dev/null || cd /; shift; for p; do command -v -- "$p" >/dev/null || printf '%s\n' "$p"; done`
	res, err := at.Run(ctx, host.Cmd{Argv: append([]string{"bash", "-c", look, "look", dir}, programs...)})
	if err != nil {
		return nil, fmt.Errorf("bash on %s: %w", at.Name(), err)
	}
	return strings.FieldsFunc(string(res.Stdout), func(r rune) bool { return r == '\n' }), nil
}
