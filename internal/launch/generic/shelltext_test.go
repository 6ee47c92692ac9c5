package generic

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixed is a scope for tests.
type fixed map[string]value

func (f fixed) value(name string) (value, bool, error) { v, ok := f[name]; return v, ok, nil }

func (f fixed) names() []string {
	var out []string
	for name := range f {
		out = append(out, name)
	}
	return out
}

// ways are commands in which a template may stand; each prints what a process got.
var ways = map[string]string{
	"bare":            `printf %s {v}`,
	"in a word":       `printf %s pre{v}post`,
	"single quotes":   `printf %s 'pre{v}post'`,
	"dollar quotes":   `printf %s $'pre{v}post'`,
	"double quotes":   `printf %s "pre{v}post"`,
	"assignment":      `x={v}; printf %s "$x"`,
	"substitution":    `printf %s "$(printf %s {v}; printf .)"`,
	"inner quotes":    `printf %s "$(printf %s "{v}"; printf .)"`,
	"array":           `a=({v} {v}); printf %s "${a[1]}"`,
	"here string":     `IFS= read -r -d '' x <<<{v} || true; printf %s "$x"`,
	"second shell":    `bash -c 'printf %s {v}'`,
	"second, quoted":  `bash -c "printf %s \"{v}\""`,
	"second, exports": `bash -ec "exec printf %s '{v}'"`,
	"eval":            `eval 'printf %s {v}'`,
	"loop":            `for x in {v}; do printf %s "$x"; done`,
	"json":            `printf %s '{"a": "{v}", "b": {"c": [1]}}'`,
}

// bash is what a script prints.
func bash(t *testing.T, script string, env ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte("set -euo pipefail\n{\n"+script+"\n}\n"), 0o600))
	cmd := exec.Command("bash", file)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", script, stderr.String())
	return string(out)
}

func wanted(way, v string) string {
	switch way {
	case "in a word", "single quotes", "dollar quotes", "double quotes":
		return "pre" + v + "post"
	case "substitution", "inner quotes":
		return v + "."
	case "here string":
		return v + "\n"
	case "json":
		return `{"a": "` + v + `", "b": {"c": [1]}}`
	}
	return v
}

func TestValuesArriveAsTheyAre(t *testing.T) {
	values := []string{"", "plain", "two words", `it's "quoted"`, "$(touch broken) `id` $HOME ${x}", `back\slash \`, "line\nbreak\n", "-n", "*", "~", "a;b&c|d>e", "{port}", "!x", "\x01\x7f", "ü€", "#x", "a=b"}
	for way, text := range ways {
		t.Run(way, func(t *testing.T) {
			for _, v := range values {
				filled, err := shellText(text, fixed{"v": {text: v}})
				require.NoError(t, err, "%q", v)
				require.Equal(t, wanted(way, v), bash(t, filled), "%s", filled)
			}
			filled, err := shellText(text, fixed{"v": {variable: "V", text: "/x y"}})
			require.NoError(t, err)
			for _, v := range values[:6] {
				require.Equal(t, wanted(way, v+"/x y"), bash(t, filled, "V="+v), "%s", filled)
			}
		})
	}
}

func FuzzShellText(f *testing.F) {
	f.Add("it's $(id) `id` \"x\" \\ \n EOF")
	f.Fuzz(func(t *testing.T, v string) {
		if strings.ContainsRune(v, 0) {
			return
		}
		for way, text := range ways {
			filled, err := shellText(text, fixed{"v": {text: v}})
			if err != nil {
				return // no text in bash's sense: refused
			}
			require.Equal(t, wanted(way, v), bash(t, filled), "%s: %s", way, filled)
		}
		words, err := argv([]string{"printf", "%s", "a{v}b"}, fixed{"v": {text: v}})
		require.NoError(t, err)
		require.Equal(t, "a"+v+"b", bash(t, words))
	})
}

func TestPlacesOfTemplates(t *testing.T) {
	scope := fixed{"port": {variable: "P"}, "case.n": {text: "8"}, "case.s": {text: "a $b"}, "case.lines": {text: "a\nEOF\nb"}}
	tests := []struct{ name, text, want, err string }{
		{"arithmetic", `echo $(({case.n} * 100 + {port}))`, `echo $((8 * 100 + ${P}))`, ""},
		{"arithmetic on text", `echo $(({case.s} * 2))`, "", "no whole number"},
		{"here-document", "cat <<EOF\n{port} {case.s}\nEOF", "cat <<EOF\n${P} a \\$b\nEOF", ""},
		{"quoted here-document", "cat <<'EOF'\n{case.s}\nEOF", "cat <<'EOF'\na $b\nEOF", ""},
		{"quoted here-document and a variable", "cat <<'EOF'\n{port}\nEOF", "", "quoted delimiter"},
		{"end of a here-document", "cat <<EOF\n{case.lines}\nEOF", "", "line break"},
		{"comment", "true # not {case.lines}\n", "true # not {case.lines}\n", ""},
		{"bash's own", "echo ${port} {a,b} {1..3} {}", "echo ${port} {a,b} {1..3} {}", ""},
		{"awk", `awk '{print $1}' {case.s}`, `awk '{print $1}' 'a $b'`, ""},
		{"doubled", `echo {{port} {{case.n} {{port}} {{other}`, `echo {port} {case.n} {{port}} {{other}`, ""},
		{"go template", `docker ps --format '{{.Names}}'`, `docker ps --format '{{.Names}}'`, ""},
		{"json", `curl -d '{"n": {"m": 1}, "x":{"y":{case.n}}}' x`, `curl -d '{"n": {"m": 1}, "x":{"y":'8'}}' x`, ""},
		{"near", `echo {prot}`, "", "did you mean {port}? To have it as text write {{prot}"},
		{"without its case", `echo {n.x}`, "", "{n.x} means nothing"},
		{"expansion", `echo "${x:-{case.s}}"`, "", "cannot stand in an expansion"},
		{"backquotes", "echo `echo {case.s}`", "", "cannot stand in an expansion"},
		{"name", `{case.s}=1`, "", "cannot stand here"},
		{"second shell with expansions", `bash -c "echo $x {case.s}"`, "", "as an argument"},
		{"no bash", `echo "{port}`, "", "not a bash command"},
		{"backslash", `echo {port} \`, "", "ends with a backslash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := shellText(tt.text, scope)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.NotContains(t, err.Error(), markWord)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}
