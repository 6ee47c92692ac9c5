// Package need is how a test declares what it needs beyond Go, bash and the coreutils: programs of Debian packages,
// root, a Slurm cluster. Under -short such a test is skipped, also where everything is there, so that the quick loop is
// the same on every machine. Without -short what is missing fails the test and names the packages. For tests only.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Programs skips the test under -short and otherwise fails it unless every program is on PATH or at its own path. The
// packages are those of Debian that hold them.
func Programs(tb testing.TB, packages string, programs ...string) {
	tb.Helper()
	Long(tb, "the Debian packages "+packages)
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			tb.Fatalf("no %s: apt-get install -y %s (make setup installs all that the tests need)", p, packages)
		}
	}
}

// Root skips the test under -short and otherwise fails it unless it runs as root.
func Root(tb testing.TB) {
	tb.Helper()
	Long(tb, "root")
	if os.Geteuid() != 0 {
		tb.Fatal("this test mounts file systems or plays other users: run it as root")
	}
}

// Long skips the test under -short. What says what it needs there.
func Long(tb testing.TB, what string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: needs " + what)
	}
}
