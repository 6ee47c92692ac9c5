package trtllm

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

func hasTestList(args []*syntax.Word) bool {
	for i := range args {
		if name, _, _ := option(args, i); name == "--test-list" {
			return true
		}
	}
	return false
}

// options redirects those options of a pytest call that name a file which all
// roles would share. args are the words behind pytest, last the call's last
// word, n the number of the call in its command.
func (r *rewriter) options(args []*syntax.Word, last *syntax.Word, n int) {
	r.found.coverage = r.found.coverage || slices.ContainsFunc(args, func(w *syntax.Word) bool {
		v, _ := bashword.Prefix(w)
		return strings.HasPrefix(v, "--cov")
	})
	if !r.o.redirect {
		return
	}
	junit, periodic := false, -1
	var saved []edit
	listed := hasTestList(args)
	for i := 0; i < len(args); i++ {
		name, value, end := option(args, i)
		if name == "--" {
			break
		}
		target, ok := r.target(name, value, n)
		drop := listed && slices.Contains([]string{"--splits", "--group", "--splitting-algorithm"}, name)
		if end < 0 || !ok && !drop {
			continue
		}
		e := edit{int(args[i].Pos().Offset()), int(args[end].End().Offset()), name + "=" + target}
		if drop {
			// The list holds the one case of this job: pytest-split would put it in
			// some group, and all others would run nothing.
			e.text = ""
		}
		i = end
		switch name {
		case "--junit-xml", "--junitxml":
			junit = true
		case "--periodic-junit-xmlpath":
			periodic = len(saved)
		}
		saved = append(saved, e)
	}
	if periodic >= 0 && !junit {
		// The periodic file is this role's result: it is complete after each test.
		saved[periodic].text = "--periodic-junit-xmlpath=" + resultsFile(n)
		junit = true
	}
	r.edits = append(r.edits, saved...)
	r.found.listed = listed
	if !junit {
		at := int(last.End().Offset())
		if end := r.optionsEnd(args); end >= 0 {
			at = end
		}
		r.edits = append(r.edits, edit{at, at, " --junit-xml=" + resultsFile(n)})
	}
}

// optionsEnd is the offset behind the last word before "--", or -1 without one:
// behind "--" pytest takes no options.
func (r *rewriter) optionsEnd(args []*syntax.Word) int {
	for _, w := range args {
		if v, ok := bashword.Literal(w); ok && v == "--" {
			at := int(w.Pos().Offset())
			for at > 0 && (r.src[at-1] == ' ' || r.src[at-1] == '\t') {
				at--
			}
			return at
		}
	}
	return -1
}

// option reads args[i]: its name, its value as far as bash would not expand it,
// and the index of the word that the value ends in: this one (--name=value), the
// next one, or -1 where there is none. What begins with a dash is no value.
func option(args []*syntax.Word, i int) (name, value string, last int) {
	v, _ := bashword.Prefix(args[i])
	name, value, inWord := strings.Cut(v, "=")
	name = wholeOption(name)
	if inWord {
		return name, value, i
	}
	if i+1 < len(args) {
		if value, _ = bashword.Prefix(args[i+1]); !strings.HasPrefix(value, "-") {
			return name, value, i + 1
		}
	}
	return name, "", -1
}

// wholeOption is the name of an option that older pytests take abbreviated, too: a
// result file that it names must be redirected in every spelling
// (docs/facts/pytest.md#options-that-write-files).
func wholeOption(name string) string {
	for _, whole := range [...]string{"--junit-xml", "--junitxml"} {
		if strings.HasPrefix(whole, name) && len(name) > len(whole)-3 {
			return whole
		}
	}
	return name
}

// target is shell text for where the option has to write, and whether it is one
// of those that write to a file.
func (r *rewriter) target(name, value string, n int) (string, bool) {
	switch name {
	case "--periodic-junit", "--periodic-save-unfinished-test", "--periodic-hang-traceback":
		return "", false // flags
	case "--junit-xml", "--junitxml":
		return resultsFile(n), true
	case "--csv", "--report-log", "--json-report-file", "--html", "--log-file", "--basetemp", "--debug-trace":
		return r.own(value), true
	case "--output-dir":
		return outputDir, true
	case "--test-list":
		return `"$CI_DISAGG_ATTEMPT/test_list.txt"`, true
	case "--cov-report":
		kind, file, ok := strings.Cut(value, ":")
		if !ok {
			switch kind {
			case "xml", "json", "lcov":
				file = "coverage." + kind
			case "html", "annotate":
				file = "coverage-" + kind
			default:
				return "", false // to the terminal
			}
		}
		return kind + ":" + r.own(file), true
	}
	if strings.HasPrefix(name, "--periodic-") && namesFile(value) {
		return r.own(value), true
	}
	return "", false
}

// namesFile reports whether the value of an option that we do not know looks like a
// file's name. Behind a flag, which has no value, stands a test.
func namesFile(value string) bool {
	if _, err := strconv.ParseFloat(value, 64); err == nil || strings.Contains(value, "::") || strings.HasSuffix(value, ".py") {
		return false
	}
	return strings.Contains(value, "/") || path.Ext(value) != ""
}

// outputDir is shell text for the value of pytest's --output-dir.
const outputDir = `"$CI_DISAGG_RUN/` + casesDir + `"`

// own is the file's own name, with the task's number, in the role's directory.
func (r *rewriter) own(value string) string {
	base := path.Base(value)
	ext := path.Ext(base)
	stem := safeName(strings.TrimSuffix(base, ext))
	if stem == "results" {
		stem = "other-results" // results.*.xml is what the report reads as JUnit
	}
	return roleFile(stem + ".${SLURM_PROCID:-0}" + safeName(ext))
}

// safeName keeps letters, digits, dot, dash and underscore, so that the name
// means the same inside double quotes.
func safeName(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			return c
		}
		return '_'
	}, s)
}
