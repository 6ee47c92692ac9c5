package scan

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What pytest prints of one failed test.
const ownFailure = `=================================== FAILURES ===================================
___________________________________ test_it ____________________________________

    def test_it():
        print("cache")
>       raise ValueError("3 of 40 answers were wrong")
E       ValueError: 3 of 40 answers were wrong

test_own.py:5: ValueError
----------------------------- Captured stdout call -----------------------------
============ Serving Benchmark Result ============
OSError: [Errno 28] No space left on device: '/tmp/cache' (ignored)
=========================== short test summary info ============================
FAILED test_own.py::test_it - ValueError: 3 of 40 answers were wrong
============================== 1 failed in 0.09s ===============================
`

// A test that fails by what it has found wrong is the test's, whatever it survived.
func TestOwnFailures(t *testing.T) {
	t.Parallel()
	const full = "OSError: [Errno 28] No space left on device: '/tmp/cache'"
	raised := func(text string) string {
		return strings.ReplaceAll(ownFailure, "ValueError: 3 of 40 answers were wrong", text)
	}
	again := func(log string) string { return strings.Replace(log, full, strings.Repeat(full+"\n", 4)+full, 1) }
	for name, tc := range map[string]struct {
		log   string
		class blame.Class
	}{
		"an exception of its own":          {ownFailure, blame.Test},
		"a plain assert":                   {raised("assert 37 == 40"), blame.Test},
		"pytest.fail":                      {raised("Failed: 3 of 40 answers were wrong"), blame.Test},
		"an exception of the test's file":  {raised("test_own.WrongAnswers: 3 of 40"), blame.Test},
		"survived again and again":         {again(ownFailure), blame.Test},
		"so is what a library raised":      {again(raised("KeyError: 'x'")), blame.Test},
		"survived long before":             {full + "\n" + strings.Replace(ownFailure, full, "", 1), blame.Test},
		"a comparison of exit codes":       {raised("assert 1 == 0"), blame.Infra},
		"a comparison of HTTP states":      {raised("assert 503 == 200"), blame.Infra},
		"a message about HTTP states":      {raised("AssertionError: warm-up\nE       assert 503 == 200"), blame.Infra},
		"an answer that is not there":      {raised("assert None == 40"), blame.Infra},
		"what became of a server":          {raised("RuntimeError: the server of GEN_0 ended with 1"), blame.Infra},
		"requests failed":                  {raised("RuntimeError: requests failed:"), blame.Infra},
		"a file that is not there":         {raised("ValueError: could not read the results"), blame.Infra},
		"an error of Python's":             {raised("KeyError: 'x'"), blame.Test},
		"an answer that was None":          {raised("TypeError: 'NoneType' object is not subscriptable"), blame.Infra},
		"raised by a library":              {strings.Replace(ownFailure, "test_own.py:5:", "/usr/lib/python3/json/decoder.py:5:", 1), blame.Test},
		"the disk itself":                  {raised("OSError: [Errno 28] No space left on device"), blame.Infra},
		"the process dies of it later":     {strings.Replace(ownFailure, full+" (ignored)\n", "", 1) + full + "\n", blame.Infra},
		"a CUDA error, as pytest tells it": {raised("RuntimeError: CUDA error: uncorrectable ECC error encountered"), blame.Infra},
		"an exception because of another":  {strings.Replace(ownFailure, ">       raise", "E           "+full+"\n\ntest_own.py:4: OSError\n\nThe above exception was the direct cause of the following exception:\n\n>       raise", 1), blame.Infra},
		"another test fails by the disk":   {ownFailure + strings.ReplaceAll(ownFailure, "ValueError: 3 of 40 answers were wrong", full), blame.Infra},
		"a server ends, and says of what":  {raised("RuntimeError: worker died") + "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus\n", blame.Infra},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ev := blame.Evidence{Classes: builtin(t).classes, Roles: []blame.Role{{Name: "GEN_0", Kind: "client"}}, Lines: readLog(t, tc.log, 50).Explaining()}
			ev.Events = []blame.Event{{Role: "GEN_0", Kind: blame.RoleEnd, Exit: 1, Expected: true}}
			f := blame.Judge(ev)
			require.Equal(t, tc.class, f.Class, "%+v", f)
		})
	}
}

// An assertion of the client's own stays red beside what the infrastructure did: another attempt could only hide it.
func TestAssertionBesideInfrastructure(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]blame.Class{
		"AssertionError: accuracy too low\nE       assert 0.41 >= 0.6": blame.Test,
		"AssertionError: accuracy too low":                             blame.Test,
		"assert 0.41 >= 0.6":                                           blame.Test,
		"AssertionError: warm-up\nE       assert 503 == 200":           blame.Infra,
		"AssertionError: Failed requests: 3":                           blame.Infra,
		"RuntimeError: requests failed:":                               blame.Infra,
	} {
		ev := blame.Evidence{Classes: builtin(t).classes, Roles: []blame.Role{{Name: "GEN_0", Kind: "server"}, {Name: "BENCHMARK", Kind: "client"}}}
		for _, l := range readLog(t, strings.ReplaceAll(ownFailure, "ValueError: 3 of 40 answers were wrong", says), 50).Explaining() {
			l.Role = "BENCHMARK"
			ev.Lines = append(ev.Lines, l)
		}
		at := time.Unix(1, 0)
		ev.Events = []blame.Event{
			{Role: "GEN_0", Kind: blame.RoleEnd, At: at, Exit: 137, Signal: 9},
			{Role: "BENCHMARK", Kind: blame.RoleEnd, At: at.Add(time.Second), Exit: 1},
		}
		f := blame.Judge(ev)
		require.Equal(t, want, f.Class, "%s: %+v", says, f)
		if want == blame.Test {
			require.Equal(t, "BENCHMARK", f.Root)
			require.Equal(t, []string{"GEN_0"}, f.MoreRoots)
		}
	}
}

// A message that ends with a colon says what it is about in its next line.
func TestMessageThatGoesOn(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"RuntimeError: requests failed:\nE       ERROR HTTP 500: bad token":                "E       RuntimeError: requests failed: ERROR HTTP 500: bad token",
		"RuntimeError: requests failed:\nE       \nE       ERROR HTTP 500":                 "E       RuntimeError: requests failed: ERROR HTTP 500",
		"RuntimeError: requests failed:":                                                   "E       RuntimeError: requests failed:",
		"ValueError: 3 answers were wrong\nE       of 40":                                  "E       ValueError: 3 answers were wrong",
		"RuntimeError: requests failed:\nE       three of them:\nE       1, 2 and 3 of 40": "E       RuntimeError: requests failed: three of them:",
	} {
		ev := blame.Evidence{Classes: builtin(t).classes, Roles: []blame.Role{{Name: "GEN_0", Kind: "server"}}}
		log, _, _ := strings.Cut(ownFailure, "-------------")
		ev.Lines = readLog(t, strings.Replace(log, "ValueError: 3 of 40 answers were wrong\n\n", message+"\n\n", 1), 50).Explaining()
		ev.Events = []blame.Event{{Role: "GEN_0", Kind: blame.RoleEnd, Exit: 1}}
		for i := range ev.Lines {
			ev.Lines[i].Role = "GEN_0"
		}
		f := blame.Judge(ev)
		require.Equal(t, want, f.Line.Text, "%+v", f)
		require.Contains(t, f.Message, want)
	}
}
