package blame

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

func builtin(t testing.TB) []Rule {
	t.Helper()
	var out []Rule
	require.NoError(t, yaml.Unmarshal([]byte(ClassesYAML), &out))
	return out
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		`abc`:                   {"abc"},
		`(?i)No Space`:          {"no space"},
		`x(?:foo|barx)y`:        {"foo", "barx"},
		`\d+ failed \w* hard`:   {" failed "},
		`(?:ab|longer)`:         nil,
		`a.*b`:                  nil,
		`(?:hello)?world`:       {"world"},
		`(?:hello)*`:            nil,
		`(?:hello)+`:            {"hello"},
		`(?:hello){2,}`:         {"hello"},
		`größe`:                 {"gr"},
		`^E\s+RuntimeError\b`:   {"runtimeerror"},
		`[Ee]rror: (?:x1x|yyy)`: {"rror: "},
	} {
		re, err := syntax.Parse(pattern, syntax.Perl)
		require.NoError(t, err)
		got, ok := literals(re.Simplify())
		if pattern == `größe` { // a literal with a letter outside ASCII is not used
			require.False(t, ok)
			continue
		}
		require.Equal(t, want != nil, ok, pattern)
		if ok {
			require.Equal(t, want, got, pattern)
		}
	}
}

// Every built-in pattern can be looked for by its literals.
func TestBuiltInPatternsHaveLiterals(t *testing.T) {
	t.Parallel()
	for _, r := range builtin(t) {
		f := &prefilter{}
		f.add(regexp.MustCompile(r.Pattern))
		require.Empty(t, f.always, "rule %s costs a regular expression on every line", r.Name)
	}
	f := &prefilter{}
	f.add(peerPattern())
	require.Empty(t, f.always)
}

// The literals never hide a match: text made of the patterns' own pieces.
func FuzzLiteralsHideNothing(f *testing.F) {
	for _, s := range []string{"No space left on device", "NVRM: Xid (PCI:0): 79,", "E   torch.OutOfMemoryError: CUDA out of memory", "srun: error: Node failure on x"} {
		f.Add(s)
	}
	rules := builtin(f)
	var all []*regexp.Regexp
	find := &prefilter{}
	for _, r := range rules {
		re := regexp.MustCompile(r.Pattern)
		all = append(all, re)
		find.add(re)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for i, re := range all {
			if re.MatchString(line) && !strings.ContainsAny(line, "\u017f\u212a") {
				require.True(t, find.may(line), "%s matches %q", rules[i].Name, line)
			}
		}
	})
}

func BenchmarkHealthyLines(b *testing.B) {
	c, err := Compile(builtin(b))
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(1, 2))
	var lines []string
	n := 0
	for range 1000 {
		l := "[11/21/2026-19:15:01] [TRT-LLM] [RANK 0] [I] iter = 1234, global_rank = 0, prev_device_step_time = 9.8 ms, num_scheduled_requests = 8, states = {'num_ctx_requests': 0, 'num_generation_tokens': " + strings.Repeat("7", 1+rng.IntN(4)) + "}"
		n += len(l)
		lines = append(lines, l)
	}
	b.SetBytes(int64(n))
	for b.Loop() {
		for _, l := range lines {
			if _, ok := c.Match(l); ok {
				b.Fatal(l)
			}
		}
	}
}
