package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// leak is a role that tells everything it knows, everywhere it can, before its test begins.
const leak = `#!/usr/bin/python3
import os, pathlib, sys
forms = pathlib.Path(os.environ["LEAK_FORMS"]).read_text()
token, word = os.environ["LEAK_TOKEN"], os.environ["LEAK_FILE"]
run, role = pathlib.Path(os.environ["CI_DISAGG_RUN"]), pathlib.Path(os.environ["CI_DISAGG_ROLE_DIR"])
for c in forms:  # one write for each character: a value never arrives whole
    os.write(1, c.encode())
print("token", token, "from a file", word, flush=True)
print("RuntimeError: cannot log in with", token, file=sys.stderr, flush=True)
(run / "output" / "leak.json").write_text('{"token": "' + token + '", "n": 1}\n' + forms)
(run / "output" / "zero.bin").write_bytes(b"\0" * 262140 + token.encode() + b"\0" * 10)
secret = "".join("&#%d;" % ord(c) for c in token)
(role / "results.77.xml").write_text(
    '<testsuite name="s" tests="1"><testcase classname="c" name="tells"><failure message="with %s">%s and %s</failure>'
    '<system-out>%s</system-out></testcase></testsuite>' % (secret, secret, word, secret))
`

// spelled are the promised forms of a value.
func spelled(v string) map[string]string {
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(v))
	j, _ := json.Marshal(v)
	out := map[string]string{
		"plain": v, "xml": x.String(), "html": html.EscapeString(v), "json": string(j[1 : len(j)-1]), "query": url.QueryEscape(v), "path": url.PathEscape(v),
	}
	for i := range 3 {
		// What of the encoded text is the value's alone: its neighbours share a character at either end.
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("-", i) + v))
		out[fmt.Sprint("base64 ", i)] = text[(i*8+5)/6 : (i+len(v))*8/6]
	}
	return out
}

// grep names every form of a value that stands in a text.
func grep(where, text, value string) []string {
	var found []string
	for form, s := range spelled(value) {
		if strings.Contains(text, s) {
			found = append(found, fmt.Sprintf("%s: %s", where, form))
		}
	}
	return found
}

// A role prints its secrets, writes them to files and fails with them. They are nowhere in what is kept, published or
// shown.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	const token, word = `hunter2&<"s3cr+t`, "a-word-of-a-file"
	dir := t.TempDir()
	forms := filepath.Join(dir, "forms")
	var lines []string
	for _, v := range []string{token, word} {
		for _, s := range spelled(v) {
			lines = append(lines, "it is >"+s+"<, "+s+s)
		}
	}
	script, file := filepath.Join(dir, "leak"), filepath.Join(dir, "word")
	require.NoError(t, os.WriteFile(forms, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	require.NoError(t, os.WriteFile(script, []byte(leak), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(word+"\n"), 0o600))
	cfg := config(t, local, "")
	text, err := os.ReadFile(cfg)
	require.NoError(t, err)
	text = bytes.Replace(text, []byte("  grace:"), []byte("  secrets: [{name: LEAK_TOKEN, from: CI_TOKEN}, {name: LEAK_FILE, file: "+file+"}]\n  grace:"), 1)
	text = bytes.Replace(text, []byte("PYTHONDONTWRITEBYTECODE=1"), []byte("PYTHONDONTWRITEBYTECODE=1; LEAK_FORMS="+forms+" "+script), 1)
	require.NoError(t, os.WriteFile(cfg, text, 0o600))
	copyTo := filepath.Join(dir, "copy")
	j := start(t, local, cfg, []string{"CI_TOKEN=" + token}, "--quiet=false", "--copy-report", copyTo, runtest.Small)
	require.Equal(t, 1, j.wait(t), "the role's own test has failed")
	require.Contains(t, j.stdout.String(), "token [masked] from a file [masked]")
	xmlText, err := os.ReadFile(filepath.Join(j.dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	require.Contains(t, string(xmlText), "with [masked]")

	found := append(grep("stdout", j.stdout.String(), token), grep("stderr", j.stderr.String(), token)...)
	files := 0
	for _, at := range []string{string(j.dir), copyTo} {
		require.NoError(t, filepath.WalkDir(at, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			files++
			found = append(found, append(grep(path, string(data), token), grep(path, string(data), word)...)...)
			return err
		}))
	}
	require.Empty(t, found)
	require.Greater(t, files, 50)

	// Elsewhere, without the value.
	elsewhere := filepath.Join(dir, "elsewhere")
	require.NoError(t, os.CopyFS(elsewhere, os.DirFS(string(j.dir))))
	require.NoError(t, os.Remove(file))
	out, _ := exec.Command(binary, "report", elsewhere).CombinedOutput()
	summary, err := os.ReadFile(filepath.Join(elsewhere, "report", rundir.ReportSummary))
	require.NoError(t, err, string(out))
	for _, name := range []string{"LEAK_TOKEN", "LEAK_FILE"} {
		require.Contains(t, strings.ReplaceAll(string(summary), `\_`, "_"), "the value of the secret "+name+" is not to be had here")
	}
	for _, verb := range []string{"plan", "run"} {
		short := exec.Command(binary, verb, "--config", cfg, runtest.Small)
		short.Env = append(os.Environ(), "CI_TOKEN=12345", "BUILD_TAG=short")
		out, _ := short.CombinedOutput()
		require.Equal(t, 2, short.ProcessState.ExitCode(), string(out))
		require.Contains(t, string(out), "LEAK_TOKEN: its value has 5 characters; one of less than 6 cannot be masked")
	}
}
