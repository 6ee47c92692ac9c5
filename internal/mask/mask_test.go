package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

const hostile = `p&<>"'/\ü😀 s3cr+t=%`

// printed is what programs print of a value.
func printed(v string) map[string]string {
	asJSON := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(v))
	out := map[string]string{
		"plain": v, "xml": x.String(), "html": html.EscapeString(v), "json": asJSON(v), "json twice": asJSON(asJSON(v)),
		"query": url.QueryEscape(v), "path": url.PathEscape(v), "lower": lowerDigits(url.QueryEscape(v)),
	}
	for before := range 3 {
		text := strings.Repeat("x", before) + v + "yy"
		out[fmt.Sprint("base64 at ", before)] = base64.StdEncoding.EncodeToString([]byte(text))
		out[fmt.Sprint("base64url at ", before)] = base64.URLEncoding.EncodeToString([]byte(text))
	}
	return out
}

func TestForms(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"hunter2secret", hostile, "abcdef", "line one of the key\nline two of the key\n"} {
		m := New([]string{v})
		for what, text := range printed(v) {
			in := "before " + text + " after"
			got := m.String(in)
			require.Contains(t, got, Marker, "%s of %q", what, v)
			require.True(t, strings.HasPrefix(got, "before "), "%s of %q: %s", what, v, got)
			require.True(t, strings.HasSuffix(got, " after"), "%s of %q: %s", what, v, got)
			if !strings.HasPrefix(what, "base64") {
				require.NotContains(t, got, v)
				require.LessOrEqual(t, len(got), len("before [masked] after")+10, "%s of %q: %s", what, v, got)
			}
		}
	}
}

func TestLinesOfAKey(t *testing.T) {
	t.Parallel()
	m := New([]string{"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----\n"})
	require.Equal(t, "[CTX_0] [masked]", m.String("[CTX_0] MIIEvQIBADANBgkqhkiG"))
	require.Equal(t, "short -----BEGIN KEY-----", m.String("short -----BEGIN KEY-----"))
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	m := New([]string{"bcdefg", "abcdefgh", "efghij", "xyzxyz"})
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"nothing here", "nothing here"},
		{"bcdefg", "[masked]"},
		{"abcdefgh", "[masked]"},
		{"abcdefg.", "a[masked]."},
		{"abcdefghij", "[masked]"},
		{"-abcdefghij-", "-[masked]-"},
		{"xyzxyzxyz.", "[masked]."},
		{"bcdefgbcdefg", "[masked]"},
		{"bcdefg bcdefg", "[masked] [masked]"},
		{"abcdef", "abcdef"},
		{"xyzxy", "xyzxy"},
	} {
		require.Equal(t, tt.want, m.String(tt.in), tt.in)
		require.Equal(t, tt.want, inPieces(t, m, []byte(tt.in), 1), tt.in)
	}
}

func inPieces(t testing.TB, m *Masker, b []byte, size int) string {
	var out bytes.Buffer
	w := m.Writer(&out)
	for len(b) > 0 {
		n := min(size, len(b))
		got, err := w.Write(b[:n])
		require.NoError(t, err)
		require.Equal(t, n, got)
		require.LessOrEqual(t, len(w.held), maxForm)
		b = b[n:]
	}
	require.NoError(t, w.Flush())
	return out.String()
}

func TestNothingToMask(t *testing.T) {
	t.Parallel()
	for _, m := range []*Masker{nil, New(nil), New([]string{"", "short"})} {
		require.Equal(t, "short text", m.String("short text"))
		require.Equal(t, "short text", inPieces(t, m, []byte("short text"), 3))
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"HF_TOKEN": true, "token": true, "GITLAB_TOKEN": true, "PGPASSWORD": true, "DB_PASSWD": true, "AWS_SECRET_ACCESS_KEY": true,
		"OPENAI_API_KEY": true, "NGC_APIKEY": true, "MY_CREDENTIALS": true, "GH_PAT": true, "SSH_PASSPHRASE": true,
		"MAX_TOKENS": false, "TOKENIZERS_PARALLELISM": false, "PATH": false, "KEYBOARD": false,
	} {
		require.Equal(t, want, Named(name), name)
	}
	dir := t.TempDir()
	env := []string{"A_TOKEN=abcdefgh", "B_TOKEN=12345678", "C_TOKEN=false", "D_PASSWORD=" + dir, "E_TOKEN=except-me", "F=abcdefgh", "G_SECRET=12345678901234567"}
	require.Equal(t, []string{"abcdefgh", "12345678901234567"}, FromEnv(env, func(n string) bool { return n == "E_TOKEN" }))
}

