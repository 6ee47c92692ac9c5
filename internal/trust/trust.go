// Package trust says who may change what runs are judged against: not a run in a pull
// request, whose code is a stranger's.
//
// In: what the environment says of the job, and a verb. Out: a refusal in words, or none.
// It binds the program, not the shell around it: who can write a Jenkinsfile can unset
// variables, so the store's own permissions are the guard behind this one.
package trust

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
)

// The variables that say where a process runs.
const (
	// Change is the id of the pull request that is built, as Jenkins sets it.
	Change = "CHANGE_ID"
	// Trusted forbids --trusted where it is Never: a controller sets it for jobs that
	// build strangers' code, and then also a build without a change id is one.
	Trusted = "CI_DISAGG_TRUSTED"
	// Never is the value of Trusted that forbids.
	Never = "never"
)

// Caller is the job that a verb is called in.
type Caller struct {
	Change  string // id of a pull request; "" = none
	Never   bool   // the controller trusts it in no case
	Trusted bool   // --trusted
}

// Here reads what the environment says.
func Here(getenv func(string) string) Caller {
	return Caller{Change: getenv(Change), Never: getenv(Trusted) == Never}
}

// Stranger reports whether the job builds code that nobody has merged.
func (c Caller) Stranger() bool { return c.Change != "" || c.Never }

// May is nil where the caller may do what changes the history of a branch.
func (c Caller) May(what string) error {
	where := "a pull request (" + Change + "=" + c.Change + ")"
	if c.Change == "" {
		where = "a job that is not trusted (" + Trusted + "=" + Never + ")"
	}
	switch {
	case !c.Stranger():
		return nil
	case c.Trusted && !c.Never:
		return nil
	case c.Trusted:
		return fmt.Errorf("%s is refused in %s, also with --trusted: the controller has set %s=%s", what, where, Trusted, Never)
	default:
		return fmt.Errorf("%s is refused in %s: what runs are judged against is changed on the branch itself; --trusted does it all the same", what, where)
	}
}

// Guard gives a verb --trusted and refuses it where it may not be. when names what the
// call would change, "" = nothing.
func Guard(cmd *cobra.Command, getenv func(string) string, when func() string) {
	c := Caller{}
	cmd.Flags().BoolVar(&c.Trusted, "trusted", false, "change what runs are judged against from a pull request, too ($"+Trusted+"="+Never+" forbids it)")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		here := Here(getenv)
		here.Trusted = c.Trusted
		if what := when(); what != "" {
			if err := here.May(what); err != nil {
				return exit.ByUser(err)
			}
		}
		return run(cmd, args)
	}
}

// If names what a call would change where a flag is set.
func If(set *bool, what string) func() string {
	return func() string {
		if *set {
			return what
		}
		return ""
	}
}

// Is names what a call would change where a flag has one of the values.
func Is(flag *string, what string, values ...string) func() string {
	return func() string {
		if slices.Contains(values, *flag) {
			return what + *flag
		}
		return ""
	}
}

// ErrStored is why a record of a branch's history is not stored from a pull request.
var ErrStored = errors.New("a pull request's run may not join the history of its branch")
