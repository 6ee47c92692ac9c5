package main

import (
	"bytes"
	"errors"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
)

// shown is a command line of ours that a page shows.
type shown struct {
	place  string // page: text
	args   []string
	sketch bool // names a verb in a sentence, or says which arguments there may be, as help does: […], {A | B}, …
}

// blocksOf are the texts of a page that a shell may be meant to read: fenced blocks and indented ones, without prompts
// and without what a command prints; and the spans of code in its sentences.
func blocksOf(page string) (blocks, spans []string) {
	var block []string
	end := func() {
		if len(block) > 0 {
			blocks = append(blocks, typed(block))
		}
		block = nil
	}
	fence := ""
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		language, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case isFence && fence == "":
			end()
			fence = "```" + language
		case isFence:
			end()
			fence = ""
		case slices.Contains([]string{"```", "```console", "```sh", "```bash", "```text"}, fence):
			block = append(block, line)
		case fence != "": // YAML, Groovy and such
		case isIndented:
			block = append(block, indented)
		default:
			end()
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
				spans = append(spans, strings.ReplaceAll(m[1], `\|`, "|"))
			}
		}
	}
	end()
	return blocks, spans
}

// typed is what is typed of a block: all of it, or where it has prompts the lines behind them, as far as they go on.
func typed(block []string) string {
	if !slices.ContainsFunc(block, func(l string) bool { return strings.HasPrefix(l, "$ ") }) {
		return strings.Join(block, "\n")
	}
	var out []string
	more := false
	for _, l := range block {
		command, prompt := strings.CutPrefix(l, "$ ")
		if prompt || more || strings.HasPrefix(l, "> ") || l == ">" {
			out = append(out, strings.TrimPrefix(strings.TrimPrefix(command, ">"), " "))
			_, err := syntax.NewParser().Parse(strings.NewReader(strings.Join(out, "\n")), "")
			more = err != nil && syntax.IsIncomplete(err) || strings.HasSuffix(l, `\`)
		} else if strings.HasPrefix(l, "next: ") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// sketched takes the marks out of a sketch, so that what is between them can be read: ok = it was one.
func sketched(text string) (plain string, ok bool) {
	plain = regexp.MustCompile(`(^|\s)[\[{]([^\]}]*)[\]}]…?`).ReplaceAllStringFunc(text, func(s string) string {
		return " " + strings.NewReplacer("[", "", "]", "", "{", "", "}", "", "|", " ").Replace(s)
	})
	return plain, plain != text || strings.Contains(text, "…")
}

// ours are the calls of our program in text of a shell.
func ours(text string) (calls [][]string, err error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, err
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		var words []string
		for _, w := range call.Args {
			word, known := bashword.Literal(w)
			if !known {
				word = "1" // a value that the shell makes
			}
			words = append(words, word)
		}
		for len(words) > 0 && regexp.MustCompile(`^(next:|exec|time|srun|[\d*/]+)$`).MatchString(words[0]) { // a time of cron, too
			words = words[1:]
		}
		if len(words) > 0 && regexp.MustCompile(`^ci-disagg(-linux-\w+)?$`).MatchString(path.Base(words[0])) {
			calls = append(calls, words[1:])
		}
		return true
	})
	return calls, nil
}

// verbNames are our verbs.
func verbNames() (names []string) {
	for _, c := range newRoot(newHost()).Commands() {
		names = append(names, c.Name())
	}
	return names
}

// commandsOf are the command lines of ours on a page, and those that no shell can read.
func commandsOf(name, page string) (out []shown, unread []string) {
	add := func(text string, span bool) bool {
		plain, sketch := sketched(text)
		calls, err := ours(plain)
		for _, args := range calls {
			out = append(out, shown{place: name + ": " + text, args: args, sketch: span || sketch})
		}
		return err == nil
	}
	blocks, spans := blocksOf(page)
	for _, b := range blocks {
		if calls, err := ours(b); err == nil && !strings.Contains(b, "…") {
			for _, args := range calls {
				out = append(out, shown{place: name, args: args})
			}
			continue
		}
		joined := strings.ReplaceAll(b, "\\\n", " ")
		for line := range strings.Lines(joined) { // no script: some lines are commands, others a table or a picture
			if m := regexp.MustCompile(`(?:^|[\s/])ci-disagg [a-z]`).FindStringIndex(line); m != nil && !add(strings.TrimSpace(line), false) {
				unread = append(unread, line)
			}
		}
	}
	names := verbNames()
	for _, s := range spans {
		verb, rest, _ := strings.Cut(s, " ")
		if slices.Contains(names, verb) && strings.Contains(rest, "-") { // our name is left out
			s = "ci-disagg " + s
		}
		if strings.HasPrefix(strings.TrimPrefix(s, "bin/"), "ci-disagg") && !add(s, true) {
			unread = append(unread, s)
		}
	}
	return out, unread
}

// wrong is what is wrong with a command line, "" = nothing: the verb is there, each flag is one of it and has a value
// of its kind, and there are as many arguments as it takes.
func wrong(s shown) error {
	root := newRoot(newHost())
	cmd, rest, err := cmdline.Find(root, s.args)
	if err != nil {
		return err
	}
	if cmd.Name() == "help" {
		_, _, err := cmdline.Find(root, rest)
		return err
	}
	if n := len(rest) - 1; s.sketch && n >= 0 && cmd.Flags().Lookup(strings.TrimPrefix(rest[n], "--")) != nil {
		rest = rest[:n] // a flag that is named without its value
	}
	if err := cmd.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return errors.New(cmdline.Usage(cmd, err))
	}
	if err := unknownWord(cmd); err != nil {
		return err
	}
	if s.sketch {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// unknownWord holds the values of flags that take one of some words against these.
func unknownWord(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		offer, ok := cmd.GetFlagCompletionFunc(f.Name)
		if !ok || !slices.Contains([]string{"backend", "case-mode", "flaky", "format", "mode", "output"}, f.Name) {
			return
		}
		words, _ := offer(cmd, nil, "")
		if value := f.Value.String(); !slices.Contains(words, value) && len(words) > 0 && value != strings.ToUpper(value) {
			err = errors.New("--" + f.Name + " takes none of: " + value)
		}
	})
	return err
}

// check holds a command line against the program, and runs it where it needs nothing.
func check(t *testing.T, s shown) {
	t.Helper()
	if err := wrong(s); err != nil {
		t.Errorf("%s\n  ci-disagg %s\n  %v", s.place, strings.Join(s.args, " "), err)
		return
	}
	if len(s.args) > 0 && !s.sketch && slices.Contains([]string{"version", "schema", "completion", "help", "--version", "--help"}, s.args[0]) {
		h := newHost()
		var out bytes.Buffer
		h.stdout, h.stderr = &out, &out
		require.Equal(t, exit.Passed, run(t.Context(), h, s.args), "%s\n%s", s.place, out.String())
	}
}

// TestCommandsOnPages holds every command line of ours on every page against the program, and runs those that need
// nothing.
func TestCommandsOnPages(t *testing.T) {
	t.Parallel()
	n := 0
	checkAll := func(name, text string) {
		all, unread := commandsOf(name, text)
		n += len(all)
		for _, s := range all {
			check(t, s)
		}
		for _, line := range unread {
			t.Errorf("%s: no shell can read %s", name, line)
		}
	}
	textFiles(t, ".", []string{".md"}, func(name, text string) {
		if name == "docs/cli.md" || name == "CHANGELOG.md" { // what help prints, whose examples are below; and what was
			return
		}
		checkAll(name, text)
	})
	require.Greater(t, n, 150)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		checkAll("help of "+cmd.Name(), "```sh\n"+cmd.Example+"\n```\n")
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot(newHost()))
}

// ofOthers are flags of other programs that pages name.
const ofOthers = `--dist --keep-duplicates --junit-prefix --mpi --no-requeue --port --showlocals`

// pagesOfOthers name many flags of Slurm, pytest, benchmark clients and upstream's scripts.
const pagesOfOthers = `docs/benchmarks.md docs/config.md docs/moving-over.md`

// TestFlagsAndKeysOnPages looks for each flag and each key of the config that a sentence names.
func TestFlagsAndKeysOnPages(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { flags["--"+f.Name] = true })
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { flags["--"+f.Name] = true })
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot(newHost()))
	keys := knownKeys()
	textFiles(t, "docs", []string{".md"}, func(name, text string) {
		_, spans := blocksOf(text)
		others := strings.HasPrefix(name, "docs/facts/") || strings.Contains(pagesOfOthers, name)
		for _, s := range spans {
			flag := regexp.MustCompile(`^--[a-z][a-z-]+`).FindString(s)
			if flag != "" && !others && !flags[flag] && !slices.Contains(strings.Fields(ofOthers), flag) {
				t.Errorf("%s: no verb has the flag %s", name, s)
			}
			if wrongKey(keys, s) {
				t.Errorf("%s: no key of the config: %s", name, s)
			}
		}
	})
}

// knownKeys are the keys of the config and their sections, as sentences name them: without the names of maps and the
// marks of lists.
func knownKeys() map[string]bool {
	out := map[string]bool{}
	for _, key := range configKeys(reflect.TypeFor[configfile.File](), "") {
		key = strings.NewReplacer("[]", "", ".<name>", "").Replace(key)
		for key != "" {
			out[key] = true
			key = key[:max(0, strings.LastIndexByte(key, '.'))]
		}
	}
	return out
}

// wrongKey reports whether a span names a key of a section that has no such key.
func wrongKey(known map[string]bool, span string) bool {
	m := regexp.MustCompile(`^([a-z_]+)((?:\.[a-z_<>]+(?:\[\])?)+)(?:: .*)?$`).FindStringSubmatch(span)
	if m == nil || !known[m[1]] || slices.Contains([]string{".css", ".sh"}, path.Ext(span)) {
		return false
	}
	return !known[regexp.MustCompile(`\[\]|\.<\w+>`).ReplaceAllString(m[1]+m[2], "")]
}

// TestWrongCommandsAreFound holds the test above against what it has to find.
func TestWrongCommandsAreFound(t *testing.T) {
	t.Parallel()
	for page, says := range map[string]string{
		"    ci-disagg list -o json | jq .":                              "",
		"`ci-disagg cancel` and `ci-disagg logs RUN [CASE] [ROLE] [-f]`": "",
		"| `ci-disagg prune {--run ID \\| --days N}` |":                  `--run`,
		"    $ ci-disagg plan --chek\n    accepted":                      "--check",
		"```console\n$ ci-disagg run \\\n>   --nodes-of 3\n```":          "--nodes-of",
		"`ci-disagg lits`": "list",
		"    x=$(ci-disagg version -o json); if ci-disagg status; then :": "if ci-disagg status",
		"    ci-disagg prune --days soon":                                 "whole number",
		"    ci-disagg compare onlyone":                                   "two things",
		"    ci-disagg list -o xml":                                       "takes none of: xml",
		"    $ run\n    next:   ci-disagg bisec x":                        "bisect",
	} {
		all, unread := commandsOf("page", page)
		said := strings.Join(unread, "\n")
		for _, s := range all {
			if err := wrong(s); err != nil {
				said += err.Error()
			}
		}
		if says == "" {
			require.Empty(t, said, page)
		} else {
			require.Contains(t, said, says, page)
		}
	}
}