// FuzzBorders: however a stream is cut, what comes out is the same, and no value is in it.
func FuzzBorders(f *testing.F) {
	f.Add("abcabcabd", "bcabd.", []byte("xxabcabcabcabdyy"), uint8(1))
	f.Add(hostile, "hunter2", []byte("a "+hostile+" b hunter2hunter2"), uint8(7))
	f.Add("aaaaaa", "aaaaaaaab", []byte("aaaaaaaaaaaaaaaaaab aaaaa"), uint8(2))
	f.Fuzz(func(t *testing.T, v1, v2 string, in []byte, size uint8) {
		m := New([]string{v1, v2})
		text := append(append(append([]byte{}, in...), v1...), in...)
		whole := inPieces(t, m, text, len(text)+1)
		require.Equal(t, whole, inPieces(t, m, text, int(size)+1))
		require.Equal(t, whole, string(m.Bytes(text)))
		if m == nil {
			require.Equal(t, string(text), whole)
			return
		}
		for _, v := range []string{v1, v2} {
			if len(v) < MinLength || len(v) > maxForm {
				continue
			}
			for piece := range strings.SplitSeq(whole, Marker) {
				require.NotContains(t, piece, v)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	var values []string
	for i := range 20 {
		values = append(values, fmt.Sprintf("hf_%dAbCdEfGhIjKlMnOpQrStUvWxYz%d", i, i*7919))
	}
	line := "[2026-11-29 10:00:00] INFO iter = 1234, num_requests: 17, throughput 12345.67 tokens/s, path=/opt/models/llama/config.json\n"
	text := []byte(strings.Repeat(line, 1<<20/len(line)))
	m := New(values)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		w := m.Writer(discard{})
		_, _ = w.Write(text)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestValues(t *testing.T) {
	t.Parallel()
	type inner struct {
		Text string
		Raw  json.RawMessage
		Any  any
		Self *inner
	}
	type outer struct {
		In    *inner
		List  []string
		Map   map[string][]inner
		Fixed [1]string
		quiet string
	}
	const secret = "hunter2secret"
	in := &inner{Text: "a " + secret, Raw: json.RawMessage(`"` + secret + `"`), Any: map[string]any{secret: []any{secret, 1.5}}}
	in.Self = in
	v := outer{In: in, List: []string{"x", secret}, Map: map[string][]inner{"k": {{Text: secret}}}, Fixed: [1]string{secret}, quiet: "q"}
	New([]string{secret}).Values(&v)
	require.Equal(t, "a [masked]", in.Text)
	require.Equal(t, `"[masked]"`, string(in.Raw))
	require.Equal(t, map[string]any{"[masked]": []any{"[masked]", 1.5}}, in.Any)
	require.Equal(t, []string{"x", "[masked]"}, v.List)
	require.Equal(t, "[masked]", v.Map["k"][0].Text)
	require.Equal(t, "[masked]", v.Fixed[0])
	require.Equal(t, "q", v.quiet)
	(*Masker)(nil).Values(&v)
}

func TestSources(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/token"
	require.NoError(t, os.WriteFile(file, []byte("from-a-file\n\n"), 0o600))
	sources := []Source{{Name: "A", From: "B"}, {Name: "C", File: file}, {Name: "D", From: "D"}, {Name: "E", File: file + ".none"}}
	values, missing := Read([]string{"B=from-b", "A=from-a", "BB=no"}, sources)
	require.Equal(t, []string{"from-a", "from-b", "from-a-file"}, values)
	require.Equal(t, []string{"D", "E"}, missing)
	require.NoError(t, TooShort([]string{"B=from-b"}, sources))
	require.ErrorContains(t, TooShort([]string{"D=12345"}, sources), "workload.secrets: D: its value has 5 characters")
}

func TestEachAndFindIn(t *testing.T) {
	t.Parallel()
	m := New([]string{"hunter2secret"})
	var out bytes.Buffer
	n, err := m.Each(&out).Write([]byte("it is hunter2secret\n"))
	require.NoError(t, err)
	require.Equal(t, 20, n)
	require.Equal(t, "it is [masked]\n", out.String())
	found, err := m.FindIn(iotest.OneByteReader(strings.NewReader("xx hunter2secret")))
	require.NoError(t, err)
	require.True(t, found)
	found, err = m.FindIn(strings.NewReader("xx hunter2secre"))
	require.NoError(t, err)
	require.False(t, found)
}
